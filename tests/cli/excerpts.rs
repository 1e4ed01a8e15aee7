//! `decrypt --from --to` and the index that makes it quick: what comes out is a part of the whole, whatever became of the
//! index, and little is read for it.

use std::{
    fs,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use gst::prelude::*;
use serde_json::Value;

use crate::{
    clips::{self, Kind, packets},
    tracks::{self, Apart, Track, VIDEO, make, make_with},
    videos,
    workplace::{Workplace, code, stderr, stdout},
};

/// Twelve seconds: a picture that can be decoded by itself every second, B-frames between, and sound.
const LINE: &str = "mp4mux name=mux \
     videotestsrc num-buffers=300 pattern=ball ! video/x-raw,format=I420,width=96,height=64,framerate=25/1 \
     ! x264enc key-int-max=25 bframes=2 b-adapt=false speed-preset=ultrafast ! h264parse ! queue ! mux. \
     audiotestsrc num-buffers=563 samplesperbuffer=1024 wave=pink-noise ! audio/x-raw,rate=48000,channels=1 ! voaacenc ! aacparse ! queue ! mux.";
const NS: u64 = 1_000_000_000;

struct Recording {
    place: Workplace,
    whole: Vec<Track>,
}

impl Recording {
    fn new() -> Recording {
        let place = Workplace::new();
        make(&place.path("plain.mp4"), LINE);
        place.done(place.encrypt(&place.path("plain.mp4"), &place.path("sealed.cveil")));
        place.done(place.decrypt(&place.path("sealed.cveil"), &place.path("whole.mp4")));
        let whole = tracks::tracks(&place.path("whole.mp4"), Apart::Stored);
        Recording { place, whole }
    }

    fn sealed(&self) -> Vec<u8> {
        fs::read(self.place.path("sealed.cveil")).expect("written")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.place.path(name), bytes).expect("written");
    }

    /// Decrypts a part, and tells what is said meanwhile and what it holds.
    #[track_caller]
    fn part(&self, file: &str, span: &[&str]) -> (String, Vec<Track>) {
        let back = self.place.path("part.mp4");
        let decrypt = self.place.decrypt(&self.place.path(file), &back).arg("--force").args(span);
        let said = stderr(&self.place.done(decrypt));
        (said, tracks::tracks(&back, Apart::Stored))
    }
}

