//! The command line as its users meet it: the built program, its files, its exit codes.

mod analyze;
mod attack;
mod bench;
mod camera;
#[cfg(feature = "nn")]
mod classify;
mod clips;
#[cfg(feature = "nn")]
mod comparison;
mod core_dumps;
mod damage;
mod excerpts;
mod failures;
mod labels;
mod pictures;
#[path = "../scripts/process.rs"]
#[allow(dead_code, reason = "the tests of the scripts use more of it")]
mod process;
mod randomness;
mod raw_videos;
mod signals;
mod tracks;
mod verify;
mod videos;
mod workplace;

// The help of a build without networks names fewer commands.
#[cfg(feature = "nn")]
#[test]
fn help_and_usage_errors() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
