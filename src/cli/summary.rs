//! The line of figures that ends a run.

use std::{
    fmt,
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::pipeline::Stage;

/// Frames, bytes and times of a run.
#[derive(Debug)]
pub struct Summary {
    started: Instant,
    /// Frames done.
    pub frames: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Time of each stage, in the order of their first use.
    stages: Vec<(&'static str, Duration)>,
    /// Median and 99th percentile of the time in an element, of the slowest track.
    latency: Option<[Duration; 2]>,
}

impl Summary {
    /// The run starts.
    pub fn start() -> Summary {
        Summary { started: Instant::now(), frames: 0, bytes_in: 0, bytes_out: 0, stages: Vec::new(), latency: None }
    }

    /// Does `work` and adds its time to a stage.
    pub fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.add(stage, started.elapsed());
        done
    }

    /// Adds to the time of a stage.
    pub fn add(&mut self, stage: &'static str, time: Duration) {
        match self.stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, total)) => *total += time,
            None => self.stages.push((stage, time)),
        }
    }

    /// Adds the figures of an element of ours.
    pub fn add_stats(&mut self, element: &gst::Element) {
        let stats = element.property::<gst::Structure>("stats");
        let figure = |name: &str| stats.get::<u64>(name).unwrap_or(0);
        self.frames += figure("frames-out");
        self.bytes_in += figure("bytes-in");
        self.bytes_out += figure("bytes-out");
        for stage in Stage::ALL {
            self.add(stage.name(), Duration::from_nanos(figure(&format!("{}-ns", stage.name()))));
        }
        let latency = ["latency-p50-ns", "latency-p99-ns"].map(|name| Duration::from_nanos(figure(name)));
        self.latency = self.latency.max(Some(latency));
    }

    /// Counts one frame.
    pub fn frame(&mut self, bytes_in: usize, bytes_out: usize) {
        self.frames += 1;
        self.bytes_in += bytes_in as u64;
        self.bytes_out += bytes_out as u64;
    }

    /// Tells the figures on stderr.
    pub fn print(&self) {
        tell!("chaosveil: {self}");
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { frames, bytes_in, bytes_out, .. } = self;
        let plural = if *frames == 1 { "" } else { "s" };
        let fps = *frames as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        write!(f, "{frames} frame{plural}, {bytes_in} bytes in, {bytes_out} bytes out, {fps:.1} fps")?;
        let mut separator = "; ";
        for (name, time) in &self.stages {
            write!(f, "{separator}{name} {:.1} ms", ms(*time))?;
            separator = ", ";
        }
        match self.latency {
            Some([median, p99]) => write!(f, "; latency {:.1} ms, p99 {:.1} ms", ms(median), ms(p99)),
            None => Ok(()),
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_with_every_stage_once() {
        let mut summary = Summary::start();
        for stage in ["read", "seal", "read"] {
            summary.time(stage, sleep_a_little);
        }
        summary.frame(10, 30);
        let line = summary.to_string();
        assert!(line.starts_with("1 frame, 10 bytes in, 30 bytes out, "), "{line}");
        assert_eq!(line.matches("read ").count(), 1, "{line}");
        let times: Vec<f64> = line
            .split("; ")
            .last()
            .into_iter()
            .flat_map(|stages| stages.split(", "))
            .filter_map(|stage| stage.split(' ').nth(1)?.parse().ok())
            .collect();
        assert!(times.len() == 2 && times[0] >= 2.0 && times[1] >= 1.0, "{line}");
    }

    fn sleep_a_little() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
