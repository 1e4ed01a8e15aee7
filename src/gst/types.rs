//! Enumerations of the elements' properties, as GLib types.

use gst::glib;

use crate::{backend, pipeline::Full, seal};

/// What protects a frame.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstChaosveilProfile")]
pub enum Profile {
    /// AEAD, then the chaotic stage keyed by its tags.
    #[default]
    #[enum_value(name = "Hardened: AEAD, then the chaotic stage keyed by its tags", nick = "hardened")]
    Hardened,
    /// The chaotic stage without AEAD.
    #[enum_value(name = "Chaos: the chaotic stage without AEAD (research only, needs allow-insecure)", nick = "chaos")]
    Chaos,
    /// The AEAD alone.
    #[enum_value(name = "AEAD: the authenticated cipher alone (control)", nick = "aead")]
    Aead,
}

impl From<Profile> for seal::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Hardened => seal::Profile::Hardened,
            Profile::Chaos => seal::Profile::Chaos,
            Profile::Aead => seal::Profile::Aead,
        }
    }
}

/// Profiles that a decrypter accepts.
#[glib::flags(name = "GstChaosveilProfiles")]
pub enum Profiles {
    /// Hardened.
    #[flags_value(name = "Hardened", nick = "hardened")]
    HARDENED = 1 << 0,
    /// Chaos.
    #[flags_value(name = "Chaos (research only)", nick = "chaos")]
    CHAOS = 1 << 1,
    /// AEAD.
    #[flags_value(name = "AEAD", nick = "aead")]
    AEAD = 1 << 2,
}

impl Profiles {
    /// The profiles as the seal knows them.
    pub fn list(self) -> Vec<seal::Profile> {
        let all = [
            (Profiles::HARDENED, seal::Profile::Hardened),
            (Profiles::CHAOS, seal::Profile::Chaos),
            (Profiles::AEAD, seal::Profile::Aead),
        ];
        all.into_iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, profile)| profile).collect()
    }
}

/// The authenticated cipher.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstChaosveilAead")]
pub enum Aead {
    /// AES-256-GCM.
    #[default]
    #[enum_value(name = "AES-256-GCM", nick = "aes-256-gcm")]
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    #[enum_value(name = "ChaCha20-Poly1305", nick = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

impl From<Aead> for seal::Aead {
    fn from(aead: Aead) -> Self {
        match aead {
            Aead::Aes256Gcm => seal::Aead::Aes256Gcm,
            Aead::ChaCha20Poly1305 => seal::Aead::ChaCha20Poly1305,
        }
    }
}

/// Who runs the chaotic stage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstChaosveilBackend")]
pub enum Backend {
    /// The fastest that this machine offers.
    #[default]
    #[enum_value(
        name = "Auto: the fastest that this machine offers; a GPU where it has been measured to be",
        nick = "auto"
    )]
    Auto,
    /// Plain Rust.
    #[enum_value(name = "Portable: plain Rust, any processor", nick = "portable")]
    Portable,
    /// AVX2 and FMA.
    #[enum_value(name = "AVX2 and FMA", nick = "avx2")]
    Avx2,
    /// AVX-512.
    #[enum_value(name = "AVX-512 F, BW, VL, DQ, VBMI", nick = "avx512")]
    Avx512,
    /// An NVIDIA GPU.
    #[enum_value(name = "CUDA: an NVIDIA GPU; a CPU backend takes over where it fails", nick = "cuda")]
    Cuda,
}

impl From<Backend> for backend::Choice {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Auto => backend::Choice::Auto,
            Backend::Portable => backend::Choice::Portable,
            Backend::Avx2 => backend::Choice::Avx2,
            Backend::Avx512 => backend::Choice::Avx512,
            Backend::Cuda => backend::Choice::Cuda,
        }
    }
}

/// What an encrypter makes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstChaosveilOutput")]
pub enum Output {
    /// Packets where downstream takes them, else cipher pictures.
    #[default]
    #[enum_value(name = "Auto: packets where downstream takes them, else pictures", nick = "auto")]
    Auto,
    /// Packets.
    #[enum_value(name = "Packets: application/x-chaosveil", nick = "packets")]
    Packets,
    /// Cipher pictures.
    #[enum_value(name = "Picture: raw video a few rows taller", nick = "picture")]
    Picture,
}

/// What carries cipher pictures.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstChaosveilTransport")]
pub enum Transport {
    /// Keeps every sample, but perhaps not unused bits or alpha.
    #[default]
    #[enum_value(name = "Lossless: keeps samples, perhaps not unused bits or alpha", nick = "lossless")]
    Lossless,
    /// Keeps every bit.
    #[enum_value(name = "Exact: keeps every bit of every byte", nick = "exact")]
    Exact,
}

/// What to do when the queue is full.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstChaosveilLeaky")]
pub enum Leaky {
    /// Wait.
    #[default]
    #[enum_value(name = "Not leaky: wait for room", nick = "no")]
    No,
    /// Drop the oldest frame.
    #[enum_value(name = "Leaky on downstream: drop the oldest frame", nick = "downstream")]
    Downstream,
}

impl From<Leaky> for Full {
    fn from(leaky: Leaky) -> Self {
        match leaky {
            Leaky::No => Full::Wait,
            Leaky::Downstream => Full::DropOldest,
        }
    }
}
