//! Is the longest run of ones in each block as long as it should be? SP 800-22 Rev. 1a, section 2.4.
//!
//! The probabilities that section 2.4.4 prints are rounded to four digits, and for blocks of 10,000 bits wrong in the
//! third: 0.0882 stands for 0.0866. With a million bits that moves P-values by up to 0.02, so they are computed here.

use super::{bits::Bits, special::chi_square};

/// Blocks and classes of a test.
struct Classes {
    /// Bits of a block.
    block: usize,
    /// The longest runs of the first class are no longer than this.
    shortest: usize,
    /// Those of the last class are no shorter than this.
    longest: usize,
}

/// P-value of the longest runs of ones in blocks, whose size goes with the sequence's (the tables of section 2.4.2).
pub fn longest_run(bits: &Bits) -> f64 {
    let classes = Classes::of(bits.len());
    chi_square(&classes.counts(bits), &classes.probabilities())
}

impl Classes {
    fn of(len: usize) -> Classes {
        match len {
            0..6272 => Classes { block: 8, shortest: 1, longest: 4 },
            6272..750_000 => Classes { block: 128, shortest: 4, longest: 9 },
            _ => Classes { block: 10_000, shortest: 10, longest: 16 },
        }
    }

    fn counts(&self, bits: &Bits) -> Vec<u64> {
        let mut counts = vec![0; self.longest - self.shortest + 1];
        for block in 0..bits.len() / self.block {
            let (mut run, mut longest) = (0, 0);
            for bit in bits.block(block * self.block..(block + 1) * self.block) {
                run = if bit { run + 1 } else { 0 };
                longest = longest.max(run);
            }
            counts[longest.clamp(self.shortest, self.longest) - self.shortest] += 1;
        }
        counts
    }

    fn probabilities(&self) -> Vec<f64> {
        let up_to: Vec<f64> = (self.shortest..self.longest).map(|run| no_longer_than(run, self.block)).collect();
        let mut probabilities: Vec<f64> = up_to.windows(2).map(|pair| pair[1] - pair[0]).collect();
        probabilities.insert(0, up_to[0]);
        probabilities.push(1.0 - up_to[up_to.len() - 1]);
        probabilities
    }
}

/// Probability that no run of ones in `len` bits is longer than `run`: a sequence without such a run that gets another
/// bit has one now if it ends with a zero and `run + 1` ones.
fn no_longer_than(run: usize, len: usize) -> f64 {
    let new_run = 0.5f64.powi(run as i32 + 2);
    let mut without = vec![1.0; run + 1];
    without.push(1.0 - 2.0 * new_run);
    for n in run + 2..=len {
        without.push(without[n - 1] - new_run * without[n - run - 2]);
    }
    without[len]
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    const PUBLISHED_8: [f64; 4] = [0.2148, 0.3672, 0.2305, 0.1875];
    const PUBLISHED_128: [f64; 6] = [0.1174, 0.2430, 0.2493, 0.1752, 0.1027, 0.1124];
    const PUBLISHED_10_000: [f64; 7] = [0.0882, 0.2092, 0.2483, 0.1933, 0.1208, 0.0675, 0.0727];

    #[test]
    fn published_examples_with_the_published_probabilities() {
        // Section 2.4.8 and appendix B.
        let example = Bits::of_digits(
            "11001100000101010110110001001100111000000000001001001101010100010001001111010110\
             100000001101011111001100111001101101100010110010",
        );
        assert_eq!(Classes::of(128).counts(&example), [4, 9, 3, 0]);
        close(longest_run(&example), 0.180609);
        for (bits, expected) in million_of_each().into_iter().zip([0.024390, 0.718945, 0.012117, 0.446726]) {
            close(chi_square(&Classes::of(1_000_000).counts(bits), &PUBLISHED_10_000), expected);
        }
    }

    #[test]
    fn probabilities_of_short_blocks_are_the_published_ones() {
        for (len, published) in [(128, &PUBLISHED_8[..]), (6272, &PUBLISHED_128)] {
            for (found, published) in Classes::of(len).probabilities().iter().zip(published) {
                assert!((found - published).abs() < 1e-4, "{found} is not {published}");
            }
        }
    }

    /// All 256 blocks of 8 bits.
    #[test]
    fn probabilities_are_those_of_counting() {
        let longest =
            |byte: u32| (0..=8).rev().find(|run| format!("{byte:08b}").contains(&"1".repeat(*run))).unwrap_or(0);
        for run in 0..=8 {
            let counted = (0..256).filter(|byte| longest(*byte) <= run).count() as f64 / 256.0;
            assert_eq!(no_longer_than(run, 8), counted, "{run}");
        }
    }
}
