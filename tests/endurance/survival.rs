//! What comes through a bad line: encrypted video through `chaosfault` to the decrypter, fault by fault. What leaves the
//! decrypter is compared, byte by byte, with what was sealed; a Markdown table is printed. Beside it, where it is
//! installed, GStreamer's `aesenc`, which has no authentication.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use gst::prelude::*;
use serde_json::{Value, json};

use super::{
    line::{self, Key, Line, bytes},
    record::{number, record},
};

const FRAMES_A_SECOND: u64 = 30;
const FAULTS: [(&str, &str); 10] = [
    ("none", ""),
    ("1 % lost", "loss=0.01"),
    ("5 % lost", "loss=0.05"),
    ("20 % lost", "loss=0.2"),
    ("5 % with a flipped bit", "flip=0.05"),
    ("5 % doubled", "duplicate=0.05"),
    ("5 % out of order", "reorder=0.05 reorder-distance=3"),
    ("5 % cut short", "truncate=0.05"),
    ("5 % up to 20 ms late", "delay=0.05 delay-max=20000000"),
    (
        "2 % of each",
        "loss=0.02 flip=0.02 duplicate=0.02 reorder=0.02 reorder-distance=3 truncate=0.02 delay=0.02 delay-max=20000000",
    ),
];
/// Of this seed the first stream header comes through whole.
const SEED: u64 = 3;
const AES: &str = "key=000102030405060708090a0b0c0d0e0f iv=000102030405060708090a0b0c0d0e0f";
/// Pictures that take turns.
const PICTURES: u64 = 8;

/// What is sealed, and how.
struct Material {
    name: &'static str,
    caps: gst::Caps,
    frames: Vec<Vec<u8>>,
    encrypter: String,
    decrypter: String,
    _key: Arc<Key>,
}

impl Material {
    /// The frame of a number, stamped: no two are the same.
    fn frame(&self, number: u64) -> Vec<u8> {
        let mut frame = self.frames[number as usize % self.frames.len()].clone();
        if number >= self.frames.len() as u64 {
            frame[..8].copy_from_slice(&number.to_le_bytes());
        }
        frame
    }
}

#[test]
fn nothing_wrong_comes_through_a_bad_line() {
    line::init();
    let missing = ["x264enc", "h264parse"].into_iter().find(|name| gst::ElementFactory::find(name).is_none());
    if let Some(missing) = missing {
        println!("skipped: no element {missing}");
        return;
    }
    let frames = number("ENDURANCE_SURVIVAL_FRAMES", 20);
    let mut rows = Vec::new();
    for material in materials(frames) {
        for (fault, settings) in FAULTS {
            let row = run(&material, fault, settings, frames);
            let is_ours = material.encrypter.starts_with("chaosenc");
            assert!(!is_ours || (row["wrong"] == 0 && row["error"].is_null()), "{row}");
            println!("survival: {row}");
            rows.push(row);
        }
    }
    print_table(&rows);
    record("survival", json!({ "frames": frames, "seed": SEED, "rows": rows }));
}

fn materials(frames: u64) -> Vec<Material> {
    let h264: gst::Caps = "video/x-h264,stream-format=byte-stream,alignment=au".parse().expect("valid caps");
    let raw = "video/x-raw,format=I420,width=1920,height=1080,framerate=30/1".parse().expect("valid caps");
    let (key, units) = (Arc::new(Key::new()), access_units(frames));
    let ours = |name, caps, frames, settings: &str| {
        let (encrypter, decrypter) =
            (format!("chaosenc {} {settings}", key.setting()), format!("chaosdec {}", key.setting()));
        Material { name, caps, frames, encrypter, decrypter, _key: key.clone() }
    };
    let mut materials = vec![
        ours("1080p H.264, packets", h264.clone(), units.clone(), ""),
        ours("1080p raw, cipher pictures", raw, pictures(), "output=picture"),
    ];
    match gst::ElementFactory::find("aesdec") {
        None => println!("left out: aesenc, for there is no element aesdec"),
        Some(_) => materials.push(Material {
            name: "1080p H.264, aesenc",
            caps: h264,
            frames: units,
            encrypter: format!("aesenc {AES}"),
            decrypter: format!("aesdec {AES}"),
            _key: key,
        }),
    }
    materials
}

