//! Are all patterns of m bits equally frequent? SP 800-22 Rev. 1a, section 2.11.
//!
//! Section 2.11.4 (5) leaves out that the statistics are halved; its example does it.

use super::{bits::Bits, special::igamc};

/// P-values of the first and of the second difference of psi-square, which is the chi-square of patterns of `m`, `m - 1` and
/// `m - 2` bits (m at least 3).
pub fn serial(bits: &Bits, m: u32) -> [f64; 2] {
    let longest = bits.ring_patterns(m);
    let shorter = without_last_bit(&longest);
    let shortest = without_last_bit(&shorter);
    let [longest, shorter, shortest] = [longest, shorter, shortest].map(|counts| psi_square(&counts, bits.len()));
    let first = longest - shorter;
    let second = longest - 2.0 * shorter + shortest;
    [igamc(2f64.powi(m as i32 - 2), first / 2.0), igamc(2f64.powi(m as i32 - 3), second / 2.0)]
}

/// In a ring, every pattern is the beginning of two that are one bit longer.
fn without_last_bit(counts: &[u32]) -> Vec<u32> {
    counts.as_chunks().0.iter().map(|[zero, one]| zero + one).collect()
}

fn psi_square(counts: &[u32], n: usize) -> f64 {
    let squares: u64 = counts.iter().map(|count| u64::from(*count).pow(2)).sum();
    counts.len() as f64 / n as f64 * squares as f64 - n as f64
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Sections 2.11.4 and 2.11.6.
        let [first, second] = serial(&Bits::of_digits("0011011101"), 3);
        close(first, 0.808792);
        close(second, 0.670320);
        // Section 2.11.8, for m = 2, where the patterns of no bits have a psi-square of 0.
        let counts = million_of_each()[1].ring_patterns(2);
        assert_eq!(counts, [250116, 249855, 249855, 250174]);
        // Appendix B, m = 16: the first difference.
        for (bits, expected) in million_of_each().into_iter().zip([0.143005, 0.766182, 0.861925, 0.157500]) {
            close(serial(bits, 16)[0], expected);
        }
        close(serial(million_of_each()[1], 16)[1], 0.462921);
    }
}
