//! How often does the random walk whose steps are the bits visit a state? SP 800-22 Rev. 1a, section 2.15.

use super::{
    bits::Bits,
    random_excursions::{enough_cycles, walk},
    special::erfc,
};

/// The states that are looked at, but for 0.
pub const STATES: [i32; 18] = [-9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// P-values of the numbers of visits, by state; none where the walk returns to 0 too seldom.
pub fn random_excursions_variant(bits: &Bits) -> [Option<f64>; 18] {
    let visits = visits(bits);
    let cycles = visits[9];
    STATES.map(|state| enough_cycles(cycles, bits.len()).then(|| p_value(visits[(state + 9) as usize], cycles, state)))
}

/// Of all states from -9 to 9.
fn visits(bits: &Bits) -> [u64; 19] {
    let mut visits = [0; 19];
    for place in walk(bits).filter(|place| (-9..=9).contains(place)) {
        visits[(place + 9) as usize] += 1;
    }
    visits
}

fn p_value(visits: u64, cycles: u64, state: i32) -> f64 {
    let variance = cycles as f64 * (4.0 * f64::from(state.abs()) - 2.0);
    erfc(visits.abs_diff(cycles) as f64 / (2.0 * variance).sqrt())
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Section 2.15.4.
        let short = visits(&Bits::of_digits("0110110101"));
        assert_eq!((short[9], short[10]), (3, 4));
        close(p_value(4, 3, 1), 0.683091);
        // Section 2.15.8.
        let [pi, e, sqrt_2, sqrt_3] = million_of_each();
        let expected = [
            0.858946, 0.794755, 0.576249, 0.493417, 0.633873, 0.917283, 0.934708, 0.816012, 0.826009, 0.137861,
            0.200642, 0.441254, 0.939291, 0.505683, 0.445935, 0.512207, 0.538635, 0.593930,
        ];
        for (found, expected) in random_excursions_variant(e).into_iter().zip(expected) {
            close(found.expect("enough cycles"), expected);
        }
        // Appendix B: state -1.
        for (bits, expected) in [(pi, 0.760966), (sqrt_2, 0.566118), (sqrt_3, 0.155066)] {
            close(random_excursions_variant(bits)[8].expect("enough cycles"), expected);
        }
    }
}
