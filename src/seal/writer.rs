//! The writing end of a stream: counters, headers, limits. Everything here is serial and cheap; frames are sealed by
//! any number of [`FrameSealer`](super::FrameSealer)s in parallel, each with a [`Ticket`] drawn here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    camera::CameraKey,
    description::Description,
    end_record::EndRecord,
    frame_header::{FrameHeader, Kind, check_size},
    keys::{EpochKeys, Secret, StreamKeys, random_bytes},
    limits,
    recipients::Recipients,
    stream_header,
    suite::{Aead, Profile, segments},
};
use crate::{Error, Result};

/// What a stream takes from chance.
pub struct StreamSecrets {
    root: Secret,
    stream_id: [u8; 16],
    salt: [u8; 32],
}

impl StreamSecrets {
    /// Fresh from the operating system: what every stream uses.
    ///
    /// # Errors
    /// [`Error::Random`] if it gives none.
    pub fn random() -> Result<StreamSecrets> {
        Ok(StreamSecrets { root: Secret::random()?, stream_id: random_bytes()?, salt: random_bytes()? })
    }

    /// Given ones, to reproduce known answers. Two streams must never share a root.
    pub fn new(root: [u8; 32], stream_id: [u8; 16], salt: [u8; 32]) -> StreamSecrets {
        StreamSecrets { root: Secret::new(root), stream_id, salt }
    }
}

/// The right to seal one frame: its counter is used once.
#[derive(Debug)]
pub struct Ticket {
    pub(super) kind: Kind,
    pub(super) stream_id: [u8; 16],
    pub(super) counter: u64,
    pub(super) description: u64,
    pub(super) payload_len: usize,
    /// Of the epoch that it was drawn in.
    pub(super) keys: Arc<EpochKeys>,
    /// Process that drew it: after a fork both would have it.
    pub(super) process: u32,
}

impl Ticket {
    /// Counter of the frame.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Counter of the description in force, for the frame's record.
    pub fn description(&self) -> u64 {
        self.description
    }

    /// Bytes of the payload.
    pub fn payload_len(&self) -> usize {
        self.payload_len
    }
}

/// When a writer goes on to the next epoch by itself. Whatever comes first; 0 means never because of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RekeyPolicy {
    /// Payload bytes of an epoch.
    pub bytes: u64,
    /// Frames of an epoch.
    pub frames: u64,
    /// Time of an epoch, by the clock.
    pub interval: Duration,
}

impl Default for RekeyPolicy {
    fn default() -> Self {
        RekeyPolicy { bytes: 1 << 36, frames: 0, interval: Duration::from_secs(3600) }
    }
}

/// What an epoch has sealed so far.
struct Usage {
    invocations: u64,
    bytes: u64,
    frames: u64,
    since: Instant,
}

impl Usage {
    fn none() -> Usage {
        Usage { invocations: 0, bytes: 0, frames: 0, since: Instant::now() }
    }
}

/// The writing end of one stream.
pub struct StreamWriter {
    keys: Arc<StreamKeys>,
    epoch: Arc<EpochKeys>,
    usage: Usage,
    camera: Option<Arc<CameraKey>>,
    head: Vec<u8>,
    header: Arc<Vec<u8>>,
    description: u64,
    next_counter: u64,
    frames: u64,
    process: u32,
}

impl StreamWriter {
    /// Wraps the root for `recipients` and derives the stream's keys. Slow where a passphrase or many recipients are
    /// involved: never call it on a streaming thread.
    ///
    /// # Errors
    /// [`Error::NoKey`] without recipients, [`Error::Recipient`] or [`Error::TooLarge`] if they cannot be used.
    pub fn new(profile: Profile, aead: Aead, recipients: &Recipients, secrets: StreamSecrets) -> Result<StreamWriter> {
        let StreamSecrets { root, stream_id, salt } = secrets;
        let groups = recipients.wrap(&root, &stream_id, &salt)?;
        let head = stream_header::encode_head(profile, aead, &stream_id, &groups)?;
        let keys = StreamKeys::derive(&root, &head, stream_id, profile, aead);
        Ok(StreamWriter {
            epoch: keys.epoch(0)?,
            keys: Arc::new(keys),
            usage: Usage::none(),
            camera: None,
            head,
            header: Arc::default(),
            description: 0,
            next_counter: 0,
            frames: 0,
            process: std::process::id(),
        })
    }

