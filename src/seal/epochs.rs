//! The epochs of a stream: a chain of secrets, each derived from the one before it, and never back (FORMAT.md, section 4).

use std::{collections::VecDeque, sync::Arc};

use super::{
    keys::{Derivation, EpochKeys, Secret},
    limits,
};
use crate::{Error, Result};

/// A secret is kept of every so many epochs, so that a frame of an older one costs few steps, whatever the order is in
/// which frames come.
const STRIDE: u32 = 1024;
/// Keys kept of the epochs asked for last: frames come out of order at an epoch's end.
const KEYS_KEPT: usize = 4;

/// The epochs from one on. Those before it cannot be had.
pub(super) struct Epochs {
    derivation: Derivation,
    first: u32,
    /// Of the first epoch and of every [`STRIDE`]th after it, as far as has been asked for.
    milestones: Vec<Secret>,
    /// The epoch that was derived last, and its secret.
    last: (u32, Secret),
    keys: VecDeque<Arc<EpochKeys>>,
}

impl Epochs {
    /// From epoch 0 on, whose secret is the root.
    pub fn new(derivation: Derivation, root: Secret) -> Epochs {
        Epochs::from(derivation, 0, root)
    }

    fn from(derivation: Derivation, first: u32, secret: Secret) -> Epochs {
        Epochs { derivation, first, milestones: vec![secret.clone()], last: (first, secret), keys: VecDeque::new() }
    }

    /// The keys of an epoch.
    ///
    /// # Errors
    /// [`Error::Refused`] for an epoch over the limit, or before the first.
    pub fn keys(&mut self, epoch: u32) -> Result<Arc<EpochKeys>> {
        if let Some(keys) = self.keys.iter().find(|keys| keys.epoch == epoch) {
            return Ok(keys.clone());
        }
        self.reach(epoch)?;
        let keys = Arc::new(EpochKeys::derive(&self.derivation, epoch, &self.last.1));
        if self.keys.len() == KEYS_KEPT {
            self.keys.pop_front();
        }
        self.keys.push_back(keys.clone());
        Ok(keys)
    }

    /// Steps of the chain to an epoch from what is known.
    pub fn steps_to(&self, epoch: u32) -> u32 {
        let ahead = epoch.saturating_sub(self.first);
        let nearest = (ahead / STRIDE).min(self.milestones.len() as u32 - 1);
        let from = self.first + nearest * STRIDE;
        let from = if (from..=epoch).contains(&self.last.0) { self.last.0 } else { from };
        epoch.saturating_sub(from)
    }

    /// Wipes the secrets of all epochs before one.
    ///
    /// # Errors
    /// As [`Epochs::keys`].
    pub fn forget_before(&mut self, epoch: u32) -> Result<()> {
        self.reach(epoch)?;
        *self = Epochs::from(self.derivation, epoch, self.last.1.clone());
        Ok(())
    }

    /// Makes `last` the epoch asked for.
    fn reach(&mut self, epoch: u32) -> Result<()> {
        if epoch > limits::EPOCHS {
            return Err(Error::Refused("an epoch beyond the last one"));
        }
        let Some(ahead) = epoch.checked_sub(self.first) else {
            return Err(Error::Refused("an epoch whose keys have been wiped"));
        };
        let nearest = (ahead / STRIDE).min(self.milestones.len() as u32 - 1);
        let milestone = self.first + nearest * STRIDE;
        if !(milestone..=epoch).contains(&self.last.0) {
            self.last = (milestone, self.milestones[nearest as usize].clone());
        }
        while self.last.0 < epoch {
            self.last = (self.last.0 + 1, self.derivation.derive("ratchet", &self.last.1));
            if (self.last.0 - self.first) == self.milestones.len() as u32 * STRIDE {
                self.milestones.push(self.last.1.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Aead, Profile};

    fn epochs() -> Epochs {
        let (profile, aead) = (Profile::Hardened, Aead::Aes256Gcm);
        Epochs::new(Derivation { stream_id: [1; 16], profile, aead, head_hash: [2; 32] }, Secret::new([3; 32]))
    }

    /// The chain without shortcuts.
    fn secret(epoch: u32) -> [u8; 32] {
        let derivation = epochs().derivation;
        let first = Secret::new([3; 32]);
        *(0..epoch).fold(first, |secret, _| derivation.derive("ratchet", &secret)).bytes()
    }

    #[test]
    fn any_order_leads_to_the_same_secrets() {
        let mut epochs = epochs();
        for epoch in [0, 5000, 1, 1023, 1024, 1025, 4999, 5000, 2048, 0, 7, 6] {
            epochs.reach(epoch).expect("within limits");
            assert_eq!(*epochs.last.1.bytes(), secret(epoch), "epoch {epoch}");
        }
        assert_eq!(epochs.milestones.len(), 5);
    }

    #[test]
    fn what_is_forgotten_does_not_come_back() {
        let mut epochs = epochs();
        epochs.keys(2).expect("within limits");
        epochs.forget_before(3).expect("within limits");
        for epoch in 0..3 {
            assert!(matches!(epochs.keys(epoch), Err(Error::Refused(_))), "epoch {epoch}");
        }
        assert_eq!(epochs.milestones.len(), 1);
        epochs.reach(1030).expect("within limits");
        assert_eq!(*epochs.last.1.bytes(), secret(1030));
    }

    #[test]
    fn fail_beyond_the_last_epoch() {
        let mut epochs = epochs();
        assert!(matches!(epochs.keys(limits::EPOCHS + 1), Err(Error::Refused(_))));
        assert!(matches!(epochs.keys(u32::MAX), Err(Error::Refused(_))));
        epochs.keys(limits::EPOCHS).expect("the last one");
    }
}
