//! Measuring and analysing: what programs read of it.

use std::fs;

use crate::workplace::{Workplace, code, stderr, stdout};

const STAGES: [&str; 8] =
    ["memcpy", "aes-256-gcm", "keystream", "permutation", "keystream+permutation", "encrypt", "decrypt", "element"];

#[test]
fn every_stage_has_its_row() {
    let place = Workplace::new();
    let command =
        place.chaosveil("bench").args(["--seconds", "0.02", "--sizes", "64x48,33x17", "--formats", "I420,RGB"]);
    let plot = place.path("plot.svg");
    let report = place.json(command.args(["--json", "--profile", "aead"]).arg("--plot").arg(&plot));
    assert!(report["machine"].as_str().is_some_and(|machine| !machine.is_empty()));
    let rows = report["rows"].as_array().expect("a list");
    assert_eq!(rows.len(), 4 * STAGES.len());
    for (row, stage) in rows.iter().zip(STAGES.iter().cycle()) {
        assert_eq!(row["stage"], *stage);
        assert_eq!((&row["threads"], &row["transfers"]), (&1.into(), &"none".into()));
        for figure in ["gb_per_s", "fps", "ms_per_frame_p50", "ms_per_frame_p99", "cpu_ms_per_frame"] {
            assert!(row[figure].as_f64().is_some_and(|figure| figure > 0.0), "{row}");
        }
        let backend = match *stage {
            "memcpy" => row["backend"].is_null(),
            "aes-256-gcm" => row["backend"] == "aws-lc",
            _ => row["backend"].is_string(),
        };
        let sealed = ["encrypt", "decrypt", "element"].contains(stage);
        assert!(backend && row["profile"] == if sealed { "aead".into() } else { serde_json::Value::Null }, "{row}");
    }
    let sizes: Vec<_> = rows.iter().step_by(STAGES.len()).map(|row| (&row["format"], &row["width"])).collect();
    assert_eq!(sizes.len(), 4);
    assert_eq!((sizes[1].0, sizes[1].1), (&"I420".into(), &33.into()));
    assert!(fs::read_to_string(plot).expect("drawn").contains("</svg>"));
}

#[test]
fn a_run_is_compared_with_an_older_one() {
    let place = Workplace::new();
    let bench = || place.chaosveil("bench").args(["--seconds", "0.02", "--sizes", "64x48"]);
    fs::write(place.path("old.json"), place.done(bench().arg("--json")).stdout).expect("written");
    let ran = place.done(bench().arg("--compare").arg(place.path("old.json")));
    assert!(stdout(&ran).contains("of GCM"), "{}", stdout(&ran));
    let compared = stderr(&ran);
    assert!(compared.contains("ratio") && compared.matches("keystream").count() == 2, "{compared}");
    fs::write(place.path("other.json"), "[1]").expect("written");
    place.failed(bench().arg("--compare").arg(place.path("other.json")), code::CONTENT, "bench --json");
    place.failed(bench().arg("--compare").arg(place.path("absent.json")), code::MISSING, "absent.json");
}

#[test]
fn a_picture_of_ones_own_is_measured() {
    let place = Workplace::new();
    let picture = image::RgbImage::from_fn(40, 30, |x, y| [x as u8, y as u8, 7].into());
    picture.save(place.path("photo.png")).expect("a picture can be written");
    let report =
        place.json(place.chaosveil("bench").args(["--json", "--seconds", "0.02"]).arg(place.path("photo.png")));
    assert_eq!((&report["rows"][0]["width"], &report["rows"][0]["height"]), (&40.into(), &30.into()));
    fs::write(place.path("text.txt"), "no picture").expect("written");
    place.failed(place.chaosveil("bench").arg(place.path("text.txt")), code::CONTENT, "text.txt");
    place.failed(place.chaosveil("bench").arg(place.path("absent.mkv")), code::MISSING, "absent.mkv");
    place.failed(place.chaosveil("bench").args(["--formats", "ABCD"]), code::CONTENT, "ABCD");
    let huge = place.chaosveil("bench").args(["--sizes", "16384x16384", "--frames", "64"]);
    place.failed(huge, code::USAGE, "no more than 8589934592 are made");
    place.failed(place.chaosveil("bench").args(["--sizes", "0x5"]), code::USAGE, "1280x720");
}

#[test]
fn keystream_is_that_of_its_seed() {
    let place = Workplace::new();
    let keystream =
        |arguments: &[&str]| place.done(place.chaosveil("analyze").arg("--keystream-stdout").args(arguments)).stdout;
    let whole = keystream(&["--bytes", "4000000", "--seed", "0a"]);
    assert_eq!(whole.len(), 4_000_000);
    assert!(keystream(&["--bytes", "1000", "--seed", "0a"]) == whole[..1000]);
    assert!(keystream(&["--bytes", "1000", "--seed", "0b"]) != whole[..1000]);
    // The low planes of a word's bytes 0 and 4 are one byte of the logistic-sine state.
    let lss = keystream(&["--bytes", "4", "--seed", "0a", "--stream", "lss"]);
    assert_eq!(lss[0], (whole[0] & 0x0F) | ((whole[4] & 0x0F) << 4));
    let lorenz = keystream(&["--bytes", "4", "--seed", "0a", "--stream", "lorenz"]);
    assert_eq!(lorenz[0], (whole[0] & 0xF0) | ((whole[4] & 0xF0) >> 4));
    // Word 1 of a lane stands 32 words further.
    let lane = keystream(&["--bytes", "16", "--seed", "0a", "--layout", "lane"]);
    assert_eq!(lane[8..16], whole[256..264]);
    place.failed(place.chaosveil("analyze").args(["--keystream-stdout", "--seed", "x"]), code::USAGE, "hexadecimal");
}
