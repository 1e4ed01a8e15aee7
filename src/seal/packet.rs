//! Finds packets in a byte stream (FORMAT.md, section 6): in pieces of any size, with anything between them.
//!
//! Two callers share the scanner: `chaosdec`, with one stream, and the command line, with all streams of a file; they
//! differ only in who verifies a header ([`Verifier`]).

use super::{
    frame_header::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader},
    index::{INDEX_HEADER_BYTES, INDEX_MAGIC, IndexHeader},
    stream_header::{RawStreamHeader, STREAM_MAGIC},
};
use crate::{Error, Result};

/// Verifies headers before the scanner believes their lengths.
pub trait Verifier {
    /// Takes a whole stream header.
    ///
    /// # Errors
    /// If it does not verify: the scanner goes on one byte later.
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()>;
    /// Whether bytes that begin like a stream header may be one, as far as they go: what cannot be is not waited for.
    fn may_be_stream_header(&self, bytes: &[u8]) -> bool {
        !bytes.is_empty()
    }
    /// Verifies a frame header.
    ///
    /// # Errors
    /// If it does not verify: the scanner goes on one byte later.
    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader>;
    /// Verifies the header of an index packet.
    ///
    /// # Errors
    /// If it does not verify: the scanner goes on one byte later.
    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader>;
    /// Whether a whole index packet opens, or at least ends like one, where nobody has its key.
    fn opens_index(&mut self, packet: &[u8]) -> bool {
        let trailer = packet.last_chunk().and_then(IndexHeader::claimed_packet_len);
        trailer == Some(packet.len() as u64)
    }
    /// Whether a whole frame packet opens. Asked only where the packet looks torn.
    fn opens(&mut self, packet: &[u8]) -> bool;
}

