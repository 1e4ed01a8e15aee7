//! One run of `chaosdec`: from packets or cipher pictures to the buffers that were encrypted.
//!
//! The sink pad's thread finds packets (serial, cheap but for the first header), workers open frames, the source pad's
//! task asks the replay window and pushes. Nothing leaves that has not verified whole.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    metas,
    runner::{Passing, lock},
    sealed_text,
    video::{self, Content, RawVideo},
};
use crate::{
    Error, Result,
    backend::{Backend, memory},
    frame::{FrameLayout, pack, unpack},
    pipeline::{BufferPool, PooledBuffer, Stage, Stats},
    seal::{
        CipherPicture, Description, EndRecord, Engine, FRAME_HEADER_BYTES, Found, FrameHeader, FrameOpener, HeaderNews,
        INDEX_HEADER_BYTES, Index, IndexHeader, Kind, PacketScanner, Record, Session, StreamKeys, StreamReader,
        Verifier,
    },
};

/// A frame on its way to a worker.
pub struct DecryptJob {
    /// Verified.
    header: FrameHeader,
    input: Input,
    /// The stream that the frame belongs to, whichever has taken its place meanwhile.
    session: Arc<Session>,
    /// Running time at which it came, where its buffer had one.
    arrival: Option<gst::ClockTime>,
    entered: Instant,
}

enum Input {
    Packet {
        bytes: PooledBuffer,
    },
    /// The picture's headers have been read; `prefix` is what stands before the payload.
    Picture {
        buffer: gst::Buffer,
        cipher: Arc<RawVideo>,
        frame: FrameLayout,
        prefix: PooledBuffer,
    },
}

/// What leaves the queue.
pub enum Decrypted {
    /// A verified frame.
    Frame(Box<OpenedFrame>),
    /// The end record of a stream: last counter, number of frames.
    End {
        /// Its stream.
        session: Arc<Session>,
        /// Counter of the end record.
        counter: u64,
        /// Frames that the stream holds.
        frames: u64,
    },
    /// A stream header of this stream told something new.
    News(Arc<Session>, HeaderNews),
    /// Something that did not verify.
    Rejected(Option<u64>, Error),
    /// An event in its turn.
    Event(gst::Event),
}

impl Passing for Decrypted {
    fn of_event(event: gst::Event) -> Decrypted {
        Decrypted::Event(event)
    }

    fn into_event(self) -> Option<gst::Event> {
        match self {
            Decrypted::Event(event) => Some(event),
            _ => None,
        }
    }
}

/// A verified frame.
pub struct OpenedFrame {
    /// Its stream.
    pub session: Arc<Session>,
    /// Its counter.
    pub counter: u64,
    /// Its epoch.
    pub epoch: u32,
    /// The description that it names.
    pub described: Arc<Described>,
    /// The frame itself.
    pub buffer: gst::Buffer,
    /// Tags that came with it.
    pub tags: Option<gst::TagList>,
    /// Running time at which it came, where its buffer had one.
    pub arrival: Option<gst::ClockTime>,
    /// When it entered the element.
    pub entered: Instant,
    /// When it was opened.
    pub finished: Instant,
    /// Time that a worker spent on it.
    pub work: Duration,
}

/// A description in GStreamer's terms.
pub struct Described {
    /// Which description.
    pub id: DescriptionId,
    /// Caps of the frames.
    pub caps: gst::Caps,
    /// Segment of the frames.
    pub segment: gst::FormattedSegment<gst::ClockTime>,
    /// Epoch of the frames.
    epoch: u32,
    content: Content,
}

impl Described {
    fn new(stream: [u8; 16], counter: u64, epoch: u32, description: &Description) -> Result<Described> {
        let caps: gst::Caps = sealed_text::parse(&description.caps).ok_or(Error::Refused("caps that do not parse"))?;
        if !caps.is_fixed() {
            return Err(Error::Refused("caps that are not fixed"));
        }
        let content = Content::of(&caps)?;
        let segment = video::restore_segment(description.segment.as_ref());
        Ok(Described { id: (stream, counter), caps, segment, epoch, content })
    }

    /// Whether another description differs in nothing but its counter: each epoch tells it anew.
    pub fn says_the_same(&self, other: &Described) -> bool {
        self.id == other.id || (self.id.0 == other.id.0 && self.caps == other.caps && self.segment == other.segment)
    }
}

/// The serial side of a run.
pub struct Decrypter {
    reader: StreamReader,
    scanner: PacketScanner,
    picture: CipherPicture,
    engine: Engine,
    pool: Arc<BufferPool>,
    /// For what is small: a frame's buffer would have to be filled again.
    prefixes: Arc<BufferPool>,
}

