//! Epoch after epoch: what is learned from, how fast, and how it goes on after a break.
//!
//! Everything of an epoch is drawn from the seed and the epoch's number: order, crops, keys, dropout. So a checkpoint holds
//! weights, the optimizer's state, how many epochs are done and the seed, and no generator's state beside them; who goes
//! on from it gets the same weights, bit by bit, as who never stopped.

use std::{collections::BTreeMap, f64::consts::PI, sync::Arc};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Classifier, Label,
    data::{self, Sample, sources, sources::Source, weakened::Schemes},
    evaluation::Confusion,
    network::{Architecture, Description, Trainer},
};
use crate::{Error, Result, analysis::random::Random, backend::Backend};

/// Samples of a step.
const BATCH: usize = 16;
/// Steps of the optimizer at its fastest, and the steps until it gets there.
const RATE: f64 = 1e-3;
const WARM_UP: usize = 200;
/// Sources whose samples the input is normalised by at first.
const FIRST: usize = 50;
const FIRST_LINE: &[u8] = b"chaosveil training 2\n";

/// What training depends on, beside the program and the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which network learns.
    pub network: Architecture,
    /// Of everything that is drawn.
    pub seed: u64,
    /// How often every source is seen with every label.
    pub epochs: usize,
    /// Of the sources, all splits.
    pub data_digest: String,
}

/// What an epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean cross-entropy of its steps, in nats.
    pub loss: f64,
    /// Of the validation sources, whose samples are the same each time.
    pub validation_accuracy: f64,
    /// Of the same.
    pub validation_macro_f1: f64,
}

/// Sources by what they are used for.
pub struct Sources {
    /// To learn from.
    pub train: Vec<Source>,
    /// To watch learning.
    pub validation: Vec<Source>,
    /// To judge the result.
    pub test: Vec<Source>,
}

impl Sources {
    /// Of all of them.
    pub fn digest(&self) -> String {
        sources::digest(self.train.iter().chain(&self.validation).chain(&self.test))
    }
}

/// A training between two epochs.
pub struct Training {
    settings: Settings,
    sources: Arc<Sources>,
    backend: Arc<dyn Backend>,
    trainer: Trainer,
    /// One for each epoch that is done.
    pub history: Vec<Epoch>,
}

/// BLAKE3 of all of a checkpoint that follows it, in hexadecimal digits.
fn digest_of(line: &[u8], states: &[u8]) -> String {
    blake3::Hasher::new().update(line).update(states).finalize().to_hex().to_string()
}

/// What stands in a checkpoint in front of the states.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    settings: Settings,
    history: Vec<Epoch>,
    /// Bytes of each of the trainer's states.
    lengths: [usize; 3],
}

impl Training {
    /// A training that is to begin. Samples and steps take `threads` threads; ciphers run on `backend`.
    ///
    /// # Errors
    /// If there are no threads to be had, and those of the ciphers.
    pub fn new(
        settings: Settings,
        sources: Arc<Sources>,
        backend: Arc<dyn Backend>,
        threads: usize,
    ) -> Result<Training> {
        let first = lessons(&sources.train[..sources.train.len().min(FIRST)], 1);
        let first = samples(&sources.train, &first, &settings, "first look", &backend)?;
        let trainer = Trainer::new(settings.network, &first, &mut random(&settings, "weights"), threads)?;
        Ok(Training { settings, sources, backend, trainer, history: Vec::new() })
    }

