//! What is told of a run: rows for programs, a table for people.

use std::{fmt::Write, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use super::{
    rounds::Samples,
    stages::{Case, Stage},
};

/// A run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// Processor, number of processors, system.
    pub machine: String,
    /// Commit of the checkout that the program lies in, if it lies in one.
    pub commit: Option<String>,
    /// GPU and driver, where they were measured.
    #[serde(default)]
    pub device: Option<String>,
    /// One for each stage, size and format.
    pub rows: Vec<Row>,
}

/// A stage at a size and format.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// `memcpy`, `aes-256-gcm`, `keystream`, `permutation`, `keystream+permutation`, `encrypt`, `decrypt`, `element`.
    pub stage: String,
    /// Who did the work; null for memcpy on the processor.
    pub backend: Option<String>,
    /// Profile, where it makes a difference.
    pub profile: Option<String>,
    /// Name of the format.
    pub format: String,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Threads that share a frame; of the element, and of a GPU by itself, frames worked on at once.
    pub threads: usize,
    /// Different frames that took turns.
    #[serde(default = "one")]
    pub frames: usize,
    /// `none`, `device` (from pinned memory to the device and back) or `host` (also to pinned memory and back): which
    /// transfers are in the figures.
    pub transfers: String,
    /// 10^9 bytes of payload a second.
    pub gb_per_s: f64,
    /// Frames a second.
    pub fps: f64,
    /// Median time of a frame.
    pub ms_per_frame_p50: f64,
    /// Time that 99 of 100 frames did not exceed.
    pub ms_per_frame_p99: f64,
    /// Processor time of all threads, a frame.
    pub cpu_ms_per_frame: f64,
    /// Distance between the quartiles of a frame's time, as a share of the median.
    #[serde(default)]
    pub spread: f64,
}

impl Row {
    /// The row of a stage. Throughput is that of the median frame where one comes for each run, so that what else the
    /// machine did does not count; of the element it is that of the median turn.
    pub fn of(case: &Case, stage: &dyn Stage, samples: &Samples) -> Row {
        let layout = &case.picture.layout;
        let ms = |ns: u64| ns as f64 / 1e6;
        let median_ms = ms(samples.quantile_ns(0.5));
        let fps = match stage.name() {
            "element" => samples.median_fps(),
            _ if median_ms > 0.0 => 1e3 / median_ms,
            _ => samples.median_fps(),
        };
        let quartiles = ms(samples.quantile_ns(0.75) - samples.quantile_ns(0.25));
        let spread = if median_ms > 0.0 { quartiles / median_ms } else { 0.0 };
        Row {
            stage: stage.name().into(),
            backend: stage.backend().map(Into::into),
            profile: stage.profile().map(|profile| profile.name().into()),
            format: layout.format().name().into(),
            width: layout.width(),
            height: layout.height(),
            threads: case.threads,
            frames: case.picture.frames.len(),
            transfers: stage.transfers().into(),
            gb_per_s: fps * case.picture.bytes() as f64 / 1e9,
            fps,
            ms_per_frame_p50: median_ms,
            ms_per_frame_p99: ms(samples.quantile_ns(0.99)),
            cpu_ms_per_frame: samples.cpu.as_secs_f64() * 1e3 / samples.frames as f64,
            spread,
        }
    }

    /// What two runs' rows have in common if they measured the same.
    pub fn key(&self) -> impl PartialEq + use<'_> {
        let work = (&self.stage, &self.backend, &self.profile, &self.transfers);
        (work, &self.format, self.width, self.height, self.threads, self.frames)
    }

    /// Whether a GPU did the work.
    fn is_on_device(&self) -> bool {
        self.backend.as_deref() == Some("cuda")
    }

    /// Stage, backend, profile, and transfers where there are any, for people.
    pub fn name(&self) -> String {
        let transfers = self.is_on_device().then_some(self.transfers.as_str());
        let names = [Some(self.stage.as_str()), self.backend.as_deref(), self.profile.as_deref(), transfers];
        names.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Size and format, for people.
    pub fn picture(&self) -> String {
        let several = |count: usize, what: &str| if count == 1 { String::new() } else { format!(", {count} {what}") };
        let (threads, frames) = (several(self.threads, "threads"), several(self.frames, "frames"));
        format!("{} {}x{}{threads}{frames}", self.format, self.width, self.height)
    }
}

impl Report {
    /// Without rows yet.
    pub fn of_this_machine() -> Report {
        Report { machine: machine(), commit: commit(), device: None, rows: Vec::new() }
    }

    /// For programs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).map(|json| json + "\n").unwrap_or_default()
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    /// Throughput of AES-256-GCM on the same frames.
    pub fn gcm_gb_per_s(&self, row: &Row) -> Option<f64> {
        let same = |other: &&Row| other.stage == "aes-256-gcm" && other.picture() == row.picture();
        self.rows.iter().find(same).map(|row| row.gb_per_s)
    }

