//! Who may open a stream: age recipients (X25519, SSH), a passphrase, a pre-shared key; each wraps the root.

use std::{io::Write, path::Path};

use age::secrecy::SecretString;
use aws_lc_rs::aead as lc;
use zeroize::Zeroizing;

use super::{
    key_files::{read_passphrase, read_preshared, read_text},
    keys::{Secret, derived},
    limits,
    stream_header::{GROUP_PASSPHRASE, GROUP_PRESHARED, GROUP_RECIPIENTS, KeyGroup},
};
use crate::{Error, Result};

/// scrypt cost of a passphrase: about a second, a quarter of a gigabyte.
const PASSPHRASE_LOG_N: u8 = 18;
/// Recipients of a stream: a passphrase takes a stanza, and age adds one that nobody can open, so that readers stay used
/// to unknown ones.
const RECIPIENTS: usize = limits::AGE_STANZAS - 2;

/// Everyone who may open a stream. At least one must be set.
#[derive(Default)]
pub struct Recipients {
    age: Vec<Box<dyn age::Recipient + Send + Sync>>,
    passphrase: Option<SecretString>,
    preshared: Option<Secret>,
}

impl Recipients {
    /// Adds an age recipient: `age1...`, or an SSH public key line.
    ///
    /// # Errors
    /// [`Error::Recipient`] for anything else.
    pub fn add(&mut self, recipient: &str) -> Result<()> {
        let recipient = recipient.trim();
        let parsed: Box<dyn age::Recipient + Send + Sync> = if recipient.starts_with("ssh-") {
            Box::new(recipient.parse::<age::ssh::Recipient>().map_err(|e| Error::Recipient(ssh_reason(&e).into()))?)
        } else if recipient.starts_with("AGE-SECRET-KEY-") {
            return Err(Error::Recipient(
                "this is a secret identity; give the recipient `age1...` that goes with it".into(),
            ));
        } else {
            Box::new(
                recipient
                    .parse::<age::x25519::Recipient>()
                    .map_err(|reason| Error::Recipient(format!("neither `age1...` nor an SSH public key: {reason}")))?,
            )
        };
        if self.age.len() == RECIPIENTS {
            return Err(Error::Recipient(format!("more than {RECIPIENTS} recipients")));
        }
        self.age.push(parsed);
        Ok(())
    }

    /// Adds the recipients of a file, one a line; empty lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// [`Error::KeyFile`] naming the file and the line.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = read_text(path)?;
        let before = self.age.len();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add(line).map_err(|error| Error::KeyFile {
                    path: path.to_owned(),
                    reason: format!("line {}: {error}", number + 1),
                })?;
            }
        }
        match self.age.len() > before {
            true => Ok(()),
            false => Err(Error::KeyFile { path: path.to_owned(), reason: "no recipient in it".into() }),
        }
    }

    /// Sets the passphrase: the first line of a file.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if it cannot be read or is empty.
    pub fn set_passphrase_file(&mut self, path: &Path) -> Result<()> {
        self.passphrase = Some(read_passphrase(path)?);
        Ok(())
    }

    /// Sets the pre-shared key from its file.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if it cannot be read or is no such file.
    pub fn set_preshared_file(&mut self, path: &Path) -> Result<()> {
        self.preshared = Some(read_preshared(path)?);
        Ok(())
    }

    /// Sets the pre-shared key.
    pub fn set_preshared(&mut self, key: Secret) {
        self.preshared = Some(key);
    }

    /// Whether nobody could open the stream.
    pub fn is_empty(&self) -> bool {
        self.age.is_empty() && self.passphrase.is_none() && self.preshared.is_none()
    }

    /// Wraps the root once for each group. `salt` is fresh for each stream.
    pub(super) fn wrap(&self, root: &Secret, stream_id: &[u8; 16], salt: &[u8; 32]) -> Result<Vec<KeyGroup>> {
        let mut groups = Vec::new();
        if !self.age.is_empty() {
            let recipients = self.age.iter().map(|r| &**r as &dyn age::Recipient);
            groups.push(KeyGroup { kind: GROUP_RECIPIENTS, bytes: age_file(recipients, root)? });
        }
        if let Some(passphrase) = &self.passphrase {
            let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(PASSPHRASE_LOG_N);
            let bytes = age_file(std::iter::once(&recipient as &dyn age::Recipient), root)?;
            groups.push(KeyGroup { kind: GROUP_PASSPHRASE, bytes });
        }
        if let Some(preshared) = &self.preshared {
            groups.push(KeyGroup { kind: GROUP_PRESHARED, bytes: wrap_preshared(preshared, root, stream_id, salt)? });
        }
        match groups.is_empty() {
            true => Err(Error::NoKey("name a recipient, a pre-shared key or a passphrase file")),
            false => Ok(groups),
        }
    }
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipients")
            .field("age", &self.age.len())
            .field("passphrase", &self.passphrase.is_some())
            .field("preshared", &self.preshared.is_some())
            .finish()
    }
}