/// Bytes read, and those of the file.
fn bytes_read(said: &str) -> (u64, u64) {
    let line = said.lines().find(|line| line.ends_with("have been read")).expect("a line that says so");
    let numbers: Vec<u64> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

fn frames(tracks: &[Track]) -> Vec<&[tracks::Frame]> {
    tracks.iter().map(|track| &track.frames[..]).collect()
}

/// Where the part's frames stand among those of the whole, and how much earlier they are due.
#[track_caller]
fn place_of(part: &Track, whole: &Track) -> (Range<usize>, i64) {
    let (part_bytes, whole_bytes) = (part.contents(), whole.contents());
    let places: Vec<usize> = (0..=whole_bytes.len() - part_bytes.len())
        .filter(|&at| whole_bytes[at..at + part_bytes.len()] == part_bytes)
        .collect();
    let [at] = places[..] else { panic!("{} frames are found {} times", part_bytes.len(), places.len()) };
    let earlier: Vec<i64> = part
        .frames
        .iter()
        .zip(&whole.frames[at..])
        .map(|(part, whole)| whole.due.expect("a time") - part.due.expect("a time"))
        .collect();
    let (least, most) = (earlier.iter().min().expect("frames"), earlier.iter().max().expect("frames"));
    assert!(most - least < 1_000_000, "times are {least} to {most} ns earlier");
    (at..at + part_bytes.len(), *most)
}

#[test]
fn a_part_is_what_stands_there_in_the_whole() {
    let recording = Recording::new();
    let pts = |track: &Track, at: usize| u64::try_from(track.frames[at].due.expect("a time")).unwrap_or(0);
    for (from, to) in [(0, 3 * NS), (4 * NS, 6 * NS), (5 * NS + NS / 2, 7 * NS + NS / 4), (9 * NS + 7, 20 * NS)] {
        let seconds = |ns: u64| format!("{}.{:09}", ns / NS, ns % NS);
        let (said, part) = recording.part("sealed.cveil", &["--from", &seconds(from), "--to", &seconds(to)]);
        assert_eq!(part.len(), 2, "{said}");
        let (video, earlier) = place_of(&part[0], &recording.whole[0]);
        let begin = pts(&recording.whole[0], video.start);
        // The last keyframe at or before: one a second.
        assert!(begin <= from && from < begin + NS, "{from}: {begin}");
        assert_eq!(said.contains("begins at"), begin < from, "{said}");
        // All that is shown before the end, and no more than it is decoded from.
        let due = |at: &usize| pts(&recording.whole[0], *at) < to;
        let last = (0..recording.whole[0].frames.len()).rev().find(due).expect("frames before the end");
        assert_eq!(video.end, last + 1, "{from}..{to}");
        let (audio, audio_earlier) = place_of(&part[1], &recording.whole[1]);
        assert!((earlier - audio_earlier).abs() < 1_000_000, "video {earlier}, audio {audio_earlier}: out of step");
        // Sound from the first picture on: frames of 21 ms.
        let begin_audio = pts(&recording.whole[1], audio.start);
        assert!(begin_audio <= begin && begin < begin_audio + NS / 40, "{from}: {begin} {begin_audio}");
        assert!(to > 12 * NS || (to - pts(&recording.whole[1], audio.end - 1) < NS / 40), "{from}..{to}");
        assert!((pts(&part[0], 0) as i64) < NS as i64 / 10, "the part begins at its beginning");
    }
    // Without --from and --to alone, too.
    let (_, part) = recording.part("sealed.cveil", &["--to", "2"]);
    assert_eq!(place_of(&part[0], &recording.whole[0]).0.start, 0);
    let (_, part) = recording.part("sealed.cveil", &["--from", "00:00:10"]);
    assert_eq!(place_of(&part[1], &recording.whole[1]).0.end, recording.whole[1].frames.len());
}

#[test]
fn without_its_index_a_part_is_the_same() {
    let recording = Recording::new();
    let sealed = recording.sealed();
    let end = packets(&sealed).last().expect("packets").range.end;
    assert!(sealed.len() > end, "there is an index");
    let span = ["--from", "0:05.5", "--to", "7"];
    let (said, expected) = recording.part("sealed.cveil", &span);
    assert!(!said.contains("looked through"), "{said}");
    let part_bytes = fs::read(recording.place.path("part.mp4")).expect("written");
    let other = Workplace::new();
    make(&other.path("plain.mp4"), &LINE.replace("num-buffers=300", "num-buffers=280"));
    fs::copy(recording.place.path("cam.key"), other.path("cam.key")).expect("copied");
    recording.place.done(recording.place.encrypt(&other.path("plain.mp4"), &other.path("sealed.cveil")));
    let foreign = fs::read(other.path("sealed.cveil")).expect("written");
    let foreign = &foreign[packets(&foreign).last().expect("packets").range.end..];
    let flipped = |at: usize| {
        let mut bytes = sealed.clone();
        bytes[at] ^= 4;
        bytes
    };
    // A frame before it is lost, so that everything has moved.
    let all = packets(&sealed);
    let frame = all.iter().filter(|packet| packet.kind == Kind::Frame).nth(3).expect("frames").range.clone();
    let moved = [&sealed[..frame.start], &sealed[frame.end..]].concat();
    for (what, bytes) in [
        ("none", sealed[..end].to_vec()),
        ("cut", sealed[..sealed.len() - 1].to_vec()),
        ("header", flipped(end + 20)),
        ("content", flipped(end + 100)),
        ("trailer", flipped(sealed.len() - 12)),
        ("foreign", [&sealed[..end], foreign].concat()),
        ("moved", moved),
    ] {
        recording.write("damaged.cveil", &bytes);
        let (said, part) = recording.part("damaged.cveil", &span);
        assert!(said.contains("looked through"), "{what}: {said}");
        assert!(frames(&part) == frames(&expected), "{what}");
        let again = fs::read(recording.place.path("part.mp4")).expect("written");
        assert!(normalised(&again) == normalised(&part_bytes), "{what}");
    }
    // The index of an earlier copy, which was shorter.
    let cut = packets(&sealed)[packets(&sealed).len() / 4].range.start;
    recording.write("short.cveil", &sealed[..cut]);
    let place = &recording.place;
    place.done(place.chaosveil("index").arg("-i").arg(place.path("cam.key")).arg(place.path("short.cveil")));
    let earlier = fs::read(place.path("short.cveil")).expect("written");
    recording.write("damaged.cveil", &[&sealed[..end], &earlier[cut..]].concat());
    for span in [span, ["--from", "1", "--to", "5"]] {
        let (_, expected) = recording.part("sealed.cveil", &span);
        let (said, part) = recording.part("damaged.cveil", &span);
        assert!(said.contains("looked through") && frames(&part) == frames(&expected), "{span:?}: {said}");
    }
    // A cut file has no index either, and no end.
    let cut = packets(&sealed)[packets(&sealed).len() * 3 / 4].range.start;
    recording.write("damaged.cveil", &sealed[..cut]);
    let (said, part) = recording.part("damaged.cveil", &span);
    assert!(said.contains("no index") && frames(&part) == frames(&expected), "{said}");
}

/// Files of a muxer tell when they were made.
fn normalised(mp4: &[u8]) -> Vec<u8> {
    let mut bytes = mp4.to_vec();
    for kind in [b"mvhd", b"tkhd", b"mdhd"] {
        for at in 0..bytes.len().saturating_sub(20) {
            if &bytes[at..at + 4] == kind {
                bytes[at + 8..at + 16].fill(0);
            }
        }
    }
    bytes
}

#[test]
fn little_is_read_for_a_little_part() {
    let Some(clip) = videos::clips().into_iter().find(|clip| clip.ends_with("one_by_one_person.mp4")) else { return };
    let place = Workplace::new();
    place.done(place.encrypt(&clip, &place.path("sealed.cveil")));
    place.done(place.decrypt(&place.path("sealed.cveil"), &place.path("whole.mp4")));
    let part = |file: &str, span: &[&str]| {
        let decrypt = place.decrypt(&place.path(file), &place.path("part.mp4")).arg("--force").args(span);
        let said = stderr(&place.done(decrypt));
        (bytes_read(&said), tracks::tracks(&place.path("part.mp4"), Apart::Stored))
    };
    let whole = tracks::tracks(&place.path("whole.mp4"), Apart::Stored);
    let span = ["--from", "3", "--to", "4"];
    let ((read, all), found) = part("sealed.cveil", &span);
    let (video, _) = place_of(&found[0], &whole[0]);
    let taken: usize = found.iter().flat_map(|track| track.contents()).map(<[u8]>::len).sum();
    println!("{read} of {all} bytes read for frames {video:?}, {taken} bytes");
    let count: usize = whole.iter().map(|track| track.frames.len()).sum();
    // Twice: once to look at records, at 512 bytes each, and once to decrypt.
    assert!(read < 2 * taken as u64 + 512 * count as u64 && read < all / 2, "{read} of {all}");
    let sealed = fs::read(place.path("sealed.cveil")).expect("written");
    let end = packets(&sealed).last().expect("packets").range.end;
    fs::write(place.path("bare.cveil"), &sealed[..end]).expect("written");
    let ((read_bare, _), same) = part("bare.cveil", &span);
    assert!(read_bare > read, "{read_bare} {read}");
    assert!(frames(&same) == frames(&found));
}

#[test]
fn raw_pictures_are_cut_at_the_very_frame() {
    let place = Workplace::new();
    let line = "videotestsrc num-buffers=50 pattern=ball ! video/x-raw,format=I420,width=32,height=24,framerate=10/1 \
                ! avenc_ffv1 ! matroskamux name=mux";
    clips::make(&place.path("plain.mkv"), line);
    place.done(place.encrypt(&place.path("plain.mkv"), &place.path("sealed.cveil")).arg("--decode"));
    place.done(place.decrypt(&place.path("sealed.cveil"), &place.path("whole.mkv")));
    let (span, part) = (["--from", "1.25", "--to", "2.1"], place.path("part.mkv"));
    place.done(place.decrypt(&place.path("sealed.cveil"), &part).args(span));
    let (whole, part) = (clips::tracks(&place.path("whole.mkv")), clips::tracks(&part));
    let bytes = |frames: &[clips::Frame]| frames.iter().map(|frame| frame.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(part[0].frames.len(), 9);
    assert!(bytes(&part[0].frames) == bytes(&whole[0].frames[12..21]));
}

/// With a new key for each frame there are more descriptions than an index holds: there is none, and parts are as ever.
#[test]
fn more_keys_than_an_index_holds() {
    const FRAMES: usize = 4200;
    let place = Workplace::new();
    let line = format!(
        "matroskamux name=mux videotestsrc num-buffers={FRAMES} pattern=ball \
         ! video/x-raw,format=GRAY8,width=32,height=24,framerate=100/1 ! avenc_ffv1 ! queue ! mux. \
         audiotestsrc num-buffers={FRAMES} samplesperbuffer=480 wave=pink-noise ! audio/x-raw,rate=48000,channels=1 \
         ! opusenc frame-size=10 ! queue ! mux."
    );
    clips::make(&place.path("plain.mkv"), &line);
    let encrypt = place.encrypt(&place.path("plain.mkv"), &place.path("sealed.cveil"));
    place.done(encrypt.args(["--rekey-frames", "1"]));
    let sealed = fs::read(place.path("sealed.cveil")).expect("written");
    assert_eq!(packets(&sealed).last().expect("packets").range.end, sealed.len(), "no index");
    place.done(place.decrypt(&place.path("sealed.cveil"), &place.path("whole.mkv")));
    let part = place.path("part.mkv");
    let decrypt = place.decrypt(&place.path("sealed.cveil"), &part).args(["--from", "41.52", "--to", "41.6"]);
    let (read, all) = bytes_read(&stderr(&place.done(decrypt)));
    println!("{read} of {all} bytes read");
    assert!(read < 3 * all, "{read} of {all}");
    let (whole, part) = (clips::tracks(&place.path("whole.mkv")), clips::tracks(&part));
    let bytes = |frames: &[clips::Frame]| frames.iter().map(|frame| frame.bytes.clone()).collect::<Vec<_>>();
    // Every twelfth picture is decoded by itself.
    assert!(bytes(&part[0].frames) == bytes(&whole[0].frames[4152..4160]), "{} frames", part[0].frames.len());
    // Whether the encoder's delay adds one at either end is not asked here.
    let (sound, all) = (bytes(&part[1].frames), bytes(&whole[1].frames));
    let begins = all.iter().position(|frame| *frame == sound[0]).expect("a frame of it");
    assert!((4150..=4153).contains(&begins) && (7..=11).contains(&sound.len()), "{begins}, {}", sound.len());
    assert!(all[begins..begins + sound.len()] == sound);
    let index = place.chaosveil("index").arg("-i").arg(place.path("cam.key")).arg(place.path("sealed.cveil"));
    place.failed(index, code::CONTENT, "more descriptions than an index holds");
    assert!(fs::read(place.path("sealed.cveil")).expect("there") == sealed, "nothing is changed");
}

/// A player: the file, the decrypter, a sink that seeks.
#[test]
fn a_player_seeks_by_the_index_and_without() {
    const FRAMES: u64 = 600;
    let place = Workplace::new();
    let line = format!(
        "videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,format=I420,width=64,height=48,framerate=10/1 \
         ! avenc_ffv1 ! matroskamux name=mux"
    );
    clips::make(&place.path("plain.mkv"), &line);
    place.done(place.encrypt(&place.path("plain.mkv"), &place.path("indexed.cveil")).arg("--decode"));
    let sealed = fs::read(place.path("indexed.cveil")).expect("written");
    let end = packets(&sealed).last().expect("packets").range.end;
    fs::write(place.path("bare.cveil"), &sealed[..end]).expect("written");
    gstchaosveil::gst::register_elements().expect("GStreamer takes them");
    // Some pictures are gone, and the index leads to other ones behind them.
    let gone = 350..450;
    let pictures: Vec<_> = packets(&sealed).into_iter().filter(|packet| packet.kind == Kind::Frame).collect();
    let (before, after) = (pictures[350].range.start, pictures[449].range.end);
    fs::write(place.path("shortened.cveil"), [&sealed[..before], &sealed[after..]].concat()).expect("written");
    let rekeyed = place.encrypt(&place.path("plain.mkv"), &place.path("rekeyed.cveil"));
    place.done(rekeyed.args(["--decode", "--rekey-frames", "50"]));
    let files = [
        ("indexed.cveil", true, 0..0),
        ("rekeyed.cveil", true, 0..0),
        ("bare.cveil", false, 0..0),
        ("shortened.cveil", false, gone),
    ];
    for (file, indexed, gone) in files {
        let line = format!(
            "filesrc name=source location={} ! chaosdec identity-file={} ! fakesink name=sink sync=false signal-handoffs=true",
            place.path(file).display(),
            place.path("cam.key").display()
        );
        let pipeline = gst::parse::launch(&line).expect("a pipeline").downcast::<gst::Pipeline>().expect("one");
        let (read, shown) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counter, list) = (read.clone(), shown.clone());
        let source = pipeline.by_name("source").expect("there").static_pad("src").expect("a pad");
        source.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            counter.fetch_add(info.buffer().map_or(0, |buffer| buffer.size() as u64), Relaxed);
            gst::PadProbeReturn::Ok
        });
        pipeline.by_name("sink").expect("there").connect("handoff", false, move |values| {
            let buffer = values[1].get::<gst::Buffer>().expect("the signal's type");
            list.lock().expect("no panic").push(buffer.pts().expect("a time").mseconds());
            None
        });
        let wait = || pipeline.state(gst::ClockTime::from_seconds(60)).0.expect("prerolls");
        pipeline.set_state(gst::State::Paused).expect("starts");
        wait();
        for seconds in [50, 20] {
            pipeline.set_state(gst::State::Paused).expect("pauses");
            read.store(0, Relaxed);
            let from = gst::ClockTime::from_seconds(seconds);
            pipeline.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, from).expect("can seek");
            wait();
            let prerolled = read.load(Relaxed);
            println!("{file}: {prerolled} of {} bytes read before the picture at {seconds} s", sealed.len());
            // The decrypter reads ahead by its queue.
            assert_eq!(prerolled < sealed.len() as u64 / 5, indexed, "{prerolled} of {}", sealed.len());
            shown.lock().expect("no panic").clear();
            pipeline.set_state(gst::State::Playing).expect("plays");
            let bus = pipeline.bus().expect("a pipeline has a bus");
            let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
            let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("an end");
            assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
            let wanted = (10 * seconds..FRAMES).filter(|number| !gone.contains(number));
            let wanted: Vec<u64> = wanted.map(|number| 100 * number).collect();
            let shown = shown.lock().expect("no panic").clone();
            // The first one has been shown in the preroll.
            assert!(shown == wanted || shown == wanted[1..], "{file}, {seconds}: {shown:?}");
        }
        let loops = gst::SeekFlags::FLUSH | gst::SeekFlags::SEGMENT;
        assert!(pipeline.seek_simple(loops, gst::ClockTime::ZERO).is_err(), "{file}: no end of a segment is told");
        let duration = pipeline.query_duration::<gst::ClockTime>();
        assert_eq!(duration.map(gst::ClockTime::seconds), indexed.then_some(FRAMES / 10), "{file}");
        pipeline.set_state(gst::State::Null).expect("stops");
    }
}

