//! The `stats` property of both elements.

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
