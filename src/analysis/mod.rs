//! Judges ciphers and keystreams: what a figure is, from how many samples, and what it would ideally be.
//!
//! In: bytes and words. Out: statistics with their standard scores; never a grade. Read next: [`keystream`] (the chaotic
//! stage's output for external suites), [`bits`] and [`difference`] (what tells weak variants of the maps from ours).

pub mod attack;
pub mod bits;
pub mod difference;
pub mod finding;
pub mod keystream;
pub mod npcr;
pub mod quantile;
pub mod uaci;

/// A statistic's largest standard score over the places where it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worst {
    /// The score: normally distributed with variance 1 where the ideal holds, for large samples.
    pub z: f64,
    /// Bit, or order of the difference.
    pub place: u32,
    /// Samples at that place.
    pub samples: u64,
}

impl Worst {
    fn of(scores: impl Iterator<Item = Worst>) -> Worst {
        scores.fold(Worst::default(), |worst, score| if score.z.abs() > worst.z.abs() { score } else { worst })
    }
}
