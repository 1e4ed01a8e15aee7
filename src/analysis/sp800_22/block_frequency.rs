//! Are there as many ones as zeros in each block? SP 800-22 Rev. 1a, section 2.2.

use super::{bits::Bits, special::igamc};

/// P-value of the shares of ones in blocks of `block` bits.
pub fn block_frequency(bits: &Bits, block: usize) -> f64 {
    let blocks = bits.len() / block;
    let square = |number: usize| {
        let share = bits.ones(number * block..(number + 1) * block) as f64 / block as f64;
        (share - 0.5).powi(2)
    };
    let statistic = 4.0 * block as f64 * (0..blocks).map(square).sum::<f64>();
    igamc(blocks as f64 / 2.0, statistic / 2.0)
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Sections 2.2.4 and 2.2.8, appendix B with M = 128.
        close(block_frequency(&Bits::of_digits("0110011010"), 3), 0.801252);
        close(block_frequency(&pi(100), 10), 0.706438);
        for (bits, expected) in million_of_each().into_iter().zip([0.380615, 0.211072, 0.833222, 0.473961]) {
            close(block_frequency(bits, 128), expected);
        }
    }
}
