//! `classificationtext`: what the meta of frames says, as text.

use gstchaosveil::gst::classification::Classification;

use gst::prelude::*;

use crate::common::{in_time, init};

/// The text is what the meta says, at the frame's time.
#[test]
fn labels_become_text() {
    in_time(|| {
        init();
        let told =
            Classification { label: "ecb\nlike".into(), confidence: 0.876, model_digest: "0".repeat(64), frame: 3 };
        let mut harness = gst_check::Harness::new("classificationtext");
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=8,height=8,framerate=25/1");
        for (number, expected) in [(0, " "), (1, "ecb\\nlike 0.88")] {
            let mut buffer = gst::Buffer::from_mut_slice([7u8; 64]);
            let owned = buffer.get_mut().expect("one owner");
            owned.set_pts(number * 40 * gst::ClockTime::MSECOND);
            owned.set_duration(40 * gst::ClockTime::MSECOND);
            if number == 1 {
                told.attach(owned);
            }
            let text = harness.push_and_pull(buffer).expect("a text for each frame");
            assert_eq!(text.map_readable().expect("readable").as_slice(), expected.as_bytes());
            assert_eq!(text.pts(), Some(number * 40 * gst::ClockTime::MSECOND));
            assert_eq!(text.duration(), Some(40 * gst::ClockTime::MSECOND));
        }
        let caps = harness.sinkpad().and_then(|pad| pad.current_caps()).expect("caps were sent");
        assert_eq!(caps.to_string(), "text/x-raw, format=(string)utf8");
    });
}
