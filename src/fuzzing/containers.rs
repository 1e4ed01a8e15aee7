//! Scanners of other people's containers: where a Matroska file ends, which tracks an MP4 file tells of.

use std::io::{BufReader, Cursor};

use super::program::Program;
use crate::cli::{matroska, movie_header};

/// `u8 which | file`: Matroska where `which` is even, else what is in a box `moov`.
pub fn run(bytes: &[u8]) {
    let mut program = Program(bytes);
    let is_matroska = program.byte().is_multiple_of(2);
    match is_matroska {
        true => matroska(program.0),
        false => movie(program.0),
    }
}

fn matroska(file: &[u8]) {
    let promised = matroska::promised_end(file);
    let end = matroska::walk(BufReader::new(Cursor::new(file))).expect("memory can be read");
    if let (matroska::End::Missing(missing), Some(promised)) = (end, promised) {
        assert!(missing > 0 && missing <= promised.max(1), "more is missing than was promised");
    }
    // A file that has grown does not miss more than before.
    let longer = matroska::walk(BufReader::new(Cursor::new([file, &[0xEC, 0x80]].concat())));
    if let (matroska::End::Missing(before), Ok(matroska::End::Missing(after))) = (end, longer) {
        assert!(promised.is_none() || after <= before);
    }
}

fn movie(moov: &[u8]) {
    let tracks = movie_header::tracks(moov);
    // The smallest box `trak` that is read has the boxes `tkhd`, `mdia` and `hdlr` in it.
    assert!(tracks.len() <= moov.len() / 32, "more tracks than fit");
    assert!(movie_header::without_chapters(&tracks).count() <= tracks.len());
}
