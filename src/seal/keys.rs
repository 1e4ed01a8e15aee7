//! The root of a stream and the keys derived from it (FORMAT.md, sections 2 and 4).

use aws_lc_rs::{
    aead::{self as lc, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
};
use zeroize::{Zeroize, Zeroizing};

use super::suite::{Aead, Profile, TAG_BYTES};
use crate::{Error, Result, chaos::FrameKey};

/// Nonce index of a frame's record.
pub(super) const RECORD_INDEX: u32 = 0xFFFF_FFFF;
/// Nonce index of a description.
pub(super) const DESCRIPTION_INDEX: u32 = 0xFFFF_FFFE;

/// 32 secret bytes, wiped when dropped and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Wraps 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// 32 bytes from the operating system.
    ///
    /// # Errors
    /// [`Error::Random`] if it gives none.
    pub fn random() -> Result<Secret> {
        Ok(Secret::new(random_bytes()?))
    }

    /// The bytes, for those who derive from them.
    pub(super) fn bytes(&self) -> &[u8; 32] {
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

/// The keys of a stream in its only epoch, 0. The root itself is not kept.
pub struct StreamKeys {
    /// Id of the stream.
    pub stream_id: [u8; 16],
    /// Profile of the stream.
    pub profile: Profile,
    /// AEAD of the stream.
    pub aead: Aead,
    /// `H`, the hash of the HEAD.
    pub(super) head_hash: [u8; 32],
    /// Commitment to root and HEAD.
    pub(super) commitment: [u8; 32],
    header: Secret,
    /// Of which every index packet's own key is made.
    index: Secret,
    seal: LessSafeKey,
    chaos: Secret,
    mac: Secret,
}

impl StreamKeys {
    /// Derives the keys of epoch 0 from the root and the HEAD.
    pub fn derive(root: &Secret, head: &[u8], stream_id: [u8; 16], profile: Profile, aead: Aead) -> StreamKeys {
        let head_hash = *blake3::hash(head).as_bytes();
        let derive = |usage| derive(usage, aead, profile, root, &head_hash);
        StreamKeys {
            stream_id,
            profile,
            aead,
            head_hash,
            commitment: *derive("commitment").bytes(),
            header: derive("header"),
            index: derive("index"),
            seal: aead_key(aead, &derive("seal")),
            chaos: derive("chaos"),
            mac: derive("mac"),
        }
    }

    /// MAC under the header key, 16 bytes.
    pub(super) fn header_mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = [0; 16];
        mac.copy_from_slice(&keyed(&self.header, parts).as_bytes()[..16]);
        mac
    }

    /// Checks a MAC under the header key in constant time.
    pub(super) fn check_header_mac(&self, parts: &[&[u8]], mac: &[u8], what: &'static str) -> Result<()> {
        verify_slices_are_equal(&self.header_mac(parts), mac).map_err(|_| Error::Forged(what))
    }

    /// Digest of profile `chaos` over a frame header and its payload.
    pub(super) fn digest(&self, header: &[u8], payload: &[u8]) -> [u8; 32] {
        *keyed(&self.mac, &[&(header.len() as u32).to_le_bytes(), header, payload]).as_bytes()
    }

    /// Key of the chaotic stage for one frame.
    pub(crate) fn frame_key(&self, epoch: u32, counter: u64, segments: u32, authenticator: &[u8]) -> FrameKey {
        let parts: [&[u8]; 5] =
            [&self.stream_id, &epoch.to_le_bytes(), &counter.to_le_bytes(), &segments.to_le_bytes(), authenticator];
        FrameKey::new(*keyed(&self.chaos, &parts).as_bytes())
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

impl std::fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamKeys").field("profile", &self.profile).field("aead", &self.aead).finish_non_exhaustive()
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

/// `derive_key("chaosveil v1 <use> <aead> <profile>", secret | H)`.
fn derive(usage: &str, aead: Aead, profile: Profile, secret: &Secret, head_hash: &[u8; 32]) -> Secret {
    let context = format!("chaosveil v1 {usage} {} {}", aead.name(), profile.name());
    derived(&context, &[secret.bytes(), head_hash])
}

/// BLAKE3 derive_key over `material`; what the hasher held of it is wiped.
pub(super) fn derived(context: &str, material: &[&[u8]]) -> Secret {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in material {
        hasher.update(part);
    }
    let key = Secret::new(*hasher.finalize().as_bytes());
    hasher.zeroize();
    key
}

fn keyed(key: &Secret, parts: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key.bytes());
    for part in parts {
        hasher.update(part);
    }
    let hash = hasher.finalize();
    hasher.zeroize();
    hash
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
            let epoch = &vector["epochs"][0];
            assert_eq!(keys.chaos.bytes()[..], vector_bytes(&epoch["k_chaos"]));
            assert_eq!(keys.mac.bytes()[..], vector_bytes(&epoch["k_mac"]));
            assert_eq!(keys.header_mac(&[b"tail", &keys.head_hash, &tail[..48]])[..], bytes("tail_mac"));
            // The AEAD does not give its key away: it must open what the given key sealed.
            let given = aead_key(keys.aead, &Secret::new(vector_bytes(&epoch["k_seal"]).try_into().expect("32 bytes")));
            let mut text = *b"sealed";
            let tag = given.seal_in_place_separate_tag(nonce(5, 6), lc::Aad::empty(), &mut text).expect("seals");
            keys.open(5, 6, &[], &text, tag.as_ref(), &mut [0; 6]).expect("k_seal is the same");
        }
    }
}