#[test]
fn indexes_are_told_of_made_and_replaced() {
    let recording = Recording::new();
    let place = &recording.place;
    let sealed = recording.sealed();
    let end = packets(&sealed).last().expect("packets").range.end;
    let index = |name: &str| {
        let index = place.chaosveil("index").arg("-i").arg(place.path("cam.key")).arg(place.path(name));
        stdout(&place.done(index))
    };
    let told = |name: &str| -> Value {
        let verify = place.chaosveil("verify").arg("-i").arg(place.path("cam.key")).arg(place.path(name)).arg("--json");
        let told: Value = serde_json::from_slice(&place.done(verify).stdout).expect("JSON");
        told[0]["content"]["index"].clone()
    };
    let points = told("sealed.cveil")["points"].as_u64().expect("a number");
    // One a second and track, about.
    assert!((20..=26).contains(&points), "{points}");
    assert!(index("sealed.cveil").contains("in order"));
    assert!(recording.sealed() == sealed, "nothing is changed");
    let mut damaged = sealed.clone();
    damaged[end + 100] ^= 1;
    let mut headless = sealed.clone();
    headless[end + 20] ^= 1;
    let last = sealed.len() - 1;
    let mut tailless = sealed.clone();
    tailless[last] ^= 1;
    for (what, bytes) in [
        ("none", sealed[..end].to_vec()),
        ("damaged", damaged),
        ("headless", headless),
        ("tailless", tailless),
        ("torn", sealed[..end + 50].to_vec()),
    ] {
        recording.write("file.cveil", &bytes);
        let before = told("file.cveil");
        assert_eq!(before.is_null(), what == "none", "{what}: {before}");
        assert!(before.is_null() || before["wrong"].is_string(), "{what}: {before}");
        place.done(place.decrypt(&place.path("file.cveil"), &place.path("whole.mp4")).arg("--force"));
        assert!(index("file.cveil").contains(&format!("{points} points")), "{what}");
        let after = told("file.cveil");
        assert_eq!((&after["points"], &after["wrong"]), (&Value::from(points), &Value::Null), "{what}");
        let made = fs::read(place.path("file.cveil")).expect("there");
        assert!(made[..end] == sealed[..end] && made.len() == sealed.len(), "{what}");
    }
    // Whose key is not here gets nothing, and the file stays as it is.
    place.done(place.chaosveil("keygen").arg("-o").arg(place.path("other.key")));
    recording.write("file.cveil", &sealed[..end]);
    let other = place.chaosveil("index").arg("-i").arg(place.path("other.key")).arg(place.path("file.cveil"));
    place.failed(other, code::KEY, "none of the given keys opens");
    assert_eq!(fs::metadata(place.path("file.cveil")).expect("there").len(), end as u64);
    let inspect = place.chaosveil("inspect").arg("-i").arg(place.path("cam.key")).arg(place.path("sealed.cveil"));
    assert!(stdout(&place.done(inspect)).contains(&format!("{points} points, in order")));
    place.done(place.chaosveil("inspect").arg(place.path("sealed.cveil")));
}

