//! Structural similarity.
//!
//! Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE
//! Transactions on Image Processing 13 (2004), equation 13: an 11 x 11 Gaussian window of deviation 1.5, K1 = 0.01,
//! K2 = 0.03, the mean over all places where the window fits.

use super::finding::Finding;

const WINDOW: usize = 11;
const DEVIATION: f64 = 1.5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// Mean structural similarity of one channel of two pictures, `width` bytes a row; nothing where the window does not fit.
pub fn ssim(channel: &'static str, one: &[u8], other: &[u8], width: usize) -> Option<Finding> {
    let height = one.len().checked_div(width)?;
    let places = (width.checked_sub(WINDOW - 1)?) * (height.checked_sub(WINDOW - 1)?);
    if places == 0 || one.len() != other.len() {
        return None;
    }
    let weights = weights();
    // Five moments of each column of a row of windows, then of each window.
    let mut columns = vec![[0.0; 5]; width];
    let mut sum = 0.0;
    for top in 0..=height - WINDOW {
        columns.fill([0.0; 5]);
        for (weight, row) in weights.iter().zip(top..) {
            let rows = one[row * width..][..width].iter().zip(&other[row * width..][..width]);
            for (moments, (&x, &y)) in columns.iter_mut().zip(rows) {
                let (x, y) = (f64::from(x), f64::from(y));
                let values = [x, y, x * x, y * y, x * y];
                moments.iter_mut().zip(values).for_each(|(moment, value)| *moment += weight * value);
            }
        }
        for window in columns.windows(WINDOW) {
            let mut moments = [0.0; 5];
            for (weight, column) in weights.iter().zip(window) {
                moments.iter_mut().zip(column).for_each(|(moment, value)| *moment += weight * value);
            }
            sum += similarity(moments);
        }
    }
    Some(Finding::plain("ssim", channel, sum / places as f64, places as u64))
}

/// From the window's means of x, y, x^2, y^2 and x y.
fn similarity([x, y, xx, yy, xy]: [f64; 5]) -> f64 {
    let (variance_x, variance_y, covariance) = (xx - x * x, yy - y * y, xy - x * y);
    ((2.0 * x * y + C1) * (2.0 * covariance + C2)) / ((x * x + y * y + C1) * (variance_x + variance_y + C2))
}

/// The Gaussian along one axis, of sum 1.
fn weights() -> [f64; WINDOW] {
    let mut weights: [f64; WINDOW] = std::array::from_fn(|i| {
        let distance = i as f64 - (WINDOW / 2) as f64;
        (-distance * distance / (2.0 * DEVIATION * DEVIATION)).exp()
    });
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pictures_are_alike() {
        let picture: Vec<u8> = (0..40 * 30).map(|i| (i * i % 253) as u8).collect();
        let finding = ssim("gray", &picture, &picture, 40).expect("the window fits");
        assert!((finding.value - 1.0).abs() < 1e-12 && finding.samples == 30 * 20);
        assert!(ssim("gray", &[0; 100], &[0; 100], 10).is_none());
    }

    /// By hand: of flat pictures only the first factor is left, (2 * 100 * 150 + C1) / (100^2 + 150^2 + C1).
    #[test]
    fn flat_pictures_by_hand() {
        let finding = ssim("gray", &[100; 400], &[150; 400], 20).expect("the window fits");
        assert!((finding.value - 30_006.502_5 / 32_506.502_5).abs() < 1e-9, "{finding:?}");
    }
}
