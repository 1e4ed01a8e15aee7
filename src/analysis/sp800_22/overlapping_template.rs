//! Do runs of ones occur as often as they should, where they may overlap? SP 800-22 Rev. 1a, section 2.8.
//!
//! The classes' probabilities are computed for a block of just this length. Those that sections 2.8.4 and 3.8 work with are
//! an asymptotic approximation, corrected in Revision 1a after Hamano, Kaneko, "Correction of overlapping template matching
//! test included in NIST randomness test suite" (IEICE Transactions E90-A, 2007): the exact ones are theirs.

use super::{bits::Bits, special::chi_square};

/// Occurrences of the last class and more.
const MOST: usize = 5;

/// P-value of the numbers of places with `m` ones in blocks of `block` bits: 0, 1, 2, 3, 4, 5 and more.
pub fn overlapping_template(bits: &Bits, m: usize, block: usize) -> f64 {
    chi_square(&counts(bits, m, block), &probabilities(m, block))
}

fn counts(bits: &Bits, m: usize, block: usize) -> [u64; MOST + 1] {
    let mut counts = [0; MOST + 1];
    for number in 0..bits.len() / block {
        let (mut run, mut occurrences) = (0, 0);
        for bit in bits.block(number * block..(number + 1) * block) {
            run = if bit { run + 1 } else { 0 };
            occurrences += usize::from(run >= m);
        }
        counts[occurrences.min(MOST)] += 1;
    }
    counts
}

/// Bit by bit: the probabilities of all pairs of the ones since the last zero (`m` and more are one) and the occurrences.
fn probabilities(m: usize, block: usize) -> [f64; MOST + 1] {
    let mut states = vec![[0.0; MOST + 1]; m + 1];
    states[0][0] = 1.0;
    for _ in 0..block {
        let mut next = vec![[0.0; MOST + 1]; m + 1];
        for (run, by_occurrences) in states.iter().enumerate() {
            for (occurrences, probability) in by_occurrences.iter().enumerate() {
                next[0][occurrences] += probability / 2.0;
                let longer = (run + 1).min(m);
                let more = occurrences + usize::from(longer == m);
                next[longer][more.min(MOST)] += probability / 2.0;
            }
        }
        states = next;
    }
    std::array::from_fn(|occurrences| states.iter().map(|by_occurrences| by_occurrences[occurrences]).sum())
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    /// Section 2.8.4 counts two occurrences in its second block, 0010110100, where there is one.
    #[test]
    fn counts_by_hand() {
        let example = Bits::of_digits("10111011110010110100011100101110111110000101101001");
        assert_eq!(counts(&example, 2, 10), [0, 2, 0, 1, 1, 1]);
    }

    /// Appendix B, which has the older, asymptotic probabilities. How they were rounded is not told: four digits agree.
    #[test]
    fn published_examples_with_the_older_probabilities() {
        let older = [0.367879, 0.183940, 0.137955, 0.099634, 0.069935, 0.140657];
        for (bits, published) in million_of_each().into_iter().zip([0.296897, 0.110434, 0.791982, 0.082716]) {
            let found = chi_square(&counts(bits, 9, 1032), &older);
            assert!((found - published).abs() < 3e-5, "{found} is not {published}");
        }
        assert_eq!(counts(million_of_each()[1], 9, 1032), [329, 164, 150, 111, 78, 136]);
    }

    /// Section 3.8, after Hamano and Kaneko.
    #[test]
    fn probabilities_are_those_of_hamano_and_kaneko() {
        let published = [0.364091, 0.185659, 0.139381, 0.100571, 0.070432, 0.139865];
        for (found, published) in probabilities(9, 1032).into_iter().zip(published) {
            assert!((found - published).abs() < 1e-6, "{found} is not {published}");
        }
    }

    /// All blocks of 10 bits.
    #[test]
    fn probabilities_are_those_of_counting() {
        let mut counted = [0.0; MOST + 1];
        for block in 0..1024u32 {
            let occurrences = (block & block >> 1).count_ones() as usize;
            counted[occurrences.min(MOST)] += 1.0 / 1024.0;
        }
        assert_eq!(probabilities(2, 10), counted);
    }
}
