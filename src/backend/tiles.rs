//! Walks a frame tile by tile for every CPU backend: which input tile, which block order, which lanes; and the tail.

use std::{cell::RefCell, fmt, hint::black_box};

use rayon::prelude::*;

use super::{Backend, Open, memory};
use crate::{
    Result,
    chaos::{
        BLOCK_BYTES, FramePlan, GROUP_SEED_BYTES, TILE_BLOCKS, TILE_BYTES,
        permutation::{NETWORKS, Network, Shape},
    },
};

/// What a tile kernel is given: up to 192 blocks in some order, their networks, and the seeds of their keystream.
pub(super) struct Tile<'a, N> {
    /// Seeds of the tile's 32 lanes.
    pub seeds: &'a [u8; GROUP_SEED_BYTES],
    /// Permuted block `b` belongs at plain block `order[b]`; its length is the number of blocks.
    pub order: &'a [u8],
    /// Network of each permuted block.
    pub choice: &'a [u8],
    /// The frame's networks on encryption, their inverses on decryption, in the kernel's own form.
    pub networks: &'a [N; NETWORKS],
}

/// What is done with a tile; the values are those of `kernel`'s constants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// `dst[b] = network(src[order[b]]) ^ row b`.
    Encrypt,
    /// `dst[order[b]] = inverse network(src[b] ^ row b)`.
    Decrypt,
    /// `dst[b] ^= row b`.
    Keystream,
    /// `dst[b] = network(src[order[b]])`.
    Permute,
}

impl Step {
    /// Every step, in the order of their values.
    #[cfg(feature = "cuda")]
    pub const ALL: [Step; 4] = [Step::Encrypt, Step::Decrypt, Step::Keystream, Step::Permute];
}

/// One tile on one instruction set. `src` and `dst` hold the tile's full blocks; the return value is the keystream row
/// after the last block (unspecified when the tile is full), for the tail.
pub(super) trait TileKernel: Send + Sync + fmt::Debug {
    /// A block network in the form in which the kernel applies it.
    type Network: Sync;
    fn name(&self) -> &'static str;
    /// Brings a network into that form: done once a frame.
    fn prepare(&self, network: &Network) -> Self::Network;
    /// Runs one step over one tile.
    fn run(&self, step: Step, tile: &Tile<Self::Network>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES];
}

/// A backend out of a tile kernel.
#[derive(Debug)]
pub(super) struct Cpu<K>(pub K);

impl<K: TileKernel> Backend for Cpu<K> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.forward(Step::Encrypt, plan, src, dst, pool);
    }

    fn decrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        check_lengths(plan, src, dst);
        let frame = Frame::new(&self.0, Step::Decrypt, plan);
        each_piece(dst, TILE_BYTES, pool, |tile, out| frame.decrypt(src, tile * TILE_BYTES, out));
    }

    fn decrypt_segments(
        &self,
        plan: &FramePlan,
        src: &[u8],
        dst: &mut [u8],
        segment_bytes: usize,
        pool: Option<&rayon::ThreadPool>,
        open: Open,
    ) -> Result<()> {
        check_lengths(plan, src, dst);
        assert!(segment_bytes.is_multiple_of(TILE_BYTES), "segments are whole tiles");
        let frame = Frame::new(&self.0, Step::Decrypt, plan);
        let work = |(segment, out): (usize, &mut [u8])| {
            SEGMENT.with_borrow_mut(|sealed| {
                memory::resize(sealed, out.len());
                let start = segment * segment_bytes;
                for (tile, piece) in sealed.chunks_mut(TILE_BYTES).enumerate() {
                    frame.decrypt(src, start + tile * TILE_BYTES, piece);
                }
                open(segment, sealed, out)
            })
        };
        match pool {
            _ if dst.is_empty() => open(0, &[], dst),
            None => dst.chunks_mut(segment_bytes).enumerate().try_for_each(work),
            Some(pool) => pool.install(|| dst.par_chunks_mut(segment_bytes).enumerate().try_for_each(work)),
        }
    }

    fn keystream(&self, plan: &FramePlan, dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        check_length(plan, dst);
        let frame = Frame::new(&self.0, Step::Keystream, plan);
        each_piece(dst, TILE_BYTES, pool, |tile, out| frame.forward(&[], tile, out));
    }

    fn permute(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        self.forward(Step::Permute, plan, src, dst, pool);
    }
}

thread_local! {
    /// A segment between stage and seal: it stays in the core's own cache.
    static SEGMENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<K: TileKernel> Cpu<K> {
    fn forward(&self, step: Step, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        check_lengths(plan, src, dst);
        let frame = Frame::new(&self.0, step, plan);
        each_piece(dst, TILE_BYTES, pool, |tile, out| frame.forward(src, tile, out));
    }
}

/// A frame on its way through one step.
struct Frame<'a, K: TileKernel> {
    kernel: &'a K,
    step: Step,
    plan: &'a FramePlan,
    networks: [K::Network; NETWORKS],
    shape: Shape,
}

