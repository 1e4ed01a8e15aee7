//! A step of training, and what is kept of it to go on another day.
//!
//! Nothing here draws from a generator of burn's: initial weights and dropout come from [`Random`], so that the same seed
//! gives the same weights bit by bit, whatever else the process does.

use burn::{
    backend::{Autodiff, Flex},
    grad_clipping::GradientClippingConfig,
    module::{AutodiffModule, Module, ModuleMapper, Param},
    optim::{AdamW, AdamWConfig, GradientsParams, Optimizer, adaptor::OptimizerAdaptor},
    record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder},
    tensor::{Tensor, TensorData, activation::log_softmax},
};

use super::{
    Architecture, Classifier, Description, input,
    model::Network,
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
    /// A network that knows nothing but what `first` samples look like on the whole; its weights are drawn from `random`.
    ///
    /// # Errors
    /// If there are no threads to be had.
    pub fn new(architecture: Architecture, first: &[Sample], random: &mut Random, threads: usize) -> Result<Trainer> {
        let network = Network::new(architecture, &Default::default());
        let gain = gain(&network);
        let network = network.map(&mut Drawn { random, gain });
        let statistics = Statistics::of(&planes_of(first));
        Ok(Trainer { optimizer: optimizer(&network), network, statistics, threads: pool(threads)? })
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
    pub fn resume(
        architecture: Architecture,
        [network, adam, numbers]: [Vec<u8>; 3],
        threads: usize,
    ) -> Result<Trainer> {
        let failed = |error| Error::Model(format!("its state cannot be read: {error}"));
        let (device, recorder) = (Default::default(), Recorded::default());
        let record = Recorder::<Training>::load(&recorder, network, &device).map_err(failed)?;
        let network = Network::<Training>::new(architecture, &device).load_record(record);
        let record = Recorder::<Training>::load(&recorder, adam, &device).map_err(failed)?;
        let (statistics, _) = weights::fill::<Flex>(architecture, &numbers, &device)?;
        let optimizer = optimizer(&network).load_record(record);
        Ok(Trainer { network, statistics, optimizer, threads: pool(threads)? })
    }
}

/// Over many rows gradients of a recurrent network grow without bound; they are cut (Pascanu et al. 2013, algorithm 1).
fn optimizer(network: &Network<Training>) -> Adam {
    let clipping = network.is_recurrent().then_some(GradientClippingConfig::Norm(1.0));
    AdamWConfig::new().with_weight_decay(1e-3).with_epsilon(1e-8).with_grad_clipping(clipping).init()
}

/// Variance of what a layer makes of inputs of variance 1, when its weights are drawn: 2 in front of a rectifier (He et al.
/// 2015, equation 10), 1 in front of what is a line around 0 (LeCun et al. 1998, section 4.6).
fn gain(network: &Network<Training>) -> f64 {
    if network.is_recurrent() { 1.0 } else { 2.0 }
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
        let dropout = dropout([batch.len(), self.network.features()], random);
        let logits = self.network.forward_dropping(input(numbers), dropout);
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

/// Of a shape `[N, features]`: 0 in place of a feature that is dropped, and for the others what keeps the mean.
fn dropout(shape: [usize; 2], random: &mut Random) -> Tensor<Training, 2> {
    let kept = (1.0 / (1.0 - DROPPED)) as f32;
    let mask = (0..shape[0] * shape[1]).map(|_| if random.unit() <= DROPPED { 0.0 } else { kept }).collect();
    Tensor::from_data(TensorData::new::<f32, _>(mask, shape), &Default::default())
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
struct Drawn<'a> {
    random: &'a mut Random,
    gain: f64,
}

impl ModuleMapper<Training> for Drawn<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<Training, D>>) -> Param<Tensor<Training, D>> {
        if D == 1 {
            return parameter;
        }
        let shape = parameter.shape();
        // Kernels are [to, from, rows, columns], matrices [from, to].
        let inputs = if D == 2 { shape[0] } else { shape[1..].iter().product() };
        let deviation = (self.gain / inputs as f64).sqrt();
        let numbers = (0..shape.num_elements()).map(|_| (deviation * self.random.normal()) as f32).collect();
        parameter.map(|old| Tensor::from_data(TensorData::new::<f32, _>(numbers, shape), &old.device()).require_grad())
    }
}
