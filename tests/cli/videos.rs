//! Video files: what was encoded comes back as it was, with its times, and what cannot come back is refused.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    tracks::{self, Apart, Track, VIDEO, assert_same, assert_same_within_ms, make, make_with},
    workplace::{Workplace, code, run_with_stdin, stderr},
};

/// The clips among the shared data; none, and a line that says so, where they are not.
pub fn clips() -> Vec<PathBuf> {
    let data = env::var_os("CHAOSVEIL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let Ok(entries) = fs::read_dir(data.join("video")) else {
        println!("skipped: no clips in {} (CHAOSVEIL_DATA names another folder)", data.display());
        return Vec::new();
    };
    let mut clips: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    clips.sort();
    clips
}

fn stored(path: &Path) -> Vec<Track> {
    tracks::tracks(path, Apart::Stored)
}

/// Encrypts a file, decrypts it into another, and tells what is in that.
fn round_trip(place: &Workplace, plain: &Path, output: &str) -> Vec<Track> {
    let (sealed, back) = (place.path("sealed.cveil"), place.path(output));
    place.done(place.encrypt(plain, &sealed).arg("--force"));
    place.done(place.decrypt(&sealed, &back).arg("--force"));
    stored(&back)
}

/// Bytes that a sealed file may have: 1 % more, 128 for each frame, 1024 for each second; of the index of each track 200, and
/// 24 for each second.
fn allowed_bytes(plain: &Path, tracks: &[Track]) -> u64 {
    let bytes = fs::metadata(plain).expect("a file").len();
    let frames: usize = tracks.iter().map(|track| track.frames.len()).sum();
    let end = |track: &Track| {
        let ends = track.frames.iter().filter_map(|frame| Some(frame.dts.or(frame.pts)? + frame.duration.unwrap_or(0)));
        ends.max().unwrap_or(0)
    };
    let seconds = tracks.iter().map(end).max().unwrap_or(0) as f64 / 1e9;
    let index = tracks.len() as u64 * (200 + 24 * seconds.ceil() as u64);
    bytes + bytes / 100 + 128 * frames as u64 + (1024.0 * seconds) as u64 + index
}

#[test]
fn clips_come_back_as_they_were() {
    let place = Workplace::new();
    for clip in clips() {
        let name = clip.file_name().and_then(|name| name.to_str()).expect("text");
        let extension = clip.extension().and_then(|extension| extension.to_str()).expect("text");
        let (sealed, plain) = (place.path(&format!("{name}.cveil")), stored(&clip));
        place.done(place.encrypt(&clip, &sealed));
        let same = place.path(&format!("same.{extension}"));
        place.done(place.decrypt(&sealed, &same).arg("--force"));
        assert_same(&stored(&same), &plain, name);
        let mkv = place.decrypt(&sealed, &place.path(&format!("{name}.mkv")));
        if extension == "avi" {
            place.failed(mkv, code::USAGE, "do not have the times");
        } else {
            place.done(mkv);
            assert_same_within_ms(&stored(&place.path(&format!("{name}.mkv"))), &plain, name);
        }
    }
}

#[test]
fn sealed_clips_are_hardly_larger() {
    let place = Workplace::new();
    let mut over = Vec::new();
    for clip in clips() {
        let sealed = place.path("sealed.cveil");
        place.done(place.encrypt(&clip, &sealed).arg("--force"));
        let (plain, allowed) = (fs::metadata(&clip).expect("there").len(), allowed_bytes(&clip, &stored(&clip)));
        let sealed = fs::metadata(&sealed).expect("written").len();
        println!("{}: {plain} bytes, sealed +{}, allowed +{}", clip.display(), sealed - plain, allowed - plain);
        over.extend((sealed > allowed).then_some(clip));
    }
    assert_eq!(over, Vec::<PathBuf>::new());
}

