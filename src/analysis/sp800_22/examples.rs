//! The sequences that the publication's examples are computed from: binary digits of pi, e, and the square roots of 2 and
//! 3, those before the point included.

use std::sync::LazyLock;

use num_bigint::BigUint;

use super::bits::Bits;

const MILLION: usize = 1_000_000;
/// Digits of the intermediate results that are not used: rounding stays below them.
const GUARD: usize = 64;

static MILLION_OF_EACH: LazyLock<[Bits; 4]> = LazyLock::new(|| [pi_fixed(), e_fixed(), root(2), root(3)]);

/// A million bits of pi, e, the square roots of 2 and of 3: the order of appendix B's examples.
pub fn million_of_each() -> [&'static Bits; 4] {
    MILLION_OF_EACH.each_ref()
}

/// The first bits of pi.
pub fn pi(len: usize) -> Bits {
    million_of_each()[0].clone().first(len)
}

/// The first bits of e.
pub fn e(len: usize) -> Bits {
    million_of_each()[1].clone().first(len)
}

/// The publication prints six digits.
#[track_caller]
pub fn close(found: f64, published: f64) {
    assert!((found - published).abs() < 1.1e-6, "{found} is not {published}");
}

fn leading_bits(number: &BigUint) -> Bits {
    let surplus = number.bits() - MILLION as u64;
    Bits::from_bytes(&(number >> surplus).to_bytes_be()).first(MILLION)
}

fn one() -> BigUint {
    BigUint::from(1u8) << (MILLION + GUARD)
}

fn root(of: u32) -> Bits {
    leading_bits(&(BigUint::from(of) << (2 * (MILLION + GUARD))).sqrt())
}

/// e = 1 + sum 1/k!, by splitting the sum in halves: 1/(a+1) + 1/((a+1)(a+2)) + ... up to b is p/q.
fn e_fixed() -> Bits {
    fn split(a: u64, b: u64) -> (BigUint, BigUint) {
        if b - a == 1 {
            return (BigUint::from(1u8), BigUint::from(b));
        }
        let middle = a.midpoint(b);
        let ((p, q), (more_p, more_q)) = (split(a, middle), split(middle, b));
        (p * &more_q + more_p, q * more_q)
    }
    // 80,000! has 1.18 million bits.
    let (p, q) = split(0, 80_000);
    leading_bits(&(one() + (p << (MILLION + GUARD)) / q))
}

/// Machin: pi = 16 arctan(1/5) - 4 arctan(1/239).
fn pi_fixed() -> Bits {
    leading_bits(&(arctan_of_reciprocal(5) * 16u8 - arctan_of_reciprocal(239) * 4u8))
}

/// sum (-1)^k / ((2k+1) x^(2k+1)), by splitting: terms from a to b, without the factor of those before them, sum up to
/// t/(o q): o the product of 2k+1, q that of x^2.
fn arctan_of_reciprocal(x: u64) -> BigUint {
    use num_bigint::BigInt;
    fn split(a: u64, b: u64, square: u64) -> (BigInt, BigInt, BigInt) {
        if b - a == 1 {
            let sign = if a.is_multiple_of(2) { 1 } else { -1 };
            return (BigInt::from(sign), BigInt::from(2 * a + 1), BigInt::from(square));
        }
        let middle = a.midpoint(b);
        let ((t, o, q), (more_t, more_o, more_q)) = (split(a, middle, square), split(middle, b, square));
        // The first of `more` has all of q below it.
        let sum = t * &more_o * &more_q + more_t * &o;
        (sum, o * more_o, q * more_q)
    }
    let terms = (MILLION + GUARD) as f64 / (x as f64).log2() / 2.0;
    let (t, o, q) = split(0, terms as u64 + 2, x * x);
    let fixed = (t << (MILLION + GUARD)) * x / (o * q);
    fixed.to_biguint().expect("the first term is the largest")
}
