//! The whole chaotic stage, scalar and obvious. Slow on purpose; every backend must equal it, and it must equal
//! `tests/vectors/chaotic_stage.json`, which an independent program made.

use super::{
    BLOCK_BYTES, FrameKey, FramePlan, LANE_SEED_BYTES, LANES, TILE_BLOCKS, TILE_BYTES, lane, permutation::Shape,
};

/// The first `len` bytes of the frame's keystream.
pub fn keystream(key: &FrameKey, len: usize) -> Vec<u8> {
    let mut lanes = key.output("lanes");
    let mut out = Vec::with_capacity(len.next_multiple_of(TILE_BYTES));
    while out.len() < len {
        let group: Vec<_> = (0..LANES)
            .map(|_| {
                let mut seed = [0; LANE_SEED_BYTES];
                lanes.fill(&mut seed);
                lane::words(&seed)
            })
            .collect();
        for row in 0..TILE_BLOCKS {
            for words in &group {
                out.extend_from_slice(&words[row].to_le_bytes());
            }
        }
    }
    out.truncate(len);
    out
}

/// The frame's permutation `p`, with `dst[i] = src[p[i]]` on encryption.
pub fn permutation(key: &FrameKey, len: usize) -> Vec<u32> {
    let mut plan = FramePlan::default();
    plan.prepare(key, len);
    let parts = plan.permutation();
    let shape = Shape::of(len);
    let tables = parts.networks.map(|network| network.table());
    let mut p = Vec::with_capacity(len);
    for tile in 0..shape.tiles {
        let order = &parts.orders[parts.tile_choice[tile] as usize];
        for (block, &from) in order.iter().enumerate() {
            let base = parts.tile_order[tile] as usize * TILE_BYTES + from as usize * BLOCK_BYTES;
            let table = &tables[parts.block_choice[tile * TILE_BLOCKS + block] as usize];
            p.extend(table.iter().map(|&byte| (base + byte as usize) as u32));
        }
    }
    for (block, &from) in parts.last_order.iter().enumerate() {
        let base = shape.tiles * TILE_BYTES + from as usize * BLOCK_BYTES;
        let table = &tables[parts.block_choice[shape.tiles * TILE_BLOCKS + block] as usize];
        p.extend(table.iter().map(|&byte| (base + byte as usize) as u32));
    }
    p.extend(parts.tail_order.iter().map(|&byte| (len - shape.tail + byte as usize) as u32));
    p
}

/// The stage on encryption.
pub fn encrypt(key: &FrameKey, src: &[u8]) -> Vec<u8> {
    let keystream = keystream(key, src.len());
    permutation(key, src.len()).iter().zip(keystream).map(|(&from, k)| src[from as usize] ^ k).collect()
}

/// The stage on decryption.
pub fn decrypt(key: &FrameKey, src: &[u8]) -> Vec<u8> {
    let keystream = keystream(key, src.len());
    let mut dst = vec![0; src.len()];
    for ((&to, byte), k) in permutation(key, src.len()).iter().zip(src).zip(keystream) {
        dst[to as usize] = byte ^ k;
    }
    dst
}
