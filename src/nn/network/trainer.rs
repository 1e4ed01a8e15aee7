//! A step of training, and what is kept of it to go on another day.
//!
//! Nothing here draws from a generator of burn's: initial weights and dropout come from [`Random`], so that the same seed
//! gives the same weights bit by bit, whatever else the process does.

use burn::{
    backend::{Autodiff, Flex},
    module::{AutodiffModule, Module, ModuleMapper, Param},
    optim::{AdamW, AdamWConfig, GradientsParams, Optimizer, adaptor::OptimizerAdaptor},
    record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder},
    tensor::{Tensor, TensorData, activation::log_softmax},
};

use super::{
    Classifier, Description, input,
    model::{FEATURES, Network},
    pool,
    weights::{self, ModelFile},
};
use crate::{
    Error, Result,
    analysis::random::Random,
    nn::{
        Label,
        data::Sample,
        preprocessing::{Statistics, planes},
    },
};

/// Share of the features that are dropped (Krizhevsky et al. 2012, section 4.2 drop half of many more).
const DROPPED: f64 = 0.2;

type Training = Autodiff<Flex>;
type Adam = OptimizerAdaptor<AdamW, Network<Training>, Training>;
type Recorded = NamedMpkBytesRecorder<FullPrecisionSettings>;

/// A network that learns.
pub struct Trainer {
    network: Network<Training>,
    statistics: Statistics,
    optimizer: Adam,
    threads: rayon::ThreadPool,
}

impl Trainer {
    /// A network that knows nothing but what `first` samples look like on the whole; its weights are drawn from `random`
    /// (He et al. 2015, equation 10).
    ///
    /// # Errors
    /// If there are no threads to be had.
    pub fn new(first: &[Sample], random: &mut Random, threads: usize) -> Result<Trainer> {
        let network = Network::new(&Default::default()).map(&mut Drawn(random));
        let statistics = Statistics::of(&planes_of(first));
        Ok(Trainer { network, statistics, optimizer: optimizer(), threads: pool(threads)? })
    }

    /// Runs `work` in the threads of this trainer.
    pub fn install<R: Send>(&mut self, work: impl FnOnce(&mut Step<'_>) -> R + Send) -> R {
        let Trainer { network, statistics, optimizer, threads } = self;
        threads.install(|| work(&mut Step { network, statistics, optimizer }))
    }

    /// The network as it is now.
    pub fn classifier(&self, description: Description) -> Result<Classifier> {
        Classifier::from_bytes(&self.model(description), self.threads.current_num_threads())
    }

    /// The model file of the network as it is now.
    pub fn model(&self, description: Description) -> Vec<u8> {
        ModelFile::to_bytes(description, &self.numbers())
    }

    fn numbers(&self) -> Vec<u8> {
        weights::numbers(&self.statistics, &self.network.valid())
    }

    /// Weights in full precision, the optimizer's state, and the numbers of the model, whose statistics count.
    ///
    /// # Errors
    /// If burn cannot record them.
    pub fn state(&self) -> Result<[Vec<u8>; 3]> {
        let failed = |error| Error::Model(format!("its state cannot be recorded: {error}"));
        let recorder = Recorded::default();
        let network =
            Recorder::<Training>::record(&recorder, self.network.clone().into_record(), ()).map_err(failed)?;
        let optimizer = Recorder::<Training>::record(&recorder, self.optimizer.to_record(), ()).map_err(failed)?;
        Ok([network, optimizer, self.numbers()])
    }

    /// A trainer that goes on where `state` was taken.
    ///
    /// # Errors
    /// [`Error::Model`] if it is no state of such a network, or there are no threads to be had.
    pub fn resume([network, adam, numbers]: [Vec<u8>; 3], threads: usize) -> Result<Trainer> {
        let failed = |error| Error::Model(format!("its state cannot be read: {error}"));
        let (device, recorder) = (Default::default(), Recorded::default());
        let record = Recorder::<Training>::load(&recorder, network, &device).map_err(failed)?;
        let network = Network::<Training>::new(&device).load_record(record);
        let record = Recorder::<Training>::load(&recorder, adam, &device).map_err(failed)?;
        let (statistics, _) = weights::fill(&numbers)?;
        Ok(Trainer { network, statistics, optimizer: optimizer().load_record(record), threads: pool(threads)? })
    }
}

fn optimizer() -> Adam {
    AdamWConfig::new().with_weight_decay(1e-3).with_epsilon(1e-8).init()
}

/// A trainer inside its threads.
pub struct Step<'a> {
    network: &'a mut Network<Training>,
    statistics: &'a mut Statistics,
    optimizer: &'a mut Adam,
}

impl Step<'_> {
    /// Learns from a batch; returns its mean cross-entropy, in nats. Dropout is drawn from `random`.
    pub fn learn(&mut self, batch: &[Sample], rate: f64, random: &mut Random) -> f64 {
        let mut numbers = planes_of(batch);
        self.statistics.follow(&Statistics::of(&numbers));
        self.statistics.normalise(&mut numbers);
        let logits = self.network.forward_dropping(input(numbers), dropout(batch.len(), random));
        let loss = cross_entropy(logits, batch);
        let told = loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let gradients = GradientsParams::from_grads(loss.backward(), self.network);
        *self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        told
    }
}

fn planes_of(samples: &[Sample]) -> Vec<f32> {
    samples.iter().flat_map(|sample| planes(&sample.crop)).collect()
}

/// `[N, 64]`: 0 in place of a feature that is dropped, and for the others what keeps the mean.
fn dropout(count: usize, random: &mut Random) -> Tensor<Training, 2> {
    let kept = (1.0 / (1.0 - DROPPED)) as f32;
    let mask = (0..count * FEATURES).map(|_| if random.unit() <= DROPPED { 0.0 } else { kept }).collect();
    Tensor::from_data(TensorData::new::<f32, _>(mask, [count, FEATURES]), &Default::default())
}

/// The mean over the batch of minus the logarithm of what the network gives for the truth.
fn cross_entropy(logits: Tensor<Training, 2>, batch: &[Sample]) -> Tensor<Training, 1> {
    let labels = Label::ALL.len();
    let mut truth = vec![0f32; batch.len() * labels];
    batch.iter().enumerate().for_each(|(at, sample)| truth[at * labels + sample.label.index()] = 1.0);
    let truth = Tensor::from_data(TensorData::new(truth, [batch.len(), labels]), &logits.device());
    (log_softmax(logits, 1) * truth).sum().div_scalar(-(batch.len() as f64))
}

/// Draws kernels and matrices; vectors keep what they are.
struct Drawn<'a>(&'a mut Random);

impl ModuleMapper<Training> for Drawn<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<Training, D>>) -> Param<Tensor<Training, D>> {
        if D == 1 {
            return parameter;
        }
        let shape = parameter.shape();
        // Kernels are [to, from, rows, columns], matrices [from, to].
        let inputs = if D == 2 { shape[0] } else { shape[1..].iter().product() };
        let deviation = (2.0 / inputs as f64).sqrt();
        let numbers = (0..shape.num_elements()).map(|_| (deviation * self.0.normal()) as f32).collect();
        parameter.map(|old| Tensor::from_data(TensorData::new::<f32, _>(numbers, shape), &old.device()).require_grad())
    }
}
