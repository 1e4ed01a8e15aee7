//! What only shows in the long run: exact counts behind a bad line, joining late, new caps again and again, memory that
//! stays flat.
//!
//! Each test is short here and long where the environment says so; `tests/endurance.sh` runs the long forms and keeps
//! their records under `benches/results`. `trace` draws what befalls packets, `model` says what a reader has to count of
//! it and shares no code with the reader, `line` runs pipelines.

mod late_join;
mod line;
mod model;
mod new_caps;
mod record;
mod survival;
mod trace;
mod traces;
mod traces_of_elements;
