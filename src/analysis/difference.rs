//! The k-th-difference test: integrators with a small step leave combinations of successive states with binomial weights
//! that are tiny integers, which suites for bytes do not see.
//!
//! States are taken as integers modulo 2^32. For uniform and independent ones every k-th difference
//! `sum (-1)^i C(k, i) w[n-i]` is uniform in `[-2^31, 2^31)`: its magnitude has mean `2^30` and standard deviation
//! `2^30 / sqrt(3)`. Differences of overlapping windows are not independent: the score is a scale, not an exact law, and
//! our critical value of 6 leaves room for that.

use super::Worst;

/// Largest order that is looked at.
pub const ORDERS: u32 = 16;

/// The score whose magnitude is the largest, over all orders from 1 to [`ORDERS`].
pub fn kth_difference(sequences: &[Vec<u32>]) -> Worst {
    let mut weights = vec![1i64];
    let mut scores = Vec::new();
    for order in 1..=ORDERS {
        weights = next_weights(&weights);
        scores.push(score(sequences, order, &weights));
    }
    Worst::of(scores.into_iter())
}

/// One order more of the binomial weights with alternating signs.
fn next_weights(weights: &[i64]) -> Vec<i64> {
    let shifted = std::iter::once(0).chain(weights.iter().copied());
    weights.iter().copied().chain([0]).zip(shifted).map(|(here, before)| here - before).collect()
}

fn score(sequences: &[Vec<u32>], order: u32, weights: &[i64]) -> Worst {
    let (mut sum, mut samples) = (0.0, 0);
    for window in sequences.iter().flat_map(|words| words.windows(weights.len())) {
        let difference = window
            .iter()
            .rev()
            .zip(weights)
            .fold(0i64, |sum, (word, weight)| sum.wrapping_add(weight.wrapping_mul(i64::from(*word))));
        sum += f64::from(difference as i32).abs() / f64::from(1 << 30);
        samples += 1;
    }
    let n = samples as f64;
    Worst { z: (sum / n - 1.0) * (3.0 * n).sqrt(), place: order, samples }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_binomial() {
        let third = (0..3).fold(vec![1], |weights, _| next_weights(&weights));
        assert_eq!(third, [1, -3, 3, -1]);
    }

    #[test]
    fn a_parabola_has_no_third_difference() {
        let parabola: Vec<u32> = (0..100u32).map(|n| n.wrapping_mul(n).wrapping_mul(0x0123_4567)).collect();
        let flat = score(&[parabola], 3, &[1, -3, 3, -1]);
        // Every magnitude is 0, where the mean would be 1.
        assert_eq!(flat, Worst { z: -f64::sqrt(3.0 * 97.0), place: 3, samples: 97 });
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
