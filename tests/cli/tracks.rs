//! Clips for tests: making them, and taking apart what is in a file.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gst::prelude::*;
use gst_app::AppSrc;

/// No pipeline of a test takes longer.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// A frame of a track. Times in nanoseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub bytes: Vec<u8>,
    pub pts: Option<u64>,
    pub dts: Option<u64>,
    pub duration: Option<u64>,
    /// When it is due, of all tracks on one clock.
    pub due: Option<i64>,
}

/// A track of a file.
#[derive(Clone)]
pub struct Track {
    pub caps: gst::Caps,
    pub tags: gst::TagList,
    pub frames: Vec<Frame>,
    segment: gst::FormattedSegment<gst::ClockTime>,
}

impl Track {
    fn new() -> Track {
        let segment = gst::FormattedSegment::new();
        Track { caps: gst::Caps::new_empty(), tags: gst::TagList::new(), frames: Vec::new(), segment }
    }

    /// Media type.
    pub fn media(&self) -> String {
        self.caps.structure(0).map_or_else(String::new, |caps| caps.name().to_string())
    }

    /// A field of the caps, in words.
    pub fn field(&self, name: &str) -> Option<String> {
        let value = self.caps.structure(0)?.value(name).ok()?;
        value.serialize().ok().map(String::from)
    }

    /// How the picture is to be turned, if the file says so.
    pub fn orientation(&self) -> Option<String> {
        self.tags.get::<gst::tags::ImageOrientation>().map(|tag| tag.get().to_owned())
    }

    /// What the frames are, without their times.
    pub fn contents(&self) -> Vec<&[u8]> {
        self.frames.iter().map(|frame| &frame.bytes[..]).collect()
    }

    /// Times of the frames, those of the first one subtracted.
    pub fn times(&self) -> Vec<[Option<u64>; 3]> {
        let since =
            |time: Option<u64>, first: Option<u64>| time.zip(first).map(|(time, first)| time.wrapping_sub(first));
        let Some(first) = self.frames.first() else { return Vec::new() };
        let frames = self.frames.iter();
        frames.map(|frame| [since(frame.pts, first.pts), since(frame.dts, first.dts), frame.duration]).collect()
    }

    fn note(&mut self, info: &gst::PadProbeInfo) {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => self.frames.push(Frame {
                bytes: buffer.map_readable().expect("readable").to_vec(),
                pts: buffer.pts().map(gst::ClockTime::nseconds),
                dts: buffer.dts().map(gst::ClockTime::nseconds),
                duration: buffer.duration().map(gst::ClockTime::nseconds),
                due: buffer.pts().and_then(|pts| self.due(pts)),
            }),
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(caps) => self.caps = caps.caps_owned(),
                gst::EventView::Tag(tag) => self.tags = self.tags.merge(tag.tag(), gst::TagMergeMode::Replace),
                gst::EventView::Segment(segment) => {
                    self.segment = segment.segment().downcast_ref().cloned().expect("in time");
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn due(&self, pts: gst::ClockTime) -> Option<i64> {
        let due = self.segment.to_running_time_full(pts)?;
        let ns = i64::try_from(due.abs().nseconds()).ok()?;
        Some(if due.is_negative() { -ns } else { ns })
    }
}

/// How far a file is taken apart.
#[derive(Clone, Copy)]
pub enum Apart {
    /// As it stands in the container.
    Stored,
    /// Raw frames.
    Decoded,
}

/// The tracks of a file, in its own order.
pub fn tracks(path: &Path, apart: Apart) -> Vec<Track> {
    gst::init().expect("GStreamer starts");
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().expect("filesrc");
    let splitter = gst::ElementFactory::make(splitter(path, apart)).build().expect("a plugin for the file");
    pipeline.add_many([&source, &splitter]).expect("an empty pipeline takes them");
    source.link(&splitter).expect("they link");
    let found: Arc<Mutex<Vec<Arc<Mutex<Track>>>>> = Arc::default();
    let (weak, list) = (pipeline.downgrade(), found.clone());
    splitter.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else { return };
        let track = Arc::new(Mutex::new(Track::new()));
        lock(&list).push(track.clone());
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(kinds, move |_, info| {
            lock(&track).note(info);
            gst::PadProbeReturn::Ok
        });
        let sink = gst::ElementFactory::make("fakesink").property("async", false).property("sync", false).build();
        let sink = sink.expect("fakesink");
        pipeline.add(&sink).expect("a new element can be added");
        sink.sync_state_with_parent().expect("fakesink starts");
        pad.link(&sink.static_pad("sink").expect("a sink pad")).expect("fakesink takes anything");
    });
    run(&pipeline);
    let found = std::mem::take(&mut *lock(&found));
    found.iter().map(|track| lock(track).clone()).collect()
}

fn splitter(path: &Path, apart: Apart) -> &'static str {
    match (apart, path.extension().and_then(|extension| extension.to_str())) {
        (Apart::Decoded, _) => "decodebin",
        (Apart::Stored, Some("mkv" | "webm")) => "matroskademux",
        (Apart::Stored, Some("avi")) => "avidemux",
        (Apart::Stored, _) => "qtdemux",
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a pipeline to its end.
pub fn run(pipeline: &gst::Pipeline) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
    let last = bus.timed_pop_filtered(LIMIT, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).expect("going down cannot fail");
    match last.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => {}
        Some(gst::MessageView::Error(error)) => panic!("{} ({:?})", error.error(), error.debug()),
        _ => panic!("the pipeline does not end"),
    }
}