/// So many access units of a moving picture.
fn access_units(count: u64) -> Vec<Vec<u8>> {
    let line = format!(
        "videotestsrc num-buffers={count} pattern=ball ! video/x-raw,format=I420,width=1920,height=1080,framerate=30/1 \
         ! x264enc speed-preset=ultrafast key-int-max=30 bitrate=6000 ! h264parse \
         ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements");
    let sink = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("in the line");
    pipeline.set_state(gst::State::Playing).expect("starts");
    let units = std::iter::from_fn(|| sink.pull_sample().ok()?.buffer().map(bytes)).collect::<Vec<_>>();
    pipeline.set_state(gst::State::Null).expect("stops");
    assert_eq!(units.len() as u64, count);
    units
}

fn pictures() -> Vec<Vec<u8>> {
    let picture = |number: u64| {
        let mut bytes = vec![0; 1920 * 1080 * 3 / 2];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    };
    (0..PICTURES).map(picture).collect()
}

/// One line under one fault.
fn run(material: &Material, fault: &str, settings: &str, frames: u64) -> Value {
    let [intact, wrong] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let (intact_here, wrong_here) = (intact.clone(), wrong.clone());
    let wanted: Vec<blake3::Hash> = (0..frames).map(|number| blake3::hash(&material.frame(number))).collect();
    let Material { encrypter, decrypter, .. } = material;
    let line = format!("{encrypter} ! chaosfault seed={SEED} {settings} ! {decrypter}");
    let line = Line::play(&line, move |buffer, _| {
        let time = buffer.pts().map_or(u64::MAX / FRAMES_A_SECOND, |time| time.nseconds());
        let number = (time * FRAMES_A_SECOND + 500_000_000) / 1_000_000_000;
        let is_right = wanted.get(number as usize).is_some_and(|wanted| *wanted == blake3::hash(&bytes(buffer)));
        if is_right { &intact_here } else { &wrong_here }.fetch_add(1, Relaxed);
    });
    line.caps(&material.caps);
    for number in 0..frames {
        let mut frame = gst::Buffer::from_mut_slice(material.frame(number));
        frame.make_mut().set_pts(gst::ClockTime::from_nseconds(number * 1_000_000_000 / FRAMES_A_SECOND));
        if line.send(frame).is_err() {
            break;
        }
    }
    let error = line.end().err();
    let [inside, delivered] = line.stats("chaosfault", ["buffers-in", "buffers-out"]);
    let mut row = json!({
        "line": material.name, "fault": fault, "settings": settings, "frames": frames, "buffers_sealed": inside,
        "buffers_delivered": delivered, "intact": intact.load(Relaxed), "wrong": wrong.load(Relaxed), "error": error,
    });
    if encrypter.starts_with("chaosenc") {
        let names = ["lost", "reordered", "replayed", "rejected"];
        for (name, count) in names.into_iter().zip(line.stats("chaosdec", names)) {
            row[name] = json!(count);
        }
    }
    row
}

fn print_table(rows: &[Value]) {
    println!("| line | fault | frames | delivered | intact | wrong | lost | late | again | rejected |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let columns = [
            "line",
            "fault",
            "frames",
            "buffers_delivered",
            "intact",
            "wrong",
            "lost",
            "reordered",
            "replayed",
            "rejected",
        ];
        let text = |column: &str| match &row[column] {
            Value::Null => "not counted".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let stopped = row["error"].as_str().map_or(String::new(), |error| format!(" (stopped: {error})"));
        println!("| {}{stopped} |", columns.map(text).join(" | "));
    }
}
