//! Labels that are sealed with frames, as `inspect` shows them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use gst::prelude::*;
use gstchaosveil::gst::classification::Classification;

use crate::{
    tracks::run,
    workplace::{Workplace, code, stdout},
};

/// Seals three labelled frames into a file.
fn seal(place: &Workplace, output: &str, name: &str) {
    gst::init().expect("GStreamer starts");
    gstchaosveil::gst::register_elements().expect("the elements register");
    let line = format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=RGB,width=320,height=240 ! identity name=labelled ! \
         chaosenc recipients={} {output} ! filesink location={}",
        place.recipient,
        place.path(name).display()
    );
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline: gst::Pipeline = pipeline.downcast().expect("a pipeline");
    let pad = pipeline.by_name("labelled").and_then(|element| element.static_pad("src")).expect("named");
    let labels = [("plain", 0.5), ("plain", 0.75), ("a\u{1b}[2Jb", 1.0)];
    let next = AtomicUsize::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let number = next.fetch_add(1, Relaxed);
        if let (Some(gst::PadProbeData::Buffer(buffer)), Some((label, confidence))) =
            (&mut info.data, labels.get(number))
        {
            let model_digest = blake3::hash(b"a model").to_hex().to_string();
            let told = Classification { label: (*label).to_owned(), confidence: *confidence, model_digest, frame: 9 };
            told.attach(buffer.make_mut());
        }
        gst::PadProbeReturn::Ok
    });
    run(&pipeline);
}

#[test]
fn inspect_shows_labels_to_who_has_the_key() {
    let place = Workplace::new();
    seal(&place, "output=packets", "labelled.cveil");
    seal(&place, "output=picture ! pngenc snapshot=true", "labelled.png");
    let digest = blake3::hash(b"a model").to_hex();
    for (name, frames, highest) in [("labelled.cveil", 2, 0.75), ("labelled.png", 1, 0.5)] {
        let inspect = |key: bool, json: bool| {
            let mut inspect = place.chaosveil("inspect").arg(place.path(name));
            if key {
                inspect = inspect.arg("-i").arg(place.path("cam.key"));
            }
            if json { inspect.arg("--json") } else { inspect }
        };
        let shown = stdout(&place.done(inspect(false, true)));
        assert!(!shown.contains("plain") && !shown.contains(digest.as_str()), "{shown}");
        let report = place.json(inspect(true, true));
        let kind = &report["streams"][0]["opened"]["labels"]["kinds"][0];
        let expected = serde_json::json!({
            "label": "plain", "model_digest": digest.as_str(), "frames": frames,
            "lowest_confidence": 0.5, "highest_confidence": highest,
        });
        assert_eq!(*kind, expected, "{report}");
        let text = stdout(&place.done(inspect(true, false)));
        assert!(text.contains("label        plain: ") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(text.contains("a\\u{1b}[2Jb: 1 frames"), name == "labelled.cveil", "{text}");
    }
    // What is damaged shows nothing.
    let mut damaged = std::fs::read(place.path("labelled.png")).expect("there");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(place.path("damaged.png"), damaged).expect("written");
    let inspect = place.chaosveil("inspect").arg("-i").arg(place.path("cam.key")).arg(place.path("damaged.png"));
    place.failed(inspect, code::CONTENT, "");
}
