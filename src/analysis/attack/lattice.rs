//! Lattices of two dimensions: Lagrange's reduction, and small multiples modulo 2^64 near a target.
//!
//! Nguyen and Stehle, "Low-dimensional lattice basis reduction revisited", ACM Transactions on Algorithms 5 (2009),
//! section 3 (Lagrange); closest vectors by enumeration of the few combinations that a box leaves.

/// A vector of a lattice.
pub type Vector = [i128; 2];

/// 2^64.
const MODULUS: i128 = 1 << 64;

/// A shortest basis of the lattice that two independent vectors span, the shorter vector first; lengths are those after
/// the coordinates have been multiplied with `weights`. Coordinates stay below 2^100.
pub fn reduce([mut short, mut long]: [Vector; 2], weights: [f64; 2]) -> [Vector; 2] {
    let scaled = |v: Vector| [v[0] as f64 * weights[0], v[1] as f64 * weights[1]];
    let dot = |a: Vector, b: Vector| scaled(a)[0] * scaled(b)[0] + scaled(a)[1] * scaled(b)[1];
    loop {
        if dot(long, long) < dot(short, short) {
            (short, long) = (long, short);
        }
        // Vectors are exact; the quotient need not be: where it is a little off, another round puts it right.
        let quotient = (dot(short, long) / dot(short, short)).round() as i128;
        let shorter = [long[0] - quotient * short[0], long[1] - quotient * short[1]];
        if dot(shorter, shorter) >= dot(long, long) {
            return [short, long];
        }
        long = shorter;
    }
}

/// Every `d` with `|d| <= bound` for which `multiplier * d` is within `tolerance` of `target` modulo 2^64.
///
/// Bounds are below 2^40, the tolerance below 2^60.
pub fn small_multiples(multiplier: u64, target: u64, bound: i64, tolerance: i64) -> Vec<i64> {
    let weights = [1.0 / bound as f64, 1.0 / tolerance as f64];
    let [b0, b1] = reduce([[1, i128::from(multiplier)], [0, MODULUS]], weights);
    // Cramer's rule for i b0 + j b1 = (0, target); the determinant is 2^64 or its negative.
    let determinant = (b0[0] * b1[1] - b0[1] * b1[0]) as f64;
    let (bound_f, tolerance_f, target_f) = (bound as f64, tolerance as f64, target as i64 as f64);
    let centre = [-target_f * b1[0] as f64 / determinant, target_f * b0[0] as f64 / determinant];
    let reach = |b: Vector| (bound_f * b[1].abs() as f64 + tolerance_f * b[0].abs() as f64) / determinant.abs();
    let around = |centre: f64, reach: f64| (centre - reach).floor() as i128..=(centre + reach).ceil() as i128;
    let mut found = Vec::new();
    for i in around(centre[0], reach(b1)) {
        for j in around(centre[1], reach(b0)) {
            let d = i * b0[0] + j * b1[0];
            let residual = (multiplier.wrapping_mul(d as u64)).wrapping_sub(target) as i64;
            if d.abs() <= i128::from(bound) && residual.unsigned_abs() <= tolerance.unsigned_abs() {
                found.push(d as i64);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hoffstein, Pipher, Silverman, "An Introduction to Mathematical Cryptography", section on Gaussian reduction.
    #[test]
    fn reduces_the_textbook_lattice() {
        let [short, long] = reduce([[66_586_820, 65_354_729], [6_513_996, 6_393_464]], [1.0; 2]);
        let sign = |v: Vector| if v[0] < 0 { [-v[0], -v[1]] } else { v };
        assert_eq!((sign(short), sign(long)), ([2280, -1001], [1324, 2376]));
    }

    #[test]
    fn weights_decide_what_is_short() {
        // In the plain, (1, 0) is the shorter; a thousandfold first coordinate makes it (0, 5).
        assert_eq!(reduce([[1, 0], [3, 5]], [1.0; 2]), [[1, 0], [0, 5]]);
        assert_eq!(reduce([[1, 0], [3, 5]], [1000.0, 1.0]), [[0, 5], [1, 0]]);
    }

    #[test]
    fn finds_what_trying_all_finds() {
        let mut multiplier = 0x9E37_79B9_7F4A_7C15u64;
        for round in 0..40u64 {
            multiplier = multiplier.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(round);
            let (target, bound, tolerance) = (multiplier.rotate_left(17), 3000, 1i64 << (48 + round % 12));
            let near = |d: &i64| {
                let residual = (multiplier.wrapping_mul(*d as u64)).wrapping_sub(target) as i64;
                residual.unsigned_abs() <= tolerance as u64
            };
            let all: Vec<i64> = (-bound..=bound).filter(near).collect();
            assert_eq!(small_multiples(multiplier, target, bound, tolerance), all, "round {round}");
        }
    }
}
