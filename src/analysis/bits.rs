//! Statistics of single bits in sequences of words: frequency, repetition within a sequence, likeness of neighbours.
//!
//! Ideal everywhere: a half. A count of `n` fair bits has mean `n/2` and variance `n/4` (NIST SP 800-22 Rev. 1a,
//! section 2.1), so the score is `(ones - n/2) / sqrt(n/4)`.

use std::ops::Range;

use super::Worst;

/// How often a bit is one.
pub fn frequency(sequences: &[Vec<u64>], bits: Range<u32>) -> Worst {
    worst(bits, || sequences.iter().flatten().copied())
}

/// How often a bit differs from the same bit of the word before.
pub fn repetition(sequences: &[Vec<u64>], bits: Range<u32>) -> Worst {
    worst(bits, || sequences.iter().flat_map(|words| words.windows(2).map(|pair| pair[0] ^ pair[1])))
}

/// How often a bit differs from the same bit at the same place of the next sequence.
pub fn likeness(sequences: &[Vec<u64>], bits: Range<u32>) -> Worst {
    worst(bits, || sequences.windows(2).flat_map(|pair| pair[0].iter().zip(&pair[1]).map(|(a, b)| a ^ b)))
}

fn worst<W: Iterator<Item = u64>>(bits: Range<u32>, words: impl Fn() -> W) -> Worst {
    let mut ones = [0u64; 64];
    let mut samples = 0;
    for word in words() {
        samples += 1;
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += word >> bit & 1;
        }
    }
    let n = samples as f64;
    let score = |bit: u32| Worst { z: (ones[bit as usize] as f64 - n / 2.0) / (n / 4.0).sqrt(), place: bit, samples };
    Worst::of(bits.map(score))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        // Bit 0 is one three times of four: (3 - 2) / sqrt(1).
        let words = vec![vec![1, 1, 1, 0]];
        assert_eq!(frequency(&words, 0..1), Worst { z: 1.0, place: 0, samples: 4 });
        // It changes once in three steps: (1 - 1.5) / sqrt(0.75).
        let z = -0.5 / f64::sqrt(0.75);
        assert_eq!(repetition(&words, 0..1), Worst { z, place: 0, samples: 3 });
        // Two sequences that are the same nowhere: (2 - 1) / sqrt(0.5).
        let apart = vec![vec![4, 0], vec![0, 4]];
        assert_eq!(likeness(&apart, 2..3), Worst { z: 1.0 / f64::sqrt(0.5), place: 2, samples: 2 });
    }

    #[test]
    fn the_worst_bit_is_told() {
        let words = vec![vec![0b10, 0b11, 0b10, 0b11]];
        assert_eq!(frequency(&words, 0..2), Worst { z: 2.0, place: 1, samples: 4 });
    }
}
