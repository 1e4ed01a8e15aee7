//! Readers that join a long stream anywhere: the first picture comes within a header interval, and none is wrong.

use std::sync::{Arc, Mutex};

use gstchaosveil::analysis::random::Random;
use serde_json::json;

use super::{
    line::{Key, Line, bytes},
    record::{number, record},
};

const FRAMES_A_SECOND: u64 = 30;
/// A stream header comes once a second of the frames' time.
const INTERVAL: u64 = FRAMES_A_SECOND;
/// Long enough for many intervals.
const FRAMES: u64 = 60 * FRAMES_A_SECOND;
/// Frames that a reader is given: two intervals and a little more.
const GIVEN: usize = 2 * INTERVAL as usize + 5;
const WIDTH: usize = 32;
const HEIGHT: usize = 24;

fn caps() -> gst::Caps {
    let caps = format!("video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={FRAMES_A_SECOND}/1");
    caps.parse().expect("valid caps")
}

fn picture(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; WIDTH * HEIGHT];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn frame(number: u64) -> gst::Buffer {
    let mut frame = gst::Buffer::from_mut_slice(picture(number));
    let time = |number: u64| gst::ClockTime::from_nseconds(number * 1_000_000_000 / FRAMES_A_SECOND);
    let owned = frame.make_mut();
    owned.set_pts(time(number));
    owned.set_duration(time(1));
    frame
}

/// Number of a picture, by its time; fails if it is not that picture.
fn number_of(buffer: &gst::BufferRef) -> u64 {
    let time = buffer.pts().expect("every frame has a time").nseconds();
    let number = (time * FRAMES_A_SECOND + 500_000_000) / 1_000_000_000;
    assert!(bytes(buffer) == picture(number), "picture {number} is a wrong one");
    number
}

/// What comes of a line: caps and buffers.
fn through(
    line: &str,
    caps: &gst::Caps,
    buffers: impl IntoIterator<Item = gst::Buffer>,
) -> (gst::Caps, Vec<gst::Buffer>) {
    let out: Arc<Mutex<(gst::Caps, Vec<gst::Buffer>)>> = Arc::new(Mutex::new((gst::Caps::new_empty(), Vec::new())));
    let outside = out.clone();
    let line = Line::play(line, move |buffer, caps| {
        let mut out = outside.lock().expect("no panic");
        out.0 = caps.to_owned();
        out.1.push(buffer.to_owned());
    });
    line.caps(caps);
    buffers.into_iter().for_each(|buffer| line.send(buffer).expect("the line takes it"));
    line.end().expect("it ends well");
    out.lock().expect("no panic").clone()
}

/// Places where packets of frames begin, in order: a reader that joins behind one has missed it.
fn frame_starts(packets: &[gst::Buffer]) -> Vec<usize> {
    let mut at = 0;
    let mut starts = Vec::new();
    for packet in packets {
        let packet = bytes(packet);
        if packet.starts_with(b"CVEILFRM") && packet[9] == 0 {
            starts.push(at);
        }
        at += packet.len();
    }
    starts
}

#[test]
fn from_any_byte_the_first_picture_comes_within_a_header_interval() {
    super::line::init();
    let key = Key::new();
    let (_, packets) = through(&format!("chaosenc {}", key.setting()), &caps(), (0..FRAMES).map(frame));
    let (starts, stream): (_, Vec<u8>) =
        (frame_starts(&packets), packets.iter().flat_map(|packet| bytes(packet)).collect());
    assert_eq!(starts.len() as u64, FRAMES);
    let joins = number("ENDURANCE_JOINS", 40);
    let mut random = Random::new(&[1; 32], "late join");
    let last = starts[FRAMES as usize - GIVEN];
    let mut waits = Vec::new();
    for _ in 0..joins {
        let offset = random.below(last);
        // The first frame whose beginning this reader sees.
        let first = starts.partition_point(|&start| start < offset);
        let end = starts[first + GIVEN - 1];
        let blocks = stream[offset..end].chunks(4096).map(|block| gst::Buffer::from_slice(block.to_vec()));
        let sealed = gst::Caps::new_empty_simple("application/x-chaosveil");
        let (told, pictures) = through(&format!("chaosdec {}", key.setting()), &sealed, blocks);
        let numbers: Vec<u64> = pictures.iter().map(|picture| number_of(picture)).collect();
        let wait = numbers.first().expect("something is seen") - first as u64;
        assert!(wait <= INTERVAL, "joined at byte {offset}, before frame {first}: waited {wait} frames");
        // From there on nothing is missing.
        assert!(
            numbers.iter().copied().eq(first as u64 + wait..(first + GIVEN - 1) as u64),
            "from byte {offset}: {numbers:?}"
        );
        assert_eq!(told, caps());
        waits.push(wait);
        if (waits.len() as u64 * 10).is_multiple_of(joins) {
            println!("late-join: {} of {joins}", waits.len());
        }
    }
    waits.sort();
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    let figures = json!({
        "joins": joins, "stream_frames": FRAMES, "header_interval_frames": INTERVAL, "wait_frames_median": median,
        "wait_frames_longest": longest, "wrong_frames": 0,
    });
    record("late-join", figures);
}

#[test]
fn any_cipher_picture_is_a_beginning() {
    super::line::init();
    let key = Key::new();
    let encrypt = format!("chaosenc output=picture {}", key.setting());
    let (sealed, pictures) = through(&encrypt, &caps(), (0..FRAMES).map(frame));
    let joins = number("ENDURANCE_JOINS", 40);
    let mut random = Random::new(&[2; 32], "late join");
    for _ in 0..joins {
        let first = random.below(FRAMES as usize - 3);
        let (_, came) = through(&format!("chaosdec {}", key.setting()), &sealed, pictures[first..first + 3].to_vec());
        let numbers: Vec<u64> = came.iter().map(|picture| number_of(picture)).collect();
        assert!(numbers.iter().copied().eq(first as u64..first as u64 + 3), "from picture {first}: {numbers:?}");
    }
    record("late-join-pictures", json!({ "joins": joins, "wait_frames_longest": 0, "wrong_frames": 0 }));
}
