//! One run of `chaosenc`: from buffers to packets or cipher pictures.
//!
//! The sink pad's thread draws counters and descriptions (serial, cheap), workers pack, seal and run the stage, the
//! source pad's task pushes.

mod job;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    metas,
    runner::lock,
    video::{self, Content, RawVideo},
};
use crate::{
    Error, Result,
    seal::{
        Description, IndexDraft, PictureLayout, Profile, Record, RekeyPolicy, Segment, StreamKeys, StreamWriter,
        Ticket, random_bytes,
    },
};
use job::Source;
pub use job::{EncryptJob, Encrypted, Finished, Form, Passage};
pub use worker::EncryptWorker;

/// The stream header is repeated at least this often, for those who join late.
const HEADER_INTERVAL: Duration = Duration::from_secs(1);
/// The same in the frames' own time.
const HEADER_INTERVAL_TIME: gst::ClockTime = gst::ClockTime::SECOND;

/// Stream headers that wait behind a stalled sink at most; to repeat more would fill a leaky queue with them alone.
const MOST_HEADERS_WAITING: usize = 16;

/// Tags sealed with a frame have at most this length; cipher pictures have room for two kilobytes of metas.
const MOST_TAGS_BYTES: usize = 1024;

/// Where the track stands among those of its recording.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Number of the track, from 0.
    pub track: u16,
    /// Number of tracks.
    pub tracks: u16,
    /// Id of the recording; `None` makes one.
    pub recording: Option<[u8; 16]>,
}

/// The serial side of a run.
pub struct Encrypter {
    writer: StreamWriter,
    profile: Profile,
    rekey_policy: RekeyPolicy,
    /// Somebody asked for the next epoch.
    rekey_asked: bool,
    /// That the limit of a key is near has been told, in this epoch.
    key_limit_told: bool,
    /// That the end of counters or epochs is near has been told.
    end_told: bool,
    description: Description,
    content: Arc<Content>,
    form: Form,
    segment: gst::Segment,
    tags: Option<gst::TagList>,
    /// The tags' serialisation, ready to be sealed.
    tags_text: Option<String>,
    /// The description in force does not tell the newest caps and segment.
    stale: bool,
    /// When the stream header was last sent, by the clock and by the frames' own time.
    header_sent: Option<(Instant, Option<gst::ClockTime>)>,
    headers_waiting: Arc<()>,
    /// Frames that will not leave, and are still in the end record's count.
    lost: Arc<AtomicU64>,
    /// Where a file that the packets go into can be entered, for who writes one.
    index: Option<SharedIndex>,
    negotiated: bool,
    ended: bool,
}

/// What the application is told of the keys.
pub enum KeyNews {
    /// From this frame on the stream is in the epoch of this number.
    Rekeyed(u32),
    /// Little is left of a limit at which the writer stops.
    NearsLimit,
}

/// An index that an encrypter and who writes its file make together.
pub type SharedIndex = Arc<Mutex<IndexDraft>>;

/// A frame, and the stream header that has to leave before it.
pub struct Ready {
    /// Stream header packet.
    pub header: Option<Encrypted>,
    /// The frame.
    pub job: EncryptJob,
    /// To be told with it.
    pub news: Vec<KeyNews>,
}

impl Encrypter {
    /// A run that has not seen caps yet.
    ///
    /// # Errors
    /// [`Error::Random`] if the operating system gives no random bytes.
    pub fn new(writer: StreamWriter, profile: Profile, place: Place, rekey_policy: RekeyPolicy) -> Result<Encrypter> {
        let recording = match place.recording {
            Some(recording) => recording,
            None => random_bytes()?,
        };
        Ok(Encrypter {
            writer,
            profile,
            rekey_policy,
            rekey_asked: false,
            key_limit_told: false,
            end_told: false,
            description: Description {
                track: place.track,
                tracks: place.tracks,
                recording,
                caps: String::new(),
                segment: None,
            },
            content: Arc::new(Content::Opaque(None)),
            form: Form::Packets,
            segment: gst::Segment::new(),
            tags: None,
            tags_text: None,
            stale: true,
            header_sent: None,
            headers_waiting: Arc::default(),
            lost: Arc::default(),
            index: None,
            negotiated: false,
            ended: false,
        })
    }

