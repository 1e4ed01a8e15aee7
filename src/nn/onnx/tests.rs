//! Models made by another program (`tests/models/generate.py`), their outputs computed by hand.

use std::path::PathBuf;

use super::*;

fn file(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "models", &format!("{name}.onnx")].iter().collect();
    std::fs::read(path).expect("made by generate.py")
}

fn refusal(file: &[u8]) -> String {
    match Onnx::load(file) {
        Err(Error::Model(reason)) => reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is taken"),
    }
}

/// Gray frames of one value and a frame of 3 values; the network sees the mean of the middle 32 x 32.
#[test]
fn brightness_by_hand() {
    let mut model = Onnx::load(&file("brightness")).expect("a classifier");
    assert_eq!(model.view(), View::Centre { width: 32, height: 32, channels: 1 });
    assert_eq!(model.outputs(), 2);
    for value in [0u8, 100, 128, 255] {
        // What stands around the middle does not count.
        let is_middle = |at: usize| (4..36).contains(&(at % 40)) && (3..35).contains(&(at / 40));
        let bytes = (0..40 * 38).map(|at| if is_middle(at) { value } else { 77 }).collect();
        let told = model.probabilities(&Picture { width: 40, height: 38, channels: 1, bytes }).expect("runs");
        let logit = 20.0 * (f64::from(value) / 255.0 - 0.5);
        let bright = 1.0 / (1.0 + (-logit).exp());
        assert!(
            (f64::from(told[1]) - bright).abs() < 1e-5 && (told[0] + told[1] - 1.0).abs() < 1e-6,
            "{value} {told:?}"
        );
    }
    let green = Picture { width: 32, height: 32, channels: 3, bytes: [0, 255, 0].repeat(32 * 32) };
    let told = model.probabilities(&green).expect("runs");
    let bright = 1.0 / (1.0 + f64::exp(-20.0 * (0.587 - 0.5)));
    assert!((f64::from(told[1]) - bright).abs() < 1e-5, "{told:?}");
}

/// Of 40 x 24 pixels: `[1, 3, 24, 40]`, width last.
#[test]
fn colour_by_hand() {
    let mut model = Onnx::load(&file("colour")).expect("a batch that is left open is one picture");
    assert_eq!(model.view(), View::Centre { width: 40, height: 24, channels: 3 });
    let pixel = [51u8, 204, 102];
    let told = model.probabilities(&Picture { width: 40, height: 24, channels: 3, bytes: pixel.repeat(40 * 24) });
    let exponents = pixel.map(|value| (10.0 * f64::from(value) / 255.0).exp());
    for (told, exponent) in told.expect("runs").iter().zip(exponents) {
        assert!((f64::from(*told) - exponent / exponents.iter().sum::<f64>()).abs() < 1e-5);
    }
}

#[test]
fn fail_what_is_no_classifier() {
    for (name, message) in [
        ("claims-gigabytes", "claims 10000000000 numbers"),
        ("claims-overflow", "cannot be of the shape"),
        ("claims-negative", "cannot be of the shape"),
        ("outside", "in another file"),
        ("branch", "loops or branches"),
        ("open-size", "left open"),
        ("five-channels", "[1, 5, 32, 32]"),
        ("two-inputs", "in 2 parts"),
        ("two-outputs", "2 outputs"),
        ("integers", "floats"),
        ("picture-out", "output is of the shape [1, 3, 8, 8]"),
        ("unknown-operator", "Divine"),
    ] {
        let reason = refusal(&file(name));
        assert!(reason.contains(message), "{name}: {reason}");
    }
}

/// None of what they make is made: the test would not survive it.
#[test]
fn fail_what_grows() {
    for name in [
        "broadcast",
        "comparisons",
        "constant-of-shape",
        "doubling",
        "expand",
        "kernel",
        "outer-product",
        "pad",
        "padded",
        "recurrent",
        "tile",
        "tiled-picture",
        "transposed",
    ] {
        let reason = refusal(&file(&format!("grows-{name}")));
        let is_told =
            ["more than", "numbers together", "left open", "recurrent"].iter().any(|words| reason.contains(words));
        assert!(is_told, "{name}: {reason}");
    }
}

#[test]
fn fail_an_output_that_is_not_finite() {
    let mut model = Onnx::load(&file("not-finite")).expect("a classifier");
    let picture = Picture { width: 32, height: 32, channels: 3, bytes: vec![9; 32 * 32 * 3] };
    assert!(model.probabilities(&picture).expect_err("the logarithm of less than zero").to_string().contains("finite"));
}

/// Cut off anywhere, and with any byte changed: an error or a classifier, and never a panic.
#[test]
fn fail_damaged_files_in_good_order() {
    let whole = file("brightness");
    let picture = Picture { width: 64, height: 64, channels: 3, bytes: vec![9; 64 * 64 * 3] };
    let try_it = |file: &[u8]| {
        if let Ok(mut model) = Onnx::load(file)
            && let View::Centre { width: ..=64, height: ..=64, .. } = model.view()
        {
            let _ = model.probabilities(&picture);
        }
    };
    let mut taken = 0;
    for cut in 0..whole.len() {
        taken += usize::from(Onnx::load(&whole[..cut]).is_ok());
    }
    assert_eq!(taken, 0, "a file that is cut off is no classifier");
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            try_it(&damaged);
        }
    }
}

#[test]
fn softmax_where_it_is_wanted() {
    assert_eq!(distribution(vec![0.25, 0.75]).expect("finite"), [0.25, 0.75]);
    // By hand: e^0 / (e^0 + e^ln 3) = 1/4.
    let told = distribution(vec![1000.0, 1000.0 + 3f32.ln()]).expect("finite");
    assert!((told[0] - 0.25).abs() < 1e-4 && (told[1] - 0.75).abs() < 1e-4, "{told:?}");
    assert!((distribution(vec![0.5, 0.6]).expect("finite").iter().sum::<f32>() - 1.0).abs() < 1e-6);
    assert!(distribution(vec![f32::NAN, 0.0]).is_err() && distribution(vec![f32::INFINITY, 0.0]).is_err());
}

/// Of 5 x 3 pixels the middle 3 x 1 begin at (1, 1).
#[test]
fn the_middle_of_a_picture() {
    let bytes: Vec<u8> = (0..45).map(|at| at * 5).collect();
    let colour = Picture { width: 5, height: 3, channels: 3, bytes };
    let share = |at: usize| (at * 5) as f32 / 255.0;
    let first = 3 * (5 + 1);
    let planes: Vec<f32> = (0..3).flat_map(|channel| (0..3).map(move |x| share(first + 3 * x + channel))).collect();
    assert_eq!(input(&colour, [1, 3, 1, 3]), planes);
    let gray = input(&colour, [1, 1, 1, 3]);
    assert!((gray[0] - (0.299 * share(18) + 0.587 * share(19) + 0.114 * share(20))).abs() < 1e-6);
    let gray = Picture { width: 2, height: 1, channels: 1, bytes: vec![0, 255] };
    assert_eq!(input(&gray, [1, 3, 1, 2]), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
}
