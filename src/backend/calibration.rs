//! Whether a stream is faster on a GPU or on the processor: found by trying both, and remembered.
//!
//! In: a [`Case`] (device, driver, processor backend, size of the frames, workers) and somebody who measures. Out: a
//! [`Verdict`], kept in `chaosveil/calibration.json` under `$XDG_CACHE_HOME` or `~/.cache`. A file that cannot be read or
//! written costs no more than measuring again: it is never an error.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{Backend, Parallel, device::Identity};
use crate::chaos::{FrameKey, FramePlan};

/// Rounds in which both sides take turns; what counts is each side's best.
const ROUNDS: u32 = 4;
/// No further round is begun after this time.
const PATIENCE: Duration = Duration::from_millis(300);
/// Verdicts kept, and the largest file that is read.
const MOST_VERDICTS: usize = 64;
const MOST_FILE_BYTES: u64 = 1 << 20;

/// What a verdict holds for: on other terms it is measured again.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Case {
    /// The device and its driver.
    pub device: Identity,
    /// The processor's backend.
    pub processor: String,
    /// Version of this crate.
    pub version: String,
    /// Bytes of a frame, rounded up to a power of two.
    pub frame_bytes_at_most: usize,
    /// Frames worked on at once.
    pub workers: usize,
    /// Threads that share a frame.
    pub threads_per_frame: usize,
}

impl Case {
    /// Frames of `frame_bytes` bytes here.
    pub fn new(device: Identity, processor: &dyn Backend, frame_bytes: usize, parallel: &Parallel) -> Case {
        Case {
            device,
            processor: processor.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            frame_bytes_at_most: class_of(frame_bytes),
            workers: parallel.workers,
            threads_per_frame: parallel.pool.as_ref().map_or(1, |pool| pool.current_num_threads()),
        }
    }
}

/// Frames of a class share a verdict.
pub fn class_of(frame_bytes: usize) -> usize {
    frame_bytes.checked_next_power_of_two().unwrap_or(usize::MAX)
}

/// How both sides did.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Verdict {
    /// On which terms.
    pub case: Case,
    /// 10^9 bytes a second through the whole stage, there or back, all workers together, on the device, its transfers
    /// included.
    pub device_gb_per_s: f64,
    /// The same on the processor.
    pub processor_gb_per_s: f64,
}

impl Verdict {
    /// Whether the device is faster.
    pub fn takes_device(&self) -> bool {
        self.device_gb_per_s > self.processor_gb_per_s
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { case, device_gb_per_s, processor_gb_per_s } = self;
        let taken = if self.takes_device() { "cuda" } else { &case.processor };
        write!(f, "{taken} for frames up to {} KiB, {} at once", case.frame_bytes_at_most >> 10, case.workers)?;
        if case.threads_per_frame > 1 {
            write!(f, " on {} threads each", case.threads_per_frame)?;
        }
        write!(f, ": {} {device_gb_per_s:.2} GB/s, {} {processor_gb_per_s:.2} GB/s", case.device, case.processor)
    }
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The device.
    Device,
    /// The processor.
    Processor,
}

/// What is known.
#[derive(Debug, Default)]
pub struct Verdicts {
    file: Option<PathBuf>,
    known: Vec<Verdict>,
}

#[derive(Default, Deserialize, Serialize)]
struct File {
    verdicts: Vec<Verdict>,
}

impl Verdicts {
    /// What a file holds; nothing, where it is not there or makes no sense. Without a file nothing is kept after this
    /// process.
    pub fn load(file: Option<PathBuf>) -> Verdicts {
        let known = file.as_deref().map(read).unwrap_or_default();
        Verdicts { file, known }
    }

    /// All, the oldest first.
    pub fn known(&self) -> &[Verdict] {
        &self.known
    }

    /// The verdict on these terms.
    pub fn find(&self, case: &Case) -> Option<&Verdict> {
        self.known.iter().find(|verdict| verdict.case == *case)
    }

    /// The verdict on these terms, measured if it is not known. `measure` runs one round of a side and returns its speed
    /// in 10^9 bytes a second, and how long the round took; none where the device fails, of which nothing is remembered.
    pub fn settle(&mut self, case: Case, mut measure: impl FnMut(Side) -> Option<(f64, Duration)>) -> Option<Verdict> {
        if let Some(verdict) = self.find(&case) {
            return Some(verdict.clone());
        }
        let mut verdict = Verdict { case, device_gb_per_s: 0.0, processor_gb_per_s: 0.0 };
        let mut spent = Duration::ZERO;
        for _ in 0..ROUNDS {
            let (device, device_time) = measure(Side::Device)?;
            let (processor, processor_time) = measure(Side::Processor)?;
            verdict.device_gb_per_s = verdict.device_gb_per_s.max(device);
            verdict.processor_gb_per_s = verdict.processor_gb_per_s.max(processor);
            spent += device_time + processor_time;
            if spent > PATIENCE {
                break;
            }
        }
        self.remember(verdict.clone());
        Some(verdict)
    }

