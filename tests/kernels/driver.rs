//! The host side of the CUDA backend, run by the real program and the real elements on a stand-in driver, which does
//! nothing before it is waited for and fails when it is told to.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use crate::{
    compile,
    process::{BUILT, Finished, Running, environment},
};

/// A folder with the stand-in driver.
static DRIVER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand-in driver");
    fs::create_dir_all(&folder).expect("a folder");
    let shared = ["-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-soname,libcuda.so"];
    compile("fake_cuda.cpp", &folder.join("libcuda.so"), &shared);
    folder
});

/// A folder for one test, with a key.
pub struct Scene(tempfile::TempDir);

impl Scene {
    pub fn new() -> Scene {
        let scene = Scene(tempfile::tempdir().expect("a folder"));
        scene.run("chaosveil", "keygen --preshared -o psk.key", &[]).success();
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a program with the stand-in driver, or with the folder that `settings` name.
    pub fn run(&self, program: &str, line: &str, settings: &[(&str, &str)]) -> Finished {
        let program = if program == "chaosveil" { BUILT.join(program) } else { program.into() };
        let mut command = Command::new(program);
        command.args(line.split_whitespace()).envs(environment()).env("LD_LIBRARY_PATH", &*DRIVER);
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command.env_remove("CHAOSVEIL_BACKEND").envs(settings.iter().copied());
        Running::start(command, self.0.path()).finish()
    }

    fn chaosveil(&self, line: &str, settings: &[(&str, &str)]) -> Finished {
        self.run("chaosveil", line, settings)
    }
}

fn picture(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| [(x * 7 + y) as u8, (y * 31) as u8, (x * y) as u8].into())
}

#[test]
fn what_the_gpu_seals_the_cpu_opens() {
    let scene = Scene::new();
    for (width, height) in [(1, 1), (86, 1), (128, 128), (129, 127), (400, 300)] {
        picture(width, height).save(scene.path("plain.png")).expect("written");
        scene.chaosveil("encrypt -k psk.key --backend cuda --force plain.png -o cipher.png", &[]).success();
        for backend in ["portable", "auto", "cuda"] {
            let line = format!("decrypt -k psk.key --backend {backend} --force cipher.png -o back.bmp");
            scene.chaosveil(&line, &[]).success();
            let back = image::open(scene.path("back.bmp")).expect("a picture").to_rgb8();
            assert!(back == picture(width, height), "{width}x{height} {backend}");
        }
    }
}

/// Frames on several streams at once, through elements, on the GPU and back on another backend.
#[test]
fn streams_overlap_and_stay_apart() {
    let scene = Scene::new();
    let source = "videotestsrc num-buffers=20 pattern=ball ! video/x-raw,format=I420,width=160,height=120";
    scene.run("gst-launch-1.0", &format!("-q {source} ! filesink location=plain"), &[]).success();
    for (encrypter, decrypter) in [("cuda", "portable"), ("portable", "cuda"), ("cuda", "cuda")] {
        let line = format!(
            "-q {source} ! chaosenc key-file=psk.key backend={encrypter} workers=4 ! \
             chaosdec key-file=psk.key backend={decrypter} workers=4 ! filesink location=decrypted"
        );
        scene.run("gst-launch-1.0", &line, &[]).success();
        let same =
            fs::read(scene.path("plain")).expect("written") == fs::read(scene.path("decrypted")).expect("written");
        assert!(same, "{encrypter}, {decrypter}");
    }
}

/// Wherever the device fails, every frame still goes through, sealed; a message and a counter say what happened.
#[test]
fn a_failing_device_costs_no_frame() {
    let scene = Scene::new();
    let source = "videotestsrc num-buffers=12 pattern=ball ! video/x-raw,format=I420,width=96,height=64";
    scene.run("gst-launch-1.0", &format!("-q {source} ! filesink location=plain"), &[]).success();
    for failure in ["alloc:1", "alloc:4", "copy:1", "copy:8", "launch:1", "launch:5", "wait:1", "wait:6"] {
        let line = format!(
            "-m {source} ! chaosenc key-file=psk.key backend=cuda workers=2 ! \
             chaosdec key-file=psk.key backend=portable ! filesink location=decrypted"
        );
        let settings = [("FAKE_CUDA_FAIL", failure), ("GST_DEBUG", "chaosenc:INFO"), ("GST_DEBUG_NO_COLOR", "1")];
        let ran = scene.run("gst-launch-1.0", &line, &settings).success();
        let same =
            fs::read(scene.path("plain")).expect("written") == fs::read(scene.path("decrypted")).expect("written");
        assert!(same, "{failure}");
        assert!(
            ran.stdout.contains("backend-failed") && ran.stdout.contains("CUDA_ERROR"),
            "{failure}: {}",
            ran.stdout
        );
        assert!(ran.stderr.contains("backend-failures=(guint64)1"), "{failure}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{failure}: {}", ran.stderr);
    }
}