    /// The same, with every description signed by a camera.
    pub fn signed_by(self, camera: Option<Arc<CameraKey>>) -> StreamWriter {
        StreamWriter { camera, ..self }
    }

    /// Id of the stream.
    pub fn stream_id(&self) -> [u8; 16] {
        self.keys.stream_id
    }

    /// The stream's keys, for its sealers.
    pub fn keys(&self) -> Arc<StreamKeys> {
        self.keys.clone()
    }

    /// Number of the epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch.epoch
    }

    /// Whether a policy wants the next epoch before a frame of `payload_len` bytes.
    pub fn rekey_due(&self, policy: &RekeyPolicy, payload_len: usize) -> bool {
        let RekeyPolicy { bytes, frames, interval } = *policy;
        let Usage { bytes: sealed, frames: made, since, .. } = self.usage;
        // An epoch without a frame has nothing to protect from the next one.
        made > 0
            && ((bytes > 0 && sealed.saturating_add(payload_len as u64) > bytes)
                || (frames > 0 && made >= frames)
                || (!interval.is_zero() && since.elapsed() >= interval))
    }

    /// Goes on to the next epoch, and wipes the secrets of this one and all before it: who takes this process's memory
    /// afterwards opens nothing that left earlier, but for frames that are still being sealed. To be described again.
    ///
    /// # Errors
    /// [`Error::KeyExhausted`] after the last epoch.
    pub fn rekey(&mut self) -> Result<()> {
        if !self.can_rekey() {
            return Err(Error::KeyExhausted("2^20 epochs"));
        }
        let next = self.epoch.epoch + 1;
        self.keys.forget_before(next)?;
        self.epoch = self.keys.epoch(next)?;
        self.usage = Usage::none();
        Ok(())
    }

    /// Leaves room for so many payload bytes in this epoch, and for its end record.
    #[cfg(test)]
    pub(crate) fn use_up_but(&mut self, bytes: u64) {
        self.usage.bytes = limits::EPOCH_BYTES - END_RESERVE.bytes - bytes;
    }

    /// Goes on in the last epoch but one.
    ///
    /// # Errors
    /// [`Error::Forged`] if it is behind this writer.
    #[cfg(test)]
    pub(crate) fn skip_to_the_last_but_one(&mut self) -> Result<()> {
        self.keys.forget_before(limits::EPOCHS - 1)?;
        self.epoch = self.keys.epoch(limits::EPOCHS - 1)?;
        Ok(())
    }

    /// Whether there is a next epoch.
    pub fn can_rekey(&self) -> bool {
        self.epoch.epoch < limits::EPOCHS
    }

    /// Whether little is left of what may be sealed in this epoch.
    pub fn nears_key_limit(&self) -> bool {
        nears(self.usage.invocations, limits::EPOCH_INVOCATIONS) || nears(self.usage.bytes, limits::EPOCH_BYTES)
    }

    /// Whether little is left of the stream itself: its counters, its epochs.
    pub fn nears_end(&self) -> bool {
        nears(self.next_counter, u64::MAX) || nears(self.epoch.epoch.into(), limits::EPOCHS.into())
    }

    /// Bytes of the stream header that would tell `description`.
    pub fn header_len(&self, description: &Description) -> usize {
        stream_header::len(&self.head, description, self.camera.as_deref())
    }

    /// Puts a new description in force and returns the stream header that tells it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it does not fit, [`Error::KeyExhausted`] at the stream's limits, [`Error::Forked`].
    pub fn describe(&mut self, description: &Description) -> Result<Arc<Vec<u8>>> {
        let counter = self.draw_counter(1, 0, END_RESERVE)?;
        let camera = self.camera.as_deref();
        let header = stream_header::encode(&self.head, &self.keys, &self.epoch, counter, description, camera)?;
        self.header = Arc::new(header);
        self.description = counter;
        Ok(self.header.clone())
    }

    /// The stream header in force, to be repeated as it is. Empty before the first description.
    pub fn header(&self) -> Arc<Vec<u8>> {
        self.header.clone()
    }

    /// The right to seal the next frame, of `payload_len` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over the frame limit, [`Error::KeyExhausted`] at the stream's limits, [`Error::Forked`].
    pub fn frame(&mut self, payload_len: usize) -> Result<Ticket> {
        let ticket = self.ticket(Kind::Frame, payload_len)?;
        self.frames += 1;
        self.usage.frames += 1;
        Ok(ticket)
    }

    /// A frame whose ticket was drawn never left: the end record will not count it. Its counter stays used.
    pub fn frame_dropped(&mut self) {
        self.frames = self.frames.saturating_sub(1);
    }

    /// The right to seal the end record, and its payload. Its record names the description in force and nothing else.
    /// Where the stream goes on after it, another must end it.
    ///
    /// # Errors
    /// As [`StreamWriter::frame`].
    pub fn end(&mut self) -> Result<(Ticket, [u8; 16])> {
        let end = EndRecord { last_counter: self.next_counter.wrapping_sub(1), frames: self.frames };
        let payload = end.encode();
        Ok((self.ticket(Kind::End, payload.len())?, payload))
    }

    fn ticket(&mut self, kind: Kind, payload_len: usize) -> Result<Ticket> {
        check_size("bytes of a frame", payload_len, limits::FRAME_BYTES)?;
        let invocations = segments(payload_len) as u64 + 1;
        // Whatever else is refused, the end record has room.
        let reserved = if kind == Kind::End { Reserve::default() } else { END_RESERVE };
        let counter = self.draw_counter(invocations, payload_len as u64, reserved)?;
        let (stream_id, description, process) = (self.keys.stream_id, self.description, self.process);
        Ok(Ticket { kind, stream_id, counter, description, payload_len, keys: self.epoch.clone(), process })
    }

    /// The one place where counters are given out and limits are kept.
    fn draw_counter(&mut self, invocations: u64, bytes: u64, reserved: Reserve) -> Result<u64> {
        check_process(self.process)?;
        if self.usage.invocations + invocations + reserved.invocations > limits::EPOCH_INVOCATIONS {
            return Err(Error::KeyExhausted("2^32 AEAD invocations under one key"));
        }
        if self.usage.bytes + bytes + reserved.bytes > limits::EPOCH_BYTES {
            return Err(Error::KeyExhausted("2^46 bytes under one key"));
        }
        let counter = self.next_counter;
        if counter.checked_add(1 + reserved.counters).is_none() {
            return Err(Error::KeyExhausted("the last counter"));
        }
        self.next_counter = counter + 1;
        self.usage.invocations += invocations;
        self.usage.bytes += bytes;
        Ok(counter)
    }
}

