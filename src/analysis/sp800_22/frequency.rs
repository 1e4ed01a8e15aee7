//! Are there as many ones as zeros? SP 800-22 Rev. 1a, section 2.1.

use std::f64::consts::SQRT_2;

use super::{bits::Bits, special::erfc};

/// P-value of the sum of all bits, each taken as 1 or -1.
pub fn frequency(bits: &Bits) -> f64 {
    let n = bits.len() as f64;
    let sum = 2.0 * bits.ones(0..bits.len()) as f64 - n;
    erfc(sum.abs() / n.sqrt() / SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Sections 2.1.4 and 2.1.8, appendix B.
        close(frequency(&Bits::of_digits("1011010101")), 0.527089);
        close(frequency(&pi(100)), 0.109599);
        for (bits, expected) in million_of_each().into_iter().zip([0.578211, 0.953749, 0.811881, 0.610051]) {
            close(frequency(bits), expected);
        }
    }
}
