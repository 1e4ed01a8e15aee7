//! The root of a stream and the keys derived from it (FORMAT.md, sections 2 and 4).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::{
    aead::{self as lc, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
};
use zeroize::{Zeroize, Zeroizing};

use super::{
    epochs::Epochs,
    suite::{Aead, Profile, TAG_BYTES},
};
use crate::{Error, Result, chaos::FrameKey};

/// Nonce index of a frame's record.
pub(super) const RECORD_INDEX: u32 = 0xFFFF_FFFF;
/// Nonce index of a description.
pub(super) const DESCRIPTION_INDEX: u32 = 0xFFFF_FFFE;

/// 32 secret bytes, wiped when dropped and never printed. They stay in one place: what moves would leave copies behind.
#[derive(Clone)]
pub struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// Wraps 32 bytes. The caller's own copy stays the caller's.
    pub fn new(mut bytes: [u8; 32]) -> Secret {
        let secret = Secret::copy_of(&bytes);
        bytes.zeroize();
        secret
    }

    /// A copy of 32 bytes.
    pub fn copy_of(bytes: &[u8; 32]) -> Secret {
        let mut secret = Secret(Box::default());
        secret.0.copy_from_slice(bytes);
        secret
    }

    /// 32 bytes from the operating system.
    ///
    /// # Errors
    /// [`Error::Random`] if it gives none.
    pub fn random() -> Result<Secret> {
        let mut secret = Secret(Box::default());
        getrandom::fill(&mut secret.0[..]).map_err(|_| Error::Random)?;
        Ok(secret)
    }

    /// The bytes, for those who derive from them.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Random bytes from the operating system.
///
/// # Errors
/// [`Error::Random`] if it gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // Straight from the system: the AEAD library's own generator takes a tenth of a second to start.
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

/// The keys of a stream: those that last as long as it does, and the way to those of its epochs.
pub struct StreamKeys {
    /// Id of the stream.
    pub stream_id: [u8; 16],
    /// Profile of the stream.
    pub profile: Profile,
    /// AEAD of the stream.
    pub aead: Aead,
    /// `H`, the hash of the HEAD.
    pub(crate) head_hash: [u8; 32],
    /// Commitment to root and HEAD.
    pub(crate) commitment: [u8; 32],
    header: Secret,
    /// Of which every index packet's own key is made.
    index: Secret,
    epochs: Mutex<Epochs>,
}

impl StreamKeys {
    /// Derives the keys from the root and the HEAD. The root is kept as the secret of epoch 0.
    pub fn derive(root: &Secret, head: &[u8], stream_id: [u8; 16], profile: Profile, aead: Aead) -> StreamKeys {
        let head_hash = *blake3::hash(head).as_bytes();
        let derivation = Derivation { stream_id, profile, aead, head_hash };
        StreamKeys {
            stream_id,
            profile,
            aead,
            head_hash,
            commitment: *derivation.derive("commitment", root).bytes(),
            header: derivation.derive("header", root),
            index: derivation.derive("index", root),
            epochs: Mutex::new(Epochs::new(derivation, root.clone())),
        }
    }

    /// The keys of an epoch.
    ///
    /// # Errors
    /// [`Error::Refused`] for an epoch beyond the last one, or before the one that the writer is in.
    pub(crate) fn epoch(&self, epoch: u32) -> Result<Arc<EpochKeys>> {
        self.lock_epochs().keys(epoch)
    }

    /// Steps of the ratchet that the keys of an epoch would cost.
    pub(super) fn steps_to(&self, epoch: u32) -> u32 {
        self.lock_epochs().steps_to(epoch)
    }

    /// Wipes what came before an epoch: of a writer, nothing older can be opened any more.
    pub(super) fn forget_before(&self, epoch: u32) -> Result<()> {
        self.lock_epochs().forget_before(epoch)
    }

