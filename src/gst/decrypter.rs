//! One run of `chaosdec`: from packets or cipher pictures to the buffers that were encrypted.
//!
//! The sink pad's thread finds packets (serial, cheap but for the first header), workers open frames, the source pad's
//! task asks the replay window and pushes. Nothing leaves that has not verified whole.

mod described;
mod job;
mod worker;

use std::{
    cell::{Cell, RefCell},
    mem,
    sync::{Arc, Mutex},
    time::Instant,
};

use super::video::{self, RawVideo};
use crate::{
    Error, Result,
    backend::memory,
    pipeline::BufferPool,
    seal::{
        CipherPicture, Engine, FRAME_HEADER_BYTES, Found, FrameHeader, FrameOpener, HeaderNews, INDEX_HEADER_BYTES,
        Index, IndexHeader, Offset, PacketScanner, RawStreamHeader, Session, StreamReader, Verifier,
    },
};
pub use described::{Described, Descriptions};
use job::Input;
pub use job::{DecryptJob, Decrypted, OpenedFrame};
pub use worker::DecryptWorker;

/// The serial side of a run.
pub struct Decrypter {
    reader: StreamReader,
    scanner: PacketScanner,
    picture: CipherPicture,
    engine: Engine,
    pool: Arc<BufferPool>,
    /// For what is small: a frame's buffer would have to be filled again.
    prefixes: Arc<BufferPool>,
    /// Where the bytes begin that came after the last flush, and what stands there.
    begun_at: Offset,
    first: Option<First>,
}

/// What stands where bytes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// A frame with this counter.
    Frame(u64),
    /// A stream header that tells the description with this counter.
    Description(u64),
    /// Something else than a packet of this stream that verifies.
    Other,
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
        let prefixes = BufferPool::new(PREFIXES_KEPT);
        Decrypter { reader, scanner, picture, engine, pool, prefixes, begun_at: 0, first: None }
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
        let (pool, first, begun_at) = (&self.pool, &mut self.first, self.begun_at);
        let mut found = |offset, found: Found| {
            first.get_or_insert_with(|| match &found {
                _ if offset != begun_at => First::Other,
                Found::Header(bytes) => RawStreamHeader::split(bytes)
                    .map_or(First::Other, |header| First::Description(header.claimed_counter())),
                Found::Frame(header, _) => First::Frame(header.counter),
                _ => First::Other,
            });
            match found {
                Found::Header(_) => {
                    items.extend(reader.borrow().session().and_then(|session| told(session, news.get())))
                }
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
                Found::Rejected(error) => reject(items, error),
            }
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
        items.push(job.map_or_else(|error| Item::Pass(Decrypted::rejected(None, error)), Item::Job));
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

    /// What stands where the bytes begin that came after the last flush, once that can be told.
    pub fn first(&self) -> Option<First> {
        self.first
    }

    /// The sealed segment that is in force.
    pub fn segment(&self) -> gst::FormattedSegment<gst::ClockTime> {
        let description = self.reader.newest_description();
        video::restore_segment(description.as_ref().and_then(|description| description.segment.as_ref()))
    }

    /// Forgets half-received packets and which counters were seen: after a local application's own flush.
    pub fn flush(&mut self) {
        self.scanner.reset();
        (self.begun_at, self.first) = (self.scanner.offset(), None);
        self.reader.reset_window();
    }
}

/// Items of one buffer after which rejections of a kind are counted together: rubbish may hold one every eight bytes.
const MANY_ITEMS: usize = 64;

/// Appends that something did not verify, or counts it with the last of its kind.
fn reject(items: &mut Vec<Item>, error: Error) {
    let kind = mem::discriminant(&error);
    let last = items.iter_mut().skip(MANY_ITEMS).rev().take(MANY_ITEMS).find_map(|item| match item {
        Item::Pass(Decrypted::Rejected { counter: None, error, times }) if mem::discriminant(error) == kind => {
            Some(times)
        }
        _ => None,
    });
    match last {
        Some(times) => *times += 1,
        None => items.push(Item::Pass(Decrypted::rejected(None, error))),
    }
}

