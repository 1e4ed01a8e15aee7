//! The scanner, with a reader and an opener behind it, over damaged and spliced packets in pieces of any size.

use super::{
    genuine::{Genuine, stream},
    judge::{Outcome, judge},
    program::Program,
};
use crate::seal::FRAME_HEADER_BYTES;

/// `u8 stream | u16 bytes in a piece | program`.
pub fn run(bytes: &[u8]) {
    judge_mutant(bytes);
}

/// What came of the stream that the program makes; `None` where that is a genuine one, whole.
pub fn judge_mutant(bytes: &[u8]) -> Option<Outcome> {
    let mut program = Program(bytes);
    let number = usize::from(program.byte());
    let (mine, others) = (stream(number), stream(number + 1));
    let piece = program.u16();
    let mutant = program.packets(&mine.packets, &others.packets, |program, packet| forge(mine, program, packet));
    let outcome = judge(mine, &mutant, if piece == 0 { usize::MAX } else { piece });
    let is_whole = mutant == mine.whole;
    (!is_whole).then_some(outcome)
}

/// Changes a field of a frame header and its MAC with it: what only somebody with the key can do, and yet the frame was
/// not sealed so.
fn forge(stream: &Genuine, program: &mut Program, packet: &mut [u8]) {
    let (at, value) = (8 + usize::from(program.byte()) % 40, program.byte());
    let (fields, rest) = packet.split_at_mut(FRAME_HEADER_BYTES - 16);
    fields[at] = value;
    if fields.starts_with(b"CVEILFRM") {
        rest[..16].copy_from_slice(&stream.keys().header_mac(&[b"frame", fields]));
    }
}
