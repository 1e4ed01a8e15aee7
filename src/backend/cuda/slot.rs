//! What one frame takes at a time: a stream, pinned memory on the host, memory on the device.
//!
//! ```text
//!  fill            upload             launch        download         read
//!  plan, src  ->   pinned  ->  device (stream)  ->  kernel  ->  pinned  ->  dst
//! ```
//!
//! Everything from upload to download is queued on the slot's stream; [`Slot::wait`] waits for it. No memory of a slot may
//! be touched or freed before.

use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaSlice, CudaStream, DevicePtr, DriverError, LaunchConfig, PinnedHostSlice, PushKernelArg,
};

use super::{plan, probe::Loaded};
use crate::{
    backend::tiles::Step,
    chaos::{FramePlan, permutation::Shape},
};

/// Warps of a thread block, as in `permutation.cu`.
const WARPS: u32 = 4;

/// See the module.
pub struct Slot {
    stream: Arc<CudaStream>,
    host_src: PinnedHostSlice<u8>,
    host_dst: PinnedHostSlice<u8>,
    host_plan: PinnedHostSlice<u8>,
    src: CudaSlice<u8>,
    dst: CudaSlice<u8>,
    plan: CudaSlice<u8>,
    /// Bytes of the frame and of its plan.
    len: usize,
    plan_len: usize,
}

impl Slot {
    /// A slot with room for frames of `len` bytes.
    ///
    /// # Errors
    /// The driver's.
    pub fn new(context: &Arc<CudaContext>, len: usize) -> Result<Slot, DriverError> {
        let stream = context.new_stream()?;
        // Some more, so that a change of a few bytes does not allocate again.
        let room = len.next_multiple_of(1 << 20);
        let plan = plan::room_for(room);
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
                len: 0,
                plan_len: 0,
            })
        }
    }

    /// Whether there is room for a frame of `len` bytes.
    pub fn fits(&self, len: usize) -> bool {
        len <= self.host_src.len()
    }

    /// Runs one step over one frame, there and back, and waits for it.
    ///
    /// # Errors
    /// The driver's. What is still on its way then may be written into the slot's memory.
    pub fn run(
        &mut self,
        device: &Loaded,
        step: Step,
        plan: &FramePlan,
        src: &[u8],
        dst: &mut [u8],
    ) -> Result<(), DriverError> {
        self.fill(step, plan, src)?;
        self.upload(step)?;
        self.launch(device, step)?;
        self.download()?;
        self.wait()?;
        dst.copy_from_slice(&self.host_dst.as_slice()?[..self.len]);
        Ok(())
    }

    /// Writes a frame and its plan into pinned memory, from where they can be uploaded again and again.
    ///
    /// # Errors
    /// The driver's.
    pub fn fill(&mut self, step: Step, plan: &FramePlan, src: &[u8]) -> Result<(), DriverError> {
        let (address, _) = self.plan.device_ptr(&self.stream);
        self.plan_len = plan::write(plan, step, address, self.host_plan.as_mut_slice()?);
        self.len = src.len();
        self.host_src.as_mut_slice()?[..src.len()].copy_from_slice(src);
        Ok(())
    }

    /// Queues the way to the device, to where the step reads: keystream is laid over what is there.
    ///
    /// # Errors
    /// The driver's.
    pub fn upload(&mut self, step: Step) -> Result<(), DriverError> {
        let Slot { stream, host_src, host_plan, .. } = self;
        stream.memcpy_htod(&host_plan.as_slice()?[..self.plan_len], &mut self.plan.slice_mut(..self.plan_len))?;
        let to = if matches!(step, Step::Keystream) { &mut self.dst } else { &mut self.src };
        stream.memcpy_htod(&host_src.as_slice()?[..self.len], &mut to.slice_mut(..self.len))
    }

    /// Queues the kernel of a step.
    ///
    /// # Errors
    /// The driver's.
    pub fn launch(&mut self, device: &Loaded, step: Step) -> Result<(), DriverError> {
        let warps = Shape::of(self.len).tiles as u32 + 1;
        let shape = LaunchConfig {
            grid_dim: (warps.div_ceil(WARPS), 1, 1),
            block_dim: (32 * WARPS, 1, 1),
            shared_mem_bytes: 0,
        };
        let len = self.len as u64;
        let mut launch = self.stream.launch_builder(device.kernel(step));
        launch.arg(&self.plan);
        match step {
            Step::Keystream => launch.arg(&mut self.dst).arg(&len),
            _ => launch.arg(&self.src).arg(&mut self.dst),
        };
        // SAFETY: the arguments are those of the kernel; it stays within the frame that the plan describes, or `len`, which
        // source and destination have room for, and the plan's pointers lie within the plan.
        unsafe { launch.launch(shape) }.map(drop)
    }

    /// Queues the way back.
    ///
    /// # Errors
    /// The driver's.
    pub fn download(&mut self) -> Result<(), DriverError> {
        self.stream.memcpy_dtoh(&self.dst.slice(..self.len), &mut self.host_dst.as_mut_slice()?[..self.len])
    }

    /// Queues a copy of the frame on the device.
    ///
    /// # Errors
    /// The driver's.
    pub fn copy(&mut self) -> Result<(), DriverError> {
        self.stream.memcpy_dtod(&self.src.slice(..self.len), &mut self.dst.slice_mut(..self.len))
    }

    /// Waits for all that is queued.
    ///
    /// # Errors
    /// The driver's.
    pub fn wait(&self) -> Result<(), DriverError> {
        self.stream.synchronize()
    }
}
