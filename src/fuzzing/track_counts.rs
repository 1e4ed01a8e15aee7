//! What the beginning of a container says of its tracks: MP4, Matroska, AVI.

use super::program::Program;
use crate::cli::track_count::{Told, TrackCount};

/// `u8 length of a piece, less one | file`.
pub fn run(bytes: &[u8]) {
    let mut program = Program(bytes);
    let (piece, file) = (usize::from(program.byte()) + 1, program.rest());
    let told = told(file, piece);
    assert_eq!(told, self::told(file, file.len().max(1)), "it depends on the pieces");
    if let Some(Told { tracks, videos }) = told {
        assert!((1..=file.len().max(100)).contains(&tracks.len()) && videos <= tracks.len(), "more tracks than fit");
    }
}

fn told(file: &[u8], piece: usize) -> Option<Told> {
    let mut count = TrackCount::default();
    file.chunks(piece).for_each(|piece| count.push_at(None, piece));
    count.told().cloned()
}
