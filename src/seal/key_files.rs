//! Files that hold keys: reading, writing, and errors that never show their content.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use age::secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{
    camera::{CAMERA_KEY_PREFIX, CameraId, CameraKey},
    keys::Secret,
};
use crate::{Error, Result};

/// Start of the one line of a pre-shared key file.
const PRESHARED_PREFIX: &str = "CHAOSVEIL-PSK-1:";
/// A key file is never longer. A fuzzer comes past a small limit, too, and would wipe a megabyte for each of its inputs.
const KEY_FILE_BYTES: u64 = if cfg!(fuzzing) { 1 << 11 } else { 1 << 20 };

fn bad(path: &Path, reason: impl Into<String>) -> Error {
    Error::KeyFile { path: path.to_owned(), reason: reason.into() }
}

/// Text of a key file, wiped when dropped.
pub(super) fn read_text(path: &Path) -> Result<Zeroizing<String>> {
    // Room for all of it from the start: growing would leave copies behind. What is no file tells no length.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES as usize + 1));
    let read = fs::File::open(path).and_then(|file| file.take(KEY_FILE_BYTES + 1).read_to_end(&mut bytes));
    if read.map_err(|e| bad(path, e.to_string()))? as u64 > KEY_FILE_BYTES {
        return Err(bad(path, "larger than any key file"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| bad(path, "it is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// First line of a passphrase file.
pub(super) fn read_passphrase(path: &Path) -> Result<SecretString> {
    let text = read_text(path)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line.to_owned())),
        _ => Err(bad(path, "its first line, the passphrase, is empty")),
    }
}

/// The key of a pre-shared key file.
pub(super) fn read_preshared(path: &Path) -> Result<Secret> {
    read_hex_key(path, PRESHARED_PREFIX, "pre-shared key", "--preshared")
}

/// The 32 bytes of a file of one line: `prefix` and their hexadecimal digits. `option` of `keygen` makes such files.
pub(super) fn read_hex_key(path: &Path, prefix: &str, what: &str, option: &str) -> Result<Secret> {
    let text = read_text(path)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let digits =
        lines.next().and_then(|line| line.strip_prefix(prefix)).filter(|_| lines.next().is_none()).ok_or_else(
            || bad(path, format!("it is no {what} file; make one with `chaosveil keygen {option} -o FILE`")),
        )?;
    let key = hex_bytes(digits).map(Zeroizing::new);
    let key = key.ok_or_else(|| bad(path, format!("a {what} has 64 hexadecimal digits, 0 to 9 and a to f")))?;
    Ok(Secret::copy_of(&key))
}

/// 32 bytes written as hexadecimal digits.
pub(super) fn hex_bytes(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Makes a new age identity in a new file of mode 0600 and returns its recipient.
///
/// # Errors
/// [`Error::KeyFile`] if the file exists or cannot be written.
pub fn create_identity(path: &Path) -> Result<String> {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    let comment = format!("# recipient: {recipient}\n");
    // As large as it gets: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(comment.len() + secret.expose_secret().len() + 1));
    text.push_str(&comment);
    text.push_str(secret.expose_secret());
    text.push('\n');
    create_secret_file(path, text.as_bytes())?;
    Ok(recipient)
}

/// Makes a new pre-shared key in a new file of mode 0600.
///
/// # Errors
/// [`Error::KeyFile`] if the file exists or cannot be written, [`Error::Random`].
pub fn create_preshared(path: &Path) -> Result<()> {
    let comment = "Chaosveil pre-shared key: whoever has it can encrypt and decrypt.";
    create_hex_key(path, comment, PRESHARED_PREFIX, &Secret::random()?)
}

/// Makes a new camera key in a new file of mode 0600 and returns what others know the camera by.
///
/// # Errors
/// [`Error::KeyFile`] if the file exists or cannot be written, [`Error::Random`].
pub fn create_camera(path: &Path) -> Result<CameraId> {
    let seed = Secret::random()?;
    let id = CameraKey::from_seed(seed.bytes()).id();
    create_hex_key(path, &format!("camera: {id}"), CAMERA_KEY_PREFIX, &seed)?;
    Ok(id)
}

fn create_hex_key(path: &Path, comment: &str, prefix: &str, key: &Secret) -> Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(comment.len() + prefix.len() + 80));
    text.push_str(&format!("# {comment}\n{prefix}"));
    for byte in key.bytes() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    text.push('\n');
    create_secret_file(path, text.as_bytes())
}

fn create_secret_file(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => bad(path, "it exists already and will not be overwritten"),
            _ => bad(path, e.to_string()),
        })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| {
        // No half of a key stays under the name of one.
        let _ = fs::remove_file(path);
        Error::Io { what: path.display().to_string(), source }
    })
}