/// Who runs the stage of a stream whose user left it open is what has been measured, once; a broken file of verdicts is
/// no more than a missing one.
#[test]
fn auto_takes_for_streams_what_was_measured_to_be_faster() {
    let scene = Scene::new();
    let calibration = scene.path("cache/chaosveil/calibration.json");
    let line = "-q videotestsrc num-buffers=6 ! video/x-raw,format=I420,width=96,height=64 ! \
                chaosenc key-file=psk.key workers=2 ! chaosdec key-file=psk.key workers=2 ! fakesink";
    let backends = |more: &[(&str, &str)]| {
        let debug = [("GST_DEBUG", "chaosenc:INFO,chaosdec:INFO"), ("GST_DEBUG_NO_COLOR", "1")];
        let ran = scene.run("gst-launch-1.0", line, &[&debug, more].concat()).success();
        let stats = ran.stderr.lines().filter(|line| line.contains("frames-out"));
        let named = stats.filter_map(|stats| stats.split("backend=(string)").nth(1)?.split([',', ';']).next());
        named.map(str::to_owned).collect::<Vec<_>>()
    };
    let verdicts = || {
        let text = fs::read(&calibration).expect("verdicts");
        serde_json::from_slice::<serde_json::Value>(&text).expect("JSON")["verdicts"].clone()
    };
    assert_eq!(backends(&[("LD_LIBRARY_PATH", "")]).len(), 2);
    assert!(!calibration.exists(), "without a driver there is nothing to measure");
    backends(&[]);
    let measured = verdicts();
    assert_eq!(measured.as_array().map(Vec::len), Some(1), "both elements share a verdict: {measured}");
    assert_eq!(measured[0]["case"]["device"]["name"], "Stand-in GPU");
    assert_eq!(measured[0]["case"]["frame_bytes_at_most"], 16384);
    for (device, processor) in [(2000.0, 1000.0), (1000.0, 2000.0)] {
        let mut planted = measured.clone();
        planted[0]["device_gb_per_s"] = device.into();
        planted[0]["processor_gb_per_s"] = processor.into();
        fs::write(&calibration, serde_json::json!({ "verdicts": planted }).to_string()).expect("written");
        let processor_backend = measured[0]["case"]["processor"].as_str().expect("its name");
        let expected = if device > processor { "cuda" } else { processor_backend };
        assert_eq!(backends(&[]), [expected; 2]);
        assert_eq!(verdicts(), planted, "nothing is measured again");
        assert_eq!(backends(&[("CHAOSVEIL_BACKEND", "portable")]), ["portable"; 2]);
    }
    fs::write(&calibration, "broken").expect("written");
    assert_eq!(backends(&[]).len(), 2);
    assert_eq!(verdicts().as_array().map(Vec::len), Some(1));
}

#[test]
fn random_frames_are_the_same_on_the_stand_in() {
    let tests = std::env::current_exe().expect("a program knows its name");
    let line = "--exact exactness::device_equals_the_processor --nocapture";
    let ran = Scene::new().run(tests.to_str().expect("text"), line, &[("REQUIRE_CUDA", "1")]).success();
    assert!(ran.stdout.contains("40 frames: equal"), "{}", ran.stdout);
}

/// What another backend has done in the GPU's place is as good, and told.
#[test]
fn a_failing_device_is_told_by_the_program() {
    let scene = Scene::new();
    let told = "warning: Stand-in GPU failed: CUDA_ERROR_LAUNCH_FAILED; frames go on through";
    let failing = [("FAKE_CUDA_FAIL", "launch:1")];
    picture(40, 30).save(scene.path("plain.png")).expect("written");
    let clip = "-q videotestsrc num-buffers=3 ! video/x-raw,format=I420,width=64,height=48 ! avenc_ffv1 ! \
                matroskamux ! filesink location=clip.mkv";
    scene.run("gst-launch-1.0", clip, &[]).success();
    for line in [
        "encrypt -k psk.key --backend cuda plain.png -o cipher.png",
        "inspect -k psk.key --backend cuda cipher.png",
        "decrypt -k psk.key --backend cuda cipher.png -o back.bmp",
        "encrypt -k psk.key --backend cuda --decode clip.mkv -o clip.cveil",
        "analyze --keystream-stdout --bytes 10 --backend cuda",
    ] {
        let ran = scene.chaosveil(line, &failing).success();
        assert_eq!(ran.stderr.matches(told).count(), 1, "{line}: {}", ran.stderr);
    }
    let keystream = |more: &str, settings: &[(&str, &str)]| {
        scene.chaosveil(&format!("analyze --keystream-stdout --seed 07 --bytes 100000 {more}"), settings).stdout
    };
    assert!(keystream("--backend cuda", &failing) == keystream("--backend portable", &[]));
    let back = image::open(scene.path("back.bmp")).expect("a picture").to_rgb8();
    assert!(back == picture(40, 30));
}

