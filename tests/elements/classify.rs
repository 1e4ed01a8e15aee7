//! `frameclassifier`: what is posted of plain frames and of ciphertext.

use crate::common::{Keys, assert_passes_untouched, in_time, init, posted_by};

fn posted(line: &str) -> Vec<gst::Structure> {
    posted_by("frameclassifier", line)
}

/// Slow enough for the network to see some of them.
const SOURCE: &str = "videotestsrc num-buffers=20 is-live=true pattern=ball ! \
                      video/x-raw,width=320,height=240,framerate=20/1";

#[test]
fn plain_frames_and_cipher_pictures() {
    in_time(|| {
        let keys = Keys::new();
        for format in ["I420", "RGB"] {
            let classified = "frameclassifier interval=0 ! fakesink";
            let encrypter = format!("chaosenc output=picture {}", keys.psk());
            let plain = posted(&format!("{SOURCE},format={format} ! {classified}"));
            let cipher = posted(&format!("{SOURCE},format={format} ! {encrypter} ! {classified}"));
            for (told, label) in [(plain, "plain"), (cipher, "encrypted")] {
                assert!(!told.is_empty(), "{format}: no frame was classified");
                let labels: Vec<String> = told.iter().map(|told| told.get("label").expect("a label")).collect();
                // Under keys of chance a frame in many is taken for a weak cipher's, none for a picture.
                let right = labels.iter().filter(|&told| told == label).count();
                assert!(2 * right > labels.len(), "{format} {label}: {labels:?}");
                assert!(label == "plain" || labels.iter().all(|told| told != "plain"), "{format}: {labels:?}");
                for told in told {
                    let confidence = told.get::<f64>("confidence").expect("a number");
                    assert!(confidence > 0.16 && confidence <= 1.0, "{told}");
                    assert!((1..=20).contains(&told.get::<u64>("frame").expect("a number")), "{told}");
                }
            }
        }
    });
}

#[test]
fn frames_pass_untouched_and_an_interval_is_kept() {
    in_time(|| {
        init();
        let mut harness = gst_check::Harness::new("frameclassifier");
        assert_passes_untouched(&mut harness);
        let told = posted(&format!("{SOURCE},format=GRAY8 ! frameclassifier interval=3600000000000 ! fakesink"));
        assert_eq!(told.len(), 1);
    });
}

/// Sixteen bits a sample would look like noise in their lower half.
#[test]
fn other_formats_are_refused() {
    in_time(|| {
        init();
        let element = gst::ElementFactory::make("frameclassifier").build().expect("is there");
        let sink = gst::prelude::ElementExt::static_pad(&element, "sink").expect("a sink pad");
        let takes = |format: &str| {
            let caps: gst::Caps = format!("video/x-raw,format={format}").parse().expect("caps");
            gst::prelude::PadExt::query_caps(&sink, Some(&caps)).is_empty()
        };
        assert!(takes("GRAY16_LE") && takes("ARGB") && !takes("I420"));
    });
}
