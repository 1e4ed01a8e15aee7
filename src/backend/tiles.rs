//! Walks a frame tile by tile for every CPU backend: which input tile, which block order, which lanes; and the tail.

use std::{fmt, hint::black_box};

use rayon::prelude::*;

use super::Backend;
use crate::chaos::{
    BLOCK_BYTES, FramePlan, GROUP_SEED_BYTES, TILE_BLOCKS, TILE_BYTES,
    permutation::{NETWORKS, Network, Permutation, Shape},
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

/// One tile on one instruction set. `src` and `dst` hold the tile's full blocks; the return value is the keystream row
/// after the last block (unspecified when the tile is full), for the tail.
pub(super) trait TileKernel: Send + Sync + fmt::Debug {
    /// A block network in the form in which the kernel applies it.
    type Network: Sync;
    fn name(&self) -> &'static str;
    /// Brings a network into that form: done once a frame.
    fn prepare(&self, network: &Network) -> Self::Network;
    /// `dst[b] = network(src[order[b]]) ^ row b`.
    fn encrypt(&self, tile: &Tile<Self::Network>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES];
    /// `dst[order[b]] = inverse network(src[b] ^ row b)`.
    fn decrypt(&self, tile: &Tile<Self::Network>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES];
}

/// A backend out of a tile kernel.
#[derive(Debug)]
pub(super) struct Cpu<K>(pub K);

impl<K: TileKernel> Backend for Cpu<K> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        check_lengths(plan, src, dst);
        check_rounding();
        let parts = plan.permutation();
        let networks = parts.networks.each_ref().map(|network| self.0.prepare(network));
        let shape = Shape::of(plan.len());
        let full = |permuted: usize, out: &mut [u8]| {
            let plain = parts.tile_order[permuted] as usize;
            let tile = full_tile(parts, &networks, permuted);
            self.0.encrypt(&tile.with_seeds(&plan.group_seeds(permuted)), tile_of(src, plain), out);
        };
        let (tiles, last) = dst.split_at_mut(shape.tiles * TILE_BYTES);
        each_tile(tiles, pool, full);
        let (blocks, tail) = last.split_at_mut(shape.last_blocks * BLOCK_BYTES);
        let (src_blocks, src_tail) = src[shape.tiles * TILE_BYTES..].split_at(blocks.len());
        let tile = last_tile(parts, &networks, shape);
        let row = self.0.encrypt(&tile.with_seeds(&plan.group_seeds(shape.tiles)), src_blocks, blocks);
        for ((out, &from), k) in tail.iter_mut().zip(&parts.tail_order).zip(row) {
            *out = src_tail[from as usize] ^ k;
        }
    }

    fn decrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
        check_lengths(plan, src, dst);
        check_rounding();
        let parts = plan.permutation();
        let networks = parts.networks.each_ref().map(|network| self.0.prepare(&network.inverse()));
        let shape = Shape::of(plan.len());
        let full = |plain: usize, out: &mut [u8]| {
            let permuted = parts.tile_position[plain] as usize;
            let tile = full_tile(parts, &networks, permuted);
            self.0.decrypt(&tile.with_seeds(&plan.group_seeds(permuted)), tile_of(src, permuted), out);
        };
        let (tiles, last) = dst.split_at_mut(shape.tiles * TILE_BYTES);
        each_tile(tiles, pool, full);
        let (blocks, tail) = last.split_at_mut(shape.last_blocks * BLOCK_BYTES);
        let (src_blocks, src_tail) = src[shape.tiles * TILE_BYTES..].split_at(blocks.len());
        let tile = last_tile(parts, &networks, shape);
        let row = self.0.decrypt(&tile.with_seeds(&plan.group_seeds(shape.tiles)), src_blocks, blocks);
        for ((byte, &to), k) in src_tail.iter().zip(&parts.tail_order).zip(row) {
            tail[to as usize] = byte ^ k;
        }
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

fn check_lengths(plan: &FramePlan, src: &[u8], dst: &[u8]) {
    assert_eq!((src.len(), dst.len()), (plan.len(), plan.len()), "source and destination are as long as the plan");
}

fn tile_of(bytes: &[u8], tile: usize) -> &[u8] {
    &bytes[tile * TILE_BYTES..(tile + 1) * TILE_BYTES]
}

/// Runs `work` on every tile of `tiles`, on this thread or over the pool.
fn each_tile(tiles: &mut [u8], pool: Option<&rayon::ThreadPool>, work: impl Fn(usize, &mut [u8]) + Sync) {
    match pool {
        None => tiles.chunks_exact_mut(TILE_BYTES).enumerate().for_each(|(i, tile)| work(i, tile)),
        Some(pool) => {
            pool.install(|| tiles.par_chunks_exact_mut(TILE_BYTES).enumerate().for_each(|(i, tile)| work(i, tile)));
        }
    }
}

/// A tile whose seeds are still to come.
struct Unseeded<'a, N> {
    order: &'a [u8],
    choice: &'a [u8],
    networks: &'a [N; NETWORKS],
}

impl<'a, N> Unseeded<'a, N> {
    fn with_seeds(&self, seeds: &'a [u8; GROUP_SEED_BYTES]) -> Tile<'a, N> {
        Tile { seeds, order: self.order, choice: self.choice, networks: self.networks }
    }
}

fn full_tile<'a, N>(parts: &'a Permutation, networks: &'a [N; NETWORKS], permuted: usize) -> Unseeded<'a, N> {
    Unseeded {
        order: &parts.orders[parts.tile_choice[permuted] as usize],
        choice: &parts.block_choice[permuted * TILE_BLOCKS..(permuted + 1) * TILE_BLOCKS],
        networks,
    }
}

fn last_tile<'a, N>(parts: &'a Permutation, networks: &'a [N; NETWORKS], shape: Shape) -> Unseeded<'a, N> {
    Unseeded { order: &parts.last_order, choice: &parts.block_choice[shape.tiles * TILE_BLOCKS..], networks }
}
