//! `frameclassifier`: passes frames, and tells what they look like: plain, encrypted, or encrypted badly.
//!
//! ```text
//! gst-launch-1.0 -m videotestsrc num-buffers=30 ! video/x-raw,format=I420 ! frameclassifier ! fakesink
//! ... ! frameclassifier model=animals.onnx labels=animals.txt ! ...
//! ```
//!
//! A thread of its own classifies one frame of every `interval`, and of those only what comes while it has nothing to do:
//! frames never wait for it. Each frame gets the newest result as a meta ([`classification`](super::classification)), and
//! each result is posted as an element message `frameclassifier` with `frame`, `pts`, `label`, `confidence` and
//! `model-digest`. What of a frame is looked at is told in `viewer`; a frame that is smaller passes without a result, and a
//! warning says so.
//!
//! `stats`: `frames` that passed, `classified`, `skipped` (due, but the thread was busy or the frame could not be read),
//! `classify-mean-ns` and `classify-last-ns`, and of the last result `label`, `confidence`, `frame` and `model-digest`.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    classification::Classification,
    classifying::{Classifying, Frame, Record, Tell},
    runner::lock,
    settings::{path, path_of, path_value},
    video,
    viewer::Viewer,
};
use crate::{
    Result,
    nn::{Model, View},
    pipeline::exporter,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("frameclassifier", gst::DebugColorFlags::empty(), Some("Chaosveil frame classifier"))
});

glib::wrapper! {
    /// Passes frames, and tells what they look like.
    pub struct FrameClassifier(ObjectSubclass<imp::FrameClassifier>) @extends gst::Element, gst::Object;
}

#[derive(Debug, Clone)]
struct Settings {
    interval: Duration,
    model: Option<PathBuf>,
    labels: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { interval: Duration::from_millis(100), model: None, labels: None }
    }
}

/// From READY to READY.
struct Run {
    classifying: Classifying,
    view: View,
    /// None for frames that cannot be looked at.
    viewer: Option<Viewer>,
    /// How often the network has looked.
    looks: usize,
    last: Option<Instant>,
}

impl Run {
    /// Has a frame classified if one is due.
    fn consider(&mut self, buffer: &gst::BufferRef, number: u64, interval: Duration, record: &Record) -> Result<()> {
        let now = Instant::now();
        let Some(viewer) = &mut self.viewer else { return Ok(()) };
        if self.last.is_some_and(|last| now - last < interval) || buffer.size() == 0 {
            return Ok(());
        }
        let taken = self.classifying.offer(|frame| {
            (frame.number, frame.pts) = (number, buffer.pts());
            viewer.glimpse(buffer, self.looks, &mut frame.picture)
        });
        match taken {
            Ok(true) => (self.looks, self.last) = (self.looks + 1, Some(now)),
            // It is busy: the next frame is newer.
            Ok(false) | Err(_) => record.skip(),
        }
        taken.map(drop)
    }
}

/// Posts results; of what fails the first is told to the user, the others to the log.
fn tell(element: &FrameClassifier) -> Tell {
    let (element, mut has_failed) = (element.downgrade(), false);
    Box::new(move |frame, told| {
        let Some(element) = element.upgrade() else { return };
        match told {
            Ok(told) => post(&element, frame, told),
            Err(error) if has_failed => gst::debug!(CAT, obj = element, "frame {}: {error}", frame.number),
            Err(error) => {
                has_failed = true;
                gst::element_warning!(element, gst::StreamError::Failed, ("frames pass unclassified: {error}"));
            }
        }
    })
}

fn post(element: &FrameClassifier, frame: &Frame, told: &Classification) {
    let message = gst::Structure::builder("frameclassifier")
        .field("frame", frame.number)
        .field_if_some("pts", frame.pts)
        .field("label", &told.label)
        .field("confidence", told.confidence)
        .field("model-digest", &told.model_digest)
        .build();
    // Without a bus nobody wants to know.
    let _ = element.post_message(gst::message::Element::builder(message).src(element).build());
}

fn parameters() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecUInt64::builder("interval")
            .nick("Interval")
            .blurb("Nanoseconds from one frame that is classified to the next, at least (0 = as fast as it can)")
            .default_value(Settings::default().interval.as_nanos() as u64)
            .mutable_playing()
            .build(),
        path(
            "model",
            "Model",
            "File of a model: of `chaosveil train classifier`, or ONNX (none = the built-in network)",
        ),
        path("labels", "Labels", "Text file of the labels of an ONNX model's outputs, one a line"),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Frames passed, classified and skipped, time, and the last result")
            .read_only()
            .build(),
    ]
}

mod imp {
    use super::*;