#[test]
fn frames_out_of_order_and_of_any_length() {
    let place = Workplace::new();
    let line = VIDEO.replace("bframes=0", "bframes=3 b-adapt=false");
    let plain = make(&place.path("b.mp4"), &format!("mp4mux name=mux {line}"));
    let expected = stored(&plain);
    assert!(!expected[0].frames.is_sorted_by_key(|frame| frame.pts), "no B-frames");
    assert_same(&round_trip(&place, &plain, "back.mp4"), &expected, "B-frames");
    assert_same_within_ms(&round_trip(&place, &plain, "back.mkv"), &expected, "B-frames");

    let picture = [128_u8; 64 * 48 * 3 / 2];
    let due = [0, 33, 67, 300, 310, 1000, 1033, 2500];
    let frames = due.map(|due| (due, &picture[..]));
    let line = "appsrc name=frames ! x264enc bframes=0 ! h264parse ! mp4mux name=mux";
    let caps = "video/x-raw,format=I420,width=64,height=48,framerate=0/1";
    let plain = make_with(&place.path("vfr.mp4"), line, caps, &frames);
    let expected = stored(&plain);
    assert!(expected[0].times().windows(2).any(|pair| pair[0][2] != pair[1][2]), "one rate");
    assert_same(&round_trip(&place, &plain, "back.mp4"), &expected, "variable rate");
    assert_same_within_ms(&round_trip(&place, &plain, "back.mkv"), &expected, "variable rate");
}

#[test]
fn all_audio_comes_back_in_its_order() {
    let place = Workplace::new();
    let audio = |hz: u32| format!("audiotestsrc num-buffers=50 freq={hz} ! voaacenc ! aacparse ! mux. ");
    let plain = make(&place.path("two.mp4"), &format!("mp4mux name=mux {VIDEO} {} {}", audio(440), audio(880)));
    let expected = stored(&plain);
    assert_eq!(expected.iter().map(Track::media).collect::<Vec<_>>(), ["video/x-h264", "audio/mpeg", "audio/mpeg"]);
    assert!(expected[1].contents() != expected[2].contents());
    for _ in 0..3 {
        assert_same(&round_trip(&place, &plain, "back.mp4"), &expected, "two tracks of audio");
    }
    assert_same_within_ms(&round_trip(&place, &plain, "back.mkv"), &expected, "two tracks of audio");
}

/// Makes all that lies before `samples` of an MP4 file's last track something that is decoded and not heard.
fn begin_later(path: &Path, samples: u32) {
    let mut file = fs::read(path).expect("a file");
    // u32 version and flags | u32 entries | u32 duration | u32 media time
    let at = (0..file.len()).rev().find(|&at| file[at..].starts_with(b"elst")).expect("an edit list") + 4;
    file[at + 12..at + 16].copy_from_slice(&samples.to_be_bytes());
    fs::write(path, file).expect("written");
}

#[test]
fn what_audio_decoders_need_before_the_beginning_is_kept() {
    let place = Workplace::new();
    let audio = "audiotestsrc num-buffers=50 ! audio/x-raw,rate=44100 ! voaacenc ! aacparse ! mux.";
    let plain = make(&place.path("primed.mp4"), &format!("mp4mux name=mux {VIDEO} {audio}"));
    let unprimed = stored(&plain);
    begin_later(&plain, 2112);
    let expected = stored(&plain);
    assert!(expected[1].frames[0].due < unprimed[1].frames[0].due, "no priming");
    let back = round_trip(&place, &plain, "back.mkv");
    assert_same_within_ms(&back, &expected, "priming");
    let back = round_trip(&place, &plain, "back.mp4");
    assert_eq!(back[1].frames.len(), expected[1].frames.len());
    assert!(back[1].contents() == expected[1].contents());
}

/// `tkhd` of the first track of an MP4 file: the matrix is to be found 40 bytes later.
fn matrix_at(file: &[u8]) -> usize {
    file.windows(4).position(|window| window == b"tkhd").expect("a track") + 4 + 40
}

