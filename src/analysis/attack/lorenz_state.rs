//! The state of a lane's Lorenz system from seven of its words.
//!
//! A word gives away the 32 low mantissa bits of a coordinate; sign, exponent and the 20 high bits, its *head*, are
//! hidden. The first equation of a step is linear with public coefficients that add up to one (`chaos::lorenz`):
//!
//! ```text
//! x' - x = HS (y - x)
//! ```
//!
//! With the exponents and signs fixed to one of the [`Shapes`] that orbits take, the hidden part of `y - x` is an integer
//! `d` of some 22 bits, and `HS d` is known modulo one unit of the heads to 31 bits: a closest-vector problem in two
//! dimensions with one solution, and mostly none where the shape is wrong. Two steps leave one head of 20 bits open, that
//! of `x`, for a constant added to `x` and `y` changes nothing. Each of its values gives `z` by the second equation, whose
//! low bits are known; the third equation tells apart what differs by a factor of two in `x` and `y`.
//!
//! The system is symmetric: `(-x, -y, z)` gives the same words, so that `x` is taken to be positive.

use std::{collections::HashMap, ops::Range};

use super::lattice::small_multiples;
use crate::{
    analysis::random::Random,
    chaos::{
        LANE_SEED_BYTES,
        lane::{Lane, ROUNDS, WARM_UP},
        lorenz,
    },
};

/// Values that a head can have: 20 bits.
const HEADS: i64 = 1 << 20;
/// Lanes that shapes are collected from.
const OBSERVED_LANES: u64 = 4096;
/// Spread of exponents, in sum over both steps, up to which [`Shapes::frequent`] are taken: each unit doubles the
/// differences that a wrong shape allows.
const SPREAD: i32 = 10;
/// The same for [`Shapes::nearly_all`].
const WIDE_SPREAD: i32 = 14;
/// Least exponent of `y - x`, less that of `x' - x`: below, 64 bits of fraction do not hold the coefficient.
const LEAST_SHIFT: i32 = -10;
/// How far an estimate of `z` may be off, in units of its last bit.
const Z_TOLERANCE: u32 = 1 << 12;

/// Low mantissa bits of three successive states: `x` of all three, `y` and `z` of two.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Of `x`.
    pub x: [u32; 3],
    /// Of `y`.
    pub y: [u32; 2],
    /// Of `z`.
    pub z: [u32; 2],
}

impl Window {
    /// Words from the start of a round on that are needed.
    pub const WORDS: usize = 7;

    /// From the low mantissa bits that successive words of a lane give away, the first being that of an `x`.
    pub fn of(words: [u32; Window::WORDS]) -> Window {
        let [x0, y0, z0, x1, y1, z1, x2] = words;
        Window { x: [x0, x1, x2], y: [y0, y1], z: [z0, z1] }
    }
}

/// Sign and exponent of a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Scale {
    negative: bool,
    exponent: i32,
}

impl Scale {
    fn of(value: f64) -> Scale {
        Scale { negative: value < 0.0, exponent: (value.to_bits() >> 52 & 0x7FF) as i32 - 1023 }
    }

    fn signed(self, magnitude: i128) -> i128 {
        if self.negative { -magnitude } else { magnitude }
    }

    /// The number with a signed head, leading one included, and known low bits; `None` if the head does not fit.
    fn value(self, head: i64, low: u32) -> Option<f64> {
        let magnitude = if self.negative { -head } else { head };
        if !(HEADS..2 * HEADS).contains(&magnitude) {
            return None;
        }
        let (sign, exponent) = (u64::from(self.negative) << 63, ((self.exponent + 1023) as u64) << 52);
        Some(f64::from_bits(sign | exponent | ((magnitude - HEADS) as u64) << 32 | u64::from(low)))
    }
}

/// Signs and exponents of what a [`Window`] tells of `x` and `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    x: [Scale; 3],
    y: [Scale; 2],
}

impl Shape {
    fn of(states: [(f64, f64, f64); 3]) -> Shape {
        // The system's symmetry.
        let sign = if states[0].0 < 0.0 { -1.0 } else { 1.0 };
        let x = states.map(|(x, ..)| Scale::of(sign * x));
        Shape { x, y: [0, 1].map(|i| Scale::of(sign * states[i].1)) }
    }

    /// How far the exponents of both steps differ, in sum.
    fn spread(&self) -> i32 {
        let apart = |a: Scale, b: Scale| (a.exponent - b.exponent).abs();
        (0..2).map(|step| apart(self.x[step], self.y[step]) + apart(self.x[step], self.x[step + 1])).sum()
    }

    /// Exponents of the units of the heads of `y - x` and of `x' - x`: each the lower of its two numbers'.
    fn units(&self, step: usize) -> (i32, i32) {
        let (x, y, next) = (self.x[step].exponent, self.y[step].exponent, self.x[step + 1].exponent);
        (x.min(y), x.min(next))
    }

