//! Attacks that run: on bare schemes in the style of published ones, and on our profiles as they are used.
//!
//! In: a [`Subject`], a picture and a seed. Out: an [`Outcome`]: rows that say what an attack needs, costs and finds, with
//! chance beside it, and pictures of what it looks like. Everything runs on throw-away keys that come from the seed; the
//! bare schemes exist here alone, and nothing that seals can use them.
//!
//! That an attack fails shows that this attack fails, and no more: confidentiality rests on the AEAD.
//!
//! Read next: [`target`] and [`bare`] (what is attacked), [`chosen_plaintext`], [`known_plaintext`], [`keystream_reuse`];
//! then [`lane`] over [`flat_tile`], [`lorenz_state`], [`lss_state`] and `lattice`.

pub mod bare;
pub mod chosen_plaintext;
pub mod equivalent_key;
pub mod flat_tile;
pub mod keystream_reuse;
pub mod known_plaintext;
pub mod lane;
mod lattice;
pub mod lorenz_state;
pub mod lss_state;
pub mod report;
pub mod scene;
pub mod target;

use std::{ops::RangeInclusive, sync::Arc};

use bare::{BareStage, Logistic};
use report::Outcome;
use target::{Stream, Target};

use super::picture::Picture;
use crate::{Error, Result, backend::Backend, seal::Profile};

/// The attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Attack {
    /// Recovers the equivalent key of a bare scheme from chosen pictures
    ChosenPlaintext,
    /// The same from known pictures
    KnownPlaintext,
    /// Reads a frame whose keystream another one shares
    KeystreamReuse,
    /// Recovers the state of a keystream lane from known or flat content
    Lane,
}

impl Attack {
    /// Every attack, in the order in which they run.
    pub const ALL: [Attack; 4] =
        [Attack::ChosenPlaintext, Attack::KnownPlaintext, Attack::KeystreamReuse, Attack::Lane];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Attack::ChosenPlaintext => chosen_plaintext::NAME,
            Attack::KnownPlaintext => known_plaintext::NAME,
            Attack::KeystreamReuse => keystream_reuse::NAME,
            Attack::Lane => lane::NAME,
        }
    }

    /// Runs it on every target.
    ///
    /// # Errors
    /// What goes wrong with sealing.
    pub fn run(self, subject: &Subject) -> Result<Outcome> {
        match self {
            Attack::ChosenPlaintext => chosen_plaintext::run(subject),
            Attack::KnownPlaintext => known_plaintext::run(subject),
            Attack::KeystreamReuse => keystream_reuse::run(subject),
            Attack::Lane => lane::run(subject),
        }
    }
}

/// Samples of a subject: of fewer, shares say little; of more, sixteen pictures of known plaintext fill the memory.
pub const SAMPLES: RangeInclusive<usize> = 4096..=1 << 26;

/// What attacks are run on, and under which throw-away keys. Each sample of a colour picture is a pixel to the attacks.
pub struct Subject {
    picture: Picture,
    seed: [u8; 32],
    backend: Arc<dyn Backend>,
}

impl Subject {
    /// `picture` is to be read by the attacks; all keys come from `seed`.
    ///
    /// # Errors
    /// [`Error::Geometry`] for a picture with fewer or more than [`SAMPLES`].
    pub fn new(picture: Picture, seed: [u8; 32], backend: Arc<dyn Backend>) -> Result<Subject> {
        let samples = picture.bytes.len();
        match SAMPLES.contains(&samples) {
            true => Ok(Subject { picture, seed, backend }),
            false => Err(Error::Geometry(format!(
                "attacks are run on {} to {} samples, not on {samples}",
                SAMPLES.start(),
                SAMPLES.end()
            ))),
        }
    }

    /// Bare schemes that permute, and the profiles.
    fn permuting_targets(&self) -> Vec<Box<dyn Target>> {
        let stage = BareStage::new(&self.seed, self.backend.clone());
        self.and_profiles(vec![Box::new(stage), Box::new(Logistic::new(&self.seed))])
    }

