//! Shannon entropy of the values of a picture, in bits.

use std::f64::consts::LN_2;

use super::{finding::Finding, histogram, quantile};

/// Entropy of a histogram, as plugged in: too low by the bias that [`entropy`]'s ideal has too.
pub fn of_counts(counts: &[u64; 256]) -> f64 {
    let samples: u64 = counts.iter().sum();
    let share = |count: u64| count as f64 / samples as f64;
    counts.iter().filter(|&&count| count > 0).map(|&count| -share(count) * share(count).log2()).sum()
}

/// Global entropy. Ideal is the expectation for uniform bytes, `8 - 255 / (2 n ln 2)` (Miller 1955), not 8; since
/// `8 - H` is `chi-square / (2 n ln 2)` to first order, the lower critical value at `alpha` comes from the quantile of
/// chi-square with 255 degrees of freedom.
pub fn entropy(channel: &'static str, counts: &[u64; 256], alpha: f64) -> Finding {
    let samples: u64 = counts.iter().sum();
    let scale = 2.0 * samples as f64 * LN_2;
    let lowest = 8.0 - quantile::chi_square(histogram::FREEDOM, 1.0 - alpha) / scale;
    Finding::plain("entropy", channel, of_counts(counts), samples)
        .against(8.0 - histogram::FREEDOM / scale, [Some(lowest), None])
        .from_samples(LEAST_SAMPLES)
}

/// With fewer, terms of higher order count: of 4,096 ideal bytes 6.5 % are below the value for 5 %, of 1,024 17 %.
const LEAST_SAMPLES: u64 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_by_hand() {
        let mut counts = [0; 256];
        (counts[3], counts[200]) = (50, 50);
        assert_eq!(of_counts(&counts), 1.0);
        assert_eq!(of_counts(&[4; 256]), 8.0);
        (counts[3], counts[200], counts[7]) = (1, 1, 2);
        assert_eq!(of_counts(&counts), 1.5);
    }

    /// Ideal and lower bound at 0.05 for pictures of 256x256, 512x512 and 1080p RGB.
    #[test]
    fn bounds_for_usual_sizes() {
        let sizes =
            [(256 * 256, 7.997193, 7.996772), (512 * 512, 7.999298, 7.999193), (1920 * 1080 * 3, 7.999970, 7.999966)];
        for (samples, ideal, lowest) in sizes {
            let mut counts = [samples / 256; 256];
            counts[0] += samples % 256;
            let finding = entropy("gray", &counts, 0.05);
            assert!((finding.ideal.expect("one") - ideal).abs() < 1e-6, "{finding:?}");
            assert!((finding.critical[0].expect("one") - lowest).abs() < 1e-6, "{finding:?}");
        }
    }
}