impl<'a, K: TileKernel> Frame<'a, K> {
    fn new(kernel: &'a K, step: Step, plan: &'a FramePlan) -> Self {
        check_rounding();
        let networks = plan.permutation().networks.each_ref().map(|network| match step {
            Step::Decrypt => kernel.prepare(&network.inverse()),
            _ => kernel.prepare(network),
        });
        Frame { kernel, step, plan, networks, shape: Shape::of(plan.len()) }
    }

    /// Makes permuted tile `permuted`, full or the last, from the whole input; keystream alone takes none.
    fn forward(&self, src: &[u8], permuted: usize, out: &mut [u8]) {
        let parts = self.plan.permutation();
        let seeds = self.plan.group_seeds(permuted);
        let has_input = !matches!(self.step, Step::Keystream);
        if permuted < self.shape.tiles {
            let plain = parts.tile_order[permuted] as usize;
            let from = if has_input { tile_of(src, plain) } else { src };
            self.kernel.run(self.step, &self.full_tile(permuted, &seeds), from, out);
            return;
        }
        let (blocks, tail) = out.split_at_mut(self.shape.last_blocks * BLOCK_BYTES);
        let last = if has_input { &src[self.shape.tiles * TILE_BYTES..] } else { src };
        let (src_blocks, src_tail) = last.split_at(if has_input { blocks.len() } else { 0 });
        let row = self.kernel.run(self.step, &self.last_tile(&seeds), src_blocks, blocks);
        for ((out, &from), k) in tail.iter_mut().zip(&parts.tail_order).zip(row) {
            *out = k ^ if has_input { src_tail[from as usize] } else { *out };
        }
    }

    /// Makes the plain tile, full or the last, that begins at `start`, from the whole input.
    fn decrypt(&self, src: &[u8], start: usize, out: &mut [u8]) {
        let parts = self.plan.permutation();
        let plain = start / TILE_BYTES;
        if plain < self.shape.tiles {
            let permuted = parts.tile_position[plain] as usize;
            let seeds = self.plan.group_seeds(permuted);
            self.kernel.run(self.step, &self.full_tile(permuted, &seeds), tile_of(src, permuted), out);
            return;
        }
        let seeds = self.plan.group_seeds(plain);
        let (blocks, tail) = out.split_at_mut(self.shape.last_blocks * BLOCK_BYTES);
        let (src_blocks, src_tail) = src[start..].split_at(blocks.len());
        let row = self.kernel.run(self.step, &self.last_tile(&seeds), src_blocks, blocks);
        for ((byte, &to), k) in src_tail.iter().zip(&parts.tail_order).zip(row) {
            tail[to as usize] = byte ^ k;
        }
    }

    fn full_tile<'t>(&'t self, permuted: usize, seeds: &'t [u8; GROUP_SEED_BYTES]) -> Tile<'t, K::Network> {
        let parts = self.plan.permutation();
        Tile {
            seeds,
            order: &parts.orders[parts.tile_choice[permuted] as usize],
            choice: &parts.block_choice[permuted * TILE_BLOCKS..(permuted + 1) * TILE_BLOCKS],
            networks: &self.networks,
        }
    }

    fn last_tile<'t>(&'t self, seeds: &'t [u8; GROUP_SEED_BYTES]) -> Tile<'t, K::Network> {
        let parts = self.plan.permutation();
        let choice = &parts.block_choice[self.shape.tiles * TILE_BLOCKS..];
        Tile { seeds, order: &parts.last_order, choice, networks: &self.networks }
    }
}

/// The stage is exact only where doubles round to nearest even, as every thread does unless a library in the same process
/// has set it otherwise. A frame is rather lost than sealed so that no other machine can open it.
fn check_rounding() {
    let half_ulp = f64::EPSILON / 2.0;
    let (up, down) = (black_box(1.0) + black_box(1.5 * half_ulp), black_box(1.0) + black_box(half_ulp));
    let (minus_up, minus_down) = (black_box(-1.0) - black_box(1.5 * half_ulp), black_box(-1.0) - black_box(half_ulp));
    let nearest = up > 1.0 && down == 1.0 && minus_up < -1.0 && minus_down == -1.0;
    assert!(nearest, "this thread does not round to nearest");
}

/// A frame is as long as its plan: whoever gives another one has mixed up frames.
pub(super) fn check_length(plan: &FramePlan, bytes: &[u8]) {
    assert_eq!(bytes.len(), plan.len(), "a frame is as long as its plan");
}

/// As [`check_length`], of both ends.
pub(super) fn check_lengths(plan: &FramePlan, src: &[u8], dst: &[u8]) {
    check_length(plan, src);
    check_length(plan, dst);
}

fn tile_of(bytes: &[u8], tile: usize) -> &[u8] {
    &bytes[tile * TILE_BYTES..(tile + 1) * TILE_BYTES]
}

/// Runs `work` on every piece of `bytes`, on this thread or over the pool.
fn each_piece(
    bytes: &mut [u8],
    piece_bytes: usize,
    pool: Option<&rayon::ThreadPool>,
    work: impl Fn(usize, &mut [u8]) + Sync,
) {
    match pool {
        None => bytes.chunks_mut(piece_bytes).enumerate().for_each(|(i, piece)| work(i, piece)),
        Some(pool) => {
            pool.install(|| bytes.par_chunks_mut(piece_bytes).enumerate().for_each(|(i, piece)| work(i, piece)));
        }
    }
}
