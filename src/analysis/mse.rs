//! Mean squared error and peak signal-to-noise ratio.

use super::finding::Finding;

/// Mean squared error of two pictures of equal length.
pub fn mse(channel: &'static str, one: &[u8], other: &[u8]) -> Finding {
    let squares: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    Finding::plain("mse", channel, squares as f64 / one.len() as f64, one.len() as u64)
}

/// Peak signal-to-noise ratio in decibels, `10 log10(255^2 / MSE)`; infinite for equal pictures.
pub fn psnr(mse: &Finding) -> Finding {
    Finding { name: "psnr", value: 10.0 * (255.0f64.powi(2) / mse.value).log10(), ..mse.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: (1 + 4 + 0 + 0) / 4 = 1.25; 10 log10(65025 / 1.25) = 47.1617
    #[test]
    fn errors_by_hand() {
        let error = mse("gray", &[1, 2, 3, 4], &[2, 0, 3, 4]);
        assert_eq!(error.value, 1.25);
        assert!((psnr(&error).value - 47.161703).abs() < 1e-5, "{:?}", psnr(&error));
        assert_eq!(psnr(&mse("gray", &[5; 9], &[5; 9])).value, f64::INFINITY);
    }
}
