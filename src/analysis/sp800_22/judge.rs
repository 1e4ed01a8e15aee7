//! What the P-values of many sequences say together: SP 800-22 Rev. 1a, section 4.2.
//!
//! Of one sequence, a P-value below alpha speaks against it. Of more, it is the proportion of those that pass, and, from 55
//! on, whether P-values are uniformly distributed.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{PValue, TESTS, Test, special::igamc};
use crate::analysis::finding::Finding;

/// Uniformity is rejected below this P-value (section 4.2.2).
pub const UNIFORM: f64 = 1e-4;
/// Sequences without which uniformity is not judged (section 4.2.2).
pub const UNIFORM_SEQUENCES: usize = 55;

/// The P-values that one test gives under one label, of all sequences.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The test.
    pub test: &'static str,
    /// The label.
    pub label: String,
    /// P-values of the sequences that allow one.
    pub p_values: Vec<f64>,
}

/// What all tests say of one sequence: the P-values of each.
pub type Verdicts = Vec<Vec<PValue>>;

/// Runs every test on a sequence.
pub fn run_all(bits: &super::Bits) -> Verdicts {
    TESTS.iter().map(|test| test.run(bits)).collect()
}

/// The tests for which sequences of `bits` are too short.
pub fn left_out(bits: usize) -> impl Iterator<Item = &'static Test> {
    TESTS.iter().filter(move |test| bits < test.minimum_bits)
}

/// Gathers what belongs together: all sequences are equally long.
pub fn judge(sequences: Vec<Verdicts>) -> Vec<Judgement> {
    let mut judgements: Vec<Judgement> = Vec::new();
    for (number, verdicts) in sequences.into_iter().enumerate() {
        let p_values =
            TESTS.iter().zip(verdicts).flat_map(|(test, p_values)| p_values.into_iter().map(|p| (test.name, p)));
        for (place, (test, PValue { label, value })) in p_values.enumerate() {
            if number == 0 {
                judgements.push(Judgement { test, label, p_values: Vec::new() });
            }
            judgements[place].p_values.extend(value);
        }
    }
    judgements
}

impl Judgement {
    /// Test and label.
    pub fn name(&self) -> String {
        format!("{} {}", self.test, self.label).trim_end().to_owned()
    }

    /// The one P-value, or the proportion of those that are at least `alpha`, within three standard deviations of its
    /// expectation (section 4.2.1), and the P-value of their uniformity. None where no sequence allows any.
    pub fn findings(&self, alpha: f64) -> Vec<Finding> {
        match self.p_values[..] {
            [] => Vec::new(),
            [p_value] => vec![at_least(alpha, Finding::plain("P-value", "all", p_value, 1))],
            _ => [Some(self.proportion(alpha)), self.uniformity()].into_iter().flatten().collect(),
        }
    }

    /// How many of the findings would fail by chance on average, were all sequences ideal.
    pub fn expected_failures(&self, alpha: f64) -> f64 {
        match self.p_values.len() {
            0 => 0.0,
            1 => alpha,
            samples => {
                let uniformity = if samples >= UNIFORM_SEQUENCES { UNIFORM } else { 0.0 };
                chance_outside(samples, alpha) + uniformity
            }
        }
    }

    fn proportion(&self, alpha: f64) -> Finding {
        let samples = self.p_values.len();
        let passed = self.p_values.iter().filter(|p_value| **p_value >= alpha).count();
        Finding::plain("proportion", "all", passed as f64 / samples as f64, samples as u64)
            .against(1.0 - alpha, proportion_bounds(samples, alpha))
    }

    fn uniformity(&self) -> Option<Finding> {
        let samples = self.p_values.len();
        let finding = || Finding::plain("uniformity", "all", uniformity(&self.p_values), samples as u64);
        (samples >= UNIFORM_SEQUENCES).then(|| at_least(UNIFORM, finding()))
    }
}

/// No P-value is more ideal than another; below this one it is rejected.
fn at_least(lowest: f64, p_value: Finding) -> Finding {
    Finding { critical: [Some(lowest), None], ..p_value }
}

/// `1 - alpha` and three standard deviations to both sides, as far as a proportion can be there.
fn proportion_bounds(samples: usize, alpha: f64) -> [Option<f64>; 2] {
    let width = 3.0 * (alpha * (1.0 - alpha) / samples as f64).sqrt();
    let [lowest, highest] = [1.0 - alpha - width, 1.0 - alpha + width];
    [(lowest > 0.0).then_some(lowest), (highest < 1.0).then_some(highest)]
}

/// Probability that the proportion of ideal sequences lies outside its bounds.
fn chance_outside(samples: usize, alpha: f64) -> f64 {
    let [lowest, highest] = proportion_bounds(samples, alpha);
    let passes = Binomial::new(1.0 - alpha, samples as u64).expect("alpha is a probability");
    let n = samples as f64;
    // The least number that is not too low, and the largest that is not too high.
    let below = lowest.map(|lowest| (lowest * n).ceil() as u64).filter(|least| *least > 0);
    let below = below.map_or(0.0, |least| passes.cdf(least - 1));
    below + highest.map_or(0.0, |highest| passes.sf((highest * n).floor() as u64))
}