#[test]
fn turned_pictures_stay_turned() {
    let place = Workplace::new();
    let upright = make(&place.path("upright.mp4"), &format!("mp4mux name=mux {VIDEO}"));
    let upright = fs::read(upright).expect("made");
    // a b, c d and x y of the matrix, in pixels; the picture has 64 x 48. The demuxer does not know the eighth,
    // flip-rotate-90.
    let turned = [
        ("rotate-90", [0, 1, -1, 0, 48, 0]),
        ("rotate-180", [-1, 0, 0, -1, 64, 48]),
        ("rotate-270", [0, -1, 1, 0, 0, 64]),
        ("flip-rotate-0", [-1, 0, 0, 1, 64, 0]),
        ("flip-rotate-180", [1, 0, 0, -1, 0, 48]),
        ("flip-rotate-270", [0, 1, 1, 0, 0, 0]),
    ];
    for (name, [a, b, c, d, x, y]) in turned {
        let mut file = upright.clone();
        let matrix: Vec<u8> = [a, b, 0, c, d, 0, x, y].into_iter().flat_map(|n: i32| (n << 16).to_be_bytes()).collect();
        let at = matrix_at(&file);
        file[at..at + matrix.len()].copy_from_slice(&matrix);
        let plain = place.path(&format!("{name}.mp4"));
        fs::write(&plain, &file).expect("written");
        assert_eq!(stored(&plain)[0].orientation().as_deref(), Some(name), "made wrongly");
        for output in ["back.mp4", "back.mov"] {
            let back = round_trip(&place, &plain, output);
            assert_same(&back, &stored(&plain), name);
            assert_eq!(back[0].orientation().as_deref(), Some(name), "{output}");
            let back = fs::read(place.path(output)).expect("written");
            assert_eq!(back[matrix_at(&back)..][..matrix.len()], matrix, "{output}");
        }
    }
    let ran = place.done(place.decrypt(&place.path("sealed.cveil"), &place.path("back.mkv")));
    assert!(stderr(&ran).contains("warning: a .mkv file does not keep"), "{}", stderr(&ran));
}

#[test]
fn long_tags_do_not_displace_the_orientation() {
    let place = Workplace::new();
    let title = "long ".repeat(400);
    let tags = format!("taginject tags=\"title=(string)\\\"{title}\\\",artist=(string)short\"");
    let line = format!("mp4mux name=mux {}", VIDEO.replace("h264parse", &format!("h264parse ! {tags}")));
    let plain = make(&place.path("tagged.mp4"), &line);
    let mut file = fs::read(&plain).expect("made");
    let at = matrix_at(&file);
    let half_turn: Vec<u8> = [-1, 0, 0, 0, -1].into_iter().flat_map(|n: i32| (n << 16).to_be_bytes()).collect();
    file[at..at + half_turn.len()].copy_from_slice(&half_turn);
    fs::write(&plain, file).expect("written");
    let back = round_trip(&place, &plain, "back.mp4");
    assert_eq!(back[0].orientation().as_deref(), Some("rotate-180"));
    assert!(back[0].tags.get::<gst::tags::Artist>().is_some(), "{}", back[0].tags);
    assert!(back[0].tags.get::<gst::tags::Title>().is_none());
}

const SRT: [&str; 4] = ["Tom & Jerry \"x\" isn't <3", "a < b &amp; c\nsecond line", "<i>Hello</i> & bye", "R&D &lt;"];

/// A Matroska file with subtitles.
fn subtitled(path: &Path, caps: &str, texts: &[&[u8]]) -> PathBuf {
    let frames: Vec<_> = (0..).zip(texts).map(|(number, text)| (100 + 200 * number, *text)).collect();
    let line = format!("matroskamux name=mux {VIDEO} appsrc name=frames ! mux.subtitle_0");
    make_with(path, &line, caps, &frames)
}

