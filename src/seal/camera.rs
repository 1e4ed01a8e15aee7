//! A camera's signature: who began a stream, and each of its epochs (FORMAT.md, section 2).
//!
//! It shows that the holder of the camera's key made a stream header: for these recipients, with these caps, in this
//! epoch. It does not show that the frames are the camera's: whoever can open a stream has its keys, and can seal frames.

use std::{fmt, path::Path};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::key_files::{hex_bytes, read_hex_key};
use crate::{Error, Result};

/// Start of the one line of a camera's key file.
pub(super) const CAMERA_KEY_PREFIX: &str = "CHAOSVEIL-CAMERA-1:";
/// Start of what names a camera.
const CAMERA_ID_PREFIX: &str = "camera-1:";
/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of public key and signature.
pub(super) const SIGNATURE_BYTES: usize = PUBLIC_KEY_BYTES + 64;

/// The key that a camera signs with.
pub struct CameraKey(Ed25519KeyPair);

impl CameraKey {
    /// From the 32 bytes of an Ed25519 seed.
    pub(super) fn from_seed(seed: &[u8; 32]) -> CameraKey {
        CameraKey(Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed's length"))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if it cannot be read or is no such file.
    pub fn read(path: &Path) -> Result<CameraKey> {
        let seed = read_hex_key(path, CAMERA_KEY_PREFIX, "camera key", "--camera")?;
        Ok(CameraKey::from_seed(seed.bytes()))
    }

    /// What others know the camera by.
    pub fn id(&self) -> CameraId {
        let mut id = [0; PUBLIC_KEY_BYTES];
        id.copy_from_slice(self.0.public_key().as_ref());
        CameraId(id)
    }

    /// Public key and signature of a description and all that it stands behind.
    pub(super) fn sign(&self, head_hash: &[u8; 32], tail: &[u8], description: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let signature = self.0.sign(&message(head_hash, tail, description));
        let mut out = [0; SIGNATURE_BYTES];
        out[..PUBLIC_KEY_BYTES].copy_from_slice(&self.id().0);
        out[PUBLIC_KEY_BYTES..].copy_from_slice(signature.as_ref());
        out
    }
}

impl fmt::Debug for CameraKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CameraKey({})", self.id())
    }
}

/// A camera's public key; no secret. Written `camera-1:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CameraId([u8; PUBLIC_KEY_BYTES]);

impl CameraId {
    /// Reads what [`CameraId`] writes.
    ///
    /// # Errors
    /// [`Error::Camera`] for anything else.
    pub fn parse(text: &str) -> Result<CameraId> {
        let digits = text.trim().strip_prefix(CAMERA_ID_PREFIX);
        digits.and_then(hex_bytes).map(CameraId).ok_or(Error::Camera(
            "a camera is named by `camera-1:` and 64 hexadecimal digits, as `chaosveil keygen --camera` prints it",
        ))
    }

    /// The camera whose signature this is.
    ///
    /// # Errors
    /// [`Error::Forged`] if it is none of this description.
    pub(super) fn of_signature(
        signature: &[u8],
        head_hash: &[u8; 32],
        tail: &[u8],
        description: &[u8],
    ) -> Result<CameraId> {
        let forged = Error::Forged("a camera's signature");
        let Some((id, signature)) = signature.split_first_chunk::<PUBLIC_KEY_BYTES>() else { return Err(forged) };
        let key = UnparsedPublicKey::new(&ED25519, id);
        key.verify(&message(head_hash, tail, description), signature).map_err(|_| forged)?;
        Ok(CameraId(*id))
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CAMERA_ID_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn message(head_hash: &[u8; 32], tail: &[u8], description: &[u8]) -> Vec<u8> {
    [b"chaosveil v1 camera", &head_hash[..], tail, description].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1: the key, by which all else hangs.
    #[test]
    fn the_public_key_is_that_of_the_rfc() {
        let seed = hex_bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").expect("digits");
        let id = CameraKey::from_seed(&seed).id();
        let text = "camera-1:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!((id.to_string().as_str(), CameraId::parse(text).expect("valid")), (text, id));
    }

    #[test]
    fn fail_every_flipped_bit() {
        let key = CameraKey::from_seed(&[7; 32]);
        let (hash, tail, description) = ([1; 32], [2; 56], [3; 20]);
        let signature = key.sign(&hash, &tail, &description);
        let camera = |signature: &[u8], hash: &[u8; 32], tail: &[u8], description: &[u8]| {
            CameraId::of_signature(signature, hash, tail, description)
        };
        assert_eq!(camera(&signature, &hash, &tail, &description).expect("its own"), key.id());
        for bit in 0..8 * signature.len() {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(camera(&flipped, &hash, &tail, &description).is_err(), "bit {bit}");
        }
        assert!(camera(&signature[..95], &hash, &tail, &description).is_err());
        assert!(camera(&signature, &[0; 32], &tail, &description).is_err());
        assert!(camera(&signature, &hash, &[0; 56], &description).is_err());
        assert!(camera(&signature, &hash, &tail, &[0; 20]).is_err());
    }

    #[test]
    fn fail_what_names_no_camera() {
        let digits = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        for text in [digits.to_owned(), format!("camera-1:{}", &digits[1..]), format!("camera-1:{digits}0"), "".into()]
        {
            assert!(matches!(CameraId::parse(&text), Err(Error::Camera(_))), "{text}");
        }
        assert!(CameraId::parse("camera-1:g75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").is_err());
    }
}
