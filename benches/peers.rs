//! `chaosenc` beside the other encrypting elements: processor time a frame, net of the same pipeline with `identity`, and
//! frames a second, in alternating rounds. `peers.sh` installs and builds the others and runs this.
//!
//!   --rounds N (9)  --frames N (360, of 1080p; fewer of larger ones)  --sizes WxH,... (1920x1080,3840x2160)
//!   --json FILE  --plot FILE

use std::{
    collections::BTreeMap,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;
use gst::{glib, prelude::*};
use plotters::prelude::*;
use serde_json::json;

/// What stands between source and sink. The standard ciphers, in the order of the table.
const LINES: [(&str, &str); 9] = [
    ("identity", "identity"),
    ("chaosenc hardened", "chaosenc"),
    ("chaosenc hardened, one frame in flight", "chaosenc workers=1 queue-depth=1"),
    ("chaosenc aead", "chaosenc profile=aead"),
    ("aesenc AES-128-CBC", "aesenc key=000102030405060708090a0b0c0d0e0f iv=000102030405060708090a0b0c0d0e0f"),
    (
        "aesenc AES-256-CBC",
        "aesenc cipher=aes-256-cbc iv=000102030405060708090a0b0c0d0e0f \
         key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    ),
    ("sodiumencrypter", "sodiumencrypter"),
    ("rtpvrawpay", "rtpvrawpay mtu=1400"),
    (
        "rtpvrawpay ! srtpenc AES-128-GCM",
        "rtpvrawpay mtu=1400 ! srtpenc rtp-cipher=aes-128-gcm rtp-auth=null rtcp-cipher=aes-128-gcm rtcp-auth=null \
         key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b",
    ),
];
/// What all others are measured against.
const OURS: &str = "chaosenc hardened";
/// Frames that take turns: as many as a camera's pool has.
const BUFFERS: usize = 8;
/// Frames before the clocks start.
const WARM_UP: u64 = 10;

/// One element at one size.
#[derive(Clone, Copy, Default)]
struct Figures {
    cpu_ms: f64,
    fps: f64,
}

fn main() -> ExitCode {
    let options = options();
    let option = |name: &str, default: &str| options.get(name).cloned().unwrap_or_else(|| default.to_owned());
    gst::init().expect("GStreamer starts");
    gstchaosveil::gst::register_elements().expect("the elements register");
    let present: Vec<(&str, &str)> = LINES.into_iter().filter(|(name, line)| is_present(name, line)).collect();
    let rounds: usize = option("rounds", "9").parse().expect("--rounds takes a number");
    let frames: u64 = option("frames", "360").parse().expect("--frames takes a number");
    let mut rows = Vec::new();
    for size in option("sizes", "1920x1080,3840x2160").split(',') {
        let (width, height) = size.split_once('x').expect("--sizes takes WxH");
        let (width, height): (u32, u32) = (width.parse().expect("a width"), height.parse().expect("a height"));
        // As many bytes of each size.
        let frames = (frames * 1920 * 1080 / u64::from(width * height)).max(20);
        let measured = measure(&present, (width, height), rounds, frames);
        let base = measured[0].cpu_ms;
        for ((name, _), figures) in present.iter().zip(measured) {
            rows.push((*name, width, height, figures, figures.cpu_ms - base));
        }
    }
    print_table(&rows);
    let machine = machine();
    if let Some(path) = options.get("json") {
        std::fs::write(path, report(&rows, &machine, rounds, frames) + "\n").expect("--json names a file");
    }
    if let Some(path) = options.get("plot") {
        draw(path, &rows, &machine).expect("--plot names a file");
    }
    ExitCode::SUCCESS
}

type Row<'a> = (&'a str, u32, u32, Figures, f64);

/// `--name value` pairs; cargo's own `--bench` has none.
fn options() -> BTreeMap<String, String> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    arguments.chunks_exact(2).map(|pair| (pair[0].trim_start_matches('-').to_owned(), pair[1].clone())).collect()
}

fn is_present(name: &str, line: &str) -> bool {
    let missing = line
        .split(" ! ")
        .map(|part| part.split(' ').next().unwrap_or_default())
        .find(|element| gst::ElementFactory::find(element).is_none());
    if let Some(missing) = missing {
        eprintln!("left out: {name}, for there is no element {missing}");
    }
    missing.is_none()
}

/// Medians over the rounds, in which all elements take turns.
fn measure(lines: &[(&str, &str)], size: (u32, u32), rounds: usize, frames: u64) -> Vec<Figures> {
    let mut all = vec![Vec::new(); lines.len()];
    for round in 0..rounds {
        for ((_, line), figures) in lines.iter().zip(&mut all) {
            figures.push(run(line, size, frames));
        }
        eprint!("\r{}x{}: round {} of {rounds} ", size.0, size.1, round + 1);
    }
    eprintln!();
    let median = |values: &mut dyn Iterator<Item = f64>| {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    all.iter()
        .map(|figures| Figures {
            cpu_ms: median(&mut figures.iter().map(|figures| figures.cpu_ms)),
            fps: median(&mut figures.iter().map(|figures| figures.fps)),
        })
        .collect()
}

/// One pipeline, from its tenth frame to its end.
fn run(line: &str, (width, height): (u32, u32), frames: u64) -> Figures {
    let line = format!(
        "appsrc name=source format=time block=true max-buffers=4 max-bytes=0 \
         caps=video/x-raw,format=I420,width={width},height={height},framerate=60/1 ! {line} ! fakesink sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements");
    for element in pipeline.iterate_elements().into_iter().flatten() {
        give_keys(&element);
    }
    let source = pipeline.by_name("source").expect("in the line").downcast::<gst_app::AppSrc>().expect("an appsrc");
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height).build().expect("valid");
    let buffers: Vec<gst::Buffer> = (0..BUFFERS).map(|number| noise(info.size(), number)).collect();
    pipeline.set_state(gst::State::Playing).expect("starts");
    let mut clocks = None;
    for number in 0..WARM_UP + frames {
        if number == WARM_UP {
            wait_until_idle(&source);
            clocks = Some((ProcessTime::now(), Instant::now()));
        }
        let mut buffer = buffers[number as usize % BUFFERS].clone();
        let owned = buffer.make_mut();
        owned.set_pts(gst::ClockTime::from_nseconds(number * 1_000_000_000 / 60));
        owned.set_duration(gst::ClockTime::from_nseconds(1_000_000_000 / 60));
        source.push_buffer(buffer).expect("takes frames");
    }
    source.end_of_stream().expect("ends");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let last =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &[gst::MessageType::Eos, gst::MessageType::Error]);
    let (cpu, wall) = clocks.map(|(cpu, wall)| (cpu.elapsed(), wall.elapsed())).expect("there are frames");
    assert!(matches!(last.map(|last| last.type_()), Some(gst::MessageType::Eos)), "no end: {line}");
    pipeline.set_state(gst::State::Null).expect("stops");
    Figures { cpu_ms: cpu.as_secs_f64() * 1e3 / frames as f64, fps: frames as f64 / wall.as_secs_f64() }
}

