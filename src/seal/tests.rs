//! The stream as a whole: round trips, damage, loss, wrong keys. Known answers are in `tests/format_vectors.rs`.

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
fn fail_every_single_bit_flip() {
    let lengths = [40, 300];
    for profile in Profile::ALL {
        let stream = packets(&mut writer(profile, Aead::Aes256Gcm), &lengths).concat();
        let header_len = RawStreamHeader::total_len(&stream).expect("ours").expect("whole");
        for bit in 0..stream.len() * 8 {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let outcome = read(&damaged, 777, &lengths);
            if bit / 8 < header_len {
                assert!(outcome.opened.is_empty(), "{profile:?}: header bit {bit}");
            } else {
                let whole = outcome.opened.len() + usize::from(outcome.ended);
                assert_eq!(whole, 2, "{profile:?}: bit {bit} costs exactly its own packet");
                assert!(outcome.rejected > 0 || outcome.skipped > 0);
            }
        }
    }
}

/// Who has recorded genuine frames can send their beginnings again before anything: that must stay cheap.
#[test]
fn recorded_headers_buy_few_decryptions() {
    let lengths = [50_000, 50_000];
    let packets = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &lengths);
    let mut stream = packets[0].clone();
    for number in 0..1000 {
        stream.extend_from_slice(&packets[1 + number % 2][..200]);
    }
    let mut check = Check { reader: reader(), opened: 0 };
    let mut scanner = PacketScanner::default();
    scanner.push(&stream, &mut check, |_, _| {});
    scanner.finish(&mut check, |_, _| {});
    assert!(check.opened > 0 && check.opened <= 2 * stream.len() + packets[1].len(), "{} bytes", check.opened);
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

#[test]
fn passphrases_that_do_not_fit_are_not_tried_for_ever() {
    let header = |number: u8| {
        let mut cheap = age::scrypt::Recipient::new(format!("not this {number}").into());
        cheap.set_work_factor(1);
        let bytes = age::encrypt(&cheap, &[number; 32]).expect("age encrypts");
        let groups = [KeyGroup { kind: 2, bytes }];
        let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &[number; 16], &groups).expect("fits");
        let keys = StreamKeys::derive(&Secret::new([number; 32]), &head, [number; 16], Profile::Aead, Aead::Aes256Gcm);
        stream_header::encode(&head, &keys, &keys.epoch(0).expect("the first"), 0, &description(), None).expect("fits")
    };
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("pass"), "not this 100\n").expect("written");
    let mut identities = Identities::default();
    identities.set_passphrase_file(&dir.path().join("pass")).expect("a passphrase");
    let tried = |number: u8| identities.unlock(&RawStreamHeader::split(&header(number)).expect("whole")).map(drop);
    for number in 0..8 {
        assert!(matches!(tried(number), Err(Error::WrongKey)), "{number}");
    }
    assert!(matches!(tried(8), Err(Error::TooManyPassphrases)));
    assert!(matches!(tried(7), Err(Error::TooManyPassphrases)), "another salt is another group");
}

/// An application that answers with a file that is not there, or with nothing, is not asked again for each header.
#[test]
fn who_answers_in_vain_is_not_asked_for_ever() {
    let answers: [fn() -> crate::Result<Option<Identities>>; 3] = [
        || Ok(None),
        || Err(Error::Refused("no such file")),
        || {
            let mut other = Identities::default();
            other.set_preshared(Secret::new([9; 32]));
            Ok(Some(other))
        },
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let asked = Arc::new(AtomicUsize::new(0));
        let here = asked.clone();
        let source: KeySource = Box::new(move |_| {
            here.fetch_add(1, Relaxed);
            answer()
        });
        let mut reader = StreamReader::new(Arc::default(), ReaderPolicy::default()).asking(Some(source));
        let (begun, mut headers) = (Instant::now(), 0);
        while headers < 50 {
            let header = writer(Profile::Aead, Aead::Aes256Gcm).describe(&description()).expect("fits");
            reader.header(&header).expect_err("nothing opens it");
            headers += 1;
        }
        let most = 1 + begun.elapsed().as_secs() as usize;
        assert!((1..=most).contains(&asked.load(Relaxed)), "answer {number}: asked {asked:?} times");
    }
}

