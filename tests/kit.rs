//! The kit of forged streams (tests/kit/README.md) against three readers: the library, `chaosveil verify`, and the second
//! reader in Python, which must all make of every file what `kit.json` says.
//!
//! The Python part needs what `second_reader` needs, and is skipped or failed likewise.

#[path = "scripts/python.rs"]
mod python;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use gstchaosveil::{
    Error, Result,
    backend::{self, Choice},
    seal::*,
};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Kit {
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    key: String,
    expected: String,
    frames: u64,
    released: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit")
}

fn kit() -> Vec<Entry> {
    let told = fs::read(folder().join("kit.json")).expect("kit.json");
    let kit: Kit = serde_json::from_slice(&told).expect("valid");
    assert!(kit.files.len() >= 40, "{} files", kit.files.len());
    kit.files
}

/// What differs from what the kit says, for every file: one run shows all of them.
fn differences(found: impl Fn(&Entry) -> Option<String> + Sync) -> String {
    kit().par_iter().filter_map(|entry| Some(format!("{}: {}\n", entry.file, found(entry)?))).collect()
}

#[test]
fn the_library_makes_of_it_what_it_should() {
    let wrong = differences(|entry| {
        let found = read(entry);
        let released = found.released.finalize().to_hex();
        let as_told = found.class() == entry.expected && released.as_str() == entry.released;
        (!as_told).then(|| format!("{}, not {}; {} frames", found.class(), entry.expected, found.frames))
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn verify_makes_of_it_what_it_should() {
    let wrong = differences(|entry| {
        let option = match entry.key.as_str() {
            "identity.key" => "--identity-file",
            "passphrase.txt" => "--passphrase-file",
            _ => "--key-file",
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaosveil"));
        command.args(["verify", "--json", option]).arg(folder().join(&entry.key)).arg(folder().join(&entry.file));
        let output = command.output().expect("runs");
        let (class, frames) = verified(&output.stdout, output.status.code());
        let as_told = class == entry.expected && frames == entry.frames;
        (!as_told).then(|| format!("{class}, not {}; {frames} of {} frames", entry.expected, entry.frames))
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Class and number of frames in what `verify` prints; the exit code says why nothing was opened.
fn verified(printed: &[u8], code: Option<i32>) -> (&'static str, u64) {
    let told: Value = serde_json::from_slice(printed).unwrap_or_default();
    let Some(stream) = told[0]["content"]["streams"].get(0) else {
        let class = match code {
            Some(3) => "no key",
            Some(4) => "header failure",
            _ => "neither code 3 nor 4",
        };
        return (class, 0);
    };
    let opened = &stream["opened"];
    let count = |name: &str| opened[name].as_u64().unwrap_or(0);
    let facts = Facts {
        ended: !opened["sealed_frames"].is_null(),
        replayed: count("replayed") + count("reordered"),
        refused: count("rejected") + told[0]["content"]["damaged_bytes"].as_array().map_or(0, Vec::len) as u64,
        complete: told[0]["whole"] == true,
    };
    let expected_code = if facts.complete { 0 } else { 4 };
    let class = if code == Some(expected_code) { facts.class() } else { "another exit code" };
    (class, count("intact_frames"))
}

#[test]
fn it_is_as_it_was_forged_and_the_second_reader_makes_of_it_what_it_should() {
    let Some(python) = python::python("blake3, cryptography") else { return };
    let output = Command::new(python).arg(folder().join("forge.py")).arg("--check").output().expect("Python runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

/// What decides the class of a file that could be opened.
struct Facts {
    ended: bool,
    replayed: u64,
    refused: u64,
    complete: bool,
}

impl Facts {
    /// In the order of README.md.
    fn class(&self) -> &'static str {
        match self {
            Facts { ended: false, .. } => "truncated",
            Facts { replayed: 1.., .. } => "replayed",
            Facts { refused: 1.., .. } => "frame failure",
            Facts { complete: false, .. } => "truncated",
            _ => "success",
        }
    }
}

// -- a reader of one stream, made of the library's parts -------------------------------------------------------------

/// What a file held.
#[derive(Default)]
struct Reading {
    wrong_key: bool,
    opened: bool,
    refused: u64,
    replayed: u64,
    frames: u64,
    released: blake3::Hasher,
    end: Option<EndRecord>,
    tracks: u16,
}

impl Reading {
    fn class(&self) -> &'static str {
        match (self.opened, self.wrong_key) {
            (false, true) => return "no key",
            (false, false) => return "header failure",
            _ => {}
        }
        let complete = self.tracks == 1 && self.end.is_some_and(|end| end.frames == self.frames);
        let (ended, refused) = (self.end.is_some(), self.refused);
        Facts { ended, replayed: self.replayed, refused, complete }.class()
    }
}

fn read(entry: &Entry) -> Reading {
    let mut identities = Identities::default();
    let key = folder().join(&entry.key);
    match entry.key.as_str() {
        "identity.key" => identities.add_file(&key),
        "passphrase.txt" => identities.set_passphrase_file(&key),
        _ => identities.set_preshared_file(&key),
    }
    .expect("a key file");
    let reader = StreamReader::new(Arc::new(identities), ReaderPolicy::default());
    let mut checks = Checks { reader, reading: Reading::default() };
    let bytes = fs::read(folder().join(&entry.file)).expect("a file of the kit");
    let (mut scanner, mut told, mut reached, mut astray) = (PacketScanner::default(), Vec::new(), 0, 0);
    // Bytes that belong to no packet, up to what begins like an index.
    let stray = |reached: usize, next: usize| {
        let between = bytes.get(reached..next).unwrap_or_default();
        between.windows(8).position(|window| window == b"CVEILIDX").unwrap_or(between.len())
    };
    let mut note = |offset: Offset, found: Found| {
        let len = match &found {
            Found::Header(bytes) | Found::Index(bytes) | Found::Frame(_, bytes) => bytes.len(),
            Found::Rejected(_) | Found::BadIndex => 0,
        };
        if len > 0 {
            astray += stray(reached, offset as usize);
            reached = reached.max(offset as usize + len);
        }
        if let Found::Frame(header, packet) = found {
            told.push((header, packet.to_vec()));
        }
    };
    // In pieces, so that one packet lies in several.
    for piece in bytes.chunks(111) {
        scanner.push(piece, &mut checks, &mut note);
    }
    scanner.finish(&mut checks, &mut note);
    checks.reading.refused += (astray + stray(reached, bytes.len())) as u64;
    for (header, packet) in told {
        checks.take(&header, &packet);
    }
    checks.reading.tracks = checks.reader.newest_description().map_or(0, |description| description.tracks);
    checks.reading
}

struct Checks {
    reader: StreamReader,
    reading: Reading,
}

impl Checks {
    fn open(&self, header: &FrameHeader, packet: &[u8]) -> Result<(Record, Vec<u8>)> {
        let engine = Engine { backend: backend::choose(Choice::Auto)?, pool: None };
        let keys = self.reader.keys().expect("a frame header has verified");
        let (prefix, payload) = packet.split_at(header.prefix_len());
        let mut out = Vec::new();
        FrameOpener::new(keys, engine).open(prefix, payload, &mut out).map(|(_, record)| (record, out))
    }

    fn take(&mut self, header: &FrameHeader, packet: &[u8]) {
        let Ok((record, payload)) = self.open(header, packet) else { return self.reading.refused += 1 };
        let fresh = self.reader.admit(header.counter) == Verdict::Fresh;
        match header.kind {
            _ if !fresh => self.reading.replayed += 1,
            Kind::Frame if self.reader.description(record.description, header.epoch).is_none() => {
                self.reading.refused += 1
            }
            Kind::Frame => {
                self.reading.frames += 1;
                let len = payload.len() as u32;
                self.reading.released.update(&header.counter.to_le_bytes()).update(&len.to_le_bytes()).update(&payload);
            }
            _ => match EndRecord::decode(header, &record, &payload) {
                Ok(end) => self.reading.end = Some(end),
                Err(_) => self.reading.refused += 1,
            },
        }
    }
}

impl Verifier for Checks {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        let taken = self.reader.header(bytes);
        self.reading.opened |= taken.is_ok();
        self.reading.wrong_key |= matches!(taken, Err(Error::WrongKey));
        taken.map(drop)
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        self.reader.frame(bytes)
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        self.reader.index_header(bytes)
    }

    fn opens_index(&mut self, packet: &[u8]) -> bool {
        Index::open(packet, &self.reader.keys().expect("its header has verified")).is_ok()
    }

    fn opens(&mut self, packet: &[u8]) -> bool {
        let header = self.reader.frame(packet.first_chunk().expect("a packet")).expect("verified before");
        self.open(&header, packet).is_ok()
    }
}
