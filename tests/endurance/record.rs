//! How long a test is, and where its figures go.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};

/// A number from the environment, or the one with which the test is short.
pub fn number(name: &str, short: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => short,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not {text}")),
    }
}

/// Prints what was measured, and writes it to `TEST-NAME.json` in the folder that `ENDURANCE_RECORDS` names, if it does.
pub fn record(test: &str, mut figures: Value) {
    println!("{test}: {figures}");
    let Some(folder) = std::env::var_os("ENDURANCE_RECORDS") else { return };
    let name = std::env::var("ENDURANCE_NAME").unwrap_or_else(|_| std::env::consts::ARCH.to_owned());
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let git = |arguments: &[&str]| {
        let ran = Command::new("git").args(arguments).output();
        ran.map(|ran| String::from_utf8_lossy(&ran.stdout).trim().to_owned()).unwrap_or_default()
    };
    // Records change what they record of no more than a README does.
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!benches/results", ":!*.md"]);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]) + if changed.is_empty() { "" } else { "+" };
    figures["machine"] = json!(cpu.trim_start_matches(['\t', ' ', ':']));
    figures["commit"] = json!(commit);
    figures["command"] = json!(std::env::var("ENDURANCE_COMMAND").unwrap_or_default());
    let path = PathBuf::from(folder).join(format!("{test}-{name}.json"));
    let text = serde_json::to_string_pretty(&figures).expect("plain data");
    std::fs::write(&path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
