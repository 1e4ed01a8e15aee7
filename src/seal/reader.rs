//! The reading end of a stream: which stream, which keys, which description, which counters. Everything here is serial
//! and cheap but for the first header, which is unwrapped; frames are opened by any number of
//! [`FrameOpener`](super::FrameOpener)s in parallel.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    camera::CameraId,
    description::Description,
    frame_header::{FRAME_HEADER_BYTES, FrameHeader},
    identities::{Identities, are_few},
    index::{INDEX_HEADER_BYTES, IndexHeader},
    keys::StreamKeys,
    refusal::Refusal,
    replay::{ReplayWindow, Verdict},
    stream_header::{OpenedDescription, RawStreamHeader},
    suite::Profile,
};
use crate::{Error, Result};

/// Window of counters that a reader keeps, unless told otherwise.
pub const DEFAULT_REPLAY_WINDOW: u32 = 1024;
/// Descriptions that a reader keeps; a frame names its own.
const DESCRIPTIONS_KEPT: usize = 256;
/// Bytes of their caps that readers of all tracks of a recording keep together.
const CAPS_KEPT: usize = 8 << 20;

/// What a reader accepts.
#[derive(Clone, Debug)]
pub struct ReaderPolicy {
    /// Profiles accepted.
    pub profiles: Vec<Profile>,
    /// Whether another stream may take the place of the pinned one.
    pub accept_new_stream: bool,
    /// Counters kept to tell replays.
    pub replay_window: u32,
    /// Cameras one of which must have signed the stream; empty accepts every stream, signed or not.
    pub cameras: Vec<CameraId>,
}

impl ReaderPolicy {
    fn check_camera(&self, camera: Option<CameraId>) -> Result<()> {
        match camera {
            _ if self.cameras.is_empty() => Ok(()),
            None => Err(Error::Camera("the stream is not signed, and only that of a certain camera is accepted")),
            Some(camera) if self.cameras.contains(&camera) => Ok(()),
            Some(_) => Err(Error::Camera("the stream is signed by another camera than is accepted")),
        }
    }
}

impl Default for ReaderPolicy {
    fn default() -> Self {
        ReaderPolicy {
            profiles: vec![Profile::Hardened, Profile::Aead],
            accept_new_stream: false,
            replay_window: DEFAULT_REPLAY_WINDOW,
            cameras: Vec::new(),
        }
    }
}

/// What a stream header told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderNews {
    /// A stream that was not open before.
    NewStream,
    /// A description under the given counter that was not known before.
    NewDescription(u64),
    /// Nothing that was not known.
    Repeated,
}

/// A stream that a reader has opened. Whoever works on one of its frames holds on to it, so that another stream taking
/// its place changes nothing for frames under way.
pub struct Session {
    keys: Arc<StreamKeys>,
    camera: Option<CameraId>,
    state: Mutex<SessionState>,
}