/// Who knows a recipient can make headers that take a million steps and do not open in the end.
#[test]
fn headers_of_far_epochs_that_do_not_open_are_not_tried_for_ever() {
    let header = |number: u8, damaged: bool| {
        let (root, stream_id) = (Secret::new([number; 32]), [number; 16]);
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new(PSK));
        let groups = recipients.wrap(&root, &stream_id, &[4; 32]).expect("wraps");
        let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &stream_id, &groups).expect("fits");
        let keys = StreamKeys::derive(&root, &head, stream_id, Profile::Aead, Aead::Aes256Gcm);
        let epoch = keys.epoch(5000).expect("within limits");
        let mut header = stream_header::encode(&head, &keys, &epoch, 0, &description(), None).expect("fits");
        if damaged {
            *header.last_mut().expect("a tag") ^= 1;
        }
        header
    };
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let identities = Arc::new(identities);
    let read = |header: &[u8]| {
        // As the command line does it: a reader for each header.
        StreamReader::new(identities.clone(), ReaderPolicy::default()).header(header)
    };
    assert_eq!(read(&header(0, false)).expect("opens"), HeaderNews::NewStream);
    for number in 1..9 {
        assert!(matches!(read(&header(number, true)), Err(Error::Forged(_))), "{number}");
    }
    assert!(matches!(read(&header(9, true)), Err(Error::Refused(_))), "enough for a minute");
    assert!(matches!(read(&header(9, false)), Err(Error::Refused(_))), "nobody knows which one is good");
}

/// A frame of an epoch that nothing tells costs no step of the ratchet.
#[test]
fn fail_frames_of_epochs_that_no_description_tells() {
    let mut writer = writer(Profile::Aead, Aead::Aes256Gcm);
    let mut sealer = FrameSealer::new(writer.keys(), engine());
    let mut reader = reader();
    let mut packet = Vec::new();
    reader.header(&writer.describe(&description()).expect("fits")).expect("opens");
    for epoch in 0..2 {
        let ticket = writer.frame(10).expect("within limits");
        sealer.seal_packet(ticket, &Record::default(), &[0; 10][..], &mut packet).expect("seals");
        assert_eq!(reader.frame(packet.first_chunk().expect("a header")).is_ok(), epoch == 0);
        writer.rekey().expect("within limits");
    }
}

/// More descriptions than a reader keeps: who goes back in a file learns the first ones again.
#[test]
fn a_reader_that_goes_back_learns_old_descriptions_again() {
    let mut writer = writer(Profile::Aead, Aead::Aes256Gcm);
    let mut reader = reader();
    let mut headers = Vec::new();
    for _ in 0..300 {
        headers.push(writer.describe(&description()).expect("fits"));
        reader.header(headers.last().expect("one")).expect("opens");
        writer.rekey().expect("within limits");
    }
    assert!(reader.description(0, 0).is_none(), "as many as are kept");
    reader.reset_window();
    for (number, header) in headers.iter().enumerate().take(5) {
        let news = reader.header(header).expect("opens");
        let counter = number as u64;
        // With the first one it joins anew: what lies before is not missing.
        let wanted = if number == 0 { HeaderNews::Repeated } else { HeaderNews::NewDescription(counter) };
        assert_eq!(news, wanted);
        assert!(reader.description(counter, number as u32).is_some());
    }
    assert!(reader.description(299, 299).is_some(), "the newest stays");
    assert_eq!(reader.lost(), 0);
}

#[test]
fn torn_packets_cost_only_themselves() {
    let lengths = [700, 700, 700, 700];
    let packets = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &lengths);
    for cut in 1..packets[2].len() {
        let torn: Vec<u8> = packets
            .iter()
            .enumerate()
            .flat_map(|(i, p)| if i == 2 { &p[..p.len() - cut] } else { &p[..] })
            .copied()
            .collect();
        for chunk in [64, 901, usize::MAX] {
            let outcome = read(&torn, chunk, &lengths);
            assert_eq!(outcome.opened, [1, 3, 4], "cut {cut}, chunk {chunk}");
            assert!(outcome.ended && (outcome.rejected > 0 || outcome.skipped > 0));
        }
    }
}

#[test]
fn a_torn_frame_does_not_swallow_the_end_of_the_bytes() {
    let lengths = [10, 700];
    let packets = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &lengths);
    let missing = packets[3].len();
    let torn = [&packets[0][..], &packets[1], &packets[2][..packets[2].len() - missing], &packets[3]].concat();
    for chunk in [64, 901, usize::MAX] {
        let outcome = read(&torn, chunk, &lengths);
        assert_eq!((outcome.opened, outcome.ended), (vec![1], true), "chunk {chunk}");
    }
}

