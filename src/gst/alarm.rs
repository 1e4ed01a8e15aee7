//! The alarm of a guard. Statistics and network raise it, and who lets frames leave asks it.

use std::sync::{Arc, OnceLock};

use crate::{Error, Result};

/// Takes counter and evidence.
type Tell = dyn Fn(u64, &str) + Send + Sync;

/// The first frame that looked plain, and why. Nothing takes it back: it outlives flushes, and frames that are dropped. Clones
/// share it.
#[derive(Clone)]
pub struct Alarm {
    raised: Arc<OnceLock<(u64, String)>>,
    tell: Arc<Tell>,
}

impl Alarm {
    /// One that has not been raised. `tell` is called with counter and evidence when it is, once.
    pub fn new(tell: impl Fn(u64, &str) + Send + Sync + 'static) -> Alarm {
        Alarm { raised: Arc::default(), tell: Arc::new(tell) }
    }

    /// Raises it, unless it is.
    pub fn raise(&self, frame: u64, evidence: String) {
        // Told within: whoever sees it raised can rely on that.
        self.raised.get_or_init(|| {
            (self.tell)(frame, &evidence);
            (frame, evidence)
        });
    }

    /// Whether anything may still leave.
    ///
    /// # Errors
    /// [`Error::LooksPlain`] once it is raised, of the frame that came first.
    pub fn check(&self) -> Result<()> {
        match self.raised.get() {
            None => Ok(()),
            Some((frame, evidence)) => Err(Error::LooksPlain { frame: *frame, evidence: evidence.clone() }),
        }
    }
}
