//! The functions that P-values come from (section 5.5), by `statrs`, on the whole of their domain.

use statrs::{
    distribution::{ContinuousCDF, Normal},
    function::{erf, gamma},
};

/// The complementary error function.
pub fn erfc(x: f64) -> f64 {
    erf::erfc(x)
}

/// The regularised upper incomplete gamma function Q(a, x), for positive `a`.
pub fn igamc(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    // What it refuses is beyond every finite statistic.
    gamma::checked_gamma_ur(a, x).map_or(0.0, |p| p.clamp(0.0, 1.0))
}

/// The distribution function of the standard normal distribution.
pub fn normal(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

/// P-value of counts in classes of these probabilities: chi-square with one degree of freedom less than there are classes.
pub fn chi_square(counts: &[u64], probabilities: &[f64]) -> f64 {
    let samples = counts.iter().sum::<u64>() as f64;
    let term = |(count, probability): (&u64, &f64)| {
        let expected = samples * probability;
        (*count as f64 - expected).powi(2) / expected
    };
    let statistic: f64 = counts.iter().zip(probabilities).map(term).sum();
    igamc((probabilities.len() - 1) as f64 / 2.0, statistic / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected + 1e-300, "{found} is not {expected}");
    }

    /// Printed by scipy 1.17: `special.gammaincc(a, x)`.
    #[test]
    fn igamc_is_that_of_scipy() {
        for (a, x, expected) in [
            (0.5, 0.1, 0.6547208460185768),
            (0.5, 30.0, 9.485737571073857e-15),
            (2.5, 7.846308, 0.007778727784502628),
            (4.5, 25.0, 1.0772382022574693e-07),
            (4.5, 0.2, 0.999988387843118),
            (512.0, 520.0, 0.35701780306569947),
            (512.0, 700.0, 3.712608863558748e-14),
            (3906.0, 3900.0, 0.5361416872373737),
            (3906.0, 4200.0, 2.1497641383392916e-06),
            (16384.0, 16384.0, 0.4989610874592239),
            (16384.0, 16900.0, 3.2719412205345035e-05),
            (16384.0, 15500.0, 0.9999999999989814),
            (100.0, 1000.0, 6.035827529631144e-294),
        ] {
            close(igamc(a, x), expected);
        }
        assert_eq!([igamc(2.0, 0.0), igamc(2.0, -1e-9), igamc(2.0, f64::INFINITY)], [1.0, 1.0, 0.0]);
    }

    /// Printed by scipy 1.17: `special.erfc(x)`, `stats.norm.cdf(x)`.
    #[test]
    fn erfc_and_normal_are_those_of_scipy() {
        for (x, expected) in [
            (0.0, 1.0),
            (1e-06, 0.9999988716208329),
            (0.5, 0.4795001221869535),
            (1.0, 0.15729920705028516),
            (3.0, 2.2090496998585445e-05),
            (6.0, 2.1519736712498913e-17),
            (20.0, 5.395865611607901e-176),
        ] {
            close(erfc(x), expected);
        }
        for (x, expected) in [
            (-8.0, 6.22096057427174e-16),
            (-2.5, 0.006209665325776132),
            (-0.1, 0.460172162722971),
            (0.0, 0.5),
            (0.1, 0.539827837277029),
            (1.0, 0.8413447460685429),
            (5.0, 0.9999997133484281),
        ] {
            close(normal(x), expected);
        }
    }
}
