//! A plain convolutional network, one of the paper's peers: small convolutions, max-pools that do not overlap, and nothing
//! that normalises. About as many parameters as the improved AlexNet has.

use burn::{
    module::Module,
    nn::{
        conv::Conv2d,
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    tensor::{Tensor, activation::relu, backend::Backend},
};

use super::alexnet::{convolution, mean_over_places};
use crate::nn::preprocessing::PLANES;

/// Channels after each convolution.
const CHANNELS: [usize; 4] = [32, 64, 128, FEATURES];
/// Numbers that the last layer sees.
pub const FEATURES: usize = 128;

/// Its body.
#[derive(Module, Debug)]
pub struct Cnn<B: Backend> {
    first: Conv2d<B>,
    second: Conv2d<B>,
    third: Conv2d<B>,
    fourth: Conv2d<B>,
    pool: MaxPool2d,
}

impl<B: Backend> Cnn<B> {
    /// All kernels are zero.
    pub fn new(device: &B::Device) -> Cnn<B> {
        let [first, second, third, fourth] = CHANNELS;
        Cnn {
            first: convolution(PLANES, first, 5, 2, device),
            second: convolution(first, second, 3, 1, device),
            third: convolution(second, third, 3, 1, device),
            fourth: convolution(third, fourth, 3, 1, device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    /// Features `[N, 128]` of planes `[N, PLANES, 128, 128]`; other sizes from 32 x 32 on will do.
    pub fn forward(&self, planes: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = relu(self.first.forward(planes)); // [N, 32, 64, 64]
        let x = self.pool.forward(x); // [N, 32, 32, 32]
        let x = relu(self.second.forward(x)); // [N, 64, 32, 32]
        let x = self.pool.forward(x); // [N, 64, 16, 16]
        let x = relu(self.third.forward(x)); // [N, 128, 16, 16]
        let x = self.pool.forward(x); // [N, 128, 8, 8]
        mean_over_places(relu(self.fourth.forward(x))) // [N, 128, 8, 8], [N, 128]
    }
}