    /// A training that goes on from a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if it is no checkpoint, a damaged one, or one of other settings or data.
    pub fn resume(
        settings: Settings,
        sources: Arc<Sources>,
        backend: Arc<dyn Backend>,
        threads: usize,
        checkpoint: &[u8],
    ) -> Result<Training> {
        let wrong = |reason: &str| Error::Model(format!("checkpoint: {reason}"));
        let rest = checkpoint.strip_prefix(FIRST_LINE).ok_or_else(|| wrong("it is none of this version"))?;
        let mut lines = rest.splitn(3, |&byte| byte == b'\n');
        let (Some(digest), Some(line), Some(states)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(wrong("it is cut off"));
        };
        if digest != digest_of(line, states).as_bytes() {
            return Err(wrong("it is damaged"));
        }
        let read: Checkpoint = serde_json::from_slice(line).map_err(|error| wrong(&error.to_string()))?;
        if read.settings != settings {
            return Err(wrong("it is of another network, seed, number of epochs or folder of pictures"));
        }
        let mut left = states;
        let mut take = |length: usize| -> Result<Vec<u8>> {
            let (taken, rest) = left.split_at_checked(length).ok_or_else(|| wrong("its lengths do not fit"))?;
            left = rest;
            Ok(taken.to_vec())
        };
        let [network, optimizer, numbers] = read.lengths;
        let trainer = Trainer::resume(settings.network, [take(network)?, take(optimizer)?, take(numbers)?], threads)?;
        Ok(Training { settings, sources, backend, trainer, history: read.history })
    }

    /// What [`Training::resume`] takes.
    ///
    /// # Errors
    /// If the states cannot be recorded.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        let states = self.trainer.state()?;
        let lengths = states.each_ref().map(Vec::len);
        let states = states.concat();
        let checkpoint = Checkpoint { settings: self.settings.clone(), history: self.history.clone(), lengths };
        let line = serde_json::to_string(&checkpoint).map_err(|error| Error::Model(format!("checkpoint: {error}")))?;
        let digest = digest_of(line.as_bytes(), &states);
        Ok([FIRST_LINE, digest.as_bytes(), b"\n", line.as_bytes(), b"\n", &states].concat())
    }

    /// What it was begun with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether no epoch is left.
    pub fn is_done(&self) -> bool {
        self.history.len() >= self.settings.epochs
    }

    /// Steps of an epoch.
    pub fn steps(&self) -> usize {
        (self.sources.train.len() * Label::ALL.len()).div_ceil(BATCH)
    }

    /// Learns from every source with every label, once; tells the loss of each step.
    ///
    /// # Errors
    /// Those of the ciphers.
    pub fn run_epoch(&mut self, mut told: impl FnMut(f64) + Send) -> Result<&Epoch> {
        let (epoch, steps) = (self.history.len(), self.steps());
        let total = (steps * self.settings.epochs) as f64;
        let mut random = random(&self.settings, &format!("epoch {epoch}"));
        let mut order = lessons(&self.sources.train, 1);
        let count = order.len();
        random.draw(&mut order, count);
        let Training { settings, sources, backend, trainer, .. } = self;
        let loss = trainer.install(|trainer| -> Result<f64> {
            let mut sum = 0.0;
            for (number, batch) in order.chunks(BATCH).enumerate() {
                let samples = samples(&sources.train, batch, settings, &format!("epoch {epoch}"), backend)?;
                let step = epoch * steps + number;
                let warmth = ((step + 1) as f64 / WARM_UP as f64).min(1.0);
                let rate = RATE * warmth * (1.0 + (PI * step as f64 / total).cos()) / 2.0;
                let loss = trainer.learn(&samples, rate, &mut random);
                told(loss);
                sum += loss;
            }
            Ok(sum / steps as f64)
        })?;
        let validation = self.evaluate(&self.sources.validation, "validation", 1)?;
        let (validation_accuracy, validation_macro_f1) =
            (validation.confusion.accuracy(), validation.confusion.macro_f1());
        self.history.push(Epoch { loss, validation_accuracy, validation_macro_f1 });
        Ok(&self.history[epoch])
    }

    /// Judges the network by the test sources, each with every label `turns` times.
    ///
    /// # Errors
    /// Those of the ciphers.
    pub fn test(&self, turns: usize) -> Result<Evaluation> {
        self.evaluate(&self.sources.test, "test", turns)
    }

    fn evaluate(&self, sources: &[Source], purpose: &str, turns: usize) -> Result<Evaluation> {
        // The network as it is written: half precision and all.
        let classifier = self.trainer.classifier(self.description(None))?;
        evaluate(&classifier, sources, &self.settings, purpose, turns, &self.backend, |_| ())
    }

    /// The model file of the network as it is now.
    pub fn model(&self, commit: Option<String>) -> Vec<u8> {
        self.trainer.model(self.description(commit))
    }

    fn description(&self, commit: Option<String>) -> Description {
        let Settings { network, seed, epochs, data_digest } = &self.settings;
        Description::new(*network, data_digest.clone(), *seed, *epochs, commit)
    }
}