/// What was pushed has come out: the source has nothing more, whoever works on a buffer is waited for, and whoever queues
/// them drains.
fn wait_until_idle(source: &gst_app::AppSrc) {
    while source.current_level_buffers() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(2));
    source.static_pad("src").expect("a source").peer_query(&mut gst::query::Drain::new());
}

/// Keys that cannot stand on a line.
fn give_keys(element: &gst::Element) {
    match element.factory().map(|factory| factory.name().to_string()).as_deref() {
        Some("chaosenc") => element.set_property("key", glib::Bytes::from_static(&[7; 32])),
        Some("sodiumencrypter") => {
            element.set_property("sender-key", glib::Bytes::from_static(&[9; 32]));
            element.set_property("receiver-key", glib::Bytes::from_static(&[5; 32]));
        }
        _ => {}
    }
}

fn noise(bytes: usize, number: usize) -> gst::Buffer {
    let mut frame = vec![0; bytes];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut frame);
    gst::Buffer::from_mut_slice(frame)
}

fn ours<'a>(rows: &'a [Row<'a>], row: &Row) -> &'a Row<'a> {
    let same = |other: &&Row| (other.0, other.1, other.2) == (OURS, row.1, row.2);
    rows.iter().find(same).expect("ours is always there")
}

fn print_table(rows: &[Row]) {
    let mut size = (0, 0);
    for row in rows {
        let (name, width, height, figures, net) = *row;
        if size != (width, height) {
            size = (width, height);
            let title = format!("I420 {width}x{height}");
            println!("\n{title:40} {:>10} {:>10} {:>10} {:>12}", "fps", "CPU ms", "net", "net / ours");
        }
        let ratio = net / ours(rows, row).4;
        println!("{name:40} {:>10.1} {:>10.3} {net:>10.3} {ratio:>12.2}", figures.fps, figures.cpu_ms);
    }
}

fn report(rows: &[Row], (machine, commit): &(String, String), rounds: usize, frames: u64) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let (name, width, height, figures, net) = *row;
            json!({
                "element": name, "format": "I420", "width": width, "height": height, "fps": figures.fps,
                "cpu_ms_per_frame": figures.cpu_ms, "net_cpu_ms_per_frame": net,
                "net_over_ours": net / ours(rows, row).4,
            })
        })
        .collect();
    let report = json!({
        "machine": machine, "commit": commit, "command": "benches/peers.sh",
        "rounds": rounds, "frames_of_1080p": frames, "rows": rows,
    });
    serde_json::to_string_pretty(&report).expect("plain data")
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

/// One bar for each element and size: how many times our processor time it takes.
fn draw(path: &str, rows: &[Row], (machine, commit): &(String, String)) -> Result<(), Box<dyn std::error::Error>> {
    let shown: Vec<&Row> = rows.iter().filter(|row| row.0 != "identity").collect();
    let most = shown.iter().map(|row| row.4).fold(0.1, f64::max);
    let root = SVGBackend::new(path, (900, 110 + 26 * shown.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("CPU ms per frame, net of identity; {machine}; {commit}"), ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(330)
        .build_cartesian_2d(0.0..1.1 * most, (0..shown.len() as i32).into_segmented())?;
    let row_at = |at: i32| shown.get((shown.len() - 1).saturating_sub(at as usize));
    let label = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => row_at(*at).map_or(String::new(), |row| format!("{}x{} {}", row.1, row.2, row.0)),
        _ => String::new(),
    };
    chart.configure_mesh().disable_y_mesh().x_desc("ms").y_labels(shown.len()).y_label_formatter(&label).draw()?;
    chart.draw_series(shown.iter().rev().zip(0..).map(|(row, at)| {
        let ink = if row.0.starts_with("chaosenc") { RGBColor(213, 94, 0) } else { RGBColor(110, 120, 135) };
        let ends = [(0.0, SegmentValue::Exact(at)), (row.4.max(0.0), SegmentValue::Exact(at + 1))];
        let mut bar = Rectangle::new(ends, ink.filled());
        bar.set_margin(3, 3, 0, 0);
        bar
    }))?;
    chart.draw_series(shown.iter().rev().zip(0..).map(|(row, at)| {
        let place = (row.4.max(0.0) + most / 90.0, SegmentValue::CenterOf(at));
        Text::new(format!("{:.2}", row.4), place, ("sans-serif", 12))
    }))?;
    root.present()?;
    Ok(())
}
