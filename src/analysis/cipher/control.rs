//! What others are held against: the picture itself, which must fail, and AES-256-CTR, which must pass.

use std::time::Instant;

use aws_lc_rs::{
    cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    iv::FixedLength,
};

use super::{Cipher, Ciphertext, Key};
use crate::{Error, Result, analysis::suite::Mode};

/// No encryption.
pub struct Plain;

impl Cipher for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn note(&self, _: Mode) -> Option<&'static str> {
        Some("control: no encryption")
    }

    fn has_counter(&self) -> bool {
        false
    }

    fn encrypt(&mut self, plain: &[u8], _: &Key, _: u64) -> Result<Ciphertext> {
        let begun = Instant::now();
        let bytes = plain.to_vec();
        Ok(Ciphertext { bytes, authenticator: Vec::new(), seconds: begun.elapsed().as_secs_f64() })
    }

    fn decrypt_unverified(&mut self, cipher: &Ciphertext, _: &Key, _: u64) -> Result<Option<Vec<u8>>> {
        Ok(Some(cipher.bytes.clone()))
    }
}

/// AES-256 in counter mode, of AWS-LC: the frame's counter is the upper half of the first counter block.
pub struct AesCtr;

impl Cipher for AesCtr {
    fn name(&self) -> &'static str {
        "aes-256-ctr"
    }

    fn note(&self, _: Mode) -> Option<&'static str> {
        Some("control: a standard cipher")
    }

    fn key_space_bits(&self) -> Option<u32> {
        Some(256)
    }

    fn has_counter(&self) -> bool {
        true
    }

    fn encrypt(&mut self, plain: &[u8], key: &Key, counter: u64) -> Result<Ciphertext> {
        let begun = Instant::now();
        let mut bytes = plain.to_vec();
        let refused = |_| Error::Refused("AES refused to encrypt");
        let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).map_err(refused)?).map_err(refused)?;
        key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(block(counter))).map_err(refused)?;
        Ok(Ciphertext { bytes, authenticator: Vec::new(), seconds: begun.elapsed().as_secs_f64() })
    }

    fn decrypt_unverified(&mut self, cipher: &Ciphertext, key: &Key, counter: u64) -> Result<Option<Vec<u8>>> {
        let mut bytes = cipher.bytes.clone();
        let refused = |_| Error::Refused("AES refused to decrypt");
        let key = DecryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).map_err(refused)?).map_err(refused)?;
        key.decrypt(&mut bytes, DecryptionContext::Iv128(block(counter))).map_err(refused)?;
        Ok(Some(bytes))
    }
}

fn block(counter: u64) -> FixedLength<16> {
    let mut block = [0; 16];
    block[..8].copy_from_slice(&counter.to_be_bytes());
    block.into()
}
