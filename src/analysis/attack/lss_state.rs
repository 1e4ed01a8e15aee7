//! The parameter of a lane's logistic-sine system from one whole state and the words that follow.
//!
//! One step is linear in the parameter `u` (`chaos::lss`): with `w = t (1 - t)` and `s = sin(pi t)`,
//! `t' = u w + (4 - u)/4 s`, and so `u = (t' - s) / (w - s/4)`. A word gives away 32 mantissa bits of a state; the 20 high
//! ones of `t` and `t'`, and their exponents, have to be guessed: 2^40 guesses for each pair of exponents. Here `t` and
//! the exponent of `t'` are given, which leaves 2^20 of them: what one costs is measured, what all would cost follows.

use std::collections::HashMap;

use crate::{
    analysis::random::Random,
    chaos::{
        lane::{Lane, ROUNDS, WARM_UP},
        lss,
    },
};

/// Values that the hidden high mantissa bits of a state have.
pub const HEADS: u64 = 1 << 20;
/// Least `w - s/4` that the attack is run on: what is smaller loses the parameter in rounding.
const LEAST_SLOPE: f64 = 1.0 / 512.0;
/// How far an estimate of the state after next may be off, in units of its last bit.
const TOLERANCE: u32 = 1 << 14;
/// Parameters on either side of an estimate that are tried.
const NEIGHBOURS: i64 = 4096;
/// Lanes have parameters that are odd multiples of this: 2^-51 (`chaos::lane`).
const UNIT: f64 = 1.0 / (1u64 << 51) as f64;
/// Following words that must agree: the first few often cannot tell neighbouring parameters apart.
pub const FOLLOWING: usize = 32;
/// Lanes that exponents are counted in.
const OBSERVED_LANES: usize = 512;

/// Low mantissa bits of the states after a whole one.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The state that is given.
    pub t: f64,
    /// The exponent of the next one, as it stands in its bits.
    pub exponent: u64,
    /// Low mantissa bits of the next ones.
    pub low: [u32; FOLLOWING],
}

impl Window {
    /// From successive states.
    pub fn of(t: f64, following: [f64; FOLLOWING]) -> Window {
        Window { t, exponent: following[0].to_bits() >> 52, low: following.map(|t| t.to_bits() as u32) }
    }

    /// Whether the step from the given state tells the parameter well enough.
    pub fn is_steep(&self) -> bool {
        slope(self.t) >= LEAST_SLOPE
    }
}

/// The states of a lane, from its first word on, three for each round.
pub fn orbit(lane: &Lane) -> impl Iterator<Item = f64> {
    let (u, v) = (lane.u, lane.v);
    std::iter::successors(Some(lane.t), move |&t| Some(lss::step(t, u, v))).skip(WARM_UP + 1).take(3 * ROUNDS)
}

/// The share of steps whose states have one of the `pairs` most frequent pairs of exponents.
pub fn share_of_likeliest(pairs: usize) -> f64 {
    let mut random = Random::new(&[0; 32], "exponents");
    let mut counts: HashMap<[u64; 2], u64> = HashMap::new();
    for _ in 0..OBSERVED_LANES {
        let exponents: Vec<u64> = orbit(&Lane::from_seed(&random.array())).map(|t| t.to_bits() >> 52).collect();
        exponents.windows(2).for_each(|pair| *counts.entry([pair[0], pair[1]]).or_default() += 1);
    }
    let mut counts: Vec<u64> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts.iter().take(pairs).sum::<u64>() as f64 / counts.iter().sum::<u64>() as f64
}

/// `sin(pi t)`: the map with nothing but its sine.
fn sine(t: f64) -> f64 {
    lss::step(t, 0.0, 1.0)
}

fn slope(t: f64) -> f64 {
    t * (1.0 - t) - 0.25 * sine(t)
}

/// What came of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// The parameter `u`.
    pub parameter: Option<f64>,
    /// Next states that were tried.
    pub guesses: u64,
}

/// Looks for the parameter whose orbit has the window's words.
pub fn search(window: &Window) -> Search {
    let (sine, slope) = (sine(window.t), slope(window.t));
    let parameter = |head: u64| {
        let next = f64::from_bits(window.exponent << 52 | head << 32 | u64::from(window.low[0]));
        let u = (next - sine) / slope;
        if !(u > 0.0 && u < 4.0) {
            return None;
        }
        let after = lss::step(next, u, (4.0 - u) * 0.25);
        let off = (after.to_bits() as u32).wrapping_sub(window.low[1]) as i32;
        if off.unsigned_abs() > TOLERANCE { None } else { near(u, window) }
    };
    let found = (0..HEADS).find_map(|head| Some((head, parameter(head)?)));
    Search { parameter: found.map(|(_, u)| u), guesses: found.map_or(HEADS, |(head, _)| head + 1) }
}

/// The parameter near an estimate whose orbit has all words.
fn near(estimate: f64, window: &Window) -> Option<f64> {
    let middle = (estimate / (2.0 * UNIT)) as i64;
    let parameters = (middle - NEIGHBOURS..=middle + NEIGHBOURS).map(|number| (2 * number + 1) as f64 * UNIT);
    parameters.into_iter().find(|&u| {
        let orbit = std::iter::successors(Some(window.t), |&t| Some(lss::step(t, u, (4.0 - u) * 0.25))).skip(1);
        window.low.iter().zip(orbit).all(|(&low, t)| low == t.to_bits() as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orbits of parameters that are told in advance.
    fn windows(u: f64) -> impl Iterator<Item = Window> {
        let orbit: Vec<f64> =
            std::iter::successors(Some(0.3), |&t| Some(lss::step(t, u, (4.0 - u) * 0.25))).skip(8).take(64).collect();
        let windows: Vec<Window> = orbit
            .windows(FOLLOWING + 1)
            .map(|states| Window::of(states[0], *states[1..].first_chunk().expect("enough states")))
            .collect();
        windows.into_iter().filter(Window::is_steep)
    }

    #[test]
    fn the_parameter_is_found() {
        for number in [1_234_567_890_123_457u64, 4_503_599_627_370_495, 7_777_777_777_777_777] {
            let u = number as f64 * UNIT;
            let window = windows(u).next().expect("a step that is steep enough");
            assert_eq!(search(&window).parameter, Some(u), "{u}");
        }
    }

    #[test]
    fn a_wrong_state_has_no_parameter() {
        let window = windows(1_234_567_890_123_457.0 * UNIT).next().expect("a step that is steep enough");
        let wrong = f64::from_bits(window.t.to_bits() ^ 1 << 40);
        assert_eq!(search(&Window { t: wrong, ..window }), Search { parameter: None, guesses: HEADS });
    }
}
