//! The k-th-difference test: integrators with a small step leave combinations of successive states with binomial weights
//! that are tiny integers, which suites for bytes do not see.
//!
//! States are taken as integers modulo 2^32. For uniform and independent ones every k-th difference
//! `sum (-1)^i C(k, i) w[n-i]` is uniform in `[-2^31, 2^31)`: its magnitude has mean `2^30` and standard deviation
//! `2^30 / sqrt(3)`. It is independent of those before it, for it has a state of weight 1 that they have not, so that the
//! mean's score is normally distributed for many samples. Our critical value of 6 leaves room for looking at many.

use super::Worst;

/// Largest order that is looked at.
pub const ORDERS: usize = 16;

/// Differences of many sequences, added up.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// Of each order from 1 on: the sum of all magnitudes, in units of their mean, and how many they are.
    orders: [(f64, u64); ORDERS],
}

impl Differences {
    /// Adds those within a sequence, of all orders.
    pub fn add(&mut self, sequence: &[u32]) {
        let mut differences = sequence.to_vec();
        for (sum, samples) in &mut self.orders {
            for n in 1..differences.len() {
                differences[n - 1] = differences[n].wrapping_sub(differences[n - 1]);
            }
            differences.pop();
            let magnitude = |difference: &u32| f64::from(difference.cast_signed()).abs() / f64::from(1 << 30);
            *sum += differences.iter().map(magnitude).sum::<f64>();
            *samples += differences.len() as u64;
        }
    }

    /// The score of each order; none where no sequence was long enough.
    pub fn scores(&self) -> impl Iterator<Item = Worst> {
        let score = |(index, (sum, samples)): (usize, &(f64, u64))| {
            let n = *samples as f64;
            Worst { z: (sum / n - 1.0) * (3.0 * n).sqrt(), place: index as u32 + 1, samples: *samples }
        };
        self.orders.iter().enumerate().map(score).filter(|score| score.samples > 0)
    }
}

/// The score whose magnitude is the largest, over all orders from 1 to [`ORDERS`].
pub fn kth_difference(sequences: &[Vec<u32>]) -> Worst {
    let mut differences = Differences::default();
    sequences.iter().for_each(|sequence| differences.add(sequence));
    Worst::of(differences.scores())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1, 4, 2 have the differences 3 and -2, and the second one -5.
    #[test]
    fn scores_by_hand() {
        let mut differences = Differences::default();
        differences.add(&[1 << 29, 4 << 29, 2 << 29]);
        let scores: Vec<Worst> = differences.scores().collect();
        // In units of 2^30, and modulo 4: 1.5, -1 and -2.5, which is 1.5.
        assert_eq!(scores[0], Worst { z: 0.25 * f64::sqrt(6.0), place: 1, samples: 2 });
        assert_eq!(scores[1], Worst { z: 0.5 * f64::sqrt(3.0), place: 2, samples: 1 });
        assert_eq!(scores.len(), 2);
    }

    #[test]
    fn a_parabola_has_no_third_difference() {
        let parabola: Vec<u32> = (0..100u32).map(|n| n.wrapping_mul(n).wrapping_mul(0x0123_4567)).collect();
        let mut differences = Differences::default();
        differences.add(&parabola);
        // Every magnitude is 0, where the mean would be 1.
        let flat = differences.scores().nth(2);
        assert_eq!(flat, Some(Worst { z: -f64::sqrt(3.0 * 97.0), place: 3, samples: 97 }));
    }

    #[test]
    fn hashes_have_no_differences_to_tell() {
        let words = |number: u32| {
            let mut bytes = [0; 256];
            blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
            bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
        };
        let sequences: Vec<Vec<u32>> = (0..2000).map(words).collect();
        assert!(kth_difference(&sequences).z.abs() < 6.0);
    }
}
