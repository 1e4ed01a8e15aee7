//! A folder with keys in it, and the built program.

use std::{
    fs,
    io::{Read, Write},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::process::DEADLINE;

/// How often a program is looked at.
const POLL: Duration = Duration::from_millis(2);

/// Exit codes of the program.
pub mod code {
    pub const OTHER: i32 = 1;
    pub const USAGE: i32 = 2;
    pub const KEY: i32 = 3;
    pub const CONTENT: i32 = 4;
    pub const MISSING: i32 = 5;
}

/// A temporary folder with an identity `cam.key` and a pre-shared key `psk.key`.
pub struct Workplace {
    folder: tempfile::TempDir,
    /// The identity's recipient.
    pub recipient: String,
}

/// A command that is built up by value.
pub struct Program(Command);

impl Program {
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Program {
        self.0.arg(argument);
        self
    }

    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Program {
        self.0.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Program {
        self.0.env(name, value);
        self
    }

    pub fn stdin(mut self, file: impl Into<Stdio>) -> Program {
        self.0.stdin(file);
        self
    }

    pub fn stdout(mut self, file: impl Into<Stdio>) -> Program {
        self.0.stdout(file);
        self
    }

    /// Runs it, without input unless it has been given some, until its end or the deadline.
    pub fn output(&mut self) -> Output {
        self.0.stderr(Stdio::piped());
        output_in_time(self.0.spawn().expect("runs"), &self.0)
    }

    /// The command itself, for who lets it run.
    pub fn into_command(self) -> Command {
        self.0
    }
}

impl Deref for Program {
    type Target = Command;

    fn deref(&self) -> &Command {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Command {
        &mut self.0
    }
}

impl Workplace {
    pub fn new() -> Workplace {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut place = Workplace { folder, recipient: String::new() };
        let ran = place.done(place.chaosveil("keygen").arg("-o").arg(place.path("cam.key")));
        place.recipient = stdout(&ran).trim().to_owned();
        place.done(place.chaosveil("keygen").arg("--preshared").arg("-o").arg(place.path("psk.key")));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn chaosveil(&self, subcommand: &str) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaosveil"));
        command.arg(subcommand).env_remove("CHAOSVEIL_BACKEND").stdin(Stdio::null()).stdout(Stdio::piped());
        Program(command)
    }

    pub fn encrypt(&self, input: &Path, output: &Path) -> Program {
        self.chaosveil("encrypt").args(["-r", &self.recipient]).arg(input).arg("-o").arg(output)
    }

    pub fn decrypt(&self, input: &Path, output: &Path) -> Program {
        self.chaosveil("decrypt").arg("-i").arg(self.path("cam.key")).arg(input).arg("-o").arg(output)
    }

    /// Runs a command that must succeed.
    pub fn done(&self, mut command: Program) -> Output {
        let ran = command.output();
        assert!(ran.status.success(), "{command:?}\n{}", stderr(&ran), command = command.0);
        ran
    }

    /// Runs a command that must fail with a code and a message; returns all that it said.
    pub fn failed(&self, mut command: Program, code: i32, message: &str) -> String {
        let ran = command.output();
        let said = stderr(&ran);
        assert_eq!(ran.status.code(), Some(code), "{:?}\n{said}", command.0);
        assert!(said.contains(message), "`{message}` is not in: {said}");
        assert!(["chaosveil: ", "Usage:", "error: "].iter().any(|start| said.contains(start)), "{said}");
        said
    }

    /// Runs a command that must succeed on `input` and returns its output.
    pub fn piped(&self, mut command: Program, input: &[u8]) -> Vec<u8> {
        let ran = run_with_stdin(&mut command, input);
        assert!(ran.status.success(), "{:?}\n{}", command.0, stderr(&ran));
        ran.stdout
    }

    /// Runs a command that must print JSON.
    pub fn json(&self, command: Program) -> serde_json::Value {
        serde_json::from_slice(&self.done(command).stdout).expect("JSON")
    }

    /// The secret line of a key file.
    pub fn secret(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(name)).expect("a key file");
        text.lines().find(|line| !line.starts_with('#')).expect("a key").to_owned()
    }

    /// Every file below a folder, sorted.
    pub fn names(&self, folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let name = entry.file_name().into_string().expect("text");
            match entry.path().is_dir() {
                true => names.extend(self.names(&entry.path()).into_iter().map(|below| format!("{name}/{below}"))),
                false => names.push(name),
            }
        }
        names.sort();
        names
    }

    /// Whether 16 successive bytes of `plain` stand in `sealed`.
    pub fn contains_plain(&self, sealed: &[u8], plain: &[u8]) -> bool {
        let pieces: std::collections::HashSet<&[u8]> = sealed.windows(16).collect();
        plain.windows(16).any(|window| pieces.contains(window))
    }
}

pub fn run_with_stdin(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A program that fails early closes the pipe; what it says is judged, not that.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = output_in_time(child, command);
    writer.join().expect("the writer does not panic");
    output
}

/// What a program prints until it ends. One that does not end in time is killed, and that is a failure.
fn output_in_time(mut child: Child, command: &Command) -> Output {
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        match child.try_wait().expect("our child") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let said = stderr.map(|stderr| stderr.join().expect("a reader does not panic")).unwrap_or_default();
                panic!("no end after {DEADLINE:?}: {command:?}\n{}", String::from_utf8_lossy(&said));
            }
            None => std::thread::sleep(POLL),
        }
    };
    let all = |reader: Option<JoinHandle<Vec<u8>>>| {
        reader.map(|reader| reader.join().expect("a reader does not panic")).unwrap_or_default()
    };
    Output { status, stdout: all(stdout), stderr: all(stderr) }
}

/// Reads on while the program runs, or it would wait for that.
fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

pub fn stdout(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

pub fn stderr(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}