    fn remember(&mut self, verdict: Verdict) {
        // Other processes may have found out something meanwhile.
        if let Some(file) = &self.file {
            let ours = std::mem::replace(&mut self.known, read(file));
            self.known.extend(ours.into_iter().filter(|ours| self.find(&ours.case).is_none()).collect::<Vec<_>>());
        }
        self.known.push(verdict);
        let surplus = self.known.len().saturating_sub(MOST_VERDICTS);
        self.known.drain(..surplus);
        if let Some(file) = &self.file {
            // Where nothing can be kept, it is measured again.
            let _ = write(file, &self.known);
        }
    }
}

/// What this process knows. Whoever holds it measures undisturbed by other streams of this process.
pub fn verdicts() -> MutexGuard<'static, Verdicts> {
    static VERDICTS: LazyLock<Mutex<Verdicts>> = LazyLock::new(|| Mutex::new(Verdicts::load(file())));
    VERDICTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where verdicts are kept: the XDG Base Directory Specification, version 0.8.
fn file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("chaosveil").join("calibration.json"))
}

fn read(file: &Path) -> Vec<Verdict> {
    let small = file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MOST_FILE_BYTES);
    let text = if small { fs::read(file).unwrap_or_default() } else { Vec::new() };
    let File { verdicts } = serde_json::from_slice(&text).unwrap_or_default();
    verdicts
}

fn write(file: &Path, verdicts: &[Verdict]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    let text = serde_json::to_vec_pretty(&File { verdicts: verdicts.to_vec() })?;
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, file));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Bytes that a worker sends through at least, so that starting it does not count for much; and frames at most.
const ROUND_BYTES: usize = 1 << 20;
const MOST_FRAMES: usize = 16;

