//! A frame's plan as the kernels read it: `struct Plan` of `kernels/common.cuh`, and behind it what it points to.

use crate::{
    backend::tiles::Step,
    chaos::{
        FramePlan,
        permutation::{BLOCK_ORDERS, NETWORKS, Shape},
        {BLOCK_BYTES, TILE_BLOCKS},
    },
};

/// Bytes of `struct Plan`: eight words of key, four numbers, seven pointers.
const PLAN_BYTES: usize = 32 + 16 + 7 * 8;

/// Where the tables stand behind `struct Plan`, in the order of its pointers.
struct Layout {
    tables: [usize; 7],
    end: usize,
}

impl Layout {
    fn of(len: usize) -> Layout {
        let shape = Shape::of(len);
        let lengths = [
            NETWORKS * BLOCK_BYTES,
            BLOCK_ORDERS * TILE_BLOCKS,
            4 * shape.tiles,
            shape.tiles,
            shape.tiles * TILE_BLOCKS + shape.last_blocks,
            shape.last_blocks,
            shape.tail,
        ];
        let mut end = PLAN_BYTES.next_multiple_of(16);
        let tables = lengths.map(|length| {
            let start = end;
            end = (end + length).next_multiple_of(16);
            start
        });
        Layout { tables, end }
    }
}

/// Bytes that hold the plan of every frame of at most `len` bytes.
pub fn room_for(len: usize) -> usize {
    // A shorter frame may have a partial tile and a tail where a longer one has none: their orders stand apart.
    Layout::of(len).end + TILE_BLOCKS + BLOCK_BYTES + 16
}

/// Writes a frame's plan for a step, as it will be read from `address` on; returns how many bytes it takes.
pub fn write(plan: &FramePlan, step: Step, address: u64, out: &mut [u8]) -> usize {
    let (parts, shape, layout) = (plan.permutation(), Shape::of(plan.len()), Layout::of(plan.len()));
    out[..32].copy_from_slice(plan.key().bytes());
    let numbers = [shape.tiles, shape.last_blocks, shape.tail, 0];
    for (to, number) in out[32..48].as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
        *to = (number as u32).to_le_bytes();
    }
    for (to, table) in out[48..PLAN_BYTES].as_chunks_mut::<8>().0.iter_mut().zip(layout.tables) {
        *to = (address + table as u64).to_le_bytes();
    }
    let [networks, orders, tile_order, rest @ ..] = layout.tables;
    for (to, network) in out[networks..].as_chunks_mut::<BLOCK_BYTES>().0.iter_mut().zip(&parts.networks) {
        *to = match step {
            Step::Decrypt => network.inverse().table(),
            _ => network.table(),
        };
    }
    out[orders..orders + BLOCK_ORDERS * TILE_BLOCKS].copy_from_slice(parts.orders.as_flattened());
    for (to, tile) in out[tile_order..].as_chunks_mut::<4>().0.iter_mut().zip(&parts.tile_order) {
        *to = tile.to_le_bytes();
    }
    let tables = [&parts.tile_choice, &parts.block_choice, &parts.last_order, &parts.tail_order];
    for (start, table) in rest.into_iter().zip(tables) {
        out[start..start + table.len()].copy_from_slice(table);
    }
    layout.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::TILE_BYTES;

    #[test]
    fn a_shorter_frame_finds_room() {
        for len in [1, 300, TILE_BYTES, TILE_BYTES + 1, 3 * TILE_BYTES, 5 * TILE_BYTES + 77] {
            let most = (1..=len).map(|shorter| Layout::of(shorter).end).max();
            assert!(most <= Some(room_for(len)), "{len}");
        }
    }
}