#[test]
fn subtitles_come_back_as_they_stood_in_the_file() {
    let place = Workplace::new();
    let texts = SRT.map(str::as_bytes);
    let plain = subtitled(&place.path("text.mkv"), "text/x-raw,format=utf8", &texts);
    let expected = stored(&plain);
    assert_same(&round_trip(&place, &plain, "back.mkv"), &expected, "subtitles");
    let back = fs::read(place.path("back.mkv")).expect("written");
    for text in texts {
        assert!(back.windows(text.len()).any(|window| window == text), "{}", String::from_utf8_lossy(text));
    }
    place.done(place.encrypt(&plain, &place.path("raw.cveil")).arg("--decode"));
    place.done(place.decrypt(&place.path("raw.cveil"), &place.path("raw.mkv")));
    assert!(stored(&place.path("raw.mkv"))[1].contents() == expected[1].contents());
    let back = round_trip(&place, &plain, "back.mp4");
    let told: Vec<_> = back[1].contents().into_iter().map(String::from_utf8_lossy).collect();
    assert_eq!(told, SRT);

    // What a container does not hold is refused, or left out.
    let avi = || place.decrypt(&place.path("sealed.cveil"), &place.path("back.avi"));
    let said = place.failed(avi(), code::USAGE, "text/x-raw");
    assert!(said.contains("--video-only") && !place.path("back.avi").exists(), "{said}");
    place.done(avi().arg("--video-only"));
    assert_eq!(stored(&place.path("back.avi")).len(), 1);
}

#[test]
fn subtitles_that_begin_late_or_never() {
    let place = Workplace::new();
    let line = VIDEO.replace("num-buffers=30", "num-buffers=900").replace("key-int-max=10", "key-int-max=100");
    let line = format!("matroskamux name=mux {line} appsrc name=frames ! mux.subtitle_0");
    let plain = make_with(&place.path("late.mkv"), &line, "text/x-raw,format=utf8", &[(29_000, b"The end")]);
    assert_same(&round_trip(&place, &plain, "back.mkv"), &stored(&plain), "late subtitles");
    // Who decrypts a long film cannot wait for its end: the beginning of the file tells of all tracks.
    let sealed = fs::read(place.path("sealed.cveil")).expect("written");
    fs::write(place.path("beginning.cveil"), &sealed[..sealed.len() / 8]).expect("written");
    let mut inspect = place.chaosveil("inspect").arg("--json").arg(place.path("beginning.cveil"));
    let ran = inspect.output();
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(report["streams"].as_array().map(Vec::len), Some(2), "{report}");

    let plain = make_with(&place.path("never.mkv"), &line, "text/x-raw,format=utf8", &[]);
    let (found, expected) = (round_trip(&place, &plain, "back.mkv"), stored(&plain));
    assert_eq!(found.iter().map(Track::media).collect::<Vec<_>>(), ["video/x-h264", "text/x-raw"]);
    assert_eq!(expected.iter().map(Track::media).collect::<Vec<_>>(), ["video/x-h264", "text/x-raw"]);
}

#[test]
fn subtitles_of_other_kinds() {
    let place = Workplace::new();
    let header = "5b536372697074".repeat(50);
    let caps = format!("application/x-ass,codec_data=(buffer){header}");
    let plain = subtitled(&place.path("ass.mkv"), &caps, &[b"0,0,Default,,0,0,0,,Hi", b"1,0,Default,,0,0,0,,{\\i1}Hi"]);
    assert_same(&round_trip(&place, &plain, "back.mkv"), &stored(&plain), "ASS");

    // matroskamux has no name for PGS: made under another of the same length.
    let pictures: [&[u8]; 2] = [b"PG\0\0\x01\x80<&", b"PG\0\0\x02\0\0&amp;"];
    let plain = subtitled(&place.path("pgs.mkv"), "application/x-usf", &pictures);
    let mut file = fs::read(&plain).expect("made");
    let at = file.windows(10).position(|window| window == b"S_TEXT/USF").expect("a codec");
    file[at..at + 10].copy_from_slice(b"S_HDMV/PGS");
    fs::write(&plain, file).expect("written");
    assert_eq!(stored(&plain)[1].media(), "subpicture/x-pgs");
    assert_same(&round_trip(&place, &plain, "back.mkv"), &stored(&plain), "PGS");
    place.failed(place.decrypt(&place.path("sealed.cveil"), &place.path("back.mp4")), code::USAGE, "subpicture/x-pgs");
    let sealed = fs::read(place.path("sealed.cveil")).expect("written");
    let back = place.piped(place.decrypt(Path::new("-"), Path::new("-")).args(["--output-form", "mkv"]), &sealed);
    assert!(back.windows(10).any(|window| window == b"S_HDMV/PGS"));
}