    /// Throughput of copying the same frames in the same place: on the processor, on the device, to the device and back.
    pub fn copy_gb_per_s(&self, row: &Row) -> Option<f64> {
        let same = |other: &&Row| {
            let places = (&row.transfers, row.is_on_device()) == (&other.transfers, other.is_on_device());
            other.stage == "memcpy" && other.picture() == row.picture() && places
        };
        self.rows.iter().find(same).map(|row| row.gb_per_s)
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{}; commit {}", self.machine, self.commit.as_deref().unwrap_or("unknown"))?;
        if let Some(device) = &self.device {
            writeln!(text, "{device}{ON_DEVICE}")?;
        }
        let mut picture = String::new();
        for row in &self.rows {
            if row.picture() != picture {
                picture = row.picture();
                writeln!(
                    text,
                    "\n{picture:40} {:>8} {:>9} {:>9} {:>9} {:>7} {:>9} {:>7} {:>7}",
                    "GB/s", "fps", "ms p50", "ms p99", "spread", "CPU ms", "of GCM", "of copy"
                )?;
            }
            let ratio = |to: Option<f64>| to.map_or(String::new(), |to| format!("{:.2}", row.gb_per_s / to));
            let (gcm, copy) = (ratio(self.gcm_gb_per_s(row)), ratio(self.copy_gb_per_s(row)));
            let name = row.name();
            writeln!(
                text,
                "  {name:38} {:>8.2} {:>9.1} {:>9.3} {:>9.3} {:>6.0}% {:>9.3} {gcm:>7} {copy:>7}",
                row.gb_per_s,
                row.fps,
                row.ms_per_frame_p50,
                row.ms_per_frame_p99,
                100.0 * row.spread,
                row.cpu_ms_per_frame,
            )?;
        }
        Ok(())
    }
}

/// What the words behind a GPU's stages mean.
const ON_DEVICE: &str = ": `none` stays in its memory, kernels alone; `device` comes from pinned memory and goes back
there; `host` comes from a frame's own memory, as the library is used, one frame after another. Of `none` and `device`, as
of the element, threads are frames in flight. Profiles with an AEAD seal on the processor, and are no faster than that:
see aes-256-gcm.";

pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let field = |name: &str| cpus.lines().find(|line| line.starts_with(name))?.split(": ").nth(1).map(str::to_owned);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let system = read("/proc/sys/kernel/osrelease");
    let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    format!(
        "{name} (family {} model {}), {processors} processors, Linux {}",
        field("cpu family").unwrap_or_default(),
        field("model\t").unwrap_or_default(),
        system.trim()
    )
}

/// Where a row does not say how many frames took turns.
fn one() -> usize {
    1
}

/// The checkout's commit, with a plus where files have been changed since, or the program is older than it.
pub fn commit() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let checkout = program.ancestors().find(|folder| folder.join(".git").exists())?;
    let commit = git(checkout, &["rev-parse", "--short=12", "HEAD"])?;
    let committed: u64 = git(checkout, &["log", "-1", "--format=%ct"])?.parse().ok()?;
    let built = program.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let changed = built < committed || !git(checkout, &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if changed { commit + "+" } else { commit })
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let ran = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row(stage: &str, gb_per_s: f64) -> Row {
        Row {
            stage: stage.into(),
            backend: None,
            profile: None,
            format: "I420".into(),
            width: 64,
            height: 48,
            threads: 1,
            frames: 1,
            transfers: "none".into(),
            gb_per_s,
            fps: 10.0,
            ms_per_frame_p50: 100.0,
            ms_per_frame_p99: 120.0,
            cpu_ms_per_frame: 90.0,
            spread: 0.02,
        }
    }

    #[test]
    fn ratios_are_to_gcm_of_the_same_frames() {
        let other = Row { width: 32, ..row("aes-256-gcm", 100.0) };
        let rows = vec![other, row("aes-256-gcm", 8.0), row("encrypt", 2.0)];
        let report = Report { machine: "a machine".into(), commit: Some("1234".into()), device: None, rows };
        assert_eq!(report.gcm_gb_per_s(&report.rows[2]), Some(8.0));
        let line = report.table().lines().last().map(str::to_owned).unwrap_or_default();
        assert!(line.contains("encrypt") && line.trim_end().ends_with("0.25"), "{line}");
        let again: Report = serde_json::from_str(&report.json()).expect("its own JSON");
        assert_eq!(again.rows, report.rows);
    }

    #[test]
    fn what_a_device_does_is_beside_its_own_copies() {
        let on_device = |stage, transfers: &str, gb_per_s| Row {
            backend: Some("cuda".into()),
            transfers: transfers.into(),
            ..row(stage, gb_per_s)
        };
        let rows = vec![
            row("memcpy", 10.0),
            on_device("memcpy", "none", 1000.0),
            on_device("memcpy", "device", 40.0),
            on_device("keystream", "none", 500.0),
            on_device("keystream", "device", 30.0),
            on_device("keystream", "host", 5.0),
            row("keystream", 4.0),
        ];
        let report = Report { machine: "a machine".into(), commit: None, device: Some("A GPU".into()), rows };
        let copies = report.rows[3..].iter().map(|row| report.copy_gb_per_s(row)).collect::<Vec<_>>();
        assert_eq!(copies, [Some(1000.0), Some(40.0), None, Some(10.0)]);
        let table = report.table();
        assert!(table.contains("keystream cuda device") && table.contains("seal on the processor"), "{table}");
    }
}