/// Two recordings in one file, the first with its index and the second for somebody else: nothing is cut off.
#[test]
fn fail_to_index_a_file_that_goes_on_behind_the_index() {
    let recording = Recording::new();
    let (place, first) = (&recording.place, recording.sealed());
    let other = Workplace::new();
    place.done(other.encrypt(&place.path("plain.mp4"), &place.path("second.cveil")));
    let second = fs::read(place.path("second.cveil")).expect("written");
    let both = [&first[..], &second[..packets(&second).last().expect("packets").range.end]].concat();
    recording.write("both.cveil", &both);
    let index = place.chaosveil("index").arg("-i").arg(place.path("cam.key")).arg(place.path("both.cveil"));
    place.failed(index, code::CONTENT, "another recording");
    assert!(fs::read(place.path("both.cveil")).expect("there") == both, "nothing is lost");
    // Nor does a bad index hide what stands behind it.
    let mut damaged = both.clone();
    damaged[first.len() - 60] ^= 1;
    recording.write("damaged.cveil", &damaged);
    for file in ["both.cveil", "damaged.cveil"] {
        let verify = place.chaosveil("verify").arg("-i").arg(place.path("cam.key")).arg(place.path(file));
        place.failed(verify, code::CONTENT, "damaged");
        let decrypt = place.decrypt(&place.path(file), &place.path("part.mp4")).arg("--force");
        place.failed(decrypt, code::CONTENT, "damaged");
    }
}

