//! What only shows in the long run: exact counts behind a bad line, joining late, new caps and keys again and
//! again, little read for a part of an hour, memory that stays flat.
//!
//! Each test is short here and long where the environment says so; `tests/endurance.sh` runs the long forms and keeps
//! their records under `benches/results`. `trace` draws what befalls packets, `model` says what a reader has to count of
//! it and shares no code with the reader, `line` runs pipelines.

mod excerpt;
mod late_join;
mod line;
mod model;
mod new_caps;
mod record;
mod survival;
mod trace;
mod traces;
mod traces_of_elements;
