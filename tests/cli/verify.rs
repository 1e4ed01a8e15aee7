//! `verify`: whole files pass, and of others it is told what is wrong and where; nothing is written.

use std::{fs, path::PathBuf};

use gst::prelude::*;
use serde_json::Value;

use crate::{
    clips::{self, CLIP, Kind, Packet},
    workplace::{Program, Workplace, code, stderr, stdout},
};

/// A clip and its cipher `clip.cveil`.
struct Sealed {
    place: Workplace,
    bytes: Vec<u8>,
    packets: Vec<Packet>,
}

impl Sealed {
    fn new() -> Sealed {
        let place = Workplace::new();
        clips::make(&place.path("clip.mkv"), CLIP);
        place.done(place.encrypt(&place.path("clip.mkv"), &place.path("clip.cveil")));
        let bytes = clips::take_index(&place.path("clip.cveil"));
        let packets = clips::packets(&bytes);
        Sealed { place, bytes, packets }
    }

    fn verify(&self, files: &[&str]) -> Program {
        let verify = self.place.chaosveil("verify").arg("-i").arg(self.place.path("cam.key"));
        verify.args(files.iter().map(|name| self.place.path(name)))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.place.path(name), bytes).expect("written");
        self.place.path(name)
    }

    /// What is told of one file in JSON, with the exit code.
    #[track_caller]
    fn told(&self, name: &str, expected: i32) -> Value {
        let ran = self.verify(&[name]).arg("--json").output();
        assert_eq!(ran.status.code(), Some(expected), "{}{}", stdout(&ran), stderr(&ran));
        let told: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        assert_eq!(
            (told.as_array().map(Vec::len), &told[0]["whole"]),
            (Some(1), &Value::from(expected == 0)),
            "{told}"
        );
        told[0].clone()
    }

    /// Counter of a packet, where FORMAT.md, section 5, puts it.
    fn counter(&self, number: usize) -> u64 {
        let at = self.packets[number].range.start + 32;
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("8 bytes"))
    }

    fn frames(&self) -> Vec<usize> {
        (0..self.packets.len()).filter(|&number| self.packets[number].kind == Kind::Frame).collect()
    }
}

/// The counts of all streams together.
fn counts(told: &Value, name: &str) -> u64 {
    let streams = told["content"]["streams"].as_array().expect("a list");
    streams.iter().map(|stream| stream["opened"][name].as_u64().unwrap_or(0)).sum()
}

/// What is wrong, counter, last counter, byte.
type Trouble = (String, Option<u64>, Option<u64>, Option<u64>);

/// What is wrong, of all streams.
fn troubles(told: &Value) -> Vec<Trouble> {
    let streams = told["content"]["streams"].as_array().expect("a list");
    let all =
        streams.iter().flat_map(|stream| stream["opened"]["troubles"]["told"].as_array().cloned().unwrap_or_default());
    let number = |trouble: &Value, name: &str| trouble[name].as_u64();
    all.map(|trouble| {
        let what = trouble["what"].as_str().expect("text").to_owned();
        (what, number(&trouble, "counter"), number(&trouble, "last_counter"), number(&trouble, "byte"))
    })
    .collect()
}

#[test]
fn a_whole_file_is_whole_and_nothing_is_written() {
    let sealed = Sealed::new();
    let names = sealed.place.names(&sealed.place.path(""));
    let tracks = clips::tracks(&sealed.place.path("clip.mkv"));
    let told = sealed.told("clip.cveil", 0);
    let frames: usize = tracks.iter().map(|track| track.frames.len()).sum();
    assert_eq!((counts(&told, "intact_frames"), counts(&told, "sealed_frames")), (frames as u64, frames as u64));
    assert_eq!(told["content"]["bytes"], sealed.bytes.len());
    assert_eq!(troubles(&told), []);
    let said = stdout(&sealed.place.done(sealed.verify(&["clip.cveil"])));
    assert!(said.starts_with(&format!("{}: whole, packets", sealed.place.path("clip.cveil").display())), "{said}");
    assert!(said.contains("20 of 20 frames authenticated, 0 lost, 0 rejected, 0 replayed, 0 out of order"), "{said}");
    assert!(said.contains("(hardened, aes-256-gcm)"), "{said}");
    assert_eq!(sealed.place.names(&sealed.place.path("")), names);
}

