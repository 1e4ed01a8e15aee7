//! Normalised correlation of two pictures, as the literature has it: without subtracting means.

use super::finding::Finding;

/// `sum a b / sqrt(sum a^2 sum b^2)` of two pictures of equal length; not a number where one is black.
pub fn nc(channel: &'static str, one: &[u8], other: &[u8]) -> Finding {
    let products = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| u64::from(*a) * u64::from(*b)).sum::<u64>() as f64;
    let value = products(one, other) / (products(one, one) * products(other, other)).sqrt();
    Finding::plain("nc", channel, value, one.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: (3 * 4 + 4 * 3) / (5 * 5) = 0.96.
    #[test]
    fn correlation_by_hand() {
        assert!((nc("gray", &[3, 4], &[4, 3]).value - 0.96).abs() < 1e-12);
        assert!((nc("gray", &[3, 4], &[6, 8]).value - 1.0).abs() < 1e-12);
        assert!(nc("gray", &[0, 0], &[6, 8]).value.is_nan());
    }
}
