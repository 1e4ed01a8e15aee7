//! What is judged: our profiles, the chaotic stage alone, and the controls beside them.
//!
//! Everything here runs on throw-away keys, with counters that are given rather than drawn, and opens without verifying:
//! what NPCR under one key, and pictures of damaged ciphertext, need. Nothing of it can be chosen to encrypt with.
//!
//! Read next: [`profile`] (as the elements seal), [`stage`] (without seal and digest), [`control`].

pub mod control;
pub mod profile;
pub mod stage;

use super::{picture::Picture, suite::Mode};
use crate::Result;

/// A throw-away key.
pub type Key = [u8; 32];

/// A frame after encryption.
#[derive(Clone, Debug)]
pub struct Ciphertext {
    /// As many bytes as the plaintext.
    pub bytes: Vec<u8>,
    /// Tags or digest, where there are any.
    pub authenticator: Vec<u8>,
    /// Seconds that encryption took.
    pub seconds: f64,
}

/// Encrypts frames, so that they can be judged.
pub trait Cipher {
    /// Name of its rows.
    fn name(&self) -> &'static str;
    /// What its values come from, where that is not the cipher under study.
    fn note(&self, _: Mode) -> Option<&'static str> {
        None
    }
    /// Bits of its keys' space, where that is known.
    fn key_space_bits(&self) -> Option<u32> {
        None
    }
    /// Whether the key makes a difference.
    fn takes_key(&self) -> bool {
        self.key_space_bits().is_some()
    }
    /// Whether each frame has a counter that changes the ciphertext.
    fn has_counter(&self) -> bool;
    /// Pictures of this shape follow; for who has to know.
    fn take_shape(&mut self, _: &Picture) {}
    /// Encrypts a frame under a key and a counter.
    ///
    /// # Errors
    /// Those of the cipher.
    fn encrypt(&mut self, plain: &[u8], key: &Key, counter: u64) -> Result<Ciphertext>;
    /// Decrypts without verifying; `None` where that cannot be done.
    ///
    /// # Errors
    /// Those of the cipher.
    fn decrypt_unverified(&mut self, cipher: &Ciphertext, key: &Key, counter: u64) -> Result<Option<Vec<u8>>>;
}

#[cfg(test)]
mod tests {
    use super::{control::*, profile::ProfileCipher, stage::StageCipher, *};
    use crate::{
        analysis::random::Random,
        backend::{self, Choice},
        seal::Profile,
    };

    fn all() -> Vec<Box<dyn Cipher>> {
        let backend = || backend::choose(Choice::Portable).expect("portable is everywhere");
        let mut all: Vec<Box<dyn Cipher>> =
            vec![Box::new(Plain), Box::new(AesCtr), Box::new(StageCipher::new(backend()))];
        all.extend(Profile::ALL.map(|profile| Box::new(ProfileCipher::new(profile, backend())) as Box<dyn Cipher>));
        all
    }

    #[test]
    fn what_was_encrypted_comes_back() {
        let mut plain = vec![0; 70_001];
        Random::new(&[1; 32], "plain").fill(&mut plain);
        for cipher in &mut all() {
            let sealed = cipher.encrypt(&plain, &[7; 32], 3).expect("encrypts");
            assert_eq!(sealed.bytes.len(), plain.len());
            let opened = cipher.decrypt_unverified(&sealed, &[7; 32], 3).expect("decrypts").expect("can");
            assert!(opened == plain, "{}", cipher.name());
            if cipher.takes_key() {
                let other = cipher.decrypt_unverified(&sealed, &[8; 32], 3).expect("decrypts").expect("can");
                assert!(other != plain, "{}", cipher.name());
            }
        }
    }

    /// One byte of damage to the ciphertext damages one byte of what an unverified opening shows.
    #[test]
    fn damage_shows_where_it_is() {
        let plain = vec![5; 70_001];
        for cipher in &mut all() {
            let mut sealed = cipher.encrypt(&plain, &[7; 32], 0).expect("encrypts");
            sealed.bytes[1234] ^= 0x80;
            let opened = cipher.decrypt_unverified(&sealed, &[7; 32], 0).expect("decrypts").expect("can");
            assert_eq!(opened.iter().filter(|&&byte| byte != 5).count(), 1, "{}", cipher.name());
        }
    }

    #[test]
    fn counters_matter_where_there_are_some() {
        let plain = vec![5; 1000];
        for cipher in &mut all() {
            let mut of = |counter| cipher.encrypt(&plain, &[7; 32], counter).expect("encrypts").bytes;
            let (first, again, next) = (of(0), of(0), of(1));
            assert!(first == again, "{}", cipher.name());
            assert_eq!(first != next, cipher.has_counter(), "{}", cipher.name());
        }
    }
}
