//! A part of a long recording, by `decrypt --from --to`: little of the file is read for it.

use std::{
    path::Path,
    process::{Command, Output},
    time::Instant,
};

use gst::prelude::*;
use gstchaosveil::analysis::random::Random;
use serde_json::json;

use super::{
    line::{self, Key},
    record::{number, record},
};

const PART_SECONDS: u64 = 10;
const PARTS: usize = 9;
/// As much may be read as so many seconds take in the mean: a hundredth of an hour.
const ALLOWED_SECONDS: u64 = 36;
/// H.264 with a picture every second that can be decoded by itself, and sound.
const LINE: &str = "matroskamux name=mux ! filesink name=file \
     videotestsrc name=video pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 \
     ! x264enc key-int-max=25 speed-preset=ultrafast threads=1 ! h264parse ! queue ! mux. \
     audiotestsrc name=audio samplesperbuffer=48000 wave=pink-noise ! audio/x-raw,rate=48000,channels=1 ! opusenc ! queue ! mux.";

#[test]
fn a_part_of_a_long_recording_is_read_alone() {
    line::init();
    let missing =
        ["x264enc", "h264parse", "opusenc"].into_iter().find(|name| gst::ElementFactory::find(name).is_none());
    if let Some(missing) = missing {
        assert!(std::env::var_os("REQUIRE_PLUGINS").is_none_or(|value| value != "1"), "missing element: {missing}");
        println!("skipped: no element {missing}");
        return;
    }
    let seconds = number("ENDURANCE_EXCERPT_SECONDS", 60);
    assert!(seconds >= 60, "a recording of which {PART_SECONDS} seconds are little");
    let (key, folder) = (Key::new(), tempfile::tempdir().expect("a temporary folder"));
    let [plain, sealed, part] = ["plain.mkv", "sealed.cveil", "part.mkv"].map(|name| folder.path().join(name));
    let start = Instant::now();
    make(&plain, seconds);
    println!("excerpt: made {seconds} s in {:.0?}", start.elapsed());
    chaosveil("encrypt", &key, &plain, &sealed, &[]);
    println!("excerpt: sealed after {:.0?}", start.elapsed());
    let mut random = Random::new(&[4; 32], "excerpts");
    let mut parts: Vec<_> = (0..PARTS)
        .map(|_| {
            let from = random.below((seconds - PART_SECONDS) as usize) as u64;
            let span = ["--from", &from.to_string(), "--to", &(from + PART_SECONDS).to_string(), "--force"];
            let begun = Instant::now();
            let ran = chaosveil("decrypt", &key, &sealed, &part, &span);
            let took = begun.elapsed().as_millis() as u64;
            let (read, all) = bytes_read(&ran);
            println!("excerpt: {PART_SECONDS} s from {from} s on: {read} of {all} bytes, {took} ms");
            assert!(read <= all * ALLOWED_SECONDS / seconds, "from {from} s: {read} of {all} bytes");
            let least = all / seconds * PART_SECONDS / 3;
            assert!(part.metadata().is_ok_and(|part| part.len() > least), "the part is there");
            (took, read, all)
        })
        .collect();
    parts.sort();
    let most = parts.iter().map(|(_, read, _)| *read).max().expect("parts");
    let figures = json!({
        "recording_seconds": seconds, "recording_bytes": parts[0].2, "parts": PARTS, "part_seconds": PART_SECONDS,
        "bytes_read_most": most, "share_read_most": most as f64 / parts[0].2 as f64,
        "program_ms_median": parts[PARTS / 2].0, "program_ms_longest": parts[PARTS - 1].0,
    });
    record("excerpt", figures);
}

fn make(path: &Path, seconds: u64) {
    let parsed = gst::parse::launch(LINE).unwrap_or_else(|error| panic!("{LINE}: {error}"));
    let pipeline = parsed.downcast::<gst::Pipeline>().expect("several elements");
    let element = |name: &str| pipeline.by_name(name).expect("in the line");
    element("video").set_property("num-buffers", (seconds * 25) as i32);
    element("audio").set_property("num-buffers", seconds as i32);
    element("file").set_property("location", path);
    pipeline.set_state(gst::State::Playing).expect("starts");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let last = bus.timed_pop_filtered(gst::ClockTime::NONE, &kinds).expect("no end of waiting");
    pipeline.set_state(gst::State::Null).expect("stops");
    assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
}

fn chaosveil(command: &str, key: &Key, input: &Path, output: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_chaosveil");
    let mut program = Command::new(program);
    program.arg(command).arg("-k").arg(key.path()).arg(input).arg("-o").arg(output).args(arguments);
    let ran = program.output().expect("runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    ran
}

/// Bytes read, and those of the file, as the program tells them.
fn bytes_read(ran: &Output) -> (u64, u64) {
    let said = String::from_utf8_lossy(&ran.stderr);
    let line = said.lines().find(|line| line.ends_with("have been read")).expect("a line that says so");
    let numbers: Vec<u64> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}
