//! A GPU by itself as a stage: frames that stay in its memory, or come from pinned memory and go back there.

use super::stages::{Case, Stage};
use crate::{
    backend::device::{Conveyor, Device, Transfers, Work},
    chaos::{FrameKey, FramePlan},
    cli::error::Failure,
};

/// Frames on a GPU, several in flight.
struct OnDevice {
    name: &'static str,
    transfers: &'static str,
    conveyor: Box<dyn Conveyor>,
}

/// Every work, with no transfers and with those to the device and back; `threads` frames are in flight.
///
/// # Errors
/// If the device refuses.
pub fn stages(case: &Case, device: &dyn Device) -> Result<Vec<Box<dyn Stage>>, Failure> {
    let mut plan = FramePlan::default();
    plan.prepare(&FrameKey::new([7; 32]), case.picture.bytes());
    let mut stages: Vec<Box<dyn Stage>> = Vec::new();
    for (transfers, word) in [(Transfers::None, "none"), (Transfers::Device, "device")] {
        for (work, name) in [
            (Work::Copy, "memcpy"),
            (Work::Keystream, "keystream"),
            (Work::Permutation, "permutation"),
            (Work::Stage, "keystream+permutation"),
        ] {
            let conveyor = device.conveyor(work, transfers, &plan, &case.picture.frames[0], case.threads)?;
            stages.push(Box::new(OnDevice { name, transfers: word, conveyor }));
        }
    }
    Ok(stages)
}

impl Stage for OnDevice {
    fn name(&self) -> &'static str {
        self.name
    }

    fn backend(&self) -> Option<&'static str> {
        Some("cuda")
    }

    fn transfers(&self) -> &'static str {
        self.transfers
    }

    fn run(&mut self) -> Result<(), Failure> {
        Ok(self.conveyor.send()?)
    }

    fn drain(&mut self) -> Result<(), Failure> {
        Ok(self.conveyor.drain()?)
    }

    fn in_parallel(&self) -> bool {
        true
    }

    /// Frames are not waited for one by one.
    fn intervals_ns(&mut self) -> Option<Vec<u64>> {
        Some(Vec::new())
    }
}
