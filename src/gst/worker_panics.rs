//! Workers that panic, in both directions: each costs one frame, the stream goes on, and nothing clear leaves.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use gst::prelude::*;
use gst_check::Harness;

use super::{chaosdec::ChaosDec, chaosenc::ChaosEnc, register_elements};
use crate::{
    Result,
    backend::{self, Backend, Choice, Open},
    chaos::FramePlan,
};

const FRAMES: usize = 12;
/// Frames on which the stage panics, by their place.
const PANICS: [usize; 3] = [0, 4, 5];
/// Stands all over a clear frame.
const PATTERN: &[u8; 16] = b"clear as day now";
const SIZES: [usize; 2] = [40, 100_000];

/// A stage that leaves its input as it is and panics, for some of the frames.
#[derive(Debug)]
struct Panicking {
    sound: Arc<dyn Backend>,
    /// Frames it has had.
    count: AtomicUsize,
}

impl Panicking {
    fn backend() -> Arc<dyn Backend> {
        Arc::new(Panicking { sound: backend::choose(Choice::Auto).expect("a backend"), count: 0.into() })
    }

    fn panic_in_its_turn(&self, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        if PANICS.contains(&self.count.fetch_add(1, Relaxed)) {
            dst.copy_from_slice(src);
            match pool {
                None => panic!("on purpose"),
                Some(pool) => pool.install(|| panic!("on purpose, in a thread of the frame's")),
            }
        }
    }
}

impl Backend for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.panic_in_its_turn(src, dst, pool);
        self.sound.encrypt(plan, src, dst, pool);
    }

    fn decrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.panic_in_its_turn(src, dst, pool);
        self.sound.decrypt(plan, src, dst, pool);
    }

    fn decrypt_segments(
        &self,
        plan: &FramePlan,
        src: &[u8],
        dst: &mut [u8],
        segment_bytes: usize,
        pool: Option<&rayon::ThreadPool>,
        open: Open,
    ) -> Result<()> {
        self.panic_in_its_turn(src, dst, pool);
        self.sound.decrypt_segments(plan, src, dst, segment_bytes, pool, open)
    }

    fn keystream(&self, _: &FramePlan, _: &mut [u8], _: Option<&rayon::ThreadPool>) {
        unreachable!("not asked for")
    }

    fn permute(&self, _: &FramePlan, _: &[u8], _: &mut [u8], _: Option<&rayon::ThreadPool>) {
        unreachable!("not asked for")
    }
}

/// What left an element, and what it told.
struct Outcome {
    buffers: Vec<gst::Buffer>,
    /// Counters of the frames on which a worker panicked.
    told: Vec<u64>,
    stats: gst::Structure,
}

impl Outcome {
    fn stats<const N: usize>(&self, names: [&str; N]) -> [u64; N] {
        names.map(|name| self.stats.get(name).expect("a number"))
    }
}

/// Runs buffers through an element up to its EOS.
fn run(element: &gst::Element, caps: &str, buffers: impl IntoIterator<Item = gst::Buffer>) -> Outcome {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = Harness::with_element(element, Some("sink"), Some("src"));
    harness.set_src_caps_str(caps);
    for buffer in buffers {
        harness.push(buffer).expect("a panic does not stop the stream");
    }
    harness.push_event(gst::event::Eos::new());
    while harness.pull_event().expect("EOS comes").type_() != gst::EventType::Eos {}
    let buffers = std::iter::from_fn(|| harness.try_pull()).collect();
    let told = bus.iter().filter_map(|message| {
        let told = message.structure().filter(|told| told.name() == "chaosveil-event")?.to_owned();
        told.get::<&str>("reason").is_ok_and(|reason| reason == "worker-panic").then(|| told.get("counter").ok())?
    });
    let mut told: Vec<u64> = told.collect();
    told.sort();
    Outcome { buffers, told, stats: element.property("stats") }
}

fn element(factory: &str, settings: &[(&str, &str)]) -> gst::Element {
    gst::init().expect("GStreamer starts");
    // Another test may have been here before.
    let _ = register_elements();
    let mut builder = gst::ElementFactory::make(factory).property("key", gst::glib::Bytes::from_static(&[3; 32]));
    for (name, value) in settings {
        builder = builder.property_from_str(name, value);
    }
    builder.build().expect("registered")
}

fn frames(size: usize) -> Vec<gst::Buffer> {
    let frame = |number: u64| {
        let mut bytes: Vec<u8> = number.to_le_bytes().into_iter().chain(PATTERN.repeat(size / 16 + 1)).collect();
        bytes.truncate(size);
        let mut frame = gst::Buffer::from_mut_slice(bytes);
        frame.make_mut().set_pts(number * gst::ClockTime::MSECOND);
        frame
    };
    (0..FRAMES as u64).map(frame).collect()
}