#[test]
fn fail_on_tracks_that_would_be_lost() {
    let place = Workplace::new();
    let audio = "audiotestsrc num-buffers=50 ! voaacenc ! aacparse ! mux.";
    let timed = VIDEO.replace("x264enc", "timecodestamper ! x264enc");
    let movie = make(&place.path("timed.mov"), &format!("qtmux name=mux {timed} {audio}"));
    let mut matroska = fs::read(subtitled(&place.path("text.mkv"), "text/x-raw,format=utf8", &[b"Hi"])).expect("made");
    // TrackType 17, subtitles, becomes 33, metadata, which GStreamer does not know.
    let at = matroska.windows(3).position(|window| window == [0x83, 0x81, 17]).expect("a type");
    matroska[at + 2] = 33;
    fs::write(place.path("metadata.mkv"), &matroska).expect("written");
    for (plain, held) in [(movie, "vide, soun, tmcd"), (place.path("metadata.mkv"), "video, metadata")] {
        let (sealed, bytes) = (place.path("sealed.cveil"), fs::read(&plain).expect("made"));
        let said = place.failed(place.encrypt(&plain, &sealed), code::MISSING, held);
        assert!(said.contains("--video-only") && !sealed.exists(), "{said}");
        let mut piped = place.encrypt(Path::new("-"), &sealed);
        let ran = run_with_stdin(&mut piped, &bytes);
        assert_eq!(ran.status.code(), Some(code::MISSING), "{}", stderr(&ran));
        assert!(stderr(&ran).contains(held), "{}", stderr(&ran));
        place.done(place.encrypt(&plain, &sealed).arg("--video-only"));
        let back = place.path("back.mkv");
        place.done(place.decrypt(&sealed, &back).arg("--force"));
        let video = stored(&plain).remove(0);
        assert_same_within_ms(&stored(&back), &[video], held);
        fs::remove_file(sealed).expect("there");
    }
}

#[test]
fn video_alone_on_either_side() {
    let place = Workplace::new();
    let audio = "audiotestsrc num-buffers=50 ! voaacenc ! aacparse ! mux.";
    let plain = make(&place.path("clip.mp4"), &format!("mp4mux name=mux {VIDEO} {audio}"));
    let video = stored(&plain).remove(0);
    let (one, both) = (place.path("one.cveil"), place.path("both.cveil"));
    place.done(place.encrypt(&plain, &one).arg("--video-only"));
    place.done(place.encrypt(&plain, &both));
    for (sealed, output) in [(&one, "one.mp4"), (&both, "both.mp4")] {
        place.done(place.decrypt(sealed, &place.path(output)).arg("--video-only"));
        assert_same(&stored(&place.path(output)), std::slice::from_ref(&video), output);
    }
    // What is left out is verified all the same.
    let mut damaged = fs::read(&both).expect("written");
    let audio = stored(&plain).remove(1);
    let report = place.json(place.chaosveil("inspect").arg("--json").arg("-i").arg(place.path("cam.key")).arg(&both));
    let opened = |number: usize| report["streams"][number]["opened"].clone();
    let mut tracks = [opened(0), opened(1)];
    tracks.sort_by_key(|track| track["track"].as_u64());
    for (number, (track, expected)) in tracks.iter().zip([&video, &audio]).enumerate() {
        assert_eq!((&track["track"], &track["tracks"]), (&(number + 1).into(), &2.into()));
        assert_eq!(track["intact_frames"], expected.frames.len());
        assert_eq!(track["sealed_frames"], expected.frames.len());
        assert!(track["caps"].as_str().is_some_and(|caps| caps.starts_with(&expected.media())), "{track}");
        assert_eq!(track["recording"], tracks[0]["recording"]);
    }
    let last = damaged.len() - 400;
    damaged[last] ^= 1;
    fs::write(place.path("damaged.cveil"), damaged).expect("written");
    let command = place.decrypt(&place.path("damaged.cveil"), &place.path("damaged.mp4"));
    place.failed(command.arg("--video-only"), code::CONTENT, "damaged");
    let picture = place.decrypt(&one, &place.path("x.png"));
    place.failed(picture.arg("--video-only"), code::USAGE, "--video-only means nothing");
}