    /// See the wrapper.
    pub struct FrameClassifier {
        sink_pad: gst::Pad,
        src_pad: gst::Pad,
        settings: Mutex<Settings>,
        run: Mutex<Option<Run>>,
        record: Mutex<Arc<Record>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for FrameClassifier {
        const NAME: &'static str = "GstFrameClassifier";
        type Type = super::FrameClassifier;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let proxy = gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION | gst::PadFlags::PROXY_SCHEDULING;
            let sink = class.pad_template("sink").expect("made in pad_templates");
            let sink_pad = gst::Pad::builder_from_template(&sink)
                .chain_function(|_, parent, buffer| {
                    let panicked = || Err(gst::FlowError::Error);
                    FrameClassifier::catch_panic_pad_function(parent, panicked, |this| this.pass(buffer))
                })
                .event_function(|pad, parent, event| {
                    FrameClassifier::catch_panic_pad_function(
                        parent,
                        || false,
                        |this| {
                            this.note(&event);
                            gst::Pad::event_default(pad, Some(&*this.obj()), event)
                        },
                    )
                })
                .flags(proxy)
                .build();
            let src = class.pad_template("src").expect("made in pad_templates");
            let src_pad = gst::Pad::builder_from_template(&src).flags(proxy).build();
            let record = Mutex::new(Arc::new(Record::new("frameclassifier")));
            FrameClassifier { sink_pad, src_pad, settings: Mutex::default(), run: Mutex::default(), record }
        }
    }

    impl ObjectImpl for FrameClassifier {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(parameters);
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut settings = lock(&self.settings);
            let get = "type checked by GObject";
            let path = || path_of(value).filter(|path| !path.as_os_str().is_empty());
            match pspec.name() {
                "interval" => settings.interval = Duration::from_nanos(value.get().expect(get)),
                "model" => settings.model = path(),
                "labels" => settings.labels = path(),
                name => unreachable!("no property {name}"),
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            let settings = lock(&self.settings);
            match pspec.name() {
                "interval" => (settings.interval.as_nanos() as u64).to_value(),
                "model" => path_value(&settings.model),
                "labels" => path_value(&settings.labels),
                "stats" => lock(&self.record).structure().to_value(),
                name => unreachable!("no property {name}"),
            }
        }

        fn constructed(&self) {
            self.parent_constructed();
            let object = self.obj();
            object.add_pad(&self.sink_pad).expect("a new element has no pads");
            object.add_pad(&self.src_pad).expect("a new element has no pads");
        }
    }

    impl GstObjectImpl for FrameClassifier {}

    impl ElementImpl for FrameClassifier {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Chaosveil frame classifier",
                    "Inference/Classification/Video",
                    "Passes frames and tells whether they look plain, encrypted or badly encrypted",
                    "The Chaosveil developers",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = video::raw_caps();
                let template = |name, direction| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("a valid template")
                };
                vec![template("sink", gst::PadDirection::Sink), template("src", gst::PadDirection::Src)]
            });
            &TEMPLATES
        }

        fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            match transition {
                gst::StateChange::NullToReady => {
                    // Whoever cannot have metrics can have labels all the same.
                    if let Err(error) = exporter::serve_as_asked() {
                        gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{error}"));
                    }
                }
                gst::StateChange::ReadyToPaused => self.start().map_err(|error| {
                    gst::element_imp_error!(self, gst::ResourceError::Settings, ("{error}"));
                    gst::StateChangeError
                })?,
                _ => {}
            }
            let success = self.parent_change_state(transition)?;
            if transition == gst::StateChange::PausedToReady {
                // The thread is waited for, and not under the lock.
                let run = lock(&self.run).take();
                if let Some(run) = run {
                    run.classifying.stop();
                }
            }
            Ok(success)
        }
    }

    impl FrameClassifier {
        fn start(&self) -> Result<()> {
            let settings = lock(&self.settings).clone();
            let model = Model::open(settings.model.as_deref(), settings.labels.as_deref(), 1)?;
            let view = model.view();
            let record = Arc::new(Record::new(&self.obj().name()));
            *lock(&self.record) = record.clone();
            let classifying = Classifying::start(model, record, tell(&self.obj()))?;
            *lock(&self.run) = Some(Run { classifying, view, viewer: None, looks: 0, last: None });
            Ok(())
        }

        fn pass(&self, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let record = lock(&self.record).clone();
            let (number, interval) = (record.count(), lock(&self.settings).interval);
            if let Some(run) = &mut *lock(&self.run)
                && let Err(error) = run.consider(&buffer, number, interval, &record)
            {
                gst::debug!(CAT, imp = self, "a frame is passed unseen: {error}");
            }
            if let Some(newest) = record.newest() {
                // Where others hold the buffer too, this copies what describes it and none of its memory.
                newest.attach(buffer.make_mut());
            }
            self.src_pad.push(buffer)
        }

        /// Looks at what changes the frames.
        fn note(&self, event: &gst::EventRef) {
            match event.view() {
                gst::EventView::Caps(caps) => {
                    lock(&self.record).forget();
                    let Some(view) = lock(&self.run).as_ref().map(|run| run.view) else { return };
                    let viewer = Viewer::new(caps.caps(), view);
                    if let Err(error) = &viewer {
                        let told = format!("frames pass unclassified: {error}");
                        gst::element_imp_warning!(self, gst::StreamError::Format, ("{told}"));
                    }
                    if let Some(run) = &mut *lock(&self.run) {
                        run.viewer = viewer.ok();
                    }
                }
                gst::EventView::FlushStop(_) | gst::EventView::StreamStart(_) => lock(&self.record).forget(),
                _ => {}
            }
        }
    }
}
