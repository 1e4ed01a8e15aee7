//! Caps and keys that change again and again in one stream: no frame is lost for it, and each is the one that was sent,
//! under the caps under which it was sent.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use gst_video::VideoFrameExt;
use gstchaosveil::analysis::random::Random;
use serde_json::json;

use super::{
    line::{Key, Line, bytes},
    record::{number, record},
};

/// Kinds of video, and of streams that are none.
const FORMATS: [&str; 7] = ["GRAY8", "I420", "NV12", "RGB", "YUY2", "v210", "GRAY16_LE"];
const OTHERS: [&str; 2] = ["video/x-h264, alignment=(string)au", "audio/x-raw, format=(string)S16LE"];

/// The caps after so many changes: never those before.
fn caps(change: u64) -> gst::Caps {
    let mut random = Random::new(&[3; 32], &format!("caps {change}"));
    let kind = random.below(FORMATS.len() + OTHERS.len());
    match FORMATS.get(kind) {
        Some(format) => {
            // One height for each change: no two that follow one another are the same.
            let (width, height) = (1 + random.below(90), 1 + 2 * random.below(40) + (change % 2) as usize);
            let caps = format!("video/x-raw,format={format},width={width},height={height},framerate=30/1");
            caps.parse().expect("valid caps")
        }
        None => format!("{}, change=(int){change}", OTHERS[kind - FORMATS.len()]).parse().expect("valid caps"),
    }
}

fn raw(caps: &gst::CapsRef) -> Option<gst_video::VideoInfo> {
    let is_raw = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
    is_raw.then(|| gst_video::VideoInfo::from_caps(caps).expect("valid caps"))
}

/// A frame under caps: as many bytes as video has, or any number.
fn frame(caps: &gst::Caps, number: u64) -> gst::Buffer {
    let bytes = raw(caps).map_or(100 + number as usize % 500, |info| info.size());
    let mut frame = vec![0; bytes];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut frame);
    let mut frame = gst::Buffer::from_mut_slice(frame);
    frame.make_mut().set_pts(number * 33 * gst::ClockTime::MSECOND);
    frame
}

/// Bytes that hold picture, hashed: padding of rows is not carried.
fn content(buffer: &gst::BufferRef, caps: &gst::CapsRef) -> Vec<u8> {
    let Some(info) = raw(caps) else { return bytes(buffer) };
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).expect("a frame of these caps");
    let format = gstchaosveil::frame::Format::from_name(info.name()).expect("known");
    let layout =
        gstchaosveil::frame::FrameLayout::new(format, info.width(), info.height(), false).expect("it has rows");
    let mut content = Vec::new();
    for (number, plane) in layout.planes().iter().enumerate() {
        let (rows, stride) = (frame.plane_data(number as u32).expect("there"), info.stride()[number] as usize);
        assert_eq!(frame.plane_stride()[number] as usize, stride, "default strides");
        (0..plane.rows).for_each(|row| content.extend_from_slice(&rows[row * stride..][..plane.row_bytes]));
    }
    content
}

const FRAMES_EACH: u64 = 3;
/// Where keys change, every third new key comes with new caps.
const FRAMES_A_KEY: u64 = 2;

#[test]
fn caps_and_keys_change_again_and_again_and_no_frame_is_lost() {
    super::line::init();
    let changes = number("ENDURANCE_CAPS_CHANGES", 60);
    let frames = changes * FRAMES_EACH;
    let mut rekeys = 0;
    for (settings, frames_a_key) in [("workers=3", 0), ("workers=1 queue-depth=1", 0), ("workers=3", FRAMES_A_KEY)] {
        let (key, came) = (Key::new(), Arc::new(AtomicU64::new(0)));
        let counted = came.clone();
        let line = format!(
            "chaosenc {settings} rekey-frames={frames_a_key} {key} ! chaosdec {settings} {key}",
            key = key.setting()
        );
        let line = Line::play(&line, move |buffer, told| {
            let number = counted.fetch_add(1, Relaxed);
            let wanted = caps(number / FRAMES_EACH);
            assert_eq!(told, &*wanted, "caps of frame {number}");
            assert_eq!(buffer.pts(), Some(number * 33 * gst::ClockTime::MSECOND));
            let sent = frame(&wanted, number);
            assert!(content(buffer, told) == content(&sent, &wanted), "frame {number} differs");
        });
        for number in 0..frames {
            let caps = caps(number / FRAMES_EACH);
            if number % FRAMES_EACH == 0 {
                line.caps(&caps);
            }
            line.send(frame(&caps, number)).expect("the line takes it");
        }
        line.end().expect("it ends well");
        assert_eq!(came.load(Relaxed), frames, "{settings}");
        let counts = line.stats("chaosdec", ["lost", "reordered", "replayed", "rejected", "panics", "dropped"]);
        assert_eq!(counts, [0; 6], "{settings}");
        [rekeys] = line.stats("chaosdec", ["epoch"]);
        assert_eq!(rekeys, (frames - 1).checked_div(frames_a_key).unwrap_or(0), "{settings}");
        println!("new-caps: {changes} new caps and {rekeys} new keys, {settings}");
    }
    let figures = json!({ "changes": changes, "rekeys": rekeys, "frames": frames, "lost": 0, "wrong_frames": 0 });
    record("new-caps", figures);
}
