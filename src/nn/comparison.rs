//! The comparison of the paper: its network and five peers, with the same samples and as many steps.
//!
//! In: finished runs, each of a network and a seed. Out: for each network mean and interval of its figures over the seeds, and
//! how far the improved AlexNet is ahead of it.

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

use super::{
    Architecture, Classifier,
    evaluation::Confusion,
    preprocessing::CROP,
    training::{Epoch, Settings},
};
use crate::analysis::{quantile, random::Random};

/// What Liu et al. 2022 report of their network, on their own pictures and labels: accuracy, and how far it is ahead of the
/// next of the same five peers.
pub const PUBLISHED_ACCURACY: f64 = 0.9437;
/// In the same units: 3.05 points.
pub const PUBLISHED_LEAD: f64 = 0.0305;
/// Most crops that a network is tested by.
pub const MOST_TEST_CROPS: usize = 2000;

const CONFIDENCE: f64 = 0.95;
/// Crops of which the median time is taken, after some that warm up.
const TIMED: usize = 101;
const WARM_UP: usize = 10;

/// A network that has learned from one seed, and how well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What it depends on.
    pub settings: Settings,
    /// Crops of each test source with each label.
    pub test_turns: usize,
    /// One for each epoch.
    pub history: Vec<Epoch>,
    /// On the test sources.
    pub confusion: Confusion,
    /// Numbers that it has learned.
    pub parameters: usize,
    /// Median time of the processor for one crop by itself on one thread, preprocessing included.
    pub ms_per_crop: f64,
}

/// Mean and interval over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// Half the width of the mean's interval of confidence 95 %, by Student's distribution; none of a single value.
    pub half_width: Option<f64>,
}

impl Interval {
    /// Of values that are not none.
    fn of(values: &[f64]) -> Interval {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let half_width = (values.len() > 1).then(|| {
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
            quantile::student(n - 1.0, (1.0 + CONFIDENCE) / 2.0) * (variance / n).sqrt()
        });
        Interval { mean, half_width }
    }
}

/// A network's figures over the seeds; precision, recall and F1 are means of the labels'.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Which network.
    pub network: Architecture,
    /// Seeds.
    pub seeds: usize,
    /// Share of crops that were told right.
    pub accuracy: Interval,
    /// Macro-precision.
    pub precision: Interval,
    /// Macro-recall.
    pub recall: Interval,
    /// Macro-F1.
    pub f1: Interval,
    /// Accuracy of the improved AlexNet less this one's, seed by seed; none of itself, or where it did not run.
    pub behind_improved_alexnet: Option<Interval>,
    /// Numbers that it has learned.
    pub parameters: usize,
    /// Median over the seeds of [`Run::ms_per_crop`].
    pub ms_per_crop: f64,
    /// Of all seeds together.
    pub confusion: Confusion,
}

/// A summary of each network that has runs, in the order of [`Architecture::ALL`]. Runs of the same network differ in their
/// seed.
pub fn summaries(runs: &[Run]) -> Vec<Summary> {
    Architecture::ALL.into_iter().filter_map(|network| summary(network, runs)).collect()
}

fn summary(network: Architecture, runs: &[Run]) -> Option<Summary> {
    let own: Vec<&Run> = runs.iter().filter(|run| run.settings.network == network).collect();
    let first = own.first()?;
    let over_seeds =
        |of: fn(&Confusion) -> f64| Interval::of(&own.iter().map(|run| of(&run.confusion)).collect::<Vec<f64>>());
    let behind: Vec<f64> = own.iter().filter_map(|run| behind(run, runs)).collect();
    let mut times: Vec<f64> = own.iter().map(|run| run.ms_per_crop).collect();
    let mut confusion = Confusion::default();
    own.iter().for_each(|run| confusion.add_all(&run.confusion));
    Some(Summary {
        network,
        seeds: own.len(),
        accuracy: over_seeds(Confusion::accuracy),
        precision: over_seeds(Confusion::macro_precision),
        recall: over_seeds(Confusion::macro_recall),
        f1: over_seeds(Confusion::macro_f1),
        behind_improved_alexnet: (!behind.is_empty()).then(|| Interval::of(&behind)),
        parameters: first.parameters,
        ms_per_crop: median(&mut times),
        confusion,
    })
}