#[test]
fn fail_spans_that_are_none() {
    let recording = Recording::new();
    let place = &recording.place;
    let (sealed, output) = (place.path("sealed.cveil"), place.path("part.mp4"));
    for (span, said) in [
        (vec!["--from", "13"], "ends at 00:00:12"),
        (vec!["--from", "5", "--to", "5"], "not after"),
        (vec!["--from", "5", "--to", "0:04"], "not after"),
        (vec!["--to", "0"], "not after"),
        (vec!["--from", "1:2:3:4"], "a time is written"),
    ] {
        place.failed(place.decrypt(&sealed, &output).args(&span), code::USAGE, said);
        assert!(!output.exists(), "{span:?}");
    }
    place.failed(place.decrypt(Path::new("-"), &output).args(["--from", "1"]), code::USAGE, ".cveil file");
    place.done(place.encrypt(&place.path("plain.mp4"), &place.path("video.mkv")).arg("--video-only"));
    place.failed(place.decrypt(&place.path("video.mkv"), &output).args(["--from", "1"]), code::USAGE, ".cveil file");
    place.failed(place.decrypt(&sealed, &place.path("a.png")).args(["--to", "1"]), code::USAGE, "--to means nothing");
    place.done(place.chaosveil("keygen").arg("-o").arg(place.path("other.key")));
    let other = place.chaosveil("decrypt").arg("-i").arg(place.path("other.key")).arg(&sealed);
    place.failed(other.arg("-o").arg(&output).args(["--from", "1"]), code::KEY, "none of the given keys opens");
    // Damage inside a part is damage; damage elsewhere is none.
    let mut bytes = recording.sealed();
    let frames: Vec<_> = packets(&bytes).into_iter().filter(|packet| packet.kind == Kind::Frame).collect();
    let hit = frames[frames.len() / 4].range.end - 3;
    bytes[hit] ^= 1;
    recording.write("damaged.cveil", &bytes);
    recording.part("damaged.cveil", &["--from", "8", "--to", "9"]);
    let part = place.decrypt(&place.path("damaged.cveil"), &output).arg("--force").args(["--from", "1", "--to", "5"]);
    let said = place.failed(part, code::CONTENT, "1 frames rejected");
    assert!(said.contains(&format!("damaged bytes {}", frames[frames.len() / 4].range.start)), "{said}");
}

