//! One test for each script of `pipelines/`: with a test picture for a camera and a file for a screen, what comes out
//! must be what a pipeline without encryption makes.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::{BUILT, Finished, ROOT, Running, environment, free_port};

const SCRIPTS: [&str; 12] = [
    "benchmark",
    "camera",
    "classify",
    "demo",
    "file",
    "picture",
    "rtp-receiver",
    "rtp-sender",
    "tcp-receiver",
    "tcp-sender",
    "webcam-to-screen",
    "webcam-to-virtual-webcam",
];

/// The test picture, small and short.
const SMALL: [&str; 8] = ["--source", "test", "--size", "160x120", "--frames", "6", "--keys", "keys"];
/// What the scripts make of that.
const SOURCE: &str =
    "videotestsrc pattern=smpte num-buffers=6 ! video/x-raw,format=I420,width=160,height=120,framerate=30/1";

/// How `gst-launch-1.0` ends when a pipeline does not start.
const GST_LAUNCH_ERROR: i32 = 255;

/// A folder for one test.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Scene {
        Scene(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, script: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new(Path::new(ROOT).join("pipelines").join(format!("{script}.sh")));
        command.args(arguments).env("CHAOSVEIL_BIN_DIR", &*BUILT);
        Running::start(command, self.0.path())
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Finished {
        self.start(script, arguments).finish()
    }

    #[track_caller]
    fn gst_launch(&self, pipeline: &str) -> Finished {
        let mut command = Command::new("gst-launch-1.0");
        command.arg("-q").args(pipeline.split_whitespace()).envs(environment());
        Running::start(command, self.0.path()).finish().success()
    }

    /// What elements give, as bytes.
    #[track_caller]
    fn bytes_of(&self, elements: &str) -> Vec<u8> {
        self.gst_launch(&format!("{elements} ! filesink location=bytes"));
        fs::read(self.path("bytes")).expect("made by the pipeline")
    }

    #[track_caller]
    fn assert_file(&self, name: &str, expected: &[u8]) {
        let found = fs::read(self.path(name)).expect("made by the script");
        assert_eq!(found.len(), expected.len(), "bytes in {name}");
        assert!(!found.is_empty() && found == expected, "{name} is not what it is without encryption");
    }
}

#[test]
fn every_script_has_its_test() {
    let scripts = fs::read_dir(Path::new(ROOT).join("pipelines")).expect("the folder");
    let mut names: Vec<_> = scripts.map(|entry| entry.expect("readable").file_name()).collect();
    names.retain(|name| name != "common.sh");
    names.sort();
    assert_eq!(names, SCRIPTS.map(|script| OsString::from(format!("{script}.sh"))));
}

#[test]
fn every_script_explains_itself() {
    let scene = Scene::new();
    for script in SCRIPTS {
        let help = scene.run(script, &["--help"]).success().stdout;
        assert!(help.contains("--source") && help.contains("--sink"), "{script}: {help}");
        assert!(scene.run(script, &["--sauce", "test"]).failure(2).stderr.contains("--sauce"), "{script}");
        assert!(scene.run(script, &["--source"]).failure(2).stderr.contains("needs a value"), "{script}");
    }
}

#[test]
fn benchmark() {
    let scene = Scene::new();
    let arguments = ["--seconds", "2", "--size", "160x120", "--keys", "keys"];
    let told = scene.run("benchmark", &arguments).success().stdout;
    let figures = |row: &str| -> Vec<f64> {
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("{row:30}")));
        line.unwrap_or_default().split_whitespace().map(|figure| figure.parse().expect("a number")).collect()
    };
    for (row, count) in [("identity", 1), ("chaosenc profile=aead", 4), ("chaosenc", 4), ("chaosenc ! chaosdec", 7)] {
        let figures = figures(row);
        assert!(figures.len() == count && figures.iter().all(|&figure| figure > 0.0), "{row}: {figures:?}\n{told}");
    }
}

/// Large enough and long enough for the network to say something.
#[cfg(feature = "nn")]
const CLASSIFIED: [&str; 8] = ["--source", "test", "--size", "160x160", "--frames", "900", "--keys", "keys"];

/// Where labels are drawn, and nowhere else, something changes.
#[cfg(feature = "nn")]
fn assert_labels_are_drawn(shown: &[u8], frame: &[u8]) {
    let frame_bytes = 160 * 160 * 3 / 2;
    assert_eq!((shown.len(), frame.len()), (900 * frame_bytes, frame_bytes));
    let last = &shown[899 * frame_bytes..];
    assert!(last[..160 * 80] == frame[..160 * 80], "the picture is not what it was");
    // The test picture's snow is at the right.
    let middle = |frame: &[u8]| -> Vec<u8> {
        frame[160 * 80..160 * 160].chunks(160).flat_map(|row| &row[40..100]).copied().collect()
    };
    assert!(middle(last) != middle(frame), "no label was drawn");
}

