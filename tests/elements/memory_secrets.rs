//! What stands in a process's memory: of a running encrypter nothing that opens earlier epochs, of elements that are gone
//! no key at all. Another process looks, so that what it looks for is not there because it looks.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use aws_lc_rs::aead;
use gst::prelude::*;

use super::{
    common::{FOLDER, Keys, in_time, init},
    packets::joined,
    pictures::{caps, frames, info},
    rig::{Item, Rig, buffers, eos, start},
};

const FRAMES_OF_AN_EPOCH: usize = 10;

/// Runs one side of a test in a process of its own: says when it has come to a point, and waits there.
struct Looked {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Looked {
    fn start(test: &str, keys: &Keys) -> Looked {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]).env(FOLDER, keys.folder());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Looked { child, input, output: BufReader::new(output) }
    }

    /// Waits until the process is at a point.
    fn reach(&mut self, point: &str) {
        let mut line = String::new();
        while !line.trim_end().ends_with(point) {
            line.clear();
            assert!(self.output.read_line(&mut line).expect("readable") > 0, "it ended before {point}");
        }
    }

    fn go_on(&mut self) {
        self.input.write_all(b"\n").expect("it waits");
    }

    /// Which of some secrets stand in the memory that the process can write.
    fn find<'a>(&self, secrets: &'a [(String, Vec<u8>)]) -> Vec<&'a str> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let mut memory = fs::File::open(proc.join("mem")).expect("a child's memory");
        let mut found = Vec::new();
        for line in fs::read_to_string(proc.join("maps")).expect("maps").lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
            let (first, last) = range.split_once('-').expect("a range");
            let [first, last] = [first, last].map(|text| u64::from_str_radix(text, 16).expect("a number"));
            let mut bytes = vec![0; (last - first) as usize];
            let read = memory.seek(SeekFrom::Start(first)).and_then(|_| memory.read_exact(&mut bytes));
            if !rights.starts_with("rw") || read.is_err() {
                continue;
            }
            let finders = secrets.iter().filter(|(_, secret)| memchr::memmem::find(&bytes, secret).is_some());
            found.extend(finders.map(|(name, _)| name.as_str()));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Drop for Looked {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the process that is looked into waits.
fn at(point: &str) {
    println!("{point}");
    std::io::stdin().read_line(&mut String::new()).expect("somebody looks");
}

fn small() -> gst_video::VideoInfo {
    info("GRAY8", 64, 24)
}

fn encrypter_line(folder: &Path, keys: &str) -> String {
    format!(
        "chaosenc {keys} camera-key-file={} rekey-frames={FRAMES_OF_AN_EPOCH}",
        folder.join("signing.key").display()
    )
}

#[test]
#[ignore = "another test runs it"]
fn encrypting_process() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("a folder"));
    init();
    let rig =
        Rig::new(&encrypter_line(&folder, &format!("recipient-file={}", folder.join("recipients.txt").display())));
    rig.feed(start(&caps(&small())));
    rig.feed(frames(&small(), 25).into_iter().map(Item::Buffer));
    // Three headers.
    let items = rig.until_buffers(28);
    fs::write(folder.join("packets"), joined(&buffers(&items).into_iter().cloned().collect::<Vec<_>>()))
        .expect("written");
    at("RUNNING");
    rig.feed([eos()]);
    drop(rig);
    at("GONE");
}

#[test]
#[ignore = "another test runs it"]
fn both_ways_process() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("a folder"));
    init();
    let file = |name: &str| folder.join(name).display().to_string();
    let (psk, passphrase) =
        (format!("key-file={}", file("psk.key")), format!("passphrase-file={}", file("passphrase")));
    let rig = Rig::new(&format!(
        "{} ! tee name=t ! chaosdec {psk} {passphrase} identity-file={}",
        encrypter_line(&folder, &format!("{psk} {passphrase}")),
        file("cam.key")
    ));
    let packets = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (pad, noted) = (rig.element("chaosenc").static_pad("src").expect("a source pad"), packets.clone());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probed| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &probed.data {
            noted.lock().expect("not poisoned").push(buffer.clone());
        }
        gst::PadProbeReturn::Ok
    });
    rig.feed(start(&caps(&small())));
    rig.feed(frames(&small(), 25).into_iter().map(Item::Buffer));
    rig.until_buffers(25);
    fs::write(folder.join("packets"), joined(&packets.lock().expect("not poisoned"))).expect("written");
    at("RUNNING");
    rig.feed([eos()]);
    drop(rig);
    at("GONE");
}

