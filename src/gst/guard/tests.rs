//! Stages that are broken in every way that must be caught, in real pipelines: profile `chaos` has no AEAD under the stage.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    Result,
    backend::{self, Backend, Choice, Open},
    chaos::FramePlan,
    gst::{chaosenc::ChaosEnc, runner::lock},
};

type Break = fn(&dyn Backend, &FramePlan, &[u8], &mut [u8]);

/// A stage that is broken for some of the frames.
#[derive(Debug)]
struct Broken {
    sound: Arc<dyn Backend>,
    /// Frames it has had.
    count: AtomicUsize,
    broken: Range<usize>,
    how: Break,
}

impl Backend for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        match self.broken.contains(&self.count.fetch_add(1, Relaxed)) {
            false => self.sound.encrypt(plan, src, dst, pool),
            true => (self.how)(&*self.sound, plan, src, dst),
        }
    }

    fn decrypt(&self, _: &FramePlan, _: &[u8], _: &mut [u8], _: Option<&rayon::ThreadPool>) {
        unreachable!("only encrypts")
    }

    fn decrypt_segments(
        &self,
        _: &FramePlan,
        _: &[u8],
        _: &mut [u8],
        _: usize,
        _: Option<&rayon::ThreadPool>,
        _: Open,
    ) -> Result<()> {
        unreachable!("only encrypts")
    }

    fn keystream(&self, _: &FramePlan, _: &mut [u8], _: Option<&rayon::ThreadPool>) {
        unreachable!("only encrypts")
    }

    fn permute(&self, _: &FramePlan, _: &[u8], _: &mut [u8], _: Option<&rayon::ThreadPool>) {
        unreachable!("only encrypts")
    }
}

fn left_out(_: &dyn Backend, _: &FramePlan, src: &[u8], dst: &mut [u8]) {
    dst.copy_from_slice(src);
}

fn masked(sound: &dyn Backend, plan: &FramePlan, src: &[u8], dst: &mut [u8], mask: u8) {
    dst.fill(0);
    sound.keystream(plan, dst, None);
    dst.iter_mut().zip(src).for_each(|(byte, clear)| *byte = clear ^ *byte & mask);
}

fn low_planes_only(sound: &dyn Backend, plan: &FramePlan, src: &[u8], dst: &mut [u8]) {
    masked(sound, plan, src, dst, 0x0f);
}

fn high_planes_only(sound: &dyn Backend, plan: &FramePlan, src: &[u8], dst: &mut [u8]) {
    masked(sound, plan, src, dst, 0xf0);
}

fn zero_keystream(sound: &dyn Backend, plan: &FramePlan, src: &[u8], dst: &mut [u8]) {
    sound.permute(plan, src, dst, None);
}

/// Blocks of 16 bytes by a function of a key.
fn ecb_like(_: &dyn Backend, _: &FramePlan, src: &[u8], dst: &mut [u8]) {
    for (block, sealed) in src.chunks(16).zip(dst.chunks_mut(16)) {
        sealed.copy_from_slice(&blake3::keyed_hash(&[7; 32], block).as_bytes()[..block.len()]);
    }
}

fn half_clear(sound: &dyn Backend, plan: &FramePlan, src: &[u8], dst: &mut [u8]) {
    sound.encrypt(plan, src, dst, None);
    let half = src.len() / 2;
    dst[half..].copy_from_slice(&src[half..]);
}

const BROKEN: [(&str, Break); 6] = [
    ("left out", left_out),
    ("low planes only", low_planes_only),
    ("high planes only", high_planes_only),
    ("keystream of zeros", zero_keystream),
    ("ECB-like", ecb_like),
    ("half clear", half_clear),
];

/// What leaves, and what is told.
struct Outcome {
    /// Numbers of frames of 30 in a second.
    left: Vec<u64>,
    error: Option<String>,
    events: Vec<gst::Structure>,
    alarms: u64,
}

impl Outcome {
    /// The alarm's counter and evidence.
    fn alarm(&self) -> Option<(u64, String)> {
        let is_alarm = |told: &&gst::Structure| told.get::<&str>("reason").is_ok_and(|why| why == "looks-plain");
        let told = self.events.iter().find(is_alarm)?;
        Some((told.get("counter").ok()?, told.get("detail").ok()?))
    }
}

/// An encrypter whose stage is broken for some of the frames.
fn break_stage(encrypter: &ChaosEnc, how: Break, broken: Range<usize>) {
    encrypter.set_property("key", gst::glib::Bytes::from_static(&[3; 32]));
    let sound = backend::choose(Choice::Auto).expect("a backend");
    encrypter.run_stage_on(Arc::new(Broken { sound, count: 0.into(), broken, how }));
}

/// Whether a buffer that left has a frame in it: stream headers have a flag, and the end record has no time.
fn is_frame(buffer: &gst::BufferRef) -> bool {
    buffer.pts().is_some() && !buffer.flags().contains(gst::BufferFlags::HEADER)
}

