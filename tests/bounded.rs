//! What hostile bytes may cost: 64 MiB more than a sound stream does, at its peak, for `chaosdec`, for `chaosveil verify`, and
//! hostile indexes for `decrypt --from`. What each one took, in memory and time, is printed, and recorded as the endurance
//! tests do.
//!
//! A passphrase is another matter: to try one costs what its writer chose, up to log N 20, which is a gigabyte, and is
//! meant to be dear. Here is asked that dearer ones are refused before they cost anything, and that many are not tried.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gstchaosveil::seal::{
    Aead, Description, Identities, Index, IndexPoint, IndexedDescription, Profile, ReaderPolicy, Recipients,
    StreamReader, StreamSecrets, StreamWriter, limits,
};
use serde_json::{Value, json};

#[path = "endurance/record.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod record;

const ALLOWED_BYTES: u64 = 64 << 20;
/// No input may keep a reader busy for longer than this, however loaded the machine is.
const DEADLINE: Duration = Duration::from_secs(240);
const HEADER_BYTES: usize = 65_536;

/// Which key of the kit the reader holds.
#[derive(Clone, Copy)]
enum Key {
    Preshared,
    Identity,
    Passphrase,
}

impl Key {
    fn path(self) -> PathBuf {
        kit(match self {
            Key::Preshared => "preshared.key",
            Key::Identity => "identity.key",
            Key::Passphrase => "passphrase.txt",
        })
    }

    /// As the element's property; the option of the command has the same name.
    fn property(self) -> &'static str {
        match self {
            Key::Preshared => "key-file",
            Key::Identity => "identity-file",
            Key::Passphrase => "passphrase-file",
        }
    }
}

fn kit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit").join(name)
}

fn forged(name: &str) -> Vec<u8> {
    fs::read(kit(name)).expect("a file of the kit")
}

/// Bytes that were never sealed, in pieces that are made one after the other.
struct Hostile {
    name: &'static str,
    key: Key,
    pieces: usize,
    piece: Box<dyn Fn(usize) -> Vec<u8>>,
}

fn hostile(name: &'static str, key: Key, pieces: usize, piece: impl Fn(usize) -> Vec<u8> + 'static) -> Hostile {
    Hostile { name, key, pieces, piece: Box::new(piece) }
}

/// A whole stream header of `len` bytes with another stream id for each number, one key group and zeros behind.
fn header(number: usize, len: usize, kind: u8, fill: &[u8]) -> Vec<u8> {
    let group = len - 40 - 4 - 72 - 16;
    let mut out = b"CVEILHDR\x01\x03\x01\x00".to_vec();
    out.extend_from_slice(&(44 + group as u32).to_le_bytes());
    out.extend_from_slice(&[&(number as u64).to_le_bytes()[..], &[7; 8]].concat());
    out.extend_from_slice(&786_432_u32.to_le_bytes());
    out.extend_from_slice(&[1, 0, 0, 0, kind, 0]);
    out.extend_from_slice(&(group as u16).to_le_bytes());
    out.extend(fill.iter().copied().cycle().take(group));
    out.resize(len, 0);
    out
}

/// An age file with a scrypt stanza of its own salt, as the only key group.
fn passphrase_header(number: usize, log_n: u8) -> Vec<u8> {
    // The last digit of base64 has two bits.
    let salt: String = format!("{number:021}A");
    let body = "A".repeat(43);
    let file = format!("age-encryption.org/v1\n-> scrypt {salt} {log_n}\n{body}\n--- {body}\n");
    let len = 40 + 4 + 72 + 16 + file.len() + 48;
    header(number, len, 2, [file.as_bytes(), &[0; 48]].concat().as_slice())
}

