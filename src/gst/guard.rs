//! What `chaosenc guard=true` does with a frame before it is pushed: it takes nothing for encrypted that looks plain.
//!
//! Every frame, in a worker, before it can leave: the statistics of [`plainness`](crate::analysis::plainness), of the bytes
//! of the very buffer that is to be pushed, at the places of the frame. One that is suspicious is an error, and nothing
//! leaves any more. By chance that happens to less than one frame in 10^12. Frames of fewer than six bytes are too short to
//! be judged, and pass.
//!
//! Raw video of at least 128 x 128 whose samples stand in a byte or two each, in builds with feature `nn`: the network looks on too, see
//! `watch`. It sees the first frame before that is pushed, and later ones while they leave already.
//!
//! A guard finds faults: a stage or an AEAD that was left out or is broken. It is no proof that what passes is secret.

#[cfg(feature = "nn")]
use std::sync::Arc;
use std::time::Duration;

use super::video::RawVideo;
#[cfg(feature = "nn")]
use super::{first_channel::Channel, watch::Watch};
use crate::{
    Error, Result,
    analysis::plainness::{Evidence, Inspector},
    frame::View,
};

/// One for each worker; a clone shares the network.
#[derive(Clone)]
pub struct Guard {
    inspector: Inspector,
    #[cfg(feature = "nn")]
    watch: Arc<Watch>,
}

impl Guard {
    /// A guard whose network looks at a frame of every `interval`.
    ///
    /// # Errors
    /// If the network cannot be started.
    pub fn new(interval: Duration) -> Result<Guard> {
        #[cfg(not(feature = "nn"))]
        let _ = interval;
        Ok(Guard {
            inspector: Inspector::default(),
            #[cfg(feature = "nn")]
            watch: Arc::new(Watch::start(interval)?),
        })
    }

    /// Compares the payload of a frame with what is to leave in its place. `raw` describes it, if it is raw video.
    ///
    /// # Errors
    /// [`Error::LooksPlain`], also where the network has come to that conclusion on an earlier frame, and what keeps it from
    /// looking: what is not seen does not leave.
    pub fn check(&mut self, frame: u64, clear: View, sealed: View, raw: Option<&RawVideo>) -> Result<()> {
        let evidence = self.inspector.inspect(frame, clear, sealed)?;
        if let Some(evidence) = evidence.iter().find(|evidence| Evidence::alarms(evidence)) {
            return Err(Error::LooksPlain { frame, evidence: evidence.to_string() });
        }
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
