//! How far does the random walk go whose steps are the bits? SP 800-22 Rev. 1a, section 2.13.

use super::{bits::Bits, special::normal};

/// P-values of the largest distance from the start, of the walk from the first bit to the last and of that from the last to
/// the first.
pub fn cumulative_sums(bits: &Bits) -> [f64; 2] {
    [excursion(bits.iter()), excursion(bits.iter().rev())].map(|excursion| p_value(excursion, bits.len()))
}

fn excursion(bits: impl Iterator<Item = bool>) -> i64 {
    let sums = bits.scan(0i64, |sum, bit| {
        *sum += if bit { 1 } else { -1 };
        Some(sum.abs())
    });
    sums.max().unwrap_or(0)
}

/// Section 2.13.4 (4). Where the bounds of the sums are no integers, they are cut towards zero, as in NIST's program: but
/// for tiny examples the terms there are nothing.
fn p_value(excursion: i64, n: usize) -> f64 {
    let (z, n) = (excursion as f64, n as f64);
    let step = z / n.sqrt();
    let last = ((n / z - 1.0) / 4.0) as i64;
    let first = |offset: f64| ((offset - n / z) / 4.0) as i64;
    let between =
        |k: i64, low: f64, high: f64| normal((4.0 * k as f64 + high) * step) - normal((4.0 * k as f64 + low) * step);
    let inside: f64 = (first(1.0)..=last).map(|k| between(k, -1.0, 1.0)).sum();
    let outside: f64 = (first(-3.0)..=last).map(|k| between(k, 1.0, 3.0)).sum();
    (1.0 - inside + outside).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Sections 2.13.4 and 2.13.8.
        close(cumulative_sums(&Bits::of_digits("1011010111"))[0], 0.4116588);
        let [forward, backward] = cumulative_sums(&pi(100));
        close(forward, 0.219194);
        close(backward, 0.114866);
        // Appendix B; for e, it rounds the last digit up.
        let expected = [(0.628308, 0.663369), (0.669886, 0.724265), (0.879009, 0.957206), (0.917121, 0.689519)];
        for (bits, (forward, backward)) in million_of_each().into_iter().zip(expected) {
            let found = cumulative_sums(bits);
            close(found[0], forward);
            close(found[1], backward);
        }
    }
}
