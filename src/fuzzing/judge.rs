//! What a reader may release: what was sealed, in order, each frame once, and nothing else.

use super::genuine::{Genuine, engine};
use crate::{
    Result,
    seal::{
        FRAME_HEADER_BYTES, Found, FrameHeader, FrameOpener, INDEX_HEADER_BYTES, IndexHeader, Offset, PacketScanner,
        Record, StreamReader, Verdict, Verifier, limits,
    },
};

/// A byte that no failed opening may leave where it was.
const MARK: u8 = 0xA7;

/// What came of a byte stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames and end records that were released.
    pub released: usize,
    /// Frames that verified and had come before, or too late, or whose description did not come.
    pub held_back: usize,
    /// What was refused.
    pub rejected: usize,
    /// Bytes between packets.
    pub skipped: u64,
}

/// Reads `stream` in pieces of `piece` bytes with the key of `genuine`.
///
/// # Panics
/// If anything is released that was not sealed, is released twice or out of order, if an opening that fails leaves bytes
/// behind, or if more is opened than the format allows.
pub fn judge(genuine: &Genuine, stream: &[u8], piece: usize) -> Outcome {
    let mut check = Check { reader: genuine.reader(), opener: None, opened: 0, last: None };
    let (mut scanner, mut outcome) = (PacketScanner::default(), Outcome::default());
    let mut told: Vec<(FrameHeader, Vec<u8>)> = Vec::new();
    let mut received = 0;
    for bytes in stream.chunks(piece.max(1)) {
        received += bytes.len();
        scanner.push(bytes, &mut check, |offset, found| note(offset, found, stream, &mut told, &mut outcome));
        assert!(scanner.offset() as usize <= received, "a place that has not come yet");
        release(genuine, &mut check, &mut told, &mut outcome);
    }
    scanner.finish(&mut check, |offset, found| note(offset, found, stream, &mut told, &mut outcome));
    release(genuine, &mut check, &mut told, &mut outcome);
    assert_eq!(scanner.offset() as usize, stream.len(), "every byte is dealt with");
    let largest = genuine.packets.iter().map(Vec::len).max().unwrap_or(0);
    assert!(check.opened <= 2 * stream.len() + largest.max(stream.len()), "{} bytes opened", check.opened);
    outcome.skipped = scanner.skipped();
    outcome
}

fn note(offset: Offset, found: Found, stream: &[u8], told: &mut Vec<(FrameHeader, Vec<u8>)>, outcome: &mut Outcome) {
    let stands_there = |bytes: &[u8]| stream[offset as usize..].starts_with(bytes);
    match found {
        Found::Header(bytes) | Found::Index(bytes) => assert!(stands_there(bytes), "it stands where it is told"),
        Found::Frame(header, packet) => {
            assert!(stands_there(packet), "a packet stands where it is told");
            assert!(header.payload_len <= limits::FRAME_BYTES && header.record_len <= limits::RECORD_BYTES);
            assert_eq!(header.packet_len(), packet.len());
            told.push((header, packet.to_vec()));
        }
        Found::Rejected(_) | Found::BadIndex => outcome.rejected += 1,
    }
}

fn release(genuine: &Genuine, check: &mut Check, told: &mut Vec<(FrameHeader, Vec<u8>)>, outcome: &mut Outcome) {
    for (header, packet) in told.drain(..) {
        let mut out = vec![MARK; header.payload_len];
        match check.open(&header, &packet, &mut out) {
            Err(_) => {
                outcome.rejected += 1;
                let untouched = out.iter().all(|&byte| byte == MARK);
                assert!(untouched || out.iter().all(|&byte| byte == 0), "unverified bytes are left behind");
            }
            Ok((opened, record)) => {
                assert_sealed(genuine, &opened, &record, &out);
                match check.reader.admit(opened.counter) {
                    // Its own stream header did not come through: what the bytes are is not known.
                    _ if check.reader.description(record.description, opened.epoch).is_none() => outcome.held_back += 1,
                    Verdict::Fresh => {
                        assert!(check.last < Some(opened.counter), "released twice, or out of order");
                        check.last = Some(opened.counter);
                        outcome.released += 1;
                    }
                    Verdict::Reordered | Verdict::Replayed => outcome.held_back += 1,
                }
            }
        }
    }
}

/// Everything that has opened must be what was sealed under its counter.
pub fn assert_sealed(genuine: &Genuine, header: &FrameHeader, record: &Record, payload: &[u8]) {
    let sealed = genuine.sealed.get(&header.counter).expect("a counter under which nothing was sealed has opened");
    assert_eq!(header.kind, sealed.kind, "another kind than was sealed");
    assert!(payload == sealed.payload, "other bytes than were sealed");
    let mut written = Vec::new();
    record.encode(&mut written).expect("it was sealed");
    assert!(written == sealed.record, "another record than was sealed");
}

struct Check {
    reader: StreamReader,
    opener: Option<FrameOpener>,
    /// Bytes that the scanner had opened.
    opened: usize,
    /// Counter that was released last.
    last: Option<u64>,
}

impl Check {
    fn open(&mut self, header: &FrameHeader, packet: &[u8], out: &mut Vec<u8>) -> Result<(FrameHeader, Record)> {
        let keys = self.reader.keys().expect("a frame header has verified");
        let opener = self.opener.get_or_insert_with(|| FrameOpener::new(keys, engine()));
        let (prefix, payload) = packet.split_at(header.prefix_len());
        opener.open(prefix, payload, out)
    }
}

impl Verifier for Check {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.header(bytes).map(drop)
    }

    fn may_be_stream_header(&self, bytes: &[u8]) -> bool {
        self.reader.may_be_header(bytes)
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        self.reader.index_header(bytes)
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        self.reader.frame(bytes)
    }

    fn opens(&mut self, packet: &[u8]) -> bool {
        self.opened += packet.len();
        let header = self.reader.frame(packet.first_chunk().expect("a packet")).expect("verified before");
        self.open(&header, packet, &mut Vec::new()).is_ok()
    }
}
