//! Judges ciphers and keystreams: what a figure is, from how many samples, and what it would ideally be.
//!
//! In: pictures, bytes and words. Out: statistics with sample size, ideal and critical values; never a grade. Good
//! statistics are necessary for a cipher, and prove nothing.
//!
//! ```text
//!  picture -> cipher (ours, controls, anybody's) -> suite -> findings -> table, JSON, report
//!  keystream, any bytes -> sp800_22, difference, bits
//! ```
//!
//! Read next: [`suite`] (every metric over one picture and one cipher), [`finding`] (what is told of each), [`cipher`] (what
//! is judged), then one file for each metric. [`keystream`] is the chaotic stage's output for external suites, [`bits`] and
//! [`difference`] tell weak variants of the maps from ours, [`sp800_22`] are NIST's tests of randomness.

pub mod attack;
pub mod bits;
pub mod cipher;
pub mod compression;
pub mod correlation;
pub mod difference;
pub mod entropy;
pub mod finding;
pub mod histogram;
pub mod keystream;
pub mod local_entropy;
pub mod mse;
pub mod nc;
pub mod npcr;
pub mod picture;
pub mod plainness;
pub mod quantile;
pub mod random;
pub mod report;
pub mod robustness;
pub mod sp800_22;
pub mod ssim;
pub mod suite;
pub mod summary;
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