/// Whether less than an eighth is left.
fn nears(used: u64, limit: u64) -> bool {
    used > limit - limit / 8
}

/// What the limits keep back.
#[derive(Clone, Copy, Default)]
struct Reserve {
    invocations: u64,
    bytes: u64,
    counters: u64,
}

/// Room for an end record: its record, its payload.
const END_RESERVE: Reserve = Reserve { invocations: 2, bytes: 16, counters: 1 };

/// Nothing is sealed in another process than the one that the stream began in: both would use the same nonces.
pub(super) fn check_process(process: u32) -> Result<()> {
    match std::process::id() == process {
        true => Ok(()),
        false => Err(Error::Forked),
    }
}

impl Ticket {
    /// The frame header for this ticket with a record of `record_len` bytes.
    pub(super) fn header(&self, keys: &StreamKeys, record_len: usize) -> FrameHeader {
        FrameHeader {
            kind: self.kind,
            profile: keys.profile,
            epoch: self.keys.epoch,
            stream_id: keys.stream_id,
            counter: self.counter,
            payload_len: self.payload_len,
            record_len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> StreamWriter {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new([1; 32]));
        let secrets = StreamSecrets::new([2; 32], [3; 16], [4; 32]);
        StreamWriter::new(Profile::Hardened, Aead::Aes256Gcm, &recipients, secrets).expect("valid")
    }

    #[test]
    fn fail_at_the_limits_and_stay_failed() {
        let mut writer = writer();
        writer.usage.invocations = limits::EPOCH_INVOCATIONS - 4;
        assert_eq!(writer.frame(10).expect("two invocations are left").counter(), 0);
        assert!(matches!(writer.frame(0), Err(Error::KeyExhausted(_))));
        writer.end().expect("the end record has room");
        let mut writer = self::writer();
        writer.usage.bytes = limits::EPOCH_BYTES - 16 - 5;
        assert!(matches!(writer.frame(6), Err(Error::KeyExhausted(_))));
        assert_eq!(writer.frame(5).expect("five bytes are left").counter(), 0, "a refused frame takes no counter");
        assert!(matches!(writer.frame(1), Err(Error::KeyExhausted(_))));
        writer.end().expect("the end record has room");
        assert!(matches!(writer.end(), Err(Error::KeyExhausted(_))));
        let mut writer = self::writer();
        writer.next_counter = u64::MAX - 1;
        assert!(matches!(writer.frame(1), Err(Error::KeyExhausted(_))));
        writer.end().expect("the end record has room");
    }

    #[test]
    fn a_new_epoch_has_new_limits() {
        let mut writer = writer();
        writer.usage.bytes = limits::EPOCH_BYTES - 16;
        assert!(writer.nears_key_limit() && matches!(writer.frame(1), Err(Error::KeyExhausted(_))));
        writer.rekey().expect("not the last epoch");
        assert!(!writer.nears_key_limit() && !writer.nears_end());
        let ticket = writer.frame(1).expect("another key");
        assert_eq!((ticket.counter(), ticket.keys.epoch, writer.epoch()), (0, 1, 1), "counters go on");
    }

    #[test]
    fn fail_after_the_last_epoch() {
        let mut writer = writer();
        writer.skip_to_the_last_but_one().expect("within limits");
        assert!(writer.nears_end() && !writer.nears_key_limit());
        writer.rekey().expect("the last one");
        assert!(matches!(writer.rekey(), Err(Error::KeyExhausted(_))));
        writer.frame(1).expect("the last epoch goes on");
    }

    #[test]
    fn a_policy_is_kept() {
        let never = RekeyPolicy { bytes: 0, frames: 0, interval: Duration::ZERO };
        let mut writer = writer();
        let every = |policy| move |writer: &StreamWriter, len| writer.rekey_due(&policy, len);
        let (bytes, frames) = (every(RekeyPolicy { bytes: 100, ..never }), every(RekeyPolicy { frames: 2, ..never }));
        assert!(!bytes(&writer, 101), "a frame over the limit has an epoch of its own");
        writer.frame(60).expect("within limits");
        assert!(!bytes(&writer, 40) && bytes(&writer, 41) && !frames(&writer, 0));
        writer.frame(40).expect("within limits");
        assert!(bytes(&writer, 1) && frames(&writer, 0) && !every(never)(&writer, 1 << 29));
        let short = every(RekeyPolicy { interval: Duration::from_nanos(1), ..never });
        let long = every(RekeyPolicy { interval: Duration::from_secs(3600), ..never });
        std::thread::sleep(Duration::from_millis(1));
        assert!(short(&writer, 0) && !long(&writer, 0));
        writer.rekey().expect("not the last epoch");
        assert!(!bytes(&writer, 100) && !frames(&writer, 0) && !short(&writer, 0));
    }

    #[test]
    fn the_end_record_counts_what_left() {
        let mut writer = writer();
        for _ in 0..3 {
            writer.frame(1).expect("within limits");
        }
        writer.frame_dropped();
        let (ticket, payload) = writer.end().expect("within limits");
        assert_eq!(ticket.counter(), 3);
        assert_eq!(payload, EndRecord { last_counter: 2, frames: 2 }.encode());
    }

    #[test]
    fn fail_without_recipients() {
        let secrets = StreamSecrets::random().expect("random bytes");
        let result = StreamWriter::new(Profile::Hardened, Aead::Aes256Gcm, &Recipients::default(), secrets);
        assert!(matches!(result, Err(Error::NoKey(_))));
    }

    #[test]
    fn fail_after_a_fork() {
        let mut writer = writer();
        writer.process ^= 1;
        assert!(matches!(writer.frame(1), Err(Error::Forked)));
        assert!(matches!(writer.describe(&Description::default()), Err(Error::Forked)));
    }
}