#[test]
fn every_truncation_keeps_the_whole_packets_before_it() {
    let lengths = [20, 500, 3];
    let packets = packets(&mut writer(Profile::Chaos, Aead::ChaCha20Poly1305), &lengths);
    let stream = packets.concat();
    for len in packets[0].len()..stream.len() {
        let mut end = packets[0].len();
        let whole = packets[1..4]
            .iter()
            .take_while(|p| {
                end += p.len();
                end <= len
            })
            .count();
        let outcome = read(&stream[..len], 128, &lengths);
        assert_eq!((outcome.opened.len(), outcome.ended), (whole, false), "{len} bytes");
    }
}

#[test]
fn fail_wrong_keys_and_other_streams() {
    let header = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &[])[0].clone();
    let mut identities = Identities::default();
    assert!(matches!(
        StreamReader::new(Arc::new(Identities::default()), ReaderPolicy::default()).header(&header),
        Err(Error::NoKey(_))
    ));
    identities.set_preshared(Secret::new([8; 32]));
    let mut wrong = StreamReader::new(Arc::new(identities), ReaderPolicy::default());
    for _ in 0..2 {
        assert!(matches!(wrong.header(&header), Err(Error::WrongKey)));
    }
    let mut reader = reader();
    assert_eq!(reader.header(&header).expect("ours"), HeaderNews::NewStream);
    assert_eq!(reader.header(&header).expect("ours"), HeaderNews::Repeated);
    let other = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &[])[0].clone();
    assert!(matches!(reader.header(&other), Err(Error::OtherStream)));
    let research = packets(&mut writer(Profile::Chaos, Aead::Aes256Gcm), &[])[0].clone();
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let mut strict = StreamReader::new(Arc::new(identities), ReaderPolicy::default());
    assert!(matches!(strict.header(&research), Err(Error::ProfileNotAccepted("chaos"))));
}

#[test]
fn a_damaged_header_does_not_lock_out_the_whole_one() {
    let header = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &[])[0].clone();
    for byte in 0..header.len() {
        let mut damaged = header.clone();
        damaged[byte] ^= 4;
        let mut reader = reader();
        assert!(reader.header(&damaged).is_err(), "byte {byte}");
        assert_eq!(reader.header(&header).expect("whole"), HeaderNews::NewStream, "byte {byte}");
    }
}

#[test]
fn fail_descriptions_that_contradict_the_stream() {
    let mut writer = writer(Profile::Hardened, Aead::Aes256Gcm);
    let mut reader = reader();
    let first = writer.describe(&description()).expect("fits");
    reader.header(&first).expect("ours");
    for (other, news) in [
        (Description { caps: "audio/x-raw".into(), ..description() }, Some(HeaderNews::NewDescription(1))),
        (Description { tracks: 2, ..description() }, None),
        (Description { recording: [1; 16], ..description() }, None),
        (description(), Some(HeaderNews::NewDescription(4))),
    ] {
        assert_eq!(reader.header(&writer.describe(&other).expect("fits")).ok(), news);
    }
    assert_eq!(reader.header(&first).expect("ours"), HeaderNews::Repeated);
    assert_eq!(reader.description(1, 0).expect("told").caps, "audio/x-raw");
}

#[test]
fn as_many_recipients_as_can_be_added_can_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let recipient = create_identity(&dir.path().join("alice")).expect("written");
    let mut recipients = Recipients::default();
    while recipients.add(&recipient).is_ok() {}
    let secrets = StreamSecrets::random().expect("random");
    let mut writer = StreamWriter::new(Profile::Aead, Aead::Aes256Gcm, &recipients, secrets).expect("valid");
    let header = writer.describe(&description()).expect("fits");
    let mut identities = Identities::default();
    identities.add_file(&dir.path().join("alice")).expect("an identity");
    StreamReader::new(Arc::new(identities), ReaderPolicy::default()).header(&header).expect("opens");
}

#[test]
fn a_bad_key_group_does_not_keep_the_others_from_opening() {
    let dir = tempfile::tempdir().expect("a folder");
    create_identity(&dir.path().join("alice")).expect("written");
    let (root, stream_id) = (Secret::new([2; 32]), [3; 16]);
    let mut recipients = Recipients::default();
    recipients.set_preshared(Secret::new(PSK));
    let mut groups = recipients.wrap(&root, &stream_id, &[4; 32]).expect("wraps");
    let mut identities = Identities::default();
    identities.add_file(&dir.path().join("alice")).expect("an identity");
    let header = |groups: &[KeyGroup]| {
        let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &stream_id, groups).expect("fits");
        let keys = StreamKeys::derive(&root, &head, stream_id, Profile::Aead, Aead::Aes256Gcm);
        stream_header::encode(&head, &keys, &keys.epoch(0).expect("the first"), 0, &description(), None).expect("fits")
    };
    groups.insert(0, KeyGroup { kind: 1, bytes: b"no age file".to_vec() });
    let header = header(&groups);
    let raw = RawStreamHeader::split(&header).expect("whole");
    assert!(matches!(identities.unlock(&raw), Err(Error::Refused(_))));
    identities.set_preshared(Secret::new(PSK));
    identities.unlock(&raw).expect("by the second group");
}