fn ssh_reason(error: &age::ssh::ParseRecipientKeyError) -> &'static str {
    match error {
        age::ssh::ParseRecipientKeyError::Invalid(_) => "an SSH public key that is damaged",
        age::ssh::ParseRecipientKeyError::RsaModulusTooLarge => "an RSA key that is too large",
        age::ssh::ParseRecipientKeyError::RsaModulusTooSmall => "an RSA key that is too small",
        _ => "an SSH public key of a type that age cannot encrypt to",
    }
}

fn age_file<'a>(recipients: impl Iterator<Item = &'a dyn age::Recipient>, root: &Secret) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Recipient(format!("age could not wrap the stream's key: {reason}"));
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|e| failed(e.to_string()))?;
    let mut bytes = Vec::new();
    let mut writer = encryptor.wrap_output(&mut bytes).map_err(|e| failed(e.to_string()))?;
    writer.write_all(root.bytes()).map_err(|e| failed(e.to_string()))?;
    writer.finish().map_err(|e| failed(e.to_string()))?;
    wipe_what_age_freed();
    Ok(bytes)
}

/// Bytes of the buffer in which age collects what it encrypts.
const AGE_CHUNK_BYTES: usize = 1 << 16;

/// age frees the buffer that held the root as it is. Buffers of its size are taken, for the allocator gives that place
/// away again, and wiped; a test looks whether that is enough.
fn wipe_what_age_freed() {
    let _wiped_when_dropped: Vec<_> = (0..8).map(|_| Zeroizing::new(vec![1_u8; AGE_CHUNK_BYTES])).collect();
}

/// `salt | ChaCha20-Poly1305(KEK, nonce 0, AAD = stream id, root)`.
fn wrap_preshared(preshared: &Secret, root: &Secret, stream_id: &[u8; 16], salt: &[u8; 32]) -> Result<Vec<u8>> {
    // Room for the tag from the start: growing would leave a copy of the root behind.
    let mut sealed = Zeroizing::new(Vec::with_capacity(root.bytes().len() + 16));
    sealed.extend_from_slice(root.bytes());
    preshared_cipher(preshared, salt)
        .seal_in_place_append_tag(zero_nonce(), lc::Aad::from(stream_id), &mut *sealed)
        .map_err(|_| Error::Refused("the AEAD refused to seal"))?;
    Ok([&salt[..], &sealed].concat())
}

/// The root of a pre-shared-key group; `None` if this is not its key.
pub(super) fn unwrap_preshared(preshared: &Secret, group: &[u8], stream_id: &[u8; 16]) -> Option<Secret> {
    let (salt, sealed) = group.split_first_chunk::<32>().filter(|(_, sealed)| sealed.len() == 48)?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let root =
        preshared_cipher(preshared, salt).open_in_place(zero_nonce(), lc::Aad::from(stream_id), &mut sealed).ok()?;
    Some(Secret::copy_of((&*root).try_into().ok()?))
}

fn preshared_cipher(preshared: &Secret, salt: &[u8; 32]) -> lc::LessSafeKey {
    let kek = derived("chaosveil v1 psk", &[preshared.bytes(), salt]);
    lc::LessSafeKey::new(lc::UnboundKey::new(&lc::CHACHA20_POLY1305, kek.bytes()).expect("32 bytes are its key length"))
}

/// The key is fresh for each stream (a random salt), so its only nonce may be zero.
fn zero_nonce() -> lc::Nonce {
    lc::Nonce::assume_unique_for_key([0; 12])
}