impl DecryptJob {
    /// Whether it is a frame, not an end record.
    pub fn is_frame(&self) -> bool {
        self.header.kind == Kind::Frame
    }

    /// Its counter.
    pub fn counter(&self) -> u64 {
        self.header.counter
    }

    /// Which frame of which stream it is.
    pub fn place(&self) -> Place {
        Place { session: self.session.clone(), counter: self.header.counter }
    }
}

/// A frame of a stream.
pub struct Place {
    session: Arc<Session>,
    /// Its counter.
    pub counter: u64,
}

impl Place {
    /// Tells the replay window that the frame is dropped here.
    pub fn drop_before_admitting(&self) {
        self.session.drop_before_admitting(self.counter);
    }
}

/// What a run shares between its threads.
pub type SharedDecrypter = Arc<Mutex<Decrypter>>;

/// What came of some bytes: frames to open, and what leaves without work.
pub enum Item {
    /// For a worker.
    Job(DecryptJob),
    /// Leaves in its turn.
    Pass(Decrypted),
}

impl Decrypter {
    /// A run that has not met its stream yet.
    pub fn new(reader: StreamReader, engine: Engine, pool: Arc<BufferPool>) -> Decrypter {
        let (scanner, picture) = (PacketScanner::default(), CipherPicture::default());
        Decrypter { reader, scanner, picture, engine, pool, prefixes: BufferPool::new(PREFIXES_KEPT) }
    }

    /// Takes bytes of packets and appends what came of them to `items`.
    pub fn push(&mut self, bytes: &[u8], arrival: Option<gst::ClockTime>, items: &mut Vec<Item>) {
        self.scan(arrival, items, |scanner, check, found| scanner.push(bytes, check, found));
    }

    /// The input is over: what is left of it cannot become a packet any more, but may hold others.
    pub fn finish(&mut self, items: &mut Vec<Item>) {
        self.scan(None, items, |scanner, check, found| scanner.finish(check, found));
    }

    fn scan(
        &mut self,
        arrival: Option<gst::ClockTime>,
        items: &mut Vec<Item>,
        run: impl FnOnce(&mut PacketScanner, &mut Check, &mut dyn FnMut(u64, Found)),
    ) {
        let reader = RefCell::new(&mut self.reader);
        let news = Cell::new(HeaderNews::Repeated);
        let mut check = Check { reader: &reader, news: &news, engine: &self.engine };
        let pool = &self.pool;
        let mut found = |_, found: Found| match found {
            Found::Header(_) => items.extend(reader.borrow().session().and_then(|session| told(session, news.get()))),
            Found::Frame(header, packet) => {
                let Some(session) = reader.borrow().session() else { return };
                let mut bytes = pool.take();
                memory::resize(&mut bytes, packet.len());
                bytes.copy_from_slice(packet);
                let input = Input::Packet { bytes };
                items.push(Item::Job(DecryptJob { header, input, session, arrival, entered: Instant::now() }));
            }
            // Who reads from front to back has no use for one, nor is anything missing where it is spoiled.
            Found::Index(_) | Found::BadIndex => {}
            Found::Rejected(error) => items.push(Item::Pass(Decrypted::Rejected(None, error))),
        };
        run(&mut self.scanner, &mut check, &mut found);
    }

    /// Takes a cipher picture and appends what came of it to `items`.
    pub fn picture(
        &mut self,
        buffer: gst::Buffer,
        cipher: Arc<RawVideo>,
        arrival: Option<gst::ClockTime>,
        items: &mut Vec<Item>,
    ) {
        let job = self.picture_job(buffer, cipher, arrival, items);
        items.push(job.map_or_else(|error| Item::Pass(Decrypted::Rejected(None, error)), Item::Job));
    }

    /// What its stream header tells leaves whatever becomes of the frame: it will not be told again.
    fn picture_job(
        &mut self,
        buffer: gst::Buffer,
        cipher: Arc<RawVideo>,
        arrival: Option<gst::ClockTime>,
        items: &mut Vec<Item>,
    ) -> Result<DecryptJob> {
        let picture = &mut self.picture;
        let frame = video::read_planes(&buffer, &cipher, |planes| picture.read_headers(&cipher.layout, planes))?;
        let news = self.reader.header(picture.header())?;
        let session = self.reader.session().ok_or(Error::NotOurs)?;
        items.extend(told(session.clone(), news));
        let header = self.reader.frame(picture.prefix().first_chunk().ok_or(Error::NotOurs)?)?;
        let mut prefix = self.prefixes.take();
        memory::resize(&mut prefix, picture.prefix().len());
        prefix.copy_from_slice(picture.prefix());
        let input = Input::Picture { buffer, cipher, frame, prefix };
        Ok(DecryptJob { header, input, session, arrival, entered: Instant::now() })
    }

