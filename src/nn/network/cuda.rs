//! The network on an NVIDIA GPU, by burn's CUDA backend, whose kernels are compiled when they are first needed: libnvrtc and
//! CUDA's headers have to be there. burn panics where something is missing, so everything is looked for beforehand, and
//! what panics nevertheless is caught. A leaf, since it takes minutes to compile: nothing but [`open`] is seen of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::{Cuda, cuda::CudaDevice};

use super::{Architecture, device::Device, model::Network, probabilities, weights};
use crate::backend;

/// The network of a file's numbers on the first GPU.
///
/// # Errors
/// Why not, in words.
pub fn open(architecture: Architecture, numbers: &[u8]) -> Result<Box<dyn Device>, String> {
    const FIRST: usize = 0;
    backend::can_compile_for_cuda(FIRST)?;
    guarded(|| {
        let (_, network) = weights::fill(architecture, numbers, &CudaDevice::new(FIRST)).map_err(|e| e.to_string())?;
        Ok(Box::new(Gpu(network)) as Box<dyn Device>)
    })
}

struct Gpu(Network<Cuda>);

impl Device for Gpu {
    fn probabilities(&self, planes: &[f32]) -> Result<Vec<f32>, String> {
        guarded(|| Ok(probabilities(&self.0, planes.to_vec())))
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("the network failed on the GPU: {}", said.unwrap_or("nothing is known of why")))
    })
}
