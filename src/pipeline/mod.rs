//! Moves frames through workers: bounded, in order, with nothing allocated per frame once it runs.
//!
//! In: jobs from one thread. Out: their results, in the order of the jobs, to another thread. Knows frames as bytes and
//! nothing of GStreamer. Read next: [`ordered`] (the queue), [`workers`] (its threads), [`pool`] (recycled buffers), [`stats`] (counters,
//! latency, time per stage), [`exporter`] (the same for Prometheus).

pub mod exporter;
pub mod ordered;
pub mod pool;
pub mod stats;
pub mod workers;

pub use ordered::{Full, OrderedQueue};
pub use pool::{BufferPool, PooledBuffer};
pub use stats::{Counter, Stage, Stats};
pub use workers::Workers;