/// What the scanner found.
#[derive(Debug)]
pub enum Found<'a> {
    /// A verified stream header.
    Header(&'a [u8]),
    /// A frame packet whose header is verified and whose body is not.
    Frame(FrameHeader, &'a [u8]),
    /// An index packet whose header is verified and whose body is not.
    Index(&'a [u8]),
    /// Something that begins like an index packet and does not verify.
    BadIndex,
    /// Something that begins like a packet and does not verify.
    Rejected(Error),
}

/// Where in the stream something stands: a byte offset.
pub type Offset = u64;

/// Finds packets in a byte stream.
///
/// A torn packet claims bytes of the packets after it. So a frame that no magic follows is opened on the spot before
/// its length is believed; where the bytes end with it, it is told at once and kept until the next ones come, or the
/// end does. Genuine headers, recorded and sent again before anything, would make a reader open whole frames for a
/// hundred bytes each: what is opened here stays in proportion to what was received, the rest is taken for torn. So does
/// what is verified of stream headers, which anybody can put into one another, one every fifty bytes.
#[derive(Debug, Default)]
pub struct PacketScanner {
    /// Bytes that are not yet dealt with.
    pending: Vec<u8>,
    /// Offset of `pending` in the stream.
    offset: Offset,
    /// `pending` is not worth looking at before it has this many bytes.
    wanted: usize,
    /// Bytes at the front of `pending` that have been told as a frame.
    told: usize,
    /// Bytes between packets.
    skipped: u64,
    /// Bytes that came in.
    received: u64,
    /// Bytes that were opened because they looked torn.
    opened: u64,
    /// Bytes of stream headers that did not verify.
    verified: u64,
}

/// Bytes opened for each byte received, over one frame; and bytes of stream headers that did not verify, over [`FREE_WORK`].
pub const WORK_PER_BYTE: u64 = 2;
/// Bytes of bad stream headers that a short stream may hold, one in the other, before the good ones.
pub const FREE_WORK: u64 = 64 << 20;

impl PacketScanner {
    /// Bytes met so far that belong to no packet.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Where in the stream the bytes begin that are not dealt with: a packet, perhaps, that has not come to its end.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// A scanner of bytes that begin in the middle of a stream.
    pub fn starting_at(offset: Offset) -> PacketScanner {
        PacketScanner { offset, ..PacketScanner::default() }
    }

    /// Forgets what is pending: after a flush.
    pub fn reset(&mut self) {
        let offset = self.offset + self.pending.len() as u64;
        let PacketScanner { skipped, received, opened, verified, .. } = *self;
        *self = PacketScanner { skipped, offset, received, opened, verified, ..PacketScanner::default() };
    }

    /// Takes the next bytes and tells everything that they complete.
    pub fn push(&mut self, bytes: &[u8], verifier: &mut impl Verifier, mut found: impl FnMut(Offset, Found)) {
        self.received += bytes.len() as u64;
        if self.pending.is_empty() {
            // The usual case of whole packets: nothing is copied.
            let mut used = self.scan(bytes, verifier, &mut found);
            if self.told == bytes.len() {
                // A frame that came alone is not torn, and need not be kept.
                used = std::mem::take(&mut self.told);
            }
            self.pending.extend_from_slice(&bytes[used..]);
            self.offset += used as u64;
            return;
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= self.wanted {
            self.scan_pending(verifier, &mut found);
        }
    }

    /// The stream is over: what is pending cannot become a packet any more, but may hold others.
    pub fn finish(&mut self, verifier: &mut impl Verifier, mut found: impl FnMut(Offset, Found)) {
        if self.told > 0 {
            self.settle_told(verifier);
        }
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            let used = self.scan(rest, verifier, &mut found) + std::mem::take(&mut self.told);
            self.offset += used as u64;
            rest = &rest[used..];
            if rest.starts_with(INDEX_MAGIC) {
                found(self.offset, Found::BadIndex);
            } else if is_magic(rest) {
                found(self.offset, Found::Rejected(Error::Refused("a packet ends too early")));
            }
            if !rest.is_empty() {
                self.offset += 1;
                self.skipped += 1;
                rest = &rest[1..];
            }
        }
    }

    fn scan_pending(&mut self, verifier: &mut impl Verifier, found: &mut impl FnMut(Offset, Found)) {
        if self.told > 0 {
            self.settle_told(verifier);
        }
        let pending = std::mem::take(&mut self.pending);
        let used = self.scan(&pending, verifier, found);
        self.pending = pending;
        self.discard(used);
    }

    /// The frame told last stands at the front of `pending`, and what follows it has come.
    fn settle_told(&mut self, verifier: &mut impl Verifier) {
        let told = std::mem::take(&mut self.told);
        let whole = is_magic(&self.pending[told..]) || (self.may_open(told) && verifier.opens(&self.pending[..told]));
        self.skipped += u64::from(!whole);
        self.discard(if whole { told } else { 1 });
    }

    /// Whether a packet of so many bytes may be opened to see whether it is whole.
    fn may_open(&mut self, bytes: usize) -> bool {
        in_proportion(&mut self.opened, self.received, bytes)
    }

    /// Verifies a whole stream header, unless too many were.
    fn verify(&mut self, header: &[u8], verifier: &mut impl Verifier) -> Result<()> {
        if self.verified > WORK_PER_BYTE * self.received + FREE_WORK {
            return Err(Error::Refused("more bad stream headers than fit into what has come"));
        }
        verifier.stream_header(header).inspect_err(|_| self.verified += header.len() as u64)
    }

    fn discard(&mut self, bytes: usize) {
        self.pending.drain(..bytes);
        self.offset += bytes as u64;
    }

    /// Tells every packet at the front of `bytes` and returns how many bytes are dealt with; a frame that ends with
    /// them is told and not counted, but noted in `told`.
    fn scan(&mut self, bytes: &[u8], verifier: &mut impl Verifier, found: &mut impl FnMut(Offset, Found)) -> usize {
        let mut at = 0;
        loop {
            let start = find_magic(&bytes[at..]);
            self.skipped += start as u64;
            at += start;
            let (rest, offset) = (&bytes[at..], self.offset + at as u64);
            if !is_magic(rest) {
                self.wanted = STREAM_MAGIC.len();
                return at;
            }
            let used = match Piece::at(rest, verifier) {
                Piece::Unfinished(wanted) => {
                    self.wanted = wanted;
                    return at;
                }
                Piece::Header(len) => match self.verify(&rest[..len], verifier) {
                    Ok(()) => {
                        found(offset, Found::Header(&rest[..len]));
                        len
                    }
                    Err(error) => {
                        found(offset, Found::Rejected(error));
                        1
                    }
                },
                Piece::Frame(header) => {
                    let (packet, after) = rest.split_at(header.packet_len());
                    let followed = after.is_empty() || may_be_magic(after);
                    let whole = followed || (self.may_open(packet.len()) && verifier.opens(packet));
                    let torn = !whole;
                    if !torn {
                        found(offset, Found::Frame(header, packet));
                    } else {
                        found(offset, Found::Rejected(Error::Forged("a torn packet")));
                    }
                    if after.len() < FRAME_MAGIC.len() && !torn {
                        self.told = packet.len();
                        self.wanted = packet.len() + FRAME_MAGIC.len();
                        return at;
                    }
                    if torn { 1 } else { packet.len() }
                }
                Piece::Index(header) => {
                    // Its header may stand elsewhere too: what follows is not passed over for it alone.
                    let packet = &rest[..header.packet_len()];
                    if self.may_open(packet.len()) && verifier.opens_index(packet) {
                        found(offset, Found::Index(packet));
                        packet.len()
                    } else {
                        found(offset, Found::BadIndex);
                        1
                    }
                }
                Piece::BadIndex => {
                    found(offset, Found::BadIndex);
                    1
                }
                Piece::Rejected(error) => {
                    found(offset, Found::Rejected(error));
                    1
                }
            };
            self.skipped += u64::from(used == 1);
            at += used;
        }
    }
}

/// Whether so many bytes more may be worked on, and if so counts them.
fn in_proportion(done: &mut u64, received: u64, bytes: usize) -> bool {
    let may = *done <= WORK_PER_BYTE * received;
    *done += if may { bytes as u64 } else { 0 };
    may
}

/// What stands at a magic.
enum Piece {
    /// A whole stream header, not verified.
    Header(usize),
    /// A whole frame whose header has verified.
    Frame(FrameHeader),
    Index(IndexHeader),
    BadIndex,
    /// More bytes are needed: so many in all, as far as can be told.
    Unfinished(usize),
    Rejected(Error),
}

impl Piece {
    fn at(bytes: &[u8], verifier: &mut impl Verifier) -> Piece {
        if bytes.starts_with(STREAM_MAGIC) {
            return match RawStreamHeader::total_len(bytes) {
                _ if !verifier.may_be_stream_header(bytes) => Piece::Rejected(Error::OtherStream),
                Err(error) => Piece::Rejected(error),
                Ok(None) => Piece::Unfinished(bytes.len() + 1),
                Ok(Some(len)) if bytes.len() < len => Piece::Unfinished(len),
                Ok(Some(len)) => Piece::Header(len),
            };
        }
        if bytes.starts_with(INDEX_MAGIC) {
            let Some(header) = bytes.first_chunk() else { return Piece::Unfinished(INDEX_HEADER_BYTES) };
            return match verifier.index_header(header) {
                Ok(header) if bytes.len() < header.packet_len() => Piece::Unfinished(header.packet_len()),
                Ok(header) => Piece::Index(header),
                Err(_) => Piece::BadIndex,
            };
        }
        let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Piece::Unfinished(FRAME_HEADER_BYTES);
        };
        match verifier.frame_header(header) {
            Ok(header) if bytes.len() < header.packet_len() => Piece::Unfinished(header.packet_len()),
            Ok(header) => Piece::Frame(header),
            Err(error) => Piece::Rejected(error),
        }
    }
}

/// What packets begin with.
const MAGICS: [&[u8; 8]; 3] = [STREAM_MAGIC, FRAME_MAGIC, INDEX_MAGIC];

/// Whether `bytes` begin like a packet.
pub fn is_magic(bytes: &[u8]) -> bool {
    MAGICS.iter().any(|magic| bytes.starts_with(*magic))
}

/// Whether `bytes` begin with a magic, or are too few to tell.
fn may_be_magic(bytes: &[u8]) -> bool {
    is_magic(bytes) || MAGICS.iter().any(|magic| magic.starts_with(bytes))
}

/// Number of bytes before the first place where a packet's magic stands, or may begin at the end of `bytes`.
pub fn find_magic(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|&byte| byte == STREAM_MAGIC[0]) {
        at += start;
        if may_be_magic(&bytes[at..]) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what it is asked to verify, and takes none of it.
    struct Refuse {
        bytes: usize,
        headers: usize,
    }

    impl Verifier for Refuse {
        fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
            self.bytes += bytes.len();
            self.headers += 1;
            Err(Error::WrongKey)
        }

        fn frame_header(&mut self, _: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
            Err(Error::NotOurs)
        }

        fn index_header(&mut self, _: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
            Err(Error::NotOurs)
        }

        fn opens(&mut self, _: &[u8]) -> bool {
            false
        }
    }

    /// Each 48 bytes begin a header of 60,108, whose description has its length where the next ones have zeros.
    fn headers_within_headers(starts: usize) -> Vec<u8> {
        let mut start = b"CVEILHDR\x01\x03\x01\x00".to_vec();
        start.extend_from_slice(&60_028_u32.to_le_bytes());
        start.resize(48, 0);
        start.repeat(starts)
    }

    #[test]
    fn headers_within_headers_cost_no_more_than_they_weigh() {
        let stream = headers_within_headers(10_000);
        for piece in [1000, 1 << 16, usize::MAX] {
            let (mut scanner, mut refuse) = (PacketScanner::default(), Refuse { bytes: 0, headers: 0 });
            stream.chunks(piece).for_each(|piece| scanner.push(piece, &mut refuse, |_, _| {}));
            scanner.finish(&mut refuse, |_, _| {});
            assert!(refuse.headers > 1, "they are headers, as far as the scanner can tell");
            assert!(refuse.bytes as u64 <= 2 * stream.len() as u64 + FREE_WORK + 60_108, "{} bytes", refuse.bytes);
            assert_eq!(scanner.skipped(), stream.len() as u64);
        }
    }
}
