//! Number of pixels change rate: the share of bytes that differ between two ciphertexts.
//!
//! Wu, Noonan, Agaian, "NPCR and UACI randomness tests for image encryption", Journal of Selected Areas in
//! Telecommunications 2011, sections 3 and 4.

use super::{finding::Finding, quantile};

/// Largest value of a pixel.
const F: f64 = 255.0;

/// NPCR of two ciphertexts of equal length, in percent: ideal 100 F / (F + 1); critical from below at `alpha`.
pub fn npcr(channel: &'static str, one: &[u8], other: &[u8], alpha: f64) -> Finding {
    let different = one.iter().zip(other).filter(|(a, b)| a != b).count();
    of_count(channel, different as u64, one.len() as u64, alpha)
}

/// NPCR of `different` bytes in `samples`.
pub fn of_count(channel: &'static str, different: u64, samples: u64, alpha: f64) -> Finding {
    let n = samples as f64;
    // Equation 16.
    let critical = (F - quantile::normal(1.0 - alpha) * (F / n).sqrt()) / (F + 1.0);
    Finding::plain("npcr", channel, 100.0 * different as f64 / n, samples)
        .against(100.0 * F / (F + 1.0), [Some(100.0 * critical), None])
        .from_samples(LEAST_SAMPLES)
}

/// Five equal bytes are then expected: enough for the normal approximation.
pub const LEAST_SAMPLES: u64 = 5 * 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_differs() {
        let finding = npcr("gray", &[1, 2, 3, 4], &[1, 9, 3, 8], 0.05);
        assert_eq!((finding.value, finding.samples), (50.0, 4));
        assert_eq!(finding.ideal, Some(99.609375));
    }

    /// Table 4 of the paper: 256, 512 and 1024 pixels a side; at 0.05, 0.01 and 0.001.
    #[test]
    fn critical_values_are_the_papers() {
        let table = [
            (256, [99.5693, 99.5527, 99.5341]),
            (512, [99.5893, 99.5810, 99.5717]),
            (1024, [99.5994, 99.5952, 99.5906]),
        ];
        for (side, expected) in table {
            for (alpha, expected) in [0.05, 0.01, 0.001].into_iter().zip(expected) {
                let [lowest, highest] = of_count("gray", 0, side * side, alpha).critical;
                assert!((lowest.expect("a bound") - expected).abs() < 5.1e-5, "{side} {alpha}: {lowest:?}");
                assert_eq!(highest, None);
            }
        }
    }
}
