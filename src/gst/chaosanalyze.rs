//! `chaosanalyze`: passes what comes, and tells how random it looks.
//!
//! ```text
//! gst-launch-1.0 -m v4l2src device=/dev/video0 ! videoconvert ! chaosenc output=picture key-file=psk.key ! \
//!     chaosanalyze ! fakesink
//! ```
//!
//! Posts an element message `chaosanalyze` for one frame of every `interval`. Of raw video every visible byte counts, of a
//! cipher picture of ours without the rows of headers, of our packets without what stands before the payload. Correlation
//! is that of the first channel, of more than eight bits a sample of the upper eight, where a sample stands in one byte or two.

use std::{
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;

use super::{
    first_channel::{self, Channel},
    runner::lock,
    video::{self, Content},
};
use crate::{
    Result,
    analysis::{
        correlation::{Direction, correlation},
        entropy::entropy,
        finding::Finding,
        histogram::{chi_square, counts},
    },
    backend::memory,
    seal::{CipherPicture, FrameHeader},
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("chaosanalyze", gst::DebugColorFlags::empty(), Some("Chaosveil live analysis"))
});

glib::wrapper! {
    /// Passes frames, and posts their statistics.
    pub struct ChaosAnalyze(ObjectSubclass<imp::ChaosAnalyze>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

#[derive(Debug, Clone)]
struct Settings {
    interval_ns: u64,
    alpha: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { interval_ns: 1_000_000_000, alpha: 0.01 }
    }
}

#[derive(Default)]
struct State {
    content: Option<Content>,
    last: Option<Instant>,
    frames: u64,
    picture: CipherPicture,
    /// A frame without padding, kept from frame to frame.
    bytes: Vec<u8>,
    /// One channel of it.
    channel: Vec<u8>,
}

impl State {
    /// Collects the bytes of a buffer that are judged, and tells where a channel is in them.
    fn collect(&mut self, buffer: &gst::BufferRef) -> Result<Option<Channel>> {
        if let Some(Content::Raw(raw)) = &self.content {
            return first_channel::collect(buffer, raw, &mut self.picture, &mut self.bytes);
        }
        let map = video::map(buffer)?;
        let payload = FrameHeader::claimed_payload(&map).unwrap_or(&map);
        memory::resize(&mut self.bytes, payload.len());
        self.bytes.copy_from_slice(payload);
        Ok(None)
    }

    fn findings(&mut self, channel: Option<Channel>, alpha: f64) -> Vec<Finding> {
        let counts = counts(&self.bytes);
        let mut findings = vec![entropy("all", &counts, alpha), chi_square("all", &counts, alpha)];
        if let Some(channel) = channel {
            let width = channel.samples(&self.bytes, &mut self.channel);
            let of = |direction| correlation("all", direction, &self.channel, width, alpha);
            findings.extend(Direction::ALL.map(of));
        }
        findings
    }
}

/// The visible bytes of a frame, of a cipher picture of ours without the rows of headers; tells where its first channel is.
mod imp {
    use super::*;

    /// See the wrapper.
    #[derive(Default)]
    pub struct ChaosAnalyze {
        settings: Mutex<Settings>,
        state: Mutex<State>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ChaosAnalyze {
        const NAME: &'static str = "GstChaosAnalyze";
        type Type = super::ChaosAnalyze;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for ChaosAnalyze {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecUInt64::builder("interval")
                        .nick("Interval")
                        .blurb("Nanoseconds from one message to the next (0 = one for each frame)")
                        .default_value(Settings::default().interval_ns)
                        .mutable_playing()
                        .build(),
                    glib::ParamSpecDouble::builder("alpha")
                        .nick("Alpha")
                        .blurb("Chance of finding what is ideal outside the critical values, of each test by itself")
                        .minimum(1e-9)
                        .maximum(0.5)
                        .default_value(Settings::default().alpha)
                        .mutable_playing()
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut settings = lock(&self.settings);
            let get = "type checked by GObject";
            match pspec.name() {
                "interval" => settings.interval_ns = value.get().expect(get),
                "alpha" => settings.alpha = value.get().expect(get),
                name => unreachable!("no property {name}"),
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            let settings = lock(&self.settings);
            match pspec.name() {
                "interval" => settings.interval_ns.to_value(),
                "alpha" => settings.alpha.to_value(),
                name => unreachable!("no property {name}"),
            }
        }
    }

    impl GstObjectImpl for ChaosAnalyze {}

    impl ElementImpl for ChaosAnalyze {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Chaosveil analyzer",
                    "Filter/Analyzer/Video",
                    "Passes frames and posts their entropy, chi-square and correlation, with critical values",
                    "The Chaosveil developers",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let template = |name, direction| {
                    let caps = gst::Caps::new_any();
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("a valid template")
                };
                vec![template("sink", gst::PadDirection::Sink), template("src", gst::PadDirection::Src)]
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for ChaosAnalyze {
        const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = true;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

        fn start(&self) -> Result<(), gst::ErrorMessage> {
            *lock(&self.state) = State::default();
            Ok(())
        }

        fn set_caps(&self, caps: &gst::Caps, _: &gst::Caps) -> Result<(), gst::LoggableError> {
            // Frames that cannot be read pass all the same: as bytes.
            lock(&self.state).content = Content::of(caps).ok();
            Ok(())
        }

        fn transform_ip_passthrough(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let settings = lock(&self.settings).clone();
            let mut state = lock(&self.state);
            // Between packets of ours stream headers come, which are no frames.
            if buffer.flags().contains(gst::BufferFlags::HEADER) || buffer.size() == 0 {
                return Ok(gst::FlowSuccess::Ok);
            }
            state.frames += 1;
            let now = Instant::now();
            let interval = Duration::from_nanos(settings.interval_ns);
            if state.last.is_some_and(|last| now - last < interval) {
                return Ok(gst::FlowSuccess::Ok);
            }
            let findings = match state.collect(buffer) {
                Ok(channel) => state.findings(channel, settings.alpha),
                Err(error) => {
                    gst::debug!(CAT, imp = self, "a frame is passed unseen: {error}");
                    return Ok(gst::FlowSuccess::Ok);
                }
            };
            state.last = Some(now);
            let frame = state.frames;
            drop(state);
            self.post(&findings, frame, buffer.pts(), settings.alpha);
            Ok(gst::FlowSuccess::Ok)
        }
    }

    impl ChaosAnalyze {
        fn post(&self, findings: &[Finding], frame: u64, pts: Option<gst::ClockTime>, alpha: f64) {
            let mut message = gst::Structure::builder("chaosanalyze").field("frame", frame).field("alpha", alpha);
            if let Some(pts) = pts {
                message = message.field("pts", pts);
            }
            for finding in findings {
                let name = finding.name.replace('_', "-");
                message = message.field(&name, finding.value).field(format!("{name}-samples"), finding.samples);
                if let Some(ideal) = finding.ideal {
                    message = message.field(format!("{name}-ideal"), ideal);
                }
                for (bound, word) in finding.critical.into_iter().zip(["lowest", "highest"]) {
                    if let Some(bound) = bound {
                        message = message.field(format!("{name}-{word}"), bound);
                    }
                }
                if let Some(pass) = finding.pass() {
                    message = message.field(format!("{name}-pass"), pass);
                }
            }
            let element = self.obj();
            let message = gst::message::Element::builder(message.build()).src(&*element).build();
            // Without a bus nobody wants to know.
            let _ = element.post_message(message);
        }
    }
}