#[test]
fn fail_on_one_flipped_bit_in_each_third() {
    let sealed = Sealed::new();
    let frames = sealed.frames();
    let all = frames.len() as u64;
    for third in 0..3 {
        let number = frames[frames.len() * (2 * third + 1) / 6];
        let range = sealed.packets[number].range.clone();
        let (counter, start) = (sealed.counter(number), range.start as u64);
        // In the payload: the header that tells the counter is authentic, the frame is not.
        let mut bytes = sealed.bytes.clone();
        bytes[range.end - 3] ^= 1 << third;
        sealed.file("damaged.cveil", &bytes);
        let told = sealed.told("damaged.cveil", code::CONTENT);
        assert_eq!(troubles(&told), [("rejected".to_owned(), Some(counter), None, Some(start))]);
        assert_eq!((counts(&told, "intact_frames"), counts(&told, "rejected")), (all - 1, 1));
        // In the header: whose packet it was nobody knows, but one is missing before the next one of its stream.
        let mut bytes = sealed.bytes.clone();
        bytes[range.start + 34] ^= 1 << third;
        sealed.file("damaged.cveil", &bytes);
        let told = sealed.told("damaged.cveil", code::CONTENT);
        let stream = sealed.packets[number].stream;
        let next = (number + 1..sealed.packets.len())
            .find(|&next| sealed.packets[next].stream == stream && sealed.packets[next].kind != Kind::Header)
            .expect("an end record at least");
        let missing =
            ("missing".to_owned(), Some(counter), Some(counter), Some(sealed.packets[next].range.start as u64));
        assert_eq!(troubles(&told), [missing]);
        assert_eq!((counts(&told, "lost"), counts(&told, "rejected")), (1, 0));
        assert_eq!(told["content"]["damaged_bytes"], serde_json::json!([[range.start, range.end - 1]]));
    }
}

#[test]
fn fail_on_files_cut_off_and_on_packets_lost_and_doubled() {
    let sealed = Sealed::new();
    let whole = sealed.bytes.len();
    for cut in [whole / 3, whole / 2, sealed.packets[sealed.packets.len() - 2].range.start, whole - 1] {
        sealed.file("damaged.cveil", &sealed.bytes[..cut]);
        let told = sealed.told("damaged.cveil", code::CONTENT);
        let wrong = told["wrong"].as_str().expect("text");
        assert!(wrong.contains("truncated: the end record is missing"), "{cut}: {wrong}");
        let there = sealed.frames().into_iter().filter(|&number| sealed.packets[number].range.end <= cut).count();
        assert_eq!(counts(&told, "intact_frames"), there as u64, "{cut}");
    }
    for cut in [0, 30] {
        let file = sealed.file("damaged.cveil", &sealed.bytes[..cut]);
        let said = sealed.place.failed(sealed.verify(&["damaged.cveil"]), code::CONTENT, "not a Chaosveil stream");
        assert!(said.contains(&file.display().to_string()), "{said}");
    }
    let frames = sealed.frames();
    let hit = frames[frames.len() / 2];
    let range = sealed.packets[hit].range.clone();
    let doubled = [&sealed.bytes[..range.end], &sealed.bytes[range.start..]].concat();
    sealed.file("damaged.cveil", &doubled);
    let told = sealed.told("damaged.cveil", code::CONTENT);
    let again = ("replayed".to_owned(), Some(sealed.counter(hit)), None, Some(range.end as u64));
    assert_eq!(troubles(&told), [again]);
    sealed.file("damaged.cveil", &[&sealed.bytes[..range.start], &sealed.bytes[range.end..]].concat());
    let told = sealed.told("damaged.cveil", code::CONTENT);
    let counter = Some(sealed.counter(hit));
    assert_eq!(counts(&told, "lost"), 1);
    assert!(
        matches!(&troubles(&told)[..], [(what, first, last, _)] if what == "missing" && (*first, *last) == (counter, counter))
    );
}

#[test]
fn fail_without_the_right_key() {
    let sealed = Sealed::new();
    let place = &sealed.place;
    place.done(place.chaosveil("keygen").arg("-o").arg(place.path("other.key")));
    for file in ["clip.cveil", "video.mkv", "picture.png"] {
        let source = if file == "picture.png" { "plain.png" } else { "clip.mkv" };
        image::RgbImage::from_pixel(40, 30, [1, 2, 3].into()).save(place.path("plain.png")).expect("written");
        let encrypt = place.encrypt(&place.path(source), &place.path(file)).arg("--force");
        place.done(if file == "video.mkv" { encrypt.arg("--video-only") } else { encrypt });
        let other = place.chaosveil("verify").arg("-i").arg(place.path("other.key")).arg(place.path(file));
        place.failed(other, code::KEY, "none of the given keys opens");
    }
    place.failed(sealed.verify(&["absent.cveil"]), code::MISSING, "absent.cveil");
    let chaos = place.encrypt(&place.path("clip.mkv"), &place.path("chaos.cveil"));
    place.done(chaos.args(["--profile", "chaos", "--insecure-research"]));
    place.failed(sealed.verify(&["chaos.cveil"]), code::USAGE, "--insecure-research");
    place.done(sealed.verify(&["chaos.cveil"]).arg("--insecure-research"));
}

