//! `chaosanalyze`: what is posted of plain frames and of ciphertext.

use gst::prelude::*;

use crate::common::{Keys, assert_passes_untouched, in_time, init, posted_by};

fn posted(line: &str) -> Vec<gst::Structure> {
    posted_by("chaosanalyze", line)
}

const SOURCE: &str = "videotestsrc num-buffers=3 pattern=ball ! video/x-raw,width=320,height=240";
const ALL: &str = "chaosanalyze interval=0 alpha=0.00001";

#[test]
fn plain_frames_are_outside_ciphertext_is_inside() {
    in_time(|| {
        let keys = Keys::new();
        for format in ["I420", "GRAY8", "RGB", "NV12", "UYVY", "xRGB"] {
            let plain = posted(&format!("{SOURCE},format={format} ! {ALL} ! fakesink"));
            assert_eq!(plain.len(), 3);
            for name in ["entropy", "chi-square", "correlation-horizontal", "correlation-diagonal"] {
                assert_eq!(plain[0].get::<bool>(format!("{name}-pass")), Ok(false), "{format} {name}: {}", plain[0]);
            }
            for output in ["picture transport=exact", "packets"] {
                let encrypter = format!("chaosenc output={output} {}", keys.psk());
                let cipher = posted(&format!("{SOURCE},format={format} ! {encrypter} ! {ALL} ! fakesink"));
                // Of stream headers nothing is said; of an end record, which is no picture, nothing that passes or fails.
                let is_frame = |message: &&gst::Structure| message.has_field("entropy-pass");
                let frames: Vec<_> = cipher.iter().filter(is_frame).collect();
                assert_eq!((frames.len(), cipher.len() <= 4), (3, true), "{format} {output}: {cipher:?}");
                for name in ["entropy", "chi-square"] {
                    assert_eq!(frames[1].get::<bool>(format!("{name}-pass")), Ok(true), "{format} {}", frames[1]);
                }
                let correlation = frames[1].get::<bool>("correlation-vertical-pass");
                assert_eq!(correlation.ok(), (output != "packets").then_some(true), "{format} {}", frames[1]);
                // Every byte of the frame, and none of the headers.
                let expected = gst_video::VideoInfo::builder(format.parse().expect("a format"), 320, 240).build();
                let size = expected.expect("valid").size() as u64;
                assert_eq!(frames[1].get::<u64>("entropy-samples"), Ok(size), "{format} {output}");
            }
        }
    });
}

#[test]
fn frames_pass_untouched_and_an_interval_is_kept() {
    in_time(|| {
        init();
        let mut harness = gst_check::Harness::new("chaosanalyze");
        assert_passes_untouched(&mut harness);
        harness.element().expect("there").set_property("interval", u64::MAX);
        let line = "videotestsrc num-buffers=30 ! video/x-raw,width=16,height=16 ! chaosanalyze interval=3600000000000";
        assert_eq!(posted(&format!("{line} ! fakesink")).len(), 1);
    });
}
