//! A stream of small frames through every fault at every rate, read with the library: the reader's counts are those of a
//! model that was never told how the reader works, and every frame that is released is one that was sealed.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Instant,
};

use gstchaosveil::{
    Error, Result,
    backend::{self, Choice},
    seal::{
        Aead, Description, Engine, FRAME_HEADER_BYTES, Found, FrameHeader, FrameOpener, FrameSealer, HeaderNews,
        INDEX_HEADER_BYTES, Identities, IndexHeader, Kind, PacketScanner, Profile, ReaderPolicy, Recipients, Record,
        Secret, StreamReader, StreamSecrets, StreamWriter, Verdict, Verifier,
    },
};
use serde_json::json;

use super::{
    model::{self, Counts, Packet},
    record::{number, record},
    trace::{Rates, Trace},
};

const KEY: [u8; 32] = [9; 32];
/// Narrow enough for old packets to fall out of it.
const WINDOW: u32 = 1024;
/// Packets between two stream headers: a second of video.
const HEADER_EVERY: u64 = 30;
/// Frames under one description.
const DESCRIPTION_EVERY: u64 = 10_000;
/// Bytes that reach the reader at a time: packets lie across the edges.
const CHUNK: usize = 1 << 16;

fn engine() -> Engine {
    Engine { backend: backend::choose(Choice::Auto).expect("a backend"), pool: None }
}

/// The frame of a counter: whoever has it can tell whether it is the right one.
fn frame(counter: u64, bytes: &mut Vec<u8>) {
    let mut output = blake3::Hasher::new().update(&counter.to_le_bytes()).finalize_xof();
    let mut length = [0];
    output.fill(&mut length);
    bytes.resize(40 + usize::from(length[0]), 0);
    output.fill(bytes);
}

struct Sender {
    writer: StreamWriter,
    sealer: FrameSealer,
    clear: Vec<u8>,
    packet: Vec<u8>,
}

impl Sender {
    fn new(profile: Profile) -> Sender {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new(KEY));
        let secrets = StreamSecrets::random().expect("random bytes");
        let writer = StreamWriter::new(profile, Aead::Aes256Gcm, &recipients, secrets).expect("a key is there");
        let sealer = FrameSealer::new(writer.keys(), engine());
        Sender { writer, sealer, clear: Vec::new(), packet: Vec::new() }
    }

    /// Seals so many frames, and hands on every packet.
    fn send(&mut self, frames: u64, mut packet: impl FnMut(Packet, &[u8])) {
        let mut described = 0;
        for number in 0..frames {
            if number % DESCRIPTION_EVERY == 0 {
                let caps = format!("application/x-anything, number=(int){number}");
                let description = Description { tracks: 1, caps, ..Description::default() };
                let header = self.writer.describe(&description).expect("it fits");
                described = number + number / DESCRIPTION_EVERY;
                packet(Packet::Header(described), &header);
            } else if number % HEADER_EVERY == 0 {
                packet(Packet::Header(described), &self.writer.header());
            }
            let counter = number + number / DESCRIPTION_EVERY + 1;
            frame(counter, &mut self.clear);
            let ticket = self.writer.frame(self.clear.len()).expect("within limits");
            let record = Record { description: described, pts: Some(number), ..Record::default() };
            self.sealer.seal_packet(ticket, &record, &self.clear[..], &mut self.packet).expect("seals");
            packet(Packet::Frame(counter, described), &self.packet);
        }
    }
}

/// The reading end, as `chaosdec` has it.
struct Receiver {
    reader: StreamReader,
    scanner: PacketScanner,
    frames: Frames,
    chunk: Vec<u8>,
}

struct Frames {
    opener: Option<FrameOpener>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    counts: Counts,
    wrong: u64,
}

struct Check<'a, 'b> {
    reader: &'a RefCell<&'b mut StreamReader>,
    news: &'a Cell<HeaderNews>,
}

impl Verifier for Check<'_, '_> {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.borrow_mut().header(bytes).map(|news| self.news.set(news))
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

    fn opens(&mut self, packet: &[u8]) -> bool {
        let reader = self.reader.borrow();
        let header = reader.frame(packet.first_chunk().expect("a header")).expect("verified before");
        let (prefix, payload) = packet.split_at(header.prefix_len());
        let keys = reader.keys().expect("a stream is open");
        FrameOpener::new(keys, engine()).open(prefix, payload, &mut Vec::new()).is_ok()
    }
}

impl Receiver {
    fn new() -> Receiver {
        let mut identities = Identities::default();
        identities.set_preshared(Secret::new(KEY));
        let policy = ReaderPolicy { replay_window: WINDOW, ..ReaderPolicy::default() };
        let frames =
            Frames { opener: None, plain: Vec::new(), sealed: Vec::new(), counts: Counts::default(), wrong: 0 };
        let reader = StreamReader::new(Arc::new(identities), policy);
        Receiver { reader, scanner: PacketScanner::default(), frames, chunk: Vec::with_capacity(CHUNK) }
    }

    fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.read(|scanner, chunk, check, found| scanner.push(chunk, check, found));
            }
        }
    }

    fn end(&mut self) {
        self.read(|scanner, chunk, check, found| scanner.push(chunk, check, found));
        self.read(|scanner, _, check, found| scanner.finish(check, found));
        self.frames.counts.lost = self.reader.lost();
    }

    fn read(&mut self, run: impl FnOnce(&mut PacketScanner, &[u8], &mut Check, &mut dyn FnMut(u64, Found))) {
        let (reader, news) = (RefCell::new(&mut self.reader), Cell::new(HeaderNews::Repeated));
        let frames = &mut self.frames;
        let mut found = |_, found: Found| match found {
            Found::Header(_) => {
                if let HeaderNews::NewDescription(counter) = news.get() {
                    reader.borrow_mut().admit(counter);
                }
            }
            Found::Frame(header, packet) => frames.open(&mut reader.borrow_mut(), &header, packet),
            Found::Rejected(Error::NoHeaderYet) => {}
            Found::Rejected(_) | Found::BadIndex | Found::Index(_) => frames.counts.rejected += 1,
        };
        run(&mut self.scanner, &self.chunk, &mut Check { reader: &reader, news: &news }, &mut found);
        self.chunk.clear();
    }
}

impl Frames {
    fn open(&mut self, reader: &mut StreamReader, header: &FrameHeader, packet: &[u8]) {
        assert_eq!(header.kind, Kind::Frame);
        let keys = reader.keys().expect("a stream is open");
        let opener = self.opener.get_or_insert_with(|| FrameOpener::new(keys, engine()));
        let (prefix, payload) = packet.split_at(header.prefix_len());
        let opened = opener.open(prefix, payload, &mut self.plain);
        match opened.is_ok_and(|(_, record)| reader.description(record.description, header.epoch).is_some()) {
            false => self.counts.rejected += 1,
            true => self.admit(reader.admit(header.counter), header.counter),
        }
    }

    fn admit(&mut self, verdict: Verdict, counter: u64) {
        match verdict {
            Verdict::Reordered => self.counts.reordered += 1,
            Verdict::Replayed => self.counts.replayed += 1,
            Verdict::Fresh => {
                self.counts.released += 1;
                frame(counter, &mut self.sealed);
                self.wrong += u64::from(self.plain != self.sealed);
            }
        }
    }
}

/// One trace: what the reader counted, after comparing it with the model.
fn run(case: &str, profile: Profile, seed: u8, rates: Rates, frames: u64) -> Counts {
    let (mut trace, mut receiver) = (Trace::new(seed, rates), Receiver::new());
    Sender::new(profile).send(frames, |packet, bytes| trace.send(packet, bytes, |piece| receiver.receive(piece)));
    trace.end(|piece| receiver.receive(piece));
    receiver.end();
    let Frames { counts, wrong, .. } = receiver.frames;
    assert_eq!(counts, model::count(&trace.arrived, u64::from(WINDOW)), "{case}");
    assert_eq!(wrong, 0, "{case}");
    counts
}

/// Every fault alone, and all of them together.
fn faults(rate: f64) -> [(&'static str, Rates); 7] {
    let none = Rates::default();
    let all = Rates { loss: rate, reorder: rate, replay: rate, duplication: rate, truncation: rate, flip: rate };
    [
        ("loss", Rates { loss: rate, ..none }),
        ("reorder", Rates { reorder: rate, ..none }),
        ("replay", Rates { replay: rate, ..none }),
        ("duplication", Rates { duplication: rate, ..none }),
        ("truncation", Rates { truncation: rate, ..none }),
        ("bit flip", Rates { flip: rate, ..none }),
        ("all together", all),
    ]
}

#[test]
fn counts_are_those_of_an_independent_model() {
    let (frames, begun) = (number("ENDURANCE_TRACE_FRAMES", 4_000), Instant::now());
    let without = run("no faults", Profile::Hardened, 0, Rates::default(), frames);
    assert_eq!(without, Counts { released: frames, ..Counts::default() });
    let mut rows = Vec::new();
    for (seed, rate) in [0.001, 0.01, 0.1].into_iter().enumerate() {
        for (number, (fault, rates)) in faults(rate).into_iter().enumerate() {
            let profile = if fault == "all together" { Profile::Hardened } else { Profile::Aead };
            let counts = run(&format!("{fault} {rate}"), profile, (10 * seed + number) as u8 + 1, rates, frames);
            let Counts { released, lost, reordered, replayed, rejected } = counts;
            println!("{fault} {rate}: {counts:?}, {:.0} s", begun.elapsed().as_secs_f64());
            rows.push(json!({
                "fault": fault, "rate": rate, "profile": profile.name(), "frames": frames, "released": released,
                "lost": lost, "reordered": reordered, "replayed": replayed, "rejected": rejected,
                "counts_differ_from_model": 0, "wrong_frames": 0,
            }));
        }
    }
    record("traces", json!({ "replay_window": WINDOW, "traces": rows, "seconds": begun.elapsed().as_secs() }));
}
