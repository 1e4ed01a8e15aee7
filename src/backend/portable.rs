//! Plain Rust for any processor. The lanes of a group run side by side in arrays, which the compiler turns into
//! whatever vectors the target has.

use super::{
    kernel::{self, Block, InstructionSet, Vector},
    tiles::{Step, Tile, TileKernel},
};
use crate::chaos::{BLOCK_BYTES, lane::word, permutation::Network};

/// The portable kernel. `mul_add` without a fused multiply-add instruction is a library call at every step, so the
/// same loop is compiled twice on x86-64 and the better one taken where the processor allows it.
#[derive(Debug)]
pub(super) struct Portable {
    fma: bool,
}

/// Lanes side by side: all 32.
const SIDE_BY_SIDE: usize = 32;
/// Rounds of a keystream batch.
const BATCH_ROUNDS: usize = 1;

impl Portable {
    pub fn detect() -> Portable {
        #[cfg(target_arch = "x86_64")]
        let fma = is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        let fma = false;
        Portable { fma }
    }
}

impl TileKernel for Portable {
    type Network = [u8; BLOCK_BYTES];

    fn name(&self) -> &'static str {
        "portable"
    }

    fn prepare(&self, network: &Network) -> Self::Network {
        network.table()
    }

    fn run(&self, step: Step, tile: &Tile<Self::Network>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES] {
        #[cfg(target_arch = "x86_64")]
        if self.fma {
            // SAFETY: `fma` is set only where the processor has it.
            return unsafe { run_with_fma(step, tile, src, dst) };
        }
        run(step, tile, src, dst)
    }
}

/// The same, compiled for processors with fused multiply-add.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "fma")]
fn run_with_fma(step: Step, tile: &Tile<[u8; BLOCK_BYTES]>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES] {
    run(step, tile, src, dst)
}

#[inline(always)]
fn run(step: Step, tile: &Tile<[u8; BLOCK_BYTES]>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES] {
    // SAFETY: plain Rust asks nothing of the processor.
    unsafe {
        match step {
            Step::Encrypt => kernel::run::<Plain, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::ENCRYPT }>(tile, src, dst),
            Step::Decrypt => kernel::run::<Plain, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::DECRYPT }>(tile, src, dst),
            Step::Keystream => kernel::run::<Plain, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::KEYSTREAM }>(tile, src, dst),
            Step::Permute => kernel::run::<Plain, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::PERMUTE }>(tile, src, dst),
        }
    }
}

struct Plain;

impl InstructionSet<SIDE_BY_SIDE, BATCH_ROUNDS> for Plain {
    type Vector = f64;
    type Network = [u8; BLOCK_BYTES];

    fn prepare(network: &Network) -> Self::Network {
        network.table()
    }

    #[inline(always)]
    unsafe fn permute_then_xor(table: &[u8; 256], src: &[u8; 256], row: &Block, dst: &mut [u8; 256]) {
        for i in 0..BLOCK_BYTES {
            dst[i] = src[table[i] as usize] ^ row.0[i];
        }
    }

    #[inline(always)]
    unsafe fn xor_then_permute(table: &[u8; 256], src: &[u8; 256], row: &Block, dst: &mut [u8; 256]) {
        let clear: [u8; BLOCK_BYTES] = std::array::from_fn(|i| src[i] ^ row.0[i]);
        for i in 0..BLOCK_BYTES {
            dst[i] = clear[table[i] as usize];
        }
    }

    #[inline(always)]
    unsafe fn prefetch(_block: &[u8; BLOCK_BYTES]) {}
}

impl Vector for f64 {
    const LANES: usize = 1;

    #[inline(always)]
    unsafe fn splat(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> f64 {
        // SAFETY: the caller gives one double.
        unsafe { from.read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller gives room for one double.
        unsafe { to.write(self) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: f64) -> f64 {
        self - other
    }

    #[inline(always)]
    unsafe fn mul(self, other: f64) -> f64 {
        self * other
    }

    #[inline(always)]
    unsafe fn fma(self, factor: f64, term: f64) -> f64 {
        self.mul_add(factor, term)
    }

    #[inline(always)]
    unsafe fn fnma(self, factor: f64, term: f64) -> f64 {
        (-self).mul_add(factor, term)
    }

    #[inline(always)]
    unsafe fn min(self, other: f64) -> f64 {
        if self < other { self } else { other }
    }

    #[inline(always)]
    unsafe fn store_words(self, s: f64, to: *mut u8) {
        // SAFETY: the caller gives room for one word.
        unsafe { to.cast::<[u8; 8]>().write(word(self, s).to_le_bytes()) }
    }
}
