//! One tile on any instruction set: keystream rows in small batches, and one block permuted and XORed with each.
//!
//! An instruction-set file gives a vector of doubles ([`Vector`]) and the block network on its registers
//! ([`InstructionSet`]); order of operations, lanes, rows and blocks are here, once for all.

use super::tiles::Tile;
use crate::chaos::{
    BLOCK_BYTES, LANE_SEED_BYTES, LANES,
    lane::{Lane, ROUNDS, WARM_UP},
    lorenz,
    lss::{SINE, T_MAX},
    permutation::Network,
};

/// A block, or a keystream row, aligned for every vector.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Block(pub [u8; BLOCK_BYTES]);

/// Several lanes' doubles in one register. Every operation rounds once, as the scalar one does.
///
/// # Safety
/// The methods may only be called where the processor has the instruction set.
pub(super) trait Vector: Copy {
    /// Doubles in a register.
    const LANES: usize;
    /// The same double in every lane.
    unsafe fn splat(value: f64) -> Self;
    /// From `LANES` doubles.
    unsafe fn load(from: *const f64) -> Self;
    /// To `LANES` doubles.
    unsafe fn store(self, to: *mut f64);
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once.
    unsafe fn fma(self, factor: Self, term: Self) -> Self;
    /// `term - self * factor`, rounded once.
    unsafe fn fnma(self, factor: Self, term: Self) -> Self;
    /// `self` where it is less than `other`, else `other`.
    unsafe fn min(self, other: Self) -> Self;
    /// Writes the keystream words of logistic-sine states `self` and Lorenz coordinates `s`: `8 * LANES` bytes.
    unsafe fn store_words(self, s: Self, to: *mut u8);
}

/// What an instruction-set file provides; `W` vectors of lanes run side by side to hide their latency, and keystream is
/// made in batches of `B` rounds, three rows each (`B` divides 64).
///
/// # Safety
/// The methods may only be called where the processor has the instruction set.
pub(super) trait InstructionSet<const W: usize, const B: usize> {
    /// Its vector of doubles.
    type Vector: Vector;
    /// A block network in the form in which it is applied.
    type Network: Copy + Sync;
    /// Brings a network into its form.
    fn prepare(network: &Network) -> Self::Network;
    /// `dst = network(src) ^ row`.
    unsafe fn permute_then_xor(
        network: &Self::Network,
        src: &[u8; BLOCK_BYTES],
        row: &Block,
        dst: &mut [u8; BLOCK_BYTES],
    );
    /// `dst = network(src ^ row)`.
    unsafe fn xor_then_permute(
        network: &Self::Network,
        src: &[u8; BLOCK_BYTES],
        row: &Block,
        dst: &mut [u8; BLOCK_BYTES],
    );
    /// Asks for a block that will be used soon.
    unsafe fn prefetch(block: &[u8; BLOCK_BYTES]);
}

/// How many blocks ahead a block is asked for: they stand in no order that the processor could guess.
const PREFETCH_BLOCKS: usize = 8;

/// What is done with a tile, as the number of a [`Step`](super::tiles::Step).
pub(super) const ENCRYPT: u8 = 0;
/// See [`ENCRYPT`].
pub(super) const DECRYPT: u8 = 1;
/// See [`ENCRYPT`].
pub(super) const KEYSTREAM: u8 = 2;
/// See [`ENCRYPT`].
pub(super) const PERMUTE: u8 = 3;

/// Runs a tile: `dst[b] = network(src[order[b]]) ^ row b` to encrypt, `dst[order[b]] = network(src[b] ^ row b)`, with
/// inverse networks, to decrypt; `dst[b] ^= row b` or `dst[b] = network(src[order[b]])` for the halves of the stage.
/// Returns the row after the last block (any row, where the tile is full or there is no keystream).
///
/// Instructions are only inlined where every function between them and the one that enables them is; that rules out
/// closures here and below.
///
/// # Safety
/// The processor has the instruction set `I`.
#[inline(always)]
pub(super) unsafe fn run<I: InstructionSet<W, B>, const W: usize, const B: usize, const STEP: u8>(
    tile: &Tile<I::Network>,
    src: &[u8],
    dst: &mut [u8],
) -> [u8; BLOCK_BYTES] {
    let (src, _) = src.as_chunks::<BLOCK_BYTES>();
    let (dst, _) = dst.as_chunks_mut::<BLOCK_BYTES>();
    // SAFETY: this function's own condition.
    unsafe {
        if STEP == PERMUTE {
            return permute_only::<I, W, B>(tile, src, dst);
        }
        match W * I::Vector::LANES == LANES {
            true => run_row_by_row::<I, W, B, STEP>(tile, src, dst),
            false => run_in_batches::<I, W, B, STEP>(tile, src, dst),
        }
    }
}

