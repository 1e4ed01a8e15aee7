//! Pictures, folders, keys, inspect, doctor.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::workplace::{Workplace, code, stderr, stdout};
use image::{DynamicImage, ImageBuffer, ImageFormat};

/// A picture of every kind of pixel that a PNG holds, with content that differs everywhere.
fn pictures() -> Vec<(&'static str, DynamicImage)> {
    let (width, height) = (33, 17);
    let byte = |x: u32, y: u32, c: u32| (x * 7 + y * 31 + c * 101 + x * y) as u8;
    let word = |x: u32, y: u32, c: u32| (x * 1999 + y * 517 + c * 30_011 + x * y) as u16;
    vec![
        ("gray8", DynamicImage::ImageLuma8(ImageBuffer::from_fn(width, height, |x, y| [byte(x, y, 0)].into()))),
        (
            "graya8",
            DynamicImage::ImageLumaA8(ImageBuffer::from_fn(width, height, |x, y| [0, 1].map(|c| byte(x, y, c)).into())),
        ),
        (
            "rgb8",
            DynamicImage::ImageRgb8(ImageBuffer::from_fn(width, height, |x, y| {
                [0, 1, 2].map(|c| byte(x, y, c)).into()
            })),
        ),
        (
            "rgba8",
            DynamicImage::ImageRgba8(ImageBuffer::from_fn(width, height, |x, y| {
                [0, 1, 2, 3].map(|c| byte(x, y, c)).into()
            })),
        ),
        ("gray16", DynamicImage::ImageLuma16(ImageBuffer::from_fn(width, height, |x, y| [word(x, y, 0)].into()))),
        (
            "graya16",
            DynamicImage::ImageLumaA16(ImageBuffer::from_fn(width, height, |x, y| {
                [0, 1].map(|c| word(x, y, c)).into()
            })),
        ),
        (
            "rgb16",
            DynamicImage::ImageRgb16(ImageBuffer::from_fn(width, height, |x, y| {
                [0, 1, 2].map(|c| word(x, y, c)).into()
            })),
        ),
        (
            "rgba16",
            DynamicImage::ImageRgba16(ImageBuffer::from_fn(width, height, |x, y| {
                [0, 1, 2, 3].map(|c| word(x, y, c)).into()
            })),
        ),
    ]
}

fn photo(path: &Path) -> PathBuf {
    pictures()[2].1.save(path).expect("a picture can be written");
    path.to_owned()
}

#[test]
fn a_sealed_picture_comes_back_as_the_identical_file() {
    let place = Workplace::new();
    for (extension, format) in [("png", ImageFormat::Png), ("jpg", ImageFormat::Jpeg), ("ppm", ImageFormat::Pnm)] {
        let plain = place.path(&format!("photo.{extension}"));
        pictures()[2].1.save_with_format(&plain, format).expect("a picture can be written");
        let sealed = place.path(&format!("{extension}.cveil"));
        let back = place.path(&format!("back.{extension}"));
        place.done(place.encrypt(&plain, &sealed));
        place.done(place.decrypt(&sealed, &back));
        assert_eq!(fs::read(&back).expect("written"), fs::read(&plain).expect("there"), "{extension}");
        let sealed = fs::read(sealed).expect("written");
        assert!(!place.contains_plain(&sealed, &fs::read(plain).expect("there")));
    }
}

#[test]
fn a_picture_with_another_types_name_comes_back_too() {
    let place = Workplace::new();
    let plain = place.path("photo.png");
    pictures()[2].1.save_with_format(&plain, ImageFormat::Jpeg).expect("a picture can be written");
    place.done(place.encrypt(&plain, &place.path("photo.cveil")));
    place.done(place.decrypt(&place.path("photo.cveil"), &place.path("back.png")));
    assert_eq!(fs::read(place.path("back.png")).expect("written"), fs::read(&plain).expect("there"));
    place.done(place.decrypt(&place.path("photo.cveil"), &place.path("back.bmp")));
    assert_eq!(image::open(place.path("back.bmp")).expect("a picture").width(), 33);
}

