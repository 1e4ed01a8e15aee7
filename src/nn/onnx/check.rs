//! What a model may hold, seen before anything of it is built: tensors as large as their data, one input, one output.

use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, TensorProto, tensor_proto, tensor_proto::DataType};

use super::{Shape, refused};
use crate::{Result, nn::model::View};

/// Samples of a side of the input.
const MOST_SIDE: i64 = 2048;
/// Numbers that attributes give for a padding, a stride and the like.
const MOST_ATTRIBUTE: i64 = 2048;

/// Attributes that make a result larger than what it is made of.
static GROWING: [&str; 8] =
    ["pads", "output_padding", "output_shape", "kernel_shape", "dilations", "strides", "scales", "repeats"];

/// The graph and the shape of its input.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) with what a classifier would have in its place.
pub fn graph(model: &mut ModelProto) -> Result<(&mut GraphProto, Shape)> {
    let graph = model.graph.as_mut().ok_or_else(|| refused("it is no model: neither of this program nor ONNX"))?;
    if model.opset_import.is_empty() {
        return Err(refused("it does not say which operators it means; it may be cut off"));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(refused("it has sparse tensors, which are not taken"));
    }
    graph.initializer.iter().try_for_each(tensor)?;
    graph.node.iter().flat_map(|node| &node.attribute).try_for_each(attribute)?;
    if graph.output.len() != 1 {
        return Err(refused(format!(
            "it has {} outputs; a classifier has one, of the shape [1, labels]",
            graph.output.len()
        )));
    }
    let shape = input(graph)?;
    Ok((graph, shape))
}

fn tensor(tensor: &TensorProto) -> Result<()> {
    let wrong = |reason: String| refused(format!("its tensor `{}` {reason}", tensor.name));
    if tensor.data_location == Some(tensor_proto::DataLocation::External as i32) {
        return Err(wrong("is in another file; save the model with its tensors in one file".into()));
    }
    let count = tensor.dims.iter().try_fold(1usize, |count, &side| count.checked_mul(usize::try_from(side).ok()?));
    let count = count.ok_or_else(|| wrong(format!("cannot be of the shape {:?}", tensor.dims)))?;
    let bytes = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float | DataType::Int32 | DataType::Uint32) => 4,
        Ok(DataType::Double | DataType::Int64 | DataType::Uint64) => 8,
        Ok(DataType::Float16 | DataType::Int16 | DataType::Uint16) => 2,
        Ok(DataType::Int8 | DataType::Uint8 | DataType::Bool) => 1,
        _ => return Err(wrong("is of a type that is not taken".into())),
    };
    let numbers = [tensor.float_data.len(), tensor.int32_data.len(), tensor.int64_data.len(), tensor.double_data.len()];
    let held = match tensor.raw_data.len() {
        0 => numbers.into_iter().max().unwrap_or(0),
        raw if raw % bytes == 0 => raw / bytes,
        raw => return Err(wrong(format!("has {raw} bytes of data, {bytes} a number"))),
    };
    match held == count {
        true => Ok(()),
        false => Err(wrong(format!("claims {count} numbers of the shape {:?} and holds {held}", tensor.dims))),
    }
}

fn attribute(attribute: &AttributeProto) -> Result<()> {
    if attribute.g.is_some() || !attribute.graphs.is_empty() {
        return Err(refused("it has loops or branches, which are not taken"));
    }
    if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
        return Err(refused("it has sparse tensors, which are not taken"));
    }
    let name = attribute.name.as_str();
    let most = attribute.ints.iter().map(|number| number.saturating_abs()).max().unwrap_or(0);
    if GROWING.contains(&name) && most > MOST_ATTRIBUTE {
        return Err(refused(format!("it has {name} of {most}; more than {MOST_ATTRIBUTE} is not taken")));
    }
    attribute.t.iter().chain(&attribute.tensors).try_for_each(tensor)
}

/// The shape of the one input that is no initializer. A batch that is left open is one picture.
fn input(graph: &GraphProto) -> Result<Shape> {
    use tract_onnx::pb::{tensor_shape_proto::dimension::Value as Side, type_proto::Value};
    let is_initializer = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|input| !is_initializer(&input.name)).collect();
    let wrong = |told: String| {
        refused(format!("its input is {told}; a classifier takes floats of the shape [1, 1 or 3, height, width]"))
    };
    let [input] = inputs[..] else { return Err(wrong(format!("in {} parts", inputs.len()))) };
    let Some(Value::TensorType(kind)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(wrong("no tensor".into()));
    };
    if kind.elem_type != DataType::Float as i32 {
        return Err(wrong("not of 32-bit floats".into()));
    }
    let sides = kind.shape.iter().flat_map(|shape| &shape.dim).map(|side| match side.value {
        Some(Side::DimValue(side)) => Some(side),
        _ => None,
    });
    let sides: Vec<Option<i64>> = sides.collect();
    let told = || {
        let side = |side: &Option<i64>| side.map_or("?".to_owned(), |side| side.to_string());
        format!("of the shape [{}]", sides.iter().map(side).collect::<Vec<_>>().join(", "))
    };
    match sides[..] {
        [None | Some(1), Some(channels @ (1 | 3)), Some(height), Some(width)]
            if (1..=MOST_SIDE).contains(&height) && (1..=MOST_SIDE).contains(&width) =>
        {
            let view = View::Centre { width: width as usize, height: height as usize, channels: channels as usize };
            Ok(Shape { view, sides: [1, channels as usize, height as usize, width as usize] })
        }
        [_, _, None, _] | [_, _, _, None] => Err(wrong(format!("{}, whose height or width is left open", told()))),
        _ => Err(wrong(told())),
    }
}
