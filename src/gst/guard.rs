//! What `chaosenc guard=true` does with a frame before it is pushed: it takes nothing for encrypted that looks plain.
//!
//! Every frame, in a worker, before it can leave: the statistics of [`plainness`](crate::analysis::plainness), of the bytes
//! of the very buffer that is to be pushed, at the places of the frame. One that is suspicious raises the alarm, and from
//! then on nothing leaves: no frame passes a worker, and the source pad's task pushes none that has passed. By chance that happens to less than one frame in 10^12. Frames of fewer than six bytes are too short to
//! be judged, and pass.
//!
//! Raw video of at least 128 x 128 whose samples stand in a byte or two each, in builds with feature `nn`: the network looks on too, see
//! `watch`. It sees the first such frame before that or another is pushed, and later ones while they leave already.
//!
//! A guard finds faults: a stage or an AEAD that was left out or is broken. It is no proof that what passes is secret.

#[cfg(feature = "nn")]
use std::sync::Arc;
use std::time::Duration;

use super::{alarm::Alarm, video::RawVideo};
#[cfg(feature = "nn")]
use super::{first_channel::Channel, watch::Watch};
use crate::{
    Result,
    analysis::plainness::{Evidence, Inspector},
    frame::View,
};

/// One for each worker; a clone shares alarm and network.
#[derive(Clone)]
pub struct Guard {
    inspector: Inspector,
    alarm: Alarm,
    #[cfg(feature = "nn")]
    watch: Arc<Watch>,
}

impl Guard {
    /// A guard that raises `alarm`. Its network looks at a frame of every `interval`.
    ///
    /// # Errors
    /// If the network cannot be started.
    pub fn new(interval: Duration, alarm: Alarm) -> Result<Guard> {
        #[cfg(not(feature = "nn"))]
        let _ = interval;
        Ok(Guard {
            inspector: Inspector::default(),
            #[cfg(feature = "nn")]
            watch: Arc::new(Watch::start(interval, alarm.clone())?),
            alarm,
        })
    }

    /// Compares the payload of a frame with what is to leave in its place. `raw` describes it, if it is raw video.
    ///
    /// # Errors
    /// [`Error::LooksPlain`](crate::Error::LooksPlain) of this frame, or of the one that raised the alarm before; and what keeps
    /// the network from looking: what is not seen does not leave.
    pub fn check(&mut self, frame: u64, clear: View, sealed: View, raw: Option<&RawVideo>) -> Result<()> {
        self.alarm.check()?;
        let evidence = self.inspector.inspect(frame, clear, sealed)?;
        if let Some(evidence) = evidence.iter().find(|evidence| Evidence::alarms(evidence)) {
            self.alarm.raise(frame, evidence.to_string());
        }
        self.alarm.check()?;
        self.watch(frame, sealed, raw)
    }

    #[cfg(feature = "nn")]
    fn watch(&self, frame: u64, sealed: View, raw: Option<&RawVideo>) -> Result<()> {
        match raw.and_then(|raw| Channel::of(raw, &raw.layout)) {
            Some(channel) => self.watch.look(frame, sealed, &channel),
            None => self.watch.verdict(),
        }
    }

    #[cfg(not(feature = "nn"))]
    fn watch(&self, _: u64, _: View, _: Option<&RawVideo>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