/// P-value_T: chi-square of ten equal classes (section 4.2.2).
pub fn uniformity(p_values: &[f64]) -> f64 {
    let mut counts = [0u32; 10];
    for p_value in p_values {
        counts[((10.0 * p_value) as usize).min(9)] += 1;
    }
    let expected = p_values.len() as f64 / 10.0;
    let statistic: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    igamc(9.0 / 2.0, statistic / 2.0)
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::{super::Bits, *};

    /// Section 4.2.1 prints 0.9805607 for 1000 sequences; the design's .9602 is that for 100.
    #[test]
    fn bounds_of_proportions_are_the_published_ones() {
        let [lowest, highest] = proportion_bounds(1000, 0.01);
        assert!((lowest.expect("a bound") - 0.9805607).abs() < 1e-6, "{lowest:?}");
        assert!((highest.expect("a bound") - 0.9994393).abs() < 1e-6, "{highest:?}");
        let [lowest, highest] = proportion_bounds(100, 0.01);
        assert!((lowest.expect("a bound") - 0.9601504).abs() < 1e-6 && highest.is_none());
        assert_eq!(proportion_bounds(2, 0.5), [None, None]);
    }

    /// `scipy.stats.binom`: `cdf(96, 100, 0.99)`, and `cdf(980, 1000, 0.99) + sf(999, 1000, 0.99)`.
    #[test]
    fn chances_are_binomial() {
        for (samples, expected) in [(100, 0.018374036444649716), (1000, 0.0033315310351381467)] {
            let found = chance_outside(samples, 0.01);
            assert!((found - expected).abs() < 1e-9, "{samples}: {found}");
        }
    }

    /// By hand: 100 P-values, 20 of them in the first class and none in the last: chi-square 20, and
    /// `scipy.special.gammaincc(4.5, 10)`.
    #[test]
    fn uniformity_by_hand() {
        let p_values: Vec<f64> = (0..100).map(|i| f64::from(i / 10 % 9) / 10.0 + 0.05).collect();
        assert!((uniformity(&p_values) - 0.01791240452984338).abs() < 1e-9, "{}", uniformity(&p_values));
        assert_eq!(uniformity(&[1.0, 0.0, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85]), 1.0);
    }

    #[test]
    fn one_sequence_is_judged_by_its_p_value() {
        let judgement = |p_values| Judgement { test: "serial", label: "first difference".into(), p_values };
        let findings = judgement(vec![0.009]).findings(0.01);
        assert_eq!((findings.len(), findings[0].name, findings[0].pass()), (1, "P-value", Some(false)));
        assert_eq!(judgement(vec![0.5; 54]).findings(0.01).len(), 1);
        assert_eq!(judgement(vec![0.5; 55]).findings(0.01)[1].pass(), Some(false));
        assert!(judgement(Vec::new()).findings(0.01).is_empty());
    }

    /// 100 sequences of a million bits of AES-256-CTR, of which all that these tests may find is chance. The classes of
    /// discrete statistics are the only reason why P-values are not quite uniform.
    #[test]
    fn of_ideal_sequences_so_many_fail_as_alpha_says() {
        let sequences: Vec<Verdicts> =
            (0..100u64).into_par_iter().map(|number| run_all(&ideal(number, 1_000_000))).collect();
        let judgements = judge(sequences);
        assert_eq!(judgements.len(), 188);
        let verdicts: Vec<Finding> = judgements.iter().flat_map(|judgement| judgement.findings(0.01)).collect();
        assert_eq!(verdicts.len(), 376);
        let failed: Vec<&Finding> = verdicts.iter().filter(|finding| finding.pass() == Some(false)).collect();
        // 3.5 on average; templates are almost independent, so that 10 and more have a probability of half a percent.
        assert!(failed.len() < 10, "{failed:?}");
        let p_values: Vec<f64> = judgements.iter().flat_map(|judgement| judgement.p_values.iter().copied()).collect();
        for alpha in [0.001, 0.01, 0.05, 0.5] {
            let share = p_values.iter().filter(|p_value| **p_value < alpha).count() as f64 / p_values.len() as f64;
            // Were they independent, this would be five standard deviations.
            let width = 5.0 * (alpha * (1.0 - alpha) / p_values.len() as f64).sqrt();
            assert!((share - alpha).abs() < width, "{share} of P-values below {alpha}");
        }
    }

    /// A sequence of zeros under AES-256-CTR, with the number of the sequence as its key.
    fn ideal(number: u64, len: usize) -> Bits {
        use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        let key = UnboundCipherKey::new(&AES_256, &key).and_then(EncryptingKey::ctr).expect("a key of 32 bytes");
        let mut bytes = vec![0; len.div_ceil(8)];
        let counter = EncryptionContext::Iv128([0; 16].into());
        key.less_safe_encrypt(&mut bytes, counter).expect("encrypts");
        Bits::from_bytes(&bytes).first(len)
    }
}
