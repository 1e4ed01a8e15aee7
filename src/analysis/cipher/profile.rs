//! Our profiles, sealed by what seals every frame, under a root and a counter that are given.

use std::{sync::Arc, time::Instant};

use super::{Cipher, Ciphertext, Key};
use crate::{
    Result,
    analysis::suite::Mode,
    backend::Backend,
    chaos::FramePlan,
    seal::{
        Aead, Engine, FRAME_HEADER_BYTES, FrameSealer, Profile, Recipients, Record, SEGMENT_BYTES, Secret,
        StreamSecrets, StreamWriter, segments,
    },
};

/// A profile.
pub struct ProfileCipher {
    profile: Profile,
    engine: Engine,
    recipients: Recipients,
    /// Kept from frame to frame of one key, as a worker keeps it: its memory is warm.
    sealer: Option<(Key, FrameSealer)>,
    sealed: Vec<u8>,
}

impl ProfileCipher {
    /// The profile as the elements run it, its chaotic stage by `backend`.
    pub fn new(profile: Profile, backend: Arc<dyn Backend>) -> ProfileCipher {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new([0; 32]));
        ProfileCipher { profile, engine: Engine { backend, pool: None }, recipients, sealer: None, sealed: Vec::new() }
    }

    /// A stream whose root is `key`, at `counter`.
    fn stream(&self, key: &Key, counter: u64) -> Result<StreamWriter> {
        let secrets = StreamSecrets::new(*key, [0; 16], [0; 32]);
        let mut writer = StreamWriter::new(self.profile, Aead::default(), &self.recipients, secrets)?;
        for _ in 0..counter {
            writer.frame(0)?;
        }
        Ok(writer)
    }
}

impl Cipher for ProfileCipher {
    fn name(&self) -> &'static str {
        self.profile.name()
    }

    fn note(&self, mode: Mode) -> Option<&'static str> {
        match (self.profile, mode) {
            (Profile::Chaos, _) => None,
            (_, Mode::FreshCounter) => Some("passes because of the AEAD"),
            (Profile::Hardened, Mode::SameCounter) => Some("passes because the AEAD's tags key the chaotic stage"),
            (Profile::Aead, Mode::SameCounter) => {
                Some("the AEAD never uses a counter twice, and fails where it is made to")
            }
        }
    }

    fn key_space_bits(&self) -> Option<u32> {
        Some(256)
    }

    fn has_counter(&self) -> bool {
        true
    }

    fn encrypt(&mut self, plain: &[u8], key: &Key, counter: u64) -> Result<Ciphertext> {
        let mut writer = self.stream(key, counter)?;
        let ticket = writer.frame(plain.len())?;
        self.sealer.take_if(|(old, _)| old != key);
        let (_, sealer) =
            self.sealer.get_or_insert_with(|| (*key, FrameSealer::new(writer.keys(), self.engine.clone())));
        let mut prefix = Vec::new();
        let begun = Instant::now();
        sealer.seal(ticket, &Record::default(), plain, &mut prefix, &mut self.sealed)?;
        let seconds = begun.elapsed().as_secs_f64();
        let authenticator = &prefix[FRAME_HEADER_BYTES..][..self.profile.authenticator_len(plain.len())];
        Ok(Ciphertext { bytes: self.sealed.clone(), authenticator: authenticator.to_vec(), seconds })
    }

    fn decrypt_unverified(&mut self, cipher: &Ciphertext, key: &Key, counter: u64) -> Result<Option<Vec<u8>>> {
        let keys = self.stream(key, counter)?.keys().epoch(0)?;
        let mut bytes = cipher.bytes.clone();
        if self.profile.runs_stage() {
            let segments = if self.profile == Profile::Chaos { 0 } else { segments(bytes.len()) as u32 };
            let mut plan = FramePlan::default();
            plan.prepare(&keys.frame_key(counter, segments, &cipher.authenticator), bytes.len());
            self.engine.backend.decrypt(&plan, &cipher.bytes, &mut bytes, None);
        }
        if self.profile != Profile::Chaos {
            for (index, segment) in bytes.chunks_mut(SEGMENT_BYTES).enumerate() {
                // What zeros are sealed to is the keystream.
                let mut keystream = vec![0; segment.len()];
                keys.seal(counter, index as u32, &[], &mut keystream)?;
                segment.iter_mut().zip(keystream).for_each(|(byte, mask)| *byte ^= mask);
            }
        }
        Ok(Some(bytes))
    }
}