    /// Notes from now on where the stream can be entered.
    pub fn keep_index(&mut self) {
        self.index = Some(Arc::new(Mutex::new(IndexDraft::new(self.writer.keys()))));
    }

    /// The index, where one is kept.
    pub fn index(&self) -> Option<SharedIndex> {
        self.index.clone()
    }

    /// Keys for the workers.
    pub fn keys(&self) -> Arc<StreamKeys> {
        self.writer.keys()
    }

    /// Number of the epoch.
    pub fn epoch(&self) -> u32 {
        self.writer.epoch()
    }

    /// Leaves room for so many payload bytes in this epoch.
    #[cfg(test)]
    pub fn use_up_key_but(&mut self, bytes: u64) {
        self.writer.use_up_but(bytes);
    }

    /// The next frame begins the next epoch.
    pub fn ask_rekey(&mut self) {
        self.rekey_asked = true;
    }

    /// Takes new caps and returns those of the output.
    ///
    /// # Errors
    /// [`Error::NotCarriable`] or [`Error::Geometry`] where the caps cannot become pictures, and the writer's.
    pub fn set_caps(&mut self, caps: &gst::CapsRef, pictures: bool, exact: bool) -> Result<gst::Caps> {
        let content = Content::of(caps)?;
        self.negotiated = false;
        self.description.caps = caps.to_string();
        self.stale = true;
        let output = if pictures {
            let (layout, cipher) = self.picture_layout(caps, &content, exact)?;
            let output = cipher.info.to_caps().map_err(|_| Error::Geometry("the cipher picture's caps".into()))?;
            let output = with_extras_of(caps, output, cipher.info.height());
            self.form = Form::Pictures(Arc::new((layout, cipher)));
            output
        } else {
            self.form = Form::Packets;
            outline(caps)
        };
        self.content = Arc::new(content);
        self.negotiated = true;
        Ok(output)
    }

    fn picture_layout(&self, caps: &gst::CapsRef, content: &Content, exact: bool) -> Result<(PictureLayout, RawVideo)> {
        let raw = content.carriable(caps, exact)?;
        // The segment may come after the caps, and changes without them: there is always room for one.
        let description = Description { segment: Some(Segment::default()), ..self.description.clone() };
        let header_len = self.writer.header_len(&description);
        let layout = PictureLayout::new(raw.layout.clone(), self.profile, header_len)?;
        let rows = layout.cipher.height() - layout.frame.height();
        let fields = if raw.info.interlace_mode() == gst_video::VideoInterlaceMode::Alternate { 2 } else { 1 };
        let info = taller_info(&raw.info, raw.info.height() + fields * rows)?;
        let cipher = RawVideo { layout: layout.cipher.clone(), info };
        Ok((layout, cipher))
    }

    /// Takes a new segment.
    pub fn set_segment(&mut self, segment: &gst::Segment) {
        self.segment = segment.clone();
        let described = video::describe_segment(segment);
        if self.description.segment != described {
            self.description.segment = described;
            self.stale = true;
        }
    }

    /// Whether a frame lies in the segment. What lies outside is not to be played, but to be kept: as a packet it goes
    /// without its time, or a file sink would drop it.
    fn is_inside(&self, frame: &gst::BufferRef) -> bool {
        let (Some(segment), Some(start)) = (self.segment.downcast_ref::<gst::ClockTime>(), frame.pts()) else {
            return true;
        };
        segment.clip(start, frame.duration().map(|duration| start.saturating_add(duration))).is_some()
    }

    /// Takes tags: they are sealed with the next frame. Pictures among them (cover art) are left out, and those that would
    /// not fit into a record.
    pub fn add_tags(&mut self, tags: &gst::TagList) {
        let merged = match &self.tags {
            Some(old) => old.merge(tags, gst::TagMergeMode::Replace),
            None => tags.clone(),
        };
        let told = self.tags.as_ref().is_some_and(|old| metas::lasting_tags(old) == metas::lasting_tags(&merged));
        self.tags_text = Some(metas::tags_text(&merged, MOST_TAGS_BYTES));
        self.tags = Some(merged);
        if !told {
            self.header_sent = None;
        }
    }

