//! `classificationtext`: what frames were taken for, as text, for `textoverlay` or a file of subtitles.
//!
//! ```text
//! gst-launch-1.0 videotestsrc num-buffers=30 ! frameclassifier ! tee name=frames \
//!     frames. ! queue ! textoverlay name=preview ! autovideosink frames. ! queue ! classificationtext ! preview.text_sink
//! ```
//!
//! In: raw video with the meta of [`classification`](super::classification), by `frameclassifier` or restored by `chaosdec`.
//! Out: a text for each frame, with its times: label and confidence, or a space as long as nothing is known.

use gst::{glib, subclass::prelude::*};
use gst_base::subclass::{base_transform::PrepareOutputBufferSuccess, prelude::*};

use super::classification::Classification;

glib::wrapper! {
    /// Makes text of what frames were taken for.
    pub struct ClassificationText(ObjectSubclass<imp::ClassificationText>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// What is shown of a frame; never empty, which `textoverlay` would wait for longer.
fn text(buffer: &gst::BufferRef) -> String {
    match Classification::of(buffer) {
        // Whoever may seal for us chooses the label.
        Some(told) => format!("{} {:.2}", told.label.escape_debug(), told.confidence),
        None => " ".into(),
    }
}

mod imp {
    use std::sync::LazyLock;

    use super::*;

    /// See the wrapper.
    #[derive(Default)]
    pub struct ClassificationText;

    #[glib::object_subclass]
    impl ObjectSubclass for ClassificationText {
        const NAME: &'static str = "GstClassificationText";
        type Type = super::ClassificationText;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for ClassificationText {}
    impl GstObjectImpl for ClassificationText {}

    impl ElementImpl for ClassificationText {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Chaosveil classification text",
                    "Filter/Converter/Video/Text",
                    "Makes text of what frames were taken for",
                    "The Chaosveil developers",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let template = |name, direction, caps: &gst::Caps| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).expect("a valid template")
                };
                vec![
                    template("sink", gst::PadDirection::Sink, &video_caps()),
                    template("src", gst::PadDirection::Src, &text_caps()),
                ]
            });
            &TEMPLATES
        }
    }

    fn video_caps() -> gst::Caps {
        gst::Caps::builder("video/x-raw").any_features().build()
    }

    fn text_caps() -> gst::Caps {
        gst::Caps::builder("text/x-raw").field("format", "utf8").build()
    }

    impl BaseTransformImpl for ClassificationText {
        const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            _: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let caps = if direction == gst::PadDirection::Sink { text_caps() } else { video_caps() };
            Some(filter.map_or(caps.clone(), |filter| filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First)))
        }

        fn prepare_output_buffer(
            &self,
            input: gst_base::subclass::base_transform::InputBuffer,
        ) -> Result<PrepareOutputBufferSuccess, gst::FlowError> {
            let input = match &input {
                gst_base::subclass::base_transform::InputBuffer::Readable(buffer) => *buffer,
                gst_base::subclass::base_transform::InputBuffer::Writable(buffer) => &**buffer,
            };
            let mut output = gst::Buffer::from_mut_slice(text(input).into_bytes());
            let times = gst::BufferCopyFlags::TIMESTAMPS;
            let copied = input.copy_into(output.get_mut().expect("it is new"), times, ..);
            copied.map_err(|_| gst::FlowError::Error)?;
            Ok(PrepareOutputBufferSuccess::Buffer(output))
        }

        fn transform(&self, _: &gst::Buffer, _: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
            // The text was written when its buffer was made.
            Ok(gst::FlowSuccess::Ok)
        }
    }
}
