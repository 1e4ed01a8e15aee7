//! The chaotic stage on an NVIDIA GPU: `kernels/permutation.cu`, loaded from the PTX that this crate carries.
//!
//! Nothing of CUDA is linked; the driver is looked for when the backend is chosen. Each frame takes a slot: a stream,
//! pinned memory on the host, memory on the device. Workers that run frames at the same time take different slots, so
//! uploads, kernels and downloads overlap. Where the device fails, the frame at hand and all that follow go through a CPU
//! backend, which gives the same bytes: no frame is lost.
//!
//! ```text
//!  plan, src -> pinned -> (stream) upload -> kernel -> download -> pinned -> dst
//! ```

use std::{
    cell::RefCell,
    ffi::CStr,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use cudarc::{
    driver::{
        CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, DriverError, LaunchConfig, PinnedHostSlice,
        PushKernelArg, result, sys,
    },
    nvrtc::Ptx,
};

use super::{Backend, Open, memory};
use crate::{
    Error, Result,
    chaos::{
        FramePlan,
        permutation::{Network, Shape},
    },
};

/// Compiled by `kernels/build_ptx.sh`; the driver translates it for the device at hand.
const KERNELS: &str = include_str!("../../kernels/permutation.ptx");
/// Warps of a thread block, as in `permutation.cu`.
const WARPS: u32 = 4;
/// Oldest driver whose PTX is that of ours: CUDA 12.0, release 525.
const OLDEST_DRIVER: i32 = 12_000;

/// A GPU, and the CPU backend that stands in for it.
pub(super) struct Cuda {
    device: String,
    context: Arc<CudaContext>,
    encrypt: CudaFunction,
    decrypt: CudaFunction,
    slots: Mutex<Vec<Slot>>,
    stand_in: Arc<dyn Backend>,
    /// The device has failed: it is not asked again.
    failed: AtomicBool,
    /// Why, until somebody has been told.
    trouble: Mutex<Option<String>>,
}

/// What one frame takes at a time.
struct Slot {
    stream: Arc<CudaStream>,
    host_src: PinnedHostSlice<u8>,
    host_dst: PinnedHostSlice<u8>,
    host_plan: PinnedHostSlice<u8>,
    src: CudaSlice<u8>,
    dst: CudaSlice<u8>,
    plan: CudaSlice<u8>,
}

impl Cuda {
    /// The device with a number, if the driver and the device are there and take our kernels. Never panics and says
    /// nothing.
    ///
    /// # Errors
    /// [`Error::BackendUnavailable`] with the reason.
    pub fn probe(device: usize, stand_in: Arc<dyn Backend>) -> Result<Cuda> {
        let unavailable = |reason: String| Error::BackendUnavailable { name: "cuda".into(), reason };
        // SAFETY: asks whether a library can be opened.
        if !unsafe { sys::is_culib_present() } {
            return Err(unavailable("there is no NVIDIA driver (libcuda.so)".into()));
        }
        // The bindings panic, and say so, where the driver lacks a symbol: it is looked for beforehand.
        if let Some(symbol) = missing_symbol() {
            let reason = format!("the NVIDIA driver lacks {}; release 525 or newer has it", symbol.to_string_lossy());
            return Err(unavailable(reason));
        }
        match catch_unwind(AssertUnwindSafe(|| Cuda::open(device, stand_in))) {
            Ok(opened) => opened.map_err(unavailable),
            Err(_) => Err(unavailable("the NVIDIA driver is not one of CUDA 12.0 or newer".into())),
        }
    }

    fn open(device: usize, stand_in: Arc<dyn Backend>) -> Result<Cuda, String> {
        let told = |error: DriverError| format!("the NVIDIA driver says: {}", text(&error));
        let mut version = 0;
        // SAFETY: the pointer is that of a local variable.
        unsafe { sys::cuDriverGetVersion(&mut version).result() }.map_err(told)?;
        if version < OLDEST_DRIVER {
            return Err("the NVIDIA driver is older than CUDA 12.0; release 525 or newer is needed".into());
        }
        result::init().map_err(told)?;
        let count = CudaContext::device_count().map_err(told)?;
        if device as i64 >= i64::from(count) {
            return Err(format!("there is no device {device}, only {count}"));
        }
        let context = CudaContext::new(device).map_err(told)?;
        // SAFETY: every slot has a stream of its own and is waited for before anything of it is read or freed.
        unsafe { context.disable_event_tracking() };
        let module = context.load_module(Ptx::from_src(KERNELS)).map_err(told)?;
        let function = |name: &str| module.load_function(name).map_err(told);
        Ok(Cuda {
            device: context.name().unwrap_or_else(|_| "unnamed".into()),
            encrypt: function("encrypt")?,
            decrypt: function("decrypt")?,
            context,
            slots: Mutex::default(),
            stand_in,
            failed: AtomicBool::new(false),
            trouble: Mutex::default(),
        })
    }

    /// Runs a frame on the device; false if it has to be done elsewhere.
    fn run(&self, step: &Step, plan: &FramePlan, src: &[u8], dst: &mut [u8]) -> bool {
        if self.failed.load(Relaxed) {
            return false;
        }
        if src.is_empty() {
            return true;
        }
        // The bindings panic where the driver has vanished.
        let ran = catch_unwind(AssertUnwindSafe(|| self.run_in_slot(step, plan, src, dst)));
        let error = match ran {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => text(&error),
            Err(_) => "the driver has vanished".into(),
        };
        let trouble = format!("{} failed: {error}; frames go on through {}", self.device, self.stand_in.name());
        // Frames that were under way at the same time fail too: told is the first.
        let mut told = lock(&self.trouble);
        if !self.failed.swap(true, Relaxed) {
            *told = Some(trouble);
        }
        false
    }

    fn run_in_slot(&self, step: &Step, plan: &FramePlan, src: &[u8], dst: &mut [u8]) -> Result<(), DriverError> {
        self.context.bind_to_thread()?;
        let free = lock(&self.slots).pop();
        let mut slot = match free {
            Some(slot) if slot.fits(src.len()) => slot,
            _ => Slot::new(&self.context, src.len())?,
        };
        let ran = slot.run(step.function(self), step, plan, src, dst);
        match ran {
            Ok(()) => lock(&self.slots).push(slot),
            // What is still on its way may be written into its memory.
            Err(_) => std::mem::forget(slot),
        }
        ran
    }
}

/// Which way.
enum Step {
    Encrypt,
    Decrypt,
}

impl Step {
    fn function<'a>(&self, cuda: &'a Cuda) -> &'a CudaFunction {
        match self {
            Step::Encrypt => &cuda.encrypt,
            Step::Decrypt => &cuda.decrypt,
        }
    }

    fn table(&self, network: &Network) -> [u8; 256] {
        match self {
            Step::Encrypt => network.table(),
            Step::Decrypt => network.inverse().table(),
        }
    }
}

