//! Training a classifier, and telling what pictures are.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{
    clips,
    workplace::{Workplace, code, stdout},
};

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

/// A video line by line, what is encrypted of it, and which frames are taken.
#[test]
fn videos_frame_by_frame() {
    let place = Workplace::new();
    let (plain, cipher) = (place.path("plain.mkv"), place.path("cipher.mkv"));
    let source =
        "videotestsrc num-buffers=12 pattern=ball ! video/x-raw,format=I420,width=160,height=144,framerate=10/1";
    clips::make(&plain, &format!("{source} ! avenc_ffv1 ! matroskamux name=mux"));
    place.done(place.encrypt(&plain, &cipher));
    let ran = place.done(place.chaosveil("classify").arg("--json").arg(&plain).arg(&cipher));
    let told = lines(&stdout(&ran));
    assert_eq!(told.len(), 24);
    for (number, told) in told.iter().enumerate() {
        let keys: Vec<&String> = told.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["confidence", "frame", "label", "path"]);
        assert_eq!(told["frame"], number as u64 % 12);
        assert_eq!(told["path"].as_str().expect("text").ends_with("plain.mkv"), number < 12);
        assert_eq!(told["label"] == "plain", number < 12, "{told}");
    }
    let ran = place.done(place.chaosveil("classify").arg(&plain).args(["--every", "5", "--frames", "2"]));
    let told = stdout(&ran);
    let numbers: Vec<&str> = told.lines().map(|line| line.rsplit(' ').next().expect("a number")).collect();
    assert_eq!(numbers, ["0", "5"]);
    assert!(told.lines().all(|line| line.starts_with("plain ") && line.contains("plain.mkv ")), "{told}");
    let ran =
        place.done(place.chaosveil("classify").arg(format!("file://{}", plain.display())).args(["--frames", "1"]));
    assert_eq!(stdout(&ran).lines().count(), 1);
    let piped = place.piped(place.chaosveil("classify").args(["-", "--json"]), &fs::read(&plain).expect("made"));
    assert_eq!(lines(&String::from_utf8(piped).expect("text")).len(), 12);
}

/// One that fails does not keep the others from being told.
#[test]
fn bad_videos() {
    let place = Workplace::new();
    let small = place.path("small.mkv");
    clips::make(&small, clips::CLIP);
    place.failed(place.chaosveil("classify").arg(&small), code::CONTENT, "96 x 64 is too small");
    let good = photo(&place, "good.png", 3);
    fs::write(place.path("text.mkv"), "no video").expect("written");
    place.done(place.encrypt(&small, &place.path("sealed.cveil")));
    for (name, code) in [("text.mkv", code::CONTENT), ("sealed.cveil", code::MISSING), ("absent.mkv", code::MISSING)] {
        let mut both = place.chaosveil("classify").arg(place.path(name)).arg(&good);
        let ran = both.output();
        assert_eq!(ran.status.code(), Some(code), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(stdout(&ran).starts_with("plain ") && stdout(&ran).lines().count() == 1, "{name}: {}", stdout(&ran));
    }
    place.failed(place.chaosveil("classify").arg("v4l2:///dev/no-camera"), code::MISSING, "no-camera");
    place.failed(place.chaosveil("classify").arg(&good).args(["--every", "0"]), code::USAGE, "--every");
}

/// Models of others: their labels, and what is wrong with them.
#[cfg(feature = "onnx")]
#[test]
fn onnx_models() {
    let place = Workplace::new();
    let model = |name: &str| format!("{}/tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    image::RgbImage::from_pixel(64, 48, image::Rgb([20, 230, 40])).save(place.path("green.png")).expect("saved");
    fs::write(place.path("labels.txt"), "red\ngreen\nblue\n").expect("written");
    let classify =
        |name: &str| place.chaosveil("classify").arg(place.path("green.png")).args(["--model", &model(name)]);
    let labelled = |name: &str| classify(name).arg("--labels").arg(place.path("labels.txt"));
    let told = lines(&stdout(&place.done(labelled("colour").arg("--json"))));
    assert_eq!(told[0]["label"], "green");
    // The softmax of ten times the means, by hand.
    let exponents = [20.0, 230.0, 40.0].map(|value: f64| (10.0 * value / 255.0).exp());
    let expected = exponents[1] / exponents.iter().sum::<f64>();
    assert!((told[0]["confidence"].as_f64().expect("a number") - expected).abs() < 1e-5, "{told:?}");
    place.failed(classify("colour"), code::CONTENT, "one label a line");
    place.failed(labelled("brightness"), code::CONTENT, "3 labels for a model that tells 2 apart");
    for (name, message) in [
        ("claims-gigabytes", "claims 10000000000 numbers"),
        ("grows-expand", "numbers"),
        ("open-size", "left open"),
        ("two-outputs", "2 outputs"),
        ("five-channels", "[1, 5, 32, 32]"),
    ] {
        place.failed(labelled(name), code::CONTENT, message);
    }
    let labels = place.chaosveil("classify").arg(place.path("green.png")).arg("--labels").arg(place.path("labels.txt"));
    place.failed(labels, code::USAGE, "--model");
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