/// How well a classifier does on sources that it has not seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Evaluation {
    /// Sources that samples were made of.
    pub sources: usize,
    /// What was taken for what.
    pub confusion: Confusion,
    /// Sources of which a plain sample was taken for an encrypted one.
    pub sources_plain_as_encrypted: usize,
    /// Sources of which an encrypted sample was taken for a plain one.
    pub sources_encrypted_as_plain: usize,
    /// By label: samples that were drawn again because they showed nothing of it (see [`data`]).
    pub drawn_again: BTreeMap<&'static str, usize>,
    /// By label, variant and scheme: what samples were taken for, and how many of them.
    pub by_origin: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

/// Judges a classifier by sources, each with every label `turns` times. Samples come from the seed and `purpose`. `told` hears
/// how many more are done, of `sources.len() * turns * Label::ALL.len()`.
///
/// # Errors
/// Those of the ciphers.
pub fn evaluate(
    classifier: &Classifier,
    sources: &[Source],
    settings: &Settings,
    purpose: &str,
    turns: usize,
    backend: &Arc<dyn Backend>,
    mut told: impl FnMut(usize),
) -> Result<Evaluation> {
    let mut evaluation = Evaluation { sources: sources.len(), ..Evaluation::default() };
    // By source: plain as encrypted, encrypted as plain.
    let mut mistaken = vec![[false; 2]; sources.len()];
    for batch in lessons(sources, turns).chunks(BATCH) {
        let samples = samples(sources, batch, settings, purpose, backend)?;
        told(samples.len());
        let crops: Vec<Vec<u8>> = samples.iter().map(|sample| sample.crop.clone()).collect();
        for ((lesson, sample), told) in batch.iter().zip(&samples).zip(classifier.classify_crops(&crops)) {
            let told = told.label();
            *evaluation.drawn_again.entry(sample.label.name()).or_default() += sample.drawn_again;
            evaluation.confusion.add(sample.label, told);
            let origin = format!("{}: {}", sample.label.name(), sample.made_by);
            *evaluation.by_origin.entry(origin).or_default().entry(told.name()).or_default() += 1;
            mistaken[lesson.source][0] |= (sample.label, told) == (Label::Plain, Label::Encrypted);
            mistaken[lesson.source][1] |= (sample.label, told) == (Label::Encrypted, Label::Plain);
        }
    }
    let count = |which: usize| mistaken.iter().filter(|one| one[which]).count();
    (evaluation.sources_plain_as_encrypted, evaluation.sources_encrypted_as_plain) = (count(0), count(1));
    Ok(evaluation)
}

/// A sample that is to be made.
#[derive(Clone, Copy)]
struct Lesson {
    source: usize,
    label: Label,
    turn: usize,
}

fn lessons(sources: &[Source], turns: usize) -> Vec<Lesson> {
    let of_source = |source| (0..turns).flat_map(move |turn| Label::ALL.map(|label| Lesson { source, label, turn }));
    (0..sources.len()).flat_map(of_source).collect()
}

/// Makes the samples of a batch, in the threads that this is called in, each from a supply of its own.
fn samples(
    sources: &[Source],
    batch: &[Lesson],
    settings: &Settings,
    purpose: &str,
    backend: &Arc<dyn Backend>,
) -> Result<Vec<Sample>> {
    let make = |schemes: &mut Schemes, lesson: &Lesson| {
        let Lesson { source, label, turn } = *lesson;
        let mut random = random(settings, &format!("{purpose}, source {source}, {}, turn {turn}", label.name()));
        data::sample(&sources[source].picture, label, &mut random, schemes)
    };
    batch.par_iter().map_init(|| Schemes::new(backend.clone()), make).collect()
}