struct SessionState {
    last_header: Vec<u8>,
    head_len: usize,
    /// By their counters, with the epochs that they belong to.
    descriptions: BTreeMap<u64, (u32, Arc<Description>)>,
    /// Descriptions told since the window was last reset: their counters have been admitted.
    told: BTreeSet<u64>,
    /// The highest counter of a frame whose header has verified since then.
    newest_frame: Option<u64>,
    /// Frames with lower counters are not wanted.
    wanted_from: u64,
    window: ReplayWindow,
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, SessionState> {
        // Nothing that can panic half-way changes the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys of the stream, for its openers.
    pub fn keys(&self) -> Arc<StreamKeys> {
        self.keys.clone()
    }

    /// The camera that signed the stream, if it is signed.
    pub fn camera(&self) -> Option<CameraId> {
        self.camera
    }

    /// The description that the record of a frame of some epoch names. None of another epoch stands for it.
    pub fn description(&self, counter: u64, epoch: u32) -> Option<Arc<Description>> {
        let state = self.lock();
        let (of, description) = state.descriptions.get(&counter)?;
        (*of == epoch).then(|| description.clone())
    }

    /// Verifies a frame header. One of an epoch that no description tells is refused before any key of it is derived, for the
    /// frame would be held back; but where it is not wanted it is no worse than others.
    fn frame(&self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        let header = FrameHeader::decode(bytes, &self.keys)?;
        let mut state = self.lock();
        let is_wanted = header.counter >= state.wanted_from;
        if is_wanted && !state.descriptions.values().any(|(epoch, _)| *epoch == header.epoch) {
            return Err(Error::Refused("a frame of an epoch that no description tells"));
        }
        state.newest_frame = state.newest_frame.max(Some(header.counter));
        Ok(header)
    }

    /// Whether the description with this counter is known.
    pub fn knows(&self, counter: u64) -> bool {
        self.lock().descriptions.contains_key(&counter)
    }

    /// Tells and remembers the counter of a verified frame or description. To be asked once for each, in output order.
    pub fn admit(&self, counter: u64) -> Verdict {
        self.lock().window.admit(counter)
    }

    /// A frame whose header has verified is dropped by the reader itself, for want of room: it will not be admitted, nor
    /// is it lost. To be told before a later one is admitted.
    pub fn drop_before_admitting(&self, counter: u64) {
        self.lock().window.drop_before_admitting(counter);
    }

    /// Counters that have not come.
    pub fn lost(&self) -> u64 {
        self.lock().window.lost()
    }

    /// Counters that have come and were dropped by the reader itself before a later one was admitted.
    pub fn passed_over(&self) -> u64 {
        self.lock().window.passed_over()
    }
}

/// Asks somebody else for what opens a stream, where nothing at hand does.
pub type KeySource = Box<dyn Fn(&RawStreamHeader) -> Result<Option<Identities>> + Send>;

/// A key is asked for at most so often, whatever headers come.
const ASKING_INTERVAL: Duration = Duration::from_secs(1);

/// The reading end of one stream.
pub struct StreamReader {
    identities: Arc<Identities>,
    key_source: Option<KeySource>,
    asked: Option<Instant>,
    asked_in_vain: VecDeque<Instant>,
    policy: ReaderPolicy,
    session: Option<Arc<Session>>,
    /// Streams that another has taken the place of: they are not opened again. None is forgotten, or who makes enough
    /// streams could have one of them played anew.
    retired: BTreeSet<[u8; 16]>,
    /// HEADs with their commitments that could not be opened, not to pay for a passphrase again at each repetition.
    refused: VecDeque<(blake3::Hash, Refusal)>,
}

/// Refused HEADs that a reader remembers.
const REFUSED: usize = 256;
/// Streams that a reader follows one after another.
pub(super) const STREAMS_FOLLOWED: usize = 1 << 16;

impl StreamReader {
    /// A reader that has not met its stream yet.
    pub fn new(identities: Arc<Identities>, policy: ReaderPolicy) -> StreamReader {
        StreamReader {
            identities,
            key_source: None,
            asked: None,
            asked_in_vain: VecDeque::new(),
            policy,
            session: None,
            retired: BTreeSet::new(),
            refused: VecDeque::new(),
        }
    }

    /// The same, asking for keys where those at hand do not fit.
    pub fn asking(self, key_source: Option<KeySource>) -> StreamReader {
        StreamReader { key_source, ..self }
    }

    /// Takes a whole stream header.
    ///
    /// # Errors
    /// [`Error::WrongKey`], [`Error::NoKey`], [`Error::OtherStream`], [`Error::ProfileNotAccepted`], or what is wrong
    /// with the header. The reader goes on as before.
    pub fn header(&mut self, bytes: &[u8]) -> Result<HeaderNews> {
        let raw = RawStreamHeader::split(bytes)?;
        if let Some(session) = &self.session {
            let mut state = session.lock();
            if raw.head() == &state.last_header[..state.head_len] {
                return state.repeated_head(session, bytes, &raw);
            }
            if !self.policy.accept_new_stream || self.retired.contains(&raw.stream_id()) {
                return Err(Error::OtherStream);
            }
            if self.retired.len() + 1 == STREAMS_FOLLOWED {
                return Err(Error::Refused("more new streams than one reader follows; start it anew"));
            }
        }
        let session = Arc::new(self.new_session(bytes, &raw)?);
        if let Some(old) = self.session.replace(session) {
            self.retired.insert(old.keys.stream_id);
        }
        Ok(HeaderNews::NewStream)
    }

