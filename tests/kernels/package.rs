//! `tests/gpu.sh`, packed here and run out of the package on the stand-in driver, and without any.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::{ROOT, driver::Scene, process::BUILT};

/// Exit code of the script where there is no GPU.
const NO_GPU: i32 = 77;

/// Packs what has been built for this test, and unpacks it.
fn package(scene: &Scene) -> String {
    let built = scene.path("built");
    fs::create_dir(&built).expect("a folder");
    for name in ["chaosveil", "libgstchaosveil.so"] {
        symlink(BUILT.join(name), built.join(name)).expect("a link");
    }
    symlink(std::env::current_exe().expect("a program knows its name"), built.join("kernels")).expect("a link");
    let script = Path::new(ROOT).join("tests/gpu.sh");
    let script = script.to_str().expect("text");
    scene.run(script, "pack package.tgz built", &[]).success();
    scene.run("tar", "-xzf package.tgz", &[]).success();
    scene.path("chaosveil-gpu/gpu.sh").to_str().expect("text").to_owned()
}

#[test]
fn the_package_checks_and_measures_where_there_is_a_driver() {
    let scene = Scene::new();
    let script = package(&scene);
    let short = "run --frames 30 --sizes 64x48 --in-flight 1,2 --seconds 0.05 --results results";
    let ran = scene.run(&script, short, &[]).success();
    for line in ["exactness            passed", "elements             passed", "bench                passed"] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("classifier           not run"), "{}", ran.stdout);
    for row in ["memcpy cuda none", "keystream+permutation cuda device", "element cuda hardened host"] {
        assert_eq!(ran.stdout.matches(row).count(), 2, "{row}: {}", ran.stdout);
    }
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(scene.path("results").join(name)).expect("written")).expect("JSON")
    };
    let checks = json("checks.json");
    assert!(checks["commit"].as_str().is_some_and(|commit| !commit.is_empty()), "{checks}");
    assert!(checks["checks"].as_array().is_some_and(|checks| checks.iter().all(|check| check["result"] != "FAILED")));
    assert_eq!(json("bench.json")["device"], "Stand-in GPU (CUDA 12.0)");
    assert_eq!(json("doctor.json")["calibration"].as_array().map(Vec::len), Some(3));

    // A device that fails after some frames is found out, although every frame comes through.
    let failing = [("FAKE_CUDA_FAIL", "launch:9")];
    let ran = scene.run(&script, short, &failing).failure(1);
    for line in ["exactness            FAILED", "elements             FAILED", "bench                FAILED"] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }

    let ran = scene.run(&script, short, &[("LD_LIBRARY_PATH", "")]).failure(NO_GPU);
    assert!(ran.stderr.contains("no NVIDIA driver") && ran.stderr.contains("nothing was checked"), "{}", ran.stderr);
    scene.run(&script, "run --colour red", &[]).failure(2);
}