fn all() -> Vec<Hostile> {
    let sound = || forged("sound-aead-aes-256-gcm.cveil");
    let claims_512_mib = || {
        let whole = forged("frame-512-mib.cveil");
        // What follows the claim in the kit is of no use here.
        let at = whole.windows(8).rposition(|window| window == [0, 0, 0, 0x20, 12, 0, 0, 0]).expect("the claim");
        whole[..at + 24].to_vec()
    };
    vec![
        hostile("heads of 2^32 - 1 bytes", Key::Preshared, 10_000, |_| forged("head-length-2-32.cveil")),
        hostile("descriptions of 2^32 - 1 bytes", Key::Preshared, 10_000, |_| forged("description-2-32.cveil")),
        hostile("headers of 65,536 bytes, each of another stream", Key::Preshared, 1000, |number| {
            header(number, HEADER_BYTES, 77, &[0])
        }),
        hostile("headers that are all recipients", Key::Identity, 120, |number| {
            header(number, HEADER_BYTES, 1, b"age-encryption.org/v1\n-> X25519\n-> a\n")
        }),
        hostile("a million recipients", Key::Identity, 120, |number| header(number, HEADER_BYTES, 1, b"\n-> ")),
        hostile("key groups that are no age files", Key::Identity, 1000, |number| {
            header(number, HEADER_BYTES, 1, b"age-encryption.org/v1\n-> grease\n")
        }),
        hostile("headers within headers", Key::Identity, 16, |number| {
            // Each 48 bytes begin a header that ends 60 kB later, in zeros that say that its description is empty.
            let mut out = header(0, 60_108, 1, &[0])[..48].repeat(HEADER_BYTES / 48);
            for (start, bytes) in out.chunks_mut(48).enumerate() {
                bytes[16..20].copy_from_slice(&((number << 16 | start) as u32).to_le_bytes());
            }
            out
        }),
        hostile("scrypt of log N 21", Key::Passphrase, 1000, |number| passphrase_header(number, 21)),
        hostile("scrypt of log N 63", Key::Passphrase, 1000, |number| passphrase_header(number, 63)),
        hostile("a thousand passphrases of log N 10", Key::Passphrase, 1000, |number| passphrase_header(number, 10)),
        hostile("frames of 2^32 - 1 bytes", Key::Preshared, 10_000, |_| forged("frame-2-32.cveil")),
        hostile("records of 65,536 bytes", Key::Preshared, 10_000, |_| forged("record-65536.cveil")),
        hostile("a frame of 512 MiB that does not come", Key::Preshared, 2, move |number| match number {
            0 => claims_512_mib(),
            _ => vec![0; 8 << 20],
        }),
        hostile("beginnings of a recorded frame", Key::Preshared, 100_000, move |number| {
            let whole = sound();
            let at = whole.windows(8).position(|window| window == b"CVEILFRM").expect("a frame");
            if number == 0 { whole[..at].to_vec() } else { whole[at..at + 120].to_vec() }
        }),
        hostile("no packet at all", Key::Preshared, 64, |number| vec![b"CVEILHDR"[number % 8]; 1 << 20]),
    ]
}

/// One after the other: each test measures, and the machine has other work.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn chaosdec_stays_small() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    gst::init().expect("GStreamer starts");
    gstchaosveil::gst::register_elements().expect("the elements register");
    // What is loaded once, and the pools of a stream.
    for key in [Key::Preshared, Key::Identity, Key::Passphrase] {
        decode(&hostile("sound", key, 1, |_| forged("sound-aead-aes-256-gcm.cveil")));
    }
    hold("chaosdec", all(), decode);
}

