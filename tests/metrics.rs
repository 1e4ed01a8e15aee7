//! The metrics of the analysis beside an independent implementation, `tests/metrics/reference.py` (NumPy, SciPy,
//! scikit-image), on pictures of several kinds; and how often the tests reject what is ideal.
//!
//! Needs a Python with `tests/requirements.txt`; see `tests/scripts/python.rs`.

#[path = "scripts/python.rs"]
mod python;

use std::{path::Path, process::Command};

use gstchaosveil::analysis::{
    correlation::{Direction, correlation},
    entropy::entropy,
    finding::Finding,
    histogram::{chi_square, counts},
    local_entropy::local_entropy,
    npcr::npcr,
    picture::Picture,
    random::Random,
    suite::{self, Settings},
    uaci::uaci,
};
use image::{DynamicImage, GrayImage, RgbImage};
use serde_json::Value;

use python::python;

/// Sums of hundreds of thousands of terms, added in another order.
const CLOSE: f64 = 1e-9;
/// Compressors differ in what they find.
const COMPRESSION_CLOSE: f64 = 0.05;

fn settings() -> Settings {
    Settings { alpha: 0.05, trials: 1, seed: [0; 32], key_sweep: false }
}

/// A picture with structure: waves, an edge, some noise.
fn structured(width: usize, height: usize, channels: usize, noise: f64, random: &mut Random) -> Picture {
    let bytes = (0..width * height * channels).map(|i| {
        let (x, y, channel) = (i / channels % width, i / channels / width, i % channels);
        let wave = 90.0 * ((x as f64 / 17.0).sin() + (y as f64 / (11.0 + channel as f64)).cos());
        let edge = if x > width / 2 { 40.0 } else { 0.0 };
        (120.0 + wave + edge + noise * random.normal()).clamp(0.0, 255.0) as u8
    });
    Picture { width, height, channels, bytes: bytes.collect() }
}

fn noise(like: &Picture, random: &mut Random) -> Picture {
    let mut bytes = vec![0; like.bytes.len()];
    random.fill(&mut bytes);
    like.with_bytes(bytes)
}

fn save(picture: &Picture, path: &Path) {
    let (width, height, bytes) = (picture.width as u32, picture.height as u32, picture.bytes.clone());
    let image: DynamicImage = match picture.channels {
        1 => GrayImage::from_raw(width, height, bytes).expect("fits").into(),
        _ => RgbImage::from_raw(width, height, bytes).expect("fits").into(),
    };
    image.save(path).expect("written");
}

