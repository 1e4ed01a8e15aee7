//! The stream as a whole: round trips, damage, loss, wrong keys. Known answers are in `tests/format_vectors.rs`.

mod damage;
mod opening;
mod pictures;
mod two_keys;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use proptest::prelude::*;

use super::*;
use crate::{
    Error,
    backend::{self, Choice},
    frame::{Format, FrameLayout, Plane, PlaneMut},
};

const PSK: [u8; 32] = [7; 32];

fn engine() -> Engine {
    Engine { backend: backend::choose(Choice::Auto).expect("a backend"), pool: None }
}

fn writer(profile: Profile, aead: Aead) -> StreamWriter {
    let mut recipients = Recipients::default();
    recipients.set_preshared(Secret::new(PSK));
    StreamWriter::new(profile, aead, &recipients, StreamSecrets::random().expect("random")).expect("valid")
}

fn reader() -> StreamReader {
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    StreamReader::new(Arc::new(identities), ReaderPolicy { profiles: Profile::ALL.to_vec(), ..ReaderPolicy::default() })
}

fn description() -> Description {
    Description { tracks: 1, caps: "video/x-h264, alignment=(string)au".into(), ..Description::default() }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 131 + (i >> 7)) as u8).collect()
}

/// A stream of frames with the given lengths: its packets, header first, end record last.
fn packets(writer: &mut StreamWriter, lengths: &[usize]) -> Vec<Vec<u8>> {
    let mut sealer = FrameSealer::new(writer.keys(), engine());
    let mut packets = vec![writer.describe(&description()).expect("fits").to_vec()];
    for &len in lengths {
        let ticket = writer.frame(len).expect("within limits");
        let record =
            Record { description: ticket.description(), pts: Some(ticket.counter() * 40), ..Record::default() };
        let mut packet = Vec::new();
        let source = |out: &mut [u8]| {
            out.copy_from_slice(&bytes(len));
            Ok(())
        };
        sealer.seal_packet(ticket, &record, source, &mut packet).expect("seals");
        packets.push(packet);
    }
    let (ticket, payload) = writer.end().expect("within limits");
    let mut packet = Vec::new();
    let source = |out: &mut [u8]| {
        out.copy_from_slice(&payload);
        Ok(())
    };
    sealer.seal_packet(ticket, &Record::default(), source, &mut packet).expect("seals");
    packets.push(packet);
    packets
}

/// Reads a byte stream in chunks; returns the counters of frames and end records that opened, checking their content.
#[derive(Default)]
struct Outcome {
    opened: Vec<u64>,
    ended: bool,
    headers: usize,
    rejected: usize,
    skipped: u64,
}

struct Check {
    reader: StreamReader,
    /// Bytes that the scanner had opened.
    opened: usize,
}

impl Verifier for Check {
    fn stream_header(&mut self, bytes: &[u8]) -> crate::Result<()> {
        self.reader.header(bytes).map(drop)
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> crate::Result<FrameHeader> {
        self.reader.frame(bytes)
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> crate::Result<IndexHeader> {
        self.reader.index_header(bytes)
    }

    fn opens(&mut self, packet: &[u8]) -> bool {
        self.opened += packet.len();
        let keys = self.reader.keys().expect("a frame header has verified");
        let header = self.reader.frame(packet.first_chunk().expect("a packet")).expect("verified before");
        let (prefix, payload) = packet.split_at(header.prefix_len());
        FrameOpener::new(keys, engine()).open(prefix, payload, &mut Vec::new()).is_ok()
    }
}

fn read(stream: &[u8], chunk: usize, lengths: &[usize]) -> Outcome {
    let mut check = Check { reader: reader(), opened: 0 };
    let mut outcome = Outcome::default();
    let mut told = Vec::new();
    let mut scanner = PacketScanner::default();
    let mut note = |_, found: Found| match found {
        Found::Header(_) => outcome.headers += 1,
        Found::Frame(header, packet) => told.push((header, packet.to_vec())),
        Found::Index(_) | Found::BadIndex => panic!("there is none"),
        Found::Rejected(_) => outcome.rejected += 1,
    };
    for chunk in stream.chunks(chunk) {
        scanner.push(chunk, &mut check, &mut note);
    }
    scanner.finish(&mut check, &mut note);
    outcome.skipped = scanner.skipped();
    let mut out = vec![0xEE; 1];
    for (header, packet) in told {
        let mut opener = FrameOpener::new(check.reader.keys().expect("a stream"), engine());
        let (prefix, payload) = packet.split_at(header.prefix_len());
        match opener.open(prefix, payload, &mut out) {
            Err(_) => {
                outcome.rejected += 1;
                assert!(out.iter().all(|&byte| byte == 0) || out.len() == 1, "nothing unverified stays");
            }
            Ok((header, record)) => {
                if header.kind == Kind::End {
                    outcome.ended = true;
                    continue;
                }
                let number = header.counter as usize - 1;
                assert!(out == bytes(lengths[number]), "content of frame {number}");
                assert_eq!(record.pts, Some(header.counter * 40));
                outcome.opened.push(header.counter);
            }
        }
    }
    outcome
}

/// The answers of the independent program: for what only unit tests reach.
pub(super) fn vectors() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/format.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("format.json")).expect("valid vectors")
}

