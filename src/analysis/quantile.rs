//! Quantiles of the distributions that critical values come from.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal, StudentsT};

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

/// `t` with `P(T <= t) = probability`, T of Student's distribution with `freedom` degrees of freedom.
///
/// # Panics
/// If `freedom` is not positive.
pub fn student(freedom: f64, probability: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive").inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.norm.ppf, chi2.ppf and t.ppf.
    #[test]
    fn agree_with_published_tables() {
        for (probability, z) in [(0.95, 1.6448536269514722), (0.975, 1.959963984540054), (0.0005, -3.2905267314918945)]
        {
            assert!((normal(probability) - z).abs() < 1e-8, "{probability}: {}", normal(probability));
        }
        for (alpha, x) in [(0.05, 293.247835), (0.01, 310.457388), (0.001, 330.519737)] {
            assert!((chi_square(255.0, 1.0 - alpha) - x).abs() < 1e-4, "{alpha}: {}", chi_square(255.0, 1.0 - alpha));
        }
        for (freedom, t) in [(1.0, 12.706204736432095), (2.0, 4.302652729696142), (9.0, 2.2621571627409915)] {
            assert!((student(freedom, 0.975) - t).abs() < 1e-6, "{freedom}: {}", student(freedom, 0.975));
        }
    }
}