/// Peak memory of this process over what it has before, while an element reads all of it.
fn decode(hostile: &Hostile) -> u64 {
    // The test's own pieces are small, but for those that are not.
    let line = format!(
        "appsrc name=src block=true max-bytes=1048576 caps=application/x-chaosveil ! chaosdec {}={} ! fakesink sync=false",
        hostile.key.property(),
        hostile.key.path().display()
    );
    let pipeline = gst::parse::launch(&line).expect("parses").downcast::<gst::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("src").and_downcast::<gst_app::AppSrc>().expect("in the line");
    // A 5 makes the kernel forget the peak (proc(5)).
    fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process ask this of itself");
    let before = status_bytes("self", "VmRSS:").expect("running");
    pipeline.set_state(gst::State::Playing).expect("starts");
    for number in 0..hostile.pieces {
        // An element that has given up takes no more, and that is well.
        if source.push_buffer(gst::Buffer::from_mut_slice((hostile.piece)(number))).is_err() {
            break;
        }
    }
    let _ = source.end_of_stream();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let last = bus.timed_pop_filtered(gst::ClockTime::from_seconds(DEADLINE.as_secs()), &kinds);
    pipeline.set_state(gst::State::Null).expect("stops");
    let peak = status_bytes("self", "VmHWM:").expect("running");
    assert!(last.is_some(), "{}: no end within {DEADLINE:?}", hostile.name);
    peak.saturating_sub(before)
}

#[test]
fn verify_stays_small() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let sound = |key| verify(&hostile("sound", key, 1, |_| forged("sound-aead-aes-256-gcm.cveil")));
    let idle = [Key::Preshared, Key::Identity, Key::Passphrase].map(sound).into_iter().max().expect("three");
    println!("verify, a sound file: {} MiB", idle >> 20);
    hold("verify", all(), |hostile| verify(hostile).saturating_sub(idle));
}

/// Peak memory of a process that verifies all of it.
fn verify(hostile: &Hostile) -> u64 {
    run(&["verify", "--json"], hostile)
}

/// Anyone can make them who can encrypt to the reader.
#[test]
fn a_part_takes_little_of_hostile_indexes() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let decrypt =
        |hostile: &Hostile| run(&["decrypt", "--from", "1", "--to", "2", "-o", "-", "--output-form", "mkv"], hostile);
    let idle = decrypt(&hostile("sound", Key::Preshared, 1, |_| forged("sound-aead-aes-256-gcm.cveil")));
    // More than fit into what is read of all indexes, and more than there may be streams.
    let full = hostile_indexes("full indexes", 50, limits::INDEX_POINTS as u64);
    let indexes = vec![full, hostile_indexes("as many indexes as may be", 260, 5000), one_index_again_and_again()];
    let grown = hold("decrypt --from", indexes, |hostile| decrypt(hostile).saturating_sub(idle));
    assert!(grown > 16 << 20, "they are read at all: {grown} bytes");
}

/// Streams of nothing but a header and, behind all of them, their indexes.
fn hostile_indexes(name: &'static str, streams: u16, points: u64) -> Hostile {
    let mut recipients = Recipients::default();
    recipients.set_preshared_file(&Key::Preshared.path()).expect("a key");
    let mut identities = Identities::default();
    identities.set_preshared_file(&Key::Preshared.path()).expect("a key");
    let identities = std::sync::Arc::new(identities);
    let (mut headers, mut opened) = (Vec::new(), Vec::new());
    for number in 0..streams {
        let mut id = [5; 16];
        id[..2].copy_from_slice(&number.to_le_bytes());
        let secrets = StreamSecrets::new([number as u8; 32], id, [3; 32]);
        let mut writer = StreamWriter::new(Profile::Aead, Aead::default(), &recipients, secrets).expect("valid");
        let description = Description { tracks: streams, track: number, caps: "x/y".into(), ..Description::default() };
        let header = writer.describe(&description).expect("fits");
        let mut reader = StreamReader::new(identities.clone(), ReaderPolicy::default());
        reader.header(&header).expect("opens");
        opened.push((headers.len() as u64, reader.keys().expect("open")));
        headers.extend_from_slice(&header);
    }
    hostile(name, Key::Preshared, 1 + opened.len(), move |piece| {
        let Some(number) = piece.checked_sub(1) else { return headers.clone() };
        let (offset, keys) = &opened[number];
        let points = (1..=points).map(|n| IndexPoint { counter: n, offset: offset + n, time: n }).collect();
        let descriptions = vec![IndexedDescription { counter: 0, offset: *offset }];
        Index { end: None, descriptions, points }.seal(keys).expect("in order")
    })
}