#[test]
fn metrics_agree_with_other_implementations() {
    let Some(python) = python("numpy, scipy, skimage") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(&[6; 32], "pictures");
    // A picture and its ciphertext; a picture and a noisy copy; small and odd, gray and RGB.
    for (width, height, channels, alike) in
        [(256, 256, 1, false), (131, 77, 3, false), (200, 150, 3, true), (64, 33, 1, true)]
    {
        let plain = structured(width, height, channels, 4.0, &mut random);
        let (cipher, other) = match alike {
            false => (noise(&plain, &mut random), noise(&plain, &mut random)),
            true => {
                let copy = |random: &mut Random| structured(width, height, channels, 20.0, random);
                (copy(&mut random), copy(&mut random))
            }
        };
        let paths = ["plain.png", "cipher.png", "other.png"].map(|name| folder.path().join(name));
        [&plain, &cipher, &other].iter().zip(&paths).for_each(|(picture, path)| save(picture, path));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metrics/reference.py");
        let ran = Command::new(&python).arg(script).args(&paths).output().expect("Python runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let expected: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        let mut found: Vec<Finding> =
            suite::judge_pair(&plain, &cipher, &settings()).into_iter().map(|row| row.finding).collect();
        for (one, two) in cipher.planes().iter().zip(other.planes()) {
            found.extend([npcr(one.name, &one.bytes, &two.bytes, 0.05), uaci(one.name, &one.bytes, &two.bytes, 0.05)]);
        }
        let mut compared = 0;
        for (channel, metrics) in expected.as_object().expect("an object") {
            for (name, value) in metrics.as_object().expect("an object") {
                let finding = found.iter().find(|finding| finding.channel == channel && finding.name == name);
                let ours = finding.unwrap_or_else(|| panic!("no {name} of {channel}")).value;
                let theirs = value.as_f64().expect("a number");
                let close = if name == "compression_ratio" { COMPRESSION_CLOSE } else { CLOSE };
                assert!((ours - theirs).abs() <= close * theirs.abs().max(1.0), "{name} {channel}: {ours}, {theirs}");
                compared += 1;
            }
        }
        assert_eq!(compared, 11 * channels + 1);
    }
}

/// Of 1,000 ideal pictures each test rejects as many as its alpha says: within four standard deviations.
#[test]
fn false_positives_are_as_many_as_alpha_says() {
    const PICTURES: usize = 1000;
    let (width, height) = (264, 220);
    let mut random = Random::new(&[7; 32], "ideal pictures");
    for alpha in [0.05, 0.01] {
        let mut rejected = std::collections::BTreeMap::<&str, usize>::new();
        let mut other = vec![0; width * height];
        random.fill(&mut other);
        for _ in 0..PICTURES {
            let mut bytes = vec![0; width * height];
            random.fill(&mut bytes);
            let histogram = counts(&bytes);
            let mut findings = vec![
                chi_square("gray", &histogram, alpha),
                entropy("gray", &histogram, alpha),
                npcr("gray", &bytes, &other, alpha),
                uaci("gray", &bytes, &other, alpha),
            ];
            findings.extend(Direction::ALL.map(|direction| correlation("gray", direction, &bytes, width, alpha)));
            let local = local_entropy("gray", &bytes, width, alpha, &mut random).expect("large enough");
            findings.extend(local.into_iter().take(1));
            for finding in findings {
                *rejected.entry(finding.name).or_default() += usize::from(finding.pass() == Some(false));
            }
            other = bytes;
        }
        let expected = alpha * PICTURES as f64;
        let allowed = 4.0 * (expected * (1.0 - alpha)).sqrt();
        for (name, count) in rejected {
            assert!((count as f64 - expected).abs() <= allowed, "{name} at {alpha}: {count} of {PICTURES}");
        }
    }
}

/// What is weak is caught by the test that should catch it.
#[test]
fn weak_ciphers_are_caught() {
    let mut random = Random::new(&[8; 32], "weak ciphers");
    let plain = structured(256, 256, 1, 3.0, &mut random);
    let keystream = noise(&plain, &mut random).bytes;
    let masked =
        |mask: u8| plain.bytes.iter().zip(&keystream).map(|(byte, key)| byte ^ (key & mask)).collect::<Vec<_>>();
    // Every value on its own under one permutation of values, as ECB does with blocks: equal ones stay equal.
    let mut values: Vec<u8> = (0..=255).collect();
    random.draw(&mut values, 256);
    let substituted: Vec<u8> = plain.bytes.iter().map(|&byte| values[usize::from(byte)]).collect();
    let mut positions: Vec<usize> = (0..plain.bytes.len()).collect();
    let count = positions.len();
    random.draw(&mut positions, count);
    let permuted: Vec<u8> = positions.iter().map(|&at| plain.bytes[at]).collect();
    let fails = |name: &str, bytes: Vec<u8>| {
        let rows = suite::judge_pair(&plain, &plain.with_bytes(bytes), &settings());
        let row = rows.into_iter().find(|row| row.finding.name == name).expect("a row");
        row.finding.pass() == Some(false)
    };
    // The four low planes alone: the high ones still show the picture.
    assert!(fails("correlation_horizontal", masked(0x0F)));
    // The four high planes alone: values pair up with their neighbours' low nibbles.
    assert!(fails("chi_square", masked(0xF0)));
    // Values exchanged, places kept: the histogram has the same bars in other places.
    assert!(fails("entropy", substituted.clone()) && fails("correlation_vertical", substituted));
    // Places exchanged, values kept: neighbours look ideal, the histogram does not.
    assert!(fails("chi_square", permuted.clone()) && !fails("correlation_diagonal", permuted));
    // One keystream for two frames: NPCR of the ciphertexts is that of the frames themselves.
    let mut next = plain.bytes.clone();
    next[1000] ^= 1;
    let reused: Vec<u8> = next.iter().zip(&keystream).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(npcr("gray", &masked(0xFF), &reused, 0.05).pass(), Some(false));
}