    /// Whether bytes that begin like a stream header may be one that [`StreamReader::header`] takes, as far as they go.
    pub fn may_be_header(&self, bytes: &[u8]) -> bool {
        match &self.session {
            Some(session) if !self.policy.accept_new_stream => {
                let state = session.lock();
                bytes.iter().zip(&state.last_header[..state.head_len]).all(|(a, b)| a == b)
            }
            _ => true,
        }
    }

    fn new_session(&mut self, bytes: &[u8], raw: &RawStreamHeader) -> Result<Session> {
        let lock = raw.lock_hash();
        if let Some((_, refusal)) = self.refused.iter().find(|(hash, _)| *hash == lock) {
            return Err((*refusal).into());
        }
        let keys = self.unlock(raw);
        let refusal = keys.as_ref().err().and_then(Refusal::of);
        // Somebody may know the key the next time.
        let final_refusal =
            refusal.filter(|refusal| self.key_source.is_none() || !matches!(refusal, Refusal::WrongKey));
        if let Some(refusal) = final_refusal {
            if self.refused.len() == REFUSED {
                self.refused.pop_front();
            }
            self.refused.push_back((lock, refusal));
        }
        // What the TAIL says is not held against the HEAD: anyone who can open the stream makes others of it.
        self.join(bytes, raw, keys?)
    }

    /// The keys of a stream whose profile is accepted.
    fn unlock(&mut self, raw: &RawStreamHeader) -> Result<StreamKeys> {
        let keys = match self.identities.unlock(raw) {
            Err(error @ (Error::WrongKey | Error::NoKey(_))) => self.ask(raw)?.ok_or(error)?,
            unlocked => unlocked?,
        };
        match self.policy.profiles.contains(&keys.profile) {
            true => Ok(keys),
            false => Err(Error::ProfileNotAccepted(keys.profile.name())),
        }
    }

    fn join(&self, bytes: &[u8], raw: &RawStreamHeader, keys: StreamKeys) -> Result<Session> {
        let (keys, OpenedDescription { counter, epoch, camera, description }) =
            self.identities.first_description(raw, keys)?;
        self.policy.check_camera(camera)?;
        self.identities.accept_far(raw);
        let state = SessionState {
            last_header: bytes.to_vec(),
            head_len: raw.head().len(),
            descriptions: BTreeMap::from([(counter, (epoch, Arc::new(description)))]),
            told: BTreeSet::from([counter]),
            newest_frame: None,
            wanted_from: 0,
            window: ReplayWindow::new(self.policy.replay_window),
        };
        Ok(Session { keys, camera, state: Mutex::new(state) })
    }

    fn ask(&mut self, raw: &RawStreamHeader) -> Result<Option<StreamKeys>> {
        let Some(key_source) = &self.key_source else { return Ok(None) };
        let too_soon = self.asked.is_some_and(|asked| asked.elapsed() < ASKING_INTERVAL);
        if too_soon || !are_few(&mut self.asked_in_vain) {
            return Ok(None);
        }
        // Also where the answer is none, or names a file that is not there.
        self.asked = Some(Instant::now());
        let known = key_source(raw)?;
        let unlocked = known.map(|identities| identities.unlock(raw)).transpose();
        self.asked = Some(Instant::now());
        if unlocked.is_err() {
            self.asked_in_vain.push_back(Instant::now());
        }
        unlocked
    }

    /// Verifies a frame header against the pinned stream.
    ///
    /// # Errors
    /// [`Error::NoHeaderYet`] while no stream is pinned; else as [`FrameHeader::decode`].
    pub fn frame(&self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        match &self.session {
            Some(session) => session.frame(bytes),
            None if FrameHeader::claimed_stream(bytes).is_some() => Err(Error::NoHeaderYet),
            None => Err(Error::NotOurs),
        }
    }

    /// Verifies the header of an index packet against the pinned stream.
    ///
    /// # Errors
    /// [`Error::NotOurs`] while no stream is pinned; else as [`IndexHeader::decode`].
    pub fn index_header(&self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        let session = self.session.as_ref().ok_or(Error::NotOurs)?;
        IndexHeader::decode(bytes, &session.keys)
    }

    /// The pinned stream.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.session.clone()
    }

    /// Keys of the pinned stream, for its openers.
    pub fn keys(&self) -> Option<Arc<StreamKeys>> {
        self.session.as_ref().map(|session| session.keys())
    }

