//! Whether a sample shows what its label says, to anybody.
//!
//! The low bits of a noisy picture are as random as encrypted ones: with its high bits encrypted it is noise, and with its
//! low bits encrypted it is what it was. No classifier tells such a crop from another label's, and to train or to judge one
//! by it would be by names alone. So a crop is drawn again unless a test of independence, which shares nothing with the
//! network, finds what the label says by eight standard deviations. Evaluations tell how many were drawn again.

use crate::nn::{
    Label,
    preprocessing::{REPEATS, neighbourhood, pairs},
};

/// Standard deviations of chi-square by which something shows.
const SHOWS: f64 = 8.0;
/// Share of a crop's samples that equal the one a block away, in the direction where most do. By chance it is 1/256.
const LEAST_REPEATED: f64 = 0.1;

/// Whether a crop of `shown`, made of the crop `plain`, can be told from those of other labels.
pub fn is_tellable(label: Label, plain: &[u8], shown: &[u8]) -> bool {
    match label {
        Label::Encrypted => true,
        Label::Permuted => {
            Table::of(shown.iter().map(|&sample| (sample >> 4, sample & 15))).excess_over_uniform() >= SHOWS
        }
        Label::Plain | Label::LowPlanes => are_low_bits_of_a_picture(plain),
        Label::HighPlanes => [(1, 0), (0, 1)].into_iter().any(|neighbour| {
            let mut table = Table::default();
            pairs(neighbour, |at, other| table.add(shown[at] & 15, shown[other] & 15));
            table.excess_over_uniform() >= SHOWS
        }),
        Label::EcbLike => REPEATS.into_iter().any(|earlier| {
            let [mut equal, mut all] = [0usize; 2];
            pairs(earlier, |at, other| {
                equal += usize::from(shown[at] == shown[other]);
                all += 1;
            });
            equal as f64 >= LEAST_REPEATED * all as f64
        }),
    }
}

/// Whether the low four bits are not uniform, or go with what the neighbours see.
fn are_low_bits_of_a_picture(plain: &[u8]) -> bool {
    let mut table = Table::default();
    neighbourhood(plain, |at, mean| {
        let seen = ((mean - f32::from(plain[at] & 0xf0) + 16.0) / 3.0).clamp(0.0, 15.0);
        table.add(plain[at] & 15, seen as u8);
    });
    let [low, _] = table.margins();
    chi_square(low.into_iter().map(|count| (count, table.count() / 16.0))) >= SHOWS
        || table.excess_over_independence() >= SHOWS
}

/// How often each two values below 16 go together.
#[derive(Default)]
struct Table([[f64; 16]; 16]);

impl Table {
    fn of(pairs: impl Iterator<Item = (u8, u8)>) -> Table {
        let mut table = Table::default();
        pairs.for_each(|(a, b)| table.add(a, b));
        table
    }

    fn add(&mut self, a: u8, b: u8) {
        self.0[usize::from(a)][usize::from(b)] += 1.0;
    }

    fn count(&self) -> f64 {
        self.0.iter().flatten().sum()
    }

    fn margins(&self) -> [[f64; 16]; 2] {
        [self.0.map(|row| row.iter().sum()), std::array::from_fn(|b| self.0.iter().map(|row| row[b]).sum())]
    }

    fn excess_over_uniform(&self) -> f64 {
        let expected = self.count() / 256.0;
        chi_square(self.0.iter().flatten().map(|&count| (count, expected)))
    }

    /// Pearson 1900: against what the margins alone would give. Where that is under five, chi-square means little.
    fn excess_over_independence(&self) -> f64 {
        let [first, second] = self.margins();
        let all = self.count();
        let cells = (0..256).map(|at| (self.0[at / 16][at % 16], first[at / 16] * second[at % 16] / all));
        chi_square(cells.filter(|&(_, expected)| expected >= 5.0))
    }
}

/// Standard deviations by which chi-square lies above its mean; of counts and what is expected of them.
fn chi_square(cells: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0f64);
    for (seen, expected) in cells {
        sum += (seen - expected).powi(2) / expected;
        count += 1.0;
    }
    let freedom = (count - 1.0).max(1.0);
    (sum - freedom) / (2.0 * freedom).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{analysis::random::Random, nn::preprocessing::CROP};

    fn noise() -> Vec<u8> {
        let mut bytes = vec![0; CROP * CROP];
        Random::new(&[6; 32], "noise").fill(&mut bytes);
        bytes
    }

    /// A slope with normal noise on it.
    fn slope(deviation: f64) -> Vec<u8> {
        let mut random = Random::new(&[7; 32], "slope");
        let of = |at: usize| 60.0 + (at % CROP) as f64 / 2.0 + (at / CROP) as f64 / 3.0;
        (0..CROP * CROP).map(|at| (of(at) + deviation * random.normal()).round().clamp(0.0, 255.0) as u8).collect()
    }

    #[test]
    fn noise_shows_nothing() {
        let noise = noise();
        for label in [Label::Plain, Label::Permuted, Label::LowPlanes, Label::HighPlanes, Label::EcbLike] {
            assert!(!is_tellable(label, &noise, &noise), "{}", label.name());
        }
    }

    #[test]
    fn pictures_show_as_long_as_they_are_not_too_noisy() {
        let flat = vec![77; CROP * CROP];
        assert!(is_tellable(Label::LowPlanes, &slope(10.0), &slope(10.0)));
        let encrypted: Vec<u8> =
            slope(10.0).iter().zip(noise()).map(|(byte, noise)| byte & 0xf0 | noise & 15).collect();
        assert!(!is_tellable(Label::LowPlanes, &encrypted, &encrypted));
        assert!(is_tellable(Label::HighPlanes, &slope(2.0), &slope(2.0)));
        assert!(!is_tellable(Label::HighPlanes, &slope(10.0), &slope(10.0)));
        for label in [Label::Plain, Label::LowPlanes, Label::HighPlanes] {
            assert!(is_tellable(label, &flat, &flat), "{}", label.name());
        }
        let half: Vec<u8> = noise().iter().enumerate().map(|(at, &byte)| if at % 16 < 8 { 9 } else { byte }).collect();
        assert!(is_tellable(Label::EcbLike, &flat, &half));
    }

    /// By hand: 10 and 30 where 20 were expected, one degree of freedom: (5 + 5 - 1) / sqrt(2).
    #[test]
    fn chi_square_by_hand() {
        let told = chi_square([(10.0, 20.0), (30.0, 20.0)].into_iter());
        assert!((told - 9.0 / 2f64.sqrt()).abs() < 1e-12, "{told}");
    }
}
