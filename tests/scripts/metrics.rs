//! What an operator sees: the metrics of a running pipeline, and the dashboard made for them.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use crate::process::{BUILT, ROOT, Running, environment, free_port};

/// The page at `/metrics`, or nothing while there is none.
fn scrape(port: u16) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time above zero");
    let mut page = String::new();
    let asked = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    asked.and_then(|()| stream.read_to_string(&mut page).map(drop)).unwrap_or_default();
    page
}

/// The value of a series with these labels.
fn value(page: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let fits = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('{') && labels.iter().all(|label| rest.contains(label)))
    };
    page.lines().find(fits)?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn prometheus_sees_a_pipeline_and_the_dashboard_its_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let keygen = ["keygen", "--preshared", "-o", "psk.key"];
    let made = Command::new(BUILT.join("chaosveil")).args(keygen).current_dir(folder.path()).status();
    assert!(made.expect("runs").success());
    let port = free_port("tcp");
    let line = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=100/1 ! chaosenc name=enc \
                key-file=psk.key ! identity drop-probability=0.2 ! chaosdec name=dec key-file=psk.key ! fakesink";
    let mut command = Command::new("gst-launch-1.0");
    command.args(line.split_whitespace()).envs(environment()).env("CHAOSVEIL_METRICS", format!("127.0.0.1:{port}"));
    let mut running = Running::start(command, folder.path());
    let decrypted = |page: &str| value(page, "chaosveil_frames_out_total", &["dec", "decrypt"]).unwrap_or(0.0);
    running.wait_for("frames to be counted", || decrypted(&scrape(port)) >= 50.0);
    running.wait_for("lost frames to be counted", || {
        value(&scrape(port), "chaosveil_lost_total", &["dec"]).is_some_and(|lost| lost >= 1.0)
    });
    let page = scrape(port);
    let encrypted = value(&page, "chaosveil_frames_in_total", &["enc", "direction=\"encrypt\""]);
    assert!(encrypted >= Some(decrypted(&page)), "{page}");
    let waited = value(&page, "chaosveil_stage_seconds_count", &["enc", "stage=\"work\""]);
    assert!(waited.is_some_and(|frames| frames >= 50.0), "{page}");
    assert!(value(&page, "chaosveil_latency_seconds_bucket", &["enc", "le=\"+Inf\""]) >= Some(50.0), "{page}");
    let missing: Vec<_> = series_of_the_dashboard().into_iter().filter(|name| !page.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} of the dashboard are not in {page}");
    running.interrupt();
    running.finish();
}

/// Every series that the dashboard asks for.
fn series_of_the_dashboard() -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("src/pipeline/grafana-dashboard.json")).expect("readable");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("a list"));
    let words = targets.flat_map(|target| {
        let expression = target["expr"].as_str().expect("text").to_owned();
        let words: Vec<String> =
            expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect();
        words
    });
    let series: BTreeSet<String> = words.filter(|word| word.starts_with("chaosveil_")).collect();
    assert!(series.len() >= 10, "{series:?}");
    series
}

#[test]
fn a_taken_port_costs_the_metrics_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    std::fs::write(folder.path().join("words"), "correct horse\n").expect("written");
    let line = "videotestsrc num-buffers=3 ! chaosenc passphrase-file=words ! fakesink";
    let mut command = Command::new("gst-launch-1.0");
    command.args(line.split_whitespace()).envs(environment()).env("CHAOSVEIL_METRICS", &address);
    let ended = Running::start(command, folder.path()).finish().success();
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains(&address), "{}{}", ended.stdout, ended.stderr);
    let doctor = ["doctor", "--metrics", &address];
    let mut command = Command::new(BUILT.join("chaosveil"));
    command.args(doctor);
    let refused = Running::start(command, folder.path()).finish().failure(5);
    assert!(refused.stderr.contains(&address), "{}", refused.stderr);
}