impl Slot {
    fn new(context: &Arc<CudaContext>, len: usize) -> Result<Slot, DriverError> {
        let stream = context.new_stream()?;
        // Some more, so that a change of a few bytes does not allocate again.
        let room = len.next_multiple_of(1 << 20);
        let plan = PlanLayout::of(room).end + 4096;
        // SAFETY: everything is written before it is read: the host's by copies, the device's by uploads and the kernel.
        unsafe {
            Ok(Slot {
                host_src: context.alloc_pinned_with_flags(room, 0)?,
                host_dst: context.alloc_pinned_with_flags(room, 0)?,
                host_plan: context.alloc_pinned_with_flags(plan, 0)?,
                src: stream.alloc(room)?,
                dst: stream.alloc(room)?,
                plan: stream.alloc(plan)?,
                stream,
            })
        }
    }

    fn fits(&self, len: usize) -> bool {
        len <= self.host_src.len()
    }

    fn run(
        &mut self,
        function: &CudaFunction,
        step: &Step,
        plan: &FramePlan,
        src: &[u8],
        dst: &mut [u8],
    ) -> Result<(), DriverError> {
        let Slot { stream, host_src, host_dst, host_plan, .. } = self;
        let (address, _) = self.plan.device_ptr(stream);
        let plan_bytes = write_plan(plan, step, address, host_plan.as_mut_slice()?);
        host_src.as_mut_slice()?[..src.len()].copy_from_slice(src);
        stream.memcpy_htod(&host_plan.as_slice()?[..plan_bytes], &mut self.plan.slice_mut(..plan_bytes))?;
        stream.memcpy_htod(&host_src.as_slice()?[..src.len()], &mut self.src.slice_mut(..src.len()))?;
        let warps = Shape::of(src.len()).tiles as u32 + 1;
        let shape = LaunchConfig {
            grid_dim: (warps.div_ceil(WARPS), 1, 1),
            block_dim: (32 * WARPS, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = stream.launch_builder(function);
        launch.arg(&self.plan).arg(&self.src).arg(&mut self.dst);
        // SAFETY: the arguments are those of the kernel; it stays within the frame that the plan describes, which source
        // and destination have room for, and the plan's pointers lie within the plan.
        unsafe { launch.launch(shape)? };
        stream.memcpy_dtoh(&self.dst.slice(..src.len()), &mut host_dst.as_mut_slice()?[..src.len()])?;
        stream.synchronize()?;
        dst.copy_from_slice(&host_dst.as_slice()?[..src.len()]);
        Ok(())
    }
}

/// Where the tables stand behind `struct Plan` of `kernels/common.cuh`, in the order of its pointers.
struct PlanLayout {
    tables: [usize; 7],
    end: usize,
}

/// Bytes of `struct Plan`: eight words of key, four numbers, seven pointers.
const PLAN_BYTES: usize = 32 + 16 + 7 * 8;

impl PlanLayout {
    fn of(len: usize) -> PlanLayout {
        let shape = Shape::of(len);
        let lengths = [
            4 * 256,
            8 * 192,
            4 * shape.tiles,
            shape.tiles,
            shape.tiles * 192 + shape.last_blocks,
            shape.last_blocks,
            shape.tail,
        ];
        let mut end = PLAN_BYTES.next_multiple_of(16);
        let tables = lengths.map(|length| {
            let start = end;
            end = (end + length).next_multiple_of(16);
            start
        });
        PlanLayout { tables, end }
    }
}

/// Writes a frame's plan as the kernels read it from `address` on; returns how many bytes it takes.
fn write_plan(plan: &FramePlan, step: &Step, address: u64, out: &mut [u8]) -> usize {
    let (parts, shape, layout) = (plan.permutation(), Shape::of(plan.len()), PlanLayout::of(plan.len()));
    out[..32].copy_from_slice(plan.key().bytes());
    let numbers = [shape.tiles, shape.last_blocks, shape.tail, 0];
    for (to, number) in out[32..48].as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
        *to = (number as u32).to_le_bytes();
    }
    for (to, table) in out[48..PLAN_BYTES].as_chunks_mut::<8>().0.iter_mut().zip(layout.tables) {
        *to = (address + table as u64).to_le_bytes();
    }
    let [networks, orders, tile_order, rest @ ..] = layout.tables;
    for (to, network) in out[networks..].as_chunks_mut::<256>().0.iter_mut().zip(&parts.networks) {
        *to = step.table(network);
    }
    out[orders..orders + 8 * 192].copy_from_slice(parts.orders.as_flattened());
    for (to, tile) in out[tile_order..].as_chunks_mut::<4>().0.iter_mut().zip(&parts.tile_order) {
        *to = tile.to_le_bytes();
    }
    let tables = [&parts.tile_choice, &parts.block_choice, &parts.last_order, &parts.tail_order];
    for (start, table) in rest.into_iter().zip(tables) {
        out[start..start + table.len()].copy_from_slice(table);
    }
    layout.end
}

thread_local! {
    /// A frame between stage and seal.
    static SEALED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        if !self.run(&Step::Encrypt, plan, src, dst) {
            self.stand_in.encrypt(plan, src, dst, pool);
        }
    }

