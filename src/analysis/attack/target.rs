//! What is attacked: something that encrypts pictures for the attacker, and the profiles as they are used.

use std::sync::Arc;

use crate::{
    Result,
    analysis::cipher::{Cipher, Key, profile::ProfileCipher},
    backend::Backend,
    seal::Profile,
};

/// Encrypts pictures under a key that the attacker does not know.
pub trait Target {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// Why nothing that is learnt of one picture's cipher holds for another's, if there is a reason.
    fn defence(&self) -> Option<&'static str>;
    /// The cipher of a picture, as many bytes as the picture has.
    ///
    /// # Errors
    /// What goes wrong with sealing.
    fn encrypt(&mut self, picture: &[u8]) -> Result<Vec<u8>>;
}

/// A stream of ours, as an element makes it: each picture is a frame with a counter, and so with a key, of its own.
pub struct Stream {
    profile: Profile,
    cipher: ProfileCipher,
    key: Key,
    counter: u64,
}

impl Stream {
    /// A stream under a throw-away root that comes from the seed.
    pub fn new(profile: Profile, seed: &[u8; 32], backend: Arc<dyn Backend>) -> Stream {
        let key = *blake3::keyed_hash(seed, b"stream under attack").as_bytes();
        Stream { profile, cipher: ProfileCipher::new(profile, backend), key, counter: 0 }
    }
}

impl Target for Stream {
    fn name(&self) -> &'static str {
        self.profile.name()
    }

    fn defence(&self) -> Option<&'static str> {
        Some(match self.profile {
            Profile::Chaos => {
                "every frame has a counter and so a key of its own: what one frame shows holds for no other"
            }
            Profile::Hardened | Profile::Aead => {
                "every frame has a counter of its own, and what the AEAD seals under it shows nothing to learn from"
            }
        })
    }

    fn encrypt(&mut self, picture: &[u8]) -> Result<Vec<u8>> {
        let sealed = self.cipher.encrypt(picture, &self.key, self.counter)?;
        self.counter += 1;
        Ok(sealed.bytes)
    }
}
