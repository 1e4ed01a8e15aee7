//! How often the guard of `chaosenc` is wrong about ciphertext, and what it costs.
//!
//!   --frames N (1000000, of each profile)  --squares N (20000)  --rounds N (15)  --json FILE
//!
//! False alarms: frames of 128 x 128 bytes, all of which are looked at, are sealed as the element seals them. Beside alarms,
//! which nobody will see, it counts how often the bound on a statistic's chance falls below 10^-1, 10^-2 ...: if the bounds
//! are bounds, in at most that share of the frames. The network sees squares of such frames. Cost: `chaosenc` at 1080p with
//! and without, in alternating rounds.

use std::{
    collections::BTreeMap,
    f64::consts::LN_10,
    process::{Command, ExitCode},
    time::Instant,
};

use cpu_time::ProcessTime;
use gst::{glib, prelude::*};
use gstchaosveil::{
    analysis::plainness::{Evidence, Inspector, STATISTICS},
    backend::{self, Choice},
    frame::View,
    seal::{Aead, Description, Engine, FrameSealer, Profile, Recipients, Record, Secret, StreamSecrets, StreamWriter},
};
use indicatif::ProgressBar;
use serde_json::{Value, json};

/// Samples of a frame's side: those of a square that the network sees.
const SIDE: usize = 128;
/// Powers of ten whose shares are counted.
const POWERS: usize = 8;
const PROFILES: [Profile; 3] = [Profile::Hardened, Profile::Chaos, Profile::Aead];
/// Frames of 1080p in a round.
const FRAMES_OF_A_ROUND: usize = 480;
/// What is run with and without a guard; the second has the statistics alone.
const LINES: [&str; 5] = [
    "workers=1",
    "workers=1 guard-interval=3600000000000",
    "workers=2",
    "workers=2 output=picture",
    "workers=1 profile=aead",
];

fn main() -> ExitCode {
    let options = options();
    let number = |name: &str, default: u64| match options.get(name) {
        None => default,
        Some(text) => text.parse().unwrap_or_else(|_| panic!("--{name} takes a number, not {text}")),
    };
    let statistics: Vec<Value> =
        PROFILES.into_iter().map(|profile| false_alarms(profile, number("frames", 1_000_000))).collect();
    let network = network(number("squares", 20_000));
    let cost = cost(number("rounds", 15) as usize);
    let (machine, commit) = machine();
    let report = json!({
        "machine": machine, "commit": commit, "command": "cargo bench --bench guard",
        "statistics": statistics, "network": network, "cost": cost,
    });
    let text = serde_json::to_string_pretty(&report).expect("plain data");
    println!("{text}");
    if let Some(path) = options.get("json") {
        std::fs::write(path, text + "\n").expect("--json names a file");
    }
    ExitCode::SUCCESS
}

/// `--name value` pairs; cargo's own `--bench` has none.
fn options() -> BTreeMap<String, String> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    arguments.chunks_exact(2).map(|pair| (pair[0].trim_start_matches('-').to_owned(), pair[1].clone())).collect()
}

/// Seals clear frames one after another, as packets.
struct Sealed {
    writer: StreamWriter,
    sealer: FrameSealer,
    clear: Vec<Vec<u8>>,
    packet: Vec<u8>,
}

impl Sealed {
    fn new(profile: Profile) -> Sealed {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new([5; 32]));
        let secrets = StreamSecrets::random().expect("random bytes");
        let mut writer = StreamWriter::new(profile, Aead::Aes256Gcm, &recipients, secrets).expect("a writer");
        writer.describe(&Description { tracks: 1, ..Description::default() }).expect("a description");
        let engine = Engine { backend: backend::choose(Choice::Auto).expect("a backend"), pool: None };
        let sealer = FrameSealer::new(writer.keys(), engine);
        Sealed { writer, sealer, clear: clear_frames(), packet: Vec::new() }
    }

    /// A clear frame and its payload after seal and stage.
    fn next(&mut self, number: u64) -> (&[u8], &[u8]) {
        let clear = &self.clear[number as usize % self.clear.len()];
        let ticket = self.writer.frame(clear.len()).expect("within limits");
        let record = Record { description: ticket.description(), ..Record::default() };
        self.sealer.seal_packet(ticket, &record, &clear[..], &mut self.packet).expect("seals");
        (clear, &self.packet[self.packet.len() - clear.len()..])
    }
}

