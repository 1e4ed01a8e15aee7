//! The device by itself, without anybody who copies frames to pinned memory and back.

use std::sync::Arc;

use cudarc::driver::DriverError;

use super::{Cuda, Loaded, Slot, probe, unavailable};
use crate::{
    Result,
    backend::{
        device::{Conveyor, Device, Identity, Transfers, Work},
        tiles::{Step, check_lengths},
    },
    chaos::FramePlan,
};

/// Kernels queued on a stream before it is waited for: starting one and waiting for it takes about as long as a small
/// frame does.
const KERNELS_QUEUED: usize = 32;

impl Device for Cuda {
    fn identity(&self) -> &Identity {
        &self.device.identity
    }

    fn conveyor(
        &self,
        work: Work,
        transfers: Transfers,
        plan: &FramePlan,
        frame: &[u8],
        in_flight: usize,
    ) -> Result<Box<dyn Conveyor>> {
        check_lengths(plan, frame, frame);
        let step = match work {
            Work::Keystream => Step::Keystream,
            Work::Permutation => Step::Permute,
            Work::Copy | Work::Stage => Step::Encrypt,
        };
        let slots = (0..in_flight).map(|_| {
            let mut slot = Slot::new(&self.device.context, frame.len())?;
            slot.fill(step, plan, frame)?;
            slot.upload(step)?;
            slot.wait()?;
            Ok((slot, 0))
        });
        let slots = slots.collect::<Result<_, DriverError>>().map_err(refused)?;
        Ok(Box::new(Belt { device: self.device.clone(), slots, next: 0, work, step, transfers }))
    }
}

/// Slots that take turns.
struct Belt {
    device: Arc<Loaded>,
    /// And how much is queued on each.
    slots: Vec<(Slot, usize)>,
    next: usize,
    work: Work,
    step: Step,
    transfers: Transfers,
}

impl Belt {
    fn send_one(&mut self) -> Result<(), DriverError> {
        let most = if self.transfers == Transfers::None { KERNELS_QUEUED } else { 1 };
        let (slot, queued) = &mut self.slots[self.next];
        if *queued == most {
            slot.wait()?;
            *queued = 0;
        }
        match (self.transfers, self.work) {
            (Transfers::None, Work::Copy) => slot.copy()?,
            (Transfers::None, _) => slot.launch(&self.device, self.step)?,
            (Transfers::Device, work) => {
                slot.upload(self.step)?;
                if work != Work::Copy {
                    slot.launch(&self.device, self.step)?;
                }
                slot.download()?;
            }
        }
        *queued += 1;
        self.next = (self.next + 1) % self.slots.len();
        Ok(())
    }
}

impl Conveyor for Belt {
    fn send(&mut self) -> Result<()> {
        self.send_one().map_err(refused)
    }

    fn drain(&mut self) -> Result<()> {
        for (slot, queued) in &mut self.slots {
            slot.wait().map_err(refused)?;
            *queued = 0;
        }
        Ok(())
    }
}

/// What is still on its way may be written into the slots' memory.
impl Drop for Belt {
    fn drop(&mut self) {
        if self.drain().is_err() {
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}

fn refused(error: DriverError) -> crate::Error {
    unavailable(format!("the NVIDIA driver says: {}", probe::text(&error)))
}
