//! The chaotic stage alone: its keys know key and counter, nothing of the picture. What the papers would call the cipher.

use std::{sync::Arc, time::Instant};

use super::{Cipher, Ciphertext, Key};
use crate::{
    Result,
    analysis::suite::Mode,
    backend::Backend,
    chaos::{FrameKey, FramePlan},
};

/// Name of its rows.
pub const NAME: &str = "chaotic-stage";

/// The chaotic stage without seal or digest.
pub struct StageCipher {
    backend: Arc<dyn Backend>,
    plan: FramePlan,
}

impl StageCipher {
    /// Run by `backend`.
    pub fn new(backend: Arc<dyn Backend>) -> StageCipher {
        StageCipher { backend, plan: FramePlan::default() }
    }

    /// The frame's key: keyed BLAKE3 of its counter.
    fn prepare(&mut self, key: &Key, counter: u64, len: usize) {
        let hash =
            blake3::Hasher::new_keyed(key).update(b"chaotic stage alone").update(&counter.to_le_bytes()).finalize();
        self.plan.prepare(&FrameKey::new(*hash.as_bytes()), len);
    }
}

impl Cipher for StageCipher {
    fn name(&self) -> &'static str {
        NAME
    }

    fn note(&self, _: Mode) -> Option<&'static str> {
        Some("the chaotic stage alone, its key independent of the picture; for study")
    }

    fn key_space_bits(&self) -> Option<u32> {
        Some(256)
    }

    fn has_counter(&self) -> bool {
        true
    }

    fn encrypt(&mut self, plain: &[u8], key: &Key, counter: u64) -> Result<Ciphertext> {
        let mut bytes = vec![0; plain.len()];
        let begun = Instant::now();
        self.prepare(key, counter, plain.len());
        self.backend.encrypt(&self.plan, plain, &mut bytes, None);
        Ok(Ciphertext { bytes, authenticator: Vec::new(), seconds: begun.elapsed().as_secs_f64() })
    }

    fn decrypt_unverified(&mut self, cipher: &Ciphertext, key: &Key, counter: u64) -> Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; cipher.bytes.len()];
        self.prepare(key, counter, bytes.len());
        self.backend.decrypt(&self.plan, &cipher.bytes, &mut bytes, None);
        Ok(Some(bytes))
    }
}