    fn decrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        if !self.run(&Step::Decrypt, plan, src, dst) {
            self.stand_in.decrypt(plan, src, dst, pool);
        }
    }

    fn decrypt_segments(
        &self,
        plan: &FramePlan,
        src: &[u8],
        dst: &mut [u8],
        segment_bytes: usize,
        pool: Option<&rayon::ThreadPool>,
        open: Open,
    ) -> Result<()> {
        if self.failed.load(Relaxed) || dst.is_empty() {
            return self.stand_in.decrypt_segments(plan, src, dst, segment_bytes, pool, open);
        }
        SEALED.with_borrow_mut(|sealed| {
            memory::resize(sealed, src.len());
            self.decrypt(plan, src, sealed, pool);
            let mut segments = sealed.chunks(segment_bytes).zip(dst.chunks_mut(segment_bytes)).enumerate();
            segments.try_for_each(|(index, (sealed, out))| open(index, sealed, out))
        })
    }

    fn keystream(&self, plan: &FramePlan, dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.stand_in.keystream(plan, dst, pool);
    }

    fn permute(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.stand_in.permute(plan, src, dst, pool);
    }

    fn take_trouble(&self) -> Option<String> {
        match self.failed.load(Relaxed) {
            true => lock(&self.trouble).take(),
            false => None,
        }
    }
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cuda").field("device", &self.device).finish_non_exhaustive()
    }
}

/// What this file asks of the driver, through the bindings.
const SYMBOLS: [&CStr; 21] = [
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
    c"cuStreamCreate",
    c"cuStreamSynchronize",
    c"cuMemAlloc_v2",
    c"cuMemFree_v2",
    c"cuMemAllocAsync",
    c"cuMemFreeAsync",
    c"cuMemHostAlloc",
    c"cuMemFreeHost",
    c"cuMemcpyHtoDAsync_v2",
    c"cuMemcpyDtoHAsync_v2",
    c"cuLaunchKernel",
];

/// The first that the driver lacks.
fn missing_symbol() -> Option<&'static CStr> {
    [c"libcuda.so", c"libcuda.so.1"].into_iter().find_map(|name| {
        // SAFETY: a name that ends with zero; the library stays open, as it does for the bindings.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) };
        if library.is_null() {
            return None;
        }
        // SAFETY: an open library, and names that end with zero.
        SYMBOLS.into_iter().find(|symbol| unsafe { libc::dlsym(library, symbol.as_ptr()) }.is_null())
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the driver calls an error.
fn text(error: &DriverError) -> String {
    let name = error.error_name().ok().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| format!("{:?}", error.0))
}
