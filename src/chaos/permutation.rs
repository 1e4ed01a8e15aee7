//! The frame's byte permutation: block networks, block orders, tile order, tail order.
//!
//! `p` with `dst[i] = src[p[i]]` is never stored for a frame; it is composed of 4 block networks (a Clos network on
//! 16 x 16 bytes, three layers of row permutations with transposes between), 8 orders of the 192 blocks of a tile,
//! one order of the tiles, and orders of what is left at the end.

use zeroize::Zeroize;

use super::{BLOCK_BYTES, TILE_BLOCKS, TILE_BYTES};

/// Number of block networks of a frame.
pub const NETWORKS: usize = 4;
/// Number of block orders of a frame.
pub const BLOCK_ORDERS: usize = 8;

/// A permutation of the 256 bytes of a block: three layers of 16 row permutations, `b[r][c] = a[r][k[r][c]]`,
/// transposed between the layers, not after the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Network {
    /// `layers[layer][row][column]` = the column that the byte comes from.
    pub layers: [[[u8; 16]; 16]; 3],
}

impl Network {
    /// The network that undoes this one: inverse rows, layers in reverse.
    pub fn inverse(&self) -> Network {
        let mut layers = [[[0; 16]; 16]; 3];
        for (layer, undone) in self.layers.iter().rev().zip(&mut layers) {
            for (row, undone_row) in layer.iter().zip(undone) {
                for (to, &from) in row.iter().enumerate() {
                    undone_row[from as usize] = to as u8;
                }
            }
        }
        Network { layers }
    }

    /// The same permutation as one table: output byte `i` of a block is input byte `table[i]`.
    pub fn table(&self) -> [u8; BLOCK_BYTES] {
        let mut table = [0; BLOCK_BYTES];
        for (i, source) in table.iter_mut().enumerate() {
            let (mut row, mut column) = (i >> 4, i & 15);
            for layer in (0..3).rev() {
                column = self.layers[layer][row][column] as usize;
                if layer > 0 {
                    (row, column) = (column, row);
                }
            }
            *source = (16 * row + column) as u8;
        }
        table
    }
}

/// How a frame of a given length divides into tiles, blocks and tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Full tiles.
    pub tiles: usize,
    /// Full blocks of the partial tile, fewer than 192.
    pub last_blocks: usize,
    /// Bytes after the last full block, fewer than 256.
    pub tail: usize,
}

impl Shape {
    /// Divides a frame of `len` bytes.
    pub fn of(len: usize) -> Shape {
        let rest = len % TILE_BYTES;
        Shape { tiles: len / TILE_BYTES, last_blocks: rest / BLOCK_BYTES, tail: rest % BLOCK_BYTES }
    }
}

/// The permutation of one frame. Made once per worker and drawn anew for each frame: its tables keep their memory.
#[derive(Clone, Debug)]
pub struct Permutation {
    /// Block networks.
    pub networks: [Network; NETWORKS],
    /// Block orders of full tiles: output block `b` comes from input block `orders[o][b]`.
    pub orders: [[u8; TILE_BLOCKS]; BLOCK_ORDERS],
    /// Output tile `t` comes from input tile `tile_order[t]`.
    pub tile_order: Vec<u32>,
    /// Inverse of `tile_order`: input tile `i` becomes output tile `tile_position[i]`.
    pub tile_position: Vec<u32>,
    /// Order of the blocks of the partial tile.
    pub last_order: Vec<u8>,
    /// Order of the bytes after the last full block.
    pub tail_order: Vec<u8>,
    /// Block order of each output tile, below 8.
    pub tile_choice: Vec<u8>,
    /// Network of each output block, the partial tile's blocks last, below 4.
    pub block_choice: Vec<u8>,
}

impl Default for Permutation {
    fn default() -> Self {
        Permutation {
            networks: [Network { layers: [[[0; 16]; 16]; 3] }; NETWORKS],
            orders: [[0; TILE_BLOCKS]; BLOCK_ORDERS],
            tile_order: Vec::new(),
            tile_position: Vec::new(),
            last_order: Vec::new(),
            tail_order: Vec::new(),
            tile_choice: Vec::new(),
            block_choice: Vec::new(),
        }
    }
}

