//! The improved AlexNet of Liu et al. 2022 (RITEM-CF-AN, section 4): AlexNet's five convolutions, with overlapping max-pools
//! in front of local response normalisation rather than behind it; and AlexNet, where they stand behind. What stands in front
//! of it all, high-pass filter and batch normalisation, is in [`preprocessing`](crate::nn::preprocessing). Fewer channels than
//! AlexNet's, and a global average in place of its fully connected layers.

use burn::{
    module::Module,
    nn::{
        Initializer, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    tensor::{Tensor, activation::relu, backend::Backend},
};

use crate::nn::preprocessing::PLANES;

/// Channels after each convolution.
const CHANNELS: [usize; 5] = [32, 64, 96, 96, FEATURES];
/// Numbers that the last layer sees.
pub const FEATURES: usize = 64;
/// Local response normalisation over five channels (Krizhevsky et al. 2012, section 3.3: n = 5, k = 2, beta = 3/4).
const NEIGHBOURS: usize = 5;
const BIAS: f64 = 2.0;
/// There 1e-4, for samples up to 255. Ours are normalised to a variance of 1.
const SCALE: f64 = 0.1;

/// Its body.
#[derive(Module, Debug)]
pub struct AlexNet<B: Backend> {
    first: Conv2d<B>,
    second: Conv2d<B>,
    third: Conv2d<B>,
    fourth: Conv2d<B>,
    fifth: Conv2d<B>,
    pool: MaxPool2d,
    pools_first: bool,
}

impl<B: Backend> AlexNet<B> {
    /// The improved one pools first, AlexNet normalises first. All kernels are zero.
    pub fn new(pools_first: bool, device: &B::Device) -> AlexNet<B> {
        let [first, second, third, fourth, fifth] = CHANNELS;
        AlexNet {
            first: convolution(PLANES, first, 11, 4, device),
            second: convolution(first, second, 5, 1, device),
            third: convolution(second, third, 3, 1, device),
            fourth: convolution(third, fourth, 3, 1, device),
            fifth: convolution(fourth, fifth, 3, 1, device),
            pool: MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).init(),
            pools_first,
        }
    }

    /// Features `[N, 64]` of planes `[N, PLANES, 128, 128]`; other sizes from 64 x 64 on will do.
    pub fn forward(&self, planes: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = relu(self.first.forward(planes)); // [N, 32, 32, 32]
        let x = self.normalised_pool(x); // [N, 32, 15, 15]
        let x = relu(self.second.forward(x)); // [N, 64, 15, 15]
        let x = self.normalised_pool(x); // [N, 64, 7, 7]
        let x = relu(self.third.forward(x)); // [N, 96, 7, 7]
        let x = relu(self.fourth.forward(x)); // [N, 96, 7, 7]
        let x = relu(self.fifth.forward(x)); // [N, 64, 7, 7]
        mean_over_places(self.pool.forward(x)) // [N, 64, 3, 3], [N, 64]
    }

    fn normalised_pool(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        match self.pools_first {
            true => local_response(self.pool.forward(x)),
            false => self.pool.forward(local_response(x)),
        }
    }
}

/// A convolution of zeros; at the edges zeros stand beyond them, so that a stride of 1 leaves rows and columns as they are.
pub fn convolution<B: Backend>(from: usize, to: usize, size: usize, stride: usize, device: &B::Device) -> Conv2d<B> {
    Conv2dConfig::new([from, to], [size, size])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(size / 2, size / 2, size / 2, size / 2))
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// `[N, channels]` of `[N, channels, rows, columns]`.
pub fn mean_over_places<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 2> {
    let x: Tensor<B, 3> = x.flatten(2, 3);
    x.mean_dim(2).squeeze_dim(2)
}

/// `x / (k + alpha * (sum of squares of five neighbouring channels))^(3/4)`, Krizhevsky et al. 2012, section 3.3.
///
/// The sum is a product with a band matrix, and the power two square roots: both are faster than what they stand for.
pub fn local_response<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [count, channels, height, width] = x.dims();
    let flat: Tensor<B, 3> = x.clone().square().reshape([count, channels, height * width]);
    let sums = band(channels, &x.device()).matmul(flat).reshape([count, channels, height, width]);
    let root = sums.mul_scalar(SCALE).add_scalar(BIAS).sqrt();
    x / (root.clone() * root.sqrt())
}

/// `[1, channels, channels]`, 1 where two channels are at most two apart.
fn band<B: Backend>(channels: usize, device: &B::Device) -> Tensor<B, 3> {
    let is_near = |at: usize| (at / channels).abs_diff(at % channels) <= NEIGHBOURS / 2;
    let band: Vec<f32> = (0..channels * channels).map(|at| if is_near(at) { 1.0 } else { 0.0 }).collect();
    Tensor::<B, 1>::from_floats(&band[..], device).reshape([1, channels, channels])
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    /// By hand, of channels 1, 2, 3, 4, 5, 6 at one place: the first sees 1 + 4 + 9, the third 1 + 4 + 9 + 16 + 25.
    #[test]
    fn local_response_by_hand() {
        let x = Tensor::<Flex, 1>::from_floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &Default::default());
        let told: Vec<f32> = local_response(x.reshape([1, 6, 1, 1])).into_data().iter().collect();
        let sums: [f64; 6] = [14.0, 30.0, 55.0, 90.0, 86.0, 77.0];
        for ((value, sum), told) in (1..).zip(sums).zip(told) {
            let expected = f64::from(value) / (2.0 + 0.1 * sum).powf(0.75);
            assert!((f64::from(told) - expected).abs() < 1e-5, "{told} {expected}");
        }
    }

    /// Pool and normalisation in both orders, of a picture of some channels with values between 0 and 6.
    fn both_orders(channels: usize) -> [Tensor<Flex, 4>; 2] {
        let values: Vec<f32> = (0..channels * 49).map(|at| 6.0 * (at * 71 % 97) as f32 / 96.0).collect();
        let x = Tensor::<Flex, 1>::from_floats(&values[..], &Default::default()).reshape([1, channels, 7, 7]);
        [true, false].map(|pools_first| AlexNet::new(pools_first, &Default::default()).normalised_pool(x.clone()))
    }

    fn most_apart([one, other]: [Tensor<Flex, 4>; 2]) -> f32 {
        assert_eq!(one.dims(), other.dims());
        one.sub(other).abs().max().into_scalar()
    }

    /// Of one channel the brightest stays the brightest: `x / (2 + x^2 / 10)^(3/4)` grows up to the square root of 40. Of
    /// several it need not, as its neighbours may be bright, too.
    #[test]
    fn the_order_of_pool_and_normalisation_counts() {
        assert!(most_apart(both_orders(1)) < 1e-6);
        assert!(most_apart(both_orders(8)) > 1e-2);
    }
}
