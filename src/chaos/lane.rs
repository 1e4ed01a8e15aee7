//! One keystream lane: seed, warm-up, and how a map's state becomes a word.

use super::{LANE_SEED_BYTES, lorenz, lss};

/// Steps of each map before the first output.
pub const WARM_UP: usize = 8;
/// Rounds of a lane; each is one Lorenz step and three logistic-sine steps, and yields three words.
pub const ROUNDS: usize = 64;

/// State of a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lane {
    /// Logistic-sine state, in `(0, 1)`.
    pub t: f64,
    /// Logistic-sine parameter, in `(0, 4)`.
    pub u: f64,
    /// `(4 - u) / 4`.
    pub v: f64,
    /// Lorenz state.
    pub x: f64,
    /// Lorenz state.
    pub y: f64,
    /// Lorenz state.
    pub z: f64,
}

impl Lane {
    /// The lane before its warm-up, from its 64 bytes of the "lanes" output (the first 40 are used).
    #[inline(always)]
    pub fn from_seed(seed: &[u8; LANE_SEED_BYTES]) -> Lane {
        let uniform = |i: usize| {
            let (numbers, _) = seed.as_chunks::<8>();
            // Exact: 52 bits, a half, a power of two. Uniform in (0, 1), never an end.
            ((u64::from_le_bytes(numbers[i]) >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
        };
        let u = 4.0 * uniform(0);
        Lane {
            t: uniform(1),
            u,
            v: (4.0 - u) * 0.25,
            x: 30.0 * uniform(2) - 15.0,
            y: 30.0 * uniform(3) - 15.0,
            z: 30.0 * uniform(4) + 10.0,
        }
    }
}

/// The word of one step: low four bits of each byte from the logistic-sine state `t`, high four from the Lorenz
/// coordinate `s` (bit planes of Liu et al. 2022), 32 mantissa bits of each used once.
#[inline(always)]
pub fn word(t: f64, s: f64) -> u64 {
    const LOW: u64 = 0x0F0F_0F0F;
    const HIGH: u64 = 0xF0F0_F0F0;
    let (lo, hi) = (t.to_bits() & 0xFFFF_FFFF, s.to_bits() & 0xFFFF_FFFF);
    let a = (lo & LOW) | (hi & HIGH);
    let b = ((lo >> 4) & LOW) | ((hi << 4) & HIGH);
    a | (b << 32)
}

/// The 192 words of one lane, in order, as the specification tells it.
pub fn words(seed: &[u8; LANE_SEED_BYTES]) -> [u64; 3 * ROUNDS] {
    let Lane { mut t, u, v, mut x, mut y, mut z } = Lane::from_seed(seed);
    for _ in 0..WARM_UP {
        t = lss::step(t, u, v);
        (x, y, z) = lorenz::step(x, y, z);
    }
    let mut words = [0; 3 * ROUNDS];
    for round in words.chunks_exact_mut(3) {
        (x, y, z) = lorenz::step(x, y, z);
        for (word_out, s) in round.iter_mut().zip([x, y, z]) {
            t = lss::step(t, u, v);
            *word_out = word(t, s);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_exact_and_open() {
        let low = Lane::from_seed(&[0; LANE_SEED_BYTES]);
        assert_eq!(low.t, f64::powi(2.0, -53));
        assert_eq!(low.v, (4.0 - f64::powi(2.0, -51)) / 4.0);
        let high = Lane::from_seed(&[0xFF; LANE_SEED_BYTES]);
        assert_eq!(high.t, 1.0 - f64::powi(2.0, -53));
        assert!(high.u < 4.0 && high.z <= 40.0 && low.x >= -15.0);
    }

    #[test]
    fn a_word_takes_every_low_mantissa_bit_once() {
        for bit in 0..32 {
            let one = f64::from_bits(1 << bit);
            assert_eq!(word(one, 0.0).count_ones(), 1, "t bit {bit}");
            assert_eq!(word(0.0, one).count_ones(), 1, "s bit {bit}");
            assert_eq!(word(one, 0.0) & 0xF0F0_F0F0_F0F0_F0F0, 0, "t stays in the low planes");
            assert_eq!(word(0.0, one) & 0x0F0F_0F0F_0F0F_0F0F, 0, "s stays in the high planes");
        }
    }
}
