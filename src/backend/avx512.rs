//! AVX-512 with VBMI: eight lanes to a register, a block in four registers.
//!
//! A block is 16 rows of 16 bytes, four rows to a register. A 16 x 16 transpose is a byte permutation within each
//! register (to dwords of one column and four rows), a 4 x 4 transpose of 128-bit lanes across the four, and another byte
//! permutation within each. `vpermb` does any permutation within a register, so both melt into the row permutations of
//! the layers before and after, and a whole network is three times four `vpermb` with two lane transposes between.

use std::arch::x86_64::*;

use super::{
    kernel::{self, Block, InstructionSet, Vector},
    tiles::{Step, Tile, TileKernel},
};
use crate::chaos::{BLOCK_BYTES, permutation::Network};

/// Vectors side by side: all 32 lanes.
const SIDE_BY_SIDE: usize = 4;
/// Rounds of a keystream batch.
const BATCH_ROUNDS: usize = 1;

/// The AVX-512 kernel; it can only be made where the processor has what it needs.
#[derive(Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The kernel, where the processor has F, BW, VL, DQ and VBMI.
    pub fn detect() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vbmi");
        has.then_some(Avx512(()))
    }
}

impl TileKernel for Avx512 {
    type Network = Indices;

    fn name(&self) -> &'static str {
        "avx512"
    }

    fn prepare(&self, network: &Network) -> Indices {
        <Set as InstructionSet<SIDE_BY_SIDE, BATCH_ROUNDS>>::prepare(network)
    }

    fn run(&self, step: Step, tile: &Tile<Indices>, src: &[u8], dst: &mut [u8]) -> [u8; BLOCK_BYTES] {
        // SAFETY: the kernel exists only where the processor has the instructions.
        unsafe { run(step, tile, src, dst) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")]
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

/// A network as byte indices for `vpermb`: `[layer][register]`.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Indices([[[u8; 64]; 4]; 3]);

struct Set;

impl InstructionSet<SIDE_BY_SIDE, BATCH_ROUNDS> for Set {
    type Vector = Doubles;
    type Network = Indices;

    fn prepare(network: &Network) -> Indices {
        let mut indices = [[[0; 64]; 4]; 3];
        for (layer, registers) in indices.iter_mut().enumerate() {
            for (register, index) in registers.iter_mut().enumerate() {
                *index = layer_index(network, layer, register);
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
type Registers = [__m512i; 4];

#[inline(always)]
unsafe fn load_block(block: &[u8; 256]) -> Registers {
    // SAFETY: the caller has the instructions; 4 times 64 bytes are a block.
    unsafe {
        let mut registers = [_mm512_setzero_si512(); 4];
        for i in 0..4 {
            registers[i] = load(block.as_ptr().add(64 * i));
        }
        registers
    }
}

#[inline(always)]
unsafe fn store(registers: Registers, block: &mut [u8; 256]) {
    // SAFETY: the caller has the instructions; 4 times 64 bytes are a block.
    unsafe {
        for i in 0..4 {
            _mm512_storeu_si512(block.as_mut_ptr().add(64 * i).cast(), registers[i]);
        }
    }
}

#[inline(always)]
unsafe fn xor(mut a: Registers, b: Registers) -> Registers {
    // SAFETY: the caller has the instructions.
    unsafe {
        for i in 0..4 {
            a[i] = _mm512_xor_si512(a[i], b[i]);
        }
    }
    a
}

#[inline(always)]
unsafe fn load(from: *const u8) -> __m512i {
    // SAFETY: the caller has the instructions and gives 64 bytes.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

/// The network on four registers.
#[inline(always)]
unsafe fn permute(indices: &Indices, mut block: Registers) -> Registers {
    // SAFETY: the caller has the instructions.
    unsafe {
        for layer in 0..3 {
            if layer > 0 {
                block = transpose_lanes(block);
            }
            for i in 0..4 {
                block[i] = _mm512_permutexvar_epi8(load(indices.0[layer][i].as_ptr()), block[i]);
            }
        }
    }
    block
}

/// Register `i`, lane `j` to register `j`, lane `i`.
#[inline(always)]
unsafe fn transpose_lanes(r: Registers) -> Registers {
    // SAFETY: the caller has the instructions.
    unsafe {
        let low = _mm512_shuffle_i32x4::<0x44>(r[0], r[1]);
        let high = _mm512_shuffle_i32x4::<0xEE>(r[0], r[1]);
        let low2 = _mm512_shuffle_i32x4::<0x44>(r[2], r[3]);
        let high2 = _mm512_shuffle_i32x4::<0xEE>(r[2], r[3]);
        [
            _mm512_shuffle_i32x4::<0x88>(low, low2),
            _mm512_shuffle_i32x4::<0xDD>(low, low2),
            _mm512_shuffle_i32x4::<0x88>(high, high2),
            _mm512_shuffle_i32x4::<0xDD>(high, high2),
        ]
    }
}

/// The index of one `vpermb`: the second half of the transpose before the layer, the layer's rows, the first half of the
/// transpose after it.
fn layer_index(network: &Network, layer: usize, register: usize) -> [u8; 64] {
    std::array::from_fn(|at| {
        let wanted = if layer < 2 { before_lanes(at) } else { at };
        let (row, column) = (wanted / 16, wanted % 16);
        let permuted = 16 * row + network.layers[layer][4 * register + row][column] as usize;
        (if layer > 0 { after_lanes(permuted) } else { permuted }) as u8
    })
}

/// First half of a transpose, within a register of four rows: byte `at` (lane `j`, dword `c`, byte `q`) comes from row `q`,
/// column `4j + c`.
fn before_lanes(at: usize) -> usize {
    let (lane, dword, byte) = (at / 16, at / 4 % 4, at % 4);
    16 * byte + 4 * lane + dword
}

/// Second half: row `c`, byte `4i + q` comes from lane `i`, dword `c`, byte `q`.
fn after_lanes(at: usize) -> usize {
    let (row, byte) = (at / 16, at % 16);
    16 * (byte / 4) + 4 * row + byte % 4
}

/// Eight doubles.
#[derive(Clone, Copy)]
struct Doubles(__m512d);

impl Vector for Doubles {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f64) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm512_set1_pd(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        // SAFETY: the caller has the instructions and gives eight doubles.
        Doubles(unsafe { _mm512_loadu_pd(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller has the instructions and gives room for eight doubles.
        unsafe { _mm512_storeu_pd(to, self.0) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm512_sub_pd(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm512_mul_pd(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn fma(self, factor: Self, term: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm512_fmadd_pd(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    unsafe fn fnma(self, factor: Self, term: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm512_fnmadd_pd(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the caller has the instructions.
        Doubles(unsafe { _mm512_min_pd(self.0, other.0) })
    }

    /// `vpmultishiftqb` takes bytes at any bit of a quadword: from `t` at bits 0, 8, 16, 24, 4, 12, 20, 28, whose low
    /// nibbles are wanted, from `s` at bits 0, 8, 16, 24, -4, 4, 12, 20, whose high nibbles are.
    #[inline(always)]
    unsafe fn store_words(self, s: Self, to: *mut u8) {
        // SAFETY: the caller has the instructions and gives room for eight words.
        unsafe {
            let from_t = _mm512_set1_epi64(0x1C14_0C04_1810_0800);
            let from_s = _mm512_set1_epi64(0x140C_043C_1810_0800);
            let low = _mm512_multishift_epi64_epi8(from_t, _mm512_castpd_si512(self.0));
            let high = _mm512_multishift_epi64_epi8(from_s, _mm512_castpd_si512(s.0));
            // mask ? low : high
            let words = _mm512_ternarylogic_epi64::<0xCA>(_mm512_set1_epi8(0x0F), low, high);
            _mm512_storeu_si512(to.cast(), words);
        }
    }
}
