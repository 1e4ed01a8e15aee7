//! The histogram of a picture, and the chi-square test of its flatness.

use super::{finding::Finding, quantile};

/// How often each value occurs.
pub fn counts(bytes: &[u8]) -> [u64; 256] {
    // Four tables: a run of one value would wait for its own count.
    let mut tables = [[0u32; 256]; 4];
    let mut counts = [0; 256];
    for piece in bytes.chunks(1 << 30) {
        let (fours, rest) = piece.as_chunks::<4>();
        for four in fours {
            for (table, &byte) in tables.iter_mut().zip(four) {
                table[usize::from(byte)] += 1;
            }
        }
        rest.iter().for_each(|&byte| tables[0][usize::from(byte)] += 1);
        for table in &mut tables {
            counts.iter_mut().zip(&mut *table).for_each(|(count, part)| *count += u64::from(std::mem::take(part)));
        }
    }
    counts
}

/// Degrees of freedom of a histogram of 256 values.
pub const FREEDOM: f64 = 255.0;

/// Pearson's chi-square of a histogram against the uniform distribution: ideal 255, critical from above at `alpha`.
pub fn chi_square(channel: &'static str, counts: &[u64; 256], alpha: f64) -> Finding {
    let samples: u64 = counts.iter().sum();
    let expected = samples as f64 / 256.0;
    let value = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    Finding::plain("chi_square", channel, value, samples)
        .against(FREEDOM, [None, Some(quantile::chi_square(FREEDOM, 1.0 - alpha))])
        .from_samples(LEAST_SAMPLES)
}

/// Five for each value, the usual least for the approximation by chi-square's distribution (Cochran 1954).
const LEAST_SAMPLES: u64 = 5 * 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_value() {
        let bytes: Vec<u8> = (0..=255).chain([7, 7, 7]).collect();
        let counts = counts(&bytes);
        assert_eq!((counts[7], counts[8], counts.iter().sum::<u64>()), (4, 1, 259));
    }

    /// By hand: 256 values once each are flat; one value alone has (n - n/256)^2 / (n/256) + 255 n/256 = 255 n.
    #[test]
    fn chi_square_by_hand() {
        assert_eq!(chi_square("gray", &[1; 256], 0.05).value, 0.0);
        let one = counts(&[9; 2048]);
        assert!((chi_square("gray", &one, 0.05).value - 255.0 * 2048.0).abs() < 1e-6);
        assert_eq!(chi_square("gray", &one, 0.05).pass(), Some(false));
        assert_eq!(chi_square("gray", &counts(&[9; 1279]), 0.05).pass(), None);
    }
}
