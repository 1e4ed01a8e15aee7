//! Unified averaged changed intensity: the mean distance of two ciphertexts' bytes.
//!
//! Wu, Noonan, Agaian, "NPCR and UACI randomness tests for image encryption", Journal of Selected Areas in
//! Telecommunications 2011, sections 3 and 4.

use super::{finding::Finding, quantile};

/// Largest value of a pixel.
const F: f64 = 255.0;

/// UACI of two ciphertexts of equal length, in percent: ideal 100 (F + 2) / (3 F + 3); critical on both sides at `alpha`.
pub fn uaci(channel: &'static str, one: &[u8], other: &[u8], alpha: f64) -> Finding {
    let distance = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    of_distance(channel, distance, one.len() as u64, alpha)
}

/// UACI of `samples` pairs of bytes that are `distance` apart in sum.
pub fn of_distance(channel: &'static str, distance: u64, samples: u64, alpha: f64) -> Finding {
    let n = samples as f64;
    let mean = (F + 2.0) / (3.0 * F + 3.0);
    // Equation 23.
    let variance = (F + 2.0) * (F * F + 2.0 * F + 3.0) / (18.0 * (F + 1.0) * (F + 1.0) * n * F);
    let width = quantile::normal(1.0 - alpha / 2.0) * variance.sqrt();
    Finding::plain("uaci", channel, 100.0 * distance as f64 / (F * n), samples)
        .against(100.0 * mean, [Some(100.0 * (mean - width)), Some(100.0 * (mean + width))])
        .from_samples(LEAST_SAMPLES)
}

/// Distances from which on their mean is close to normal.
const LEAST_SAMPLES: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_distances() {
        let finding = uaci("gray", &[0, 255, 10, 20], &[255, 255, 10, 71], 0.05);
        // (255 + 51) / (4 * 255)
        assert!((finding.value - 30.0).abs() < 1e-12, "{finding:?}");
    }

    /// Table 5 of the paper: 256, 512 and 1024 pixels a side; at 0.05, 0.01 and 0.001.
    #[test]
    fn critical_values_are_the_papers() {
        let table = [
            (256, [(33.2824, 33.6447), (33.2255, 33.7016), (33.1594, 33.7677)]),
            (512, [(33.3730, 33.5541), (33.3445, 33.5826), (33.3115, 33.6156)]),
            (1024, [(33.4183, 33.5088), (33.4040, 33.5231), (33.3875, 33.5396)]),
        ];
        for (side, expected) in table {
            for (alpha, (low, high)) in [0.05, 0.01, 0.001].into_iter().zip(expected) {
                let critical = of_distance("gray", 0, side * side, alpha).critical.map(|bound| bound.expect("a bound"));
                assert!((critical[0] - low).abs() < 5.1e-5 && (critical[1] - high).abs() < 5.1e-5, "{critical:?}");
            }
        }
    }
}
