//! Applications that answer `request-key`.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use gst::{glib, prelude::*};

use super::{
    common::{Keys, in_time},
    packets::{packet_caps, stream_id},
    pictures::{assert_same, caps, frames, info},
    rig::{Rig, buffers, stream},
};

fn small() -> gst_video::VideoInfo {
    info("GRAY8", 64, 24)
}

/// Packets of a stream that opens with the pre-shared key, the identity or the passphrase of `keys`.
fn packets(keys: &Keys) -> Vec<gst::Buffer> {
    let line = format!(
        "chaosenc {} recipient-file={} passphrase-file={}",
        keys.psk(),
        keys.path("recipients.txt").display(),
        keys.path("passphrase").display()
    );
    let came = Rig::new(&line).run(stream(&caps(&small()), frames(&small(), 5)));
    buffers(&came).into_iter().cloned().collect()
}

/// Answers of a `chaosdec` that has no key, or another one; returns what came out, with the error posted.
fn answered(
    settings: &str,
    packets: &[gst::Buffer],
    answer: impl Fn(&str, &str) -> Option<gst::Structure> + Send + Sync + 'static,
) -> (Vec<gst::Buffer>, Option<String>) {
    let rig = Rig::stopped(&format!("chaosdec {settings}"));
    rig.element("chaosdec").connect("request-key", false, move |values| {
        let text = |number: usize| values[number].get::<String>().expect("a text");
        Some(answer(&text(1), &text(2)).to_value())
    });
    rig.pipeline().set_state(gst::State::Playing).expect("starts without a key: somebody answers");
    let came = rig.run(stream(&packet_caps(), packets.to_vec()));
    let error = rig.told().1;
    (buffers(&came).into_iter().cloned().collect(), error)
}

#[test]
fn every_kind_of_answer_opens_the_stream() {
    in_time(|| {
        let keys = Keys::new();
        let packets = packets(&keys);
        let id: String = stream_id(&packets[0]).iter().map(|byte| format!("{byte:02x}")).collect();
        let (key, _) = keys.hex_key("psk.key");
        let file = |field: &'static str, name: &str| {
            gst::Structure::builder("answer").field(field, keys.path(name).display().to_string()).build()
        };
        let other = Keys::new();
        for answer in [
            file("key-file", "psk.key"),
            file("identity-file", "cam.key"),
            file("passphrase-file", "passphrase"),
            gst::Structure::builder("answer").field("key", glib::Bytes::from(&key)).build(),
        ] {
            for settings in [String::new(), other.psk()] {
                let asked = Arc::new(Mutex::new(Vec::new()));
                let (noted, told) = (asked.clone(), answer.clone());
                let (came, error) = answered(&settings, &packets, move |id, groups| {
                    noted.lock().expect("not poisoned").push((id.to_owned(), groups.to_owned()));
                    Some(told.clone())
                });
                assert_eq!(error, None, "{answer}");
                assert_same(&answer.to_string(), &small(), &came.iter().collect::<Vec<_>>(), &frames(&small(), 5));
                let wanted = vec![(id.clone(), "recipients,passphrase,pre-shared".to_owned())];
                assert_eq!(*asked.lock().expect("not poisoned"), wanted, "asked once");
            }
        }
    });
}

#[test]
fn fail_answers_that_do_not_help() {
    in_time(|| {
        let keys = Keys::new();
        let packets = packets(&keys);
        let other = Keys::new();
        let wrong = other.path("psk.key").display().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        for (answer, said) in [
            (None, "no key given"),
            (Some(gst::Structure::builder("answer").field("key-file", wrong).build()), "none of the given keys"),
            (Some(gst::Structure::builder("answer").field("key-file", "/no/such/file").build()), "/no/such/file"),
            (Some(gst::Structure::builder("answer").field("key", glib::Bytes::from(&[1, 2, 3])).build()), "32 bytes"),
            (Some(gst::Structure::new_empty("answer")), "an answer to request-key"),
        ] {
            let (noted, told) = (asked.clone(), answer.clone());
            let (came, error) = answered("", &packets, move |_, _| {
                noted.fetch_add(1, Relaxed);
                told.clone()
            });
            assert!(came.is_empty(), "{answer:?}");
            let error = error.expect("the stream was not opened");
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(asked.load(Relaxed), 5);
        // Nobody answers and there is no key: it does not start.
        let rig = Rig::stopped("chaosdec");
        assert!(rig.pipeline().set_state(gst::State::Playing).is_err());
    });
}
