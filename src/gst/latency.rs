//! The latency that both elements tell: how long a frame may be under way in them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use gst::prelude::*;

/// Stands for one frame's time where the caps have no framerate.
const UNKNOWN_PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A frame is finished before the next one comes. Where that takes several workers, it is under way for as many frames.
#[derive(Debug, Default)]
pub struct Latency {
    /// Time from one frame to the next; 0 while unknown.
    period_ns: AtomicU64,
    /// Smoothed time of the work on one frame, known to the source pad's task alone.
    work_ns: AtomicU64,
    /// Frames' times that a frame is under way, less one.
    more_periods: AtomicU64,
}

impl Latency {
    /// A new run: nothing is known of its work yet.
    pub fn begin(&self) {
        self.work_ns.store(0, Relaxed);
        self.more_periods.store(0, Relaxed);
    }

    /// Takes the framerate of frames, or of packets, with these caps. True if another latency is to be told.
    pub fn set_caps(&self, caps: &gst::CapsRef) -> bool {
        let rate = caps.structure(0).and_then(|structure| structure.get::<gst::Fraction>("framerate").ok());
        let period = rate
            .filter(|rate| rate.numer() > 0)
            .and_then(|rate| gst::ClockTime::SECOND.mul_div_round(rate.denom() as u64, rate.numer() as u64));
        let period_ns = period.map_or(0, gst::ClockTime::nseconds);
        self.period_ns.swap(period_ns, Relaxed) != period_ns
    }

    /// Notes how long the work on a frame took; at most so many are worked on at once. True if another latency is to be
    /// told.
    pub fn note_work(&self, work: Duration, most: usize) -> bool {
        let smoothed = (7 * self.work_ns.load(Relaxed) + work.as_nanos() as u64) / 8;
        self.work_ns.store(smoothed, Relaxed);
        let more = (smoothed / self.period().nseconds()).min(most as u64 - 1);
        self.more_periods.fetch_max(more, Relaxed) < more
    }

    /// Smallest and largest: a frame's way through the workers, and through a full queue.
    pub fn bounds(&self, capacity: usize) -> (gst::ClockTime, gst::ClockTime) {
        let period = self.period();
        (period.saturating_mul(1 + self.more_periods.load(Relaxed)), period.saturating_mul(capacity as u64))
    }

    fn period(&self) -> gst::ClockTime {
        match self.period_ns.load(Relaxed) {
            0 => UNKNOWN_PERIOD,
            period_ns => gst::ClockTime::from_nseconds(period_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: gst::ClockTime = gst::ClockTime::from_mseconds(1);

    #[test]
    fn one_frame_until_the_work_takes_longer() {
        gst::init().expect("GStreamer starts");
        let latency = Latency::default();
        assert_eq!(latency.bounds(6), (40 * MS, 240 * MS));
        let caps: gst::Caps = "video/x-raw, framerate=50/1".parse().expect("caps");
        assert!(latency.set_caps(&caps) && !latency.set_caps(&caps));
        assert_eq!(latency.bounds(6), (20 * MS, 120 * MS));
        let changes =
            |work_ms, frames| (0..frames).filter(|_| latency.note_work(Duration::from_millis(work_ms), 3)).count();
        assert_eq!(changes(19, 100), 0);
        assert_eq!(changes(100, 1), 1, "of twenty and a bit");
        assert_eq!(latency.bounds(6).0, 40 * MS);
        assert_eq!(changes(100, 100), 1, "no more than there are workers");
        assert_eq!(latency.bounds(6).0, 60 * MS);
    }

    #[test]
    fn the_rate_of_packets_counts() {
        gst::init().expect("GStreamer starts");
        let latency = Latency::default();
        latency.set_caps(&"application/x-chaosveil, framerate=10/1".parse::<gst::Caps>().expect("caps"));
        assert_eq!(latency.bounds(2), (100 * MS, 200 * MS));
    }
}
