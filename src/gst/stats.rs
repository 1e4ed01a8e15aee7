//! The `stats` property and the latency of both elements.

use gst::prelude::*;

use crate::pipeline::{Counter, Stage, Stats};

/// The statistics as a structure.
pub fn structure(stats: &Stats, backend: &str) -> gst::Structure {
    let mut structure = gst::Structure::new_empty("chaosveil-stats");
    for counter in Counter::ALL {
        structure.set(counter.name(), stats.total(counter));
    }
    structure.set("latency-p50-ns", stats.latency_quantile(0.5).as_nanos() as u64);
    structure.set("latency-p99-ns", stats.latency_quantile(0.99).as_nanos() as u64);
    for stage in Stage::ALL {
        structure.set(format!("{}-ns", stage.name()), stats.stage_total(stage).as_nanos() as u64);
    }
    structure.set("backend", backend);
    structure
}

/// Latency that an element adds: a frame is finished before the next one comes, or the stream cannot be kept up with;
/// and at most what its queue holds.
pub fn latency(sink_pad: &gst::Pad, capacity: usize) -> (gst::ClockTime, gst::ClockTime) {
    let frame = sink_pad
        .current_caps()
        .and_then(|caps| {
            let caps = caps.structure(0)?.get::<gst::Caps>("original-caps").unwrap_or(caps.clone());
            caps.structure(0)?.get::<gst::Fraction>("framerate").ok()
        })
        .filter(|rate| rate.numer() > 0)
        .and_then(|rate| gst::ClockTime::SECOND.mul_div_round(rate.denom() as u64, rate.numer() as u64))
        .unwrap_or(40 * gst::ClockTime::MSECOND);
    (frame, frame * capacity as u64)
}