/// What leaves for a header, if it told anything new.
fn told(session: Arc<Session>, news: HeaderNews) -> Option<Item> {
    (news != HeaderNews::Repeated).then(|| Item::Pass(Decrypted::News(session, news)))
}

/// Buffers for what stands before a cipher picture's payload.
const PREFIXES_KEPT: usize = 64;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{self, Choice},
        seal::{
            Aead, Description, FrameSealer, Identities, Profile, ReaderPolicy, Recipients, Record, Secret,
            StreamSecrets, StreamWriter,
        },
    };

    /// A run with a pre-shared key, and packets for it: header, two frames, header, frame.
    fn run_and_packets() -> (Decrypter, [Vec<u8>; 5]) {
        let (mut recipients, mut identities) = (Recipients::default(), Identities::default());
        recipients.set_preshared(Secret::new([7; 32]));
        identities.set_preshared(Secret::new([7; 32]));
        let engine = Engine { backend: backend::choose(Choice::Portable).expect("everywhere"), pool: None };
        let secrets = StreamSecrets::random().expect("random bytes");
        let mut writer = StreamWriter::new(Profile::Aead, Aead::default(), &recipients, secrets).expect("valid");
        let mut sealer = FrameSealer::new(writer.keys(), engine.clone());
        let packets = ["a", "", "", "b", ""].map(|caps| match caps {
            "" => {
                let (ticket, mut packet) = (writer.frame(1).expect("within limits"), Vec::new());
                let record = Record { description: ticket.description(), ..Record::default() };
                sealer.seal_packet(ticket, &record, &[7_u8][..], &mut packet).expect("seals");
                packet
            }
            caps => {
                let description = Description { tracks: 1, caps: format!("x/{caps}"), ..Description::default() };
                writer.describe(&description).expect("fits").to_vec()
            }
        });
        let reader = StreamReader::new(Arc::new(identities), ReaderPolicy::default());
        (Decrypter::new(reader, engine, BufferPool::new(1)), packets)
    }

    #[test]
    fn what_stands_where_bytes_begin_is_told() {
        let (mut run, packets) = run_and_packets();
        let [_, one, two, three, _] = [0, 1, 2, 3, 4].map(|from: usize| packets[from..].concat());
        let mut push = |bytes: &[u8], flush: bool| {
            if flush {
                run.flush();
            }
            run.push(bytes, None, &mut Vec::new());
            run.first()
        };
        assert_eq!(push(&packets[0][..50], false), None, "not yet");
        assert_eq!(push(&packets[0][50..], false), Some(First::Description(0)));
        assert_eq!(push(&one, false), Some(First::Description(0)), "as long as there is no flush");
        assert_eq!(push(&one, true), Some(First::Frame(1)));
        assert_eq!(push(&three, true), Some(First::Description(3)), "known already");
        // A header is there, but not where it should be: behind the rest of a frame, and behind a whole one.
        assert_eq!(push(&two[5..], true), Some(First::Other));
        assert_eq!(push(&two, true), Some(First::Frame(2)));
        let mut forged = three.clone();
        forged[60] ^= 1;
        assert_eq!(push(&forged, true), Some(First::Other));
    }

    /// Each eight bytes begin like a packet, and none is one.
    #[test]
    fn rubbish_does_not_multiply() {
        const MAGICS: usize = 100_000;
        let reader = StreamReader::new(Arc::new(Identities::default()), ReaderPolicy::default());
        let backend = backend::choose(Choice::Portable).expect("everywhere");
        let mut decrypter = Decrypter::new(reader, Engine { backend, pool: None }, BufferPool::new(1));
        let mut items = Vec::new();
        decrypter.push(&b"CVEILHDR".repeat(MAGICS), None, &mut items);
        decrypter.finish(&mut items);
        let times = items.iter().map(|item| match item {
            Item::Pass(Decrypted::Rejected { times, .. }) => *times,
            _ => 0,
        });
        assert_eq!(times.sum::<u64>(), MAGICS as u64);
        assert!(items.len() < 3 * MANY_ITEMS, "{} items", items.len());
    }
}
