//! The maps as they are, and the variants that were not taken because they fail: each is told from ours by a statistic.
//!
//! Seeds are fixed, so every score is always the same. With some 450 scores of ours, the largest of fair bits would be
//! about 3.2; the critical value is 6.

use gstchaosveil::{
    analysis::{
        Worst,
        bits::{frequency, likeness, repetition},
        difference::kth_difference,
    },
    chaos::{
        LANE_SEED_BYTES,
        lane::{Lane, ROUNDS, WARM_UP},
        lorenz, lss,
    },
};

const CRITICAL: f64 = 6.0;
/// Bits of a state that go into the keystream.
const USED: std::ops::Range<u32> = 0..32;

/// One step of a Lorenz system.
type Integrator = fn(f64, f64, f64) -> (f64, f64, f64);

/// The mantissas and states of many lanes.
struct States {
    /// Logistic-sine: 192 of each lane.
    t: Vec<Vec<u64>>,
    /// Lorenz x, y, z: 64 of each lane.
    xyz: [Vec<Vec<f64>>; 3],
}

fn states(lanes: usize, lorenz: Integrator, seed: impl Fn(u64) -> [u8; LANE_SEED_BYTES]) -> States {
    let mut states = States { t: Vec::new(), xyz: Default::default() };
    for number in 0..lanes as u64 {
        let Lane { mut t, u, v, mut x, mut y, mut z } = Lane::from_seed(&seed(number));
        for _ in 0..WARM_UP {
            t = lss::step(t, u, v);
            (x, y, z) = lorenz(x, y, z);
        }
        let mut each: [Vec<f64>; 3] = Default::default();
        let mut ts = Vec::new();
        for _ in 0..ROUNDS {
            (x, y, z) = lorenz(x, y, z);
            for (states, state) in each.iter_mut().zip([x, y, z]) {
                t = lss::step(t, u, v);
                ts.push(t.to_bits());
                states.push(state);
            }
        }
        states.t.push(ts);
        states.xyz.iter_mut().zip(each).for_each(|(all, states)| all.push(states));
    }
    states
}

impl States {
    fn mantissas(&self, coordinate: usize) -> Vec<Vec<u64>> {
        self.xyz[coordinate].iter().map(|states| states.iter().map(|state| state.to_bits()).collect()).collect()
    }

    /// The coordinate as a fixed-point number of 2^-47, modulo 2^32.
    fn fixed_point(&self, coordinate: usize) -> Vec<Vec<u32>> {
        let fixed = |state: &f64| (state * (1u64 << 47) as f64) as i64 as u32;
        self.xyz[coordinate].iter().map(|states| states.iter().map(fixed).collect()).collect()
    }

    fn t_fixed_point(&self) -> Vec<Vec<u32>> {
        let fixed = |bits: &u64| (f64::from_bits(*bits) * (1u64 << 52) as f64) as i64 as u32;
        self.t.iter().map(|states| states.iter().map(fixed).collect()).collect()
    }
}

/// Seeds as the stage has them: an extendable output.
fn hashed(number: u64) -> [u8; LANE_SEED_BYTES] {
    let mut seed = [0; LANE_SEED_BYTES];
    blake3::Hasher::new().update(b"lanes").update(&number.to_le_bytes()).finalize_xof().fill(&mut seed);
    seed
}

#[track_caller]
fn fails(what: &str, worst: Worst) {
    assert!(worst.z.abs() > CRITICAL, "{what} should be told from chance: {worst:?}");
}

#[track_caller]
fn passes(what: &str, worst: Worst) {
    assert!(worst.z.abs() < CRITICAL, "{what}: {worst:?}");
}

#[test]
fn the_maps_as_they_are() {
    let states = states(20_000, lorenz::step, hashed);
    let mut words = vec![("t", states.t.clone())];
    words.extend(["x", "y", "z"].into_iter().zip((0..3).map(|coordinate| states.mantissas(coordinate))));
    for (name, words) in &words {
        passes(&format!("{name}: frequency"), frequency(words, USED));
        passes(&format!("{name}: repetition"), repetition(words, USED));
        passes(&format!("{name}: likeness of lanes"), likeness(words, USED));
    }
    passes("t: differences", kth_difference(&states.t_fixed_point()));
    for coordinate in 0..3 {
        passes("Lorenz: differences", kth_difference(&states.fixed_point(coordinate)));
    }
}

#[test]
fn fail_more_than_32_bits_of_a_state() {
    let states = states(60_000, lorenz::step, hashed);
    fails("40 bits of the logistic-sine state", frequency(&states.t, 32..40));
    fails("48 bits of the logistic-sine state", frequency(&states.t, 40..48));
    for coordinate in 0..3 {
        fails("48 bits of a Lorenz coordinate", frequency(&states.mantissas(coordinate), 40..48));
    }
}

#[test]
fn fail_lorenz_without_fused_multiply_add() {
    let unfused: Integrator = |x, y, z| {
        let x = lorenz::H_SIGMA * y + x * lorenz::ONE_MINUS_H_SIGMA;
        let hx = lorenz::H * x;
        let y = hx * (28.0 - z) + y * lorenz::ONE_MINUS_H;
        let z = hx * y + z * lorenz::ONE_MINUS_H_BETA;
        (x, y, z)
    };
    let states = states(2000, unfused, hashed);
    for coordinate in 0..3 {
        fails("a coordinate", frequency(&states.mantissas(coordinate), USED));
    }
}

#[test]
fn fail_lorenz_with_a_step_that_is_a_power_of_two() {
    let even: Integrator = |x, y, z| {
        let h = 1.0 / 32.0;
        let x = f64::mul_add(10.0 * h, y, x * (1.0 - 10.0 * h));
        let hx = h * x;
        let y = hx.mul_add(28.0 - z, y * (1.0 - h));
        let z = hx.mul_add(y, z * (1.0 - h * (8.0 / 3.0)));
        (x, y, z)
    };
    fails("x", frequency(&states(2000, even, hashed).mantissas(0), USED));
}

#[test]
fn fail_explicit_euler() {
    let euler: Integrator = |x: f64, y: f64, z: f64| {
        let h = 0.01f64;
        (
            h.mul_add(10.0 * (y - x), x),
            h.mul_add(x.mul_add(28.0 - z, -y), y),
            h.mul_add(x.mul_add(y, -z * 8.0 / 3.0), z),
        )
    };
    let states = states(2000, euler, hashed);
    for coordinate in 0..3 {
        fails("a coordinate", kth_difference(&states.fixed_point(coordinate)));
    }
}

#[test]
fn fail_lanes_that_are_seeded_from_a_counter() {
    let counted = |number: u64| {
        let mut seed = hashed(0);
        for at in [8, 16, 24] {
            let field: &mut [u8; 8] = seed[at..].first_chunk_mut().expect("64 bytes");
            *field = u64::from_le_bytes(*field).wrapping_add(number << 12).to_le_bytes();
        }
        seed
    };
    let states = states(2000, lorenz::step, counted);
    fails("t", likeness(&states.t, USED));
    for coordinate in 0..3 {
        fails("a coordinate", likeness(&states.mantissas(coordinate), USED));
    }
}