/// Lets every worker send frames of `frame_bytes` bytes through the stage and back at the same time, as the workers of a
/// stream do. Returns their speed together, in 10^9 bytes a second, and the time that it took.
pub fn measure(backend: &dyn Backend, frame_bytes: usize, parallel: &Parallel) -> (f64, Duration) {
    let frames = (ROUND_BYTES / frame_bytes.max(1)).clamp(1, MOST_FRAMES);
    let mut work: Vec<_> = (0..parallel.workers)
        .map(|number| {
            let mut plan = FramePlan::default();
            plan.prepare(&FrameKey::new([number as u8; 32]), frame_bytes);
            // Written once, so that the system's pages are there.
            (plan, vec![1; frame_bytes], vec![2; frame_bytes])
        })
        .collect();
    let begun = Instant::now();
    let started = std::thread::scope(|scope| {
        let workers = work.iter_mut().map(|(plan, plain, cipher)| {
            let pool = parallel.pool.as_deref();
            let worker = move || {
                for _ in 0..frames {
                    backend.encrypt(plan, plain, cipher, pool);
                    backend.decrypt(plan, cipher, plain, pool);
                }
            };
            std::thread::Builder::new().spawn_scoped(scope, worker)
        });
        // Where the system gives no thread, the others show how fast they are.
        workers.filter(Result::is_ok).count()
    });
    let (bytes, time) = (2 * started * frames * frame_bytes, begun.elapsed());
    (bytes as f64 / time.as_secs_f64().max(1e-9) / 1e9, time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::available;

    fn case(frame_bytes: usize) -> Case {
        let device = Identity { name: "A GPU".into(), uuid: "00ff".into(), driver: 12_040 };
        Case::new(device, &*available()[0], frame_bytes, &Parallel { workers: 2, pool: None })
    }

    const SHORT: Duration = Duration::from_millis(1);

    fn speeds(device: f64, processor: f64) -> impl FnMut(Side) -> Option<(f64, Duration)> {
        move |side| Some((if side == Side::Device { device } else { processor }, SHORT))
    }

    fn never(side: Side) -> Option<(f64, Duration)> {
        panic!("measured again: {side:?}")
    }

    #[test]
    fn the_faster_side_is_taken() {
        let mut verdicts = Verdicts::default();
        assert!(verdicts.settle(case(1000), speeds(5.0, 4.0)).is_some_and(|verdict| verdict.takes_device()));
        assert!(verdicts.settle(case(10_000), speeds(4.0, 5.0)).is_some_and(|verdict| !verdict.takes_device()));
        // Nobody moves for nothing.
        assert!(verdicts.settle(case(100_000), speeds(5.0, 5.0)).is_some_and(|verdict| !verdict.takes_device()));
    }

    #[test]
    fn a_bad_round_does_not_decide() {
        let mut rounds = [9.0, 1.0, 3.0, 8.0, 4.0, 2.0, 1.0, 1.0].into_iter();
        let verdict = Verdicts::default().settle(case(1000), |_| Some((rounds.next()?, SHORT))).expect("measured");
        assert_eq!((verdict.device_gb_per_s, verdict.processor_gb_per_s), (9.0, 8.0));
        assert_eq!(rounds.next(), None, "four rounds of both sides");
    }

    #[test]
    fn slow_rounds_are_not_repeated() {
        let mut turns = Vec::new();
        let slow = |side| {
            turns.push(side);
            Some((1.0, Duration::from_secs(1)))
        };
        Verdicts::default().settle(case(1000), slow);
        assert_eq!(turns, [Side::Device, Side::Processor]);
    }

    #[test]
    fn verdicts_outlive_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("deep/down/calibration.json");
        let mut verdicts = Verdicts::load(Some(file.clone()));
        let found = verdicts.settle(case(1000), speeds(5.0, 4.0));
        assert_eq!(verdicts.settle(case(1000), never), found);
        // Another process that began before finds out something else, and loses nothing.
        let mut other = Verdicts::load(None);
        other.file = Some(file.clone());
        other.settle(case(10_000), speeds(1.0, 2.0));
        let mut later = Verdicts::load(Some(file.clone()));
        assert_eq!(later.settle(case(1000), never), found);
        assert!(later.settle(case(10_000), never).is_some_and(|verdict| !verdict.takes_device()));
        let left: Vec<_> = fs::read_dir(file.parent().expect("a folder")).expect("readable").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn other_terms_are_measured_anew() {
        let mut verdicts = Verdicts::default();
        verdicts.settle(case(1000), speeds(5.0, 4.0));
        let known = case(1000);
        let (mut driver, mut version, mut workers) = (known.clone(), known.clone(), known.clone());
        driver.device.driver = 12_050;
        version.version.push('1');
        workers.workers = 3;
        for other in [driver, version, workers, case(1025)] {
            assert!(verdicts.settle(other, speeds(1.0, 2.0)).is_some_and(|verdict| !verdict.takes_device()));
        }
        assert!(verdicts.settle(case(1024), never).is_some(), "frames of a class share a verdict");
    }

    #[test]
    fn a_device_that_fails_is_not_remembered() {
        let mut verdicts = Verdicts::default();
        assert_eq!(verdicts.settle(case(1000), |_| None), None);
        assert!(verdicts.settle(case(1000), speeds(5.0, 4.0)).is_some());
    }

    #[test]
    fn a_broken_or_unwritable_file_costs_a_measurement() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("calibration.json");
        for broken in ["", "{", "[1, 2]", r#"{"verdicts": [{}]}"#] {
            fs::write(&file, broken).expect("written");
            let mut verdicts = Verdicts::load(Some(file.clone()));
            assert!(verdicts.known().is_empty(), "{broken}");
            assert!(verdicts.settle(case(1000), speeds(5.0, 4.0)).is_some(), "{broken}");
            assert_eq!(Verdicts::load(Some(file.clone())).known().len(), 1, "{broken}");
        }
        // A file stands where the folder should be.
        let mut verdicts = Verdicts::load(Some(file.join("below/calibration.json")));
        assert!(verdicts.settle(case(1000), speeds(5.0, 4.0)).is_some());
        assert!(verdicts.settle(case(1000), never).is_some(), "this process remembers");
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let mut verdicts = Verdicts::default();
        for workers in 0..100 {
            verdicts.settle(Case { workers, ..case(1000) }, speeds(5.0, 4.0));
        }
        assert_eq!(verdicts.known().len(), MOST_VERDICTS);
        assert_eq!(verdicts.known().last().map(|verdict| verdict.case.workers), Some(99));
    }

    #[test]
    fn every_worker_sends_frames_there_and_back() {
        for (frame_bytes, frames) in [(1, 16), (100_000, 10), (1 << 20, 1), (3_000_000, 1)] {
            let (speed, time) = measure(&*available()[0], frame_bytes, &Parallel { workers: 3, pool: None });
            let bytes = speed * 1e9 * time.as_secs_f64();
            let expected = (3 * frames * 2 * frame_bytes) as f64;
            assert!((bytes / expected - 1.0).abs() < 1e-6, "{bytes} of {expected}");
        }
    }
}
