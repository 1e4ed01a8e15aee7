//! The elements as a user meets them: `chaosenc` and `chaosdec` in pipelines, with good, damaged and hostile input.
//!
//! `common` starts GStreamer, makes key files and runs launch lines; `rig` drives a bin from the test's own pads, so
//! that every buffer and event is seen in order; `pictures` makes raw frames and compares their visible rows.

mod analyze;
mod bad_input;
mod camera;
mod chaosfault;
mod classificationtext;
#[cfg(feature = "nn")]
mod classify;
mod common;
mod damage;
mod fail_closed;
mod flow;
mod guard;
mod key_request;
mod life_cycle;
mod loss;
mod memory_secrets;
mod metadata;
mod packets;
mod pictures;
mod rekey;
mod rig;
mod round_trips;
mod sealed_oddities;
mod secrets;
mod streams;
mod transports;
