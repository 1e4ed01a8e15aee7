//! Judging ciphers: ours, a pair of pictures, a command.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::workplace::{Workplace, code, stderr, stdout};

fn photo(place: &Workplace, name: &str) -> PathBuf {
    let path = place.path(name);
    let wave = |x: u32, y: u32| (x * x / 50 + y * 2) as u8;
    image::RgbImage::from_fn(280, 220, |x, y| [wave(x, y), wave(y, x), (x / 2) as u8].into())
        .save(&path)
        .expect("saved");
    path
}

fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("made")).expect("JSON")
}

fn words(rows: &Value, field: &str) -> BTreeSet<String> {
    let rows = rows.as_array().expect("a list");
    rows.iter().filter_map(|row| row[field].as_str().map(str::to_owned)).collect()
}

fn row<'a>(rows: &'a Value, wanted: &[(&str, &str)]) -> &'a Value {
    let is_wanted = |row: &&Value| wanted.iter().all(|(field, value)| row[*field] == *value);
    rows.as_array().expect("a list").iter().find(is_wanted).unwrap_or_else(|| panic!("no {wanted:?}"))
}

#[test]
fn our_profiles_beside_controls() {
    let place = Workplace::new();
    let (json, report) = (place.path("out.json"), place.path("out.html"));
    let ran = place.done(
        place
            .chaosveil("analyze")
            .arg(photo(&place, "photo.png"))
            .args(["--trials", "2", "--alpha", "0.001"])
            .arg("--json")
            .arg(&json)
            .arg("--report")
            .arg(&report),
    );
    let told = stdout(&ran);
    assert!(told.contains("passes because of the AEAD") && told.contains("7.90247"), "{told}");
    let told = read(json);
    assert_eq!(told["alpha"], 0.001);
    let metrics = &told["metrics"];
    assert_eq!(words(metrics, "profile"), ["aead", "chaos", "hardened"].map(String::from).into());
    assert_eq!(words(metrics, "mode"), ["fresh-counter", "same-counter"].map(String::from).into());
    assert_eq!(words(metrics, "channel"), ["all", "b", "g", "r"].map(String::from).into());
    let names = words(metrics, "name");
    for name in [
        "npcr",
        "uaci",
        "entropy",
        "local_entropy",
        "local_entropy_quoted",
        "chi_square",
        "correlation_horizontal",
        "correlation_vertical",
        "correlation_diagonal",
        "mse",
        "psnr",
        "ssim",
        "nc",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let npcr =
        |profile, mode| row(metrics, &[("profile", profile), ("mode", mode), ("name", "npcr"), ("channel", "g")]);
    let stage = |mode| row(&told["chaotic_stage"], &[("mode", mode), ("name", "npcr"), ("channel", "g")]);
    let sealed = npcr("hardened", "same-counter");
    assert_eq!(
        (&sealed["pass"], &sealed["samples"], &sealed["critical"][1]),
        (&true.into(), &(2 * 280 * 220).into(), &Value::Null)
    );
    assert!(sealed["note"].as_str().is_some_and(|note| note.contains("tags")), "{sealed}");
    assert_eq!(npcr("hardened", "fresh-counter")["note"], "passes because of the AEAD");
    assert_eq!(npcr("aead", "same-counter")["pass"], false);
    assert_eq!(stage("same-counter")["pass"], false);
    assert_eq!(stage("fresh-counter")["pass"], true);
    assert_eq!(row(&told["controls"], &[("profile", "plain"), ("name", "chi_square")])["pass"], false);
    assert_eq!(row(&told["controls"], &[("profile", "aes-256-ctr"), ("name", "chi_square")])["pass"], true);
    let page = fs::read_to_string(report).expect("made");
    for part in
        ["<!DOCTYPE html>", "plain minus decrypted", "histogram", "diagonal neighbours", "DLEDNet", "occlusion, 50 %"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http://") && !page.contains("https://"), "the report needs nothing else");
}

#[test]
fn folders_have_means_and_proportions() {
    let place = Workplace::new();
    fs::create_dir(place.path("pictures")).expect("a folder");
    photo(&place, "pictures/a.png");
    photo(&place, "pictures/b.bmp");
    fs::write(place.path("pictures/notes.txt"), "no picture").expect("written");
    fs::write(place.path("pictures/broken.png"), "no picture").expect("written");
    let json = place.path("out.json");
    let mut command = place.chaosveil("analyze").arg(place.path("pictures"));
    command = command.args(["--trials", "1", "--profile", "hardened", "--json"]).arg(&json);
    let ran = command.output();
    assert_eq!(ran.status.code(), Some(code::CONTENT));
    assert!(stderr(&ran).contains("broken.png") && stderr(&ran).contains("1 of 3 pictures"), "{}", stderr(&ran));
    assert!(stdout(&ran).starts_with("2 pictures"), "{}", stdout(&ran));
    let told = read(json);
    assert_eq!(words(&told["metrics"], "profile"), ["hardened".to_owned()].into());
    assert_eq!(words(&told["metrics"], "input").len(), 2);
    let summary =
        row(&told["summary"], &[("profile", "hardened"), ("name", "uaci"), ("mode", "same-counter"), ("channel", "r")]);
    assert_eq!((&summary["pictures"], &summary["judged"]), (&2.into(), &2.into()));
}

#[test]
fn a_pair_of_anybodys() {
    let place = Workplace::new();
    let (plain, cipher, json) = (photo(&place, "plain.png"), place.path("cipher.png"), place.path("out.json"));
    // One of ours: its last rows are headers, which are not judged.
    place.done(place.encrypt(&plain, &cipher));
    let pair = |cipher: &PathBuf| {
        place
            .chaosveil("analyze")
            .arg("--plain")
            .arg(&plain)
            .arg("--cipher")
            .arg(cipher)
            .arg("--force")
            .arg("--json")
            .arg(&json)
    };
    place.done(pair(&cipher));
    let metrics = read(json.clone())["metrics"].clone();
    assert_eq!(words(&metrics, "profile"), ["external".to_owned()].into());
    let chi_square = row(&metrics, &[("name", "chi_square"), ("channel", "r")]);
    assert_eq!(chi_square["samples"], 280 * 220);
    place.done(pair(&plain));
    assert_eq!(row(&read(json.clone())["metrics"], &[("name", "entropy")])["pass"], false);
    image::GrayImage::new(280, 221).save(place.path("small.png")).expect("saved");
    place.failed(pair(&place.path("small.png")), code::USAGE, "280 x 221 gray");
    fs::write(place.path("text.png"), "no picture").expect("written");
    place.failed(pair(&place.path("text.png")), code::CONTENT, "text.png");
    place.failed(pair(&place.path("absent.png")), code::MISSING, "absent.png");
}

#[test]
fn a_command_of_anybodys() {
    let place = Workplace::new();
    let (plain, json) = (photo(&place, "plain.png"), place.path("out.json"));
    let judged = |command: &str| {
        place
            .chaosveil("analyze")
            .arg(&plain)
            .args(["--trials", "1", "--encrypt-command", command, "--force", "--json"])
            .arg(&json)
    };
    place.done(judged("cp {in} {out}"));
    let metrics = read(json.clone())["metrics"].clone();
    assert_eq!(words(&metrics, "profile"), ["external".to_owned()].into());
    assert_eq!(row(&metrics, &[("name", "npcr"), ("mode", "same-counter"), ("channel", "r")])["pass"], false);
    assert_eq!(row(&metrics, &[("name", "entropy")])["pass"], false);
    // The key stands in an argument of its own, and nothing is split twice.
    place.done(judged("sh -c 'test ${#2} = 64 && cp \"$0\" \"$1\"' {in} {out} {key}"));
    assert!(!words(&read(json.clone())["metrics"], "name").contains("key_space_bits"), "nobody knows");
    let before = fs::read(&json).expect("made");
    let long = "sh -c 'head -c 5000000 /dev/zero | tr \\\\000 x >&2; echo $2 >&2; exit 1' {in} {out} {key}";
    let said = place.failed(judged(long), code::OTHER, "{key}");
    assert!(said.len() < 1000, "{said}");
    place.failed(judged("sh -c 'mkfifo \"$1\"' {in} {out}"), code::OTHER, "no regular file");
    place.failed(judged("sh -c 'echo no such cipher >&2; exit 3' {in} {out}"), code::OTHER, "no such cipher");
    place.failed(judged("true {in} {out}"), code::OTHER, "made no {out}");
    place.failed(judged("cp {in}"), code::USAGE, "lacks {out}");
    place.failed(judged("cp '{in} {out}"), code::USAGE, "quote");
    place.failed(judged("no-such-program {in} {out}"), code::MISSING, "no-such-program");
    assert_eq!(fs::read(&json).expect("still there"), before, "a failure leaves what was there");
}

#[test]
fn bad_arguments() {
    let place = Workplace::new();
    let plain = photo(&place, "plain.png");
    place.failed(place.chaosveil("analyze"), code::USAGE, "required");
    place.failed(place.chaosveil("analyze").arg("--plain").arg(&plain), code::USAGE, "--cipher");
    for alpha in ["0.7", "1e-300", "x"] {
        place.failed(place.chaosveil("analyze").arg(&plain).args(["--alpha", alpha]), code::USAGE, "alpha is");
    }
    fs::write(place.path("nothing.pgm"), "P5 0 0 255\n").expect("written");
    let ran = place.chaosveil("analyze").arg(place.path("nothing.pgm")).output();
    assert_eq!(ran.status.code(), Some(code::CONTENT), "{}", stderr(&ran));
    // One pixel is judged, with no verdict that it could not bear.
    image::GrayImage::new(1, 1).save(place.path("pixel.png")).expect("saved");
    let json = place.path("pixel.json");
    place.done(place.chaosveil("analyze").arg(place.path("pixel.png")).args(["--trials", "2", "--json"]).arg(&json));
    let metrics = read(json)["metrics"].clone();
    for name in ["chi_square", "entropy", "correlation_horizontal", "npcr", "uaci"] {
        assert!(row(&metrics, &[("name", name)])["pass"].is_null(), "{name}");
    }
    let same = place.path("same");
    let command = place.chaosveil("analyze").arg(&plain).arg("--json").arg(&same).arg("--report").arg(&same);
    place.failed(command, code::USAGE, "two results");
    let command = place.chaosveil("analyze").arg(&plain).arg("--force").arg("--json").arg(&plain);
    place.failed(command, code::USAGE, "OUTPUT is INPUT");
    place.failed(place.chaosveil("analyze").arg(place.path("absent.png")), code::MISSING, "absent.png");
    fs::create_dir(place.path("empty")).expect("a folder");
    place.failed(place.chaosveil("analyze").arg(place.path("empty")), code::MISSING, "holds no picture");
    fs::write(place.path("taken.json"), "").expect("written");
    place.failed(
        place.chaosveil("analyze").arg(&plain).arg("--json").arg(place.path("taken.json")),
        code::USAGE,
        "--force",
    );
}

/// What a signal interrupts leaves nothing behind: neither half a file nor the plain picture in a temporary folder.
#[test]
fn an_interrupt_leaves_nothing() {
    let place = Workplace::new();
    let (plain, json, temporary) = (photo(&place, "plain.png"), place.path("out.json"), place.path("temporary"));
    fs::create_dir(&temporary).expect("a folder");
    let mut command = place
        .chaosveil("analyze")
        .arg(&plain)
        .args(["--encrypt-command", "sh -c 'sleep 0.2; cp \"$0\" \"$1\"' {in} {out}", "--json"])
        .arg(&json)
        .env("TMPDIR", temporary.to_str().expect("text"))
        .into_command();
    let mut child = command.spawn().expect("runs");
    let begun = std::time::Instant::now();
    while place.names(&temporary).is_empty() {
        assert!(begun.elapsed() < crate::process::DEADLINE, "it does not begin");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // SAFETY: the process is ours.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(child.wait().expect("ends").code(), Some(code::OTHER));
    assert_eq!(place.names(&temporary), [""; 0]);
    assert!(!json.exists() && !place.path("out.json.partial").exists());
}