#[test]
fn another_extension_decodes() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    place.done(place.encrypt(&plain, &place.path("photo.cveil")));
    for extension in ["bmp", "tiff", "ppm", "jpg", "gif", "webp"] {
        let back = place.path(&format!("back.{extension}"));
        place.done(place.decrypt(&place.path("photo.cveil"), &back));
        let decoded = image::open(&back).expect("a picture");
        assert_eq!((decoded.width(), decoded.height()), (33, 17), "{extension}");
        if ["bmp", "tiff", "ppm", "webp"].contains(&extension) {
            assert_eq!(decoded.to_rgb8(), pictures()[2].1.to_rgb8(), "{extension}");
        }
    }
}

#[test]
fn cipher_pictures_keep_depth_alpha_and_channels() {
    let place = Workplace::new();
    for (name, picture) in pictures() {
        for profile in ["hardened", "aead"] {
            let (plain, cipher, back) = (place.path("plain.png"), place.path("cipher.png"), place.path("back.png"));
            picture.save(&plain).expect("a picture can be written");
            place.done(place.encrypt(&plain, &cipher).args(["--force", "--profile", profile]));
            place.done(place.decrypt(&cipher, &back).arg("--force"));
            let cipher = image::open(cipher).expect("a picture");
            assert_eq!(cipher.color(), picture.color(), "{name}");
            assert!(cipher.width() == 33 && cipher.height() > 17, "{name}");
            assert_ne!(cipher.crop_imm(0, 0, 33, 17), picture, "{name}");
            assert_eq!(image::open(back).expect("a picture"), picture, "{name} {profile}");
        }
    }
}

#[test]
fn cipher_pictures_of_every_small_size() {
    let place = Workplace::new();
    for (width, height) in [(1, 1), (2, 1), (1, 40), (500, 3)] {
        let picture = DynamicImage::ImageRgb8(ImageBuffer::from_fn(width, height, |x, y| [x as u8, y as u8, 9].into()));
        picture.save(place.path("plain.png")).expect("a picture can be written");
        place.done(place.encrypt(&place.path("plain.png"), &place.path("cipher.png")).arg("--force"));
        place.done(place.decrypt(&place.path("cipher.png"), &place.path("back.bmp")).arg("--force"));
        assert_eq!(image::open(place.path("back.bmp")).expect("a picture"), picture, "{width}x{height}");
    }
}

#[test]
fn a_photograph_is_turned_upright() {
    let place = Workplace::new();
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    pictures()[2].1.write_with_encoder(encoder).expect("a picture can be written");
    // APP1 with one Exif entry: orientation 6, a quarter turn clockwise.
    let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    jpeg.splice(2..2, exif.iter().copied());
    fs::write(place.path("photo.jpg"), jpeg).expect("written");
    place.done(place.encrypt(&place.path("photo.jpg"), &place.path("cipher.png")));
    place.done(place.decrypt(&place.path("cipher.png"), &place.path("back.png")));
    let back = image::open(place.path("back.png")).expect("a picture");
    assert_eq!((back.width(), back.height()), (17, 33));
    let [photo, cipher, back, sheet] =
        ["photo.jpg", "cipher.png", "back.png", "sheet.png"].map(|name| place.path(name));
    place.done(place.chaosveil("compare").args([&photo, &cipher, &back]).arg("-o").arg(sheet));
}

/// A PNG of this width and height whose pixels are all black, or were if there were any: a header is enough.
fn hollow_png(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let body = [&kind[..], content].concat();
        let bits = |byte: &u8| (0..8).map(|bit| byte >> bit & 1).collect::<Vec<_>>();
        let check = !body
            .iter()
            .flat_map(bits)
            .fold(!0_u32, |crc, bit| (crc >> 1) ^ if (crc & 1) as u8 == bit { 0 } else { 0xEDB8_8320 });
        [&(content.len() as u32).to_be_bytes()[..], &body, &check.to_be_bytes()].concat()
    };
    // Gray, eight bits.
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &head)[..], &chunk(b"IDAT", b"x"), &chunk(b"IEND", b"")].concat()
}

