//! A multilayer perceptron, one of the paper's peers, over every number of the planes. Its first matrix alone has several
//! times the parameters of the other networks, though it leads to few features: with theirs it would have four or fewer.

use burn::{
    module::Module,
    nn::{Initializer, Linear, LinearConfig},
    tensor::{Tensor, activation::relu, backend::Backend},
};

use crate::nn::preprocessing::{CROP, PLANES};

/// Numbers that the last layer sees, and the layer in front of it.
pub const FEATURES: usize = 32;
/// Numbers of the planes.
const INPUTS: usize = PLANES * CROP * CROP;

/// Its body.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    first: Linear<B>,
    second: Linear<B>,
}

impl<B: Backend> Mlp<B> {
    /// All matrices are zero.
    pub fn new(device: &B::Device) -> Mlp<B> {
        let layer = |inputs| LinearConfig::new(inputs, FEATURES).with_initializer(Initializer::Zeros).init(device);
        Mlp { first: layer(INPUTS), second: layer(FEATURES) }
    }

    /// Features `[N, 32]` of planes `[N, PLANES, CROP, CROP]`, and of no other size.
    pub fn forward(&self, planes: Tensor<B, 4>) -> Tensor<B, 2> {
        // Adam moves every weight about as far, whatever its gradient: a sum over so many inputs would leap, so they are small.
        let x: Tensor<B, 2> = planes.flatten(1, 3) / (INPUTS as f64).sqrt(); // [N, INPUTS]
        let x = relu(self.first.forward(x)); // [N, 32]
        relu(self.second.forward(x)) // [N, 32]
    }
}
