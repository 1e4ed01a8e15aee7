//! Encryption that leaves something to see, and encryption that does not: what gives a sample its label.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

use crate::{
    Error, Result,
    analysis::{
        cipher::{Cipher, Key, control::AesCtr, profile::ProfileCipher, stage::StageCipher},
        picture::Picture,
        random::Random,
    },
    backend::Backend,
    chaos::{FrameKey, FramePlan},
    nn::Label,
    seal::Profile,
};

/// Bytes of an AES block.
const BLOCK: usize = 16;
/// Share of blocks that have an equal one: with fewer, nothing tells an ECB picture from noise.
const LEAST_REPEATED: f64 = 0.4;

/// Every way to encrypt a frame.
pub struct Schemes {
    backend: Arc<dyn Backend>,
    plan: FramePlan,
    whole: Vec<Box<dyn Cipher>>,
}

impl Schemes {
    /// The chaotic stage, whole or halved, is run by `backend`.
    pub fn new(backend: Arc<dyn Backend>) -> Schemes {
        let mut whole: Vec<Box<dyn Cipher>> = vec![Box::new(StageCipher::new(backend.clone())), Box::new(AesCtr)];
        let profiles = Profile::ALL.map(|profile| ProfileCipher::new(profile, backend.clone()));
        whole.extend(profiles.map(|cipher| Box::new(cipher) as Box<dyn Cipher>));
        Schemes { backend, plan: FramePlan::default(), whole }
    }

    /// What a frame becomes under `label`, and by which scheme. Keys come from `random`.
    ///
    /// # Errors
    /// Those of the ciphers.
    pub fn apply(&mut self, label: Label, plain: &Picture, random: &mut Random) -> Result<(&'static str, Picture)> {
        let (scheme, bytes) = match label {
            Label::Plain => ("as it is", plain.bytes.clone()),
            Label::Permuted => self.permuted(&plain.bytes, random),
            Label::LowPlanes => ("low planes", self.masked(&plain.bytes, 0x0f, random)),
            Label::HighPlanes => ("high planes", self.masked(&plain.bytes, 0xf0, random)),
            Label::EcbLike => ecb_like(plain, random)?,
            Label::Encrypted => self.encrypted(&plain.bytes, random)?,
        };
        Ok((scheme, plain.with_bytes(bytes)))
    }

    /// By the permutation of the chaotic stage alone, or every sample to anywhere.
    fn permuted(&mut self, plain: &[u8], random: &mut Random) -> (&'static str, Vec<u8>) {
        let mut bytes = plain.to_vec();
        if random.below(2) == 0 {
            random.draw(&mut bytes, plain.len());
            return ("shuffled", bytes);
        }
        self.plan.prepare(&FrameKey::new(random.array()), plain.len());
        self.backend.permute(&self.plan, plain, &mut bytes, None);
        ("stage's permutation", bytes)
    }

    /// The planes of `mask` under the chaotic stage's keystream, the others as they are.
    fn masked(&mut self, plain: &[u8], mask: u8, random: &mut Random) -> Vec<u8> {
        self.plan.prepare(&FrameKey::new(random.array()), plain.len());
        let mut keystream = vec![0; plain.len()];
        self.backend.keystream(&self.plan, &mut keystream, None);
        plain.iter().zip(keystream).map(|(byte, key)| byte ^ (key & mask)).collect()
    }

    /// By a profile, by the chaotic stage alone, by AES-256-CTR; or uniform noise, which is the same to look at.
    fn encrypted(&mut self, plain: &[u8], random: &mut Random) -> Result<(&'static str, Vec<u8>)> {
        let choice = random.below(self.whole.len() + 1);
        let key: Key = random.array();
        match self.whole.get_mut(choice) {
            Some(cipher) => Ok((cipher.name(), cipher.encrypt(plain, &key, 0)?.bytes)),
            None => {
                let mut noise = vec![0; plain.len()];
                random.fill(&mut noise);
                Ok(("uniform noise", noise))
            }
        }
    }
}

/// AES-256 in ECB mode over rows, or over squares of 4 x 4 samples. Values are made fewer until enough blocks are equal.
fn ecb_like(plain: &Picture, random: &mut Random) -> Result<(&'static str, Vec<u8>)> {
    let is_square = random.below(2) == 0;
    let key: Key = random.array();
    let order: Vec<usize> = if is_square { squares(plain) } else { (0..plain.bytes.len()).collect() };
    let coarse = |bits: u32| -> Vec<u8> { plain.bytes.iter().map(|byte| byte & (0xff << (8 - bits))).collect() };
    let blocks = |bytes: &[u8]| -> Vec<u8> { order.iter().map(|&at| bytes[at]).collect() };
    let is_enough = |bits: &u32| repeated(&blocks(&coarse(*bits))) >= LEAST_REPEATED;
    let mut bytes = coarse((2..=8).rev().find(is_enough).unwrap_or(1));
    let mut sealed = blocks(&bytes);
    encrypt_blocks(&key, &mut sealed)?;
    order.iter().zip(sealed).for_each(|(&at, byte)| bytes[at] = byte);
    Ok((if is_square { "ECB over squares" } else { "ECB over rows" }, bytes))
}

/// The samples of one channel's squares after the other, square by square; what fills no square is left out.
fn squares(picture: &Picture) -> Vec<usize> {
    let (width, height, channels) = picture.shape();
    let mut order = Vec::with_capacity(picture.bytes.len());
    for top in (0..height / 4 * 4).step_by(4) {
        for left in (0..width / 4 * 4).step_by(4) {
            for channel in 0..channels {
                let at = |i: usize| ((top + i / 4) * width + left + i % 4) * channels + channel;
                order.extend((0..BLOCK).map(at));
            }
        }
    }
    order
}