#[test]
fn fail_on_pictures_that_would_fill_the_memory() {
    let place = Workplace::new();
    let file = place.path("hollow.png");
    for (width, height, why) in
        [(30_000, 30_000, "too large"), (4_000, 1_000, "too large"), (1 << 30, 1 << 20, "limit")]
    {
        fs::write(&file, hollow_png(width, height)).expect("written");
        place.failed(place.decrypt(&file, &place.path("x.png")), code::CONTENT, why);
        place.failed(place.chaosveil("inspect").arg(&file), code::CONTENT, why);
    }
    fs::write(&file, hollow_png(30_000, 30_000)).expect("written");
    place.failed(place.encrypt(&file, &place.path("x.png")), code::CONTENT, "too large");
}

#[test]
fn every_kind_of_key_opens() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    fs::write(place.path("words"), "correct horse battery staple\nsecond line\n").expect("written");
    fs::write(place.path("recipients"), format!("# camera\n\n{}\n", place.recipient)).expect("written");
    let (words, psk, recipients) = (place.path("words"), place.path("psk.key"), place.path("recipients"));
    let identity = place.path("cam.key");
    let ways = [
        (["-r", &place.recipient], ["-i", identity.to_str().expect("text")]),
        (["-R", recipients.to_str().expect("text")], ["--identity-file", identity.to_str().expect("text")]),
        (["-k", psk.to_str().expect("text")], ["-k", psk.to_str().expect("text")]),
        (["--passphrase-file", words.to_str().expect("text")], ["--passphrase-file", words.to_str().expect("text")]),
    ];
    for (to, with) in ways {
        let sealed = place.path("photo.cveil");
        place.done(place.chaosveil("encrypt").args(to).arg(&plain).arg("-o").arg(&sealed).arg("--force"));
        place.done(
            place.chaosveil("decrypt").args(with).arg(&sealed).arg("-o").arg(place.path("back.png")).arg("--force"),
        );
        assert_eq!(fs::read(place.path("back.png")).expect("written"), fs::read(&plain).expect("there"));
    }
    // Alternatives: any of them opens.
    let both =
        place.chaosveil("encrypt").args(ways[0].0).args(ways[2].0).arg(&plain).arg("-o").arg(place.path("both.cveil"));
    place.done(both);
    for with in [ways[0].1, ways[2].1] {
        place.done(
            place
                .chaosveil("decrypt")
                .args(with)
                .arg(place.path("both.cveil"))
                .arg("-o")
                .arg(place.path("both.png"))
                .arg("--force"),
        );
    }
}

#[test]
fn fail_with_a_wrong_or_missing_key() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    place.done(place.chaosveil("keygen").arg("-o").arg(place.path("other.key")));
    for output in ["photo.cveil", "cipher.png"] {
        place.done(place.encrypt(&plain, &place.path(output)));
        for key in ["other.key", "absent.key", "photo.png"] {
            let back = place.path("back.png");
            let command =
                place.chaosveil("decrypt").arg("-i").arg(place.path(key)).arg(place.path(output)).arg("-o").arg(&back);
            place.failed(command, code::KEY, key_message(key));
            assert!(!back.exists() && !place.path("back.png.partial").exists());
        }
    }
    let absent = place.path("absent.key");
    place.failed(
        place.chaosveil("encrypt").arg("-k").arg(&absent).arg(&plain).arg("-o").arg(place.path("x.cveil")),
        code::KEY,
        "absent.key",
    );
}

fn key_message(key: &str) -> &str {
    if key == "other.key" { "none of the given keys opens" } else { key }
}

#[test]
fn fail_on_every_flipped_bit_of_a_sealed_picture() {
    let place = Workplace::new();
    let tiny = place.path("tiny.png");
    pictures()[0].1.crop_imm(0, 0, 2, 2).save(&tiny).expect("a picture can be written");
    let plain = fs::read(&tiny).expect("there");
    for output in ["tiny.cveil", "cipher.png"] {
        place.done(place.encrypt(&tiny, &place.path(output)));
        let sealed = fs::read(place.path(output)).expect("written");
        for at in (0..sealed.len()).step_by(7) {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1 << (at % 8);
            let file = place.path("damaged");
            fs::write(&file, damaged).expect("written");
            let back = place.path("back.png");
            let ran = place.decrypt(&file, &back).output();
            assert_eq!(ran.status.code(), Some(code::CONTENT), "{output}, byte {at}: {}", stderr(&ran));
            assert!(!back.exists(), "{output}, byte {at}");
            let partial = place.path("back.png.partial");
            if let Ok(kept) = fs::read(&partial) {
                assert_eq!(kept, plain, "{output}, byte {at}: only intact content is kept");
                fs::remove_file(partial).expect("there");
            }
        }
    }
}