    fn lock_epochs(&self) -> MutexGuard<'_, Epochs> {
        // Nothing that can panic half-way changes it.
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// MAC under the header key, 16 bytes.
    pub(crate) fn header_mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = [0; 16];
        mac.copy_from_slice(&keyed(&self.header, parts).as_bytes()[..16]);
        mac
    }

    /// Seals the content of an index packet in place, under the key that its salt makes, and returns the tag.
    pub(super) fn seal_index(&self, salt: &[u8; 32], aad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG_BYTES]> {
        let tag = self
            .index_key(salt)
            .seal_in_place_separate_tag(nonce(0, 0), lc::Aad::from(aad), bytes)
            .map_err(|_| Error::Refused("the AEAD refused to seal"))?;
        let mut out = [0; TAG_BYTES];
        out.copy_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Opens the content of an index packet into `out` of the same length.
    pub(super) fn open_index(
        &self,
        salt: &[u8; 32],
        aad: &[u8],
        sealed: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        self.index_key(salt)
            .open_separate_gather(nonce(0, 0), lc::Aad::from(aad), sealed, tag, out)
            .map_err(|_| Error::Forged("an index does not match its tag"))
    }

    /// Used once: every index packet has a salt of its own.
    fn index_key(&self, salt: &[u8; 32]) -> LessSafeKey {
        let context = format!("chaosveil v1 index packet {} {}", self.aead.name(), self.profile.name());
        aead_key(self.aead, &derived(&context, &[self.index.bytes(), salt]))
    }

    /// Checks a MAC under the header key in constant time.
    pub(super) fn check_header_mac(&self, parts: &[&[u8]], mac: &[u8], what: &'static str) -> Result<()> {
        verify_slices_are_equal(&self.header_mac(parts), mac).map_err(|_| Error::Forged(what))
    }
}

impl std::fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamKeys").field("profile", &self.profile).field("aead", &self.aead).finish_non_exhaustive()
    }
}

/// What every derivation of a stream depends on beside its secret.
#[derive(Clone, Copy)]
pub(super) struct Derivation {
    pub stream_id: [u8; 16],
    pub profile: Profile,
    pub aead: Aead,
    pub head_hash: [u8; 32],
}

impl Derivation {
    /// `derive_key("chaosveil v1 <use> <aead> <profile>", secret | H)`.
    pub fn derive(&self, usage: &str, secret: &Secret) -> Secret {
        let context = format!("chaosveil v1 {usage} {} {}", self.aead.name(), self.profile.name());
        derived(&context, &[secret.bytes(), &self.head_hash])
    }
}

/// The keys of one epoch. Whoever works on one of its frames holds on to them; they are wiped when nobody does.
pub(crate) struct EpochKeys {
    /// Number of the epoch.
    pub(super) epoch: u32,
    stream_id: [u8; 16],
    seal: LessSafeKey,
    chaos: Secret,
    mac: Secret,
}

impl EpochKeys {
    /// Derives them from the secret of the epoch.
    pub(super) fn derive(derivation: &Derivation, epoch: u32, secret: &Secret) -> EpochKeys {
        EpochKeys {
            epoch,
            stream_id: derivation.stream_id,
            seal: aead_key(derivation.aead, &derivation.derive("seal", secret)),
            chaos: derivation.derive("chaos", secret),
            mac: derivation.derive("mac", secret),
        }
    }

    /// Digest of profile `chaos` over a frame header and its payload.
    pub(super) fn digest(&self, header: &[u8], payload: &[u8]) -> [u8; 32] {
        *keyed(&self.mac, &[&(header.len() as u32).to_le_bytes(), header, payload]).as_bytes()
    }

    /// Key of the chaotic stage for one frame.
    pub(crate) fn frame_key(&self, counter: u64, segments: u32, authenticator: &[u8]) -> FrameKey {
        let (epoch, counter, segments) = (self.epoch.to_le_bytes(), counter.to_le_bytes(), segments.to_le_bytes());
        let parts: [&[u8]; 5] = [&self.stream_id, &epoch, &counter, &segments, authenticator];
        FrameKey::new(*keyed(&self.chaos, &parts).as_bytes())
    }

    /// Seals in place and returns the tag.
    pub(crate) fn seal(&self, counter: u64, index: u32, aad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG_BYTES]> {
        let tag = self
            .seal
            .seal_in_place_separate_tag(nonce(counter, index), lc::Aad::from(aad), bytes)
            .map_err(|_| Error::Refused("the AEAD refused to seal"))?;
        let mut out = [0; TAG_BYTES];
        out.copy_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Seals `text` into the front of `out`, which has `TAG_BYTES` more room: the tag follows there, and is returned.
    pub(super) fn seal_from(
        &self,
        counter: u64,
        index: u32,
        aad: &[u8],
        text: &[u8],
        out: &mut [u8],
    ) -> Result<[u8; TAG_BYTES]> {
        self.seal
            .seal_in_place_scatter(nonce(counter, index), lc::Aad::from(aad), &mut [], text, out)
            .map_err(|_| Error::Refused("the AEAD refused to seal"))?;
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&out[text.len()..]);
        Ok(tag)
    }