/// The header of an index is genuine wherever it is copied to: nothing is passed over for it.
#[test]
fn an_index_header_in_the_middle_swallows_nothing() {
    let recording = Recording::new();
    let sealed = recording.sealed();
    let index = sealed.windows(8).rposition(|window| window == b"CVEILIDX").expect("an index");
    let middle = packets(&sealed)[100].range.start;
    let damaged = [&sealed[..middle], &sealed[index..index + 88], &sealed[middle..]].concat();
    recording.write("damaged.cveil", &damaged);
    let place = &recording.place;
    let verify = place.chaosveil("verify").arg("-i").arg(place.path("cam.key")).arg("--json");
    let ran = verify.arg(place.path("damaged.cveil")).output();
    let told: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    for stream in told[0]["content"]["streams"].as_array().expect("streams") {
        assert_eq!(stream["opened"]["intact_frames"], stream["opened"]["sealed_frames"], "{stream}");
    }
    // Every frame is there: what begins like an index and is none is no damage.
    assert!(ran.status.success(), "{}", stderr(&ran));
}

/// Of a recording that has lost a track no part is whole either.
#[test]
fn fail_a_part_of_a_recording_without_one_of_its_tracks() {
    let recording = Recording::new();
    let sealed = recording.sealed();
    let all = packets(&sealed);
    let kept = all[0].stream;
    let of_one: Vec<u8> = all
        .iter()
        .filter(|packet| packet.stream == kept)
        .flat_map(|packet| sealed[packet.range.clone()].to_vec())
        .collect();
    recording.write("one.cveil", &of_one);
    let place = &recording.place;
    let decrypt = place.decrypt(&place.path("one.cveil"), &place.path("one.mp4")).args(["--from", "2", "--to", "5"]);
    place.failed(decrypt, code::CONTENT, "track");
    assert!(!place.path("one.mp4").exists());
}

