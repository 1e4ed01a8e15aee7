//! Training a classifier, and telling what pictures are.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::workplace::{Workplace, code, stdout};

fn photo(place: &Workplace, name: &str, step: u32) -> PathBuf {
    let path = place.path(name);
    let wave = |x: u32, y: u32| (x * x * step / 150 + y * 2) as u8;
    image::RgbImage::from_fn(280, 220, |x, y| [wave(x, y), wave(y, x), (x / 2) as u8].into())
        .save(&path)
        .expect("saved");
    path
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What `encrypt` has made is called encrypted, what it was made of plain. Under keys of chance a cipher picture in many is
/// taken for a weak cipher's, none for a picture.
#[test]
fn plain_and_cipher_pictures() {
    let place = Workplace::new();
    fs::create_dir(place.path("pictures")).expect("a folder");
    let plain = photo(&place, "pictures/plain.png", 3);
    for number in 0..5 {
        place.done(place.encrypt(&plain, &place.path(&format!("pictures/sealed-{number}.png"))));
    }
    fs::write(place.path("pictures/notes.txt"), "no picture").expect("written");
    let ran = place.done(place.chaosveil("classify").arg(place.path("pictures")).arg("--json"));
    let told = lines(&stdout(&ran));
    assert_eq!(told.len(), 6);
    let label = |told: &Value| told["label"].as_str().expect("a label").to_owned();
    for told in &told {
        let path = told["path"].as_str().expect("text");
        assert_eq!((label(told) == "plain", &told["frame"]), (path.ends_with("plain.png"), &0.into()), "{told}");
        assert!(told["confidence"].as_f64().expect("a number") > 0.16, "{told}");
    }
    assert!(told.iter().filter(|told| label(told) == "encrypted").count() >= 3, "{told:?}");
    let ran = place.done(place.chaosveil("classify").arg(&plain));
    assert!(stdout(&ran).starts_with("plain ") && stdout(&ran).trim_end().ends_with("plain.png"), "{}", stdout(&ran));
}

#[test]
fn bad_pictures_and_models() {
    let place = Workplace::new();
    let plain = photo(&place, "plain.png", 3);
    let classify = |file: &PathBuf| place.chaosveil("classify").arg(file);
    image::GrayImage::new(300, 127).save(place.path("small.png")).expect("saved");
    place.failed(classify(&place.path("small.png")), code::CONTENT, "128 x 128");
    fs::write(place.path("text.png"), "no picture").expect("written");
    place.failed(classify(&place.path("text.png")), code::CONTENT, "text.png");
    place.failed(classify(&place.path("absent.png")), code::MISSING, "absent.png");
    place.failed(place.chaosveil("classify"), code::USAGE, "required");
    let with_model = |model: &PathBuf| classify(&plain).arg("--model").arg(model);
    place.failed(with_model(&plain), code::CONTENT, "no model");
    fs::write(place.path("empty.model"), "").expect("written");
    place.failed(with_model(&place.path("empty.model")), code::CONTENT, "no model");
    place.failed(with_model(&place.path("absent.model")), code::MISSING, "absent.model");
}

/// A picture for each split in the folder `data`, and lists of them in `splits`.
pub fn small_data(place: &Workplace) {
    fs::create_dir_all(place.path("data")).expect("a folder");
    fs::create_dir_all(place.path("splits")).expect("a folder");
    for (step, split) in (1..).zip(["train", "val", "test"]) {
        photo(place, &format!("data/{split}.png"), step);
        fs::write(place.path("splits").join(format!("our_{split}.txt")), format!("{split}.png\n")).expect("written");
    }
}

#[test]
fn a_small_training() {
    let place = Workplace::new();
    small_data(&place);
    let model = place.path("small.model");
    let train = || {
        place
            .chaosveil("train")
            .args(["classifier", "--epochs", "1", "--test-turns", "1", "--data"])
            .arg(place.path("data"))
            .arg("--splits")
            .arg(place.path("splits"))
            .arg("--out")
            .arg(&model)
    };
    let ran = place.done(train());
    assert!(stdout(&ran).contains("macro-F1") && stdout(&ran).contains("of 1 pictures"), "{}", stdout(&ran));
    let record: Value = serde_json::from_slice(&fs::read(place.path("small.json")).expect("made")).expect("JSON");
    let file = fs::read(&model).expect("made");
    assert_eq!(record["model_digest"], blake3::hash(&file).to_hex().as_str());
    assert_eq!(record["test"]["samples"], 6);
    assert!(fs::read_to_string(place.path("small.svg")).expect("made").contains("<polyline"));
    assert!(!place.path("small.checkpoint").exists());
    place.done(place.chaosveil("classify").arg(place.path("data/test.png")).arg("--model").arg(&model));
    place.failed(train(), code::USAGE, "--force");
    place.done(train().arg("--force"));
    assert!(fs::read(&model).expect("made") == file, "the same seed gives the same model");
    place.failed(train().args(["--force", "--resume"]), code::MISSING, "small.checkpoint");
    fs::write(place.path("splits/their_train.txt"), "test.png\n").expect("written");
    place.failed(train().arg("--force"), code::CONTENT, "two splits");
}
