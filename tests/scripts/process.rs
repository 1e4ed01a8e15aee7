//! Programs of the shell side, with a deadline and a folder of their own.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    iter,
    net::{TcpListener, UdpSocket},
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::LazyLock,
    thread::sleep,
    time::{Duration, Instant},
};

/// No program of these tests works longer than a few seconds; the rest is room for a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// The crate's root.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder with the program and the plugin that were built for this test.
pub static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = Path::new(env!("CARGO_BIN_EXE_chaosveil"));
    // Cargo leaves a plugin that it builds for tests beside them.
    let tests = env::current_exe().expect("a program knows its name");
    let plugin = tests.with_file_name("libgstchaosveil.so");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("built");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, target) in [("chaosveil", program), ("libgstchaosveil.so", &plugin)] {
        let link = folder.join(name);
        let _ = fs::remove_file(&link);
        symlink(target, link).expect("a link");
    }
    folder
});

/// What `gst-launch-1.0` and `chaosveil` need to be found and to find the plugin.
pub fn environment() -> [(&'static str, OsString); 3] {
    let registry = Path::new(env!("CARGO_TARGET_TMPDIR")).join("registry.bin");
    let path =
        env::join_paths(iter::once(BUILT.clone()).chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())));
    [
        ("GST_PLUGIN_PATH", BUILT.clone().into_os_string()),
        ("GST_REGISTRY", registry.into_os_string()),
        ("PATH", path.expect("no colon in the target folder's name")),
    ]
}

/// A running program. Dropped, it is killed, with all that it started.
pub struct Running {
    child: Child,
    shown: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a program left.
pub struct Finished {
    status: ExitStatus,
    shown: String,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    /// Starts a program in `folder`, which also keeps what it prints.
    pub fn start(mut command: Command, folder: &Path) -> Running {
        let shown = format!("{command:?}");
        let log = tempfile::Builder::new().prefix("log-").tempdir_in(folder).expect("a folder").keep();
        let (stdout, stderr) = (log.join("stdout"), log.join("stderr"));
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file"))
            .stderr(File::create(&stderr).expect("a file"))
            .process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        Running { child, shown, stdout, stderr }
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            match self.child.try_wait().expect("our child") {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("no end after {DEADLINE:?}: {}{}", self.shown, self.said()),
                None => sleep(POLL),
            }
        };
        let read = |path| String::from_utf8_lossy(&fs::read(path).expect("its output")).into_owned();
        Finished { status, shown: self.shown.clone(), stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    /// Waits until it, or anyone, listens on a port of this machine.
    pub fn wait_for_port(&mut self, protocol: &str, port: u16) {
        self.wait_for("a listener", || is_bound(protocol, port));
    }

    /// Waits until something is so while it runs.
    pub fn wait_for(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so() {
            let ended = self.child.try_wait().expect("our child").is_some();
            assert!(!ended && Instant::now() < deadline, "waiting for {what}: {}{}", self.shown, self.said());
            sleep(POLL);
        }
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&mut self) {
        self.signal("-INT");
    }

    /// Sends it and all that it started a signal, as `kill` names it.
    pub fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args([signal, "--", &group]).status();
    }

    fn said(&self) -> String {
        format!("\n{}", fs::read_to_string(&self.stderr).unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("-KILL");
            let _ = self.child.wait();
        }
    }
}

impl Finished {
    /// It ended well.
    #[track_caller]
    pub fn success(self) -> Finished {
        assert!(self.status.success(), "{}: {}\n{}{}", self.shown, self.status, self.stdout, self.stderr);
        self
    }

    /// It ended with this code.
    #[track_caller]
    pub fn failure(self, code: i32) -> Finished {
        assert_eq!(self.status.code(), Some(code), "{}\n{}{}", self.shown, self.stdout, self.stderr);
        self
    }
}

/// A port that nobody has.
pub fn free_port(protocol: &str) -> u16 {
    let address = match protocol {
        "tcp" => TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()),
        _ => UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()),
    };
    address.expect("a free port").port()
}

/// Whether a TCP socket listens on a port, or a UDP socket has it. Asking by connecting would use up a receiver that
/// takes one sender.
fn is_bound(protocol: &str, port: u16) -> bool {
    const LISTENING: &str = "0A";
    let suffix = format!(":{port:04X}");
    let bound = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, state) = (fields.next(), fields.next(), fields.next());
        local.is_some_and(|local| local.ends_with(&suffix)) && (protocol == "udp" || state == Some(LISTENING))
    };
    ["", "6"].into_iter().any(|family| {
        fs::read_to_string(format!("/proc/net/{protocol}{family}")).is_ok_and(|table| table.lines().any(bound))
    })
}
