//! `frameclassifier`: passes frames, and tells what they look like: plain, encrypted, or encrypted badly.
//!
//! ```text
//! gst-launch-1.0 -m videotestsrc num-buffers=30 ! video/x-raw,format=I420 ! frameclassifier ! fakesink
//! ```
//!
//! A thread of its own classifies one frame of every `interval`, and of those only what comes while it has nothing to do:
//! frames never wait for it. It posts an element message `frameclassifier` with `frame`, `pts`, `label` and `confidence`.
//! Of each frame the first component counts (luma, or red or blue), of a cipher picture of ours without the rows of headers.

use std::{
    sync::{LazyLock, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;

use super::{
    first_channel,
    runner::lock,
    video::{Content, RawVideo},
};
use crate::{
    Result,
    analysis::picture::Picture,
    nn::{Classifier, Prediction},
    seal::CipherPicture,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("frameclassifier", gst::DebugColorFlags::empty(), Some("Chaosveil frame classifier"))
});

glib::wrapper! {
    /// Passes frames, and posts what they look like.
    pub struct FrameClassifier(ObjectSubclass<imp::FrameClassifier>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Formats whose first component has eight bits and stands first: what the network has learned from.
const FORMATS: [&str; 17] = [
    "I420", "YV12", "Y42B", "Y444", "Y41B", "YUV9", "A420", "NV12", "NV21", "YUY2", "GRAY8", "RGB", "BGR", "RGBx",
    "BGRx", "RGBA", "BGRA",
];

#[derive(Debug, Clone)]
struct Settings {
    interval: gst::ClockTime,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { interval: 100 * gst::ClockTime::MSECOND }
    }
}

#[derive(Default)]
struct State {
    raw: Option<RawVideo>,
    last: Option<Instant>,
    frames: u64,
    picture: CipherPicture,
    /// A frame without padding, kept from frame to frame.
    bytes: Vec<u8>,
    worker: Option<Worker>,
}

/// The thread that classifies. The channel holds nothing: a frame is taken by a thread that waits for one, or by nobody.
struct Worker {
    frames: Sender<Frame>,
    thread: JoinHandle<()>,
}

/// What is classified, and what is told with it.
struct Frame {
    number: u64,
    pts: Option<gst::ClockTime>,
    picture: Picture,
}

impl Worker {
    fn start(element: &FrameClassifier) -> Result<Worker, gst::ErrorMessage> {
        let failed = |error: &dyn std::fmt::Display| gst::error_msg!(gst::LibraryError::Init, ("{error}"));
        let classifier = Classifier::embedded(1).map_err(|error| failed(&error))?;
        let (frames, receiver) = crossbeam_channel::bounded(0);
        let element = element.downgrade();
        let work = move || classify_all(&classifier, &receiver, &element);
        let thread = std::thread::Builder::new().name("frameclassifier".into()).spawn(work);
        Ok(Worker { frames, thread: thread.map_err(|error| failed(&error))? })
    }

    /// Waits for the frame that is being classified.
    fn stop(self) {
        drop(self.frames);
        // What it panicked of has been reported.
        let _ = self.thread.join();
    }
}

/// Until nobody has frames any more.
fn classify_all(classifier: &Classifier, frames: &Receiver<Frame>, element: &glib::WeakRef<FrameClassifier>) {
    for frame in frames {
        let Some(element) = element.upgrade() else { return };
        match classifier.classify(&frame.picture) {
            Ok(told) => post(&element, &frame, &told),
            Err(error) => gst::debug!(CAT, obj = element, "frame {} is passed unseen: {error}", frame.number),
        }
    }
}

fn post(element: &FrameClassifier, frame: &Frame, told: &Prediction) {
    let message = gst::Structure::builder("frameclassifier")
        .field("frame", frame.number)
        .field_if_some("pts", frame.pts)
        .field("label", told.label().name())
        .field("confidence", f64::from(told.confidence()))
        .build();
    // Without a bus nobody wants to know.
    let _ = element.post_message(gst::message::Element::builder(message).src(element).build());
}

impl State {
    /// The first component of a frame.
    fn collect(&mut self, buffer: &gst::BufferRef) -> Result<Option<Picture>> {
        let State { raw: Some(raw), picture, bytes, .. } = self else { return Ok(None) };
        let Some(channel) = first_channel::collect(buffer, raw, picture, bytes)? else { return Ok(None) };
        let mut samples = Vec::new();
        let width = channel.samples(bytes, &mut samples);
        let height = samples.len().checked_div(width).unwrap_or(0);
        Ok(Some(Picture { width, height, channels: 1, bytes: samples }))
    }
}

mod imp {
    use super::*;

    /// See the wrapper.
    #[derive(Default)]
    pub struct FrameClassifier {
        settings: Mutex<Settings>,
        state: Mutex<State>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for FrameClassifier {
        const NAME: &'static str = "GstFrameClassifier";
        type Type = super::FrameClassifier;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for FrameClassifier {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecUInt64::builder("interval")
                        .nick("Interval")
                        .blurb("Nanoseconds from one frame that is classified to the next, at least (0 = as fast as it can)")
                        .default_value(Settings::default().interval.nseconds())
                        .mutable_playing()
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut settings = lock(&self.settings);
            match pspec.name() {
                "interval" => {
                    settings.interval = gst::ClockTime::from_nseconds(value.get().expect("type checked by GObject"));
                }
                name => unreachable!("no property {name}"),
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            match pspec.name() {
                "interval" => lock(&self.settings).interval.nseconds().to_value(),
                name => unreachable!("no property {name}"),
            }
        }
    }

    impl GstObjectImpl for FrameClassifier {}

    impl ElementImpl for FrameClassifier {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Chaosveil frame classifier",
                    "Filter/Analyzer/Video",
                    "Passes frames and posts whether they look plain, encrypted or badly encrypted",
                    "The Chaosveil developers",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = gst::Caps::builder("video/x-raw").field("format", gst::List::new(FORMATS)).build();
                let template = |name, direction| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("a valid template")
                };
                vec![template("sink", gst::PadDirection::Sink), template("src", gst::PadDirection::Src)]
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for FrameClassifier {
        const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = true;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

        fn start(&self) -> Result<(), gst::ErrorMessage> {
            let worker = Some(Worker::start(&self.obj())?);
            *lock(&self.state) = State { worker, ..State::default() };
            Ok(())
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            let worker = lock(&self.state).worker.take();
            if let Some(worker) = worker {
                worker.stop();
            }
            Ok(())
        }

        fn set_caps(&self, caps: &gst::Caps, _: &gst::Caps) -> Result<(), gst::LoggableError> {
            lock(&self.state).raw = match Content::of(caps) {
                Ok(Content::Raw(raw)) => Some(*raw),
                // Frames that cannot be read pass all the same.
                _ => None,
            };
            Ok(())
        }

        fn transform_ip_passthrough(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let interval = Duration::from(lock(&self.settings).interval);
            let mut state = lock(&self.state);
            state.frames += 1;
            let now = Instant::now();
            if state.last.is_some_and(|last| now - last < interval) || buffer.size() == 0 {
                return Ok(gst::FlowSuccess::Ok);
            }
            match state.collect(buffer) {
                Ok(Some(picture)) => {
                    let frame = Frame { number: state.frames, pts: buffer.pts(), picture };
                    match state.worker.as_ref().map(|worker| worker.frames.try_send(frame)) {
                        Some(Ok(())) => state.last = Some(now),
                        // It is busy: the next frame is newer.
                        Some(Err(TrySendError::Full(_))) | None => {}
                        Some(Err(TrySendError::Disconnected(_))) => gst::debug!(CAT, imp = self, "nobody classifies"),
                    }
                }
                Ok(None) => {}
                Err(error) => gst::debug!(CAT, imp = self, "a frame is passed unseen: {error}"),
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }
}
