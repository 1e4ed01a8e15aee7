//! The recurrent networks among the paper's peers. They read a crop row by row from above: `CROP` steps, each of the
//! `PLANES * CROP` numbers of that row in all planes. What counts is the mean of their state over the rows, as it is the mean
//! over places for the convolutions: the last state alone hears of the first row through all others. States are as wide as
//! gives them about the parameters of the improved AlexNet.

use burn::{
    module::Module,
    nn::{Initializer, Lstm, LstmConfig, LstmState, Rnn, RnnConfig, RnnState},
    tensor::{Tensor, backend::Backend},
};

use crate::nn::preprocessing::{CROP, PLANES};

/// Most parameters of the body.
const PARAMETERS: usize = 270_000;
/// Width of the state of Elman's network, which has one gate.
pub const RNN_FEATURES: usize = width(1);
/// Width of the state of long short-term memory, which has four.
pub const LSTM_FEATURES: usize = width(4);
/// Numbers of a step.
const ROW: usize = PLANES * CROP;

/// The widest state under [`PARAMETERS`]: each gate has a matrix and offsets for the row, and for the state.
const fn width(gates: usize) -> usize {
    let mut width = 1;
    while gates * (width + 1) * ((ROW + 1) + (width + 1 + 1)) <= PARAMETERS {
        width += 1;
    }
    width
}

/// The body of either.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each classifier")]
pub enum Recurrent<B: Backend> {
    /// `h = tanh(W x + U h + b)` (Elman 1990).
    Rnn(Rnn<B>),
    /// Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    Lstm(Lstm<B>),
}

impl<B: Backend> Recurrent<B> {
    /// Elman's network; all matrices are zero.
    pub fn rnn(device: &B::Device) -> Recurrent<B> {
        Recurrent::Rnn(RnnConfig::new(ROW, RNN_FEATURES, true).with_initializer(Initializer::Zeros).init(device))
    }

    /// Long short-term memory; all matrices are zero. Forget gates begin with an offset of 1, half in front of the input and
    /// half in front of the state (Jozefowicz et al. 2015).
    pub fn lstm(device: &B::Device) -> Recurrent<B> {
        let mut lstm = LstmConfig::new(ROW, LSTM_FEATURES, true).with_initializer(Initializer::Zeros).init(device);
        let gate = &mut lstm.forget_gate;
        for transform in [&mut gate.input_transform, &mut gate.hidden_transform] {
            transform.bias = transform.bias.take().map(|bias| bias.map(|zeros| zeros.add_scalar(0.5)));
        }
        Recurrent::Lstm(lstm)
    }

    /// Features `[N, width of the state]` of planes `[N, PLANES, rows, CROP]`.
    pub fn forward(&self, planes: Tensor<B, 4>) -> Tensor<B, 2> {
        let [count, planes_each, rows, columns] = planes.dims();
        let steps = planes.swap_dims(1, 2).reshape([count, rows, planes_each * columns]); // [N, rows, ROW]
        // burn would keep the states of all rows in one tensor, which is copied at every row: each row goes by itself.
        match self {
            Recurrent::Rnn(rnn) => mean_state(steps, |row, state| {
                let state = state.map(|hidden: &Tensor<B, 2>| RnnState::new(hidden.clone()));
                rnn.forward(row, state).1.hidden
            }),
            Recurrent::Lstm(lstm) => {
                let mut cell = None;
                mean_state(steps, |row, state| {
                    let state = cell.take().zip(state).map(|(cell, hidden)| LstmState::new(cell, hidden.clone()));
                    let LstmState { cell: next, hidden } = lstm.forward(row, state).1;
                    cell = Some(next);
                    hidden
                })
            }
        }
    }
}

/// The mean of the states after each row; `next` makes one of a row `[N, 1, ROW]` and the state before it, if any.
fn mean_state<B: Backend>(
    steps: Tensor<B, 3>,
    mut next: impl FnMut(Tensor<B, 3>, Option<&Tensor<B, 2>>) -> Tensor<B, 2>,
) -> Tensor<B, 2> {
    let rows = steps.dims()[1];
    let mut state = next(steps.clone().narrow(1, 0, 1), None);
    let mut sum = state.clone();
    for row in 1..rows {
        state = next(steps.clone().narrow(1, row, 1), Some(&state));
        sum = sum + state.clone();
    }
    sum / rows as f64
}

#[cfg(test)]
mod tests {
    use burn::{
        backend::Flex,
        module::{ModuleMapper, Param},
    };

    use super::*;

    const ROWS: usize = 3;
    /// Weights in front of the row and of the state.
    const WEIGHTS: [f64; 2] = [3e-4, 2e-3];

    /// Gives all weights in front of the row the same value, and all in front of the state. Offsets stay.
    struct Alike;

    impl ModuleMapper<Flex> for Alike {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<Flex, D>>) -> Param<Tensor<Flex, D>> {
            if D == 1 {
                return parameter;
            }
            let weight = WEIGHTS[usize::from(parameter.shape()[0] != ROW)];
            parameter.map(|zeros| zeros.add_scalar(weight))
        }
    }

    /// What a row of a plane holds, everywhere.
    fn value(plane: usize, row: usize) -> f64 {
        0.5 * plane as f64 - 1.0 + 0.7 * row as f64
    }

    /// Sums of all planes of each row.
    fn sums() -> [f64; ROWS] {
        std::array::from_fn(|row| (0..PLANES).map(|plane| CROP as f64 * value(plane, row)).sum())
    }

    fn told(network: Recurrent<Flex>) -> Vec<f32> {
        let numbers: Vec<f32> =
            (0..PLANES * ROWS * CROP).map(|at| value(at / (ROWS * CROP), at / CROP % ROWS) as f32).collect();
        let planes = Tensor::<Flex, 1>::from_floats(&numbers[..], &Default::default());
        network.map(&mut Alike).forward(planes.reshape([1, PLANES, ROWS, CROP])).into_data().iter().collect()
    }

    /// All numbers of the state are alike, so the recurrence can be computed with one.
    #[test]
    fn rnn_by_hand() {
        let (mut state, mut sum) = (0.0f64, 0.0);
        for row in sums() {
            state = (WEIGHTS[0] * row + WEIGHTS[1] * RNN_FEATURES as f64 * state).tanh();
            sum += state;
        }
        let told = told(Recurrent::rnn(&Default::default()));
        assert_eq!(told.len(), RNN_FEATURES);
        assert!(told.iter().all(|&told| (f64::from(told) - sum / ROWS as f64).abs() < 1e-5), "{} {sum}", told[0]);
    }

    #[test]
    fn lstm_by_hand() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut state, mut cell, mut sum) = (0.0f64, 0.0, 0.0);
        for row in sums() {
            let x = WEIGHTS[0] * row + WEIGHTS[1] * LSTM_FEATURES as f64 * state;
            // The forget gate's offset is 1.
            cell = sigmoid(x + 1.0) * cell + sigmoid(x) * x.tanh();
            state = sigmoid(x) * f64::tanh(cell);
            sum += state;
        }
        let told = told(Recurrent::lstm(&Default::default()));
        assert_eq!(told.len(), LSTM_FEATURES);
        assert!(told.iter().all(|&told| (f64::from(told) - sum / ROWS as f64).abs() < 1e-5), "{} {sum}", told[0]);
    }
}
