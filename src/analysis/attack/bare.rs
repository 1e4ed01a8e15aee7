//! Bare schemes in the style of published ones: permutation and XOR under one key for all pictures, keystream
//! independent of the plaintext.
//!
//! They exist here alone, on throw-away keys, to show what attacks on such schemes do. Nothing that seals can use them.

use std::sync::Arc;

use super::target::Target;
use crate::{
    Result,
    analysis::random::Random,
    backend::Backend,
    chaos::{FrameKey, FramePlan},
};

/// Our chaotic stage under one fixed key and counter.
pub struct BareStage {
    key: FrameKey,
    backend: Arc<dyn Backend>,
    permutes: bool,
}

impl BareStage {
    /// Permutation and keystream.
    pub fn new(seed: &[u8; 32], backend: Arc<dyn Backend>) -> BareStage {
        let key = FrameKey::new(*blake3::keyed_hash(seed, b"bare stage").as_bytes());
        BareStage { key, backend, permutes: true }
    }

    /// The keystream alone.
    pub fn xor_only(seed: &[u8; 32], backend: Arc<dyn Backend>) -> BareStage {
        BareStage { permutes: false, ..BareStage::new(seed, backend) }
    }
}

impl Target for BareStage {
    fn name(&self) -> &'static str {
        if self.permutes { "bare" } else { "bare, XOR only" }
    }

    fn defence(&self) -> Option<&'static str> {
        None
    }

    fn encrypt(&mut self, picture: &[u8]) -> Result<Vec<u8>> {
        let mut plan = FramePlan::default();
        plan.prepare(&self.key, picture.len());
        let mut cipher = picture.to_vec();
        match self.permutes {
            true => self.backend.encrypt(&plan, picture, &mut cipher, None),
            false => self.backend.keystream(&plan, &mut cipher, None),
        }
        Ok(cipher)
    }
}

/// A textbook scheme over the logistic map `x' = r x (1 - x)`: the order of one orbit permutes the pixels, another orbit
/// times the largest pixel value masks them.
///
/// Sources: `r = 3.99` from Khazaal et al. 2024; the sequence times the largest pixel value, XORed, from Subhashini et al.
/// 2023; sorting an orbit to get a permutation is common to many, among them those of Li and Lo 2011.
pub struct Logistic {
    start: [f64; 2],
}

/// Parameter of the logistic map (Khazaal et al. 2024).
const R: f64 = 3.99;
/// Steps before an orbit is used.
const WARM_UP: usize = 200;

impl Logistic {
    /// Both orbits' starts are drawn from the seed.
    pub fn new(seed: &[u8; 32]) -> Logistic {
        let mut random = Random::new(seed, "logistic");
        Logistic { start: [0; 2].map(|_| random.unit()) }
    }

    /// `p` with `dst[i] = src[p[i]]`.
    fn permutation(&self, len: usize) -> Vec<u32> {
        let orbit: Vec<f64> = orbit(self.start[0]).take(len).collect();
        let mut order: Vec<u32> = (0..len as u32).collect();
        order.sort_by(|&a, &b| orbit[a as usize].total_cmp(&orbit[b as usize]));
        order
    }
}

fn orbit(start: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(start), |x| Some(R * x * (1.0 - x))).skip(WARM_UP)
}

impl Target for Logistic {
    fn name(&self) -> &'static str {
        "logistic"
    }

    fn defence(&self) -> Option<&'static str> {
        None
    }

    fn encrypt(&mut self, picture: &[u8]) -> Result<Vec<u8>> {
        let order = self.permutation(picture.len());
        let mask = orbit(self.start[1]).map(|x| (255.0 * x).round() as u8);
        Ok(order.iter().zip(mask).map(|(&from, mask)| picture[from as usize] ^ mask).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Choice, choose},
        chaos::reference,
    };

    #[test]
    fn the_stage_is_the_reference_under_one_key() {
        let (seed, picture) = ([3; 32], [5; 1000]);
        let key = FrameKey::new(*blake3::keyed_hash(&seed, b"bare stage").as_bytes());
        let backend = || choose(Choice::Portable).expect("always there");
        let mut bare = BareStage::new(&seed, backend());
        assert_eq!(bare.encrypt(&picture).expect("encrypts"), reference::encrypt(&key, &picture));
        assert_eq!(bare.encrypt(&picture).expect("encrypts"), reference::encrypt(&key, &picture));
        let masked = BareStage::xor_only(&seed, backend()).encrypt(&[0; 1000]).expect("encrypts");
        assert_eq!(masked, reference::keystream(&key, 1000));
    }

    #[test]
    fn the_logistic_orbit_by_hand() {
        // 3.99 * 0.5 * 0.5, and once more: 3.99 * 0.9975 * 0.0025.
        let start: Vec<f64> = std::iter::successors(Some(0.5), |x| Some(R * x * (1.0 - x))).take(3).collect();
        assert_eq!(start[1], 0.9975);
        assert!((start[2] - 0.0099500625).abs() < 1e-12, "{start:?}");
    }

    #[test]
    fn the_logistic_order_is_a_permutation() {
        let mut order = Logistic::new(&[1; 32]).permutation(5000);
        assert!(order.windows(2).any(|pair| pair[0] > pair[1]), "it is not the identity");
        order.sort_unstable();
        assert!(order.into_iter().eq(0..5000));
    }
}
