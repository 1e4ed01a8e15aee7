//! How it is measured: stages take turns, round after round, and every frame's time is kept.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use super::stages::Stage;
use crate::cli::error::Failure;

/// Rounds in which each stage has its turn.
pub const ROUNDS: u32 = 10;

/// What a stage's turns have shown.
#[derive(Debug, Default)]
pub struct Samples {
    /// Time of each frame.
    pub frames_ns: Vec<u64>,
    /// Time that all turns took together.
    pub wall: Duration,
    /// Processor time that all threads of this process took meanwhile.
    pub cpu: Duration,
    /// Frames done.
    pub frames: u64,
    /// Frames a second in each turn.
    pub turns_fps: Vec<f64>,
}

impl Samples {
    /// The time that the given share of frames did not exceed.
    pub fn quantile_ns(&self, share: f64) -> u64 {
        let mut sorted = self.frames_ns.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil().max(1.0) as usize;
        sorted.get(rank - 1).copied().unwrap_or(0)
    }

    /// Frames a second in the median turn.
    pub fn median_fps(&self) -> f64 {
        let mut sorted = self.turns_fps.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Runs every stage for about `time`, in alternating rounds, and tells after each.
///
/// # Errors
/// The first of a stage.
pub fn measure(
    stages: &mut [Box<dyn Stage>],
    time: Duration,
    mut after_round: impl FnMut(),
) -> Result<Vec<Samples>, Failure> {
    let mut all: Vec<Samples> = stages.iter().map(|_| Samples::default()).collect();
    // Once without being measured: memory is touched, threads are started.
    for stage in &mut *stages {
        turn(&mut **stage, Duration::ZERO, &mut Samples::default())?;
    }
    for _ in 0..ROUNDS {
        for (stage, samples) in stages.iter_mut().zip(&mut all) {
            turn(&mut **stage, time / ROUNDS, samples)?;
        }
        after_round();
    }
    Ok(all)
}

fn turn(stage: &mut dyn Stage, time: Duration, samples: &mut Samples) -> Result<(), Failure> {
    let (begun, cpu, before) = (Instant::now(), ProcessTime::now(), samples.frames);
    let mut last = begun;
    let mut each = Vec::new();
    loop {
        stage.run()?;
        samples.frames += 1;
        let now = Instant::now();
        each.push((now - last).as_nanos() as u64);
        last = now;
        if now - begun >= time {
            break;
        }
    }
    stage.drain()?;
    let wall = begun.elapsed();
    samples.turns_fps.push((samples.frames - before) as f64 / wall.as_secs_f64());
    samples.wall += wall;
    samples.cpu += cpu.elapsed();
    // Frames that are worked on side by side come in bunches: the turn's mean stands for each.
    let mean = (wall.as_nanos() as u64).checked_div(samples.frames - before).unwrap_or(0);
    samples.frames_ns.extend(match stage.intervals_ns() {
        Some(_) if stage.in_parallel() => vec![mean],
        Some(intervals) => intervals,
        None => each,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sleep(u64);

    impl Stage for Sleep {
        fn name(&self) -> &'static str {
            "sleep"
        }

        fn backend(&self) -> Option<&'static str> {
            None
        }

        fn run(&mut self) -> Result<(), Failure> {
            std::thread::sleep(Duration::from_millis(self.0));
            Ok(())
        }
    }

    #[test]
    fn every_frame_is_timed_in_every_round() {
        let mut stages: Vec<Box<dyn Stage>> = vec![Box::new(Sleep(1)), Box::new(Sleep(3))];
        let measured = measure(&mut stages, Duration::from_millis(30), || {}).expect("sleeping does not fail");
        for (samples, least_ms) in measured.iter().zip([1, 3]) {
            assert!(samples.frames >= 10 && samples.frames_ns.len() as u64 == samples.frames);
            assert!(samples.quantile_ns(0.01) >= least_ms * 1_000_000);
            assert!(samples.wall >= Duration::from_millis(least_ms * samples.frames));
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let samples = Samples { frames_ns: (1..=100).rev().collect(), ..Samples::default() };
        assert_eq!([0.5, 0.99, 1.0].map(|share| samples.quantile_ns(share)), [50, 99, 100]);
    }
}
