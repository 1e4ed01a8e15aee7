#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstchaosveil::fuzzing::run("track_counts", bytes));
