//! No nonce comes twice under one key, whatever becomes of the process that seals: it is killed at random moments and
//! started again from the same files.
//!
//! Keys are told apart by the commitment in the stream header. It is a hash of the root and the HEAD, and so is the key
//! that frames are sealed with (FORMAT.md, sections 2 and 4): two streams with one key would have one commitment. In a
//! stream the nonce of a frame is its counter and a segment's number; that of a description, its counter too.
//!
//! `tests/endurance.sh` runs the long form.

use std::{
    collections::HashSet,
    env, fs,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

use gstchaosveil::{
    analysis::random::Random,
    backend::{self, Choice},
    seal::{
        Aead, Description, Engine, FrameSealer, Profile, Recipients, Record, StreamSecrets, StreamWriter,
        create_preshared,
    },
};
use serde_json::json;

use record::{number, record};

#[path = "endurance/record.rs"]
mod record;

/// Names the sealing process's folder.
const FOLDER: &str = "NONCE_FOLDER";
const COMMITMENT_BYTES: usize = 32;
const COUNTER_BYTES: usize = 8;

/// The process that is killed: it seals frames from a key file, and tells on its standard error the commitment of its
/// stream, and then the counter of everything that it has sealed. A test that does nothing when it is called as one.
#[test]
fn sealing_process() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let mut told = std::io::stderr();
    let mut recipients = Recipients::default();
    recipients.set_preshared_file(&Path::new(&folder).join("psk.key")).expect("a key file");
    let secrets = StreamSecrets::random().expect("random bytes");
    let mut writer = StreamWriter::new(Profile::Hardened, Aead::Aes256Gcm, &recipients, secrets).expect("a key");
    let backend = backend::choose(Choice::Portable).expect("every machine has it");
    let mut sealer = FrameSealer::new(writer.keys(), Engine { backend, pool: None });
    let header = writer.describe(&Description { tracks: 1, ..Description::default() }).expect("it fits");
    // FORMAT.md, section 2: the tail begins with the commitment and the description's counter.
    let head = u32::from_le_bytes(header[12..16].try_into().expect("four bytes")) as usize;
    told.write_all(&header[head..][..COMMITMENT_BYTES + COUNTER_BYTES]).expect("somebody listens");
    let mut packet = Vec::new();
    loop {
        let ticket = writer.frame(16).expect("within limits");
        let record = Record { description: ticket.description(), ..Record::default() };
        sealer.seal_packet(ticket, &record, &[0; 16][..], &mut packet).expect("seals");
        told.write_all(&packet[32..40]).expect("somebody listens");
    }
}

/// Cameras at work at the same time, all restored from one backup.
const CAMERAS: u64 = 8;

/// The files of cameras, as a backup has them and as they are.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("backup")).expect("made");
        create_preshared(&folder.path().join("backup/psk.key")).expect("a key file");
        Disk { folder }
    }

    /// Puts a camera's files back as they were, and nothing else, and starts its process.
    fn start(&self, camera: u64) -> Child {
        let camera = self.folder.path().join(format!("camera-{camera}"));
        let _ = fs::remove_dir_all(&camera);
        fs::create_dir(&camera).expect("made");
        fs::copy(self.folder.path().join("backup/psk.key"), camera.join("psk.key")).expect("copied");
        Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "sealing_process", "--nocapture"])
            .env(FOLDER, &camera)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts")
    }
}

/// What a process has told before it was killed.
fn told_until_killed(mut child: Child, random: &mut Random) -> Vec<u8> {
    let mut stderr = child.stderr.take().expect("piped");
    let mut told = vec![0; COMMITMENT_BYTES + COUNTER_BYTES];
    // One in sixteen is killed whatever it is at, before it has told anything perhaps.
    if random.below(16) > 0 {
        stderr.read_exact(&mut told).expect("every process comes so far");
    } else {
        told.clear();
    }
    sleep(Duration::from_micros(random.below(2000) as u64));
    child.kill().expect("SIGKILL");
    child.wait().expect("it has ended");
    stderr.read_to_end(&mut told).expect("the pipe is still ours");
    told
}

#[test]
fn killed_and_restored_a_writer_repeats_no_nonce() {
    let cycles = number("ENDURANCE_CYCLES", 100);
    let (disk, begun) = (Disk::new(), Instant::now());
    let (commitments, sealed, done) = (Mutex::new(HashSet::new()), AtomicU64::new(0), AtomicU64::new(0));
    let work = &|camera: u64| {
        let mut random = Random::new(&[camera as u8; 32], "kills");
        loop {
            let cycle = done.fetch_add(1, Relaxed);
            if cycle >= cycles {
                return;
            }
            if cycle % 1000 == 999 {
                println!("{cycle} cycles, {} s", begun.elapsed().as_secs());
            }
            let told = told_until_killed(disk.start(camera), &mut random);
            let Some((commitment, counters)) = told.split_first_chunk::<COMMITMENT_BYTES>() else { continue };
            let is_new = commitments.lock().expect("no panic").insert(*commitment);
            assert!(is_new, "a key that was used before");
            // The last may be torn.
            for (expected, counter) in counters.chunks_exact(COUNTER_BYTES).enumerate() {
                assert_eq!(counter, (expected as u64).to_le_bytes(), "each counter once, in order");
                sealed.fetch_add(1, Relaxed);
            }
        }
    };
    thread::scope(|scope| (0..CAMERAS).for_each(|camera| drop(scope.spawn(move || work(camera)))));
    let streams = commitments.into_inner().expect("no panic").len() as u64;
    assert!(streams >= cycles * 9 / 10, "only {streams} processes came to seal");
    let figures = json!({
        "cycles": cycles, "cameras": CAMERAS, "streams": streams, "pairs_of_key_and_counter": sealed.into_inner(),
        "repeated": 0, "seconds": begun.elapsed().as_secs(),
    });
    record("nonces", figures);
}
