//! Are matrices of bits as often singular as they should be? SP 800-22 Rev. 1a, section 2.5.

use super::{bits::Bits, special::chi_square};

/// Rows and columns of a matrix.
const SIDE: usize = 32;

/// P-value of the ranks over GF(2) of matrices of 32 by 32 bits, row by row.
pub fn rank(bits: &Bits) -> f64 {
    chi_square(&counts(bits), &probabilities())
}

/// Matrices of full rank, of one less, and of all lower ranks.
fn counts(bits: &Bits) -> [u64; 3] {
    let mut counts = [0; 3];
    for matrix in 0..bits.len() / (SIDE * SIDE) {
        let row = |row: usize| (bits.word_at((matrix * SIDE + row) * SIDE) >> 32) as u32;
        let deficiency = SIDE - rank_of((0..SIDE).map(row).collect());
        counts[deficiency.min(2)] += 1;
    }
    counts
}

/// By elimination: each row that is left leads in a column of its own.
fn rank_of(mut rows: Vec<u32>) -> usize {
    let mut rank = 0;
    while let Some(pivot) = rows.pop() {
        if pivot == 0 {
            continue;
        }
        rank += 1;
        let leading = 1 << pivot.ilog2();
        for row in &mut rows {
            if *row & leading != 0 {
                *row ^= pivot;
            }
        }
    }
    rank
}

/// Of full rank, of one less, and of all lower ranks: section 3.5.
fn probabilities() -> [f64; 3] {
    let of_rank = |rank: i32| {
        let side = SIDE as i32;
        let power = |exponent: i32| 1.0 - 2f64.powi(exponent);
        let product: f64 = (0..rank).map(|i| power(i - side).powi(2) / power(i - rank)).product();
        2f64.powi(rank * (2 * side - rank) - side * side) * product
    };
    let (full, one_less) = (of_rank(SIDE as i32), of_rank(SIDE as i32 - 1));
    [full, one_less, 1.0 - full - one_less]
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Section 2.5.8 and appendix B.
        let bits = e(100_000);
        assert_eq!(counts(&bits), [23, 60, 14]);
        close(rank(&bits), 0.532069);
        for (bits, expected) in million_of_each().into_iter().zip([0.083553, 0.306156, 0.823810, 0.314498]) {
            close(rank(bits), expected);
        }
    }

    #[test]
    fn published_probabilities() {
        for (found, published) in probabilities().into_iter().zip([0.2888, 0.5776, 0.1336]) {
            assert!((found - published).abs() < 6e-5, "{found} is not {published}");
        }
    }

    #[test]
    fn ranks_by_hand() {
        // Section 2.5.4: the matrices 010 110 010 and 010 101 011.
        assert_eq!(rank_of(vec![0b010, 0b110, 0b010]), 2);
        assert_eq!(rank_of(vec![0b010, 0b101, 0b011]), 3);
        assert_eq!(rank_of(vec![0; 32]), 0);
    }
}