/// All lanes fit into registers: a row is used as soon as it is made, and while one block is permuted the maps, whose
/// steps wait for each other, go on.
#[inline(always)]
unsafe fn run_row_by_row<I: InstructionSet<W, B>, const W: usize, const B: usize, const STEP: u8>(
    tile: &Tile<I::Network>,
    src: &[[u8; BLOCK_BYTES]],
    dst: &mut [[u8; BLOCK_BYTES]],
) -> [u8; BLOCK_BYTES] {
    let mut lanes = Lanes::seeded(tile.seeds);
    let mut row = Block([0; BLOCK_BYTES]);
    let mut block = 0;
    // SAFETY: the caller's condition.
    unsafe {
        lanes.warm_up::<I::Vector, W>();
        let mut strip = Strip::<I::Vector, W>::load(&lanes, 0);
        for _ in 0..ROUNDS {
            strip.step_lorenz();
            for coordinate in 0..3 {
                strip.step_lss();
                strip.store_words(coordinate, 0, &mut row);
                if block == tile.order.len() {
                    return row.0;
                }
                move_block::<I, W, B, STEP>(tile, block, &row, src, dst);
                block += 1;
            }
        }
    }
    row.0
}

/// The lanes take turns in the registers: a batch of rows is made strip by strip, then used.
#[inline(always)]
unsafe fn run_in_batches<I: InstructionSet<W, B>, const W: usize, const B: usize, const STEP: u8>(
    tile: &Tile<I::Network>,
    src: &[[u8; BLOCK_BYTES]],
    dst: &mut [[u8; BLOCK_BYTES]],
) -> [u8; BLOCK_BYTES] {
    let mut lanes = Lanes::seeded(tile.seeds);
    let mut rows = [[Block([0; BLOCK_BYTES]); 3]; B];
    let mut block = 0;
    // SAFETY: the caller's condition.
    unsafe {
        lanes.warm_up::<I::Vector, W>();
        for _ in 0..ROUNDS / B {
            lanes.fill::<I::Vector, W>(&mut rows);
            for row in rows.as_flattened() {
                if block == tile.order.len() {
                    return row.0;
                }
                move_block::<I, W, B, STEP>(tile, block, row, src, dst);
                block += 1;
            }
        }
    }
    rows[B - 1][2].0
}

/// The permutation without the keystream.
#[inline(always)]
unsafe fn permute_only<I: InstructionSet<W, B>, const W: usize, const B: usize>(
    tile: &Tile<I::Network>,
    src: &[[u8; BLOCK_BYTES]],
    dst: &mut [[u8; BLOCK_BYTES]],
) -> [u8; BLOCK_BYTES] {
    let row = Block([0; BLOCK_BYTES]);
    for block in 0..tile.order.len() {
        // SAFETY: the caller's condition.
        unsafe { move_block::<I, W, B, ENCRYPT>(tile, block, &row, src, dst) };
    }
    row.0
}

/// Permutes one block and XORs it with its row.
#[inline(always)]
unsafe fn move_block<I: InstructionSet<W, B>, const W: usize, const B: usize, const STEP: u8>(
    tile: &Tile<I::Network>,
    block: usize,
    row: &Block,
    src: &[[u8; BLOCK_BYTES]],
    dst: &mut [[u8; BLOCK_BYTES]],
) {
    if STEP == KEYSTREAM {
        for i in 0..BLOCK_BYTES {
            dst[block][i] ^= row.0[i];
        }
        return;
    }
    let (plain, network) = (tile.order[block] as usize, &tile.networks[tile.choice[block] as usize]);
    let ahead = tile.order[(block + PREFETCH_BLOCKS).min(tile.order.len() - 1)] as usize;
    // SAFETY: the caller's condition.
    unsafe {
        if STEP == ENCRYPT {
            I::prefetch(&src[ahead]);
            I::permute_then_xor(network, &src[plain], row, &mut dst[block]);
        } else {
            I::prefetch(&dst[ahead]);
            I::xor_then_permute(network, &src[block], row, &mut dst[plain]);
        }
    }
}

/// The lanes of a group, one array for each state variable.
#[repr(align(64))]
struct Lanes {
    t: [f64; LANES],
    u: [f64; LANES],
    v: [f64; LANES],
    x: [f64; LANES],
    y: [f64; LANES],
    z: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn seeded(seeds: &[u8]) -> Lanes {
        let (seeds, _) = seeds.as_chunks::<LANE_SEED_BYTES>();
        let mut lanes = Lanes {
            t: [0.0; LANES],
            u: [0.0; LANES],
            v: [0.0; LANES],
            x: [0.0; LANES],
            y: [0.0; LANES],
            z: [0.0; LANES],
        };
        for (i, seed) in seeds.iter().enumerate() {
            let Lane { t, u, v, x, y, z } = Lane::from_seed(seed);
            (lanes.t[i], lanes.u[i], lanes.v[i]) = (t, u, v);
            (lanes.x[i], lanes.y[i], lanes.z[i]) = (x, y, z);
        }
        lanes
    }