/// Bytes that stand in the vectors as hexadecimal digits.
pub(super) fn vector_bytes(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("digits")).collect()
}

#[test]
fn round_trips_in_every_profile_and_chunking() {
    let lengths = [0, 1, 255, 256, 5000, 49_152, SEGMENT_BYTES + 1, 3];
    for profile in Profile::ALL {
        for aead in Aead::ALL {
            let stream = packets(&mut writer(profile, aead), &lengths).concat();
            for chunk in [1000, 4096, 1 << 20, usize::MAX] {
                let outcome = read(&stream, chunk, &lengths);
                assert_eq!(outcome.opened, (1..=lengths.len() as u64).collect::<Vec<_>>(), "{profile:?} {chunk}");
                assert!(outcome.ended && outcome.headers == 1 && outcome.rejected == 0 && outcome.skipped == 0);
            }
        }
    }
}

#[test]
fn a_pool_changes_nothing_but_the_time() {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads"));
    let parallel = Engine { pool: Some(pool), ..engine() };
    let len = 2 * SEGMENT_BYTES + 77;
    for profile in Profile::ALL {
        let mut writer = writer(profile, Aead::Aes256Gcm);
        writer.describe(&description()).expect("fits");
        let ticket = writer.frame(len).expect("within limits");
        let mut packet = Vec::new();
        let source = |out: &mut [u8]| {
            out.copy_from_slice(&bytes(len));
            Ok(())
        };
        FrameSealer::new(writer.keys(), parallel.clone())
            .seal_packet(ticket, &Record::default(), source, &mut packet)
            .expect("seals");
        for engine in [engine(), parallel.clone()] {
            let prefix = packet.len() - len;
            let mut out = Vec::new();
            FrameOpener::new(writer.keys(), engine)
                .open(&packet[..prefix], &packet[prefix..], &mut out)
                .expect("opens");
            assert!(out == bytes(len), "{profile:?}");
        }
    }
}

/// Whether a frame stands together or is written piece by piece must not show.
#[test]
fn a_slice_is_sealed_like_what_is_written() {
    let lengths = [0, 1, 300, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES + 5];
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads"));
    for (profile, aead) in Profile::ALL.into_iter().flat_map(|p| [(p, Aead::Aes256Gcm), (p, Aead::ChaCha20Poly1305)]) {
        let sealed = |as_slice: bool, pool: Option<Arc<rayon::ThreadPool>>| {
            let mut recipients = Recipients::default();
            recipients.set_preshared(Secret::new(PSK));
            let secrets = StreamSecrets::new([2; 32], [3; 16], [4; 32]);
            let mut writer = StreamWriter::new(profile, aead, &recipients, secrets).expect("valid");
            let mut sealer = FrameSealer::new(writer.keys(), Engine { pool, ..engine() });
            let mut packets = Vec::new();
            for len in lengths {
                let (ticket, text, mut packet) = (writer.frame(len).expect("fits"), bytes(len), Vec::new());
                let write = |out: &mut [u8]| {
                    out.copy_from_slice(&text);
                    Ok(())
                };
                match as_slice {
                    true => sealer.seal_packet(ticket, &Record::default(), &text[..], &mut packet),
                    false => sealer.seal_packet(ticket, &Record::default(), write, &mut packet),
                }
                .expect("seals");
                packets.push(packet);
            }
            packets
        };
        let written = sealed(false, None);
        assert!(sealed(true, None) == written, "{profile:?} {aead:?}");
        assert!(sealed(true, Some(pool.clone())) == written, "{profile:?} {aead:?}, threads");
    }
    let mut writer = writer(Profile::Hardened, Aead::Aes256Gcm);
    let (ticket, mut sealer) = (writer.frame(10).expect("fits"), FrameSealer::new(writer.keys(), engine()));
    let sealed = sealer.seal_packet(ticket, &Record::default(), &[1; 9][..], &mut Vec::new());
    assert!(matches!(sealed, Err(Error::Geometry(_))));
}

