//! Which device there is, and a device with our kernels loaded. Nothing of CUDA is linked: the driver is looked for here,
//! and looking costs next to nothing where there is none.

#[cfg(feature = "nn-cuda")]
use std::path::{Path, PathBuf};
use std::{
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cudarc::{
    driver::{CudaContext, CudaFunction, DriverError, result, sys},
    nvrtc::Ptx,
};

use crate::backend::{device::Identity, tiles::Step};

/// Compiled by `kernels/build_ptx.sh`; the driver translates them for the device at hand.
const PERMUTATION: &str = include_str!("../../../kernels/permutation.ptx");
const KEYSTREAM: &str = include_str!("../../../kernels/keystream.ptx");
/// Oldest driver whose PTX is that of ours: CUDA 12.0, release 525.
const OLDEST_DRIVER: i32 = 12_000;

/// A device with our kernels.
pub struct Loaded {
    pub identity: Identity,
    pub context: Arc<CudaContext>,
    kernels: [CudaFunction; 4],
}

impl Loaded {
    /// The device with a number, if it takes our kernels.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn open(number: usize) -> Result<Loaded, String> {
        let identity = identify(number)?;
        guarded(|| {
            let context = CudaContext::new(number)?;
            // SAFETY: every slot has a stream of its own and is waited for before anything of it is read or freed.
            unsafe { context.disable_event_tracking() };
            let permutation = context.load_module(Ptx::from_src(PERMUTATION))?;
            let keystream = context.load_module(Ptx::from_src(KEYSTREAM))?;
            let mut kernels = Vec::with_capacity(Step::ALL.len());
            for step in Step::ALL {
                let module = if matches!(step, Step::Keystream) { &keystream } else { &permutation };
                kernels.push(module.load_function(kernel_name(step))?);
            }
            let kernels = kernels.try_into().unwrap_or_else(|_| unreachable!("one for each step"));
            Ok(Loaded { identity, context, kernels })
        })
    }

    /// The kernel of a step.
    pub fn kernel(&self, step: Step) -> &CudaFunction {
        &self.kernels[step as usize]
    }
}

/// As in `kernels/*.cu`.
fn kernel_name(step: Step) -> &'static str {
    match step {
        Step::Encrypt => "encrypt",
        Step::Decrypt => "decrypt",
        Step::Keystream => "keystream",
        Step::Permute => "permute",
    }
}

/// Which device has a number: without a context on it, which costs a tenth of a second and memory. Never panics and says
/// nothing.
///
/// # Errors
/// Why there is none, in words.
pub fn identify(number: usize) -> Result<Identity, String> {
    // SAFETY: asks whether a library can be opened.
    if !unsafe { sys::is_culib_present() } {
        return Err("there is no NVIDIA driver (libcuda.so)".into());
    }
    // The bindings panic, and say so, where the driver lacks a symbol: it is looked for beforehand.
    if let Some(symbol) = missing_symbol(&SYMBOLS) {
        return Err(format!("the NVIDIA driver lacks {}; release 525 or newer has it", symbol.to_string_lossy()));
    }
    let driver = guarded(|| {
        let mut driver = 0;
        // SAFETY: the pointer is that of a local variable.
        unsafe { sys::cuDriverGetVersion(&mut driver).result() }?;
        Ok(driver)
    })?;
    if driver < OLDEST_DRIVER {
        return Err("the NVIDIA driver is older than CUDA 12.0; release 525 or newer is needed".into());
    }
    let count = guarded(|| {
        result::init()?;
        CudaContext::device_count()
    })?;
    if number as i64 >= i64::from(count) {
        return Err(format!("there is no device {number}, only {count}"));
    }
    guarded(|| {
        let device = result::device::get(number as i32)?;
        // Of this name only an older form of the function is bound, which a driver may drop one day.
        let uuid = match missing_symbol(&[c"cuDeviceGetUuid"]) {
            None => result::device::get_uuid(device)?.bytes.map(|byte| format!("{:02x}", byte as u8)).concat(),
            Some(_) => String::new(),
        };
        Ok(Identity { name: result::device::get_name(device)?, uuid, driver })
    })
}

/// Whether kernels that are compiled when they are needed can be run on a device: those of networks, none of ours. Never
/// panics and says nothing.
///
/// # Errors
/// What is missing, in words.
#[cfg(feature = "nn-cuda")]
pub fn can_compile(number: usize) -> Result<(), String> {
    identify(number)?;
    // SAFETY: asks whether a library can be opened.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err("there is no libnvrtc.so; LD_LIBRARY_PATH tells in which folder CUDA's libraries are".into());
    }
    // Where cubecl looks for headers: the first folder that is there, whatever is in it.
    let toolkit = match std::env::var_os("CUDA_PATH") {
        Some(folder) => PathBuf::from(folder),
        None if Path::new("/usr/local/cuda").exists() => "/usr/local/cuda".into(),
        None if Path::new("/opt/cuda").exists() => "/opt/cuda".into(),
        None => "/usr".into(),
    };
    match toolkit.join("include/cuda_runtime.h").exists() {
        true => Ok(()),
        false => Err(format!("there are no headers of CUDA in {}; CUDA_PATH names another folder", toolkit.display())),
    }
}

/// Runs what calls the driver. The bindings panic where it is not one that they know.
fn guarded<T>(work: impl FnOnce() -> Result<T, DriverError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| format!("the NVIDIA driver says: {}", text(&error))),
        Err(_) => Err("the NVIDIA driver is not one of CUDA 12.0 or newer".into()),
    }
}

/// What the driver calls an error.
pub fn text(error: &DriverError) -> String {
    let name = error.error_name().ok().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| format!("{:?}", error.0))
}

/// What this module asks of the driver, through the bindings.
const SYMBOLS: [&CStr; 25] = [
    c"cuInit",
    c"cuDriverGetVersion",
    c"cuDeviceGetCount",
    c"cuDeviceGet",
    c"cuDeviceGetName",
    c"cuDeviceGetAttribute",
    c"cuDevicePrimaryCtxRetain",
    c"cuCtxSetCurrent",
    c"cuModuleLoadData",
    c"cuModuleGetFunction",
    c"cuEventCreate",
    c"cuEventDestroy_v2",
    c"cuEventSynchronize",
    c"cuStreamCreate",
    c"cuStreamSynchronize",
    c"cuMemAlloc_v2",
    c"cuMemFree_v2",
    c"cuMemAllocAsync",
    c"cuMemFreeAsync",
    c"cuMemHostAlloc",
    c"cuMemFreeHost",
    c"cuMemcpyHtoDAsync_v2",
    c"cuMemcpyDtoDAsync_v2",
    c"cuMemcpyDtoHAsync_v2",
    c"cuLaunchKernel",
];

/// The first that the driver lacks.
fn missing_symbol(symbols: &[&'static CStr]) -> Option<&'static CStr> {
    [c"libcuda.so", c"libcuda.so.1"].into_iter().find_map(|name| {
        // SAFETY: a name that ends with zero; the library stays open, as it does for the bindings.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) };
        if library.is_null() {
            return None;
        }
        // SAFETY: an open library, and names that end with zero.
        symbols.iter().copied().find(|symbol| unsafe { libc::dlsym(library, symbol.as_ptr()) }.is_null())
    })
}