#[test]
fn every_recipient_opens_the_stream() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str| dir.path().join(name);
    let alice = create_identity(&file("alice")).expect("written");
    let bob = create_identity(&file("bob")).expect("written");
    create_preshared(&file("psk")).expect("written");
    create_identity(&file("mallory")).expect("written");
    std::fs::write(file("pass"), "correct horse\n").expect("written");
    std::fs::write(file("list"), format!("# two\n{alice}\n\n{bob}\n")).expect("written");
    let mut recipients = Recipients::default();
    recipients.add_file(&file("list")).expect("two recipients");
    recipients.set_preshared_file(&file("psk")).expect("a key");
    recipients.set_passphrase_file(&file("pass")).expect("a passphrase");
    let secrets = StreamSecrets::random().expect("random");
    let mut writer = StreamWriter::new(Profile::Aead, Aead::Aes256Gcm, &recipients, secrets).expect("valid");
    let header = writer.describe(&description()).expect("fits");
    let open = |set: &dyn Fn(&mut Identities)| {
        let mut identities = Identities::default();
        set(&mut identities);
        StreamReader::new(Arc::new(identities), ReaderPolicy::default()).header(&header)
    };
    for name in ["alice", "bob"] {
        assert!(open(&|i| i.add_file(&file(name)).expect("an identity")).is_ok(), "{name}");
    }
    assert!(open(&|i| i.set_preshared_file(&file("psk")).expect("a key")).is_ok());
    assert!(open(&|i| i.set_passphrase_file(&file("pass")).expect("a passphrase")).is_ok());
    assert!(matches!(open(&|i| i.add_file(&file("mallory")).expect("an identity")), Err(Error::WrongKey)));
    assert!(
        Recipients::default().add("AGE-SECRET-KEY-1QQQ").expect_err("a secret").to_string().contains("secret identity")
    );
    assert!(create_identity(&file("alice")).expect_err("exists").to_string().contains("exists already"));
}

/// Two cameras, three recipients of which each camera seals to two, two streams of each, three epochs: a frame opens with
/// the keys of its own recipient, stream and epoch and with no others, whatever a header claims.
#[test]
fn fail_every_key_but_the_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let names = ["alice", "bob", "carol"];
    let recipients = names.map(|name| create_identity(&dir.path().join(name)).expect("written"));
    let identities = names.map(|name| {
        let mut identities = Identities::default();
        identities.add_file(&dir.path().join(name)).expect("an identity");
        Arc::new(identities)
    });
    struct Sealed {
        camera: usize,
        stream: usize,
        header: Arc<Vec<u8>>,
        epoch: u32,
        packet: Vec<u8>,
    }
    let mut sealed = Vec::new();
    for (camera, stream) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut to = Recipients::default();
        [camera, camera + 1].into_iter().for_each(|number| to.add(&recipients[number]).expect("a recipient"));
        let secrets = StreamSecrets::random().expect("random");
        let mut writer = StreamWriter::new(Profile::Hardened, Aead::Aes256Gcm, &to, secrets).expect("valid");
        let mut sealer = FrameSealer::new(writer.keys(), engine());
        for epoch in 0..3 {
            let header = writer.describe(&description()).expect("fits");
            let ticket = writer.frame(300).expect("within limits");
            let record = Record { description: ticket.description(), ..Record::default() };
            let mut packet = Vec::new();
            sealer.seal_packet(ticket, &record, &bytes(300)[..], &mut packet).expect("seals");
            sealed.push(Sealed { camera, stream, header, epoch, packet });
            writer.rekey().expect("within limits");
        }
    }
    let (mut opened, mut tried) = (0, 0);
    for lock in &sealed {
        for (recipient, identities) in identities.iter().enumerate() {
            let mut reader = StreamReader::new(identities.clone(), ReaderPolicy::default());
            let allowed = [lock.camera, lock.camera + 1].contains(&recipient);
            match reader.header(&lock.header) {
                Ok(_) => assert!(allowed, "{} opens a stream that is not for it", names[recipient]),
                Err(error) => {
                    assert!(!allowed && matches!(error, Error::WrongKey), "{error}");
                    continue;
                }
            }
            let keys = reader.keys().expect("open");
            for frame in &sealed {
                let own_stream = (frame.camera, frame.stream) == (lock.camera, lock.stream);
                for epoch in 0..3 {
                    // The header is made to fit the keys that are tried: only the seal stands between.
                    let claimed = FrameHeader::claimed(frame.packet.first_chunk().expect("a header")).expect("valid");
                    let claim = FrameHeader { stream_id: keys.stream_id, epoch, ..claimed };
                    let (prefix, payload) = frame.packet.split_at(claim.prefix_len());
                    let prefix = [&claim.encode(&keys)[..], &prefix[FRAME_HEADER_BYTES..]].concat();
                    let mut out = Vec::new();
                    let result = FrameOpener::new(keys.clone(), engine()).open(&prefix, payload, &mut out);
                    tried += 1;
                    match own_stream && epoch == frame.epoch {
                        true => assert!(result.is_ok() && out == bytes(300)),
                        false => assert!(result.is_err() && out.iter().all(|&byte| byte == 0)),
                    }
                    opened += usize::from(result.is_ok());
                }
            }
        }
    }
    // Of 12 headers, each open to 2 of 3 recipients, with 3 epochs over 12 frames.
    assert_eq!((tried, opened), (12 * 2 * 12 * 3, 12 * 2 * 3));
}