    fn shift(&self, step: usize) -> i32 {
        let (unit_y, unit_next) = self.units(step);
        unit_y - unit_next
    }
}

/// Shapes that orbits take, the most frequent first.
pub struct Shapes(Vec<Shape>);

impl Shapes {
    /// Those of most windows, for a search that ends soon where there is no state.
    pub fn frequent() -> Shapes {
        Shapes::observed(SPREAD)
    }

    /// Rare ones too, for windows that are known to have a state.
    pub fn nearly_all() -> Shapes {
        Shapes::observed(WIDE_SPREAD)
    }

    /// Those of orbits that the attacker lets run from random states.
    fn observed(spread: i32) -> Shapes {
        let mut counts: HashMap<Shape, u64> = HashMap::new();
        let mut random = Random::new(&[0; 32], "orbits");
        for _ in 0..OBSERVED_LANES {
            let orbit = orbit(&random.array());
            for states in orbit.windows(3) {
                *counts.entry(Shape::of([states[0], states[1], states[2]])).or_default() += 1;
            }
        }
        let is_sought = |shape: &Shape| shape.spread() <= spread && (0..2).all(|step| shape.shift(step) >= LEAST_SHIFT);
        let mut shapes: Vec<_> = counts.into_iter().filter(|(shape, _)| is_sought(shape)).collect();
        shapes.sort_by_key(|(shape, count)| (std::cmp::Reverse(*count), format!("{shape:?}")));
        Shapes(shapes.into_iter().map(|(shape, _)| shape).collect())
    }
}

/// The states of a lane's rounds.
fn orbit(seed: &[u8; LANE_SEED_BYTES]) -> Vec<(f64, f64, f64)> {
    let Lane { x, y, z, .. } = Lane::from_seed(seed);
    let step = |&(x, y, z): &(f64, f64, f64)| Some(lorenz::step(x, y, z));
    std::iter::successors(Some((x, y, z)), step).skip(WARM_UP + 1).take(ROUNDS).collect()
}

/// What came of a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search {
    /// The first of the window's states, up to the common sign of `x` and `y`.
    pub state: Option<(f64, f64, f64)>,
    /// Heads of `x` that were tried.
    pub candidates: u64,
}

/// Looks for the state whose orbit has the window's words.
///
/// Three numbers of some 55 bits have to explain 7 words of 32: of windows that no orbit has made, about one in 2^59 has a
/// state.
pub fn search(shapes: &Shapes, window: &Window) -> Search {
    let mut search = Search::default();
    for shape in &shapes.0 {
        let first = differences(shape, window, 0);
        // Most wrong shapes end here.
        let second = if first.is_empty() { Vec::new() } else { differences(shape, window, 1) };
        for (first, second) in first.iter().flat_map(|first| second.iter().map(move |second| (first, second))) {
            for head in heads(shape, first) {
                search.candidates += 1;
                search.state = state(shape, window, head, first, second);
                if search.state.is_some() {
                    return search;
                }
            }
        }
    }
    search
}

/// Heads of `y - x` and of `x' - x`, each in units of the lower exponent of its two numbers.
#[derive(Clone, Copy, Debug)]
struct Difference {
    of_y: i64,
    of_next: i64,
}

/// The differences of one step that its words allow.
fn differences(shape: &Shape, window: &Window, step: usize) -> Vec<Difference> {
    let (x, y, next) = (shape.x[step], shape.y[step], shape.x[step + 1]);
    let (x_low, y_low, next_low) = (window.x[step], window.y[step], window.x[step + 1]);
    let (unit_y, unit_next) = shape.units(step);
    let scaled = |scale: Scale, low: u32, unit: i32| scale.signed(i128::from(low) << (scale.exponent - unit));
    let low_y = scaled(y, y_low, unit_y) - scaled(x, x_low, unit_y);
    let low_next = scaled(next, next_low, unit_next) - scaled(x, x_low, unit_next);
    // HS is `significand` times 2^-54. One is a unit of the heads of x' - x, and fractions have 64 bits.
    let significand = i128::from(lorenz::H_SIGMA.to_bits() & ((1 << 52) - 1) | 1 << 52);
    let shift = shape.shift(step);
    let multiplier = significand << (10 + shift);
    let target = (low_next << 32) - ((significand * low_y) >> (22 - shift));
    let bound = ((2 * HEADS) << (y.exponent - unit_y)) + ((2 * HEADS) << (x.exponent - unit_y));
    // Two roundings of half a unit in the last place, of x' or of x.
    let tolerance = (1i64 << (32 + x.exponent.max(next.exponent) - unit_next)) + 2;
    let found = small_multiples(multiplier as u64, target as u64, bound, tolerance);
    let nearest = |of_y: i64| ((multiplier * i128::from(of_y) - target + (1 << 63)) >> 64) as i64;
    found.into_iter().map(|of_y| Difference { of_y, of_next: nearest(of_y) }).collect()
}

