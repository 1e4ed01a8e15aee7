//! Profiles and AEADs: codes on the wire, names in key contexts and for users.

use crate::{Error, Result};

/// What protects a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// AEAD, then the chaotic stage keyed by the tags. The default.
    #[default]
    Hardened,
    /// The chaotic stage over a keyed digest, no AEAD on the frame: research only. Its confidentiality against known or
    /// flat content is none.
    Chaos,
    /// The AEAD alone: the control.
    Aead,
}

impl Profile {
    /// Every profile, in the order of their codes.
    pub const ALL: [Profile; 3] = [Profile::Hardened, Profile::Chaos, Profile::Aead];

    /// Code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Profile::Hardened => 1,
            Profile::Chaos => 2,
            Profile::Aead => 3,
        }
    }

    /// The word for it, also in key contexts.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Hardened => "hardened",
            Profile::Chaos => "chaos",
            Profile::Aead => "aead",
        }
    }

    /// # Errors
    /// [`Error::Refused`] for a code that this version does not know.
    pub fn from_code(code: u8) -> Result<Profile> {
        Profile::ALL.into_iter().find(|p| p.code() == code).ok_or(Error::Refused("unknown profile"))
    }

    /// The profile with a given name.
    pub fn from_name(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|p| p.name() == name)
    }

    /// Whether the chaotic stage runs.
    pub fn runs_stage(self) -> bool {
        self != Profile::Aead
    }

    /// Bytes of the authenticator (tags, or digest) of a frame of `payload_len` bytes.
    pub fn authenticator_len(self, payload_len: usize) -> usize {
        match self {
            Profile::Hardened | Profile::Aead => segments(payload_len) * TAG_BYTES,
            Profile::Chaos => DIGEST_BYTES,
        }
    }
}

/// The authenticated cipher of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Aead {
    /// AES-256-GCM. The default.
    #[default]
    Aes256Gcm,
    /// ChaCha20-Poly1305, for machines without AES instructions.
    ChaCha20Poly1305,
}

impl Aead {
    /// Every AEAD, in the order of their codes.
    pub const ALL: [Aead; 2] = [Aead::Aes256Gcm, Aead::ChaCha20Poly1305];

    /// Code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Aead::Aes256Gcm => 1,
            Aead::ChaCha20Poly1305 => 2,
        }
    }

    /// The word for it, also in key contexts.
    pub fn name(self) -> &'static str {
        match self {
            Aead::Aes256Gcm => "aes-256-gcm",
            Aead::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// # Errors
    /// [`Error::Refused`] for a code that this version does not know.
    pub fn from_code(code: u8) -> Result<Aead> {
        Aead::ALL.into_iter().find(|a| a.code() == code).ok_or(Error::Refused("unknown AEAD"))
    }
}

/// Bytes of an AEAD tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of the digest of profile `chaos`.
pub const DIGEST_BYTES: usize = 32;
/// Bytes of a segment: 16 tiles. A constant of version 1.
pub const SEGMENT_BYTES: usize = 786_432;

/// Number of segments of a frame: a frame without bytes has one.
pub fn segments(payload_len: usize) -> usize {
    payload_len.div_ceil(SEGMENT_BYTES).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_at_the_edges() {
        for (len, n) in [(0, 1), (1, 1), (786_431, 1), (786_432, 1), (786_433, 2), (1_572_864, 2), (1_572_865, 3)] {
            assert_eq!(segments(len), n, "{len} bytes");
        }
    }

    #[test]
    fn unknown_codes_are_refused() {
        assert!(Profile::from_code(0).is_err() && Profile::from_code(4).is_err());
        assert!(Aead::from_code(0).is_err() && Aead::from_code(3).is_err());
    }
}
