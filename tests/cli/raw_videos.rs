//! Raw video: decoded frames and cipher videos, every sample compared.

use std::{fs, path::Path};

use crate::{
    tracks::{self, Apart, Frame, Track, VIDEO, frames_of, make},
    workplace::{Workplace, code},
};

/// A few pictures in which chroma differs from pixel to pixel; the width is a whole number of groups in every format.
fn pictures(format: &str) -> String {
    format!("videotestsrc num-buffers=3 pattern=zone-plate kx2=80 ky2=45 kt=3 ! {}", raw(format))
}

fn raw(format: &str) -> String {
    format!("video/x-raw,format={format},width=96,height=48,framerate=10/1")
}

/// Raw frames of a file in some format, converted in no way that would change a sample.
fn decoded_as(path: &Path, format: &str) -> Vec<Frame> {
    let convert = "videoconvert dither=none chroma-mode=none matrix-mode=none gamma-mode=none primaries-mode=none";
    frames_of(&format!("filesrc location={} ! decodebin ! {convert} ! {}", path.display(), raw(format)))
}

#[track_caller]
fn assert_same_pictures(found: &[Frame], expected: &[Frame], name: &str) {
    assert!(!expected.is_empty() && found.len() == expected.len(), "{name}: {} pictures", found.len());
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.bytes.len(), expected.bytes.len(), "{name}, picture {number}");
        assert!(found.bytes == expected.bytes, "{name}, picture {number}: samples");
        let apart = found.pts.zip(expected.pts).map(|(found, expected)| found.abs_diff(expected));
        assert!(apart.is_some_and(|apart| apart <= 1_000_000), "{name}, picture {number}: {apart:?}");
    }
}

#[test]
fn raw_frames_of_many_formats_lose_no_sample() {
    let place = Workplace::new();
    let planar = ["I420", "YV12", "Y42B", "Y444", "I420_10LE", "I422_12BE", "GRAY8", "GRAY16_BE", "A420"];
    let packed = ["YUY2", "UYVY", "NV12", "NV21", "RGB", "BGRA", "AYUV", "v210", "P010_10LE", "RGB16"];
    for format in planar.into_iter().chain(packed) {
        let (sealed, back) = (place.path("raw.cveil"), place.path("raw.mkv"));
        make(&sealed, &format!("chaosenc name=mux recipients={} {} ! mux.", place.recipient, pictures(format)));
        place.done(place.decrypt(&sealed, &back).arg("--force"));
        assert_same_pictures(&decoded_as(&back, format), &frames_of(&pictures(format)), format);
    }
}

#[test]
fn fail_on_formats_that_no_file_holds_exactly() {
    let place = Workplace::new();
    let (sealed, back) = (place.path("raw.cveil"), place.path("raw.mkv"));
    make(&sealed, &format!("chaosenc name=mux recipients={} {} ! mux.", place.recipient, pictures("ARGB64")));
    let said = place.failed(place.decrypt(&sealed, &back), code::USAGE, "ARGB64");
    assert!(said.contains("in a pipeline"), "{said}");
    assert!(!back.exists() && !place.path("raw.mkv.partial").exists());
    let said = place.failed(place.decrypt(&sealed, &place.path("raw.mp4")), code::USAGE, "ARGB64");
    assert!(said.contains("in a pipeline"), "{said}");
}

/// All samples of a file's audio, however they are cut into buffers.
fn samples(path: &Path) -> Vec<u8> {
    let convert = "audioconvert ! audio/x-raw,format=F64LE,layout=interleaved";
    let frames = frames_of(&format!("filesrc location={} ! decodebin ! {convert}", path.display()));
    frames.into_iter().flat_map(|frame| frame.bytes).collect()
}