#[test]
#[cfg(feature = "nn")]
fn classify() {
    let scene = Scene::new();
    let frame = scene.bytes_of("videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=160,height=160");
    scene.run("classify", &[&CLASSIFIED[..], &["--sink", "shown.raw"]].concat()).success();
    assert_labels_are_drawn(&fs::read(scene.path("shown.raw")).expect("made by the script"), &frame);

    scene.run("classify", &[&CLASSIFIED[..], &["--show", "cipher", "--sink", "cipher.raw"]].concat()).success();
    let cipher = fs::read(scene.path("cipher.raw")).expect("made by the script");
    assert!(cipher.len() > 900 * frame.len() && !cipher.windows(160).any(|row| row == &frame[..160]));
}

#[test]
#[cfg(feature = "nn")]
fn camera() {
    let (scene, port) = (Scene::new(), free_port("tcp"));
    let number = port.to_string();
    let arguments = ["--sink", "shown.raw", "--output", "camera.cveil", "--port", &number];
    let mut running = scene.start("camera", &[&CLASSIFIED[..], &arguments].concat());
    running.wait_for_port("tcp", port);
    let told = running.finish().success().stderr;
    assert!(told.contains(&format!("http://127.0.0.1:{port}/metrics")), "{told}");
    let opened = scene.bytes_of("filesrc location=camera.cveil ! chaosdec identity-file=keys/camera.key");
    let source =
        "videotestsrc pattern=smpte num-buffers=900 ! video/x-raw,format=I420,width=160,height=160,framerate=30/1";
    let expected = scene.bytes_of(source);
    assert!(opened.len() == expected.len() && opened == expected);
    let frame = &expected[..160 * 160 * 3 / 2];
    assert_labels_are_drawn(&fs::read(scene.path("shown.raw")).expect("made by the script"), frame);
}

#[test]
fn demo() {
    let scene = Scene::new();
    let arguments = ["--frames", "6", "--size", "160x120", "--output", "out"];
    let told = scene.run("demo", &arguments).success().stderr;
    assert!(told.contains("6 frames, each with the time and the SHA-256"), "{told}");
    assert!(told.contains("none of the given keys opens this stream"), "{told}");
    let drawn = image::open(scene.path("out/demo.png")).expect("a picture");
    assert!(drawn.width() > 3 * 160, "{} wide", drawn.width());

    let plain = scene.bytes_of(SOURCE);
    let sealed = fs::read(scene.path("out/clip.cveil")).expect("the encrypted clip");
    assert!(sealed.starts_with(b"CVEILHDR") && sealed.len() > plain.len());
    let first_rows = &plain[..32];
    assert!(!sealed.windows(32).any(|window| window == first_rows), "plain samples in the encrypted clip");
}

#[test]
fn file() {
    let scene = Scene::new();
    let arguments = [&SMALL[..], &["--output", "out", "--sink", "decrypted.mkv"]].concat();
    scene.run("file", &arguments).success();
    for track in ["video_0", "audio_0"] {
        let frames = |file: &str| {
            let pipeline =
                format!("filesrc location={file} ! matroskademux name=mux mux.{track} ! queue ! checksumsink");
            scene.gst_launch(&pipeline).stdout
        };
        let before = frames("out/clip.mkv");
        assert!(before.lines().count() >= 6, "{track}: {before}");
        assert_eq!(frames("decrypted.mkv"), before, "times and checksums of {track}");
    }
}

#[test]
fn picture() {
    let scene = Scene::new();
    let arguments = ["--source", "test", "--size", "160x120", "--keys", "keys", "--output", "out"];
    scene.run("picture", &[&arguments[..], &["--sink", "drawn.png"]].concat()).success();
    assert!(image::open(scene.path("drawn.png")).expect("a picture").width() > 3 * 160);
    let rows = |name: &str| image::open(scene.path(name)).expect("a picture").to_rgb8();
    assert_eq!(rows("out/decrypted.png"), rows("out/picture.png"));
    let cipher = rows("out/cipher.png");
    assert!(cipher.width() == 160 && cipher.height() > 120);
}

#[test]
fn webcam_to_screen() {
    let scene = Scene::new();
    scene.run("webcam-to-screen", &[&SMALL[..], &["--sink", "shown.raw"]].concat()).success();
    scene.assert_file("shown.raw", &scene.bytes_of(SOURCE));

    scene.run("webcam-to-screen", &[&SMALL[..], &["--show", "cipher", "--sink", "cipher.mkv"]].concat()).success();
    let cipher = "filesrc location=cipher.mkv ! matroskademux ! avdec_ffv1";
    scene.gst_launch(&format!("{cipher} ! chaosdec identity-file=keys/camera.key ! filesink location=opened.raw"));
    scene.assert_file("opened.raw", &scene.bytes_of(SOURCE));
}

