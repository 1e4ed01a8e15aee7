//! The network: the only place that knows burn, behind types that do not show it.
//!
//! In: crops. Out: probabilities, and while training a loss. Compiling burn's generics is slow, so nothing else of the crate
//! instantiates them. Read next: `architecture` (which networks there are), `model` (what they have in common), `alexnet` and its
//! peers (the layers), `weights` (the file), `trainer` (a step), `device` (a GPU in place of the processor).
//!
//! burn-flex spreads its work over the rayon pool it is called in: [`Classifier`] and [`Trainer`] have one of their own, of as
//! many threads as they are told, so that they take no thread of a pipeline's.

mod alexnet;
mod architecture;
mod cnn;
#[cfg(feature = "nn-cuda")]
mod cuda;
mod device;
mod mlp;
mod model;
mod recurrent;
mod trainer;
mod weights;

use burn::{
    backend::Flex,
    module::Module,
    tensor::{Tensor, TensorData, activation::softmax, backend::Backend},
};

pub use self::{architecture::Architecture, trainer::Trainer, weights::Description};
use self::{device::Trusted, model::Network, weights::ModelFile};
use super::{
    Label, View,
    preprocessing::{CROP, PLANES, Statistics, planes},
};
use crate::{Error, Result, analysis::picture::Picture};

/// The weights that come with the program, and what they learned from.
pub static EMBEDDED: &[u8] = include_bytes!("../../../models/classifier.model");
/// Most crops along a side of a picture that is larger than one.
const MOST_CROPS: usize = 3;

/// What a picture is taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The mean over the crops of the softmax, by [`Label::index`].
    pub probabilities: [f32; Label::ALL.len()],
}

impl Prediction {
    /// The label of the highest probability.
    pub fn label(&self) -> Label {
        let by_probability = |a: &Label, b: &Label| self.probability(*a).total_cmp(&self.probability(*b));
        Label::ALL.into_iter().max_by(by_probability).unwrap_or(Label::Plain)
    }

    /// What the network gives for a label, between 0 and 1; no calibrated chance of being right.
    pub fn probability(&self, label: Label) -> f32 {
        self.probabilities[label.index()]
    }

    /// That of [`Prediction::label`].
    pub fn confidence(&self) -> f32 {
        self.probability(self.label())
    }
}

/// A trained network.
pub struct Classifier {
    network: Network<Flex>,
    statistics: Statistics,
    description: Description,
    threads: rayon::ThreadPool,
    /// Asked in place of the processor.
    device: Option<Trusted>,
}

impl Classifier {
    /// The classifier that comes with the program, run by `threads` threads.
    ///
    /// # Errors
    /// If there are no threads to be had.
    pub fn embedded(threads: usize) -> Result<Classifier> {
        Classifier::from_bytes(EMBEDDED, threads)
    }

    /// Whether a file says that it is a model of ours, of whatever version.
    pub fn is_model(file: &[u8]) -> bool {
        file.starts_with(weights::KIND)
    }

    /// The classifier of a model file, as [`Trainer::model`] makes it.
    ///
    /// # Errors
    /// [`Error::Model`] if it is none, of another version, or damaged.
    pub fn from_bytes(file: &[u8], threads: usize) -> Result<Classifier> {
        let ModelFile { description, weights } = ModelFile::read(file)?;
        let (statistics, network) = weights::fill(description.network, &weights, &Default::default())?;
        Ok(Classifier { network, statistics, description, threads: pool(threads)?, device: None })
    }

    /// What is said of it in its file.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Numbers that it has learned.
    pub fn parameters(&self) -> usize {
        self.network.num_params()
    }

    /// Classifies a picture by one crop, or the mean of up to nine that lie evenly over it; of a picture in colour each
    /// crop shows another channel.
    ///
    /// # Errors
    /// [`Error::Geometry`] if it is smaller than a crop: pictures are never resized.
    pub fn classify(&self, picture: &Picture) -> Result<Prediction> {
        let places = crop_places(picture.width, picture.height)?;
        let channels = picture.channels;
        let crops: Vec<Vec<u8>> = (0..places.len().max(channels))
            .map(|number| crop(picture, places[number % places.len()], number % channels))
            .collect();
        let told = self.classify_crops(&crops);
        let mean = |index: usize| told.iter().map(|one| one.probabilities[index]).sum::<f32>() / told.len() as f32;
        Ok(Prediction { probabilities: std::array::from_fn(mean) })
    }

    /// Classifies crops of `CROP * CROP` samples of one channel.
    ///
    /// # Panics
    /// If one has another size.
    pub fn classify_crops(&self, crops: &[Vec<u8>]) -> Vec<Prediction> {
        let planes = self.planes(crops);
        let on_device = self.device.as_ref().and_then(|device| device.probabilities(&planes));
        let numbers = on_device.unwrap_or_else(|| self.on_processor(planes));
        let of = |row: &[f32]| Prediction { probabilities: std::array::from_fn(|index| row[index]) };
        numbers.chunks_exact(Label::ALL.len()).map(of).collect()
    }

    /// Normalised planes, `[crops, PLANES, CROP, CROP]`.
    fn planes(&self, crops: &[Vec<u8>]) -> Vec<f32> {
        let mut numbers: Vec<f32> = crops.iter().flat_map(|crop| planes(crop)).collect();
        self.statistics.normalise(&mut numbers);
        numbers
    }

    fn on_processor(&self, planes: Vec<f32>) -> Vec<f32> {
        self.threads.install(|| probabilities(&self.network, planes))
    }
}

/// Softmax of the logits, `[crops, 6]`, of normalised planes.
fn probabilities<B: Backend>(network: &Network<B>, planes: Vec<f32>) -> Vec<f32> {
    softmax(network.forward(input(planes)), 1).into_data().iter().collect()
}

/// Where the crops of a picture begin, as column and row.
///
/// # Errors
/// [`Error::Geometry`] if it is smaller than one: pictures are never resized.
pub fn crop_places(width: usize, height: usize) -> Result<Vec<(usize, usize)>> {
    View::FirstChannel { side: CROP }.check(width, height)?;
    Ok(places(height).into_iter().flat_map(|top| places(width).into_iter().map(move |left| (left, top))).collect())
}

/// Where crops begin along a side: evenly, the first and the last at the edges.
fn places(side: usize) -> Vec<usize> {
    let count = (side / CROP).clamp(1, MOST_CROPS);
    (0..count).map(|i| if count > 1 { i * (side - CROP) / (count - 1) } else { (side - CROP) / 2 }).collect()
}

/// One channel of a square of a picture; the picture is at least as large.
pub fn crop(picture: &Picture, (left, top): (usize, usize), channel: usize) -> Vec<u8> {
    let (width, _, channels) = picture.shape();
    let rows = picture.bytes.chunks_exact(width * channels).skip(top).take(CROP);
    rows.flat_map(|row| row[left * channels..(left + CROP) * channels].iter().skip(channel).step_by(channels))
        .copied()
        .collect()
}

/// `[crops, PLANES, CROP, CROP]`.
fn input<B: Backend>(numbers: Vec<f32>) -> Tensor<B, 4> {
    let crops = numbers.len() / (PLANES * CROP * CROP);
    Tensor::from_data(TensorData::new(numbers, [crops, PLANES, CROP, CROP]), &Default::default())
}

fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).thread_name(|_| "classifier".into()).build();
    pool.map_err(|error| Error::Io { what: "threads of the classifier".into(), source: std::io::Error::other(error) })
}

#[cfg(test)]
mod tests;