    /// The stream that has been opened, if any.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.reader.session()
    }

    /// The sealed segment that is in force.
    pub fn segment(&self) -> gst::FormattedSegment<gst::ClockTime> {
        let description = self.reader.newest_description();
        video::restore_segment(description.as_ref().and_then(|description| description.segment.as_ref()))
    }

    /// Forgets half-received packets and which counters were seen: after a local application's own flush.
    pub fn flush(&mut self) {
        self.scanner.reset();
        self.reader.reset_window();
    }
}

/// Stream and counter of a description.
type DescriptionId = ([u8; 16], u64);

/// Descriptions in GStreamer's terms, shared by the workers of a run.
#[derive(Clone, Default)]
pub struct Descriptions(Arc<Mutex<BTreeMap<DescriptionId, Arc<Described>>>>);

impl Descriptions {
    /// The description that a frame names. With a new one the backend is chosen for its frames, by the worker that has
    /// met it; the others wait, and leave it the machine.
    fn described(
        &self,
        session: &Session,
        (counter, epoch): (u64, u32),
        backend: &dyn Backend,
    ) -> Result<Arc<Described>> {
        let stream = session.keys().stream_id;
        let mut known = lock(&self.0);
        if let Some(described) = known.get(&(stream, counter)).filter(|known| known.epoch == epoch) {
            return Ok(described.clone());
        }
        let description =
            session.description(counter, epoch).ok_or(Error::Refused("a frame whose description is not known"))?;
        let described = Arc::new(Described::new(stream, counter, epoch, &description)?);
        if let (Some(frame_bytes), true) = (described.content.frame_bytes(), session.keys().profile.runs_stage()) {
            backend.expect_frames(frame_bytes);
        }
        while known.len() >= DESCRIBED_KEPT {
            known.pop_first();
        }
        known.insert((stream, counter), described.clone());
        Ok(described)
    }
}

/// What leaves for a header, if it told anything new.
fn told(session: Arc<Session>, news: HeaderNews) -> Option<Item> {
    (news != HeaderNews::Repeated).then(|| Item::Pass(Decrypted::News(session, news)))
}

/// Buffers for what stands before a cipher picture's payload.
const PREFIXES_KEPT: usize = 64;
/// Descriptions kept in GStreamer's terms.
const DESCRIBED_KEPT: usize = 64;

/// Verifies headers for the scanner.
struct Check<'a, 'b> {
    reader: &'a RefCell<&'b mut StreamReader>,
    news: &'a Cell<HeaderNews>,
    engine: &'a Engine,
}

impl Verifier for Check<'_, '_> {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        self.news.set(self.reader.borrow_mut().header(bytes)?);
        Ok(())
    }

    fn may_be_stream_header(&self, bytes: &[u8]) -> bool {
        self.reader.borrow().may_be_header(bytes)
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        self.reader.borrow().frame(bytes)
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        self.reader.borrow().index_header(bytes)
    }

    fn opens_index(&mut self, packet: &[u8]) -> bool {
        self.reader.borrow().keys().is_some_and(|keys| Index::open(packet, &keys).is_ok())
    }

    fn opens(&mut self, packet: &[u8]) -> bool {
        let reader = self.reader.borrow();
        let (Some(keys), Some(header)) = (reader.keys(), packet.first_chunk().and_then(|h| reader.frame(h).ok()))
        else {
            return false;
        };
        let (prefix, payload) = packet.split_at(header.prefix_len());
        FrameOpener::new(keys, self.engine.clone()).open(prefix, payload, &mut Vec::new()).is_ok()
    }
}

/// The parallel side of a run: one for each worker.
pub struct DecryptWorker {
    descriptions: Descriptions,
    engine: Engine,
    opener: Option<(Arc<StreamKeys>, FrameOpener)>,
    /// A frame between opening and its place, or a cipher picture's rows.
    payload: Vec<u8>,
    pool: Arc<BufferPool>,
    stats: Arc<Stats>,
}

impl DecryptWorker {
    /// A worker of a run.
    pub fn new(descriptions: Descriptions, engine: Engine, pool: Arc<BufferPool>, stats: Arc<Stats>) -> DecryptWorker {
        DecryptWorker { descriptions, engine, opener: None, payload: Vec::new(), pool, stats }
    }

