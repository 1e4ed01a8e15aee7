//! How often does the random walk whose steps are the bits visit a state between two visits of 0? SP 800-22 Rev. 1a,
//! section 2.14.
//!
//! The P-values that section 2.14.8 prints for positive states do not belong to its bits; appendix B has the right one for
//! state 1. The probabilities of section 3.14 are printed to four digits, and computed here.

use super::{bits::Bits, special::chi_square};

/// The states that are looked at, but for 0.
pub const STATES: [i32; 8] = [-4, -3, -2, -1, 1, 2, 3, 4];
/// Visits of the last class and more.
const MOST: usize = 5;

/// P-values of the numbers of visits in each cycle, by state; none where there are too few cycles.
pub fn random_excursions(bits: &Bits) -> [Option<f64>; 8] {
    let visits = Visits::of(bits);
    STATES.map(|state| enough_cycles(visits.cycles, bits.len()).then(|| visits.p_value(state)))
}

/// Whether a walk of `len` steps returned often enough (section 2.14.4 (3) and 2.14.7).
pub fn enough_cycles(cycles: u64, len: usize) -> bool {
    cycles as f64 >= f64::max(0.005 * (len as f64).sqrt(), 500.0)
}

/// The walk, bit after bit, which is led back to 0 at its end.
pub fn walk(bits: &Bits) -> impl Iterator<Item = i32> {
    let steps = bits.iter().scan(0, |place, bit| {
        *place += if bit { 1 } else { -1 };
        Some(*place)
    });
    let ends_elsewhere = 2 * bits.ones(0..bits.len()) != bits.len();
    steps.chain(ends_elsewhere.then_some(0))
}

struct Visits {
    cycles: u64,
    /// For each state the number of cycles with 0, 1, 2, 3, 4, 5 and more visits.
    counts: [[u64; MOST + 1]; 8],
}

impl Visits {
    fn of(bits: &Bits) -> Visits {
        let mut visits = Visits { cycles: 0, counts: [[0; MOST + 1]; 8] };
        let mut cycle = [0usize; 8];
        for place in walk(bits) {
            if place == 0 {
                visits.cycles += 1;
                visits.counts.iter_mut().zip(cycle).for_each(|(counts, visits)| counts[visits.min(MOST)] += 1);
                cycle = [0; 8];
            } else if let Some(index) = index(place) {
                cycle[index] += 1;
            }
        }
        visits
    }

    fn p_value(&self, state: i32) -> f64 {
        chi_square(&self.counts[index(state).expect("one of STATES")], &probabilities(state))
    }
}

fn index(state: i32) -> Option<usize> {
    STATES.iter().position(|other| *other == state)
}

/// Section 3.14: of 0, 1, 2, 3, 4, 5 and more visits of `state`.
fn probabilities(state: i32) -> [f64; MOST + 1] {
    let leaves = 1.0 / (2.0 * f64::from(state.abs()));
    let returns = 1.0 - leaves;
    std::array::from_fn(|visits| match visits {
        0 => returns,
        MOST => leaves * returns.powi(MOST as i32 - 1),
        _ => leaves * leaves * returns.powi(visits as i32 - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Section 2.14.4; its P-value 0.502529 is that of probabilities with four digits.
        let visits = Visits::of(&Bits::of_digits("0110110101"));
        assert_eq!(visits.cycles, 3);
        let p_value = chi_square(&visits.counts[4], &[0.5, 0.25, 0.125, 0.0625, 0.0312, 0.0312]);
        assert!((p_value - 0.502529).abs() < 1e-4, "{p_value}");
        // Section 2.14.8: negative states.
        let [pi, e, sqrt_2, sqrt_3] = million_of_each();
        assert_eq!(Visits::of(e).cycles, 1490);
        let found = random_excursions(e).map(|p_value| p_value.expect("enough cycles"));
        for (found, expected) in found.into_iter().zip([0.573306, 0.197996, 0.164011, 0.007779]) {
            close(found, expected);
        }
        // Appendix B: state 1.
        for (bits, expected) in [(pi, 0.844143), (e, 0.786868), (sqrt_2, 0.216235), (sqrt_3, 0.783283)] {
            close(random_excursions(bits)[4].expect("enough cycles"), expected);
        }
    }

    /// The table of section 3.14.
    #[test]
    fn published_probabilities() {
        for (state, published) in [
            (1, [0.5000, 0.2500, 0.1250, 0.0625, 0.0312, 0.0312]),
            (-2, [0.7500, 0.0625, 0.0469, 0.0352, 0.0264, 0.0791]),
            (4, [0.8750, 0.0156, 0.0137, 0.0120, 0.0105, 0.0733]),
        ] {
            for (found, published) in probabilities(state).into_iter().zip(published) {
                assert!((found - published).abs() < 6e-5, "{state}: {found} is not {published}");
            }
        }
    }

    #[test]
    fn a_walk_that_hardly_returns_is_not_judged() {
        assert_eq!(random_excursions(&Bits::from_bytes(&[0b1111_1110; 1000])), [None; 8]);
    }
}
