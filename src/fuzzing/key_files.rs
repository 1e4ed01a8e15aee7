//! Files of keys: read as every kind, and never shown.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    os::fd::AsRawFd,
    path::PathBuf,
    sync::{LazyLock, Mutex, PoisonError},
};

use super::program::Program;
use crate::{
    Error, Result,
    seal::{CameraKey, Identities, Recipients},
};

/// A file without a name, in memory where there is such a place: a disk would be waited for.
static FILE: LazyLock<Mutex<File>> = LazyLock::new(|| {
    let file = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile());
    Mutex::new(file.expect("a temporary file"))
});

/// `u8 which | content`.
pub fn run(bytes: &[u8]) {
    let mut program = Program(bytes);
    let (which, content) = (program.byte() % 6, program.rest());
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).expect("a file");
    file.write_all(content).expect("room for it");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let (mut identities, mut recipients) = (Identities::default(), Recipients::default());
    let read = match which {
        0 => identities.add_file(&path),
        1 => identities.set_preshared_file(&path),
        2 => identities.set_passphrase_file(&path),
        3 => recipients.add_file(&path),
        4 => recipients.set_preshared_file(&path),
        _ => CameraKey::read(&path).map(drop),
    };
    let is_empty = match which {
        0..3 => identities.is_empty(),
        3 | 4 => recipients.is_empty(),
        _ => false,
    };
    assert!(read.is_err() || !is_empty, "a file without a key is refused");
    let start = match which {
        1 | 4 => Some("CHAOSVEIL-PSK-1:"),
        5 => Some("CHAOSVEIL-CAMERA-1:"),
        _ => None,
    };
    if let Some(start) = start {
        assert_eq!(read.is_ok(), holds_one_line(content, start), "such a key file is one line of 64 digits");
    }
    assert_tells_nothing(&read, content);
}

/// Section 3 of the format once more.
fn holds_one_line(content: &[u8], start: &str) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    let lines: Vec<_> = text.split('\n').map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let [line] = lines[..] else { return false };
    let Some(digits) = line.strip_prefix(start) else { return false };
    digits.len() == 64 && digits.chars().all(|digit| "0123456789abcdef".contains(digit))
}

/// An error names the file and what is wrong, and shows nothing that could be a key: no long word with digits, of which our
/// own sentences have none.
fn assert_tells_nothing(read: &Result<()>, content: &[u8]) {
    let Err(Error::KeyFile { reason, .. }) = read else { return };
    let secret = |word: &&[u8]| word.len() >= 20 && word.iter().any(u8::is_ascii_digit);
    for word in content.split(u8::is_ascii_whitespace).filter(secret) {
        let shown = reason.as_bytes().windows(word.len()).any(|window| window == word);
        assert!(!shown, "an error shows what is in a key file");
    }
}