/// Flat, smooth, striped, and noise.
fn clear_frames() -> Vec<Vec<u8>> {
    let of = |sample: fn(usize, usize) -> u8| (0..SIDE * SIDE).map(|at| sample(at % SIDE, at / SIDE)).collect();
    let mut noise = vec![0; SIDE * SIDE];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    vec![
        of(|_, _| 16),
        of(|x, y| (x + y) as u8),
        of(|x, y| (((x as f64 / 17.0).sin() + (y as f64 / 23.0).cos()) * 60.0 + 128.0) as u8),
        of(|x, _| if x % 2 == 0 { 235 } else { 16 }),
        noise,
    ]
}

fn false_alarms(profile: Profile, frames: u64) -> Value {
    let (mut sealed, mut inspector, begun) = (Sealed::new(profile), Inspector::default(), Instant::now());
    let mut rows: [Row; STATISTICS] = Default::default();
    let (bar, mut alarms) = (ProgressBar::new(frames), 0_u64);
    for number in 0..frames {
        let (clear, payload) = sealed.next(number);
        let evidence = inspector.inspect(number, View::Together(clear), View::Together(payload)).expect("as long");
        alarms += u64::from(evidence.iter().any(Evidence::alarms));
        rows.iter_mut().zip(&evidence).for_each(|(row, evidence)| row.add(evidence));
        if number % 1000 == 999 {
            bar.inc(1000);
        }
    }
    bar.finish_and_clear();
    let rows: Vec<Value> = rows.iter().map(|row| row.report(frames)).collect();
    let seconds = begun.elapsed().as_secs_f64();
    json!({ "profile": profile.name(), "frames": frames, "alarms": alarms, "seconds": seconds, "statistics": rows })
}

/// How often the bound on one statistic's chance was below each power of ten.
#[derive(Default)]
struct Row {
    name: &'static str,
    below: [u64; POWERS],
    least_power: f64,
}

impl Row {
    fn add(&mut self, evidence: &Evidence) {
        self.name = evidence.statistic;
        let power = evidence.surprise / LN_10;
        self.least_power = self.least_power.max(power);
        self.below.iter_mut().take(power as usize).for_each(|count| *count += 1);
    }

    fn report(&self, frames: u64) -> Value {
        let allowed: Vec<f64> = (1..=POWERS).map(|power| frames as f64 / 10f64.powi(power as i32)).collect();
        json!({
            "statistic": self.name, "frames_below_each_power_of_ten": self.below, "at_most": allowed,
            "smallest_chance": format!("1e-{:.2}", self.least_power),
        })
    }
}

#[cfg(not(feature = "nn"))]
fn network(_: u64) -> Value {
    Value::Null
}

/// What the network takes squares of ciphertext for.
#[cfg(feature = "nn")]
fn network(squares: u64) -> Value {
    use gstchaosveil::nn::{Classifier, Label};
    let classifier = Classifier::embedded(1).expect("the weights that come with the program");
    let (mut sealed, bar) = (Sealed::new(Profile::Hardened), ProgressBar::new(squares));
    let mut labels = BTreeMap::new();
    let mut highest_plain = 0_f32;
    for number in 0..squares {
        let told = classifier.classify_crops(&[sealed.next(number).1.to_vec()]);
        *labels.entry(told[0].label().name()).or_insert(0_u64) += 1;
        highest_plain = highest_plain.max(told[0].probability(Label::Plain));
        bar.inc(1);
    }
    bar.finish_and_clear();
    json!({ "squares": squares, "labels": labels, "highest_output_for_plain": highest_plain })
}