/// What comes out of a launch line.
pub fn frames_of(line: &str) -> Vec<Frame> {
    gst::init().expect("GStreamer starts");
    let line = format!("{line} ! fakesink name=end");
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline: gst::Pipeline = pipeline.downcast().expect("a pipeline");
    let end = pipeline.by_name("end").and_then(|end| end.static_pad("sink")).expect("the sink");
    let track = Arc::new(Mutex::new(Track::new()));
    let noted = track.clone();
    end.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        lock(&noted).note(info);
        gst::PadProbeReturn::Ok
    });
    run(&pipeline);
    std::mem::take(&mut lock(&track).frames)
}

/// Some frames of small video, ready for a muxer named `mux`.
pub const VIDEO: &str = "videotestsrc num-buffers=30 ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 ! \
                         x264enc key-int-max=10 bframes=0 ! h264parse ! mux.";

/// Makes a file: `line` is a launch line with an element `mux` in it.
pub fn make(path: &Path, line: &str) -> PathBuf {
    make_with(path, line, "application/octet-stream", &[])
}

/// The same, with an element `appsrc name=frames` that gives frames of these caps, each due at some millisecond and
/// lasting 100 of them.
pub fn make_with(path: &Path, line: &str, caps: &str, frames: &[(u64, &[u8])]) -> PathBuf {
    gst::init().expect("GStreamer starts");
    gstchaosveil::gst::register_elements().expect("the elements register");
    let line = format!("{line} mux. ! filesink name=file");
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline: gst::Pipeline = pipeline.downcast().expect("a pipeline");
    pipeline.by_name("file").expect("the sink").set_property("location", path);
    if let Some(source) = pipeline.by_name("frames").and_then(|element| element.downcast::<AppSrc>().ok()) {
        source.set_caps(Some(&caps.parse().expect("caps")));
        source.set_format(gst::Format::Time);
        for (due, bytes) in frames {
            let mut buffer = gst::Buffer::from_mut_slice(bytes.to_vec());
            let writable = buffer.get_mut().expect("a new buffer has one owner");
            writable.set_pts(gst::ClockTime::from_mseconds(*due));
            writable.set_duration(gst::ClockTime::from_mseconds(100));
            source.push_buffer(buffer).expect("appsrc takes it");
        }
        source.end_of_stream().expect("appsrc takes it");
    }
    run(&pipeline);
    path.to_owned()
}

/// Fails unless two files hold the same tracks: the same frames with the same times.
#[track_caller]
pub fn assert_same(found: &[Track], expected: &[Track], name: &str) {
    assert_same_frames(found, expected, name);
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(found.times() == expected.times(), "{name}, track {number}: times");
        let header = expected.field("codec_data");
        assert!(header.is_none() || header == found.field("codec_data"), "{name}, track {number}: codec_data");
    }
    // An edit list has milliseconds.
    assert_due_within(found, expected, name);
}

/// The same where a container keeps milliseconds, and no decoding times.
#[track_caller]
pub fn assert_same_within_ms(found: &[Track], expected: &[Track], name: &str) {
    assert_same_frames(found, expected, name);
    assert_due_within(found, expected, name);
    for (found, expected) in found.iter().zip(expected).filter(|(found, _)| found.media().starts_with("audio")) {
        let durations = found.frames.iter().zip(&expected.frames).map(|(a, b)| a.duration.zip(b.duration));
        assert!(durations.flatten().all(|(a, b)| a.abs_diff(b) <= 1_000_000), "{name}: durations");
    }
}

#[track_caller]
fn assert_same_frames(found: &[Track], expected: &[Track], name: &str) {
    let medias = |tracks: &[Track]| tracks.iter().map(Track::media).collect::<Vec<_>>();
    assert_eq!(medias(found), medias(expected), "{name}");
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(!expected.frames.is_empty(), "{name}, track {number}: no frames");
        assert_eq!(found.frames.len(), expected.frames.len(), "{name}, track {number}: number of frames");
        assert!(found.contents() == expected.contents(), "{name}, track {number}: frames");
    }
}

/// All tracks may be due later than they were, but only together, to the millisecond.
#[track_caller]
fn assert_due_within(found: &[Track], expected: &[Track], name: &str) {
    // The time by which they are later is rounded too.
    const MOST_APART: u64 = 2_000_000;
    let first = |tracks: &[Track]| tracks.iter().find_map(|track| track.frames.first()?.due).unwrap_or(0);
    let later = first(found) - first(expected);
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (at, (found, expected)) in found.frames.iter().zip(&expected.frames).enumerate() {
            let Some((found, expected)) = found.due.zip(expected.due) else { continue };
            let apart = (found - expected - later).unsigned_abs();
            assert!(apart <= MOST_APART, "{name}, track {number}, frame {at}: {apart} ns away");
        }
    }
}