#[test]
fn fail_on_truncated_files_and_keep_what_is_intact() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    for output in ["photo.cveil", "cipher.png"] {
        place.done(place.encrypt(&plain, &place.path(output)));
        let sealed = fs::read(place.path(output)).expect("written");
        for keep in [0, 10, 300, sealed.len() / 2, sealed.len() - 100, sealed.len() - 1] {
            fs::write(place.path("short"), &sealed[..keep]).expect("written");
            let back = place.path("back.png");
            let _ = fs::remove_file(place.path("back.png.partial"));
            place.failed(place.decrypt(&place.path("short"), &back), code::CONTENT, "short");
            assert!(!back.exists());
        }
    }
    // Only the end record is missing: the picture is intact.
    let sealed = fs::read(place.path("photo.cveil")).expect("written");
    fs::write(place.path("short"), &sealed[..sealed.len() - 1]).expect("written");
    let back = place.path("salvaged.png");
    let ran = place.failed(place.decrypt(&place.path("short"), &back), code::CONTENT, "end record");
    assert!(ran.contains("salvaged.png.partial") && ran.contains("--salvage"), "{ran}");
    assert_eq!(fs::read(place.path("salvaged.png.partial")).expect("kept"), fs::read(&plain).expect("there"));
    fs::remove_file(place.path("salvaged.png.partial")).expect("there");
    place.failed(place.decrypt(&place.path("short"), &back).arg("--salvage"), code::CONTENT, "end record");
    assert_eq!(fs::read(back).expect("salvaged"), fs::read(plain).expect("there"));
}

#[test]
fn fail_on_what_is_not_ours() {
    let place = Workplace::new();
    photo(&place.path("plain.png"));
    fs::write(place.path("text"), "some text\n".repeat(1000)).expect("written");
    fs::write(place.path("empty"), "").expect("written");
    for name in ["plain.png", "text", "empty"] {
        place.failed(place.decrypt(&place.path(name), &place.path("x.png")), code::CONTENT, "not a Chaosveil stream");
        place.failed(place.chaosveil("inspect").arg(place.path(name)), code::CONTENT, name);
    }
    fs::write(place.path("note.png"), "no picture").expect("written");
    place.failed(place.encrypt(&place.path("note.png"), &place.path("x.cveil")), code::CONTENT, "note.png");
}

#[test]
fn fail_on_doubled_and_foreign_packets() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    place.done(place.encrypt(&plain, &place.path("a.cveil")));
    place.done(place.encrypt(&plain, &place.path("b.cveil")));
    let (a, b) = (fs::read(place.path("a.cveil")).expect("written"), fs::read(place.path("b.cveil")).expect("written"));
    for (name, content, message) in
        [("doubled", [&a[..], &a].concat(), "replayed"), ("spliced", [&a[..], &b].concat(), "damaged bytes")]
    {
        fs::write(place.path(name), content).expect("written");
        let back = place.path(&format!("{name}.png"));
        place.failed(place.decrypt(&place.path(name), &back), code::CONTENT, message);
        let partial = place.path(&format!("{name}.png.partial"));
        assert_eq!(fs::read(partial).expect("kept"), fs::read(&plain).expect("there"));
    }
}