/// The heads of `x` that leave those of `y` and `x'` in their range.
fn heads(shape: &Shape, difference: &Difference) -> Range<i64> {
    let x = shape.x[0];
    let allowed = |other: Scale, difference: i64| {
        let unit = other.exponent.min(x.exponent);
        let ends = if other.negative { [1 - 2 * HEADS, 1 - HEADS] } else { [HEADS, 2 * HEADS] };
        // Rounded up: at either end the first head that is not below it.
        ends.map(|end| -((difference - (end << (other.exponent - unit))) >> (x.exponent - unit)))
    };
    let of_y = allowed(shape.y[0], difference.of_y);
    let of_next = allowed(shape.x[1], difference.of_next);
    HEADS.max(of_y[0]).max(of_next[0])..(2 * HEADS).min(of_y[1]).min(of_next[1])
}

/// The head of `other`, of which a difference to `one` is known.
fn head_of(other: Scale, one: Scale, one_head: i64, difference: i64) -> Option<i64> {
    let unit = other.exponent.min(one.exponent);
    let scaled = difference + (one_head << (one.exponent - unit));
    let shift = other.exponent - unit;
    (scaled & ((1 << shift) - 1) == 0).then_some(scaled >> shift)
}

/// The state that a head of `x` leads to, if all words are those of its orbit.
fn state(
    shape: &Shape,
    window: &Window,
    head: i64,
    first: &Difference,
    second: &Difference,
) -> Option<(f64, f64, f64)> {
    let y0_head = head_of(shape.y[0], shape.x[0], head, first.of_y)?;
    let x1_head = head_of(shape.x[1], shape.x[0], head, first.of_next)?;
    let y1_head = head_of(shape.y[1], shape.x[1], x1_head, second.of_y)?;
    let x0 = shape.x[0].value(head, window.x[0])?;
    let y0 = shape.y[0].value(y0_head, window.y[0])?;
    let x1 = shape.x[1].value(x1_head, window.x[1])?;
    let y1 = shape.y[1].value(y1_head, window.y[1])?;
    let z = 28.0 - (y1 - y0 * lorenz::ONE_MINUS_H) / (lorenz::H * x1);
    let off = (z.to_bits() as u32).wrapping_sub(window.z[0]) as i32;
    if off.unsigned_abs() > Z_TOLERANCE {
        return None;
    }
    let z0 = f64::from_bits(z.to_bits().wrapping_sub_signed(off.into()));
    let next = lorenz::step(x0, y0, z0);
    let after = lorenz::step(next.0, next.1, next.2);
    let told = (next.0, next.1) == (x1, y1) && [next.2, after.0].map(low) == [window.z[1], window.x[2]];
    told.then_some((x0, y0, z0))
}

/// The mantissa bits that a word gives away.
fn low(value: f64) -> u32 {
    value.to_bits() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(states: &[(f64, f64, f64)]) -> Window {
        let words: Vec<u32> = states.iter().flat_map(|&(x, y, z)| [x, y, z]).map(low).collect();
        Window::of(*words.first_chunk().expect("three states"))
    }

    fn state_of(lane: u8, round: usize) -> Vec<(f64, f64, f64)> {
        orbit(&Random::new(&[lane; 32], "lorenz state test").array())[round..].to_vec()
    }

    #[test]
    fn states_are_found_up_to_their_sign() {
        let [frequent, all] = [Shapes::frequent(), Shapes::nearly_all()];
        let mut found = [0; 2];
        for lane in 0..200 {
            let states = state_of(lane, 3 * lane as usize % 60);
            let (x, y, z) = states[0];
            let sign = x.signum();
            for (shapes, found) in [&frequent, &all].into_iter().zip(&mut found) {
                if let Some(state) = search(shapes, &window(&states)).state {
                    assert_eq!(state, (sign * x, sign * y, z), "lane {lane}");
                    *found += 1;
                }
            }
        }
        // What is not found has a shape that is not looked for.
        assert!(found[0] >= 190 && found[1] > 197, "{found:?} of 200");
    }

    #[test]
    fn noise_has_no_state() {
        let shapes = Shapes::frequent();
        let mut random = Random::new(&[0; 32], "noise");
        for _ in 0..40 {
            let words = [0; Window::WORDS].map(|_| u32::from_le_bytes(random.array()));
            assert_eq!(search(&shapes, &Window::of(words)).state, None);
        }
    }

    #[test]
    fn numbers_are_put_together_from_head_and_low_bits() {
        // -6.5 is -1.625 * 2^2: its head is 1.625 * 2^20, and no low bit is set.
        let scale = Scale::of(-6.5);
        assert_eq!(scale, Scale { negative: true, exponent: 2 });
        assert_eq!(scale.value(-(HEADS + HEADS / 2 + HEADS / 8), 0), Some(-6.5));
        assert_eq!(scale.value(-(HEADS + HEADS / 2 + HEADS / 8), 1), Some((-6.5f64).next_down()));
        assert_eq!(scale.value(HEADS, 0), None);
    }
}