    #[inline(always)]
    unsafe fn warm_up<V: Vector, const W: usize>(&mut self) {
        for first in (0..LANES).step_by(W * V::LANES) {
            // SAFETY: the caller's condition.
            unsafe {
                let mut strip = Strip::<V, W>::load(self, first);
                for _ in 0..WARM_UP {
                    strip.step_lss();
                    strip.step_lorenz();
                }
                strip.store(self, first);
            }
        }
    }

    /// Fills rows, three for each round: a Lorenz step, then for x, y, z in turn a logistic-sine step and a row of words.
    #[inline(always)]
    unsafe fn fill<V: Vector, const W: usize>(&mut self, rows: &mut [[Block; 3]]) {
        for first in (0..LANES).step_by(W * V::LANES) {
            // SAFETY: the caller's condition.
            unsafe {
                let mut strip = Strip::<V, W>::load(self, first);
                for round in rows.iter_mut() {
                    strip.step_lorenz();
                    for coordinate in 0..3 {
                        strip.step_lss();
                        strip.store_words(coordinate, first, &mut round[coordinate]);
                    }
                }
                strip.store(self, first);
            }
        }
    }
}

/// Lanes in registers.
struct Strip<V, const W: usize> {
    t: [V; W],
    u: [V; W],
    v: [V; W],
    x: [V; W],
    y: [V; W],
    z: [V; W],
}

impl<V: Vector, const W: usize> Strip<V, W> {
    /// Lanes `first` to `first + W * V::LANES`, which is at most 32.
    #[inline(always)]
    unsafe fn load(lanes: &Lanes, first: usize) -> Self {
        assert!(first + W * V::LANES <= LANES);
        // SAFETY: the caller's condition; the lanes are among the 32.
        unsafe {
            let zero = V::splat(0.0);
            let mut strip =
                Strip { t: [zero; W], u: [zero; W], v: [zero; W], x: [zero; W], y: [zero; W], z: [zero; W] };
            for i in 0..W {
                let at = first + i * V::LANES;
                strip.t[i] = V::load(lanes.t.as_ptr().add(at));
                strip.u[i] = V::load(lanes.u.as_ptr().add(at));
                strip.v[i] = V::load(lanes.v.as_ptr().add(at));
                strip.x[i] = V::load(lanes.x.as_ptr().add(at));
                strip.y[i] = V::load(lanes.y.as_ptr().add(at));
                strip.z[i] = V::load(lanes.z.as_ptr().add(at));
            }
            strip
        }
    }

    /// Puts back what the steps have changed.
    #[inline(always)]
    unsafe fn store(&self, lanes: &mut Lanes, first: usize) {
        assert!(first + W * V::LANES <= LANES);
        // SAFETY: the caller's condition; the lanes are among the 32.
        unsafe {
            for i in 0..W {
                let at = first + i * V::LANES;
                self.t[i].store(lanes.t.as_mut_ptr().add(at));
                self.x[i].store(lanes.x.as_mut_ptr().add(at));
                self.y[i].store(lanes.y.as_mut_ptr().add(at));
                self.z[i].store(lanes.z.as_mut_ptr().add(at));
            }
        }
    }

    /// The words of all lanes for x, y or z, at their places in the row.
    #[inline(always)]
    unsafe fn store_words(&self, coordinate: usize, first: usize, row: &mut Block) {
        assert!(first + W * V::LANES <= LANES);
        let s = [&self.x, &self.y, &self.z][coordinate];
        // SAFETY: the caller's condition; 8 bytes for each of the row's 32 lanes.
        unsafe {
            for i in 0..W {
                self.t[i].store_words(s[i], row.0.as_mut_ptr().add(8 * (first + i * V::LANES)));
            }
        }
    }

    /// [`lss::step`](crate::chaos::lss::step) on every lane.
    #[inline(always)]
    unsafe fn step_lss(&mut self) {
        // SAFETY: the caller's condition.
        unsafe {
            for i in 0..W {
                let w = self.t[i].fnma(self.t[i], self.t[i]);
                let mut p = V::splat(SINE[7]);
                let mut k = 7;
                while k > 0 {
                    k -= 1;
                    p = p.fma(w, V::splat(SINE[k]));
                }
                self.t[i] = w.mul(self.v[i].fma(p, self.u[i])).min(V::splat(T_MAX));
            }
        }
    }

    /// [`lorenz::step`] on every lane.
    #[inline(always)]
    unsafe fn step_lorenz(&mut self) {
        // SAFETY: the caller's condition.
        unsafe {
            for i in 0..W {
                let (y, z) = (self.y[i], self.z[i]);
                let x = V::splat(lorenz::H_SIGMA).fma(y, self.x[i].mul(V::splat(lorenz::ONE_MINUS_H_SIGMA)));
                let hx = V::splat(lorenz::H).mul(x);
                let y = hx.fma(V::splat(28.0).sub(z), y.mul(V::splat(lorenz::ONE_MINUS_H)));
                let z = hx.fma(y, z.mul(V::splat(lorenz::ONE_MINUS_H_BETA)));
                (self.x[i], self.y[i], self.z[i]) = (x, y, z);
            }
        }
    }
}