    /// As [`Session::description`].
    pub fn description(&self, counter: u64, epoch: u32) -> Option<Arc<Description>> {
        self.session.as_ref()?.description(counter, epoch)
    }

    /// The newest description of the pinned stream.
    pub fn newest_description(&self) -> Option<Arc<Description>> {
        self.session.as_ref()?.lock().descriptions.values().next_back().map(|(_, newest)| newest.clone())
    }

    /// Tells and remembers the counter of a verified frame or description. To be asked once for each, in output order.
    pub fn admit(&mut self, counter: u64) -> Verdict {
        self.session.as_ref().map_or(Verdict::Replayed, |session| session.admit(counter))
    }

    /// Counters that have not come.
    pub fn lost(&self) -> u64 {
        self.session.as_ref().map_or(0, |session| session.lost())
    }

    /// Who reads a part of the stream wants no frame before that counter, and may not know their epochs.
    pub fn want_from(&mut self, counter: u64) {
        if let Some(session) = &self.session {
            session.lock().wanted_from = counter;
        }
    }

    /// Forgets which counters were seen: for a local application's own seek.
    pub fn reset_window(&mut self) {
        if let Some(session) = &self.session {
            let mut state = session.lock();
            state.window.reset();
            state.told.clear();
            state.newest_frame = None;
        }
    }
}

impl SessionState {
    /// Whether a reader joins with a description: it may be old, and what lies between its counter and the next is not
    /// missing then.
    fn joins_with(&self, counter: u64) -> bool {
        self.told.is_empty() && self.newest_frame.is_none_or(|frame| counter < frame)
    }

    fn repeated_head(&mut self, session: &Session, bytes: &[u8], raw: &RawStreamHeader) -> Result<HeaderNews> {
        if bytes == self.last_header && !self.told.is_empty() {
            return Ok(HeaderNews::Repeated);
        }
        let opened = raw.description(&session.keys)?;
        if opened.camera != session.camera {
            return Err(Error::Camera("a stream that goes on under another camera's signature, or none"));
        }
        let news = self.take_description(opened)?;
        self.last_header.clear();
        self.last_header.extend_from_slice(bytes);
        Ok(news)
    }

    fn take_description(&mut self, opened: OpenedDescription) -> Result<HeaderNews> {
        let OpenedDescription { counter, epoch, description, .. } = opened;
        let place = |d: &Description| (d.track, d.tracks, d.recording);
        if self.descriptions.values().any(|(_, known)| place(known) != place(&description)) {
            return Err(Error::Refused("a stream that changes its place in its recording"));
        }
        match self.descriptions.get(&counter) {
            // After a reset of the window a known description is told once more.
            Some((of, known)) if (*of, &**known) == (epoch, &description) => {
                let joins = self.joins_with(counter);
                return Ok(match self.told.insert(counter) && !joins {
                    true => HeaderNews::NewDescription(counter),
                    false => HeaderNews::Repeated,
                });
            }
            Some(_) => return Err(Error::Refused("another description under a known counter")),
            None => {}
        }
        let joins = self.joins_with(counter);
        let most = CAPS_KEPT / usize::from(description.tracks).max(1);
        let caps_kept = |known: &BTreeMap<u64, (u32, Arc<Description>)>| -> usize {
            known.values().map(|(_, known)| known.caps.len()).sum()
        };
        while self.descriptions.len() == DESCRIPTIONS_KEPT
            || (self.descriptions.len() > 1 && caps_kept(&self.descriptions) + description.caps.len() > most)
        {
            // Who has gone back in a file needs the old ones again. The newest is kept: that of a stream that goes on.
            let mut counters = self.descriptions.keys().copied();
            let is_old = self.descriptions.keys().next().is_some_and(|&oldest| counter < oldest);
            let least_needed = if is_old { counters.nth_back(1) } else { counters.next() };
            if let Some(least_needed) = least_needed {
                self.descriptions.remove(&least_needed);
                self.told.remove(&least_needed);
            }
        }
        self.descriptions.insert(counter, (epoch, Arc::new(description)));
        self.told.insert(counter);
        Ok(if joins { HeaderNews::Repeated } else { HeaderNews::NewDescription(counter) })
    }
}
