//! Every `gst-launch-1.0` and `chaosveil` command that README and documentation show, run in the order of the text, all
//! of one document in one folder: what an early command makes a later one may use.
//!
//! Only devices are replaced: a camera by a test picture, a screen by nothing, a virtual webcam by a file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::{ROOT, Running, environment};

#[test]
fn readme() {
    let commands = commands(&fs::read_to_string(Path::new(ROOT).join("README.md")).expect("the README"), "");
    assert!(commands.len() >= 10, "{} commands", commands.len());
    run_all(&commands);
}

#[test]
fn documentation_of_modules() {
    let read = |path| fs::read_to_string(path).expect("readable");
    let commands: Vec<_> =
        rust_files(&Path::new(ROOT).join("src")).into_iter().flat_map(|path| commands(&read(path), "//")).collect();
    assert!(commands.len() >= 2, "each element has a command in its documentation: {commands:?}");
    let prepared = [
        "chaosveil keygen --preshared -o psk.key".to_owned(),
        "gst-launch-1.0 videotestsrc num-buffers=30 ! chaosenc key-file=psk.key ! filesink location=test.cveil"
            .to_owned(),
    ];
    run_all(&[&prepared[..], &commands].concat());
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] }).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// The commands of a text whose lines, or those of interest, begin with `comment`; continued lines are joined.
fn commands(text: &str, comment: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix(comment));
    let mut commands = Vec::new();
    let mut begun = String::new();
    for line in lines.map(|line| line.trim_start_matches(['/', '!']).trim().trim_start_matches("$ ")) {
        let is_command = line.starts_with("gst-launch-1.0 ") || line.starts_with("chaosveil ");
        if !is_command && begun.is_empty() {
            continue;
        }
        begun.push_str(line);
        match begun.strip_suffix('\\').map(str::to_owned) {
            Some(more) => begun = more,
            None => commands.push(std::mem::take(&mut begun)),
        }
    }
    commands
}

fn run_all(commands: &[String]) {
    let folder = tempfile::tempdir().expect("a folder");
    make_media(folder.path());
    // A receiver waits for the sender that the next command starts.
    let mut receiver = None;
    for command in commands {
        if !cfg!(feature = "nn") && command.contains("classif") {
            println!("skipped, for this build has no networks: {command}");
            continue;
        }
        let command = without_devices(command);
        let mut running = start(&command, folder.path());
        if let Some((protocol, port)) = listens(&command) {
            running.wait_for_port(protocol, port);
            receiver = Some((running, protocol));
            continue;
        }
        running.finish().success();
        if let Some((mut running, protocol)) = receiver.take() {
            // TCP ends with its sender, UDP never.
            if protocol == "udp" {
                running.interrupt();
            }
            running.finish().success();
        }
    }
}

/// The files that the documents take for granted.
fn make_media(folder: &Path) {
    for pipeline in [
        "videotestsrc num-buffers=60 ! x264enc ! mp4mux name=mux ! filesink location=clip.mp4 \
         audiotestsrc num-buffers=86 ! avenc_aac ! mux.",
        "videotestsrc num-buffers=1 ! jpegenc ! filesink location=photo.jpg",
    ] {
        start(&format!("gst-launch-1.0 -q {pipeline}"), folder).finish().success();
    }
}

fn start(command: &str, folder: &Path) -> Running {
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).envs(environment());
    Running::start(shell, folder)
}

/// A command for a machine without camera, screen and virtual webcam.
fn without_devices(command: &str) -> String {
    command
        .replace("v4l2src device=/dev/video0 ", "videotestsrc num-buffers=30 ")
        .replace("v4l2sink device=/dev/video10", "matroskamux ! filesink location=video10.mkv")
        .replace("v4l2src device=/dev/video10 ", "filesrc location=video10.mkv ! matroskademux ")
        .replace("autovideosink", "fakesink")
}

/// Protocol and port, if a command waits for others to send.
fn listens(command: &str) -> Option<(&'static str, u16)> {
    let protocol =
        [("tcpserversrc ", "tcp"), ("udpsrc ", "udp")].into_iter().find(|(source, _)| command.contains(source));
    let (_, protocol) = protocol?;
    let port = command.split_once("port=").expect("a receiver names its port").1;
    let digits = port.split(|character: char| !character.is_ascii_digit()).next().expect("split gives one part");
    Some((protocol, digits.parse().expect("a port")))
}
