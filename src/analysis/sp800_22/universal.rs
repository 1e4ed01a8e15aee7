//! Can the sequence be compressed? Maurer's universal test. SP 800-22 Rev. 1a, section 2.9.
//!
//! The factor c(L, K) of the standard deviation is Maurer's approximation, as in the publication; Coron and Naccache,
//! "An accurate evaluation of Maurer's universal test" (SAC 1998), find the deviation some percent off for short blocks.

use std::f64::consts::SQRT_2;

use super::{bits::Bits, special::erfc};

/// Sequences of so many bits are taken in blocks of 6 bits, the shortest; each further bit needs a bit more than twice as
/// many (the table of section 2.9.7).
pub const MINIMUM_BITS: usize = minimum_bits(6);

/// A thousand blocks of each kind after ten that fill the table.
const fn minimum_bits(block: u32) -> usize {
    1010 * (1 << block) * block as usize
}

/// P-value of the mean distance, in bits, of a block to the last one that is the same.
///
/// # Panics
/// If there are fewer than [`MINIMUM_BITS`].
pub fn universal(bits: &Bits) -> f64 {
    let block = (6..=16).rev().find(|block| minimum_bits(*block) <= bits.len()).expect("at least MINIMUM_BITS");
    p_value(bits, block, moments(block))
}

fn p_value(bits: &Bits, block: u32, (mean, variance): (f64, f64)) -> f64 {
    let first = 10 << block;
    let tested = (bits.len() / block as usize - first) as f64;
    let length = f64::from(block);
    let c = 0.7 - 0.8 / length + (4.0 + 32.0 / length) * tested.powf(-3.0 / length) / 15.0;
    let deviation = c * (variance / tested).sqrt();
    erfc((statistic(bits, block, first) - mean).abs() / (SQRT_2 * deviation))
}

/// Mean over all blocks but the `first`, which fill the table, of log2 of the distance.
fn statistic(bits: &Bits, block: u32, first: usize) -> f64 {
    let mut last = vec![0; 1 << block];
    let mut sum = 0.0;
    let blocks = bits.len() / block as usize;
    for number in 1..=blocks {
        let value = (bits.word_at((number - 1) * block as usize) >> (64 - block)) as usize;
        if number > first {
            sum += ((number - last[value]) as f64).log2();
        }
        last[value] = number;
    }
    sum / (blocks - first) as f64
}

/// Mean and variance of log2 of the distance, which is geometrically distributed (Maurer, "A universal statistical test for
/// random bit generators", Journal of Cryptology 5, 1992, equations 16 and 17).
fn moments(block: u32) -> (f64, f64) {
    let probability = 0.5f64.powi(block as i32);
    let (mut mean, mut square, mut weight) = (0.0, 0.0, probability);
    // What is left after 45 times the mean distance weighs less than 2^-64.
    for distance in 1..45u64 << block {
        let logarithm = (distance as f64).log2();
        mean += weight * logarithm;
        square += weight * logarithm * logarithm;
        weight *= 1.0 - probability;
    }
    (mean, square - mean * mean)
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Section 2.9.4: the statistic. Its P-value takes the variance for the deviation, by mistake.
        close(statistic(&Bits::of_digits("01011010011101010111"), 2, 4), 1.1949875);
        // Appendix B.
        for (bits, expected) in million_of_each().into_iter().zip([0.669012, 0.282568, 0.130805, 0.165981]) {
            close(p_value(bits, 7, (6.1962507, 3.125)), expected);
            assert!((universal(bits) - expected).abs() < 1e-4, "the variance is published with four digits");
        }
    }

    /// The tables of sections 2.9.4 and 2.9.7.
    #[test]
    fn published_tables() {
        let table = [
            (6, 5.2177052, 2.954, 387_840),
            (7, 6.1962507, 3.125, 904_960),
            (8, 7.1836656, 3.238, 2_068_480),
            (9, 8.1764248, 3.311, 4_654_080),
            (10, 9.1723243, 3.356, 10_342_400),
            (16, 15.167379, 3.421, 1_059_061_760),
        ];
        for (block, mean, variance, minimum) in table {
            let found = moments(block);
            assert!((found.0 - mean).abs() < 1e-6 && (found.1 - variance).abs() < 1e-3, "{block}: {found:?}");
            assert_eq!(minimum_bits(block), minimum);
        }
    }
}
