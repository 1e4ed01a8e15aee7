//! `chaosenc guard=true` where nothing is broken: everything passes, whole. What is broken is in the unit tests of `gst::guard`.

use crate::{
    common::{Keys, in_time},
    pictures::{self, assert_same, frames, info, noise},
    rig::{Rig, buffers, stream},
};

const PROFILES: [&str; 4] = ["hardened", "chaos allow-insecure=true", "aead", "hardened aead=chacha20-poly1305"];

#[test]
fn frames_of_every_profile_pass_in_both_forms() {
    in_time(|| {
        let keys = Keys::new();
        for (format, width, height) in [("I420", 320, 240), ("RGB", 129, 131), ("GRAY16_LE", 300, 200), ("NV12", 16, 2)]
        {
            let info = info(format, width, height);
            let sent = frames(&info, 25);
            for output in ["packets", "picture"] {
                for profile in PROFILES {
                    let case = format!("{format} {width}x{height} {output} {profile}");
                    let guard = "guard=true guard-interval=0 workers=2";
                    let decrypter = format!("chaosdec {} accept-profiles=hardened+chaos+aead", keys.psk());
                    let line =
                        format!("chaosenc {} profile={profile} output={output} {guard} ! {decrypter}", keys.psk());
                    let rig = Rig::new(&line);
                    let came = rig.run(stream(&pictures::caps(&info), sent.clone()));
                    assert_same(&case, &info, &buffers(&came), &sent);
                    assert_eq!(rig.stat("chaosenc", "guard-alarms"), 0, "{case}");
                    assert!(rig.posted().iter().all(|(reason, _)| reason == "new-stream"), "{case}");
                }
            }
        }
    });
}

/// Access units of any size, empty ones too.
#[test]
fn encoded_frames_of_any_size_pass() {
    in_time(|| {
        let keys = Keys::new();
        let caps = gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").build();
        let sizes = (0..60).chain([1000, 16_384, 16_385, 100_000]);
        let units: Vec<gst::Buffer> = sizes
            .flat_map(|size: usize| [vec![0; size], noise(size as u64, size)])
            .map(gst::Buffer::from_mut_slice)
            .collect();
        let line = format!("chaosenc {} guard=true ! chaosdec {}", keys.psk(), keys.psk());
        let rig = Rig::new(&line);
        let came = rig.run(stream(&caps, units.clone()));
        let came: Vec<Vec<u8>> = buffers(&came).into_iter().map(|buffer| pictures::bytes(buffer)).collect();
        let sent: Vec<Vec<u8>> = units.iter().map(|buffer| pictures::bytes(buffer)).collect();
        assert!(came == sent);
        assert!(rig.posted().iter().all(|(reason, _)| reason == "new-stream"));
    });
}

/// A guard lives as long as a run.
#[test]
fn a_guard_starts_again_with_its_element() {
    use gst::prelude::*;
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 320, 240);
        let rig = Rig::new(&format!("chaosenc {} guard=true ! chaosdec {}", keys.psk(), keys.psk()));
        for _ in 0..3 {
            let came = rig.run(stream(&pictures::caps(&info), frames(&info, 3)));
            assert_eq!(buffers(&came).len(), 3);
            rig.pipeline().set_state(gst::State::Ready).expect("stops");
            rig.pipeline().set_state(gst::State::Playing).expect("starts");
        }
    });
}