/// Share of whole blocks that are equal to another.
fn repeated(bytes: &[u8]) -> f64 {
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    bytes.chunks_exact(BLOCK).for_each(|block| *counts.entry(block).or_default() += 1);
    let repeated: usize = counts.values().filter(|&&count| count > 1).sum();
    repeated as f64 / (bytes.len() / BLOCK).max(1) as f64
}

/// Whole blocks; the rest of the last one stays.
fn encrypt_blocks(key: &Key, bytes: &mut [u8]) -> Result<()> {
    let refused = |_| Error::Refused("AES refused to encrypt");
    let whole = bytes.len() / BLOCK * BLOCK;
    let key = EncryptingKey::ecb(UnboundCipherKey::new(&AES_256, key).map_err(refused)?).map_err(refused)?;
    key.less_safe_encrypt(&mut bytes[..whole], EncryptionContext::None).map(drop).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::histogram::counts,
        backend::{self, Choice},
    };

    fn photograph() -> Picture {
        let mut random = Random::new(&[9; 32], "photograph");
        let (width, height) = (170, 150);
        let of = |at: usize| (60 + at % width / 2 + at / width / 3 + random.below(5)) as u8;
        Picture { width, height, channels: 1, bytes: (0..width * height).map(of).collect() }
    }

    fn applied(label: Label, plain: &Picture, seed: u8) -> Picture {
        let mut schemes = Schemes::new(backend::choose(Choice::Portable).expect("portable is everywhere"));
        schemes.apply(label, plain, &mut Random::new(&[seed; 32], "weakened")).expect("encrypts").1
    }

    #[test]
    fn permuted_keeps_the_histogram() {
        let plain = photograph();
        for seed in 0..6 {
            let made = applied(Label::Permuted, &plain, seed);
            assert_eq!(counts(&made.bytes), counts(&plain.bytes));
            let moved = made.bytes.iter().zip(&plain.bytes).filter(|(a, b)| a != b).count();
            assert!(moved > plain.bytes.len() / 2, "{moved}");
        }
    }

    #[test]
    fn planes_that_are_not_encrypted_stay() {
        let plain = photograph();
        for (label, kept) in [(Label::LowPlanes, 0xf0), (Label::HighPlanes, 0x0f)] {
            let made = applied(label, &plain, 1);
            assert!(made.bytes.iter().zip(&plain.bytes).all(|(a, b)| a & kept == b & kept));
            // Of 16 values of the other nibble one stays by chance.
            let same = made.bytes.iter().zip(&plain.bytes).filter(|(a, b)| a == b).count();
            let expected = plain.bytes.len() / 16;
            assert!(same.abs_diff(expected) < expected / 4, "{same}");
        }
    }

    #[test]
    fn equal_blocks_stay_equal_and_others_differ() {
        let stripes =
            photograph().with_bytes((0..170 * 150).map(|at| if at / 170 % 8 < 4 { 30 } else { 200 }).collect());
        for seed in 0..6 {
            let made = applied(Label::EcbLike, &stripes, seed);
            let values: std::collections::HashSet<&[u8]> = made.bytes.chunks_exact(BLOCK).collect();
            assert!(repeated(&made.bytes) > 0.5 || values.len() < made.bytes.len() / BLOCK, "{}", values.len());
            assert!(counts(&made.bytes)[30] < 1000, "nothing is left of the plain values");
        }
        let noise: Vec<u8> = Random::new(&[2; 32], "noise").array::<4096>().to_vec();
        assert_eq!(repeated(&noise), 0.0);
        assert_eq!(repeated(&[7; 64]), 1.0);
    }

    /// The first block of FIPS 197, appendix C.3.
    #[test]
    fn blocks_are_those_of_aes_256() {
        let key: Key = std::array::from_fn(|i| i as u8);
        let mut bytes: Vec<u8> = (0..16).map(|i| i * 0x11).collect();
        bytes.extend_from_within(..);
        bytes.push(5);
        encrypt_blocks(&key, &mut bytes).expect("encrypts");
        let expected = 0x8ea2b7ca516745bfeafc49904b496089u128.to_be_bytes();
        assert_eq!((&bytes[..16], &bytes[16..32], bytes[32]), (&expected[..], &expected[..], 5));
    }

    #[test]
    fn squares_hold_each_sample_once() {
        let picture = Picture { width: 9, height: 8, channels: 3, bytes: vec![0; 9 * 8 * 3] };
        let order = squares(&picture);
        let distinct: std::collections::BTreeSet<usize> = order.iter().copied().collect();
        assert_eq!((order.len(), distinct.len()), (8 * 8 * 3, 8 * 8 * 3));
        // Green of the first square's second row: pixels 9 to 12 of the picture.
        assert_eq!(order[20..24], [28, 31, 34, 37]);
    }

    #[test]
    fn whole_encryption_has_no_chi_square_to_see() {
        let flat = photograph().with_bytes(vec![77; 170 * 150]);
        for seed in 0..12 {
            let made = applied(Label::Encrypted, &flat, seed);
            let expected = made.bytes.len() as f64 / 256.0;
            let statistic: f64 =
                counts(&made.bytes).iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
            // 255 degrees of freedom, five standard deviations of 22.6.
            assert!((statistic - 255.0).abs() < 113.0, "{statistic}");
        }
    }
}