#[test]
fn webcam_to_virtual_webcam() {
    let scene = Scene::new();
    let as_yuy2 = format!("{SOURCE} ! videoconvert ! video/x-raw,format=YUY2");
    let shown = [&SMALL[..], &["--show", "decrypted", "--sink", "shown.raw"]].concat();
    scene.run("webcam-to-virtual-webcam", &shown).success();
    scene.assert_file("shown.raw", &scene.bytes_of(&as_yuy2));

    scene.run("webcam-to-virtual-webcam", &[&SMALL[..], &["--sink", "cipher.raw"]].concat()).success();
    let rows = fs::metadata(scene.path("cipher.raw")).expect("made by the script").len() / 6 / (2 * 160);
    let cipher = format!("filesrc location=cipher.raw ! rawvideoparse format=yuy2 width=160 height={rows}");
    scene.gst_launch(&format!("{cipher} ! chaosdec identity-file=keys/camera.key ! filesink location=opened.raw"));
    scene.assert_file("opened.raw", &scene.bytes_of(&as_yuy2));
}

#[test]
fn tcp_sender_and_receiver() {
    for codec in ["raw", "h264"] {
        let (scene, port) = (Scene::new(), free_port("tcp"));
        let number = port.to_string();
        let arguments = ["--keys", "keys", "--port", &number, "--sink", "shown.raw"];
        let mut receiver = scene.start("tcp-receiver", &arguments);
        receiver.wait_for_port("tcp", port);
        scene.run("tcp-sender", &[&SMALL[..], &["--codec", codec, "--port", &number]].concat()).success();
        receiver.finish().success();
        scene.assert_file("shown.raw", &scene.bytes_of(&sent(codec)));
    }
}

/// UDP tells no one that it is over: the receiver is stopped as a user would.
#[test]
fn rtp_sender_and_receiver() {
    for codec in ["raw", "h264"] {
        let (scene, port) = (Scene::new(), free_port("udp"));
        let number = port.to_string();
        let arguments = ["--keys", "keys", "--port", &number, "--sink", "shown.raw"];
        let mut receiver = scene.start("rtp-receiver", &arguments);
        receiver.wait_for_port("udp", port);
        scene.run("rtp-sender", &[&SMALL[..], &["--codec", codec, "--port", &number]].concat()).success();
        let expected = scene.bytes_of(&sent(codec));
        receiver.wait_for("the frames", || {
            fs::metadata(scene.path("shown.raw")).is_ok_and(|file| file.len() >= expected.len() as u64)
        });
        receiver.interrupt();
        receiver.finish().success();
        scene.assert_file("shown.raw", &expected);
    }
}

/// What a sender's source gives after its codec.
fn sent(codec: &str) -> String {
    match codec {
        "raw" => SOURCE.to_owned(),
        _ => format!(
            "{SOURCE} ! x264enc tune=zerolatency speed-preset=veryfast bitrate=4000 key-int-max=30 ! h264parse ! avdec_h264"
        ),
    }
}

#[test]
fn senders_ask_for_the_receivers_recipient() {
    let scene = Scene::new();
    for script in ["tcp-sender", "rtp-sender"] {
        let told = scene.run(script, &SMALL).failure(1).stderr;
        assert!(told.contains("start the receiver first"), "{script}: {told}");
    }
}

#[test]
fn files_and_uris_are_sources() {
    let scene = Scene::new();
    scene.gst_launch(&format!("{SOURCE} ! avenc_ffv1 ! matroskamux ! filesink location=clip.mkv"));
    let expected = scene.bytes_of(SOURCE);
    let uri = format!("file://{}", scene.path("clip.mkv").display());
    for source in ["clip.mkv", &uri] {
        let arguments = ["--keys", "keys", "--source", source, "--frames", "4", "--sink", "shown.raw"];
        scene.run("webcam-to-screen", &arguments).success();
        scene.assert_file("shown.raw", &expected[..expected.len() / 6 * 4]);
    }
}

/// There is no camera where tests run. Pipelines with one are built as far as opening the device, which then is none.
#[test]
fn cameras_as_far_as_without_one() {
    let scene = Scene::new();
    let run = |arguments: &[&str]| {
        scene.run("webcam-to-virtual-webcam", &[&["--keys", "keys", "--frames", "1"], arguments].concat())
    };
    let without = [["--source", "/dev/video987", "--sink", "fake"], ["--source", "test", "--sink", "/dev/video987"]];
    for (arguments, advice) in without.iter().zip(["no camera at /dev/video987", "sudo modprobe v4l2loopback"]) {
        let told = run(arguments).failure(1).stderr;
        assert!(told.contains(advice), "{told}");
    }
    let built = [["--source", "/dev/null", "--sink", "fake"], ["--source", "test", "--sink", "/dev/null"]];
    for (arguments, element) in built.iter().zip(["GstV4l2Src", "GstV4l2Sink"]) {
        let told = run(arguments).failure(GST_LAUNCH_ERROR).stderr;
        assert!(told.contains(element), "{told}");
    }
}
