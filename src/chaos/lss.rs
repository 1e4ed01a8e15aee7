//! Logistic-sine system: `t' = u t (1-t) + (4-u)/4 sin(pi t)`, clamped below 1.
//!
//! Source: Liu et al. 2022 (RITEM-CF-AN), who write "mod 1". The clamp replaces it: an orbit that rounds to 1.0 would
//! otherwise die at 0, which happens to about one lane in thirty RGB frames.

/// Largest double below 1.
pub const T_MAX: f64 = f64::from_bits(0x3fef_ffff_ffff_ffff);

/// `sin(pi t) = w P(w)` with `w = t (1-t)`: coefficients of `P`, lowest first (near-minimax fit on `[0, 1/4]`).
pub const SINE: [f64; 8] = [
    f64::from_bits(0x4009_21fb_5444_2d18), // 0x1.921fb54442d18p+1
    f64::from_bits(0x4009_21fb_5444_2d60), // 0x1.921fb54442d60p+1
    f64::from_bits(0x3ff1_d8f9_b879_8c13), // 0x1.1d8f9b8798c13p+0
    f64::from_bits(0x3fca_37b4_0755_b5e8), // 0x1.a37b40755b5e8p-3
    f64::from_bits(0x3f97_996a_2d51_e6ba), // 0x1.7996a2d51e6bap-6
    f64::from_bits(0x3f5c_bc0e_1854_470d), // 0x1.cbc0e1854470dp-10
    f64::from_bits(0x3f19_3d7c_8fdf_cc64), // 0x1.93d7c8fdfcc64p-14
    f64::from_bits(0x3ed1_5592_83f9_2706), // 0x1.1559283f92706p-18
];

/// One step: the next `t` in `[0, T_MAX]` from `t`, the parameter `u` in `(0, 4)` and `v = (4-u)/4`.
///
/// Every operation is one rounding, in the order of the specification (Horner, never Estrin).
#[inline(always)]
pub fn step(t: f64, u: f64, v: f64) -> f64 {
    let w = (-t).mul_add(t, t);
    let mut p = SINE[7];
    let mut i = 7;
    while i > 0 {
        i -= 1;
        p = p.mul_add(w, SINE[i]);
    }
    let m = w * v.mul_add(p, u);
    if m < T_MAX { m } else { T_MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map in its textbook form, with the library's sine.
    fn textbook(t: f64, u: f64) -> f64 {
        u * t * (1.0 - t) + (4.0 - u) / 4.0 * (std::f64::consts::PI * t).sin()
    }

    #[test]
    fn follows_the_textbook_map() {
        for i in 1..1000 {
            let (t, u) = (f64::from(i) / 1000.0, f64::from(i % 37) / 9.3);
            let got = step(t, u, (4.0 - u) * 0.25);
            assert!((got - textbook(t, u)).abs() < 1e-15, "t {t}, u {u}: {got}");
        }
    }

    #[test]
    fn never_reaches_one() {
        assert_eq!(step(0.5, 4.0, 0.0), T_MAX);
        const { assert!(T_MAX < 1.0 && T_MAX + f64::EPSILON >= 1.0) };
    }
}
