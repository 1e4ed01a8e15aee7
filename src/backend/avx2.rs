//! AVX2 with FMA: four lanes to a register, a block in eight registers.
//!
//! A register holds two rows of the block, one in each 128-bit lane: row permutations are `vpshufb`. Registers are loaded
//! straight from memory, so register `i` holds rows `2i` and `2i+1`; three rounds of unpacking then collect, in each lane,
//! eight rows' bytes of a column, and `vpermq` joins the even rows' bytes with the odd rows'. The column's bytes stand
//! in the order 0, 2, .. 14, 1, 3, .. 15, which the next layer's indices take into account.

use std::arch::x86_64::*;

use super::{
    kernel::{self, Block, InstructionSet, Vector},
    tiles::{Step, Tile, TileKernel},
};
use crate::chaos::{BLOCK_BYTES, permutation::Network};

/// Vectors side by side: half of the 32 lanes, since there are sixteen registers.
const SIDE_BY_SIDE: usize = 4;
/// Rounds of a keystream batch.
const BATCH_ROUNDS: usize = 8;

/// The AVX2 kernel; it can only be made where the processor has what it needs.
#[derive(Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The kernel, where the processor has AVX2 and FMA.
    pub fn detect() -> Option<Avx2> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }
}

impl TileKernel for Avx2 {
    type Network = Indices;

    fn name(&self) -> &'static str {
        "avx2"
    }

    fn prepare(&self, network: &Network) -> Indices {
        <Set as InstructionSet<SIDE_BY_SIDE, BATCH_ROUNDS>>::prepare(network)
    }

    fn run(&self, step: Step, tile: &Tile<Indices>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES] {
        // SAFETY: the kernel exists only where the processor has the instructions.
        unsafe { run(step, tile, src, dst) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn run(step: Step, tile: &Tile<Indices>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES] {
    // SAFETY: this function has the instructions enabled.
    unsafe {
        match step {
            Step::Encrypt => kernel::run::<Set, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::ENCRYPT }>(tile, src, dst),
            Step::Decrypt => kernel::run::<Set, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::DECRYPT }>(tile, src, dst),
            Step::Keystream => kernel::run::<Set, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::KEYSTREAM }>(tile, src, dst),
            Step::Permute => kernel::run::<Set, SIDE_BY_SIDE, BATCH_ROUNDS, { kernel::PERMUTE }>(tile, src, dst),
        }
    }
}

/// A network as byte indices for `vpshufb`: `[layer][register]`.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Indices([[[u8; 32]; 8]; 3]);

struct Set;

impl InstructionSet<SIDE_BY_SIDE, BATCH_ROUNDS> for Set {
    type Vector = Doubles;
    type Network = Indices;

    fn prepare(network: &Network) -> Indices {
        let mut indices = [[[0; 32]; 8]; 3];
        for (layer, registers) in indices.iter_mut().enumerate() {
            for (register, index) in registers.iter_mut().enumerate() {
                for (at, byte) in index.iter_mut().enumerate() {
                    let from = network.layers[layer][2 * register + at / 16][at % 16];
                    *byte = if layer == 0 { from } else { 8 * (from % 2) + from / 2 };
                }
            }
        }
        Indices(indices)
    }

    #[inline(always)]
    unsafe fn permute_then_xor(indices: &Indices, src: &[u8; 256], row: &Block, dst: &mut [u8; 256]) {
        // SAFETY: the caller has the instructions.
        unsafe { store(xor(permute(indices, load_block(src)), load_block(&row.0)), dst) }
    }

    #[inline(always)]
    unsafe fn xor_then_permute(indices: &Indices, src: &[u8; 256], row: &Block, dst: &mut [u8; 256]) {
        // SAFETY: the caller has the instructions.
        unsafe { store(permute(indices, xor(load_block(src), load_block(&row.0))), dst) }
    }

    #[inline(always)]
    unsafe fn prefetch(block: &[u8; 256]) {
        // SAFETY: the caller has the instructions.
        unsafe { prefetch_block(block) }
    }
}

/// Asks for the four cache lines of a block.
#[inline(always)]
unsafe fn prefetch_block(block: &[u8; 256]) {
    for line in 0..4 {
        // SAFETY: the caller has the instructions; four lines of 64 bytes are a block.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().add(64 * line).cast()) };
    }
}

/// A block in registers.
type Registers = [__m256i; 8];

