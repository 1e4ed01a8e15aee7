//! Stages that are broken in every way that must be caught, in real pipelines: profile `chaos` has no AEAD under the stage.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use gst::prelude::*;

use crate::{
    Result,
    backend::{self, Backend, Choice, Open},
    chaos::FramePlan,
    gst::chaosenc::ChaosEnc,
};

type Break = fn(&dyn Backend, &FramePlan, &[u8], &mut [u8]);

/// A stage that is sound for so many frames, and then broken.
#[derive(Debug)]
struct Broken {
    sound: Arc<dyn Backend>,
    sound_frames: AtomicUsize,
    how: Break,
}

impl Backend for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        match self.sound_frames.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => self.sound.encrypt(plan, src, dst, pool),
            Err(_) => (self.how)(&*self.sound, plan, src, dst),
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
    frames: usize,
    error: Option<String>,
    events: Vec<gst::Structure>,
    alarms: u64,
}

/// Encrypts video with a stage that breaks after so many frames.
fn run(how: Break, sound_frames: usize, source: &str, properties: &str) -> Outcome {
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
    encrypter.set_property("key", gst::glib::Bytes::from_static(&[3; 32]));
    let sound = backend::choose(Choice::Auto).expect("a backend");
    encrypter.run_stage_on(Arc::new(Broken { sound, sound_frames: sound_frames.into(), how }));
    let sink = pipeline.by_name("sink").expect("named").downcast::<gst_app::AppSink>().expect("an appsink");
    let frames = Arc::new(AtomicUsize::new(0));
    let counted = frames.clone();
    let count = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        // The end record has no time.
        let is_frame =
            |buffer: &gst::BufferRef| buffer.pts().is_some() && !buffer.flags().contains(gst::BufferFlags::HEADER);
        counted.fetch_add(usize::from(sample.buffer().is_some_and(is_frame)), Relaxed);
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(count).build());
    pipeline.set_state(gst::State::Playing).expect("plays");
    let mut outcome = Outcome { frames: 0, error: None, events: Vec::new(), alarms: 0 };
    for message in pipeline.bus().expect("a bus").iter_timed(gst::ClockTime::from_seconds(20)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) if message.src() == Some(encrypter.upcast_ref()) => {
                outcome.error = Some(error.error().to_string());
                break;
            }
            gst::MessageView::Element(told) => outcome.events.extend(told.structure().map(|told| told.to_owned())),
            _ => {}
        }
    }
    outcome.alarms = encrypter.property::<gst::Structure>("stats").get("guard-alarms").expect("a number");
    pipeline.set_state(gst::State::Null).expect("stops");
    outcome.frames = frames.load(Relaxed);
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
                let Outcome { frames, error, events, alarms } =
                    run(how, sound_frames, SOURCE, &format!("workers=1 guard=true output={output}"));
                assert_eq!(frames, sound_frames, "{context}");
                assert!(error.as_ref().is_some_and(|error| error.contains("looks plain")), "{context}: {error:?}");
                assert_eq!(alarms, 1, "{context}");
                let told =
                    events.iter().find(|told| told.get::<String>("reason").is_ok_and(|why| why == "looks-plain"));
                let told = told.unwrap_or_else(|| panic!("{context}: {events:?}"));
                // A description came before the frames.
                assert_eq!(told.get::<u64>("counter").expect("a counter"), sound_frames as u64 + 1, "{context}");
                let evidence = told.get::<String>("detail").expect("the statistic");
                assert!(evidence.contains("chance of at most 10^-"), "{context}: {evidence}");
            }
        }
    }
}

/// What the other tests would see if the guard did nothing.
#[test]
fn without_a_guard_all_of_it_leaves() {
    for (name, how) in BROKEN {
        let Outcome { frames, error, alarms, .. } = run(how, 0, SOURCE, "workers=1");
        assert_eq!((frames, error, alarms), (12, None, 0), "{name}");
    }
}

/// With several workers, frames before the broken one leave, and none after it.
#[test]
fn a_leaky_queue_and_many_workers_leak_nothing_clear() {
    for _ in 0..5 {
        let Outcome { frames, error, .. } = run(left_out, 0, SOURCE, "workers=4 guard=true leaky=downstream");
        assert!(frames == 0 && error.is_some(), "{frames} frames left, {error:?}");
    }
}

/// Other bytes than raw video: the statistics alone.
#[test]
fn encoded_frames_are_guarded_too() {
    let source = "audiotestsrc num-buffers=10 samplesperbuffer=441";
    let Outcome { frames, error, .. } = run(left_out, 3, source, "workers=1 guard=true");
    assert!(frames == 3 && error.is_some(), "{frames} frames left, {error:?}");
}
