//! What the library writes, opened by the independent reader in `tests/second_reader`.
//!
//! Needs a Python with `tests/requirements.txt`: CHAOSVEIL_PYTHON, else `.venv/bin/python` in the crate's root. Without
//! one the test says so and passes, unless REQUIRE_PYTHON=1. A passphrase is left out: its cost cannot be lowered, and
//! the group that it opens is read the other way round in `format_vectors`.

#[path = "scripts/python.rs"]
mod python;

use std::{fs, path::Path, process::Command};

use gstchaosveil::{
    backend::{self, Choice},
    seal::*,
};
use serde_json::{Value, json};

use python::python;

/// With segments and tiles of every kind; frames of several segments where no stage makes Python slow.
const LENGTHS: [usize; 6] = [0, 1, 257, 5000, 49_152, 60_000];
const LONG: usize = SEGMENT_BYTES + 1;

#[test]
fn opens_every_kind_of_stream() {
    let Some(python) = python("blake3, cryptography") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (identity, preshared) = (dir.path().join("identity"), dir.path().join("psk"));
    let recipient = create_identity(&identity).expect("written");
    create_preshared(&preshared).expect("written");
    for profile in Profile::ALL {
        for aead in Aead::ALL {
            for option in ["--psk", "--identity"] {
                let mut recipients = Recipients::default();
                let key = match option {
                    "--psk" => recipients.set_preshared_file(&preshared).map(|()| &preshared),
                    _ => recipients.add(&recipient).map(|()| &identity),
                };
                let path = dir.path().join("stream.cveil");
                let (expected, index) = write(&path, profile, aead, &recipients);
                let found = read(&python, &[option.as_ref(), key.expect("a key"), &path]);
                let context = format!("{profile:?} {aead:?} {option}");
                assert_eq!(found["intact"], true, "{context}");
                let stream = &found["streams"][0];
                assert_eq!(stream["profile"], profile.name(), "{context}");
                assert_eq!(stream["aead"], aead.name(), "{context}");
                assert_eq!(stream["descriptions"][0]["caps"], caps(0), "{context}");
                assert_eq!(stream["descriptions"][1]["caps"], caps(1), "{context}");
                assert_eq!(frames(stream), expected, "{context}");
                assert_eq!(stream["index"], index, "{context}");
            }
        }
    }
}

/// Writes frames with a new description before every third one, the end, and an index; returns the frames and the index
/// that a reader should find.
fn write(path: &Path, profile: Profile, aead: Aead, recipients: &Recipients) -> (Vec<Value>, Value) {
    let secrets = StreamSecrets::random().expect("random");
    let mut writer = StreamWriter::new(profile, aead, recipients, secrets).expect("valid");
    let engine = Engine { backend: backend::choose(Choice::Auto).expect("a backend"), pool: None };
    let mut sealer = FrameSealer::new(writer.keys(), engine);
    let mut seal = |ticket: Ticket, record: &Record, payload: &[u8]| {
        let mut packet = Vec::new();
        let source = |out: &mut [u8]| {
            out.copy_from_slice(payload);
            Ok(())
        };
        sealer.seal_packet(ticket, record, source, &mut packet).expect("seals");
        packet
    };
    let lengths = LENGTHS.into_iter().chain((!profile.runs_stage()).then_some(LONG));
    let mut draft = IndexDraft::new(writer.keys());
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    let (mut descriptions, mut points) = (Vec::new(), Vec::new());
    for (number, len) in lengths.enumerate() {
        if number % 3 == 0 {
            let description = Description { tracks: 1, caps: caps(number / 3), ..Description::default() };
            let header = writer.describe(&description).expect("fits");
            draft.place(&header, stream.len() as u64);
            // Counters of descriptions are those of the frames before them, and of other descriptions.
            descriptions.push(json!([number + number / 3, stream.len()]));
            stream.extend_from_slice(&header);
        }
        let payload: Vec<u8> = (0..len).map(|i| (i * 89 + (i >> 9) + number) as u8).collect();
        let ticket = writer.frame(len).expect("within limits");
        let pts = 500_000_000 * number as u64;
        let tags = Meta::Tags { tags: "taglist, title=(string)\"a clip\";".into() };
        let record =
            Record { pts: Some(pts), description: ticket.description(), metas: vec![tags], ..Record::default() };
        expected.push(json!([ticket.counter(), pts, len, blake3::hash(&payload).to_hex().as_str(), "tags"]));
        draft.note(ticket.counter(), Some(pts), Some(pts + 500_000_000));
        let (counter, offset) = (ticket.counter(), stream.len());
        let packet = seal(ticket, &record, &payload);
        draft.place(&packet, offset as u64);
        // Points are a second apart.
        if number % 2 == 0 {
            points.push(json!([counter, offset, pts]));
        }
        stream.extend(packet);
    }
    let end = 500_000_000 * expected.len() as u64;
    let (ticket, payload) = writer.end().expect("within limits");
    let record = Record { description: ticket.description(), ..Record::default() };
    stream.extend(seal(ticket, &record, &payload));
    stream.extend(draft.seal().expect("seals").expect("something was placed"));
    fs::write(path, stream).expect("written");
    (expected, json!({ "end": end, "descriptions": descriptions, "points": points }))
}

fn caps(number: usize) -> String {
    format!("video/x-h264, stream-format=(string)byte-stream, alignment=(string)au, width=(int){}", 320 + number)
}

/// Counter, presentation time, length, hash and meta of each frame that the reader found.
fn frames(stream: &Value) -> Vec<Value> {
    let list = stream["frame_list"].as_array().expect("a list");
    let fields = |f: &Value| json!([f["counter"], f["pts"], f["length"], f["blake3"], f["metas"][0]["type"]]);
    list.iter().map(fields).collect()
}

/// Runs the reader and returns what it prints.
fn read(python: &Path, arguments: &[&Path]) -> Value {
    let output = Command::new(python)
        .args(["-m", "second_reader", "--json"])
        .args(arguments)
        .current_dir(root().join("tests"))
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
