//! The shell side: every script in `pipelines/`, and every command of the README and of the elements' documentation,
//! run as they stand, but for cameras and screens.
//!
//! Read next: `process` (a program with a deadline), `pipelines` (one test for each script), `documentation`.

mod documentation;
mod metrics;
mod pipelines;
mod process;
mod quality;
