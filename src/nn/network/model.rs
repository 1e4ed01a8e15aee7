//! The network: a body that makes features of planes, and one matrix that makes logits of features.

use burn::{
    module::Module,
    nn::{Initializer, Linear, LinearConfig},
    tensor::{Tensor, backend::Backend},
};

use super::{
    Architecture,
    alexnet::{self, AlexNet},
    cnn::{self, Cnn},
    mlp::{self, Mlp},
    recurrent::{self, Recurrent},
};
use crate::nn::Label;

/// The network.
#[derive(Module, Debug)]
pub struct Network<B: Backend> {
    body: Body<B>,
    head: Linear<B>,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each classifier")]
enum Body<B: Backend> {
    AlexNet(AlexNet<B>),
    Cnn(Cnn<B>),
    Mlp(Mlp<B>),
    Recurrent(Recurrent<B>),
}

impl<B: Backend> Network<B> {
    /// All kernels and matrices are zero: they are filled in by who knows better.
    pub fn new(architecture: Architecture, device: &B::Device) -> Network<B> {
        let (body, features) = match architecture {
            Architecture::ImprovedAlexNet => (Body::AlexNet(AlexNet::new(true, device)), alexnet::FEATURES),
            Architecture::AlexNet => (Body::AlexNet(AlexNet::new(false, device)), alexnet::FEATURES),
            Architecture::Cnn => (Body::Cnn(Cnn::new(device)), cnn::FEATURES),
            Architecture::Mlp => (Body::Mlp(Mlp::new(device)), mlp::FEATURES),
            Architecture::Rnn => (Body::Recurrent(Recurrent::rnn(device)), recurrent::RNN_FEATURES),
            Architecture::Lstm => (Body::Recurrent(Recurrent::lstm(device)), recurrent::LSTM_FEATURES),
        };
        let head = LinearConfig::new(features, Label::ALL.len()).with_initializer(Initializer::Zeros).init(device);
        Network { body, head }
    }

    /// Logits `[N, 6]` of normalised planes `[N, PLANES, CROP, CROP]`.
    pub fn forward(&self, planes: Tensor<B, 4>) -> Tensor<B, 2> {
        self.head.forward(self.body.features(planes))
    }

    /// As [`Network::forward`], with the features multiplied by `dropout`, `[N, features]` of zeros and what makes up for
    /// them.
    pub fn forward_dropping(&self, planes: Tensor<B, 4>, dropout: Tensor<B, 2>) -> Tensor<B, 2> {
        self.head.forward(self.body.features(planes) * dropout)
    }

    /// Numbers that the last layer sees of a crop.
    pub fn features(&self) -> usize {
        self.head.weight.dims()[0]
    }

    /// Whether it goes through a crop row by row.
    pub fn is_recurrent(&self) -> bool {
        matches!(self.body, Body::Recurrent(_))
    }
}

impl<B: Backend> Body<B> {
    fn features(&self, planes: Tensor<B, 4>) -> Tensor<B, 2> {
        match self {
            Body::AlexNet(body) => body.forward(planes),
            Body::Cnn(body) => body.forward(planes),
            Body::Mlp(body) => body.forward(planes),
            Body::Recurrent(body) => body.forward(planes),
        }
    }
}
