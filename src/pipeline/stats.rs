//! What a pipeline tells about itself: counters, latency, time per stage. Lock-free; the same numbers go to whoever
//! listens behind the `metrics` facade.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Everything that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Frames taken.
    FramesIn,
    /// Frames given out.
    FramesOut,
    /// Bytes taken.
    BytesIn,
    /// Bytes given out.
    BytesOut,
    /// Frames dropped here: no room in a leaky queue, or an encrypter's worker that panicked.
    Dropped,
    /// Frames whose counters have not come.
    Lost,
    /// Frames that came after later ones.
    Reordered,
    /// Frames that came again.
    Replayed,
    /// Frames and headers that did not verify, and frames on which a decrypter's worker panicked.
    Rejected,
    /// Times that a worker panicked, each of which costs a frame.
    Panics,
    /// Backends whose place another had to take.
    BackendFailures,
    /// Times that a guard took what was to leave for plain.
    GuardAlarms,
}

impl Counter {
    /// Every counter.
    pub const ALL: [Counter; 12] = [
        Counter::FramesIn,
        Counter::FramesOut,
        Counter::BytesIn,
        Counter::BytesOut,
        Counter::Dropped,
        Counter::Lost,
        Counter::Reordered,
        Counter::Replayed,
        Counter::Rejected,
        Counter::Panics,
        Counter::BackendFailures,
        Counter::GuardAlarms,
    ];

    /// Name of the field in `stats`.
    pub fn name(self) -> &'static str {
        match self {
            Counter::FramesIn => "frames-in",
            Counter::FramesOut => "frames-out",
            Counter::BytesIn => "bytes-in",
            Counter::BytesOut => "bytes-out",
            Counter::Dropped => "dropped",
            Counter::Lost => "lost",
            Counter::Reordered => "reordered",
            Counter::Replayed => "replayed",
            Counter::Rejected => "rejected",
            Counter::Panics => "panics",
            Counter::BackendFailures => "backend-failures",
            Counter::GuardAlarms => "guard-alarms",
        }
    }

    /// Name of the series for Prometheus.
    pub fn series(self) -> &'static str {
        match self {
            Counter::FramesIn => "chaosveil_frames_in_total",
            Counter::FramesOut => "chaosveil_frames_out_total",
            Counter::BytesIn => "chaosveil_bytes_in_total",
            Counter::BytesOut => "chaosveil_bytes_out_total",
            Counter::Dropped => "chaosveil_dropped_total",
            Counter::Lost => "chaosveil_lost_total",
            Counter::Reordered => "chaosveil_reordered_total",
            Counter::Replayed => "chaosveil_replayed_total",
            Counter::Rejected => "chaosveil_rejected_total",
            Counter::Panics => "chaosveil_panics_total",
            Counter::BackendFailures => "chaosveil_backend_failures_total",
            Counter::GuardAlarms => "chaosveil_guard_alarms_total",
        }
    }
}

/// Where a frame's time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the queue's entrance to a worker.
    Wait,
    /// Seal or open, chaotic stage included.
    Work,
    /// From the worker to the source pad.
    Order,
    /// In downstream's hands.
    Push,
}

impl Stage {
    /// Every stage, in the order in which a frame meets them.
    pub const ALL: [Stage; 4] = [Stage::Wait, Stage::Work, Stage::Order, Stage::Push];

    /// Name of the stage.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Wait => "wait",
            Stage::Work => "work",
            Stage::Order => "order",
            Stage::Push => "push",
        }
    }
}