/// Microseconds that the statistics of a 1080p frame take: the median over frames that are not in the cache.
fn inspection_us() -> f64 {
    let frame = |number: u8| {
        let mut frame = vec![0; 1920 * 1080 * 3 / 2];
        blake3::Hasher::new().update(&[number]).finalize_xof().fill(&mut frame);
        frame
    };
    let (clear, sealed): (Vec<_>, Vec<_>) = ((0..32).map(frame).collect(), (32..64).map(frame).collect());
    let mut inspector = Inspector::default();
    let mut times: Vec<f64> = (0..3200_usize)
        .map(|number| {
            let (clear, sealed) = (View::Together(&clear[number % 32]), View::Together(&sealed[number % 32]));
            let begun = Instant::now();
            inspector.inspect(number as u64, clear, sealed).expect("as long");
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Processor time and wall time of a frame, with the guard over without it: medians of the ratios of neighbouring rounds.
fn cost(rounds: usize) -> Value {
    gst::init().expect("GStreamer starts");
    gstchaosveil::gst::register_elements().expect("the elements register");
    let rows = LINES.map(|more| {
        let line = |guard: bool| format!("chaosenc guard={guard} {more}");
        let mut ratios = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            let (without, with) = match round % 2 {
                0 => (run(&line(false)), run(&line(true))),
                _ => {
                    let with = run(&line(true));
                    (run(&line(false)), with)
                }
            };
            ratios.iter_mut().zip([with.0 / without.0, with.1 / without.1]).for_each(|(list, ratio)| list.push(ratio));
        }
        let [cpu, wall] = ratios.map(|mut list| {
            list.sort_by(f64::total_cmp);
            json!({ "median": list.get(list.len() / 2), "lowest": list.first(), "highest": list.last() })
        });
        json!({ "line": line(true), "processor_time_ratio": cpu, "wall_time_ratio": wall })
    });
    json!({
        "format": "I420", "width": 1920, "height": 1080, "rounds": rounds, "frames": FRAMES_OF_A_ROUND,
        "inspection_us": inspection_us(), "rows": rows,
    })
}

/// Seconds of processor and of wall time.
fn run(line: &str) -> (f64, f64) {
    let line = format!(
        "appsrc name=source format=time block=true max-buffers=4 max-bytes=0 \
         caps=video/x-raw,format=I420,width=1920,height=1080,framerate=60/1 ! {line} name=encrypter ! fakesink sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements");
    let encrypter = pipeline.by_name("encrypter").expect("in the line");
    encrypter.set_property("key", glib::Bytes::from_static(&[7; 32]));
    let source = pipeline.by_name("source").expect("in the line").downcast::<gst_app::AppSrc>().expect("an appsrc");
    let buffers: Vec<gst::Buffer> = (0..8u8)
        .map(|number| {
            let mut frame = vec![0; 1920 * 1080 * 3 / 2];
            blake3::Hasher::new().update(&[number]).finalize_xof().fill(&mut frame);
            gst::Buffer::from_mut_slice(frame)
        })
        .collect();
    pipeline.set_state(gst::State::Playing).expect("starts");
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    for number in 0..FRAMES_OF_A_ROUND {
        let mut buffer = buffers[number % buffers.len()].clone();
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(number as u64 * 1_000_000_000 / 60));
        source.push_buffer(buffer).expect("takes frames");
    }
    source.end_of_stream().expect("ends");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let last =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &[gst::MessageType::Eos, gst::MessageType::Error]);
    let used = (cpu.elapsed().as_secs_f64(), wall.elapsed().as_secs_f64());
    assert!(matches!(last.map(|last| last.type_()), Some(gst::MessageType::Eos)), "no end: {line}");
    pipeline.set_state(gst::State::Null).expect("stops");
    used
}

/// Processor and commit.
fn machine() -> (String, String) {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let name = name.trim_start_matches(['\t', ' ', ':']);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let git = Command::new("git").args(["describe", "--always", "--dirty=+", "--abbrev=12"]).output();
    let commit = git.map(|ran| String::from_utf8_lossy(&ran.stdout).trim().to_owned()).unwrap_or_default();
    (format!("{name}, {count} of its threads"), commit)
}