#[test]
fn a_cipher_picture_cannot_be_given_another_shape() {
    let place = Workplace::new();
    let picture = DynamicImage::ImageLuma8(ImageBuffer::from_fn(64, 8, |x, y| [(x * y) as u8].into()));
    picture.save(place.path("plain.png")).expect("a picture can be written");
    place.done(place.encrypt(&place.path("plain.png"), &place.path("cipher.png")));
    let cipher = image::open(place.path("cipher.png")).expect("a picture").into_luma8();
    let (width, height) = cipher.dimensions();
    let reshaped = ImageBuffer::<image::Luma<u8>, _>::from_raw(width / 2, height * 2, cipher.into_raw()).expect("fits");
    // The trailer counts the extra rows: twice as many of half the width.
    let mut bytes = reshaped.into_raw();
    let at = bytes.len() - 4;
    let rows = u32::from_le_bytes(bytes[at..].try_into().expect("four bytes")) * 2;
    bytes[at..].copy_from_slice(&rows.to_le_bytes());
    let reshaped = ImageBuffer::<image::Luma<u8>, _>::from_raw(width / 2, height * 2, bytes).expect("fits");
    reshaped.save(place.path("reshaped.png")).expect("a picture can be written");
    place.failed(place.decrypt(&place.path("reshaped.png"), &place.path("x.png")), code::CONTENT, "size or format");
}

#[test]
fn nothing_is_overwritten_unasked() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    for name in ["out.cveil", "other.cveil.partial"] {
        fs::write(place.path(name), "precious").expect("written");
        let output = place.path(name.trim_end_matches(".partial"));
        place.failed(place.encrypt(&plain, &output), code::USAGE, "--force");
        assert_eq!(fs::read(place.path(name)).expect("there"), b"precious");
        place.done(place.encrypt(&plain, &output).arg("--force"));
        assert_ne!(fs::read(&output).expect("there"), b"precious");
    }
    place.failed(place.encrypt(&plain, &plain).arg("--force"), code::USAGE, "OUTPUT is INPUT");
    assert_eq!(image::open(&plain).expect("still there"), pictures()[2].1);
    place.failed(place.chaosveil("keygen").arg("-o").arg(place.path("cam.key")), code::USAGE, "never overwritten");
    place.failed(
        place.chaosveil("keygen").arg("--preshared").arg("-o").arg(place.path("psk.key")),
        code::USAGE,
        "never overwritten",
    );
}

