//! What a backend whose device has memory of its own tells of it, and how the device is measured by itself.

use serde::{Deserialize, Serialize};

use crate::{Result, chaos::FramePlan};

/// Which device, under which driver.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its UUID, 32 hexadecimal digits; empty where the driver does not tell.
    pub uuid: String,
    /// Latest CUDA version that the driver knows, 1000 * major + 10 * minor.
    pub driver: i32,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (CUDA {}.{})", self.name, self.driver / 1000, self.driver % 1000 / 10)
    }
}

/// What is done with a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing but copying: what the rest is measured against.
    Copy,
    /// Keystream alone.
    Keystream,
    /// Permutation alone.
    Permutation,
    /// Both: the whole stage.
    Stage,
}

/// Which transfers a measured frame has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfers {
    /// None: it stays in the device's memory.
    None,
    /// From pinned memory of the host to the device and back.
    Device,
}

/// A device by itself.
pub trait Device {
    /// Which one.
    fn identity(&self) -> &Identity;
    /// Frames of the plan's length, `in_flight` of them side by side, that go through the same work again and again.
    ///
    /// # Errors
    /// [`BackendUnavailable`](crate::Error::BackendUnavailable) if the device refuses.
    fn conveyor(
        &self,
        work: Work,
        transfers: Transfers,
        plan: &FramePlan,
        frame: &[u8],
        in_flight: usize,
    ) -> Result<Box<dyn Conveyor>>;
}

/// Keeps a device busy.
pub trait Conveyor {
    /// Sends one more frame through, as soon as there is room.
    ///
    /// # Errors
    /// [`BackendUnavailable`](crate::Error::BackendUnavailable) if the device fails.
    fn send(&mut self) -> Result<()>;
    /// Waits until all have come through.
    ///
    /// # Errors
    /// As [`Conveyor::send`].
    fn drain(&mut self) -> Result<()>;
}
