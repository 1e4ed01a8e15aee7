//! The short form of `tests/quality.sh`: it judges, tells, and does nothing twice.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::process::{BUILT, Finished, ROOT, Running};

#[test]
fn a_short_run_is_whole_and_resumed() {
    if !Command::new("dieharder").arg("-l").output().is_ok_and(|ran| ran.status.success()) {
        let required = std::env::var_os("REQUIRE_DIEHARDER").is_some_and(|value| value == "1");
        assert!(!required, "dieharder is not installed");
        println!("skipped: dieharder is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let streams = ["lorenz-lane", "aes-256-ctr"];
    let first = run(folder.path(), &streams.join(","));
    let ran = |finished: &Finished| finished.stderr.lines().filter(|line| line.contains(": dieharder-")).count();
    assert!(ran(&first) >= 10, "{}", first.stderr);
    for stream in streams {
        let done = fs::read_dir(folder.path().join("work").join(stream)).expect("a folder of results");
        assert!(
            done.map(|entry| entry.expect("readable").file_name())
                .all(|name| name.to_string_lossy().ends_with(".json"))
        );
    }
    let report: Value =
        serde_json::from_slice(&fs::read(folder.path().join("quality-here.json")).expect("written")).expect("JSON");
    assert_eq!(report["bytes"], 600_000);
    let runs = report["runs"].as_array().expect("a list");
    let of = |stream: &str, test: &str| runs.iter().find(|run| run["stream"] == stream && run["test"] == test);
    assert_eq!(of("lorenz-lane", "kth-difference").expect("has run")["verdicts"], 16);
    assert!(of("aes-256-ctr", "kth-difference").is_none());
    for stream in streams {
        // 4 sequences of a million bits: too few for uniformity.
        let sp800_22 = of(stream, "sp800-22").expect("has run");
        assert!(sp800_22["verdicts"].as_u64().is_some_and(|verdicts| (160..=188).contains(&verdicts)), "{sp800_22}");
        let circles = &of(stream, "dieharder-11-0").expect("has run")["rows"][0];
        assert_eq!((&circles["name"], &circles["psamples"]), (&"diehard_2dsphere".into(), &100.into()));
        assert!(circles["p_value"].as_f64().is_some_and(|p_value| (0.0..=1.0).contains(&p_value)), "{circles}");
    }
    // A result that is missing is made anew, and nothing else.
    fs::remove_file(folder.path().join("work/lorenz-lane/dieharder-11-0.json")).expect("was there");
    assert_eq!(ran(&run(folder.path(), &streams.join(","))), 1);
}

fn run(folder: &Path, streams: &str) -> Finished {
    let mut script = Command::new(Path::new(ROOT).join("tests/quality.sh"));
    script.args(["--bytes", "600000", "--streams", streams, "--work", "work", "--results", ".", "--name", "here"]);
    script.env("CHAOSVEIL_BIN_DIR", &*BUILT);
    Running::start(script, folder).finish().success()
}

#[test]
fn fail_streams_that_are_none() {
    let mut script = Command::new(Path::new(ROOT).join("tests/quality.sh"));
    script.args(["--streams", "logistic"]).env("CHAOSVEIL_BIN_DIR", &*BUILT);
    let folder = tempfile::tempdir().expect("a folder");
    Running::start(script, folder.path()).finish().failure(2);
}