    /// Opens `sealed` into `out` of the same length. On failure `out` holds nothing of use and is wiped by the caller.
    pub(super) fn open(
        &self,
        counter: u64,
        index: u32,
        aad: &[u8],
        sealed: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        self.seal
            .open_separate_gather(nonce(counter, index), lc::Aad::from(aad), sealed, tag, out)
            .map_err(|_| Error::Forged("a segment, record or description does not match its tag"))
    }
}

impl std::fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EpochKeys").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

fn nonce(counter: u64, index: u32) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&counter.to_le_bytes());
    bytes[8..].copy_from_slice(&index.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn aead_key(aead: Aead, key: &Secret) -> LessSafeKey {
    let algorithm = match aead {
        Aead::Aes256Gcm => &lc::AES_256_GCM,
        Aead::ChaCha20Poly1305 => &lc::CHACHA20_POLY1305,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, key.bytes()).expect("the key has the length that the AEAD asks for"))
}

/// BLAKE3 derive_key over `material`; what the hasher held of it is wiped.
pub(super) fn derived(context: &str, material: &[&[u8]]) -> Secret {
    with_wiped_stack(|| {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in material {
            hasher.update(part);
        }
        let mut key = Secret(Box::default());
        let mut output = hasher.finalize_xof();
        output.fill(&mut key.0[..]);
        output.zeroize();
        hasher.zeroize();
        key
    })
}

fn keyed(key: &Secret, parts: &[&[u8]]) -> blake3::Hash {
    with_wiped_stack(|| {
        let mut hasher = blake3::Hasher::new_keyed(key.bytes());
        for part in parts {
            hasher.update(part);
        }
        let hash = hasher.finalize();
        hasher.zeroize();
        hash
    })
}

/// Wipes the stack that `work` has used, as far as 8 KiB: compilers and hash functions leave copies of keys there, and a
/// stack outlives what it was used for, that of a thread that has ended too.
pub(super) fn with_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn call<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn wipe() {
        // Written, for it might be looked at; a test looks whether it is.
        std::hint::black_box(&mut [0_u8; 8192]);
    }
    let result = call(work);
    wipe();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::tests::{vector_bytes, vectors};

    #[test]
    fn keys_agree_with_the_vectors() {
        for vector in vectors()["keys"].as_array().expect("a list") {
            let bytes = |name: &str| vector_bytes(&vector[name]);
            let array = |name: &str| <[u8; 32]>::try_from(bytes(name)).expect("32 bytes");
            let (head, tail) = (bytes("head"), bytes("tail"));
            let (profile, aead) = (Profile::from_code(head[9]), Aead::from_code(head[10]));
            let stream_id = bytes("stream_id").try_into().expect("16 bytes");
            let root = Secret::new(array("root"));
            let keys = StreamKeys::derive(&root, &head, stream_id, profile.expect("known"), aead.expect("known"));
            assert_eq!(keys.head_hash, array("h"));
            assert_eq!(keys.commitment, array("commitment"));
            assert_eq!(*keys.header.bytes(), array("k_hdr"));
            assert_eq!(*keys.index.bytes(), array("k_index"));
            assert_eq!(keys.header_mac(&[b"tail", &keys.head_hash, &tail[..56]])[..], bytes("tail_mac"));
            // From the last epoch back to the first, as a reader may be asked for them.
            for epoch in vector["epochs"].as_array().expect("a list").iter().rev() {
                let number = epoch["epoch"].as_u64().expect("a number") as u32;
                let keys_of = keys.epoch(number).expect("within limits");
                assert_eq!(keys_of.chaos.bytes()[..], vector_bytes(&epoch["k_chaos"]));
                assert_eq!(keys_of.mac.bytes()[..], vector_bytes(&epoch["k_mac"]));
                // The AEAD does not give its key away: it must open what the given key sealed.
                let given = Secret::new(vector_bytes(&epoch["k_seal"]).try_into().expect("32 bytes"));
                let mut text = *b"sealed";
                let tag = aead_key(keys.aead, &given)
                    .seal_in_place_separate_tag(nonce(5, 6), lc::Aad::empty(), &mut text)
                    .expect("seals");
                keys_of.open(5, 6, &[], &text, tag.as_ref(), &mut [0; 6]).expect("k_seal is the same");
            }
        }
    }
}