#[test]
fn cipher_videos_are_verified_picture_by_picture() {
    let sealed = Sealed::new();
    let place = &sealed.place;
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("video.mkv")).arg("--video-only"));
    let names = place.names(&place.path(""));
    let told = sealed.told("video.mkv", 0);
    let video = &told["content"]["video"];
    assert_eq!((&video["intact_frames"], &video["profile"]), (&Value::from(20), &Value::from("hardened")), "{told}");
    assert_eq!(place.names(&place.path("")), names);
    let bytes = fs::read(place.path("video.mkv")).expect("written");
    for third in 0..3 {
        let mut damaged = bytes.clone();
        damaged[bytes.len() * (2 * third + 1) / 6] ^= 1;
        sealed.file("damaged.mkv", &damaged);
        let told = sealed.told("damaged.mkv", code::CONTENT);
        let video = &told["content"]["video"];
        assert!(video["intact_frames"].as_u64().is_some_and(|frames| frames < 20), "{told}");
        assert!(video["troubles"]["told"].as_array().is_some_and(|troubles| !troubles.is_empty()), "{told}");
    }
    sealed.file("damaged.mkv", &bytes[..bytes.len() / 2]);
    let told = sealed.told("damaged.mkv", code::CONTENT);
    assert!(told["wrong"].as_str().is_some_and(|wrong| wrong.contains("truncated")), "{told}");
}

/// More is wrong with it than is posted: a flood must not hide that it was opened, nor that anything is wrong.
#[test]
fn a_flood_of_bad_pictures_hides_nothing() {
    let sealed = Sealed::new();
    let place = &sealed.place;
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("video.mkv")).arg("--video-only"));
    gstchaosveil::gst::register_elements().expect("registered");
    let decoded = format!("filesrc location={} ! matroskademux ! avdec_ffv1", place.path("video.mkv").display());
    clips::make(
        &place.path("flooded.mkv"),
        &format!(
            "concat name=all ! avenc_ffv1 ! matroskamux name=mux \
             {decoded} ! chaosfault flip=1 seed=1 ! imagefreeze num-buffers=600 ! video/x-raw,framerate=10/1 ! all. \
             {decoded} ! chaosfault flip=0.2 seed=2 ! all."
        ),
    );
    let told = sealed.told("flooded.mkv", code::CONTENT);
    let video = &told["content"]["video"];
    assert!(video["intact_frames"].as_u64().is_some_and(|frames| (1..20).contains(&frames)), "{told}");
    let back = place.path("back.mkv");
    place.failed(place.decrypt(&place.path("flooded.mkv"), &back), code::CONTENT, "damaged");
    assert!(!back.exists());
}

#[test]
fn a_cipher_video_that_begins_in_the_middle_is_warned_of() {
    let sealed = Sealed::new();
    let place = &sealed.place;
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("video.mkv")).arg("--video-only"));
    assert!(!stderr(&sealed.verify(&["video.mkv"]).output()).contains("begins with"));
    let (video, late) = (place.path("video.mkv"), place.path("late.mkv"));
    let line = format!(
        "filesrc location={} ! matroskademux ! avdec_ffv1 ! identity name=way ! avenc_ffv1 \
         ! matroskamux ! filesink location={}",
        video.display(),
        late.display()
    );
    clips::run(&line, |pipeline| {
        let pad = pipeline.by_name("way").and_then(|way| way.static_pad("sink")).expect("in the line");
        let came = std::sync::atomic::AtomicU32::new(0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            match came.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0..5 => gst::PadProbeReturn::Drop,
                _ => gst::PadProbeReturn::Ok,
            }
        });
    });
    let told = stderr(&sealed.verify(&["late.mkv"]).output());
    assert!(told.contains("late.mkv begins with counter 6 of its stream"), "{told}");
}

#[test]
fn pictures_and_folders_are_verified_and_one_bad_file_stops_nothing() {
    let sealed = Sealed::new();
    let place = &sealed.place;
    let picture = image::RgbImage::from_fn(40, 30, |x, y| [x as u8, y as u8, (x * y) as u8].into());
    picture.save(place.path("plain.png")).expect("written");
    fs::create_dir(place.path("folder")).expect("made");
    for cipher in ["folder/a.png", "folder/c.cveil"] {
        place.done(place.encrypt(&place.path("plain.png"), &place.path(cipher)));
        sealed.told(cipher, 0);
    }
    let mut damaged = fs::read(place.path("folder/c.cveil")).expect("written");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    sealed.file("folder/b.cveil", &damaged);
    sealed.file("folder/.hidden", b"not looked at");
    let ran = sealed.verify(&["folder", "clip.cveil"]).arg("--json").output();
    assert_eq!(ran.status.code(), Some(code::CONTENT), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("1 of 4 files failed"), "{}", stderr(&ran));
    let told: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let whole: Vec<_> = told.as_array().expect("a list").iter().map(|file| file["whole"] == true).collect();
    assert_eq!(whole, [true, false, true, true]);
    let mut damaged = fs::read(place.path("folder/a.png")).expect("written");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    sealed.file("folder/a.png", &damaged);
    place.failed(sealed.verify(&["folder/a.png"]), code::CONTENT, "a.png");
    fs::create_dir(place.path("empty")).expect("made");
    place.failed(sealed.verify(&["empty"]), code::USAGE, "no file");
}
