//! The model file: a line that says what it is, a line of JSON that describes the network, and its numbers.
//!
//! ```text
//!  the line `chaosveil classifier 2`
//!  the line {"labels": [...], "crop": 128, ..., "digest": BLAKE3 of this line with an empty one, and of the numbers}
//!  means and variances of the planes, in single precision
//!  kernels and matrices in half precision, offsets in single, in the order of the layers
//! ```
//!
//! Shapes stand nowhere: they are those of the named [`Architecture`], and a file of another length is refused. All numbers
//! are little-endian.

use burn::{
    backend::Flex,
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData, backend::Backend, f16},
};
use serde::{Deserialize, Serialize};

use super::{Architecture, model::Network};
use crate::{
    Error, Result,
    nn::{
        Label,
        preprocessing::{CROP, DESCRIPTION, PLANES, Statistics},
    },
};

/// How files of every version begin.
pub const KIND: &[u8] = b"chaosveil classifier ";
const FIRST_LINE: &[u8] = b"chaosveil classifier 2\n";
/// Bytes of a description: more is no model file of ours.
const MOST_DESCRIPTION: usize = 64 << 10;

/// What is said of a network in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Which network it is.
    pub network: Architecture,
    /// Names of the outputs.
    pub labels: Vec<String>,
    /// Samples of a crop's side.
    pub crop: usize,
    /// What is done to a crop, in words.
    pub preprocessing: String,
    /// Digest of the pictures that it learned from.
    pub data_digest: String,
    /// Of everything that was drawn.
    pub seed: u64,
    /// How often it saw every picture with every label.
    pub epochs: usize,
    /// Commit of the program that trained it, if known.
    pub commit: Option<String>,
    /// BLAKE3 of this description with an empty digest, and of the numbers; in hexadecimal digits.
    pub digest: String,
}

impl Description {
    /// Of a network of this version.
    pub fn new(
        network: Architecture,
        data_digest: String,
        seed: u64,
        epochs: usize,
        commit: Option<String>,
    ) -> Description {
        Description {
            network,
            labels: Label::ALL.map(|label| label.name().to_owned()).to_vec(),
            crop: CROP,
            preprocessing: DESCRIPTION.into(),
            data_digest,
            seed,
            epochs,
            commit,
            digest: String::new(),
        }
    }
}

/// A model file taken apart.
pub struct ModelFile {
    /// What is said of it.
    pub description: Description,
    /// Its numbers.
    pub weights: Vec<u8>,
}

impl ModelFile {
    /// Takes a file apart; its numbers are those that were written.
    ///
    /// # Errors
    /// [`Error::Model`] if it is no model file, of other labels, or damaged.
    pub fn read(file: &[u8]) -> Result<ModelFile> {
        let rest = file.strip_prefix(FIRST_LINE).ok_or_else(|| model("it is no model of this version"))?;
        let end = rest.iter().take(MOST_DESCRIPTION).position(|&byte| byte == b'\n');
        let (line, weights) = rest.split_at(end.ok_or_else(|| model("its description is cut off"))?);
        let description: Description =
            serde_json::from_slice(line).map_err(|error| model(&format!("its description: {error}")))?;
        let weights = weights[1..].to_vec();
        // What is not said in the same words is damaged, too.
        if ModelFile::to_bytes(description.clone(), &weights) != file {
            return Err(model("it is damaged: it does not have the digest that it names"));
        }
        if description.labels != Label::ALL.map(Label::name)
            || (description.crop, &description.preprocessing[..]) != (CROP, DESCRIPTION)
        {
            return Err(model("it tells other labels apart than this program, or sees crops in another way"));
        }
        Ok(ModelFile { description, weights })
    }

    /// The file.
    pub fn to_bytes(mut description: Description, weights: &[u8]) -> Vec<u8> {
        let line =
            |description: &Description| serde_json::to_string(description).expect("numbers and strings have JSON");
        description.digest.clear();
        let unsigned = line(&description);
        description.digest =
            blake3::Hasher::new().update(unsigned.as_bytes()).update(weights).finalize().to_hex().to_string();
        let line = line(&description);
        [FIRST_LINE, line.as_bytes(), b"\n", weights].concat()
    }
}

fn model(reason: &str) -> Error {
    Error::Model(reason.to_owned())
}

/// The numbers of a network and of what normalises its input.
pub fn numbers(statistics: &Statistics, network: &Network<Flex>) -> Vec<u8> {
    let statistics = statistics.mean.iter().chain(&statistics.variance);
    let mut writer = Writer(statistics.flat_map(|number| number.to_le_bytes()).collect());
    network.visit(&mut writer);
    writer.0
}

/// The statistics and the network that a file's numbers are, on a device.
///
/// # Errors
/// [`Error::Model`] if they are too few or too many.
pub fn fill<B: Backend>(
    architecture: Architecture,
    numbers: &[u8],
    device: &B::Device,
) -> Result<(Statistics, Network<B>)> {
    let other = || model("it holds another network than this program's");
    let (front, left) = numbers.split_at_checked(2 * PLANES * size_of::<f32>()).ok_or_else(other)?;
    let front = singles(front);
    let statistics = Statistics {
        mean: std::array::from_fn(|plane| front[plane]),
        variance: std::array::from_fn(|plane| front[PLANES + plane]),
    };
    let mut reader = Reader { left, is_short: false };
    let network = Network::new(architecture, device).map(&mut reader);
    match !reader.is_short && reader.left.is_empty() {
        true => Ok((statistics, network)),
        false => Err(other()),
    }
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// Vectors are few and stay as they are; all else is halved.
fn bytes_each(dimensions: usize) -> usize {
    if dimensions == 1 { size_of::<f32>() } else { size_of::<f16>() }
}

struct Writer(Vec<u8>);

impl ModuleVisitor<Flex> for Writer {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Flex, D>>) {
        for number in parameter.val().into_data().iter::<f32>() {
            match bytes_each(D) {
                2 => self.0.extend(f16::from_f32(number).to_le_bytes()),
                _ => self.0.extend(number.to_le_bytes()),
            }
        }
    }
}

struct Reader<'a> {
    left: &'a [u8],
    is_short: bool,
}

impl<B: Backend> ModuleMapper<B> for Reader<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let shape = parameter.shape();
        let Some((bytes, left)) = self.left.split_at_checked(shape.num_elements() * bytes_each(D)) else {
            self.is_short = true;
            return parameter;
        };
        self.left = left;
        let numbers: Vec<f32> = match bytes_each(D) {
            2 => bytes.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32()).collect(),
            _ => singles(bytes),
        };
        parameter.map(|old| Tensor::from_data(TensorData::new(numbers, shape), &old.device()))
    }
}
