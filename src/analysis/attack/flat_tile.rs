//! A tile that is partly flat, under profile `chaos`: wherever seven successive rows of it are flat, they show the words
//! of every lane, and with them the Lorenz half of what follows.
//!
//! A row of a tile is a block of 256 bytes whose bytes the stage has permuted among themselves, so that the permutation
//! of a flat block needs not be known; which rows are flat needs not either: the attack on a lane proves itself.

use super::lorenz_state::{Shapes, Window, search};
use crate::{
    analysis::keystream::mantissas,
    chaos::{BLOCK_BYTES, LANES, TILE_BLOCKS, TILE_BYTES, lane, lorenz},
};

/// The high four bit planes.
pub const HIGH_PLANES: u8 = 0xF0;
/// Lanes that are searched for flat rows; in the others only windows that one of these has found are.
const SCOUTS: usize = 2;
/// Rounds at which a window can begin.
pub const WINDOWS: usize = lane::ROUNDS - 2;

/// Shapes to look for.
pub struct TileShapes {
    scouts: Shapes,
    others: Shapes,
}

impl TileShapes {
    /// Frequent ones where it is not known whether rows are flat, nearly all where it is.
    pub fn observed() -> TileShapes {
        TileShapes { scouts: Shapes::frequent(), others: Shapes::nearly_all() }
    }
}

/// What was found of a tile.
pub struct BrokenTile {
    /// Lanes whose state was found.
    pub lanes: usize,
    /// The tile's high four bit planes, in the order of the cipher's rows, where they were found.
    pub planes: Vec<Option<u8>>,
}

impl BrokenTile {
    /// Rows that were found whole, with their number.
    pub fn rows(&self) -> impl Iterator<Item = (usize, Vec<u8>)> {
        let rows = self.planes.chunks_exact(BLOCK_BYTES).enumerate();
        rows.filter_map(|(row, planes)| Some((row, planes.iter().copied().collect::<Option<Vec<u8>>>()?)))
    }
}

/// Looks for rows that are flat with the value `flat`, of which only the high four bits matter, and reads what follows
/// them. `tile` has 49,152 cipher bytes.
pub fn break_tile(tile: &[u8], flat: u8, shapes: &TileShapes) -> Option<BrokenTile> {
    let words: Vec<u64> = tile.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let mask = u64::from_le_bytes([flat; 8]);
    let window = |round: usize, lane: usize| {
        let low = |word: usize| mantissas(words[(3 * round + word) * LANES + lane] ^ mask)[1];
        Window::of(std::array::from_fn(low))
    };
    let flat_at = |&round: &usize| (0..SCOUTS).any(|lane| search(&shapes.scouts, &window(round, lane)).state.is_some());
    let rounds: Vec<usize> = (0..WINDOWS).filter(flat_at).collect();
    if rounds.is_empty() {
        return None;
    }
    let mut broken = BrokenTile { lanes: 0, planes: vec![None; TILE_BYTES] };
    for lane in 0..LANES {
        let found = rounds.iter().find_map(|&round| Some((round, search(&shapes.others, &window(round, lane)).state?)));
        let Some((round, state)) = found else { continue };
        broken.lanes += 1;
        for (row, mask) in (3 * round..TILE_BLOCKS).zip(masks(state)) {
            let plain = words[row * LANES + lane] ^ mask;
            let at = row * BLOCK_BYTES + 8 * lane;
            for (place, byte) in broken.planes[at..at + 8].iter_mut().zip(plain.to_le_bytes()) {
                *place = Some(byte & HIGH_PLANES);
            }
        }
    }
    Some(broken)
}

/// The Lorenz half of a lane's words, from the round whose state is given on.
pub fn masks(state: (f64, f64, f64)) -> impl Iterator<Item = u64> + Clone {
    let states = std::iter::successors(Some(state), |&(x, y, z)| Some(lorenz::step(x, y, z)));
    states.flat_map(|(x, y, z)| [x, y, z]).map(|coordinate| lane::word(0.0, coordinate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{FrameKey, reference};

    /// Which rows of the tile are flat: windows begin at rows 30 and 33.
    fn is_flat(row: usize) -> bool {
        (30..42).contains(&row)
    }

    #[test]
    fn what_follows_flat_rows_is_read() {
        let keystream = reference::keystream(&FrameKey::new([8; 32]), TILE_BYTES);
        let plain: Vec<u8> = (0..TILE_BYTES)
            .map(|place| if is_flat(place / BLOCK_BYTES) { 16 } else { (place * place / 77) as u8 })
            .collect();
        let cipher: Vec<u8> = plain.iter().zip(keystream).map(|(byte, mask)| byte ^ mask).collect();
        let shapes = TileShapes::observed();
        let broken = break_tile(&cipher, 16, &shapes).expect("there are flat rows");
        assert_eq!(broken.lanes, LANES);
        let rows: Vec<_> = broken.rows().collect();
        assert!(rows.len() >= TILE_BLOCKS - 36, "{} rows", rows.len());
        for (row, planes) in rows {
            let truth = plain[row * BLOCK_BYTES..][..BLOCK_BYTES].iter().map(|byte| byte & HIGH_PLANES);
            assert!(planes.into_iter().eq(truth), "row {row}");
        }
        assert!(break_tile(&cipher, 32, &shapes).is_none(), "another value explains nothing");
    }
}
