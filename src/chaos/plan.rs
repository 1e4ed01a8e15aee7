//! Everything of one frame that a backend needs: the permutation, and lane seeds on demand.

use zeroize::{Zeroize, Zeroizing};

use super::{GROUP_SEED_BYTES, permutation::Permutation};

/// Key of the chaotic stage for one frame, derived from the stream's chaos key and the frame's tags (FORMAT.md, section 5).
#[derive(Clone)]
pub struct FrameKey(Zeroizing<[u8; 32]>);

impl FrameKey {
    /// Wraps 32 derived bytes.
    pub fn new(bytes: [u8; 32]) -> FrameKey {
        FrameKey(Zeroizing::new(bytes))
    }

    /// The bytes, for those who derive lanes elsewhere.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "what derives lanes elsewhere needs it"))]
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The extendable output with the given name, "lanes" or "perm".
    pub fn output(&self, name: &str) -> blake3::OutputReader {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        let output = hasher.update(name.as_bytes()).finalize_xof();
        hasher.zeroize();
        output
    }
}

/// The plan of one frame. A worker keeps one and prepares it anew for each frame; nothing is allocated once it has met
/// its largest frame.
pub struct FramePlan {
    len: usize,
    key: FrameKey,
    lanes: blake3::OutputReader,
    permutation: Permutation,
}

impl Default for FramePlan {
    fn default() -> Self {
        let key = FrameKey::new([0; 32]);
        FramePlan { len: 0, lanes: key.output("lanes"), key, permutation: Permutation::default() }
    }
}

impl FramePlan {
    /// Prepares the stage for a frame of `len` bytes under `key`.
    pub fn prepare(&mut self, key: &FrameKey, len: usize) {
        self.len = len;
        self.key = key.clone();
        self.lanes.zeroize();
        self.lanes = key.output("lanes");
        self.permutation.draw(len, key.output("perm"));
    }

    /// Key of the frame.
    #[cfg(feature = "cuda")]
    pub(crate) fn key(&self) -> &FrameKey {
        &self.key
    }

    /// Length of the frame in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the frame has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The permutation of the frame.
    pub fn permutation(&self) -> &Permutation {
        &self.permutation
    }

    /// Seeds of the 32 lanes of group `group`: 32 x 64 bytes of the "lanes" output.
    pub fn group_seeds(&self, group: usize) -> [u8; GROUP_SEED_BYTES] {
        let mut seeds = [0; GROUP_SEED_BYTES];
        let mut output = self.lanes.clone();
        output.set_position((group * GROUP_SEED_BYTES) as u64);
        output.fill(&mut seeds);
        output.zeroize();
        seeds
    }
}

/// The output's state holds the frame's key.
impl Drop for FramePlan {
    fn drop(&mut self) {
        self.lanes.zeroize();
    }
}
