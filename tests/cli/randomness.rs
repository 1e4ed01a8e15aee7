//! Testing keystream and files for randomness: what programs read of it.

use std::fs;

use crate::workplace::{Workplace, code, stdout};

#[test]
fn the_keystream_is_judged_test_by_test() {
    let place = Workplace::new();
    let randomness =
        || place.chaosveil("randomness").args(["--sequences", "60", "--bits", "131072", "--stream", "lorenz"]);
    let report = place.json(randomness().arg("--json"));
    assert_eq!(report["alpha"], 0.01);
    let metrics = report["metrics"].as_array().expect("a list");
    // All but overlapping template, universal, linear complexity, serial and the excursions; two rows of each P-value.
    assert_eq!(metrics.len(), 2 * (1 + 1 + 1 + 1 + 1 + 1 + 148 + 1 + 2));
    let proportion = &metrics[0];
    assert_eq!(proportion["name"], "sp800-22 frequency: proportion");
    assert_eq!(
        (&proportion["input"], &proportion["profile"]),
        (&"keystream lorenz interleaved".into(), &"chaos".into())
    );
    assert_eq!((&proportion["samples"], &proportion["ideal"]), (&60.into(), &0.99.into()));
    // 0.99 - 3 sqrt(0.99 * 0.01 / 60)
    assert!((proportion["critical"][0].as_f64().expect("a bound") - 0.9514643).abs() < 1e-6, "{proportion}");
    assert!(proportion["critical"][1].is_null() && proportion["mode"].is_null() && proportion["pass"].is_boolean());
    assert_eq!(metrics[1]["name"], "sp800-22 frequency: uniformity");
    assert_eq!(metrics[1]["critical"][0], 1e-4);
    let table = stdout(&place.done(randomness()));
    assert!(table.starts_with("keystream lorenz interleaved: 60 of 131072 bits; alpha 0.01\n"), "{table}");
    assert!(table.contains("Left out: linear complexity, which needs 1000000 bits."), "{table}");
}

#[test]
fn bytes_that_are_anything_but_random_fail() {
    let place = Workplace::new();
    fs::write(place.path("zeros"), [0; 1250]).expect("written");
    let report = place.json(place.chaosveil("randomness").arg(place.path("zeros")).args(["--bits", "10000", "--json"]));
    let metrics = report["metrics"].as_array().expect("a list");
    // Frequency, block frequency, runs, longest run, spectral, cumulative sums twice.
    assert_eq!(metrics.len(), 7);
    for metric in metrics {
        assert_eq!(
            (&metric["profile"], &metric["samples"], &metric["pass"]),
            (&"external".into(), &1.into(), &false.into())
        );
        assert_eq!(metric["critical"][0], 0.01);
    }
}

#[test]
fn stdin_and_a_file_are_read_alike() {
    let place = Workplace::new();
    let keystream = place.chaosveil("analyze").args(["--keystream-stdout", "--bytes", "400001"]);
    fs::write(place.path("keystream"), place.done(keystream).stdout).expect("written");
    let metrics = |input: &str, file: bool| {
        let randomness = place.chaosveil("randomness").args(["--bits", "800000", "--json", input]);
        let stdin = fs::File::open(place.path("keystream")).expect("readable");
        let report = place.json(if file { randomness } else { randomness.stdin(stdin) });
        let values = report["metrics"].as_array().expect("a list").iter().map(|metric| metric["value"].clone());
        values.collect::<Vec<_>>()
    };
    let of_file = metrics(place.path("keystream").to_str().expect("a name"), true);
    assert!(of_file.len() > 150);
    assert_eq!(of_file, metrics("-", false));
    // The keystream's first four sequences, from the keystream itself.
    let own = place.chaosveil("randomness").args(["--bits", "800000", "--sequences", "4", "--json"]);
    let own = place.json(own);
    let own: Vec<_> = own["metrics"].as_array().expect("a list").iter().map(|metric| metric["value"].clone()).collect();
    assert_eq!(of_file, own);
}

#[test]
fn k_th_differences_are_told_by_order() {
    let place = Workplace::new();
    let report = place.json(place.chaosveil("randomness").args(["--kth-difference", "--stream", "lss", "--json"]));
    let metrics = report["metrics"].as_array().expect("a list");
    assert_eq!(metrics.len(), 16);
    assert_eq!(metrics[15]["name"], "k-th difference 16: score");
    // 12.5 million bytes are eight frames of 2048 lanes, each with 192 states.
    assert_eq!(metrics[15]["samples"], 8 * 2048 * (192 - 16));
    assert_eq!((&metrics[15]["critical"][0], &metrics[15]["critical"][1]), (&(-6.0).into(), &6.0.into()));
}

#[test]
fn fail_input_that_cannot_be_judged() {
    let place = Workplace::new();
    fs::write(place.path("short"), [0x5A; 100]).expect("written");
    let randomness = |arguments: &[&str]| place.chaosveil("randomness").args(arguments);
    let short = place.path("short");
    let short = short.to_str().expect("a name");
    place.failed(randomness(&[short]), code::CONTENT, "0 sequences of 1000000 bits");
    place.failed(
        randomness(&[short, "--bits", "400", "--sequences", "3"]),
        code::CONTENT,
        "2 sequences of 400 bits, and 3 are needed",
    );
    place.failed(randomness(&["absent"]), code::MISSING, "absent");
    place.failed(randomness(&["--bits", "1001"]), code::USAGE, "a multiple of 8");
    place.failed(randomness(&["--bits", "4294967296"]), code::USAGE, "from 104 to 67108864 bits");
    place.failed(randomness(&["--alpha", "2"]), code::USAGE, "alpha lies between");
    place.failed(randomness(&["--seed", "x"]), code::USAGE, "hexadecimal");
    place.failed(randomness(&["-", "--stream", "lss"]), code::USAGE, "cannot be used with");
}
