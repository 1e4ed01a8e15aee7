//! The chaotic stage on an NVIDIA GPU: `kernels/*.cu`, loaded from the PTX that this crate carries.
//!
//! Each frame takes a slot. Workers that run frames at the same time take different slots, so uploads, kernels and
//! downloads overlap. Where the device fails, the frame at hand and all that follow go through a CPU backend, which gives
//! the same bytes: no frame is lost. Read next: `slot` (a frame's way), `plan` (what the kernels read), `probe` (which
//! device, and whether), `conveyor` (the device by itself, to be measured).

mod conveyor;
mod plan;
mod probe;
mod slot;

use std::{
    cell::RefCell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use cudarc::driver::DriverError;
use rayon::prelude::*;

use self::{probe::Loaded, slot::Slot};
use super::{
    Backend, Open,
    device::{Device, Identity},
    memory,
    tiles::{Step, check_length, check_lengths},
};
use crate::{Error, Result, chaos::FramePlan};

/// A GPU, and the CPU backend that stands in for it.
pub(super) struct Cuda {
    device: Arc<Loaded>,
    slots: Mutex<Vec<Slot>>,
    stand_in: Arc<dyn Backend>,
    /// The device has failed: it is not asked again.
    failed: AtomicBool,
    /// Why, until somebody has been told.
    trouble: Mutex<Option<String>>,
}

impl Cuda {
    /// The device with a number, if the driver and the device are there and take our kernels. Never panics and says
    /// nothing.
    ///
    /// # Errors
    /// [`Error::BackendUnavailable`] with the reason.
    pub fn open(device: usize, stand_in: Arc<dyn Backend>) -> Result<Cuda> {
        Ok(Cuda {
            device: Arc::new(Loaded::open(device).map_err(unavailable)?),
            slots: Mutex::default(),
            stand_in,
            failed: AtomicBool::new(false),
            trouble: Mutex::default(),
        })
    }

    /// Whether the CPU backend has taken over.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Runs a frame on the device; false if it has to be done elsewhere.
    fn run(&self, step: Step, plan: &FramePlan, src: &[u8], dst: &mut [u8]) -> bool {
        check_lengths(plan, src, dst);
        if self.has_failed() {
            return false;
        }
        if src.is_empty() {
            return true;
        }
        // The bindings panic where the driver has vanished.
        let ran = catch_unwind(AssertUnwindSafe(|| self.run_in_slot(step, plan, src, dst)));
        let error = match ran {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => probe::text(&error),
            Err(_) => "the driver has vanished".into(),
        };
        let (device, stand_in) = (&self.device.identity.name, self.stand_in.name());
        // Frames that were under way at the same time fail too: told is the first.
        let mut told = lock(&self.trouble);
        if !self.failed.swap(true, Relaxed) {
            *told = Some(format!("{device} failed: {error}; frames go on through {stand_in}"));
        }
        false
    }

    fn run_in_slot(&self, step: Step, plan: &FramePlan, src: &[u8], dst: &mut [u8]) -> Result<(), DriverError> {
        let context = &self.device.context;
        context.bind_to_thread()?;
        let free = lock(&self.slots).pop();
        let mut slot = match free {
            Some(slot) if slot.fits(src.len()) => slot,
            _ => Slot::new(context, src.len())?,
        };
        let ran = slot.run(&self.device, step, plan, src, dst);
        match ran {
            Ok(()) => lock(&self.slots).push(slot),
            // What is still on its way may be written into its memory.
            Err(_) => std::mem::forget(slot),
        }
        ran
    }
}

/// Which device has a number.
///
/// # Errors
/// [`Error::BackendUnavailable`] with the reason.
pub(super) fn identify(device: usize) -> Result<Identity> {
    probe::identify(device).map_err(unavailable)
}

#[cfg(feature = "nn-cuda")]
pub(super) use probe::can_compile;

fn unavailable(reason: String) -> Error {
    Error::BackendUnavailable { name: "cuda".into(), reason }
}

thread_local! {
    /// A frame between stage and seal, or before its keystream.
    static BETWEEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        if !self.run(Step::Encrypt, plan, src, dst) {
            self.stand_in.encrypt(plan, src, dst, pool);
        }
    }

    fn decrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        if !self.run(Step::Decrypt, plan, src, dst) {
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
        if self.has_failed() || dst.is_empty() {
            return self.stand_in.decrypt_segments(plan, src, dst, segment_bytes, pool, open);
        }
        // Taken, not borrowed: a thread that waits for its pool may be given another frame.
        let mut sealed = BETWEEN.take();
        memory::resize(&mut sealed, src.len());
        self.decrypt(plan, src, &mut sealed, pool);
        let work = |(index, (sealed, out)): (usize, (&[u8], &mut [u8]))| open(index, sealed, out);
        let opened = match pool {
            None => sealed.chunks(segment_bytes).zip(dst.chunks_mut(segment_bytes)).enumerate().try_for_each(work),
            Some(pool) => pool.install(|| {
                let segments = sealed.par_chunks(segment_bytes).zip(dst.par_chunks_mut(segment_bytes));
                segments.enumerate().try_for_each(work)
            }),
        };
        BETWEEN.set(sealed);
        opened
    }

    fn keystream(&self, plan: &FramePlan, dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        check_length(plan, dst);
        let ran = BETWEEN.with_borrow_mut(|before| {
            memory::resize(before, dst.len());
            before.copy_from_slice(dst);
            self.run(Step::Keystream, plan, before, dst)
        });
        if !ran {
            self.stand_in.keystream(plan, dst, pool);
        }
    }

    fn permute(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        if !self.run(Step::Permute, plan, src, dst) {
            self.stand_in.permute(plan, src, dst, pool);
        }
    }

    fn take_trouble(&self) -> Option<String> {
        match self.has_failed() {
            true => lock(&self.trouble).take(),
            false => None,
        }
    }

    fn device(&self) -> Option<&dyn Device> {
        Some(self)
    }
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cuda").field("device", &self.device.identity.name).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
