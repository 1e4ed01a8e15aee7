//! How much memory and work a graph takes, told from its shapes before anything of that size is made.

use tract_onnx::{
    prelude::*,
    tract_core::{
        internal::{Cost, DimLike, bail, ensure, format_err},
        model::order::eval_order_for_nodes,
        ops::{
            cnn::{Conv, Deconv, MaxPool, PoolSpec, SumPool},
            scan::Scan,
        },
    },
    tract_hir::infer::{Factoid, InferenceFact},
};

/// Numbers of one tensor, and of all tensors together: 256 MiB and 2 GiB in single precision, of which a network holds a
/// few at a time.
const MOST_NUMBERS: usize = 1 << 26;
const MOST_TOGETHER: usize = 1 << 29;
/// Multiplications, and comparisons of pools, for one picture: VGG-16 takes 1.6e10.
const MOST_PRODUCTS: usize = 1 << 35;

/// Infers the shapes of a graph, node after node, and computes its constants, none of which is made before it is known to be
/// small.
pub fn infer(model: &mut InferenceModel) -> TractResult<()> {
    let inputs: Vec<usize> = model.input_outlets()?.iter().map(|outlet| outlet.node).collect();
    let all: Vec<usize> = (0..model.nodes().len()).collect();
    let mut sum = Sum::default();
    for id in eval_order_for_nodes(model.nodes(), &inputs, &all, &[])? {
        let node = model.node(id);
        let (inputs, outputs) = model.node_facts(id)?;
        let observed = node.op.observe_outlets(model, node)?;
        let observed: TVec<_> = observed.iter().map(|outlet| model.outlet_fact(*outlet)).collect::<TractResult<_>>()?;
        let is_constant = !inputs.is_empty() && inputs.iter().all(|fact| fact.value.is_concrete());
        let mut op = node.op.clone();
        let (_, told, _) = op.infer_facts(inputs.clone(), outputs.clone(), observed.clone())?;
        for fact in &told {
            sum.add_fact(fact, is_constant, &node.name)?;
        }
        let (_, told, _) = op.infer(inputs, outputs, observed)?;
        for (slot, fact) in told.into_iter().enumerate() {
            model.set_outlet_fact((id, slot).into(), fact)?;
        }
    }
    Ok(())
}

/// Refuses a graph of which anything is left open, or that takes too much.
pub fn check(model: &TypedModel) -> TractResult<()> {
    let (mut sum, mut products) = (Sum::default(), 0usize);
    for node in model.nodes() {
        for output in &node.outputs {
            let shape = output.fact.shape.as_concrete();
            sum.add(shape.ok_or_else(|| format_err!("the size of `{}` is left open", node.name))?, &node.name)?;
        }
        let inputs = model.node_input_facts(node.id)?;
        for (kind, count) in node.op.cost(&inputs)? {
            if matches!(kind, Cost::FMA(_) | Cost::Div(_)) {
                products = products.saturating_add(count.to_usize().unwrap_or(usize::MAX));
            }
        }
        ensure!(!node.op_is::<Scan>(), "`{}` is recurrent; such networks are not taken", node.name);
        let count = |shape: Option<&[usize]>| shape.unwrap_or(&[]).iter().product::<usize>();
        let outputs = count(node.outputs[0].fact.shape.as_concrete());
        let pool = node.op_as::<MaxPool>().map(|op| &op.pool_spec).or(node.op_as::<SumPool>().map(|op| &op.pool_spec));
        if let Some(pool) = pool {
            // Each place of its output may list what it sees.
            let mut seen = vec![outputs / pool.output_channels.max(1)];
            seen.extend_from_slice(&pool.kernel_shape);
            sum.add(&seen, &node.name)?;
        }
        let kernel = |pool: &PoolSpec| pool.kernel_shape.iter().product::<usize>();
        if let Some(conv) = node.op_as::<Conv>() {
            // What a convolution is multiplied with: each place of its output sees a kernel of each channel.
            let places = outputs / conv.pool_spec.output_channels.max(1);
            sum.add(&[places, kernel(&conv.pool_spec) * conv.pool_spec.input_channels], &node.name)?;
        }
        if let Some(deconv) = node.op_as::<Deconv>() {
            // What a transposed one comes to before its parts are added: each place of its input makes a kernel of each channel.
            let (pool, inputs) = (&deconv.pool_spec, count(inputs[0].shape.as_concrete()));
            let [places, made] = [inputs / pool.input_channels.max(1), kernel(pool) * pool.output_channels];
            sum.add(&[places, made], &node.name)?;
            products = products.saturating_add((places * made).saturating_mul(pool.input_channels));
        }
        if let Some(pool) = pool {
            products = products.saturating_add(outputs.saturating_mul(kernel(pool)));
        }
    }
    ensure!(
        products <= MOST_PRODUCTS,
        "it takes {products} multiplications or comparisons for one picture, more than {MOST_PRODUCTS}"
    );
    Ok(())
}

/// Numbers of all tensors so far.
#[derive(Default)]
struct Sum(usize);

impl Sum {
    fn add_fact(&mut self, fact: &InferenceFact, is_constant: bool, name: &str) -> TractResult<()> {
        match fact.shape.as_concrete_finite()? {
            Some(shape) => self.add(&shape, name),
            // Others are known by the time that they are computed.
            None if !is_constant => Ok(()),
            None => bail!("the size of the constant `{name}` is left open"),
        }
    }

    fn add(&mut self, shape: &[usize], name: &str) -> TractResult<()> {
        let count = shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
        let count = count.filter(|&count| count <= MOST_NUMBERS);
        let count =
            count.ok_or_else(|| format_err!("`{name}` is of the shape {shape:?}, more than {MOST_NUMBERS} numbers"))?;
        self.0 += count;
        ensure!(self.0 <= MOST_TOGETHER, "its tensors have more than {MOST_TOGETHER} numbers together");
        Ok(())
    }
}