#[test]
fn cipher_pictures_survive_and_show_nothing_unverified() {
    for (name, width, height) in
        [("GRAY8", 16, 16), ("I420", 17, 13), ("I420", 320, 240), ("RGB", 1, 1), ("NV12", 641, 479)]
    {
        for profile in Profile::ALL {
            let layout = FrameLayout::new(Format::from_name(name).expect("known"), width, height, false).expect("fits");
            let len = layout.payload_bytes();
            let mut writer = writer(profile, Aead::Aes256Gcm);
            let header = writer.describe(&description()).expect("fits");
            let picture = PictureLayout::new(layout, profile, header.len()).expect("fits");
            let mut sealer = FrameSealer::new(writer.keys(), engine());
            let (mut prefix, mut payload) = (Vec::new(), Vec::new());
            let source = |out: &mut [u8]| {
                out.copy_from_slice(&bytes(len));
                Ok(())
            };
            let ticket = writer.frame(len).expect("within limits");
            sealer.seal(ticket, &Record::default(), source, &mut prefix, &mut payload).expect("seals");
            // Padding of seven bytes a row, with a mark that must stay.
            let mut planes: Vec<(Vec<u8>, usize)> = picture
                .cipher
                .planes()
                .iter()
                .map(|p| (vec![0xC3; (p.row_bytes + 7) * p.rows], p.row_bytes + 7))
                .collect();
            let mut out: Vec<PlaneMut> =
                planes.iter_mut().map(|(data, stride)| PlaneMut { data, stride: *stride }).collect();
            picture.fill(&header, &prefix, &payload, &mut out, &mut Vec::new()).expect("fits");
            let open = |planes: &[(Vec<u8>, usize)]| {
                let views: Vec<Plane> = planes.iter().map(|(data, stride)| Plane { data, stride: *stride }).collect();
                let mut cipher = CipherPicture::default();
                cipher.read(&picture.cipher, &views)?;
                assert_eq!(cipher.size, (width, height));
                let mut reader = reader();
                reader.header(cipher.header())?;
                let mut out = Vec::new();
                FrameOpener::new(reader.keys().expect("open"), engine())
                    .open(cipher.prefix(), &cipher.payload, &mut out)
                    .map(|_| out)
            };
            assert!(open(&planes).expect("opens") == bytes(len), "{name} {width}x{height} {profile:?}");
            for plane in 0..planes.len() {
                let row_bytes = picture.cipher.planes()[plane].row_bytes;
                let (total, stride) = (planes[plane].0.len(), planes[plane].1);
                for at in (0..total).step_by((total / 97).max(1)) {
                    let visible = at % stride < row_bytes;
                    planes[plane].0[at] ^= 0x10;
                    assert_eq!(open(&planes).is_err(), visible, "{name} {profile:?} plane {plane} byte {at}");
                    planes[plane].0[at] ^= 0x10;
                }
            }
        }
    }
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
