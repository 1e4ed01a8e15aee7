//! What is told of an attack: rows for a table, and pictures.

use std::time::Duration;

use serde::Serialize;

use crate::analysis::{
    finding::{Finding, figure},
    picture::Picture,
    quantile,
};

/// Values of a sample.
const VALUES: f64 = 256.0;
/// Name of the share of samples that an attack read as they are.
pub const RIGHT: &str = "right";
/// Share of runs in which chance alone would lie outside the critical values.
pub const ALPHA: f64 = 0.001;

/// An attack on a target, once.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The attack.
    pub attack: &'static str,
    /// What it was run on.
    pub target: &'static str,
    /// What the attacker must have.
    pub needs: String,
    /// What was done for it.
    pub work: String,
    /// Whether more was found than chance gives.
    pub broken: bool,
    /// What came of it.
    pub result: String,
    /// Why.
    pub reason: String,
    /// Time of the attack, with the target's encryption where it is the attack that chooses the pictures.
    pub seconds: f64,
    /// Figures.
    pub findings: Vec<Finding>,
}

impl Row {
    /// A row that is judged by its first finding: more than chance is broken.
    pub fn judged(attack: &'static str, target: &'static str, findings: Vec<Finding>, time: Duration) -> Row {
        let first = findings.first();
        Row {
            attack,
            target,
            needs: String::new(),
            work: String::new(),
            broken: first.is_some_and(exceeds),
            result: first.map(tell).unwrap_or_default(),
            reason: String::new(),
            seconds: time.as_secs_f64(),
            findings,
        }
    }
}

/// Whether a figure lies above its upper critical value.
fn exceeds(finding: &Finding) -> bool {
    finding.critical[1].is_some_and(|highest| finding.value > highest)
}

/// A figure in percent of so many samples.
fn tell(finding: &Finding) -> String {
    format!("{} % of {} {}", figure(finding.value), finding.samples, finding.name)
}

/// The share of equal samples, in percent: a guess without knowledge has `1/256` right, with the binomial distribution's
/// standard deviation.
pub fn share_right(found: &[u8], truth: &[u8]) -> Finding {
    let right = found.iter().zip(truth).filter(|(found, truth)| found == truth).count();
    let n = truth.len() as f64;
    let chance = 1.0 / VALUES;
    let width = quantile::normal(1.0 - ALPHA / 2.0) * (chance * (1.0 - chance) / n).sqrt();
    Finding::plain(RIGHT, "all", 100.0 * right as f64 / n, truth.len() as u64)
        .against(100.0 * chance, [Some(100.0 * (chance - width)), Some(100.0 * (chance + width))])
}

/// A picture to show.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it is.
    pub title: &'static str,
    /// The picture.
    pub picture: Picture,
    /// What is to be said of it.
    pub caption: String,
}

/// What an attack gives.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// One for each target and amount of knowledge.
    pub rows: Vec<Row>,
    /// What it looks like where it works.
    pub panels: Vec<Panel>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_by_hand() {
        let mut found = vec![1; 10_000];
        found[..40].fill(0);
        let finding = share_right(&found, &[0; 10_000]);
        assert_eq!((finding.value, finding.samples, finding.ideal), (0.4, 10_000, Some(0.390625)));
        // 3.2905 sqrt(p (1 - p) / n) with p = 1/256: 3.2905 * 6.2378e-4 = 0.20526 %.
        let [lowest, highest] = finding.critical.map(|bound| bound.expect("a bound"));
        assert!((lowest - 0.18537).abs() < 2e-5 && (highest - 0.59588).abs() < 2e-5, "{lowest} {highest}");
        assert_eq!(finding.pass(), Some(true));
    }

    #[test]
    fn more_than_chance_is_broken() {
        let row = |found: &[u8]| Row::judged("a", "b", vec![share_right(found, &[0; 10_000])], Duration::ZERO);
        let mut found = vec![1; 10_000];
        found[..59].fill(0);
        assert!(!row(&found).broken);
        found[..60].fill(0);
        assert!(row(&found).broken);
        // Fewer than chance gives are no break.
        assert!(!row(&[1; 10_000]).broken);
    }
}
