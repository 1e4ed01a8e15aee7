//! What a reader opens streams with: age identities, a passphrase, a pre-shared key; each may unwrap the root.
//!
//! Unwrapping is dear, and headers are cheap to make: each key group is tried once, however many headers it stands in,
//! and passphrases that do not fit are tried so many times a minute.

use std::{
    collections::VecDeque,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{
    key_files::{read_passphrase, read_preshared, read_text},
    keys::{Secret, StreamKeys},
    limits,
    recipients::unwrap_preshared,
    refusal::Refusal,
    stream_header::{GROUP_PASSPHRASE, GROUP_PRESHARED, GROUP_RECIPIENTS, OpenedDescription, RawStreamHeader},
};
use crate::{Error, Result};

/// Everything a reader has to open streams with. At least one must be set.
#[derive(Default)]
pub struct Identities {
    age: Vec<Box<dyn age::Identity + Send + Sync>>,
    /// Made once: age measures the machine for it, which takes longer than to refuse a header.
    passphrase: Option<age::scrypt::Identity>,
    preshared: Option<Secret>,
    tried: Mutex<Tried>,
}

/// What came of key groups.
#[derive(Default)]
struct Tried {
    /// Of age recipients.
    recipients: Groups,
    /// Of passphrases. On their own, so that groups which cost next to nothing do not put out what scrypt was run for.
    passphrases: Groups,
    /// When passphrases did not fit.
    misfits: VecDeque<Instant>,
    /// When headers of far epochs did not open.
    far_misfits: VecDeque<Instant>,
    /// Keys of streams of whose far epochs a header did not open, by HEAD and commitment: the way there is gone once.
    far: VecDeque<(blake3::Hash, Arc<StreamKeys>)>,
}

/// By the hash of a group's content, the oldest first.
type Groups = VecDeque<(blake3::Hash, Result<Option<Secret>, Refusal>)>;

/// Groups of age recipients remembered.
const RECIPIENTS_REMEMBERED: usize = 256;
/// Passphrase groups remembered: each takes some 100 bytes here and has taken most of a second.
const PASSPHRASES_REMEMBERED: usize = 4096;
/// Passphrases that may fail to fit in [`MISFITS_TIME`]: each costs up to a gigabyte and seconds.
const MISFITS: usize = 8;
/// Epochs that cost a reader next to nothing.
const NEAR_EPOCHS: u32 = 4096;
/// Streams whose way to a far epoch is remembered.
const FAR_REMEMBERED: usize = 8;
/// See [`MISFITS`].
const MISFITS_TIME: Duration = Duration::from_secs(60);

impl Identities {
    /// Adds the identities of a file: age (`AGE-SECRET-KEY-1...` lines) or one unencrypted SSH private key.
    ///
    /// # Errors
    /// [`Error::KeyFile`] naming the file.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let bad = |reason: &str| Error::KeyFile { path: path.to_owned(), reason: reason.into() };
        let text = read_text(path)?;
        if text.trim_start().starts_with("-----BEGIN") {
            match age::ssh::Identity::from_buffer(text.as_bytes(), None).map_err(|_| bad("it is no SSH private key"))? {
                age::ssh::Identity::Unencrypted(key) => self.age.push(Box::new(age::ssh::Identity::Unencrypted(key))),
                age::ssh::Identity::Encrypted(_) => {
                    return Err(bad("this SSH key has a passphrase; give an identity file without one"));
                }
                age::ssh::Identity::Unsupported(_) => return Err(bad("an SSH key of a type that age cannot use")),
            }
            return Ok(());
        }
        let before = self.age.len();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity: age::x25519::Identity =
                line.parse().map_err(|_| bad(&format!("line {} is no age identity", number + 1)))?;
            self.age.push(Box::new(identity));
        }
        match self.age.len() > before {
            true => Ok(()),
            false => Err(bad("no identity in it")),
        }
    }

    /// Sets the passphrase: the first line of a file.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if it cannot be read or is empty.
    pub fn set_passphrase_file(&mut self, path: &Path) -> Result<()> {
        let mut identity = age::scrypt::Identity::new(read_passphrase(path)?);
        identity.set_max_work_factor(limits::SCRYPT_LOG_N);
        self.passphrase = Some(identity);
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

    /// Whether nothing could be opened.
    pub fn is_empty(&self) -> bool {
        self.age.is_empty() && self.passphrase.is_none() && self.preshared.is_none()
    }

    /// The keys of the stream that `header` begins: the first root whose commitment matches.
    ///
    /// # Errors
    /// [`Error::NoKey`] if there is nothing to open with, [`Error::WrongKey`] if nothing fits, [`Error::Refused`] or
    /// [`Error::TooLarge`] for a header that breaks the format.
    pub fn unlock(&self, header: &RawStreamHeader) -> Result<StreamKeys> {
        if self.is_empty() {
            return Err(Error::NoKey("name an identity file, a pre-shared key or a passphrase file"));
        }
        // One bad group must not keep the others from opening the stream, but it explains why none did.
        let mut reason = Error::WrongKey;
        let groups = header.key_groups()?;
        check_stanzas(&groups)?;
        if groups.iter().filter(|(kind, _)| *kind == GROUP_PASSPHRASE).count() > 1 {
            return Err(Error::Refused("more than one passphrase group"));
        }
        for (kind, bytes) in groups {
            match self.unwrap_once(kind, bytes, &header.stream_id()) {
                Ok(None) => {}
                Ok(Some(root)) => match header.keys(&root) {
                    Err(Error::WrongKey) => {}
                    other => return other,
                },
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    /// The description of a stream that is not open yet, with the keys to go on with. A far epoch takes up to a million
    /// steps of the ratchet, and who knows a recipient can make headers of it that do not open in the end: those are tried
    /// so many times a minute. The steps of a stream are done once, so that nobody can use up these tries who does not
    /// have a key of it.
    ///
    /// # Errors
    /// [`Error::TooManyFarEpochs`]; else as [`RawStreamHeader::description`].
    pub(super) fn first_description(
        &self,
        header: &RawStreamHeader,
        keys: StreamKeys,
    ) -> Result<(Arc<StreamKeys>, OpenedDescription)> {
        let epoch = header.claimed_epoch();
        if epoch <= NEAR_EPOCHS {
            let opened = header.description(&keys)?;
            return Ok((Arc::new(keys), opened));
        }
        let lock = header.lock_hash();
        let known = self.lock_tried().far.iter().find(|(known, _)| *known == lock).map(|(_, keys)| keys.clone());
        let keys = known.unwrap_or_else(|| Arc::new(keys));
        let is_far = keys.steps_to(epoch) > NEAR_EPOCHS;
        if is_far && !are_few(&mut self.lock_tried().far_misfits) {
            return Err(Error::TooManyFarEpochs);
        }
        let opened = header.description(&keys);
        // Where its MAC does not hold no step is done.
        if is_far && keys.steps_to(epoch) <= NEAR_EPOCHS {
            self.refuse_far(header, &keys);
        }
        opened.map(|opened| (keys, opened))
    }

    /// Counts a far epoch as one that leads nowhere, as long as its stream is not taken.
    pub(crate) fn refuse_far(&self, header: &RawStreamHeader, keys: &Arc<StreamKeys>) {
        if header.claimed_epoch() <= NEAR_EPOCHS {
            return;
        }
        let (lock, mut tried) = (header.lock_hash(), self.lock_tried());
        tried.far_misfits.push_back(Instant::now());
        tried.far.retain(|(known, _)| *known != lock);
        if tried.far.len() == FAR_REMEMBERED {
            tried.far.pop_front();
        }
        tried.far.push_back((lock, keys.clone()));
    }

    /// The stream of a header has been taken: its epoch was not far for nothing.
    pub(super) fn accept_far(&self, header: &RawStreamHeader) {
        let (lock, mut tried) = (header.lock_hash(), self.lock_tried());
        if let Some(at) = tried.far.iter().position(|(known, _)| *known == lock) {
            tried.far.remove(at);
            tried.far_misfits.pop_back();
        }
    }

    fn lock_tried(&self) -> MutexGuard<'_, Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Identities::unwrap`], remembered but for groups that cost nothing.
    fn unwrap_once(&self, kind: u8, bytes: &[u8], stream_id: &[u8; 16]) -> Result<Option<Secret>> {
        let is_dear = match kind {
            GROUP_RECIPIENTS => !self.age.is_empty(),
            GROUP_PASSPHRASE => self.passphrase.is_some(),
            _ => false,
        };
        if !is_dear {
            return self.unwrap(kind, bytes, stream_id);
        }
        let hash = blake3::hash(bytes);
        let mut tried = self.lock_tried();
        if let Some((_, known)) = tried.groups(kind).iter().find(|(known, _)| *known == hash) {
            return known.clone().map_err(Error::from);
        }
        if kind == GROUP_PASSPHRASE {
            tried.check_misfits()?;
        }
        let unwrapped = self.unwrap(kind, bytes, stream_id);
        if kind == GROUP_PASSPHRASE && matches!(unwrapped, Ok(None)) {
            tried.misfits.push_back(Instant::now());
        }
        let kept = match &unwrapped {
            Ok(root) => Some(Ok(root.clone())),
            // Such a passphrase group is refused before scrypt is run.
            Err(_) if kind == GROUP_PASSPHRASE => None,
            Err(error) => Refusal::of(error).map(Err),
        };
        if let Some(kept) = kept {
            let most = if kind == GROUP_PASSPHRASE { PASSPHRASES_REMEMBERED } else { RECIPIENTS_REMEMBERED };
            let groups = tried.groups(kind);
            if groups.len() == most {
                groups.pop_front();
            }
            groups.push_back((hash, kept));
        }
        unwrapped
    }

    /// The root in a key group; `None` if it is not for these identities.
    fn unwrap(&self, kind: u8, bytes: &[u8], stream_id: &[u8; 16]) -> Result<Option<Secret>> {
        match kind {
            GROUP_RECIPIENTS => self.unwrap_age(bytes),
            GROUP_PASSPHRASE => self.unwrap_passphrase(bytes),
            GROUP_PRESHARED => Ok(self.preshared.as_ref().and_then(|key| unwrap_preshared(key, bytes, stream_id))),
            _ => Ok(None),
        }
    }

    fn unwrap_age(&self, bytes: &[u8]) -> Result<Option<Secret>> {
        if self.age.is_empty() {
            return Ok(None);
        }
        open_age(bytes, self.age.iter().map(|i| &**i as &dyn age::Identity))
    }

    fn unwrap_passphrase(&self, bytes: &[u8]) -> Result<Option<Secret>> {
        let Some(identity) = &self.passphrase else { return Ok(None) };
        open_age(bytes, std::iter::once(identity as &dyn age::Identity))
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities")
            .field("age", &self.age.len())
            .field("passphrase", &self.passphrase.is_some())
            .field("preshared", &self.preshared.is_some())
            .finish()
    }
}

impl Tried {
    fn groups(&mut self, kind: u8) -> &mut Groups {
        if kind == GROUP_PASSPHRASE { &mut self.passphrases } else { &mut self.recipients }
    }

    fn check_misfits(&mut self) -> Result<()> {
        match are_few(&mut self.misfits) {
            true => Ok(()),
            false => Err(Error::TooManyPassphrases),
        }
    }
}

/// Whether fewer than [`MISFITS`] have been in [`MISFITS_TIME`].
pub(super) fn are_few(misfits: &mut VecDeque<Instant>) -> bool {
    misfits.retain(|then| then.elapsed() < MISFITS_TIME);
    misfits.len() < MISFITS
}

/// Counts the stanzas of all age headers together, before age parses any.
fn check_stanzas(groups: &[(u8, &[u8])]) -> Result<()> {
    let age = groups.iter().filter(|(kind, _)| [GROUP_RECIPIENTS, GROUP_PASSPHRASE].contains(kind));
    let stanzas = age.map(|(_, bytes)| bytes.windows(4).filter(|window| window == b"\n-> ").count()).sum();
    super::frame_header::check_size("recipients of a stream header", stanzas, limits::AGE_STANZAS)
}

/// The root in an age file; `None` if none of the identities fits.
fn open_age<'a>(bytes: &[u8], identities: impl Iterator<Item = &'a dyn age::Identity>) -> Result<Option<Secret>> {
    let Ok(decryptor) = age::Decryptor::new_buffered(bytes) else {
        return Err(Error::Refused("a key group that is no age file"));
    };
    let mut reader = match decryptor.decrypt(identities) {
        Ok(reader) => reader,
        Err(age::DecryptError::ExcessiveWork { required, .. }) => {
            return Err(Error::TooLarge {
                what: "scrypt cost (log2)",
                size: required.into(),
                limit: limits::SCRYPT_LOG_N.into(),
            });
        }
        Err(_) => return Ok(None),
    };
    let mut root = Zeroizing::new([0; 32]);
    let mut more = [0; 1];
    match reader.read_exact(&mut *root).is_ok() && matches!(reader.read(&mut more), Ok(0)) {
        true => Ok(Some(Secret::copy_of(&root))),
        false => Ok(None),
    }
}
