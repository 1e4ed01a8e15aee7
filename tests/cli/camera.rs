//! Signed by a camera, and opened only if it is so.

use std::fs;

use crate::{
    clips::{self, CLIP},
    workplace::{Program, Workplace, code, stdout},
};

/// A workplace with a camera's key `signing.key`, and what the camera is known by.
fn with_camera() -> (Workplace, String) {
    let place = Workplace::new();
    let made = place.done(place.chaosveil("keygen").arg("--camera").arg("-o").arg(place.path("signing.key")));
    let camera = stdout(&made).trim().to_owned();
    assert!(camera.starts_with("camera-1:"), "{camera}");
    (place, camera)
}

fn signed(place: &Workplace, input: &str, output: &str) -> Program {
    place.encrypt(&place.path(input), &place.path(output)).arg("--camera-key").arg(place.path("signing.key"))
}

#[test]
fn a_picture_and_a_video_are_signed() {
    let (place, camera) = with_camera();
    let other = "camera-1:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    image::GrayImage::from_fn(40, 30, |x, y| image::Luma([(x * y) as u8])).save(place.path("a.png")).expect("saved");
    clips::make(&place.path("clip.mkv"), CLIP);
    for (input, sealed, opened) in [
        ("a.png", "picture.cveil", "picture.png"),
        ("a.png", "cipher.png", "plain.png"),
        ("clip.mkv", "clip.cveil", "plain.mkv"),
        ("clip.mkv", "cipher.mkv", "frames.mkv"),
    ] {
        let encrypt = signed(&place, input, sealed);
        place.done(if sealed == "cipher.mkv" { encrypt.arg("--video-only") } else { encrypt });
        let decrypt =
            |camera: &str| place.decrypt(&place.path(sealed), &place.path(opened)).args(["--verify-camera", camera]);
        place.failed(decrypt(other), code::KEY, "camera: the stream is");
        assert!(!place.path(opened).exists(), "{opened}");
        place.done(decrypt(&camera));
        assert!(place.path(opened).exists(), "{opened}");
    }
    let inspected =
        place.done(place.chaosveil("inspect").arg("-i").arg(place.path("cam.key")).arg(place.path("clip.cveil")));
    assert!(stdout(&inspected).contains(&camera), "{}", stdout(&inspected));
    let key = fs::read_to_string(place.path("signing.key")).expect("written");
    assert!(key.contains(&camera), "the file says whose key it is");
}

#[test]
fn fail_what_is_not_signed() {
    let (place, camera) = with_camera();
    image::GrayImage::new(20, 10).save(place.path("a.png")).expect("saved");
    place.done(place.encrypt(&place.path("a.png"), &place.path("a.cveil")));
    let verify = |camera: &str| {
        let verify = place.chaosveil("verify").arg("-i").arg(place.path("cam.key")).arg(place.path("a.cveil"));
        verify.args(["--verify-camera", camera])
    };
    place.failed(verify(&camera), code::KEY, "is not signed");
    place.failed(verify("camera-1:12"), code::KEY, "keygen --camera");
    let wrong_file = place.encrypt(&place.path("a.png"), &place.path("b.cveil"));
    let wrong_file = wrong_file.arg("--camera-key").arg(place.path("cam.key"));
    let said = place.failed(wrong_file, code::KEY, "no camera key file");
    let secret = fs::read_to_string(place.path("cam.key")).expect("an identity");
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("a secret");
    assert!(!said.contains(secret));
    let twice = place.chaosveil("keygen").arg("--camera").arg("-o").arg(place.path("signing.key"));
    place.failed(twice, code::USAGE, "never overwritten");
}