#[test]
fn decoded_clips_equal_the_decoding_of_their_source() {
    let place = Workplace::new();
    let audio = "audiotestsrc num-buffers=20 samplesperbuffer=4410 ! audio/x-raw,rate=44100,channels=2";
    let clips = [
        ("h264.mp4", format!("mp4mux name=mux {VIDEO} {audio} ! voaacenc ! aacparse ! mux.")),
        ("yuy2.mkv", format!("matroskamux name=mux {} ! mux. {audio},format=S24LE ! mux.", pictures("YUY2"))),
        ("uyvy.mkv", format!("matroskamux name=mux {} ! mux. {audio},format=F32LE ! mux.", pictures("UYVY"))),
        ("i420.avi", format!("avimux name=mux {} ! mux. {audio},format=S16LE ! mux.", pictures("I420"))),
    ];
    for (name, line) in clips {
        let plain = make(&place.path(name), &line);
        let (sealed, back) = (place.path("sealed.cveil"), place.path("back.mkv"));
        place.done(place.encrypt(&plain, &sealed).args(["--decode", "--force"]));
        place.done(place.decrypt(&sealed, &back).arg("--force"));
        let (found, expected) = (tracks::tracks(&back, Apart::Decoded), tracks::tracks(&plain, Apart::Decoded));
        let both = |tracks: &[Track]| tracks.iter().map(Track::media).collect::<Vec<_>>();
        assert_eq!(both(&found), ["video/x-raw", "audio/x-raw"], "{name}");
        assert_eq!(both(&expected), both(&found), "{name}");
        let format = expected[0].field("format").expect("a format");
        let format = format.rsplit(')').next().expect("a format");
        let size = |track: &Track| [track.field("width"), track.field("height")];
        assert_eq!(size(&found[0]), size(&expected[0]), "{name}");
        if name != "h264.mp4" {
            assert_same_pictures(&decoded_as(&back, format), &expected[0].frames, name);
        } else {
            assert_same_pictures(&found[0].frames, &expected[0].frames, name);
        }
        let heard = samples(&plain);
        assert!(!heard.is_empty() && samples(&back) == heard, "{name}: audio");
        assert_eq!(found[1].field("rate"), expected[1].field("rate"), "{name}");
    }
}

/// What a cipher video through FFV1 carries, as `encrypt --help` says.
const CARRIED: [&str; 7] = ["I420", "Y42B", "Y444", "Y41B", "YUV9", "GRAY8", "GRAY16_LE"];

#[test]
fn cipher_videos_of_each_format_and_of_no_other() {
    let place = Workplace::new();
    let (cipher, back) = (place.path("cipher.mkv"), place.path("back.mkv"));
    for format in CARRIED {
        let line = format!("matroskamux name=mux {} ! avenc_ffv1 ! mux.", pictures(format));
        let plain = make(&place.path("plain.mkv"), &line);
        place.done(place.encrypt(&plain, &cipher).arg("--force"));
        place.done(place.decrypt(&cipher, &back).arg("--force"));
        let expected = tracks::tracks(&plain, Apart::Decoded).remove(0).frames;
        assert_same_pictures(&tracks::tracks(&back, Apart::Decoded).remove(0).frames, &expected, format);
        let noise = tracks::tracks(&cipher, Apart::Decoded).remove(0);
        assert_eq!(noise.field("width").as_deref(), Some("96"));
        assert!(noise.frames.iter().zip(&expected).all(|(noise, plain)| noise.bytes[..96] != plain.bytes[..96]));
    }
    let other = make(&place.path("other.mkv"), &format!("matroskamux name=mux {} ! mux.", pictures("YUY2")));
    let said = place.failed(place.encrypt(&other, &place.path("x.mkv")), code::USAGE, "YUY2");
    assert!(CARRIED.iter().all(|format| said.contains(format)) && said.contains(".cveil"), "{said}");
    let audio = "audiotestsrc num-buffers=9 ! voaacenc ! aacparse ! mux.";
    let two = make(&place.path("two.mp4"), &format!("mp4mux name=mux {VIDEO} {audio}"));
    place.failed(place.encrypt(&two, &place.path("x.mkv")), code::USAGE, "--video-only");
    place.done(place.encrypt(&two, &place.path("x.mkv")).arg("--video-only"));
}

#[test]
fn videos_go_through_pipes() {
    let place = Workplace::new();
    let pipe = Path::new("-");
    let plain = make(&place.path("plain.mkv"), &format!("matroskamux name=mux {VIDEO}"));
    let (bytes, expected) = (fs::read(&plain).expect("made"), tracks::tracks(&plain, Apart::Stored));
    let sealed = place.piped(place.encrypt(pipe, pipe).args(["--input-form", "mkv", "--output-form", "cveil"]), &bytes);
    let back = place.piped(place.decrypt(pipe, pipe).args(["--output-form", "mkv"]), &sealed);
    fs::write(place.path("back.mkv"), back).expect("written");
    tracks::assert_same(&tracks::tracks(&place.path("back.mkv"), Apart::Stored), &expected, "packets");

    let cipher = place.piped(place.encrypt(pipe, pipe).args(["--output-form", "mkv"]), &bytes);
    let back = place.piped(place.decrypt(pipe, pipe).args(["--input-form", "mkv", "--output-form", "mkv"]), &cipher);
    fs::write(place.path("pictures.mkv"), back).expect("written");
    let (found, expected) = (place.path("pictures.mkv"), tracks::tracks(&plain, Apart::Decoded).remove(0));
    assert_same_pictures(&tracks::tracks(&found, Apart::Decoded).remove(0).frames, &expected.frames, "pictures");
}

