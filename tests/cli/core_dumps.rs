//! A crash of the program leaves no image of its memory, in which keys would stand.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::workplace::Workplace;

/// Lets a shell start a program under no limit for core dumps, and kills it as a crash would.
fn crash(place: &Workplace, program: &str, ready: impl Fn(u32) -> bool) -> ExitStatus {
    let line = format!("ulimit -c unlimited; cd {}; exec {program}", place.path("").display());
    let mut child = Command::new("sh").args(["-c", &line]).stdin(Stdio::piped()).spawn().expect("starts");
    let begun = Instant::now();
    while !ready(child.id()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{program} does not come up");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().expect("kill runs").success());
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.signal(), Some(6), "{ended}");
    ended
}

fn name_of(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim().to_owned()
}

#[test]
fn no_core_is_dumped() {
    let place = Workplace::new();
    if !crash(&place, "sleep 20", |process| name_of(process) == "sleep").core_dumped() {
        println!("skipped in part: this system dumps no core of anybody");
    }
    let program = env!("CARGO_BIN_EXE_chaosveil");
    let waiting = format!("{program} encrypt --input-form png --output-form cveil -k psk.key - -o - > sealed");
    let limits = |process: u32| fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
    let ended = crash(&place, &waiting, |process| {
        let limits = limits(process);
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        name_of(process) == "chaosveil" && core.is_some_and(|core| core.split_ascii_whitespace().next() == Some("0"))
    });
    assert!(!ended.core_dumped());
}