/// Counters and times of one element or run.
pub struct Stats {
    counters: [AtomicU64; Counter::ALL.len()],
    stages_ns: [AtomicU64; Stage::ALL.len()],
    latency: Histogram,
    labels: [(&'static str, String); 2],
    series: [metrics::Counter; Counter::ALL.len()],
    stage_series: [metrics::Histogram; Stage::ALL.len()],
    latency_series: metrics::Histogram,
    depth: metrics::Gauge,
}

impl Stats {
    /// Counters from zero, also told to the `metrics` recorder under the labels `element` and `direction`.
    pub fn new(element: &str, direction: &'static str) -> Stats {
        let labels = || [("element", element.to_owned()), ("direction", direction.to_owned())];
        Stats {
            counters: Default::default(),
            stages_ns: Default::default(),
            latency: Histogram::default(),
            labels: labels(),
            depth: metrics::gauge!("chaosveil_queue_depth", &labels()),
            series: Counter::ALL.map(|counter| metrics::counter!(counter.series(), &labels())),
            stage_series: Stage::ALL.map(|stage| {
                let [element, direction] = labels();
                metrics::histogram!(
                    "chaosveil_stage_seconds",
                    &[element, direction, ("stage", stage.name().to_owned())]
                )
            }),
            latency_series: metrics::histogram!("chaosveil_latency_seconds", &labels()),
        }
    }

    /// Adds to a counter.
    pub fn add(&self, counter: Counter, amount: u64) {
        self.counters[counter as usize].fetch_add(amount, Relaxed);
        self.series[counter as usize].increment(amount);
    }

    /// Adds one for a reason, which the series has as a label. For what is rare: the label is looked up.
    pub fn add_because(&self, counter: Counter, reason: &'static str) {
        self.add_many_because(counter, reason, 1);
    }

    /// Adds several, as [`Stats::add_because`].
    pub fn add_many_because(&self, counter: Counter, reason: &'static str, count: u64) {
        self.counters[counter as usize].fetch_add(count, Relaxed);
        let [element, direction] = self.labels.clone();
        metrics::counter!(counter.series(), &[element, direction, ("reason", reason.to_owned())]).increment(count);
    }

    /// Sets a counter that is known as a total. Where it goes back, for what was missing has come late, the series stays:
    /// it counts what was missing at some time.
    pub fn set(&self, counter: Counter, total: u64) {
        let before = self.counters[counter as usize].swap(total, Relaxed);
        self.series[counter as usize].increment(total.saturating_sub(before));
    }

    /// Tells how much is in the queue.
    pub fn set_depth(&self, entries: usize) {
        self.depth.set(entries as f64);
    }

    /// A counter's total.
    pub fn total(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Relaxed)
    }

    /// Adds the time that a frame spent in a stage.
    pub fn add_stage(&self, stage: Stage, time: Duration) {
        self.stages_ns[stage as usize].fetch_add(time.as_nanos() as u64, Relaxed);
        self.stage_series[stage as usize].record(time);
    }

    /// Time that all frames together spent in a stage.
    pub fn stage_total(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.stages_ns[stage as usize].load(Relaxed))
    }

    /// Adds the time that a frame took from entrance to exit.
    pub fn add_latency(&self, time: Duration) {
        self.latency.add(time.as_nanos() as u64);
        self.latency_series.record(time);
    }

    /// The latency that the given share of frames did not exceed (upper edge of a bucket at most 1/16 wide); zero
    /// before the first frame.
    pub fn latency_quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.latency.quantile(share))
    }
}

/// Sub-buckets of each power of two.
const STEPS: usize = 16;

/// Counts by size: 16 buckets for each power of two.
struct Histogram([AtomicU64; 64 * STEPS]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Histogram {
    fn add(&self, value: u64) {
        self.0[bucket(value)].fetch_add(1, Relaxed);
    }

    fn quantile(&self, share: f64) -> u64 {
        let total: u64 = self.0.iter().map(|count| count.load(Relaxed)).sum();
        let mut left = (total as f64 * share).ceil().max(1.0) as u64;
        for (index, count) in self.0.iter().enumerate() {
            let count = count.load(Relaxed);
            if count >= left {
                return upper_edge(index);
            }
            left -= count;
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    let value = value.max(STEPS as u64);
    let power = value.ilog2() as usize;
    power * STEPS + (value >> (power - 4)) as usize - STEPS
}

fn upper_edge(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, bucket % STEPS);
    ((STEPS + step + 1) as u64) << (power.max(4) - 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let stats = Stats::new("test", "encrypt");
        assert_eq!(stats.latency_quantile(0.5), Duration::ZERO);
        for us in 1..=1000 {
            stats.add_latency(Duration::from_micros(us));
        }
        for (share, exact_us) in [(0.5, 500.0), (0.99, 990.0)] {
            let ratio = stats.latency_quantile(share).as_nanos() as f64 / 1000.0 / exact_us;
            assert!((1.0..1.0 + 1.0 / 16.0 + 0.01).contains(&ratio), "{share}: {ratio}");
        }
    }

    #[test]
    fn any_value_has_a_bucket() {
        for value in [0, 1, 15, 16, 17, 1 << 40, u64::MAX] {
            assert!(bucket(value) < 64 * STEPS);
            assert!(value == u64::MAX || upper_edge(bucket(value)) > value);
        }
    }
}