    /// Draws a counter for a frame.
    ///
    /// # Errors
    /// [`Error::Refused`] before caps are known or after the end, and the writer's.
    pub fn frame(&mut self, buffer: gst::Buffer) -> Result<Ready> {
        if self.ended {
            return Err(Error::Refused("a frame after the end of the stream"));
        }
        if !self.negotiated {
            return Err(Error::Refused("a frame before its caps"));
        }
        let payload_len = self.content.payload_len(&buffer);
        let news = self.rekey(payload_len)?;
        if self.stale {
            self.tell()?;
        }
        let header = self.header_due(&buffer);
        let tags = self.tags_text.as_deref().filter(|_| header.is_some());
        let mut record = metas::record_of(&buffer, tags);
        let ticket = self.writer.frame(payload_len)?;
        record.description = ticket.description();
        self.note_in_index(ticket.counter(), &buffer);
        let timed = self.is_inside(&buffer) || matches!(self.form, Form::Pictures(_));
        let source = Source::Frame { buffer, content: self.content.clone(), timed };
        let passage = Passage::new(ticket.counter(), self.lost.clone());
        let job = self.job(ticket, record, source, Some(passage));
        Ok(Ready { header: header.filter(|_| matches!(self.form, Form::Packets)), job, news })
    }

    /// Goes on to the next epoch where it is time for it. The last one goes on to the limits of its key.
    fn rekey(&mut self, payload_len: usize) -> Result<Vec<KeyNews>> {
        let mut news = Vec::new();
        let due = std::mem::take(&mut self.rekey_asked) || self.writer.rekey_due(&self.rekey_policy, payload_len);
        if due && self.writer.can_rekey() {
            self.writer.rekey()?;
            (self.key_limit_told, self.stale) = (false, true);
            news.push(KeyNews::Rekeyed(self.writer.epoch()));
        }
        let key_nears = self.writer.nears_key_limit() && !std::mem::replace(&mut self.key_limit_told, true);
        let end_nears = self.writer.nears_end() && !std::mem::replace(&mut self.end_told, true);
        if key_nears || end_nears {
            news.push(KeyNews::NearsLimit);
        }
        Ok(news)
    }

    fn note_in_index(&self, counter: u64, frame: &gst::BufferRef) {
        let Some(index) = &self.index else { return };
        let Some(segment) = self.segment.downcast_ref::<gst::ClockTime>() else { return };
        // A last frame may go on behind the segment's stop.
        let running = |time: gst::ClockTime| Some(segment.to_running_time_full(time)?.positive()?.nseconds());
        let shown = frame.pts().or(frame.dts());
        let start = shown.and_then(running);
        let end = shown.and_then(|shown| running(shown.saturating_add(frame.duration().unwrap_or_default()))).or(start);
        let entry = start.filter(|_| !frame.flags().contains(gst::BufferFlags::DELTA_UNIT));
        lock(index).note(counter, entry, end);
    }

    /// The stream header, where none has been sent yet. A track may begin late; who opens the recording waits for the
    /// headers of all its tracks.
    ///
    /// # Errors
    /// The writer's.
    pub fn early_header(&mut self) -> Result<Option<Encrypted>> {
        if self.ended || !self.negotiated || self.header_sent.is_some() || matches!(self.form, Form::Pictures(_)) {
            return Ok(None);
        }
        if self.stale {
            self.tell()?;
        }
        Ok(self.header_due(gst::Buffer::new().as_ref()))
    }

