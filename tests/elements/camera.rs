//! Streams that a camera has signed, and readers that accept those of one camera alone.

use gst::prelude::*;

use super::{
    common::{Keys, in_time},
    packets::{decrypt, decrypt_caps},
    pictures::{assert_same, caps, frames, info},
    rig::{Rig, all_caps, buffers, stream},
};

fn small() -> gst_video::VideoInfo {
    info("GRAY8", 64, 24)
}

/// Key files of two cameras beside the others, and what the cameras are known by.
fn cameras(keys: &Keys) -> [String; 2] {
    ["one", "two"]
        .map(|name| gstchaosveil::seal::create_camera(&keys.path(name)).expect("a camera's key file").to_string())
}

#[test]
fn only_the_cameras_named_are_accepted() {
    in_time(|| {
        let keys = Keys::new();
        let [one, two] = cameras(&keys);
        let sent = frames(&small(), 6);
        for output in ["packets", "picture transport=exact"] {
            let made = |signing: &str| {
                let rig = Rig::new(&format!("chaosenc {} output={output} rekey-frames=2 {signing}", keys.psk()));
                let came = rig.run(stream(&caps(&small()), sent.clone()));
                let packets: Vec<gst::Buffer> = buffers(&came).into_iter().cloned().collect();
                (all_caps(&came)[0].clone(), packets)
            };
            let signed = made(&format!("camera-key-file={}", keys.path("one").display()));
            let unsigned = made("");
            for ((caps, packets), accepted, opens) in [
                (&signed, one.clone(), true),
                (&signed, format!("{two},{one}"), true),
                (&signed, String::new(), true),
                (&unsigned, String::new(), true),
                (&signed, two.clone(), false),
                (&unsigned, one.clone(), false),
            ] {
                let verify = if accepted.is_empty() { String::new() } else { format!("verify-camera={accepted}") };
                let came = decrypt_caps(&keys, &verify, caps, packets.iter().cloned());
                let told = came.posted.iter().any(|(reason, _)| reason == "camera-not-accepted");
                assert_eq!(told, !opens, "{output}, {verify}");
                if opens {
                    assert_same(&verify, &small(), &buffers(&came.items), &sent);
                } else {
                    assert!(buffers(&came.items).is_empty(), "{output}, {verify}");
                    let error = came.error.expect("the stream was not opened");
                    assert!(error.contains("camera"), "{error}");
                }
            }
        }
    });
}

/// A header of another camera for the same stream needs the stream's keys; none is taken into a stream that is open.
#[test]
fn the_signature_is_told() {
    in_time(|| {
        let keys = Keys::new();
        let [one, _] = cameras(&keys);
        let rig = Rig::new(&format!("chaosenc {} camera-key-file={}", keys.psk(), keys.path("one").display()));
        let came = rig.run(stream(&caps(&small()), frames(&small(), 2)));
        let opened = decrypt(&keys, "", buffers(&came).into_iter().cloned());
        assert_eq!(opened.camera().as_deref(), Some(one.as_str()));
        // Outside the seal nothing tells who signed.
        let id = one.strip_prefix("camera-1:").expect("a prefix");
        let id: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).expect("digits")).collect();
        let visible = super::packets::joined(&buffers(&came).into_iter().cloned().collect::<Vec<_>>());
        assert!(!visible.windows(32).any(|window| window == id));
    });
}

#[test]
fn fail_settings_that_name_no_camera() {
    in_time(|| {
        let keys = Keys::new();
        for line in [
            format!("chaosdec {} verify-camera=camera-1:00", keys.psk()),
            format!("chaosenc {} camera-key-file={}", keys.psk(), keys.path("psk.key").display()),
            format!("chaosenc {} camera-key-file={}", keys.psk(), keys.path("missing").display()),
        ] {
            let rig = Rig::stopped(&line);
            assert!(rig.pipeline().set_state(gst::State::Playing).is_err(), "{line}");
            let error = rig.told().1.expect("an error");
            assert!(error.contains("keygen --camera") || error.contains("missing"), "{error}");
        }
    });
}