/// Encrypts video with a stage that is broken for some of the frames.
fn run(how: Break, broken: Range<usize>, source: &str, properties: &str) -> Outcome {
    gst::init().expect("GStreamer starts");
    // Another test may have been here before.
    let _ = crate::gst::register_elements();
    let line = format!(
        "{source} ! chaosenc name=encrypter profile=chaos allow-insecure=true {properties} ! \
         appsink name=sink sync=false async=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let encrypter = pipeline.by_name("encrypter").and_then(|element| element.downcast::<ChaosEnc>().ok());
    let encrypter = encrypter.expect("ours");
    break_stage(&encrypter, how, broken);
    let sink = pipeline.by_name("sink").expect("named").downcast::<gst_app::AppSink>().expect("an appsink");
    let left = Arc::<Mutex<Vec<u64>>>::default();
    let leaving = left.clone();
    let note = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let frame = sample.buffer().filter(|buffer| is_frame(buffer));
        let number = |pts: gst::ClockTime| (pts.nseconds() * 30 + 500_000_000) / 1_000_000_000;
        lock(&leaving).extend(frame.and_then(|frame| frame.pts()).map(number));
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(note).build());
    pipeline.set_state(gst::State::Playing).expect("plays");
    let mut outcome = Outcome { left: Vec::new(), error: None, events: Vec::new(), alarms: 0 };
    for message in pipeline.bus().expect("a bus").iter_timed(gst::ClockTime::from_seconds(20)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) if message.src() == Some(encrypter.upcast_ref()) => {
                outcome.error = Some(error.error().to_string());
                // For what should not leave any more.
                std::thread::sleep(Duration::from_millis(50));
                break;
            }
            gst::MessageView::Element(told) => outcome.events.extend(told.structure().map(|told| told.to_owned())),
            _ => {}
        }
    }
    outcome.alarms = encrypter.property::<gst::Structure>("stats").get("guard-alarms").expect("a number");
    pipeline.set_state(gst::State::Null).expect("stops");
    outcome.left = std::mem::take(&mut *lock(&left));
    outcome
}

/// Bars and noise: flat, smooth and rough content.
const SOURCE: &str = "videotestsrc num-buffers=12 ! video/x-raw,format=I420,width=320,height=240";

#[test]
fn a_broken_stage_is_told_and_nothing_clear_leaves() {
    for output in ["packets", "picture"] {
        for (name, how) in BROKEN {
            for sound_frames in [0, 5] {
                let context = format!("{output}, {name}, after {sound_frames}");
                let outcome =
                    run(how, sound_frames..usize::MAX, SOURCE, &format!("workers=1 guard=true output={output}"));
                assert!(outcome.left.len() <= sound_frames, "{context}: {:?}", outcome.left);
                let error = &outcome.error;
                assert!(error.as_ref().is_some_and(|error| error.contains("looks plain")), "{context}: {error:?}");
                assert_eq!(outcome.alarms, 1, "{context}");
                let (counter, evidence) = outcome.alarm().unwrap_or_else(|| panic!("{context}: {:?}", outcome.events));
                // A description came before the frames.
                assert_eq!(counter, sound_frames as u64 + 1, "{context}");
                assert!(evidence.contains("chance of at most 10^-"), "{context}: {evidence}");
            }
        }
    }
}

/// What the other tests would see if the guard did nothing.
#[test]
fn without_a_guard_all_of_it_leaves() {
    for (name, how) in BROKEN {
        let Outcome { left, error, alarms, .. } = run(how, 0..usize::MAX, SOURCE, "workers=1");
        assert_eq!((left.len(), error, alarms), (12, None, 0), "{name}");
    }
}

#[test]
fn a_leaky_queue_and_many_workers_leak_nothing_clear() {
    for _ in 0..5 {
        let Outcome { left, error, .. } = run(left_out, 0..usize::MAX, SOURCE, "workers=4 guard=true leaky=downstream");
        assert!(left.is_empty() && error.is_some(), "{left:?} left, {error:?}");
    }
}

/// The result of the one broken frame is dropped for room, and those behind it are sound: none leaves.
#[test]
fn an_alarm_outlives_its_frame_in_a_leaky_queue() {
    // Slow enough for the workers, and too fast for what follows.
    let source = format!("{} ! identity sleep-time=2000", SOURCE.replace("num-buffers=12", "num-buffers=100"));
    for round in 0..5 {
        let properties = "workers=4 guard=true leaky=downstream ! identity sleep-time=10000";
        let outcome = run(left_out, 20..21, &source, properties);
        assert_eq!(outcome.alarms, 1, "round {round}");
        let (counter, _) = outcome.alarm().expect("told");
        // Frame 0 has counter 1.
        assert!(outcome.left.iter().all(|&frame| frame + 1 < counter), "alarm of {counter}: {:?}", outcome.left);
    }
}

