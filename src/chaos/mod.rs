//! The chaotic stage as specified (`seal/FORMAT.md`, section 9): `dst[i] = src[p[i]] ^ keystream[i]`.
//!
//! In: a [`FrameKey`] and the length of a frame. Out: a [`FramePlan`], everything that a backend needs to run the stage
//! (lane seeds on demand, networks, block and tile orders). Nothing here touches frame bytes, except [`mod@reference`],
//! the whole stage in the plainest words, which every backend must equal.
//!
//! Read next: [`lss`] and [`lorenz`] (the maps), [`lane`] (one keystream lane), [`permutation`], then `backend`.
//!
//! The maps come from Liu et al. 2022 (RITEM-CF-AN): logistic-sine system for the four low bit planes, Lorenz for the
//! four high ones. The stage is defence in depth and a subject of study; confidentiality rests on the AEAD in `seal`.

pub mod lane;
pub mod lorenz;
pub mod lss;
pub mod permutation;
pub mod plan;
pub mod reference;

pub use plan::{FrameKey, FramePlan};

/// Bytes of a permutation block: 16 x 16, and one keystream row (32 lanes x 8 bytes).
pub const BLOCK_BYTES: usize = 256;
/// Blocks of a tile, and keystream rows of a lane group.
pub const TILE_BLOCKS: usize = 192;
/// Bytes of a tile, and of what one lane group yields.
pub const TILE_BYTES: usize = BLOCK_BYTES * TILE_BLOCKS;
/// Lanes of a group.
pub const LANES: usize = 32;
/// Bytes of the "lanes" output that belong to one lane; the first 40 are used.
pub const LANE_SEED_BYTES: usize = 64;
/// Bytes of the "lanes" output that seed one group.
pub const GROUP_SEED_BYTES: usize = LANES * LANE_SEED_BYTES;