    /// Opens one frame.
    pub fn run(&mut self, job: DecryptJob) -> Decrypted {
        let begun = Instant::now();
        self.stats.add_stage(Stage::Wait, begun - job.entered);
        let DecryptJob { header, input, session, arrival, entered } = job;
        let opened = match input {
            Input::Packet { bytes } => self.open_packet(&session, &bytes, &header),
            Input::Picture { buffer, cipher, frame, prefix } => {
                self.open_picture(&session, &buffer, &cipher, &frame, &prefix)
            }
        };
        let finished = Instant::now();
        let work = finished - begun;
        self.stats.add_stage(Stage::Work, work);
        match opened {
            Ok(Opened::Frame { counter, described, buffer, tags }) => {
                let epoch = header.epoch;
                let frame =
                    OpenedFrame { session, counter, epoch, described, buffer, tags, arrival, entered, finished, work };
                Decrypted::Frame(Box::new(frame))
            }
            Ok(Opened::End { counter, frames }) => Decrypted::End { session, counter, frames },
            Err(error) => Decrypted::Rejected(Some(header.counter), error),
        }
    }

    fn open_packet(&mut self, session: &Session, packet: &[u8], header: &FrameHeader) -> Result<Opened> {
        let (prefix, payload) = packet.split_at(header.prefix_len());
        let mut out = self.pool.take();
        let opener = opener(&mut self.opener, &self.engine, session.keys());
        let (header, record) = opener.open(prefix, payload, &mut out)?;
        match header.kind {
            Kind::End => {
                let end = EndRecord::decode(&header, &record, &out)?;
                Ok(Opened::End { counter: header.counter, frames: end.frames })
            }
            Kind::Frame => {
                let described =
                    self.descriptions.described(session, (record.description, header.epoch), &*self.engine.backend)?;
                self.finish(&header, &record, described, out)
            }
        }
    }

    fn open_picture(
        &mut self,
        session: &Session,
        buffer: &gst::BufferRef,
        cipher: &RawVideo,
        frame: &FrameLayout,
        prefix: &[u8],
    ) -> Result<Opened> {
        let payload = &mut self.payload;
        memory::resize(payload, frame.payload_bytes());
        video::read_planes(buffer, cipher, |planes| pack(frame, planes, payload))?;
        let mut out = self.pool.take();
        let opener = opener(&mut self.opener, &self.engine, session.keys());
        let (header, record) = opener.open(prefix, payload, &mut out)?;
        let described =
            self.descriptions.described(session, (record.description, header.epoch), &*self.engine.backend)?;
        match &described.content {
            Content::Raw(raw) if raw.layout == *frame => {}
            _ => return Err(Error::Refused("a cipher picture whose caps are not those sealed in it")),
        }
        self.finish(&header, &record, described, out)
    }

    /// Makes the buffer that was encrypted.
    fn finish(
        &mut self,
        header: &FrameHeader,
        record: &Record,
        described: Arc<Described>,
        mut bytes: PooledBuffer,
    ) -> Result<Opened> {
        if let Content::Raw(raw) = &described.content {
            if raw.layout.payload_bytes() != bytes.len() {
                return Err(Error::Refused("a frame whose size is not that of its caps"));
            }
            if !video::is_packed(raw) {
                std::mem::swap(&mut self.payload, &mut bytes);
                let payload = &self.payload;
                video::write_planes(raw, &mut bytes, |planes| unpack(&raw.layout, payload, planes))?;
            }
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let tags = metas::restore(record, buffer.get_mut().expect("a new buffer has one owner"));
        Ok(Opened::Frame { counter: header.counter, described, buffer, tags })
    }
}

enum Opened {
    Frame { counter: u64, described: Arc<Described>, buffer: gst::Buffer, tags: Option<gst::TagList> },
    End { counter: u64, frames: u64 },
}

/// The opener for a stream, made anew only when the stream changes.
fn opener<'a>(
    slot: &'a mut Option<(Arc<StreamKeys>, FrameOpener)>,
    engine: &Engine,
    keys: Arc<StreamKeys>,
) -> &'a mut FrameOpener {
    if slot.as_ref().is_none_or(|(old, _)| !Arc::ptr_eq(old, &keys)) {
        *slot = None;
    }
    let (_, opener) = slot.get_or_insert_with(|| (keys.clone(), FrameOpener::new(keys, engine.clone())));
    opener
}