/// The improved AlexNet's accuracy of the same seed less that of a run.
fn behind(run: &Run, runs: &[Run]) -> Option<f64> {
    let Settings { network, seed, .. } = run.settings;
    let improved =
        |other: &&Run| other.settings.network == Architecture::ImprovedAlexNet && other.settings.seed == seed;
    let other = runs.iter().find(improved).filter(|_| network != Architecture::ImprovedAlexNet)?;
    Some(other.confusion.accuracy() - run.confusion.accuracy())
}

/// Median time of the processor in milliseconds for one crop by itself: that of a classifier of one thread, while this
/// process does nothing else and whatever other programs do. The crop is noise, which takes as long as a picture.
pub fn ms_per_crop(classifier: &Classifier) -> f64 {
    let mut crop = vec![0; CROP * CROP];
    Random::new(&[0; 32], "timing").fill(&mut crop);
    let crops = [crop];
    let time = |_| {
        let start = ProcessTime::now();
        std::hint::black_box(classifier.classify_crops(&crops));
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..WARM_UP).for_each(|number| _ = time(number));
    median(&mut (0..TIMED).map(time).collect::<Vec<f64>>())
}

/// Of values that are not none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Label;

    /// `right` of 10 crops are told right, the others taken for permuted.
    fn run(network: Architecture, seed: u64, right: u64, ms_per_crop: f64) -> Run {
        let settings = Settings { network, seed, epochs: 1, data_digest: String::new() };
        let mut confusion = Confusion::default();
        (0..right).for_each(|_| confusion.add(Label::Plain, Label::Plain));
        (right..10).for_each(|_| confusion.add(Label::Plain, Label::Permuted));
        Run { settings, test_turns: 1, history: Vec::new(), confusion, parameters: 7, ms_per_crop }
    }

    /// By hand: 0.8, 0.9 and 1 have mean 0.9 and deviation 0.1; Student's t for two degrees of freedom is 4.3027, so half the
    /// interval is 4.3027 * 0.1 / sqrt(3) = 0.24841. Seed by seed the peer is 0.3, 0.3 and 0.6 behind: mean 0.4, deviation
    /// sqrt(0.03).
    #[test]
    fn figures_by_hand() {
        use Architecture::{Cnn, ImprovedAlexNet};
        let improved = [8, 9, 10].into_iter().zip([1.0, 5.0, 2.0]);
        let improved = (1..).zip(improved).map(|(seed, (right, ms))| run(ImprovedAlexNet, seed, right, ms));
        // Another order than that of the seeds.
        let peer = [(3, 4), (1, 5), (2, 6)].map(|(seed, right)| run(Cnn, seed, right, 1.0));
        let summaries = summaries(&peer.into_iter().chain(improved).collect::<Vec<Run>>());
        let near = |told: Interval, mean: f64, half_width: f64| {
            (told.mean - mean).abs() < 1e-9 && (told.half_width.expect("three seeds") - half_width).abs() < 1e-4
        };
        let [improved, peer] = &summaries[..] else { panic!("two networks: {summaries:?}") };
        assert_eq!((improved.network, peer.network, improved.seeds), (ImprovedAlexNet, Cnn, 3));
        assert!(near(improved.accuracy, 0.9, 0.24841), "{improved:?}");
        assert!(
            near(peer.behind_improved_alexnet.expect("both ran"), 0.4, 4.3027 * (0.03f64 / 3.0).sqrt()),
            "{peer:?}"
        );
        assert_eq!((improved.behind_improved_alexnet, improved.ms_per_crop, improved.parameters), (None, 2.0, 7));
        assert_eq!((improved.confusion.samples(), peer.confusion.counts[0][0]), (30, 15));
    }

    #[test]
    fn one_seed_has_no_interval() {
        let summaries = summaries(&[run(Architecture::Mlp, 1, 5, 1.0)]);
        assert_eq!(summaries[0].accuracy, Interval { mean: 0.5, half_width: None });
        assert_eq!(summaries[0].behind_improved_alexnet, None, "the improved AlexNet did not run");
    }
}
