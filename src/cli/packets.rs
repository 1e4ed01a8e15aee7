//! Walks through a packet file and notes which of its bytes belong to no intact packet.

use std::{
    cell::{Cell, RefCell},
    io::{self, Read},
    ops::Range,
};

use crate::{
    Error, Result,
    seal::{FRAME_HEADER_BYTES, Found, FrameHeader, INDEX_HEADER_BYTES, IndexHeader, Offset, PacketScanner, Verifier},
};

/// Verifies headers and takes packets.
pub trait PacketReader: Verifier {
    /// A stream header that [`Verifier::stream_header`] has let pass.
    fn header(&mut self, bytes: &[u8]);
    /// A frame packet whose header [`Verifier::frame_header`] has let pass. Tells whether it is intact.
    fn frame(&mut self, offset: Offset, header: FrameHeader, packet: &[u8]) -> bool;
    /// Nothing comes at the moment. Tells whether it goes on then.
    fn idle(&mut self) -> bool {
        false
    }
}

/// The bytes of a packet file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many there are.
    pub bytes: u64,
    /// Those that belong to no intact packet.
    pub damaged: Vec<Range<u64>>,
    /// Those that begin like an index and are none: no damage where all frames are there.
    pub bad_index: Vec<Range<u64>>,
    /// Index packets, as far as their headers tell.
    pub indexes: usize,
    /// Where such a thing begins that has not come to its end.
    index_at: Option<u64>,
}

/// Reads `source`, which begins at some offset of the file, and shows every packet to `reader`. Tells what was read, and
/// whether that was all: where reading fails, a packet that is not whole by then is not damaged.
pub fn read_packets(mut source: impl Read, at: Offset, reader: &mut impl PacketReader) -> (Extent, io::Result<()>) {
    let (reader, begins_stream) = (RefCell::new(reader), Cell::new(false));
    let mut scanner = PacketScanner::starting_at(at);
    let mut extent = Extent::of_bytes(at);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut read_bytes = at;
    let mut found = |offset: Offset, found: Found| {
        let mut reader = reader.borrow_mut();
        match found {
            Found::Header(bytes) => {
                reader.header(bytes);
                extent.packet(offset, bytes.len(), true);
            }
            Found::Frame(header, packet) => {
                let intact = reader.frame(offset, header, packet);
                extent.packet(offset, packet.len(), intact);
            }
            Found::Index(packet) => {
                extent.indexes += 1;
                extent.packet(offset, packet.len(), true);
            }
            Found::BadIndex => extent.index_at = extent.index_at.or(Some(offset)),
            // Its bytes are skipped, and damaged by that. A stream is no part of a bad index: it may be another recording.
            Found::Rejected(_) if begins_stream.take() => extent.leave_index(offset),
            Found::Rejected(_) => {}
        }
    };
    let read = loop {
        let len = match source.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && reader.borrow_mut().idle() => continue,
            Err(error) => break Err(error),
        };
        read_bytes += len as u64;
        scanner.push(&chunk[..len], &mut Shared(&reader, &begins_stream), &mut found);
    };
    let dealt_with = scanner.offset();
    scanner.finish(&mut Shared(&reader, &begins_stream), &mut found);
    extent.end(if read.is_ok() { read_bytes } else { dealt_with });
    (extent, read)
}

/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;

impl Extent {
    /// So many bytes that are intact.
    pub fn of_bytes(bytes: u64) -> Extent {
        Extent { bytes, ..Extent::default() }
    }

    /// A packet of `len` bytes. What lies between it and the one before is damaged.
    fn packet(&mut self, offset: u64, len: usize, intact: bool) {
        let end = offset + len as u64;
        self.skip_to(offset);
        if !intact {
            self.damage(offset.max(self.bytes)..end);
        }
        self.bytes = self.bytes.max(end);
    }

    /// What begins here is no part of an index.
    fn leave_index(&mut self, offset: u64) {
        if self.index_at.is_some() {
            self.end(offset);
        }
    }

    fn end(&mut self, bytes: u64) {
        self.skip_to(bytes);
        self.bytes = self.bytes.max(bytes);
    }

    fn skip_to(&mut self, offset: u64) {
        let index_at = self.index_at.take().unwrap_or(offset).clamp(self.bytes, offset.max(self.bytes));
        self.damage(self.bytes..index_at);
        note_range(&mut self.bad_index, index_at..offset);
    }

    /// What belongs to no intact packet, a bad index too.
    pub fn all_damaged(&self) -> Vec<Range<u64>> {
        merged(self.damaged.iter().chain(&self.bad_index).cloned().collect())
    }

    /// What was taken for intact has proved not to be.
    pub fn add_damage(&mut self, ranges: impl IntoIterator<Item = Range<u64>>) {
        self.damaged.extend(ranges);
        self.damaged = merged(std::mem::take(&mut self.damaged));
    }

    fn damage(&mut self, range: Range<u64>) {
        note_range(&mut self.damaged, range);
    }
}

/// Ranges that are told apart; what comes behind them is taken for one with the last.
const RANGES_KEPT: usize = 4096;

/// Appends a range to others, of which it is the last.
pub fn note_range(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    let is_full = ranges.len() == RANGES_KEPT;
    match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if is_full || last.end == range.start => last.end = last.end.max(range.end),
        _ => ranges.push(range),
    }
}

/// Ranges in order, those that touch made one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let touch = next.start <= last.end;
        last.end = if touch { last.end.max(next.end) } else { last.end };
        touch
    });
    ranges
}

/// Lends one reader to the scanner, as its verifier, and to the scanner's callback; the two take turns. Notes whether what
/// was refused last is the header of another stream.
struct Shared<'a, R>(&'a RefCell<R>, &'a Cell<bool>);

impl<R: std::ops::DerefMut<Target: Verifier>> Verifier for Shared<'_, R> {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        let verified = self.0.borrow_mut().stream_header(bytes);
        self.1.set(matches!(verified, Err(Error::OtherStream | Error::WrongKey | Error::TooManyPassphrases)));
        verified
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        self.0.borrow_mut().frame_header(bytes)
    }

    fn may_be_stream_header(&self, bytes: &[u8]) -> bool {
        self.0.borrow().may_be_stream_header(bytes)
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        self.0.borrow_mut().index_header(bytes)
    }

    fn opens_index(&mut self, packet: &[u8]) -> bool {
        self.0.borrow_mut().opens_index(packet)
    }

    fn opens(&mut self, packet: &[u8]) -> bool {
        self.0.borrow_mut().opens(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_bytes_are_told_once_and_in_order() {
        let mut extent = Extent::default();
        extent.packet(0, 100, true);
        extent.packet(100, 50, false);
        extent.packet(160, 40, true);
        // A torn packet was taken for whole, and another one found within it.
        extent.packet(200, 100, false);
        extent.packet(250, 100, true);
        extent.end(360);
        assert_eq!(extent.damaged, [100..160, 200..300, 350..360]);
        assert_eq!(extent.bytes, 360);
        extent.add_damage([150..170, 10..20, 300..350]);
        assert_eq!(extent.damaged, [10..20, 100..170, 200..360]);
    }

    #[test]
    fn ranges_without_end_are_not_kept_apart() {
        let mut extent = Extent::default();
        for number in 0..100_000 {
            extent.packet(2 * number + 1, 1, true);
        }
        assert_eq!(extent.damaged.len(), RANGES_KEPT);
        assert_eq!(extent.damaged.last().expect("many").end, 199_999);
    }
}