    /// A bare scheme that only masks, and the profiles.
    fn masking_targets(&self) -> Vec<Box<dyn Target>> {
        self.and_profiles(vec![Box::new(BareStage::xor_only(&self.seed, self.backend.clone()))])
    }

    fn and_profiles(&self, mut targets: Vec<Box<dyn Target>>) -> Vec<Box<dyn Target>> {
        for profile in [Profile::Chaos, Profile::Hardened] {
            targets.push(Box::new(Stream::new(profile, &self.seed, self.backend.clone())));
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Choice, choose};

    fn subject(picture: Picture) -> Result<Subject> {
        Subject::new(picture, [7; 32], choose(Choice::Auto).expect("a backend"))
    }

    fn picture(width: usize, height: usize, channels: usize) -> Picture {
        scene::scene(&Picture { width, height, channels, bytes: Vec::new() }, 99)
    }

    fn outcome(attack: Attack) -> Outcome {
        attack.run(&subject(picture(96, 64, 1)).expect("large enough")).expect("runs")
    }

    /// The targets, and the shares of right pixels, in percent; those that are not broken are all at chance.
    fn told(outcome: &Outcome) -> Vec<(&'static str, Option<f64>)> {
        let share = |row: &report::Row| {
            assert_eq!(row.broken, row.findings[0].pass() == Some(false), "{row:?}");
            row.broken.then_some(row.findings[0].value)
        };
        outcome.rows.iter().map(|row| (row.target, share(row))).collect()
    }

    #[test]
    fn chosen_pictures_break_bare_schemes_alone() {
        let outcome = outcome(Attack::ChosenPlaintext);
        let expected = [("bare", Some(100.0)), ("logistic", Some(100.0)), ("chaos", None), ("hardened", None)];
        assert_eq!(told(&outcome), expected);
        assert_eq!(outcome.panels[2].picture, picture(96, 64, 1));
        assert!(outcome.panels[1].picture != outcome.panels[2].picture);
    }

    #[test]
    fn known_pictures_break_bare_schemes_alone() {
        let told = told(&outcome(Attack::KnownPlaintext));
        assert_eq!(told.len(), 2 * 5 + 2);
        for bare in told[..10].chunks_exact(5) {
            let shares: Vec<f64> = bare.iter().map(|(_, share)| share.expect("broken")).collect();
            assert!(shares.is_sorted() && shares[0] < 50.0 && shares[4] > 99.0, "{bare:?}");
        }
        assert_eq!(told[10..], [("chaos", None), ("hardened", None)]);
    }

    #[test]
    fn reuse_breaks_the_bare_scheme_alone() {
        let outcome = outcome(Attack::KeystreamReuse);
        assert_eq!(told(&outcome), [("bare, XOR only", Some(100.0)), ("chaos", None), ("hardened", None)]);
        let [bare, chaos, hardened] = &outcome.rows[..] else { panic!("three rows") };
        assert!(bare.findings[1..].iter().all(|finding| finding.pass() == Some(false)), "{bare:?}");
        for row in [chaos, hardened] {
            assert!(row.findings.iter().all(|finding| finding.pass() == Some(true)), "{row:?}");
        }
    }

    #[test]
    fn lanes_break_in_chaos_alone() {
        let outcome = outcome(Attack::Lane);
        let broken: Vec<_> = outcome.rows.iter().map(|row| (row.target, row.broken)).collect();
        assert_eq!(broken, [("one lane", true), ("one lane, LSS", true), ("chaos", true), ("hardened", false)]);
        for (row, least) in outcome.rows.iter().zip([95.0, 100.0, 100.0]) {
            assert!(row.findings.iter().all(|finding| finding.samples > 0 && finding.value >= least), "{row:?}");
        }
    }

    #[test]
    fn small_pictures_are_refused() {
        assert!(subject(picture(64, 64, 1)).is_ok() && subject(picture(40, 40, 3)).is_ok());
        assert!(subject(picture(63, 65, 1)).is_err());
    }
}
