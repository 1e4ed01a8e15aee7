//! `frameclassifier`: what is posted of plain frames and of ciphertext.

use crate::common::{Keys, in_time, init, pipeline, play_to_end};

/// What the element of a pipeline has posted.
fn posted(line: &str) -> Vec<gst::Structure> {
    let messages = play_to_end(&pipeline(line));
    let structures = messages.iter().filter_map(|message| message.structure());
    structures.filter(|structure| structure.name() == "frameclassifier").map(|structure| structure.to_owned()).collect()
}

/// Slow enough for the network to see some of them.
const SOURCE: &str = "videotestsrc num-buffers=20 is-live=true pattern=smpte ! \
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
                for told in told {
                    assert_eq!(told.get::<String>("label").as_deref(), Ok(label), "{format} {told}");
                    let confidence = told.get::<f64>("confidence").expect("a number");
                    assert!(confidence > 0.5 && confidence <= 1.0, "{told}");
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
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=16,height=16,framerate=25/1");
        for number in 0..5u8 {
            harness.push(gst::Buffer::from_slice([number; 256])).expect("passes");
            let out = harness.pull().expect("comes out");
            assert_eq!(out.map_readable().expect("readable")[..], [number; 256]);
        }
        // Too short for its caps: it passes, and nothing is told of it.
        harness.push(gst::Buffer::from_slice([0; 7])).expect("passes");
        assert_eq!(harness.pull().expect("comes out").size(), 7);
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
