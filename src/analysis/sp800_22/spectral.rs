//! Are there too many or too few peaks in the spectrum? SP 800-22 Rev. 1a, section 2.6.
//!
//! The height `T` and the variance `n (0.95) (0.05) / 4` are those of Revision 1a, after Kim, Umeno, Hasegawa,
//! "Corrections of the NIST statistical test suite for randomness" (IACR ePrint 2004/018). Section 2.6.8 prints 46 peaks
//! below `T` for 100 bits of pi and section 2.6.4 prints 4 for its 10 bits: there are 48 and 5, as NIST's own program finds
//! too. Pareschi, Rovatti, Setti (IEEE Transactions on Information Forensics and Security 7, 2012) measure a variance that
//! is larger by 4/3.8, so that at alpha = 0.01 some 1.2 of 100 ideal sequences fail.

use std::f64::consts::SQRT_2;

use rustfft::{FftPlanner, num_complex::Complex64};

use super::{bits::Bits, special::erfc};

/// P-value of the number of peaks that are lower than 95 % of an ideal sequence's.
pub fn spectral(bits: &Bits) -> f64 {
    let n = bits.len() as f64;
    let ideal = 0.95 * n / 2.0;
    let score = (low_peaks(bits) as f64 - ideal) / (n * 0.95 * 0.05 / 4.0).sqrt();
    erfc(score.abs() / SQRT_2)
}

/// How many of the first half of all frequencies have a magnitude below `T`.
fn low_peaks(bits: &Bits) -> usize {
    let sign = |bit: bool| Complex64::new(if bit { 1.0 } else { -1.0 }, 0.0);
    let mut spectrum: Vec<Complex64> = bits.iter().map(sign).collect();
    FftPlanner::new().plan_fft_forward(spectrum.len()).process(&mut spectrum);
    let threshold = (1.0f64 / 0.05).ln() * bits.len() as f64;
    spectrum[..bits.len() / 2].iter().filter(|peak| peak.norm_sqr() < threshold).count()
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // The P-values to the right peaks; see above.
        let short = Bits::of_digits("1001010011");
        assert_eq!(low_peaks(&short), 5);
        close(spectral(&short), 0.468160);
        assert_eq!(low_peaks(&pi(100)), 48);
        close(spectral(&pi(100)), 0.646355);
        // Appendix B.
        for (bits, expected) in million_of_each().into_iter().zip([0.010186, 0.847187, 0.581909, 0.776046]) {
            close(spectral(bits), expected);
        }
    }
}