#[test]
fn bench_has_every_row_of_a_gpu() {
    let scene = Scene::new();
    let line = "bench --backend cuda --sizes 64x48 --seconds 0.02 --threads 1,2 --save saved.json";
    let table = scene.chaosveil(line, &[]).success().stdout;
    assert!(table.contains("Stand-in GPU (CUDA 12.0)") && table.contains("seal on the processor"), "{table}");
    let saved = fs::read(scene.path("saved.json")).expect("saved");
    let report: serde_json::Value = serde_json::from_slice(&saved).expect("JSON");
    assert_eq!(report["device"], "Stand-in GPU (CUDA 12.0)");
    let rows = report["rows"].as_array().expect("a list");
    let halves = ["keystream", "permutation", "keystream+permutation"];
    let by_itself = ["memcpy"].iter().chain(&halves);
    let expected = [("memcpy", "none"), ("aes-256-gcm", "none")]
        .into_iter()
        .chain(["none", "device"].iter().flat_map(|&transfers| by_itself.clone().map(move |&stage| (stage, transfers))))
        .chain(halves.iter().chain(&["encrypt", "decrypt", "element"]).map(|&stage| (stage, "host")))
        .collect::<Vec<_>>();
    assert_eq!(rows.len(), 2 * expected.len());
    for (row, (stage, transfers)) in rows.iter().zip(expected.iter().cycle()) {
        assert_eq!((&row["stage"], &row["transfers"]), (&(*stage).into(), &(*transfers).into()));
        assert!(row["gb_per_s"].as_f64().is_some_and(|speed| speed > 0.0), "{row}");
    }
    // The processor's two, and all else on the GPU.
    assert_eq!(rows.iter().filter(|row| row["backend"] == "cuda").count(), rows.len() - 4);
}

#[test]
fn doctor_measures_the_usual_sizes_once() {
    let scene = Scene::new();
    let told = scene.chaosveil("doctor", &[]).stdout;
    let lines = |told: &str| {
        told.lines().filter(|line| line.trim_start().starts_with("auto ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(told.contains("CUDA         Stand-in GPU (CUDA 12.0)"), "{told}");
    for (line, kibibytes) in lines(&told).iter().zip([512, 4096, 16384]) {
        assert!(line.contains(&format!("up to {kibibytes} KiB")) && line.contains("Stand-in GPU"), "{line}");
    }
    assert_eq!(lines(&told).len(), 3, "{told}");
    assert_eq!(lines(&scene.chaosveil("doctor", &[]).stdout), lines(&told), "not measured again");
}

#[test]
fn no_driver_an_old_one_no_device_and_a_stub_are_told_and_nothing_more() {
    let scene = Scene::new();
    picture(10, 10).save(scene.path("plain.png")).expect("written");
    fs::create_dir(scene.path("stub")).expect("a folder");
    fs::write(scene.path("empty.cpp"), "int nothing;").expect("written");
    let built = Command::new("g++")
        .args(["-shared", "-fPIC", "-o"])
        .arg(scene.path("stub/libcuda.so"))
        .arg(scene.path("empty.cpp"))
        .status();
    assert!(built.expect("g++ of build-essential").success());
    let stub = scene.path("stub");
    let stub = stub.to_str().expect("text");
    for (settings, told) in [
        (("FAKE_CUDA_VERSION", "11080"), "older than CUDA 12.0"),
        (("FAKE_CUDA_DEVICES", "0"), "no device 0"),
        (("LD_LIBRARY_PATH", stub), "lacks cuInit"),
        (("LD_LIBRARY_PATH", ""), "no NVIDIA driver"),
    ] {
        let refused = scene.chaosveil("encrypt -k psk.key --backend cuda plain.png -o x.cveil", &[settings]).failure(5);
        assert!(refused.stderr.contains(told) && !refused.stderr.contains("panicked"), "{}", refused.stderr);
        let doctor = scene.chaosveil("doctor", &[settings]);
        assert!(doctor.stdout.contains(told) && !doctor.stderr.contains("panicked"), "{}", doctor.stderr);
        scene.chaosveil("encrypt -k psk.key --force plain.png -o y.cveil", &[settings]).success();
    }
}