/// The last packet of the sound stands long before the part: nothing of it is missing there. (A track of less than a
/// fifth of the recording is left out by the demuxer.)
#[test]
fn sound_that_ended_before_is_not_missed() {
    let place = Workplace::new();
    make(&place.path("plain.mp4"), &LINE.replace("num-buffers=563", "num-buffers=141"));
    place.done(place.encrypt(&place.path("plain.mp4"), &place.path("sealed.cveil")));
    let spans: [(&[&str], usize); 4] = [
        (&["--from", "5", "--to", "7"], 1),
        (&["--from", "1", "--to", "7"], 2),
        (&["--from", "8"], 1),
        (&["--from", "8", "--to", "100"], 1),
    ];
    for (span, tracks) in spans {
        let decrypt = place.decrypt(&place.path("sealed.cveil"), &place.path("part.mp4")).arg("--force").args(span);
        place.done(decrypt);
        let part = tracks::tracks(&place.path("part.mp4"), Apart::Stored);
        assert_eq!(part.len(), tracks, "{span:?}");
        assert!(part.iter().all(|track| !track.frames.is_empty()));
    }
}

/// No subtitle tells where the part ends in their track: it is not taken to go on to the recording's end record.
#[test]
fn subtitles_may_be_far_from_the_part() {
    let place = Workplace::new();
    let line = VIDEO.replace("num-buffers=30", "num-buffers=900");
    let line = format!("matroskamux name=mux {line} appsrc name=frames ! mux.subtitle_0");
    let texts: &[(u64, &[u8])] = &[(1_000, b"Early"), (1_500, b"Early too"), (2_000, b"Still early")];
    make_with(&place.path("plain.mkv"), &line, "text/x-raw,format=utf8", texts);
    // The last subtitle has another key than the first two, and the end record has it too.
    let rekeyed: &[&str] = &["--rekey-frames", "2"];
    let spans: [(&[&str], usize, usize); 3] =
        [(&["--from", "10", "--to", "12"], 0, 12), (&["--from", "0", "--to", "12"], 3, 12), (&["--from", "10"], 0, 30)];
    for (options, (span, texts, end)) in
        [&[], rekeyed].into_iter().flat_map(|options| spans.map(|span| (options, span)))
    {
        let encrypt = place.encrypt(&place.path("plain.mkv"), &place.path("sealed.cveil")).arg("--force");
        place.done(encrypt.args(options));
        let decrypt = place.decrypt(&place.path("sealed.cveil"), &place.path("part.mkv")).arg("--force").args(span);
        place.done(decrypt);
        let part = tracks::tracks(&place.path("part.mkv"), Apart::Stored);
        let of =
            |media: &str| part.iter().filter(|track| track.media() == media).map(|t| t.frames.len()).sum::<usize>();
        assert_eq!(of("text/x-raw"), texts, "{options:?} {span:?}");
        assert!((60..=end * 30).contains(&of("video/x-h264")), "{span:?}: {}", of("video/x-h264"));
    }
}
