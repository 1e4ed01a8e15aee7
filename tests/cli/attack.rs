//! Attacks: rows, pictures, and what is refused.

use std::fs;

use serde_json::Value;

use crate::workplace::{Workplace, code, stdout};

fn rows(place: &Workplace, arguments: &[&str]) -> Vec<Value> {
    let json = place.path("rows.json");
    place.done(place.chaosveil("attack").args(arguments).arg("--force").arg("--json").arg(&json));
    let rows: Value = serde_json::from_slice(&fs::read(json).expect("made")).expect("JSON");
    rows.as_array().expect("a list").clone()
}

#[test]
fn every_attack_has_rows_for_every_target() {
    let place = Workplace::new();
    let rows = rows(&place, &[]);
    let of = |attack: &str| -> Vec<(String, bool)> {
        let rows = rows.iter().filter(|row| row["attack"] == attack);
        let mut targets: Vec<_> = rows
            .map(|row| (row["target"].as_str().expect("text").to_owned(), row["broken"].as_bool().expect("a verdict")))
            .collect();
        targets.dedup();
        targets
    };
    let told = |rows: &[(&str, bool)]| -> Vec<_> { rows.iter().map(|&(name, broken)| (name.into(), broken)).collect() };
    let bare = told(&[("bare", true), ("logistic", true), ("chaos", false), ("hardened", false)]);
    assert_eq!((of("chosen-plaintext"), of("known-plaintext")), (bare.clone(), bare));
    assert_eq!(of("keystream-reuse"), told(&[("bare, XOR only", true), ("chaos", false), ("hardened", false)]));
    let lane = told(&[("one lane", true), ("one lane, LSS", true), ("chaos", true), ("hardened", false)]);
    assert_eq!(of("lane"), lane);
    for row in &rows {
        assert!(["needs", "work", "result", "reason"].iter().all(|field| row[field] != ""), "{row}");
        assert!(row["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{row}");
        assert!(row["findings"][0]["samples"].as_u64().is_some_and(|samples| samples > 0), "{row}");
    }
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let place = Workplace::new();
    let shares = |seed: &str| -> Vec<Value> {
        let rows = rows(&place, &["chosen-plaintext", "--seed", seed]);
        rows.iter().map(|row| row["findings"].clone()).collect()
    };
    assert_eq!(shares("0a"), shares("0a"));
    assert_ne!(shares("0a"), shares("0b"));
}

#[test]
fn a_picture_is_read_and_shown() {
    let place = Workplace::new();
    let photo = image::RgbImage::from_fn(90, 70, |x, y| [(x * x / 40) as u8, (y * 3) as u8, (x + y) as u8].into());
    photo.save(place.path("photo.png")).expect("saved");
    let (input, sheet) = (place.path("photo.png"), place.path("sheet.png"));
    let ran =
        place.done(place.chaosveil("attack").arg("chosen-plaintext").arg("--input").arg(&input).arg("-o").arg(&sheet));
    // 90 x 70 pixels of three samples, all of them right.
    assert!(stdout(&ran).contains("100.000 % of 18900 right"), "{}", stdout(&ran));
    let sheet = image::open(sheet).expect("a picture").into_rgb8();
    // Three columns of 256 pixels and their margins; pixels of the first come back in the third.
    assert_eq!(sheet.width(), 24 + 3 * (256 + 24));
    let column = |number: u32| -> Vec<_> { (60..200).map(|y| *sheet.get_pixel(24 + number * 280 + 100, y)).collect() };
    assert!(column(0) == column(2) && column(0) != column(1));
}

#[test]
fn what_cannot_be_attacked_is_refused() {
    let place = Workplace::new();
    let attack = || place.chaosveil("attack");
    image::GrayImage::new(60, 60).save(place.path("small.png")).expect("saved");
    fs::write(place.path("text.png"), "no picture").expect("written");
    fs::write(place.path("taken.json"), "mine").expect("written");
    let small = place.failed(attack().arg("--input").arg(place.path("small.png")), code::CONTENT, "4096 to");
    assert!(small.contains("small.png"), "{small}");
    place.failed(attack().arg("--input").arg(place.path("text.png")), code::CONTENT, "text.png");
    place.failed(attack().arg("--input").arg(place.path("absent.png")), code::MISSING, "absent.png");
    place.failed(attack().arg("--json").arg(place.path("taken.json")), code::USAGE, "taken.json");
    assert_eq!(fs::read(place.path("taken.json")).expect("there"), b"mine");
    place.failed(attack().arg("-o").arg(place.path("sheet.png")), code::USAGE, "NAME");
    place.failed(attack().args(["lane", "--seed", "x"]), code::USAGE, "hexadecimal");
    place.failed(attack().arg("guessing"), code::USAGE, "chosen-plaintext");
    assert!(!place.path("sheet.png").exists());
}
