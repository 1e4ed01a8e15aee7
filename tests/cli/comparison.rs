//! Comparing the classifier's network with its peers.

use std::fs;

use serde_json::Value;

use crate::{
    classify::small_data,
    process::Running,
    workplace::{Program, Workplace, code, stdout},
};

/// With `arguments`, words with spaces between them.
fn compare(place: &Workplace, out: &str, arguments: &str) -> Program {
    place
        .chaosveil("train")
        .arg("compare")
        .args(arguments.split_whitespace())
        .arg("--data")
        .arg(place.path("data"))
        .arg("--splits")
        .arg(place.path("splits"))
        .arg("--out")
        .arg(place.path(out))
}

fn json(place: &Workplace, name: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(name)).expect("made")).expect("JSON")
}

/// Two networks, one epoch.
const TWO: &str = "--seeds 1 --test-turns 2 --networks cnn,mlp --epochs 1";
const TWO_RESUMED: &str = "--seeds 1 --test-turns 2 --networks cnn,mlp --epochs 1 --resume";

#[test]
fn a_small_comparison_whole_and_resumed() {
    let place = Workplace::new();
    small_data(&place);
    let ran = place.done(compare(&place, "whole", TWO));
    let said = stdout(&ran);
    for word in ["12 crops of 1 pictures", "cnn ", "mlp ", "Liu et al. 2022", "0.9437"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let told = json(&place, "whole/compare.json");
    let networks = told["networks"].as_array().expect("a list");
    assert_eq!(networks.iter().map(|network| &network["network"]).collect::<Vec<_>>(), ["cnn", "mlp"]);
    for network in networks {
        let counts = network["confusion"]["counts"].as_array().expect("rows");
        let cells = || counts.iter().flat_map(|row| row.as_array().expect("a row"));
        let of = |cell: &Value| cell.as_u64().expect("a count");
        assert_eq!((counts.len(), cells().map(of).sum::<u64>()), (6, 12));
        let right: u64 = (0..6).map(|at| of(&counts[at][at])).sum();
        let accuracy = network["accuracy"]["mean"].as_f64().expect("a number");
        assert!((accuracy - right as f64 / 12.0).abs() < 1e-9, "{network}");
        assert!(network["parameters"].as_u64() > Some(100_000) && network["ms_per_crop"].as_f64() > Some(0.0));
    }
    assert_eq!(told["published"]["accuracy"], 0.9437);
    assert!(fs::read_to_string(place.path("whole/compare.svg")).expect("made").contains("94.37 %"));
    // One run is taken as it is, the other is done again, and comes to the same.
    let kept = fs::read(place.path("whole/cnn-1.json")).expect("made");
    fs::remove_file(place.path("whole/mlp-1.json")).expect("removed");
    fs::remove_file(place.path("whole/compare.json")).expect("removed");
    place.failed(compare(&place, "whole", TWO), code::USAGE, "--resume");
    place.done(compare(&place, "whole", TWO_RESUMED));
    assert!(fs::read(place.path("whole/cnn-1.json")).expect("made") == kept);
    let again = json(&place, "whole/compare.json");
    for (first, second) in networks.iter().zip(again["networks"].as_array().expect("a list")) {
        assert_eq!((&first["confusion"], &first["f1"]), (&second["confusion"], &second["f1"]));
    }
    // More seeds, and what they add.
    let more = compare(&place, "whole", "--seeds 2 --test-turns 2 --networks mlp --epochs 1 --resume");
    let said = stdout(&place.done(more));
    assert!(said.contains("seeds: 2") && said.contains("+-"), "{said}");
    bad_folders(&place);
}

/// On what the whole comparison has left.
fn bad_folders(place: &Workplace) {
    let other_epochs = compare(place, "whole", "--seeds 1 --test-turns 2 --networks cnn --epochs 3 --resume");
    place.failed(other_epochs, code::CONTENT, "another number of epochs");
    fs::write(place.path("whole/cnn-1.json"), "{}").expect("written");
    place.failed(compare(place, "whole", TWO_RESUMED), code::CONTENT, "no record");
    place.done(compare(place, "whole", "--seeds 1 --test-turns 2 --networks cnn --epochs 1 --force"));
    fs::remove_file(place.path("whole/cnn-1.json")).expect("removed");
    fs::write(place.path("whole/cnn-1.checkpoint"), "no checkpoint").expect("written");
    place.failed(compare(place, "whole", TWO_RESUMED), code::CONTENT, "cnn-1.checkpoint");
    place.failed(compare(place, "data/test.png", TWO), code::USAGE, "no folder");
    place.failed(compare(place, "new", "--test-turns 400"), code::USAGE, "more than 2000");
    place.failed(compare(place, "new", "--networks transformer"), code::USAGE, "improved-alexnet");
    fs::remove_file(place.path("data/val.png")).expect("removed");
    place.failed(compare(place, "new", TWO), code::MISSING, "split `val`");
}

/// Stopped in the middle of a run, it goes on from the checkpoint, and comes to what it comes to without a stop.
#[test]
fn a_stopped_comparison_goes_on() {
    let place = Workplace::new();
    small_data(&place);
    let six_epochs = "--seeds 1 --test-turns 2 --networks cnn --epochs 6";
    place.done(compare(&place, "whole", six_epochs));
    let checkpoint = place.path("stopped/cnn-1.checkpoint");
    let mut running = Running::start(compare(&place, "stopped", six_epochs).into_command(), &place.path(""));
    running.wait_for("a checkpoint", || checkpoint.exists());
    running.signal("-KILL");
    running.finish();
    place.done(compare(&place, "stopped", six_epochs).arg("--resume"));
    let [whole, stopped] = ["whole", "stopped"].map(|folder| json(&place, &format!("{folder}/cnn-1.json")));
    assert_eq!((&whole["history"], &whole["confusion"]), (&stopped["history"], &stopped["confusion"]));
    assert!(!checkpoint.exists());
}
