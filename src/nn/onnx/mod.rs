//! A user's classifier in ONNX, run by tract.
//!
//! In: a file with one input, floats of the shape `[1, 1 or 3, height, width]`, and one output, `[1, N]` or `[N]`. A batch
//! that is left open is 1; height and width are fixed. It sees the middle of a frame at native resolution, gray (Rec. 601)
//! or RGB, samples between 0 and 1, never resized. Outputs that are no distribution go through softmax.
//!
//! Models come from anywhere. Before tract builds anything, `wire` counts what the file is made of and `check` holds each
//! tensor's shape against its data; `size` bounds what the graph takes; what tract panics of becomes an error.

mod check;
mod size;
mod wire;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tract_onnx::prelude::*;

use super::model::{Engine, View};
use crate::{Error, Result, analysis::picture::Picture};

/// Labels that a model may tell apart.
const MOST_OUTPUTS: usize = 65_536;
/// How far the sum of a distribution may be from 1.
const TOLERANCE: f32 = 1e-3;

/// A classifier that is ready to run.
pub struct Onnx {
    plan: Arc<TypedRunnableModel>,
    shape: Shape,
    outputs: usize,
}

/// What goes in: what is looked at, and the sides of the tensor.
#[derive(Clone, Copy)]
struct Shape {
    view: View,
    sides: [usize; 4],
}

impl Onnx {
    /// The classifier of a model file.
    ///
    /// # Errors
    /// [`Error::Model`] if it is none, or one that this takes no classifier for.
    pub fn load(file: &[u8]) -> Result<Onnx> {
        wire::check(file)?;
        guarded("cannot be loaded", || {
            let mut model = onnx().proto_model_for_read(&mut &*file)?;
            let (graph, shape) = check::graph(&mut model)?;
            // Shapes that are only told, not computed.
            graph.value_info.clear();
            graph.output.iter_mut().for_each(|output| output.r#type = None);
            graph.input.iter_mut().for_each(without_shape);
            let reader =
                onnx().with_ignore_output_shapes(true).with_ignore_output_types(true).with_ignore_value_info(true);
            let model = reader.model_for_proto_model(&model)?;
            let mut model = model.with_input_fact(0, f32::fact(shape.sides).into())?;
            size::infer(&mut model)?;
            let model = model.into_typed()?;
            size::check(&model)?;
            let outputs = outputs(model.output_fact(0)?)?;
            let model = model.into_optimized()?;
            Ok(Onnx { plan: model.into_runnable()?, shape, outputs })
        })
    }

    fn run(&self, picture: &Picture) -> Result<Vec<f32>> {
        let input = Tensor::from_shape(&self.shape.sides, &input(picture, self.shape.sides));
        guarded("fails", || {
            let told = self.plan.run(tvec!(input?.into()))?;
            Ok(told[0].view().as_slice::<f32>()?.to_vec())
        })
    }
}

impl Engine for Onnx {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn view(&self) -> View {
        self.shape.view
    }

    fn probabilities(&mut self, picture: &Picture) -> Result<Vec<f32>> {
        distribution(self.run(picture)?)
    }
}

fn refused(reason: impl Into<String>) -> Error {
    Error::Model(reason.into())
}

/// What tract says, also where it panics, as an error.
fn guarded<T>(what: &str, work: impl FnOnce() -> TractResult<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(match error.downcast::<Error>() {
            Ok(ours) => ours,
            Err(error) => refused(format!("it {what}: {error:#}")),
        }),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(refused(format!("it {what}: {}", said.unwrap_or("the runtime panicked"))))
        }
    }
}

/// The sides of an input are given to tract from what was checked.
fn without_shape(input: &mut tract_onnx::pb::ValueInfoProto) {
    use tract_onnx::pb::type_proto::Value;
    if let Some(Value::TensorType(kind)) = input.r#type.as_mut().and_then(|kind| kind.value.as_mut()) {
        kind.shape = None;
    }
}

/// How many labels an output tells apart.
fn outputs(fact: &TypedFact) -> TractResult<usize> {
    let shape = fact.shape.as_concrete().unwrap_or(&[]);
    let (&[1, count] | &[count]) = shape else {
        let told = refused(format!("its output is of the shape {shape:?}; a classifier's is [1, labels]"));
        return Err(told.into());
    };
    if fact.datum_type != f32::datum_type() || !(2..=MOST_OUTPUTS).contains(&count) {
        let told =
            format!("its output is {count} of {:?}; a classifier gives 2 to {MOST_OUTPUTS} floats", fact.datum_type);
        return Err(refused(told).into());
    }
    Ok(count)
}

/// The middle of a picture, channel by channel, between 0 and 1.
fn input(picture: &Picture, [_, channels, height, width]: [usize; 4]) -> Vec<f32> {
    let (left, top) = ((picture.width - width) / 2, (picture.height - height) / 2);
    let rows = || picture.bytes.chunks_exact(picture.width * picture.channels).skip(top).take(height);
    let pixels = || rows().flat_map(|row| row.chunks_exact(picture.channels).skip(left).take(width));
    match (channels, picture.channels) {
        (1, 3) => pixels().map(luma).collect(),
        (wanted, held) => (0..wanted)
            .flat_map(|channel| pixels().map(move |pixel| f32::from(pixel[channel % held]) / 255.0))
            .collect(),
    }
}

/// Rec. 601.
fn luma(pixel: &[u8]) -> f32 {
    (0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])) / 255.0
}

/// Outputs as they are if they are a distribution, or else their softmax.
fn distribution(mut outputs: Vec<f32>) -> Result<Vec<f32>> {
    if outputs.iter().any(|output| !output.is_finite()) {
        return Err(refused("its output is not finite"));
    }
    let is_share = |output: &f32| (0.0..=1.0).contains(output);
    if outputs.iter().all(is_share) && (outputs.iter().sum::<f32>() - 1.0).abs() <= TOLERANCE {
        return Ok(outputs);
    }
    let most = outputs.iter().copied().fold(f32::MIN, f32::max);
    outputs.iter_mut().for_each(|output| *output = (*output - most).exp());
    let sum: f32 = outputs.iter().sum();
    outputs.iter_mut().for_each(|output| *output /= sum);
    Ok(outputs)
}

#[cfg(test)]
mod tests;
