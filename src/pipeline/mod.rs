//! Moves frames through workers: bounded, in order, with nothing allocated per frame once it runs.
//!
//! In: jobs from one thread. Out: their results, in the order of the jobs, to another thread. Knows frames as bytes and
//! nothing of GStreamer. Read next: [`ordered`] (queue and workers), [`pool`] (recycled buffers), [`stats`] (counters,
//! latency, time per stage), [`exporter`] (the same for Prometheus).

pub mod exporter;
pub mod ordered;
pub mod pool;
pub mod stats;

pub use ordered::{Full, OrderedQueue, Workers};
pub use pool::{BufferPool, PooledBuffer};
pub use stats::{Counter, Stage, Stats};