fn bytes(buffer: &gst::Buffer) -> Vec<u8> {
    buffer.map_readable().expect("readable").to_vec()
}

fn frame_numbers(buffers: &[gst::Buffer]) -> Vec<u64> {
    let number = |buffer: &gst::Buffer| buffer.pts().expect("every frame has a time").mseconds();
    buffers.iter().map(number).collect()
}

/// Profile `chaos` has no AEAD under the stage: what the stage has before it is clear.
const WAYS: [&[(&str, &str)]; 4] = [
    &[("workers", "1")],
    &[("workers", "3"), ("threads-per-frame", "2")],
    &[("workers", "1"), ("profile", "chaos"), ("allow-insecure", "true")],
    &[("workers", "2"), ("threads-per-frame", "2"), ("profile", "chaos"), ("allow-insecure", "true")],
];

fn is_for_readers(setting: &&(&str, &str)) -> bool {
    !["profile", "allow-insecure"].contains(&setting.0)
}

/// Without the frames of these counters; the first frame's is 1.
fn all_but(frames: Vec<gst::Buffer>, counters: &[u64]) -> Vec<gst::Buffer> {
    frames.into_iter().zip(1..).filter(|(_, counter)| !counters.contains(counter)).map(|(frame, _)| frame).collect()
}

#[test]
fn a_panic_while_encrypting_costs_one_frame_that_does_not_leave() {
    for (way, size) in WAYS.iter().flat_map(|way| SIZES.map(|size| (way, size))) {
        let encrypter = element("chaosenc", way).downcast::<ChaosEnc>().expect("ours");
        encrypter.run_stage_on(Panicking::backend());
        let sealed = run(encrypter.upcast_ref(), "application/x-anything", frames(size));
        assert_eq!(sealed.stats(["panics", "dropped", "frames-out"]), [3, 3, FRAMES as u64 - 3], "{way:?} {size}");
        assert_eq!(sealed.told.len(), 3, "{way:?} {size}");
        if way[0] == ("workers", "1") {
            assert_eq!(sealed.told, PANICS.map(|place| place as u64 + 1), "{way:?} {size}");
        }
        for buffer in &sealed.buffers {
            let clear = bytes(buffer).windows(8).any(|window| window == &PATTERN[..8]);
            assert!(!clear, "clear bytes left: {way:?} {size}");
        }

        let readers: Vec<_> = way.iter().copied().filter(|setting| is_for_readers(&setting)).collect();
        let opened = run(
            &element("chaosdec", &[&readers[..], &[("accept-profiles", "hardened+chaos")]].concat()),
            "application/x-chaosveil",
            sealed.buffers,
        );
        let expected = all_but(frames(size), &sealed.told);
        assert_eq!(frame_numbers(&opened.buffers), frame_numbers(&expected), "{way:?} {size}");
        assert!(opened.buffers.iter().map(bytes).eq(expected.iter().map(bytes)), "{way:?} {size}");
        assert_eq!(opened.stats(["rejected", "frames-sealed"]), [0, FRAMES as u64 - 3], "the end record agrees");
    }
}

#[test]
fn a_panic_while_decrypting_costs_one_frame_that_is_rejected() {
    for (way, size) in WAYS.iter().flat_map(|way| SIZES.map(|size| (way, size))) {
        let sealed = run(&element("chaosenc", way), "application/x-anything", frames(size));
        let readers: Vec<_> = way.iter().copied().filter(|setting| is_for_readers(&setting)).collect();
        let decrypter = element("chaosdec", &[&readers[..], &[("accept-profiles", "hardened+chaos")]].concat());
        let decrypter = decrypter.downcast::<ChaosDec>().expect("ours");
        decrypter.run_stage_on(Panicking::backend());
        let opened = run(decrypter.upcast_ref(), "application/x-chaosveil", sealed.buffers);
        assert_eq!(opened.stats(["panics", "rejected", "lost", "dropped"]), [3, 3, 0, 0], "{way:?} {size}");
        assert_eq!(opened.told.len(), 3, "{way:?} {size}");
        // The end record goes through the stage too, and may be the one that came to grief.
        let expected = all_but(frames(size), &opened.told);
        assert_eq!(frame_numbers(&opened.buffers), frame_numbers(&expected), "{way:?} {size}");
        assert!(opened.buffers.iter().map(bytes).eq(expected.iter().map(bytes)), "{way:?} {size}");
    }
}