    /// The end record. `None` for pictures, which cannot carry one, and for streams that never began.
    ///
    /// # Errors
    /// The writer's.
    pub fn end(&mut self) -> Result<Option<Ready>> {
        if self.ended || !self.negotiated || matches!(self.form, Form::Pictures(_)) {
            return Ok(None);
        }
        if self.stale {
            self.tell()?;
        }
        let header = self.header_due(gst::Buffer::new().as_ref());
        (0..self.lost.swap(0, Relaxed)).for_each(|_| self.writer.frame_dropped());
        let (ticket, payload) = self.writer.end()?;
        self.ended = true;
        let record = Record { description: ticket.description(), ..Record::default() };
        let job = self.job(ticket, record, Source::End(payload), None);
        Ok(Some(Ready { header, job, news: Vec::new() }))
    }

    /// After a flush the stream goes on, under the counters that follow; also after an end.
    pub fn resume(&mut self) {
        self.ended = false;
        self.header_sent = None;
    }

    fn job(&self, ticket: Ticket, record: Record, source: Source, passage: Option<Passage>) -> EncryptJob {
        let header = self.writer.header();
        EncryptJob { ticket, record, source, form: self.form.clone(), header, entered: Instant::now(), passage }
    }

    /// Puts the description in force.
    fn tell(&mut self) -> Result<()> {
        self.writer.describe(&self.description)?;
        self.stale = false;
        self.header_sent = None;
        Ok(())
    }

    /// The stream header, if it is time for it, with the times of the frame that follows.
    fn header_due(&mut self, frame: &gst::BufferRef) -> Option<Encrypted> {
        let now = frame.dts_or_pts();
        let due = self.header_sent.is_none_or(|(sent, then)| {
            // A recording may be made faster than it plays, or slower.
            let far = |now: gst::ClockTime, then| now.max(then) - now.min(then) >= HEADER_INTERVAL_TIME;
            let played = now.zip(then).is_some_and(|(now, then)| far(now, then));
            let stalled = Arc::strong_count(&self.headers_waiting) > MOST_HEADERS_WAITING;
            (sent.elapsed() >= HEADER_INTERVAL || played) && !stalled
        });
        due.then(|| {
            self.header_sent = Some((Instant::now(), now));
            let mut buffer = gst::Buffer::from_slice(HeaderBytes(self.writer.header()));
            let header = buffer.get_mut().expect("a new buffer has one owner");
            header.set_flags(gst::BufferFlags::HEADER);
            if self.is_inside(frame) {
                header.set_pts(frame.pts());
                header.set_dts(frame.dts());
            }
            Encrypted::Header { buffer, _waiting: self.headers_waiting.clone() }
        })
    }
}

/// Caps of packets of frames with these caps. A carrier may send them in the clear, and shows the frames' rate anyway: all
/// else stays inside.
fn outline(caps: &gst::CapsRef) -> gst::Caps {
    let rate = caps.structure(0).and_then(|structure| structure.get::<gst::Fraction>("framerate").ok());
    gst::Caps::builder("application/x-chaosveil").field_if_some("framerate", rate).build()
}

/// A stream header, shared with the writer.
struct HeaderBytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for HeaderBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn taller_info(info: &gst_video::VideoInfo, height: u32) -> Result<gst_video::VideoInfo> {
    let mut builder = gst_video::VideoInfo::builder(info.format(), info.width(), height)
        .par(info.par())
        .fps(info.fps())
        .interlace_mode(info.interlace_mode())
        .colorimetry(&info.colorimetry())
        .chroma_site(info.chroma_site());
    if info.is_interlaced() {
        builder = builder.field_order(info.field_order());
    }
    builder.build().map_err(|_| Error::Geometry(format!("no cipher picture of {} x {height}", info.width())))
}

/// The input's caps with another height: views, framerate ranges and the like stay.
fn with_extras_of(caps: &gst::CapsRef, output: gst::Caps, height: u32) -> gst::Caps {
    let mut same = caps.to_owned();
    same.make_mut().set("height", height as i32);
    if same.is_fixed() { same } else { output }
}

/// What a run shares between its threads.
pub type SharedEncrypter = Arc<Mutex<Encrypter>>;

/// Locks the serial side.
pub fn serial(encrypter: &SharedEncrypter) -> std::sync::MutexGuard<'_, Encrypter> {
    lock(encrypter)
}
