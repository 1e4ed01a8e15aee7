//! Do bits change as often as they should? SP 800-22 Rev. 1a, section 2.3.

use std::f64::consts::SQRT_2;

use super::{bits::Bits, special::erfc};

/// P-value of the number of runs; 0 where the share of ones is so far from a half that nothing can be said of runs.
pub fn runs(bits: &Bits) -> f64 {
    let n = bits.len() as f64;
    let share = bits.ones(0..bits.len()) as f64 / n;
    if (share - 0.5).abs() >= 2.0 / n.sqrt() {
        return 0.0;
    }
    let variance = share * (1.0 - share);
    let runs = 1.0 + bits.changes() as f64;
    erfc((runs - 2.0 * n * variance).abs() / (2.0 * SQRT_2 * n.sqrt() * variance))
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Sections 2.3.4 and 2.3.8, appendix B.
        close(runs(&Bits::of_digits("1001101011")), 0.147232);
        close(runs(&pi(100)), 0.500798);
        for (bits, expected) in million_of_each().into_iter().zip([0.419268, 0.561917, 0.313427, 0.261123]) {
            close(runs(bits), expected);
        }
    }

    #[test]
    fn too_many_ones_fail() {
        assert_eq!(runs(&Bits::from_bytes(&[0b1111_1110; 16])), 0.0);
    }
}