#[test]
fn key_files_are_for_their_owner() {
    let place = Workplace::new();
    for name in ["cam.key", "psk.key"] {
        let mode = fs::metadata(place.path(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(place.recipient.starts_with("age1") && place.recipient.len() == 62);
    // No secret is ever shown, whatever goes wrong.
    let secrets: Vec<String> = ["cam.key", "psk.key"].iter().map(|name| place.secret(name)).collect();
    assert!(secrets.iter().all(|secret| secret.len() > 40));
    let plain = photo(&place.path("photo.png"));
    place.done(place.encrypt(&plain, &place.path("photo.cveil")));
    let commands = [
        place
            .chaosveil("decrypt")
            .arg("-k")
            .arg(place.path("psk.key"))
            .arg(place.path("photo.cveil"))
            .arg("-o")
            .arg(place.path("x.png")),
        place
            .chaosveil("decrypt")
            .arg("-k")
            .arg(place.path("cam.key"))
            .arg(place.path("photo.cveil"))
            .arg("-o")
            .arg(place.path("x.png")),
        place
            .chaosveil("decrypt")
            .arg("-i")
            .arg(place.path("psk.key"))
            .arg(place.path("photo.cveil"))
            .arg("-o")
            .arg(place.path("x.png")),
        place
            .chaosveil("encrypt")
            .arg("-R")
            .arg(place.path("cam.key"))
            .arg(&plain)
            .arg("-o")
            .arg(place.path("y.cveil")),
        place.chaosveil("encrypt").arg("-r").arg(&secrets[0]).arg(&plain).arg("-o").arg(place.path("y.cveil")),
        place.chaosveil("inspect").arg("-i").arg(place.path("cam.key")).arg(place.path("photo.cveil")),
    ];
    for mut command in commands {
        let ran = command.output();
        let said = stdout(&ran) + &stderr(&ran);
        assert!(secrets.iter().all(|secret| !said.contains(&secret[16..])), "{said}");
    }
}

#[test]
fn a_folder_keeps_its_names_and_survives_a_bad_file() {
    let place = Workplace::new();
    let folder = place.path("photos");
    fs::create_dir_all(folder.join("more")).expect("made");
    photo(&folder.join("a.png"));
    photo(&folder.join("b.jpg"));
    photo(&folder.join("more/c.bmp"));
    fs::write(folder.join("bad.jpg"), "no picture").expect("written");
    fs::write(folder.join(".hidden"), "left out").expect("written");
    let sealed = place.path("sealed");
    let said = place.failed(
        place.encrypt(&folder, &sealed).args(["--output-form", "cveil"]),
        code::CONTENT,
        "1 of 4 files failed",
    );
    assert!(said.contains("bad.jpg") && said.contains("3 frames"), "{said}");
    assert_eq!(place.names(&sealed), ["a.png.cveil", "b.jpg.cveil", "more/c.bmp.cveil"]);
    place.done(place.decrypt(&sealed, &place.path("back")));
    assert_eq!(place.names(&place.path("back")), ["a.png", "b.jpg", "more/c.bmp"]);
    for name in ["a.png", "b.jpg", "more/c.bmp"] {
        assert_eq!(
            fs::read(place.path("back").join(name)).expect("there"),
            fs::read(folder.join(name)).expect("there")
        );
    }
    fs::remove_file(folder.join("bad.jpg")).expect("there");
    place.done(place.encrypt(&folder, &place.path("ciphers")).args(["--output-form", "png"]));
    assert_eq!(place.names(&place.path("ciphers")), ["a.png", "b.jpg.png", "more/c.bmp.png"]);
    fs::write(place.path("ciphers/a.png"), "spoiled").expect("written");
    place.failed(place.decrypt(&place.path("ciphers"), &place.path("pixels")), code::CONTENT, "a.png");
    assert_eq!(place.names(&place.path("pixels")), ["b.jpg.png", "more/c.bmp.png"]);
    for name in ["b.jpg", "more/c.bmp"] {
        let pixels = image::open(place.path("pixels").join(format!("{name}.png"))).expect("a picture");
        assert_eq!(pixels, image::open(folder.join(name)).expect("a picture"));
    }
}

#[test]
fn fail_on_folders_that_would_lose_something() {
    let place = Workplace::new();
    let folder = place.path("photos");
    fs::create_dir_all(&folder).expect("made");
    photo(&folder.join("a.jpg"));
    photo(&folder.join("a.jpg.png"));
    place.failed(
        place.encrypt(&folder, &place.path("out")).args(["--output-form", "png", "--force"]),
        code::USAGE,
        "a.jpg.png",
    );
    place.failed(
        place.encrypt(&folder, &folder.join("inside")).args(["--output-form", "png"]),
        code::USAGE,
        "lies in it",
    );
    place.failed(place.encrypt(&folder, &place.path("out2")), code::USAGE, "--output-form");
}

#[test]
fn pictures_go_through_pipes() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    let bytes = fs::read(&plain).expect("there");
    let pipe = Path::new("-");
    let sealed = place.piped(place.encrypt(pipe, pipe).args(["--output-form", "cveil"]), &bytes);
    assert_eq!(place.piped(place.decrypt(pipe, pipe), &sealed), bytes);
    assert_eq!(
        place.piped(place.decrypt(pipe, pipe).args(["--input-form", "cveil", "--output-form", "png"]), &sealed),
        bytes
    );
    let cipher = place.piped(place.encrypt(&plain, pipe).args(["--output-form", "png"]), b"");
    let back = place.piped(place.decrypt(pipe, pipe).args(["--input-form", "png"]), &cipher);
    assert_eq!(image::load_from_memory(&back).expect("a picture"), pictures()[2].1);
    // What is damaged does not go out.
    let mut decrypt = place.decrypt(pipe, pipe);
    let ran = crate::workplace::run_with_stdin(&mut decrypt, &sealed[..sealed.len() - 1]);
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(code::CONTENT), 0));
}

#[test]
fn fail_when_files_are_missing() {
    let place = Workplace::new();
    let (absent, there) = (place.path("absent.png"), photo(&place.path("photo.png")));
    place.failed(place.encrypt(&absent, &place.path("x.cveil")), code::MISSING, "absent.png");
    place.failed(place.decrypt(&absent, &place.path("x.png")), code::MISSING, "absent.png");
    place.failed(place.chaosveil("inspect").arg(&absent), code::MISSING, "absent.png");
    place.failed(place.encrypt(&there, &place.path("no/folder/x.cveil")), code::MISSING, "no/folder");
    place.failed(place.encrypt(&there, Path::new("/dev/full")), code::USAGE, "extension");
}

