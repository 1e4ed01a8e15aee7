//! The backend of a stream whose user left the choice open: the processor's, until frames of a known size begin that a GPU
//! has been found to be faster with.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use super::{
    Backend, Open, Parallel,
    calibration::{self, Case, Side, Verdict},
    cuda::{self, Cuda},
};
use crate::{Error, Result, chaos::FramePlan};

/// See the module. Both sides give the same bytes, so frames under way do not notice a change.
pub(super) struct Auto {
    processor: Arc<dyn Backend>,
    device: usize,
    parallel: Parallel,
    chosen: RwLock<Arc<dyn Backend>>,
    /// The class of frames that it was chosen for.
    class: Mutex<Option<usize>>,
}

impl Auto {
    pub fn new(processor: Arc<dyn Backend>, device: usize, parallel: Parallel) -> Auto {
        Auto { chosen: RwLock::new(processor.clone()), processor, device, parallel, class: Mutex::default() }
    }

    fn chosen(&self) -> Arc<dyn Backend> {
        self.chosen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The device, if it is there and faster. One that is known to be slower is not even opened.
    fn faster_device(&self, frame_bytes: usize) -> Option<Arc<dyn Backend>> {
        let case = Case::new(cuda::identify(self.device).ok()?, &*self.processor, frame_bytes, &self.parallel);
        if calibration::verdicts().find(&case).is_some_and(|verdict| !verdict.takes_device()) {
            return None;
        }
        let device = Cuda::open(self.device, self.processor.clone()).ok()?;
        let verdict = judge(case, &device, &*self.processor, frame_bytes, &self.parallel)?;
        verdict.takes_device().then(|| Arc::new(device) as Arc<dyn Backend>)
    }
}

/// See [`calibrate`](super::calibrate).
pub(super) fn calibrate(
    device: usize,
    processor: &Arc<dyn Backend>,
    frame_bytes: usize,
    parallel: &Parallel,
) -> Result<Verdict> {
    let case = Case::new(cuda::identify(device)?, &**processor, frame_bytes, parallel);
    let known = calibration::verdicts().find(&case).cloned();
    if let Some(verdict) = known {
        return Ok(verdict);
    }
    let cuda = Cuda::open(device, processor.clone())?;
    judge(case, &cuda, &**processor, frame_bytes, parallel).ok_or_else(|| Error::BackendUnavailable {
        name: "cuda".into(),
        reason: cuda.take_trouble().unwrap_or_else(|| "it failed".into()),
    })
}

/// `None` if the device fails.
fn judge(
    case: Case,
    device: &Cuda,
    processor: &dyn Backend,
    frame_bytes: usize,
    parallel: &Parallel,
) -> Option<Verdict> {
    calibration::verdicts().settle(case, |side| match side {
        Side::Device => {
            let measured = calibration::measure(device, frame_bytes, parallel);
            (!device.has_failed()).then_some(measured)
        }
        Side::Processor => Some(calibration::measure(processor, frame_bytes, parallel)),
    })
}

impl Backend for Auto {
    fn name(&self) -> &'static str {
        self.chosen().name()
    }

    fn expect_frames(&self, frame_bytes: usize) {
        let class = calibration::class_of(frame_bytes);
        let mut chosen_for = self.class.lock().unwrap_or_else(PoisonError::into_inner);
        if frame_bytes == 0 || *chosen_for == Some(class) {
            return;
        }
        let chosen = self.faster_device(frame_bytes).unwrap_or_else(|| self.processor.clone());
        *self.chosen.write().unwrap_or_else(PoisonError::into_inner) = chosen;
        *chosen_for = Some(class);
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.chosen().encrypt(plan, src, dst, pool);
    }

    fn decrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.chosen().decrypt(plan, src, dst, pool);
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
        self.chosen().decrypt_segments(plan, src, dst, segment_bytes, pool, open)
    }

    fn keystream(&self, plan: &FramePlan, dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.chosen().keystream(plan, dst, pool);
    }

    fn permute(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.chosen().permute(plan, src, dst, pool);
    }

    fn take_trouble(&self) -> Option<String> {
        self.chosen().take_trouble()
    }
}

impl fmt::Debug for Auto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Auto").field(&self.chosen()).finish()
    }
}
