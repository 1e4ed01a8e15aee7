//! Do patterns of m bits tell the next bit? SP 800-22 Rev. 1a, section 2.12.

use std::f64::consts::LN_2;

use super::{bits::Bits, special::igamc};

/// P-value of the difference of the entropies of patterns of `m + 1` and of `m` bits.
pub fn approximate_entropy(bits: &Bits, m: u32) -> f64 {
    let n = bits.len() as f64;
    let entropy = negative_entropy(bits, m) - negative_entropy(bits, m + 1);
    igamc(2f64.powi(m as i32 - 1), n * (LN_2 - entropy))
}

/// Phi of section 2.12.4, in nats.
fn negative_entropy(bits: &Bits, m: u32) -> f64 {
    let share = |count: u32| f64::from(count) / bits.len() as f64;
    bits.ring_patterns(m).into_iter().filter(|count| *count > 0).map(|count| share(count) * share(count).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Sections 2.12.4 and 2.12.8, appendix B with m = 10.
        close(approximate_entropy(&Bits::of_digits("0100110101"), 3), 0.261961);
        close(approximate_entropy(&pi(100), 2), 0.235301);
        for (bits, expected) in million_of_each().into_iter().zip([0.361595, 0.700073, 0.884740, 0.180481]) {
            close(approximate_entropy(bits, 10), expected);
        }
    }
}