#[inline(always)]
unsafe fn load_block(block: &[u8; 256]) -> Registers {
    // SAFETY: the caller has the instructions; 8 times 32 bytes are a block.
    unsafe {
        let mut registers = [_mm256_setzero_si256(); 8];
        for i in 0..8 {
            registers[i] = load(block.as_ptr().add(32 * i));
        }
        registers
    }
}

#[inline(always)]
unsafe fn store(registers: Registers, block: &mut [u8; 256]) {
    // SAFETY: the caller has the instructions; 8 times 32 bytes are a block.
    unsafe {
        for i in 0..8 {
            _mm256_storeu_si256(block.as_mut_ptr().add(32 * i).cast(), registers[i]);
        }
    }
}

#[inline(always)]
unsafe fn xor(mut a: Registers, b: Registers) -> Registers {
    // SAFETY: the caller has the instructions.
    unsafe {
        for i in 0..8 {
            a[i] = _mm256_xor_si256(a[i], b[i]);
        }
    }
    a
}

#[inline(always)]
unsafe fn load(from: *const u8) -> __m256i {
    // SAFETY: the caller has the instructions and gives 32 bytes.
    unsafe { _mm256_loadu_si256(from.cast()) }
}

/// The network on eight registers.
#[inline(always)]
unsafe fn permute(indices: &Indices, mut block: Registers) -> Registers {
    // SAFETY: the caller has the instructions.
    unsafe {
        for layer in 0..3 {
            if layer > 0 {
                block = transpose(block);
            }
            for i in 0..8 {
                block[i] = _mm256_shuffle_epi8(block[i], load(indices.0[layer][i].as_ptr()));
            }
        }
    }
    block
}

/// Columns `2k` and `2k+1` to register `k`; a column's bytes in the order of rows 0, 2, .. 14, 1, 3, .. 15.
#[inline(always)]
unsafe fn transpose(r: Registers) -> Registers {
    // SAFETY: the caller has the instructions.
    unsafe {
        // In each lane: bytes of rows i and i+4 (of the lane's eight), then of four rows, then of all eight.
        let (mut a, mut b) = (r, r);
        for i in 0..4 {
            a[2 * i] = _mm256_unpacklo_epi8(r[i], r[i + 4]);
            a[2 * i + 1] = _mm256_unpackhi_epi8(r[i], r[i + 4]);
        }
        for i in 0..4 {
            b[2 * i] = _mm256_unpacklo_epi8(a[i], a[i + 4]);
            b[2 * i + 1] = _mm256_unpackhi_epi8(a[i], a[i + 4]);
        }
        for i in 0..4 {
            a[2 * i] = _mm256_unpacklo_epi8(b[i], b[i + 4]);
            a[2 * i + 1] = _mm256_unpackhi_epi8(b[i], b[i + 4]);
        }
        for i in 0..8 {
            a[i] = _mm256_permute4x64_epi64::<0b11_01_10_00>(a[i]);
        }
        a
    }
}

/// Four doubles.
#[derive(Clone, Copy)]
struct Doubles(__m256d);

impl Vector for Doubles {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f64) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm256_set1_pd(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        // SAFETY: the caller has the instructions and gives four doubles.
        Doubles(unsafe { _mm256_loadu_pd(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller has the instructions and gives room for four doubles.
        unsafe { _mm256_storeu_pd(to, self.0) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm256_sub_pd(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm256_mul_pd(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn fma(self, factor: Self, term: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm256_fmadd_pd(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    unsafe fn fnma(self, factor: Self, term: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm256_fnmadd_pd(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm256_min_pd(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn store_words(self, s: Self, to: *mut u8) {
        // SAFETY: the caller has the instructions and gives room for four words.
        unsafe {
            let (t, s) = (_mm256_castpd_si256(self.0), _mm256_castpd_si256(s.0));
            // Upper halves: t >> 4 and s << 4 of the low 32 bits, moved up by 32.
            let t = _mm256_blend_epi32::<0xAA>(t, _mm256_slli_epi64::<28>(t));
            let s = _mm256_blend_epi32::<0xAA>(s, _mm256_slli_epi64::<36>(s));
            let low = _mm256_and_si256(_mm256_set1_epi8(0x0F), _mm256_xor_si256(t, s));
            _mm256_storeu_si256(to.cast(), _mm256_xor_si256(s, low));
        }
    }
}
