//! Lorenz system (sigma 10, rho 28, beta 8/3), semi-implicit Euler with step `h` near 7 pi / 600.
//!
//! Source: Liu et al. 2022 (RITEM-CF-AN) for the choice of the system. The integrator is ours: explicit Euler at
//! h = 0.01 leaves tiny integer relations between successive outputs, and a step that is a power of two fails PractRand.

/// Step size `h`.
pub const H: f64 = f64::from_bits(0x3fa2_c40a_2a70_5846); // 0x1.2c40a2a705846p-5
/// `h sigma`.
pub const H_SIGMA: f64 = f64::from_bits(0x3fd7_750c_b50c_6e58); // 0x1.7750cb50c6e58p-2
/// `1 - h sigma`.
pub const ONE_MINUS_H_SIGMA: f64 = f64::from_bits(0x3fe4_4579_a579_c8d4); // 0x1.44579a579c8d4p-1
/// `1 - h`.
pub const ONE_MINUS_H: f64 = f64::from_bits(0x3fee_d3bf_5d58_fa7c); // 0x1.ed3bf5d58fa7cp-1
/// `1 - h beta`.
pub const ONE_MINUS_H_BETA: f64 = f64::from_bits(0x3fec_df53_a397_f14a); // 0x1.cdf53a397f14ap-1

/// One step: the next `(x, y, z)`; each line uses what the line above has just assigned.
#[inline(always)]
pub fn step(x: f64, y: f64, z: f64) -> (f64, f64, f64) {
    let x = H_SIGMA.mul_add(y, x * ONE_MINUS_H_SIGMA);
    let hx = H * x;
    let y = hx.mul_add(28.0 - z, y * ONE_MINUS_H);
    let z = hx.mul_add(y, z * ONE_MINUS_H_BETA);
    (x, y, z)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_what_they_stand_for() {
        let h = 7.0 * std::f64::consts::PI / 600.0;
        assert!((H - h).abs() < 1e-4);
        for (constant, value) in [
            (H_SIGMA, 10.0 * H),
            (ONE_MINUS_H_SIGMA, 1.0 - 10.0 * H),
            (ONE_MINUS_H, 1.0 - H),
            (ONE_MINUS_H_BETA, 1.0 - H * 8.0 / 3.0),
        ] {
            assert!((constant - value).abs() < 1e-15, "{constant} {value}");
        }
    }

    #[test]
    fn fixed_points_of_the_flow_stay() {
        let (beta, rho) = (8.0 / 3.0, 28.0);
        let c = f64::sqrt(beta * (rho - 1.0));
        for (x, y) in [(c, c), (-c, -c)] {
            let (x1, y1, z1) = step(x, y, rho - 1.0);
            assert!((x1 - x).abs() < 1e-13 && (y1 - y).abs() < 1e-13 && (z1 - 27.0).abs() < 1e-13);
        }
    }
}