/// Behind a genuine index 200,000 that say that their stream's header is it; the last one tells the truth.
fn one_index_again_and_again() -> Hostile {
    const PIECES: usize = 200;
    let genuine = hostile_indexes("", 1, limits::INDEX_POINTS as u64);
    let [header, index] = [0, 1].map(|number| (genuine.piece)(number));
    let claim = move |header_offset: usize| {
        let mut packet = index_header_for(&(genuine.piece)(0), header_offset);
        packet.resize(144, 0);
        packet.extend_from_slice(&160_u64.to_le_bytes());
        packet.extend_from_slice(b"CVEILEND");
        packet
    };
    let misleading = claim(header.len()).repeat(1000);
    let last = claim(0);
    hostile("one index again and again", Key::Preshared, 3 + PIECES, move |number| match number {
        0 => header.clone(),
        1 => index.clone(),
        number if number == 2 + PIECES => last.clone(),
        _ => misleading.clone(),
    })
}

/// The header of an index packet of 160 bytes in all for the stream of some header, with no MAC that holds.
fn index_header_for(stream_header: &[u8], header_offset: usize) -> Vec<u8> {
    let mut header = b"CVEILIDX\x01\x00\x00\x00".to_vec();
    header.extend_from_slice(&40_u32.to_le_bytes());
    header.extend_from_slice(&stream_header[16..32]);
    header.extend_from_slice(&(header_offset as u64).to_le_bytes());
    header.resize(88, 0);
    header
}

/// Peak memory of a process that reads all of it from a file.
fn run(arguments: &[&str], hostile: &Hostile) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hostile.cveil");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).expect("a file"));
    (0..hostile.pieces).for_each(|number| file.write_all(&(hostile.piece)(number)).expect("room for it"));
    file.into_inner().expect("room for it");
    let mut child = Command::new(env!("CARGO_BIN_EXE_chaosveil"))
        .args(arguments)
        .arg(format!("--{}", hostile.key.property()))
        .args([hostile.key.path(), path])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    peak_of(&mut child, hostile.name)
}

/// Looks at it until it ends. The peak never falls, so that the last look has it, but for what the end itself takes.
fn peak_of(child: &mut Child, name: &str) -> u64 {
    let (start, mut peak) = (Instant::now(), 0);
    loop {
        peak = peak.max(status_bytes(&child.id().to_string(), "VmHWM:").unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.code().is_some(), "{name}: ended by a signal: {status}");
            return peak;
        }
        if start.elapsed() > DEADLINE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name}: no end within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Measures what each input takes, which may not be more than is allowed, says and records it, and returns the most. The
/// seconds are those of making the input too.
fn hold(reader: &str, inputs: Vec<Hostile>, measure: impl Fn(&Hostile) -> u64) -> u64 {
    let mut rows: Vec<Value> = Vec::new();
    for hostile in inputs {
        let start = Instant::now();
        let grown = measure(&hostile);
        let row = json!({ "input": hostile.name, "bytes_above_idle": grown, "seconds": start.elapsed().as_secs_f64() });
        println!("{reader}: {row}");
        rows.push(row);
    }
    let name = format!("bounded-{}", reader.replace(" --", "-"));
    record::record(&name, json!({ "bytes_allowed": ALLOWED_BYTES, "inputs": rows }));
    let too_much = rows.iter().filter(|row| row["bytes_above_idle"].as_u64() > Some(ALLOWED_BYTES));
    assert_eq!(too_much.count(), 0, "{rows:#?}");
    rows.iter().filter_map(|row| row["bytes_above_idle"].as_u64()).max().expect("inputs")
}

fn status_bytes(process: &str, name: &str) -> Option<u64> {
    let told = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