/// The supply for one purpose of a training.
fn random(settings: &Settings, purpose: &str) -> Random {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&settings.seed.to_le_bytes());
    Random::new(&seed, purpose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::picture::Picture,
        backend::{self, Choice},
    };

    /// Three waves, one for each split.
    fn sources() -> Arc<Sources> {
        let source = |step: usize| {
            let bytes = (0..140 * 130).map(|at| (at % 140 * step / 3 + at / 140) as u8).collect();
            Source { name: format!("{step}.png"), picture: Picture { width: 140, height: 130, channels: 1, bytes } }
        };
        Arc::new(Sources { train: vec![source(1), source(2)], validation: vec![source(4)], test: vec![source(5)] })
    }

    fn backend() -> Arc<dyn Backend> {
        backend::choose(Choice::Portable).expect("portable is everywhere")
    }

    fn settings(seed: u64) -> Settings {
        Settings { network: Architecture::default(), seed, epochs: 2, data_digest: sources().digest() }
    }

    fn trained(seed: u64) -> Vec<u8> {
        let mut training = Training::new(settings(seed), sources(), backend(), 2).expect("threads");
        while !training.is_done() {
            training.run_epoch(|_| ()).expect("learns");
        }
        training.model(None)
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_bit_by_bit_with_a_break_or_without() {
        let model = trained(1);
        assert!(trained(1) == model);
        assert!(trained(2) != model);
        let mut training = Training::new(settings(1), sources(), backend(), 2).expect("threads");
        training.run_epoch(|_| ()).expect("learns");
        let checkpoint = training.checkpoint().expect("recorded");
        let mut resumed = Training::resume(settings(1), sources(), backend(), 2, &checkpoint).expect("ours");
        resumed.run_epoch(|_| ()).expect("learns");
        assert!(resumed.is_done() && resumed.model(None) == model);
    }

    #[test]
    fn fail_bad_checkpoints() {
        let training = Training::new(settings(1), sources(), backend(), 1).expect("threads");
        let good = training.checkpoint().expect("recorded");
        let reason = |settings, file: &[u8]| match Training::resume(settings, sources(), backend(), 1, file) {
            Err(Error::Model(reason)) => reason,
            Err(error) => panic!("another error: {error}"),
            Ok(_) => panic!("a bad checkpoint was taken"),
        };
        assert!(reason(settings(2), &good).contains("another network, seed"));
        let of_description = good.iter().position(|&byte| byte == b'{').expect("JSON") + 30;
        for at in [FIRST_LINE.len(), of_description, good.len() - 1] {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert!(reason(settings(1), &flipped).contains("damaged"), "{at}");
        }
        for length in [0, 10, 40, good.len() - 1] {
            reason(settings(1), &good[..length]);
        }
    }

    /// A few samples again and again: what every network makes of them gets better.
    #[test]
    fn they_learn() {
        for network in Architecture::ALL {
            let settings = Settings { network, ..settings(1) };
            let mut training = Training::new(settings.clone(), sources(), backend(), 1).expect("threads");
            let batch = samples(&sources().train, &lessons(&sources().train, 1), &settings, "few", &backend())
                .expect("encrypts");
            let losses: Vec<f64> = training.trainer.install(|trainer| {
                let mut random = random(&settings, "dropout");
                (0..40).map(|_| trainer.learn(&batch, 1e-3, &mut random)).collect()
            });
            // Knowing nothing of six labels costs ln 6 = 1.79.
            let last = losses[35..].iter().sum::<f64>() / 5.0;
            assert!(last < 0.8 && last < losses[0] / 2.0, "{}: {losses:?}", network.name());
        }
    }
}
