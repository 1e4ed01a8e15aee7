//! The same counts from `chaosdec` in a pipeline, behind `chaosfault`, whose own counts must agree with what was seen to
//! go in and to come out of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use gst::prelude::*;
use serde_json::json;

use super::{
    line::{Key, Line, bytes},
    model::{self, Counts, Packet, Piece},
    record::{number, record},
};

const WINDOW: u64 = 1024;

/// The frame of a number.
fn frame(number: u64) -> gst::Buffer {
    let mut bytes = vec![0; 50 + (number % 97) as usize];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    let mut frame = gst::Buffer::from_mut_slice(bytes);
    let owned = frame.make_mut();
    owned.set_pts(gst::ClockTime::from_nseconds(number * 1_000_000_000 / 30));
    owned.set_duration(gst::ClockTime::from_nseconds(1_000_000_000 / 30));
    frame
}

/// What a packet is, read from FORMAT.md, sections 2 and 5. One stream has one description here.
fn packet_of(packet: &[u8]) -> Packet {
    let counter = || u64::from_le_bytes(packet[32..40].try_into().expect("eight bytes"));
    match (&packet[..8], packet[9]) {
        (b"CVEILHDR", _) => Packet::Header(0),
        (b"CVEILFRM", 0) => Packet::Frame(counter(), 0),
        (b"CVEILFRM", 1) => Packet::End(counter()),
        other => panic!("no packet begins with {other:?}"),
    }
}

/// What was seen before and behind `chaosfault`.
#[derive(Default)]
struct Seen {
    /// What went in.
    sent: Vec<Vec<u8>>,
    /// What came out, and its place among what went in.
    arrived: Vec<(usize, Piece)>,
    newest: usize,
    late: HashSet<usize>,
    copies: HashMap<usize, u64>,
}

impl Seen {
    /// A packet goes in. Its place is written where `chaosfault` leaves it alone.
    fn goes_in(&mut self, buffer: &mut gst::BufferRef) {
        buffer.set_offset(self.sent.len() as u64);
        self.sent.push(bytes(buffer));
    }

    fn comes_out(&mut self, buffer: &gst::BufferRef) {
        let place = buffer.offset() as usize;
        let (sent, came) = (&self.sent[place], bytes(buffer));
        let piece = Piece::of(packet_of(sent), sent, &came);
        if place < self.newest {
            self.late.insert(place);
        }
        self.newest = self.newest.max(place);
        *self.copies.entry(place).or_default() += 1;
        self.arrived.push((place, piece));
    }

    /// Lost, duplicated, reordered, truncated, flipped: each packet once.
    fn counts(&self) -> [u64; 5] {
        let once: HashMap<usize, Piece> = self.arrived.iter().copied().collect();
        let doubled = self.copies.values().filter(|&&copies| copies == 2).count() as u64;
        assert!(self.copies.values().all(|&copies| copies <= 2));
        let torn = once.values().filter(|piece| piece.left < piece.bytes).count() as u64;
        let flipped = once.values().filter(|piece| piece.flipped.is_some()).count() as u64;
        [(self.sent.len() - once.len()) as u64, doubled, self.late.len() as u64, torn, flipped]
    }
}

fn run(frames: u64, faults: &str) -> (Counts, [u64; 5]) {
    let key = Key::new();
    let (wrong, came) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (wrong_here, came_here) = (wrong.clone(), came.clone());
    let line = format!(
        "chaosenc profile=aead {key} ! chaosfault {faults} ! chaosdec replay-window={WINDOW} {key}",
        key = key.setting()
    );
    let seen = Arc::new(Mutex::new(Seen::default()));
    let line = Line::play(&line, move |buffer, _| {
        let time = buffer.pts().expect("every frame has a time");
        let number = (time.nseconds() * 30 + 500_000_000) / 1_000_000_000;
        wrong_here.fetch_add(u64::from(bytes(buffer) != bytes(&frame(number))), Relaxed);
        came_here.fetch_add(1, Relaxed);
    });
    let fault = line.element("chaosfault");
    let (before, behind) = (seen.clone(), seen.clone());
    fault.static_pad("sink").expect("it has one").add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let buffer = probe.buffer_mut().expect("a buffer's probe").make_mut();
        before.lock().expect("no panic").goes_in(buffer);
        gst::PadProbeReturn::Ok
    });
    fault.static_pad("src").expect("it has one").add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        behind.lock().expect("no panic").comes_out(probe.buffer().expect("a buffer's probe"));
        gst::PadProbeReturn::Ok
    });
    line.caps(&gst::Caps::new_empty_simple("application/x-anything"));
    (0..frames).for_each(|number| line.send(frame(number)).expect("the line takes it"));
    line.end().expect("it ends well");

    let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    let pieces: Vec<Piece> = seen.arrived.iter().map(|(_, piece)| *piece).collect();
    let [released, lost, reordered, replayed, rejected] =
        line.stats("chaosdec", ["frames-out", "lost", "reordered", "replayed", "rejected"]);
    let counts = Counts { released, lost, reordered, replayed, rejected };
    assert_eq!(counts, model::count(&pieces, WINDOW), "{faults}");
    assert_eq!((wrong.load(Relaxed), came.load(Relaxed)), (0, released), "{faults}");
    let told = line.stats("chaosfault", ["lost", "duplicated", "reordered", "truncated", "flipped"]);
    assert_eq!(told, seen.counts(), "{faults}");
    let [inside, outside] = line.stats("chaosfault", ["buffers-in", "buffers-out"]);
    assert_eq!((inside, outside), (seen.sent.len() as u64, pieces.len() as u64), "{faults}");
    (counts, told)
}

#[test]
fn elements_count_as_the_model_does() {
    let frames = number("ENDURANCE_ELEMENT_FRAMES", 2_000);
    assert_eq!(run(frames, ""), (Counts { released: frames, ..Counts::default() }, [0; 5]));
    let mut rows = Vec::new();
    for rate in ["0.001", "0.01", "0.1"] {
        for (fault, settings) in [
            ("loss", "loss=RATE"),
            ("reorder", "reorder=RATE reorder-distance=8"),
            ("duplication", "duplicate=RATE"),
            ("truncation", "truncate=RATE"),
            ("bit flip", "flip=RATE"),
            ("all together", "loss=RATE duplicate=RATE reorder=RATE reorder-distance=8 truncate=RATE flip=RATE"),
        ] {
            // Of this seed the first packet, a stream header, comes through.
            let (counts, told) = run(frames, &format!("seed=1 {}", settings.replace("RATE", rate)));
            let Counts { released, lost, reordered, replayed, rejected } = counts;
            println!("{fault} {rate}: {counts:?}, the line's own counts {told:?}");
            let line = ["lost", "duplicated", "reordered", "truncated", "flipped"];
            let line: HashMap<_, _> = line.into_iter().zip(told).collect();
            rows.push(json!({
                "fault": fault, "rate": rate, "frames": frames, "released": released, "lost": lost,
                "reordered": reordered, "replayed": replayed, "rejected": rejected, "line": line,
                "counts_differ_from_model": 0, "wrong_frames": 0,
            }));
        }
    }
    record("traces-elements", json!({ "replay_window": WINDOW, "traces": rows }));
}
