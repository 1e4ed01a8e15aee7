//! How long a shift register makes each block? SP 800-22 Rev. 1a, section 2.10.
//!
//! Section 2.10.8 prints chi-square 2.700348 and appendix B goes with it, because NIST's program has 0.01047 for the first
//! class's probability, which is 1/96 = 0.010417 (section 3.10).

use super::{bits::Bits, special::chi_square};

/// Section 3.10, equations 3 and 4, for T of -3 and less, -2, -1, 0, 1, 2, 3 and more.
const PROBABILITIES: [f64; 7] = [1.0 / 96.0, 1.0 / 32.0, 1.0 / 8.0, 1.0 / 2.0, 1.0 / 4.0, 1.0 / 16.0, 1.0 / 48.0];

/// P-value of the linear complexities of blocks of `block` bits.
pub fn linear_complexity(bits: &Bits, block: usize) -> f64 {
    chi_square(&counts(bits, block), &PROBABILITIES)
}

fn counts(bits: &Bits, block: usize) -> [u64; 7] {
    let mut counts = [0; 7];
    for number in 0..bits.len() / block {
        let complexity = complexity(bits.block(number * block..(number + 1) * block), block);
        counts[class(complexity, block)] += 1;
    }
    counts
}

/// Where `T = (-1)^M (L - mu) + 2/9` belongs (section 2.10.4). But for a remainder of 2^-M, `mu` is `M/2 + 2/9` for even
/// and `M/2 + 5/18` for odd lengths, so that T is an integer.
fn class(complexity: usize, block: usize) -> usize {
    let t = match block % 2 {
        0 => complexity as i64 - block as i64 / 2,
        _ => (block as i64 + 1) / 2 - complexity as i64,
    };
    (t.clamp(-3, 3) + 3) as usize
}

/// Length of the shortest linear feedback shift register that makes these `len` bits, by the algorithm of Berlekamp and
/// Massey (Handbook of Applied Cryptography, algorithm 6.30), 64 coefficients at a time.
fn complexity(bits: impl Iterator<Item = bool>, len: usize) -> usize {
    let words = len / 64 + 1;
    // Coefficient i is bit i: of the register, of the last one that was shorter (times x for each bit since), and of the
    // sequence read backwards from this bit.
    let (mut register, mut shorter, mut recent) = (vec![0u64; words], vec![0u64; words], vec![0u64; words]);
    (register[0], shorter[0]) = (1, 1);
    let mut complexity = 0;
    for (n, bit) in bits.enumerate() {
        shift_in(&mut recent, bit);
        shift_in(&mut shorter, false);
        let common = register.iter().zip(&recent).fold(0, |common, (c, s)| common ^ c & s);
        if common.count_ones().is_multiple_of(2) {
            continue;
        }
        let longer = 2 * complexity <= n;
        for (register, shorter) in register.iter_mut().zip(&mut shorter) {
            let before = *register;
            *register ^= *shorter;
            if longer {
                *shorter = before;
            }
        }
        if longer {
            complexity = n + 1 - complexity;
        }
    }
    complexity
}

/// Multiplies by x, and adds `bit`.
fn shift_in(words: &mut [u64], bit: bool) {
    let mut carry = u64::from(bit);
    for word in words {
        (*word, carry) = (*word << 1 | carry, *word >> 63);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Section 2.10.4.
        assert_eq!(complexity(Bits::of_digits("1101011110001").iter(), 13), 4);
        // Section 2.10.8, and with the probability of NIST's program appendix B.
        let mut program = PROBABILITIES;
        (program[0], program[6]) = (0.01047, 0.020833);
        let [pi, e, ..] = million_of_each();
        let counts_of_e = counts(e, 1000);
        assert_eq!(counts_of_e, [11, 31, 116, 501, 258, 57, 26]);
        close(chi_square(&counts_of_e, &program), 0.845406);
        close(chi_square(&counts(pi, 500), &program), 0.255475);
        close(chi_square(&counts(e, 500), &program), 0.826335);
    }

    /// Section 3.10: of the sequences of n bits, `2^min(2n - 2L, 2L - 1)` have complexity L.
    #[test]
    fn complexities_are_as_often_as_published() {
        for len in [10, 11] {
            let mut counts = vec![0; len + 1];
            for number in 0..1u32 << len {
                counts[complexity((0..len).map(|bit| number >> bit & 1 == 1), len)] += 1;
            }
            let expected = |l: usize| if l == 0 { 1 } else { 1 << (2 * len - 2 * l).min(2 * l - 1) };
            assert_eq!(counts, (0..=len).map(expected).collect::<Vec<_>>());
        }
    }

    /// Complexities of long sequences: a register of 89 bits, x^89 + x^38 + 1 being primitive, over more than one word.
    #[test]
    fn a_shift_register_is_found() {
        let mut bits = vec![false; 88];
        bits.push(true);
        for n in 89..500 {
            bits.push(bits[n - 89] ^ bits[n - 38]);
        }
        assert_eq!(complexity(bits.iter().copied(), 500), 89);
    }

    #[test]
    fn classes_are_those_of_the_formula() {
        for block in [500, 501] {
            let m = block as f64;
            let sign = if block % 2 == 0 { 1.0 } else { -1.0 };
            let mean = m / 2.0 + (9.0 - sign) / 36.0 - (m / 3.0 + 2.0 / 9.0) / 2f64.powf(m);
            for complexity in 240..262 {
                let t = sign * (complexity as f64 - mean) + 2.0 / 9.0;
                let expected = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5].iter().filter(|bound| t > **bound).count();
                assert_eq!(class(complexity, block), expected, "{complexity} of {block}");
            }
        }
    }
}
