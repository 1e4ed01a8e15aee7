//! As many frames as a camera makes in a day, encrypted, harmed on their way and decrypted in one process: memory stays
//! flat, and no frame that comes out is another than was sent. A program of its own: other tests would need memory beside it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use serde_json::json;

use line::{Key, Line};
use record::{number, record};

#[allow(dead_code, reason = "this test does not need all of it")]
#[path = "endurance/line.rs"]
mod line;
#[path = "endurance/record.rs"]
mod record;

const FRAMES_A_SECOND: u64 = 30;
const FAULTS: &str = "seed=5 loss=0.01 duplicate=0.01 reorder=0.01 reorder-distance=4 truncate=0.01 flip=0.01";
/// Places of a run where memory is read.
const READINGS: u64 = 26;
/// Memory is said to be flat if the line through the second half of the readings rises by less, over the whole run.
const FLAT_BYTES: f64 = (1 << 20) as f64;

/// Memory of this process that is resident.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    4096 * pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number of pages")
}

/// Eight bytes that nobody else's frame has, again and again.
fn is_frame(bytes: &[u8], number: u64) -> bool {
    let word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    bytes.chunks(8).all(|chunk| chunk == &word[..chunk.len()])
}

fn frame(number: u64, size: usize) -> gst::Buffer {
    let word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    let mut frame = gst::Buffer::from_mut_slice(word.repeat(size / 8));
    frame.make_mut().set_pts(gst::ClockTime::from_nseconds(number * 1_000_000_000 / FRAMES_A_SECOND));
    frame
}

/// Slope of the least-squares line.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        (above + (point.0 - x) * (point.1 - y), below + (point.0 - x) * (point.0 - x))
    });
    above / below
}

#[test]
fn memory_stays_flat() {
    let (frames, width, height) = (
        number("ENDURANCE_SOAK_FRAMES", 26_000),
        number("ENDURANCE_SOAK_WIDTH", 64),
        number("ENDURANCE_SOAK_HEIGHT", 48),
    );
    let (key, size) = (Key::new(), (width * height) as usize);
    let (wrong, came) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (wrong_here, came_here) = (wrong.clone(), came.clone());
    let line = format!("chaosenc {key} ! chaosfault {FAULTS} ! chaosdec {key}", key = key.setting());
    let line = Line::play(&line, move |buffer, _| {
        let number = (buffer.pts().expect("a time").nseconds() * FRAMES_A_SECOND + 500_000_000) / 1_000_000_000;
        let map = buffer.map_readable().expect("readable");
        wrong_here.fetch_add(u64::from(map.len() != size || !is_frame(&map, number)), Relaxed);
        came_here.fetch_add(1, Relaxed);
    });
    let caps = format!("video/x-raw,format=GRAY8,width={width},height={height},framerate={FRAMES_A_SECOND}/1");
    line.caps(&caps.parse().expect("valid caps"));
    let (begun, mut readings) = (Instant::now(), Vec::new());
    let every = (frames / READINGS).max(1);
    for number in 0..frames {
        line.send(frame(number, size)).expect("the line takes it");
        if number % every == every - 1 {
            let resident = resident_bytes();
            println!("{} frames, {resident} bytes, {:.0} s", number + 1, begun.elapsed().as_secs_f64());
            readings.push((number + 1, resident));
        }
    }
    line.end().expect("it ends well");
    let [released, lost, reordered, replayed, rejected] =
        line.stats("chaosdec", ["frames-out", "lost", "reordered", "replayed", "rejected"]);
    assert_eq!((wrong.load(Relaxed), came.load(Relaxed)), (0, released));
    // Every frame came out, or was late, or is missing; those at the very ends nobody can count.
    let told = released + reordered + lost;
    assert!((frames - 100..=frames).contains(&told), "{released} released, {reordered} reordered, {lost} lost");
    assert!(lost > 0 && reordered > 0 && replayed > 0 && rejected > 0, "the line was a bad one");
    let second_half: Vec<(f64, f64)> =
        readings[readings.len() / 2..].iter().map(|&(frames, bytes)| (frames as f64, bytes as f64)).collect();
    let rise = slope(&second_half) * frames as f64;
    assert!(rise < FLAT_BYTES, "memory rises by {rise:.0} bytes in {frames} frames: {readings:?}");
    let figures = json!({
        "frames": frames, "size": format!("{width}x{height} GRAY8"), "faults": FAULTS, "released": released, "lost": lost,
        "reordered": reordered, "replayed": replayed, "rejected": rejected, "wrong_frames": 0,
        "resident_bytes": readings.iter().map(|&(frames, bytes)| [frames, bytes]).collect::<Vec<_>>(),
        "rise_over_run_bytes": rise.round(), "seconds": begun.elapsed().as_secs(),
    });
    record("soak", figures);
}