#[test]
fn fail_a_ticket_of_another_process() {
    let mut writer = writer(Profile::Hardened, Aead::Aes256Gcm);
    writer.describe(&description()).expect("fits");
    let mut ticket = writer.frame(10).expect("within limits");
    ticket.process ^= 1;
    let mut sealer = FrameSealer::new(writer.keys(), engine());
    let source = |_: &mut [u8]| panic!("nothing is read");
    let sealed = sealer.seal_packet(ticket, &Record::default(), source, &mut Vec::new());
    assert!(matches!(sealed, Err(Error::Forked)));
}

#[test]
fn a_failed_source_leaves_nothing_clear() {
    for profile in Profile::ALL {
        let mut writer = writer(profile, Aead::Aes256Gcm);
        writer.describe(&description()).expect("fits");
        let mut sealer = FrameSealer::new(writer.keys(), engine());
        let source = |out: &mut [u8]| {
            out.fill(0xC1);
            Err(Error::Geometry("half-way".into()))
        };
        let (mut prefix, mut payload, mut packet) = (Vec::new(), vec![0xC1; 40], vec![0xC1; 40]);
        let ticket = writer.frame(100).expect("within limits");
        sealer.seal(ticket, &Record::default(), source, &mut prefix, &mut payload).expect_err("the source's");
        let ticket = writer.frame(100).expect("within limits");
        sealer.seal_packet(ticket, &Record::default(), source, &mut packet).expect_err("the source's");
        assert!(!payload.contains(&0xC1) && !packet.contains(&0xC1), "{profile:?}");
    }
}

/// After its own flush a reader goes on where the stream is: what came before is not missing.
#[test]
fn nothing_is_lost_by_a_flush() {
    let packets = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &[10; 4]);
    let mut reader = reader();
    assert_eq!(reader.header(&packets[0]).expect("ours"), HeaderNews::NewStream);
    for counter in 1..=3 {
        reader.admit(counter);
    }
    reader.reset_window();
    assert_eq!(reader.header(&packets[0]).expect("ours"), HeaderNews::Repeated);
    reader.admit(4);
    assert_eq!(reader.lost(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes between, before and after: no panic, and every packet that is whole opens.
    #[test]
    fn whole_packets_open_among_anything(
        pieces in prop::collection::vec(prop_oneof![
            (0usize..5).prop_map(Ok),
            prop::collection::vec(any::<u8>(), 0..90).prop_map(Err),
            Just(Err(b"CVEILFRM".to_vec())),
            Just(Err(b"CVEILHDR\x01\x01\x01\x00\x50\x00\x00\x00".to_vec())),
        ], 1..12),
        chunk in 1usize..3000,
    ) {
        let lengths = [100, 256, 0, 900, 31];
        let mut writer = writer(Profile::Hardened, Aead::Aes256Gcm);
        let packets = packets(&mut writer, &lengths);
        let mut stream = packets[0].clone();
        let mut expected = Vec::new();
        for piece in pieces {
            match piece {
                Ok(number) => {
                    stream.extend_from_slice(&packets[number + 1]);
                    expected.push(number as u64 + 1);
                }
                Err(noise) => stream.extend_from_slice(&noise),
            }
        }
        prop_assert_eq!(read(&stream, chunk, &lengths).opened, expected);
    }
}