impl Permutation {
    /// Draws the permutation of a frame of `len` bytes from the "perm" output.
    pub fn draw(&mut self, len: usize, perm: blake3::OutputReader) {
        let shape = Shape::of(len);
        let mut draws = Draws::new(perm);
        for network in &mut self.networks {
            network.layers.iter_mut().flatten().for_each(|row| draws.permutation_u8(row));
        }
        self.orders.iter_mut().for_each(|order| draws.permutation_u8(order));
        self.tile_order.resize(shape.tiles, 0);
        draws.permutation_u32(&mut self.tile_order);
        self.tile_position.resize(shape.tiles, 0);
        for (output, &input) in self.tile_order.iter().enumerate() {
            self.tile_position[input as usize] = output as u32;
        }
        self.last_order.resize(shape.last_blocks, 0);
        draws.permutation_u8(&mut self.last_order);
        self.tail_order.resize(shape.tail, 0);
        draws.permutation_u8(&mut self.tail_order);
        self.tile_choice.resize(shape.tiles, 0);
        draws.bytes(&mut self.tile_choice);
        self.tile_choice.iter_mut().for_each(|choice| *choice %= BLOCK_ORDERS as u8);
        self.block_choice.resize(shape.tiles * TILE_BLOCKS + shape.last_blocks, 0);
        draws.bytes(&mut self.block_choice);
        self.block_choice.iter_mut().for_each(|choice| *choice %= NETWORKS as u8);
    }
}

/// Successive bytes of an extendable output, read in pieces.
struct Draws {
    output: blake3::OutputReader,
    buffer: [u8; 4096],
    at: usize,
}

/// The output's state holds the frame's key.
impl Drop for Draws {
    fn drop(&mut self) {
        self.output.zeroize();
        self.buffer.zeroize();
    }
}

impl Draws {
    fn new(output: blake3::OutputReader) -> Draws {
        Draws { output, buffer: [0; 4096], at: 4096 }
    }

    fn bytes(&mut self, out: &mut [u8]) {
        let ready = (self.buffer.len() - self.at).min(out.len());
        let (head, rest) = out.split_at_mut(ready);
        head.copy_from_slice(&self.buffer[self.at..self.at + ready]);
        self.at += ready;
        self.output.fill(rest);
    }

    #[inline]
    fn u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        if self.at + 4 > self.buffer.len() {
            let kept = self.buffer.len() - self.at;
            self.buffer.copy_within(self.at.., 0);
            self.output.fill(&mut self.buffer[kept..]);
            self.at = 0;
        }
        bytes.copy_from_slice(&self.buffer[self.at..self.at + 4]);
        self.at += 4;
        u32::from_le_bytes(bytes)
    }

    /// A number below `bound`: multiply and shift (bias below 2^-24 for the bounds met here).
    #[inline]
    fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.u32()) * bound as u64) >> 32) as usize
    }

    /// Fisher-Yates from the top, items below 256.
    fn permutation_u8(&mut self, p: &mut [u8]) {
        p.iter_mut().enumerate().for_each(|(i, item)| *item = i as u8);
        for i in (1..p.len()).rev() {
            let j = self.below(i + 1);
            p.swap(i, j);
        }
    }

    fn permutation_u32(&mut self, p: &mut [u32]) {
        p.iter_mut().enumerate().for_each(|(i, item)| *item = i as u32);
        for i in (1..p.len()).rev() {
            let j = self.below(i + 1);
            p.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(len: usize) -> Permutation {
        let mut permutation = Permutation::default();
        permutation.draw(len, blake3::Hasher::new_keyed(&[7; 32]).update(b"perm").finalize_xof());
        permutation
    }

    #[test]
    fn a_network_and_its_inverse_cancel() {
        for network in drawn(0).networks {
            let (there, back) = (network.table(), network.inverse().table());
            for i in 0..BLOCK_BYTES {
                assert_eq!(back[there[i] as usize] as usize, i);
            }
            assert_eq!(network.inverse().inverse(), network);
        }
    }

    #[test]
    fn draws_read_the_output_without_gaps() {
        let mut plain = [0u8; 10_000];
        blake3::Hasher::new_keyed(&[1; 32]).update(b"perm").finalize_xof().fill(&mut plain);
        let mut draws = Draws::new(blake3::Hasher::new_keyed(&[1; 32]).update(b"perm").finalize_xof());
        let mut at = 0;
        let mut odd = [0; 3];
        for _ in 0..1030 {
            assert_eq!(draws.u32().to_le_bytes(), plain[at..at + 4]);
            at += 4;
            if at % 5 == 0 {
                draws.bytes(&mut odd);
                assert_eq!(odd, plain[at..at + 3]);
                at += 3;
            }
        }
        let mut long = [0; 4500];
        draws.bytes(&mut long);
        assert_eq!(long, plain[at..at + 4500]);
    }

    #[test]
    fn shapes_at_the_edges() {
        assert_eq!(Shape::of(0), Shape { tiles: 0, last_blocks: 0, tail: 0 });
        assert_eq!(Shape::of(TILE_BYTES - 1), Shape { tiles: 0, last_blocks: 191, tail: 255 });
        assert_eq!(Shape::of(2 * TILE_BYTES + 257), Shape { tiles: 2, last_blocks: 1, tail: 1 });
    }
}