/// A key of OpenSSH.
const SSH_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAMxSU+CCoLVCVU3sKWFHyAhWlxNS0IyjQXET9nwGDzjgAAAKjXK0aQ1ytG
kAAAAAtzc2gtZWQyNTUxOQAAACAMxSU+CCoLVCVU3sKWFHyAhWlxNS0IyjQXET9nwGDzjg
AAAEBsaO05wcu2/UHjB/ZUgfvDekxj1K/RtACt253KVFfB+QzFJT4IKgtUJVTewpYUfICF
aXE1LQjKNBcRP2fAYPOOAAAAIG1hZGUgZm9yIHRlc3RzLCBwcm90ZWN0cyBub3RoaW5nAQ
IDBAU=
-----END OPENSSH PRIVATE KEY-----
";
const SSH_RECIPIENT: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAzFJT4IKgtUJVTewpYUfICFaXE1LQjKNBcRP2fAYPOO made for tests, protects nothing";

#[test]
fn any_of_several_keys_opens_a_video() {
    let place = Workplace::new();
    let plain = make(&place.path("plain.mkv"), &format!("matroskamux name=mux {VIDEO}"));
    let expected = tracks::tracks(&plain, Apart::Stored);
    fs::write(place.path("ssh.key"), SSH_KEY).expect("written");
    fs::write(place.path("words"), "correct horse battery staple\n").expect("written");
    let (psk, words, sealed) = (place.path("psk.key"), place.path("words"), place.path("sealed.cveil"));
    let command = place.encrypt(&plain, &sealed).args(["-r", SSH_RECIPIENT]);
    place.done(command.arg("-k").arg(&psk).arg("--passphrase-file").arg(&words));
    let ways = [("-i", "cam.key"), ("-i", "ssh.key"), ("-k", "psk.key"), ("--passphrase-file", "words")];
    for (flag, key) in ways {
        let back = place.path(&format!("{key}.mkv"));
        place.done(place.chaosveil("decrypt").arg(flag).arg(place.path(key)).arg(&sealed).arg("-o").arg(&back));
        tracks::assert_same(&tracks::tracks(&back, Apart::Stored), &expected, key);
    }
    let report = place.json(place.chaosveil("inspect").arg("--json").arg(&sealed));
    let groups = report["streams"][0]["key_groups"].as_array().expect("a list").clone();
    assert_eq!(groups.len(), 3, "{report}");
    assert!(groups.iter().any(|group| group["recipients"]["ssh-ed25519"] == 1 && group["recipients"]["X25519"] == 1));
}

#[test]
fn secrets_are_in_no_log_of_a_video() {
    let place = Workplace::new();
    let line = format!("matroskamux name=mux {}", VIDEO.replace("num-buffers=30", "num-buffers=3"));
    let plain = make(&place.path("plain.mkv"), &line);
    fs::write(place.path("words"), "correct horse battery staple\n").expect("written");
    let secrets = [place.secret("cam.key"), place.secret("psk.key"), place.secret("words")];
    let with = |command: crate::workplace::Program| {
        let command = command.arg("-k").arg(place.path("psk.key"));
        command.arg("--passphrase-file").arg(place.path("words")).env("GST_DEBUG", "9")
    };
    for sealed in ["sealed.cveil", "cipher.mkv"] {
        let (sealed, back) = (place.path(sealed), place.path(&format!("{sealed}.mkv")));
        for mut command in [with(place.encrypt(&plain, &sealed)), with(place.decrypt(&sealed, &back))] {
            let ran = command.output();
            assert_eq!(ran.status.code(), Some(0), "run it without GST_DEBUG to see why");
            let log = String::from_utf8_lossy(&ran.stderr);
            assert!(log.len() > 100_000, "no log");
            // The first 16 letters of an identity say only what it is.
            let told = secrets.iter().find(|secret| log.contains(&secret[secret.len().min(17) - 1..]));
            assert!(told.is_none() && !log.contains("battery staple"), "a secret is in the log");
        }
    }
}
