//! `frameclassifier`: what is posted of plain frames and of ciphertext, what its meta says, and what it does with models.

use std::path::PathBuf;

use gst::prelude::*;
use gstchaosveil::gst::classification::Classification;

use crate::common::{Keys, assert_passes_untouched, in_time, init, pipeline, play_to_end, posted_by, until_end};

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
        for format in ["I420", "RGB", "GRAY16_LE"] {
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
                    assert_eq!(told.get::<&str>("model-digest").expect("a digest").len(), 64);
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

/// A harness whose frames of one value are classified by a model of `tests/models`.
fn harness(model: &str, labels: &[&str], folder: &Keys) -> gst_check::Harness {
    let labels_file = folder.path("labels.txt");
    std::fs::write(&labels_file, labels.join("\n")).expect("written");
    let line = format!(
        "frameclassifier name=classifier interval=0 model={} labels={}",
        model_file(model).display(),
        labels_file.display()
    );
    gst_check::Harness::new_parse(&line)
}

fn model_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(format!("{name}.onnx"))
}

/// The newest result is on each frame, also on one that somebody else holds, whose memory is not copied.
#[cfg(feature = "onnx")]
#[test]
fn each_frame_carries_the_newest_result() {
    in_time(|| {
        init();
        let keys = Keys::new();
        let mut harness = harness("brightness", &["dark", "bright"], &keys);
        let bin = harness.element().expect("there");
        let element = match bin.downcast_ref::<gst::Bin>() {
            Some(bin) => bin.by_name("classifier").expect("named"),
            None => bin,
        };
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1");
        let digest = blake3::hash(&std::fs::read(model_file("brightness")).expect("there")).to_hex().to_string();
        let mut pushed = 0;
        let mut push = |harness: &mut gst_check::Harness, value| {
            let held = gst::Buffer::from_slice([value; 4096]);
            harness.push(held.clone()).expect("passes");
            let out = harness.pull().expect("comes out");
            assert_eq!(out.peek_memory(0).as_ptr(), held.peek_memory(0).as_ptr(), "the pixels are not copied");
            assert_eq!(Classification::of(&held), None, "what others hold stays as it is");
            pushed += 1;
            (Classification::of(&out), pushed)
        };
        for value in [10u8, 250, 20, 240] {
            let (_, first) = push(&mut harness, value);
            let told = loop {
                match push(&mut harness, value).0 {
                    Some(told) if told.frame >= first => break told,
                    _ => std::thread::sleep(std::time::Duration::from_millis(1)),
                }
            };
            assert_eq!(told.label, if value > 127 { "bright" } else { "dark" });
            // The logistic function of 20 (mean - 1/2), by hand.
            let bright = 1.0 / (1.0 + f64::exp(-20.0 * (f64::from(value) / 255.0 - 0.5)));
            assert!((told.confidence - bright.max(1.0 - bright)).abs() < 1e-5, "{told:?}");
            assert_eq!(told.model_digest, digest);
        }
        let stats = element.property::<gst::Structure>("stats");
        let count = |name: &str| stats.get::<u64>(name).expect("a number");
        assert!(count("frames") == pushed && (4..=pushed).contains(&count("classified")), "{stats}");
        assert!(count("classified") + count("skipped") <= pushed, "{stats}");
        assert_eq!((stats.get("label"), stats.get("model-digest")), (Ok("bright"), Ok(&*digest)));
        assert!(["classify-mean-ns", "classify-last-ns"].iter().all(|name| count(name) > 1_000), "{stats}");
        // What comes under other caps is something else.
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=72,framerate=25/1");
        harness.push(gst::Buffer::from_slice([10; 64 * 72])).expect("passes");
        assert_eq!(Classification::of(&harness.pull().expect("comes out")), None);
    });
}

/// Colours through GStreamer's conversion, whatever the format.
#[cfg(feature = "onnx")]
#[test]
fn a_users_model_sees_colours() {
    in_time(|| {
        init();
        let keys = Keys::new();
        std::fs::write(keys.path("labels.txt"), "red\ngreen\nblue\n").expect("written");
        for format in ["I420", "BGRx", "I422_10LE", "v210"] {
            for colour in ["red", "green", "blue"] {
                let told = posted(&format!(
                    "videotestsrc num-buffers=6 is-live=true pattern={colour} ! \
                     video/x-raw,width=64,height=48,format={format},framerate=20/1 ! frameclassifier interval=0 model={} labels={} ! fakesink",
                    model_file("colour").display(),
                    keys.path("labels.txt").display()
                ));
                assert!(
                    !told.is_empty() && told.iter().all(|told| told.get("label") == Ok(colour)),
                    "{format} {told:?}"
                );
            }
        }
    });
}

/// A model that cannot be used stops the start with a word, and nothing else.
#[cfg(feature = "onnx")]
#[test]
fn fail_bad_models() {
    in_time(|| {
        init();
        let keys = Keys::new();
        std::fs::write(keys.path("text.onnx"), "no model").expect("written");
        std::fs::write(keys.path("labels.txt"), "a\nb\n").expect("written");
        std::fs::write(keys.path("one.txt"), "a\n").expect("written");
        let labels = keys.path("labels.txt");
        for (model, labels, message) in [
            (keys.path("text.onnx"), Some(&labels), "no model"),
            (keys.path("absent.onnx"), Some(&labels), "absent.onnx"),
            (model_file("claims-gigabytes"), Some(&labels), "claims 10000000000 numbers"),
            (model_file("grows-expand"), Some(&labels), "numbers"),
            (model_file("two-outputs"), Some(&labels), "2 outputs"),
            (model_file("open-size"), Some(&labels), "left open"),
            (model_file("brightness"), None, "one label a line"),
            (model_file("brightness"), Some(&keys.path("one.txt")), "1 labels"),
        ] {
            let labels = labels.map(|labels| format!("labels={}", labels.display())).unwrap_or_default();
            let model = model.display();
            let pipeline = pipeline(&format!("videotestsrc ! frameclassifier model={model} {labels} ! fakesink"));
            assert!(pipeline.set_state(gst::State::Playing).is_err(), "{model}");
            let last = until_end(&pipeline).pop().expect("a message");
            let gst::MessageView::Error(error) = last.view() else { panic!("{last:?}") };
            assert!(error.error().message().contains(message), "{model}: {}", error.error());
            pipeline.set_state(gst::State::Null).expect("stops");
        }
    });
}

/// Frames that are smaller than what the model looks at pass, and a warning says so.
#[test]
fn small_frames_pass_with_a_warning() {
    in_time(|| {
        init();
        let line =
            "videotestsrc num-buffers=5 ! video/x-raw,width=320,height=100 ! frameclassifier ! fakesink name=end";
        let pipeline = pipeline(line);
        let messages = play_to_end(&pipeline);
        let warnings: Vec<String> = messages
            .iter()
            .filter_map(|message| match message.view() {
                gst::MessageView::Warning(warning) => Some(warning.error().message().to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("320 x 100 is too small"), "{warnings:?}");
    });
}