/// The secrets of each epoch up to 2 and their keys, after FORMAT.md, sections 2 and 4.
fn secrets_of_stream(head: &[u8], root: [u8; 32]) -> Vec<(String, Vec<u8>)> {
    let head_hash = blake3::hash(head);
    let derive = |usage: &str, secret: &[u8; 32]| {
        let context = format!("chaosveil v1 {usage} aes-256-gcm hardened");
        blake3::derive_key(&context, &[&secret[..], head_hash.as_bytes()].concat())
    };
    let (mut secret, mut list) = (root, Vec::new());
    for epoch in 0..3 {
        list.push((format!("secret of epoch {epoch}"), secret.to_vec()));
        for usage in ["seal", "chaos", "mac"] {
            list.push((format!("{usage} key of epoch {epoch}"), derive(usage, &secret).to_vec()));
        }
        secret = derive("ratchet", &secret);
    }
    list.push(("header key".into(), derive("header", &root).to_vec()));
    // An allocator that takes a buffer back writes over its first bytes.
    list.push(("second half of the secret of epoch 0".into(), root[16..].to_vec()));
    list
}

/// HEAD of a stream and its key groups.
fn head_of(packets: &[u8]) -> (&[u8], Vec<(u8, &[u8])>) {
    let head = &packets[..u32::from_le_bytes(packets[12..16].try_into().expect("four bytes")) as usize];
    let (mut at, mut groups) = (40, Vec::new());
    while at < head.len() {
        let len = usize::from(u16::from_le_bytes([head[at + 2], head[at + 3]]));
        groups.push((head[at], &head[at + 4..][..len]));
        at += 4 + len;
    }
    (head, groups)
}

#[test]
fn a_running_encrypter_cannot_open_earlier_epochs() {
    in_time(|| {
        let keys = Keys::new();
        let mut looked = Looked::start("memory_secrets::encrypting_process", &keys);
        looked.reach("RUNNING");
        let packets = fs::read(keys.path("packets")).expect("written");
        let (head, groups) = head_of(&packets);
        let identity = keys.text("cam.key");
        let identity = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("an identity");
        let identity: age::x25519::Identity = identity.parse().expect("valid");
        let root: [u8; 32] = age::decrypt(&identity, groups[0].1).expect("its own").try_into().expect("32 bytes");
        let secrets = secrets_of_stream(head, root);
        let found = looked.find(&secrets);
        assert!(found.contains(&"chaos key of epoch 2"), "what is in use is found: {found:?}");
        let opens_earlier: Vec<_> =
            found.iter().filter(|name| name.ends_with("epoch 0") || name.ends_with("epoch 1")).collect();
        assert!(opens_earlier.is_empty(), "{opens_earlier:?}");
        looked.go_on();
        looked.reach("GONE");
        let (seed, digits) = keys.hex_key("signing.key");
        let secrets =
            [&secrets[..], &[("camera's seed".into(), seed), ("its digits".into(), digits.into_bytes())]].concat();
        assert_eq!(looked.find(&secrets), Vec::<&str>::new());
    });
}

#[test]
fn elements_that_are_gone_leave_no_key() {
    in_time(|| {
        let keys = Keys::new();
        let mut looked = Looked::start("memory_secrets::both_ways_process", &keys);
        looked.reach("RUNNING");
        let packets = fs::read(keys.path("packets")).expect("written");
        let (head, groups) = head_of(&packets);
        let (psk, psk_digits) = keys.hex_key("psk.key");
        let (_, group) = groups.iter().find(|(kind, _)| *kind == 3).expect("a pre-shared-key group");
        let kek = blake3::derive_key("chaosveil v1 psk", &[&psk[..], &group[..32]].concat());
        let cipher = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &kek).expect("32 bytes"));
        let mut sealed = group[32..].to_vec();
        let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
        let root = cipher.open_in_place(nonce, aead::Aad::from(&head[16..32]), &mut sealed).expect("its own");
        let mut secrets = secrets_of_stream(head, (&*root).try_into().expect("32 bytes"));
        let found = looked.find(&secrets);
        assert!(found.contains(&"secret of epoch 0"), "a reader keeps the root: {found:?}");
        let (seed, seed_digits) = keys.hex_key("signing.key");
        let identity = keys.text("cam.key");
        let identity = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("an identity");
        secrets.extend([
            ("pre-shared key".to_owned(), psk),
            ("its digits".to_owned(), psk_digits.into_bytes()),
            ("key that wraps".to_owned(), kek.to_vec()),
            ("camera's seed".to_owned(), seed),
            ("its digits".to_owned(), seed_digits.into_bytes()),
            ("passphrase".to_owned(), keys.text("passphrase").trim_end().into()),
            ("identity".to_owned(), identity[..40].into()),
        ]);
        looked.go_on();
        looked.reach("GONE");
        assert_eq!(looked.find(&secrets), Vec::<&str>::new());
    });
}