#[test]
fn a_full_disk_leaves_no_file() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    let command = place.encrypt(&plain, Path::new("-"));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
    let ran = command.args(["--output-form", "cveil"]).stdout(full).output();
    assert_eq!(ran.status.code(), Some(code::MISSING), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("make space"), "{}", stderr(&ran));
}

#[test]
fn profile_chaos_needs_a_word_on_both_sides() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    let chaos = ["--profile", "chaos"];
    place.failed(place.encrypt(&plain, &place.path("x.cveil")).args(chaos), code::USAGE, "--insecure-research");
    place.done(place.encrypt(&plain, &place.path("x.cveil")).args(chaos).arg("--insecure-research"));
    place.failed(place.decrypt(&place.path("x.cveil"), &place.path("x.png")), code::USAGE, "--insecure-research");
    place.done(place.decrypt(&place.path("x.cveil"), &place.path("x.png")).arg("--insecure-research"));
    assert_eq!(fs::read(place.path("x.png")).expect("written"), fs::read(plain).expect("there"));
}

#[test]
fn inspect_tells_more_with_a_key() {
    let place = Workplace::new();
    let plain = photo(&place.path("photo.png"));
    place.done(place.encrypt(&plain, &place.path("photo.cveil")));
    place.done(place.encrypt(&plain, &place.path("cipher.png")));
    for (file, form) in [("photo.cveil", "packets"), ("cipher.png", "cipher picture")] {
        let report = place.json(place.chaosveil("inspect").arg("--json").arg(place.path(file)));
        assert_eq!((&report["form"], &report["verified"]), (&form.into(), &false.into()));
        let stream = &report["streams"][0];
        assert_eq!((&stream["profile"], &stream["aead"]), (&"hardened".into(), &"aes-256-gcm".into()));
        assert_eq!(stream["key_groups"][0]["recipients"]["X25519"], 1);
        assert_eq!(stream["frames"], 1);
        assert!(stream["opened"].is_null());
        assert_eq!(report["bytes"], fs::metadata(place.path(file)).expect("there").len());
        let report = place
            .json(place.chaosveil("inspect").arg("--json").arg("-i").arg(place.path("cam.key")).arg(place.path(file)));
        assert_eq!(report["verified"], true);
        let opened = &report["streams"][0]["opened"];
        assert_eq!((&opened["track"], &opened["tracks"], &opened["intact_frames"]), (&1.into(), &1.into(), &1.into()));
        let caps = if file == "photo.cveil" { "image/png" } else { "video/x-raw, format=(string)RGB, width=(int)33" };
        assert!(opened["caps"].as_str().is_some_and(|text| text.starts_with(caps)), "{opened}");
    }
    let mut damaged = fs::read(place.path("photo.cveil")).expect("there");
    let len = damaged.len();
    damaged[len - 200] ^= 4;
    fs::write(place.path("damaged.cveil"), damaged).expect("written");
    let inspect = place.chaosveil("inspect").arg("-i").arg(place.path("cam.key")).arg(place.path("damaged.cveil"));
    place.failed(inspect, code::CONTENT, "damaged");
}

#[test]
fn doctor_tells_what_is_there() {
    let place = Workplace::new();
    let ran = place.chaosveil("doctor").arg("--json").output();
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["backends"].as_array().is_some_and(|backends| backends.contains(&"portable".into())));
    let missing = |element: &serde_json::Value| element["required"] == true && element["present"] == false;
    let any_missing = report["elements"].as_array().expect("a list").iter().any(missing);
    assert_eq!(ran.status.code(), Some(if any_missing { code::MISSING } else { 0 }), "{}", stderr(&ran));
    let forced = place.chaosveil("doctor").env("CHAOSVEIL_BACKEND", "portable").output();
    assert!(stdout(&forced).contains("CHAOSVEIL_BACKEND asks for portable"), "{}", stdout(&forced));
    place.failed(place.chaosveil("doctor").env("CHAOSVEIL_BACKEND", "abacus"), code::MISSING, "abacus");
}