#[test]
fn an_alarm_outlives_a_flush() {
    gst::init().expect("GStreamer starts");
    let _ = crate::gst::register_elements();
    let encrypter = gst::ElementFactory::make("chaosenc").property("guard", true).property("workers", 1u32);
    let encrypter = encrypter.property_from_str("profile", "chaos").property("allow-insecure", true).build();
    let encrypter = encrypter.expect("registered").downcast::<ChaosEnc>().expect("ours");
    break_stage(&encrypter, left_out, 3..4);
    let left = Arc::new(AtomicUsize::new(0));
    let leaving = left.clone();
    let chain = move |_: &gst::Pad, _: Option<&gst::Object>, buffer: gst::Buffer| {
        leaving.fetch_add(usize::from(is_frame(&buffer)), Relaxed);
        Ok(gst::FlowSuccess::Ok)
    };
    let out = gst::Pad::builder(gst::PadDirection::Sink).chain_function(chain).build();
    out.set_active(true).expect("active");
    encrypter.static_pad("src").expect("there").link(&out).expect("links");
    encrypter.set_state(gst::State::Playing).expect("plays");
    let pad = encrypter.static_pad("sink").expect("there");
    let caps = gst::Caps::builder("audio/x-raw").field("format", "S16LE").field("rate", 8000).field("channels", 1);
    pad.send_event(gst::event::StreamStart::new("guard"));
    pad.send_event(gst::event::Caps::new(&caps.field("layout", "interleaved").build()));
    let mut left_before = None;
    for _ in 0..3 {
        pad.send_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        let begun = Instant::now();
        let refused = (0..).find_map(|at| {
            assert!(begun.elapsed() < Duration::from_secs(10), "no alarm");
            let mut buffer = gst::Buffer::from_mut_slice(vec![7; 4000]);
            buffer.get_mut().expect("a new buffer").set_pts(at * gst::ClockTime::MSECOND);
            pad.chain(buffer).err()
        });
        assert_eq!(refused, Some(gst::FlowError::Error));
        let count = left.load(Relaxed);
        assert!(count <= 3 && left_before.is_none_or(|before| before == count), "{count} after {left_before:?}");
        left_before = Some(count);
        pad.send_event(gst::event::FlushStart::new());
        pad.send_event(gst::event::FlushStop::builder(true).build());
    }
    assert_eq!(encrypter.property::<gst::Structure>("stats").get::<u64>("guard-alarms"), Ok(1));
    encrypter.set_state(gst::State::Null).expect("stops");
}

/// Other bytes than raw video: the statistics alone.
#[test]
fn encoded_frames_are_guarded_too() {
    let source = "audiotestsrc num-buffers=10 samplesperbuffer=441";
    let outcome = run(left_out, 3..usize::MAX, source, "workers=1 guard=true");
    assert!(outcome.left.len() <= 3 && outcome.error.is_some(), "{:?} left, {:?}", outcome.left, outcome.error);
    assert_eq!(outcome.alarm().expect("told").0, 4);
}

#[cfg(feature = "nn")]
mod network {
    use super::*;
    use crate::{
        Error,
        frame::{Plane, View},
        gst::{
            alarm::Alarm,
            guard::Guard,
            video::{Content, RawVideo},
            watch::Watch,
        },
    };

    const SIDE: usize = 256;

    fn noise(seed: u8) -> Vec<u8> {
        let mut bytes = vec![0; SIDE * SIDE];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn raw() -> RawVideo {
        gst::init().expect("GStreamer starts");
        let caps = format!("video/x-raw, format=GRAY8, width={SIDE}, height={SIDE}, framerate=25/1");
        match Content::of(&caps.parse::<gst::Caps>().expect("caps")) {
            Ok(Content::Raw(raw)) => *raw,
            _ => panic!("{caps}"),
        }
    }

    fn guard(looks_plain: bool) -> Guard {
        let alarm = Alarm::new(|_, _| {});
        let watch = Watch::with(Duration::ZERO, alarm.clone(), move |_| looks_plain).expect("a thread");
        Guard { inspector: Default::default(), alarm, watch: Arc::new(watch) }
    }

    fn is_alarm_of_frame_7(checked: Result<()>) -> bool {
        matches!(checked, Err(Error::LooksPlain { frame: 7, evidence }) if evidence.contains("network"))
    }

    /// The statistics find nothing.
    #[test]
    fn it_stops_frames_in_both_forms_and_all_that_follows() {
        let (raw, clear, sealed) = (raw(), noise(1), noise(2));
        let clear = View::Together(&clear);
        let plane = [Plane { data: &sealed, stride: SIDE }];
        for sealed in [View::Together(&sealed), View::Rows(&raw.layout, &plane)] {
            let mut sound = guard(false);
            assert!((0..3).all(|frame| sound.check(frame, clear, sealed, Some(&raw)).is_ok()));
            let mut guard = guard(true);
            assert!(guard.check(6, clear, sealed, None).is_ok());
            assert!(is_alarm_of_frame_7(guard.check(7, clear, sealed, Some(&raw))));
            assert!(is_alarm_of_frame_7(guard.check(8, clear, sealed, Some(&raw))));
            assert!(is_alarm_of_frame_7(guard.check(9, clear, sealed, None)));
            assert!(is_alarm_of_frame_7(guard.clone().check(10, clear, sealed, None)));
        }
    }
}
