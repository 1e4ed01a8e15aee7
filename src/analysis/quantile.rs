//! Quantiles of the distributions that critical values come from.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// `z` with `P(Z <= z) = probability`, Z standard normal.
pub fn normal(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// `x` with `P(X <= x) = probability`, X chi-square with `freedom` degrees of freedom.
///
/// # Panics
/// If `freedom` is not positive.
pub fn chi_square(freedom: f64, probability: f64) -> f64 {
    ChiSquared::new(freedom).expect("degrees of freedom are positive").inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.norm.ppf and chi2.ppf.
    #[test]
    fn agree_with_published_tables() {
        for (probability, z) in [(0.95, 1.6448536269514722), (0.975, 1.959963984540054), (0.0005, -3.2905267314918945)]
        {
            assert!((normal(probability) - z).abs() < 1e-8, "{probability}: {}", normal(probability));
        }
        for (alpha, x) in [(0.05, 293.247835), (0.01, 310.457388), (0.001, 330.519737)] {
            assert!((chi_square(255.0, 1.0 - alpha) - x).abs() < 1e-4, "{alpha}: {}", chi_square(255.0, 1.0 - alpha));
        }
    }
}
