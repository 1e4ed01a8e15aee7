//! What a reader has to count of what arrives: from the definitions alone, with sets in place of windows.
//!
//! * *released*: a whole frame, newer than every one before.
//! * *replayed*: a whole frame that came before, or one as far behind the newest as the window is wide.
//! * *reordered*: a whole frame that is older than the newest and did not come before.
//! * *lost*: a counter between the first frame and the newest that was neither released nor reordered.
//! * *rejected*: a packet that begins like one and is not whole, or a frame whose description has not come.
//!
//! A packet whose missing bytes are, by chance, those with which the next one begins is whole, and the next one is not.
//! Where a torn frame's claimed end is the very place where another packet begins, its length is believed, as FORMAT.md
//! says in section 6, and what came between goes down with it.

use std::collections::HashSet;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A stream header, with the counter of its description.
    Header(u64),
    /// A frame: its counter, and that of its description.
    Frame(u64, u64),
    /// An end record.
    End(u64),
}

/// What of a packet arrives.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// What it was.
    pub packet: Packet,
    /// Bytes of the packet.
    pub bytes: u32,
    /// Bytes that are left of it.
    pub left: u32,
    /// Byte in which a bit is flipped, of those that are left.
    pub flipped: Option<u32>,
    /// Bytes that are missing, where these are the ones with which every packet begins; else 0.
    pub lacks_magic: u32,
}

/// What every packet begins with.
const MAGIC: &[u8; 5] = b"CVEIL";
const MAGIC_BYTES: u32 = 8;
const FRAME_HEADER_BYTES: u32 = 64;

impl Piece {
    /// What of a packet arrives if `came` is what is left of `sent`.
    pub fn of(packet: Packet, sent: &[u8], came: &[u8]) -> Piece {
        let flipped = sent.iter().zip(came).position(|(sent, came)| sent != came).map(|at| at as u32);
        let missing = &sent[came.len()..];
        let lacks_magic = if MAGIC.starts_with(missing) { missing.len() as u32 } else { 0 };
        Piece { packet, bytes: sent.len() as u32, left: came.len() as u32, flipped, lacks_magic }
    }

    fn is_whole(&self) -> bool {
        self.left == self.bytes && self.flipped.is_none()
    }

    fn begins_like_one(&self) -> bool {
        self.is_untouched_to(MAGIC_BYTES)
    }

    fn is_untouched_to(&self, bytes: u32) -> bool {
        self.left >= bytes && self.flipped.is_none_or(|flipped| flipped >= bytes)
    }

    /// Whether its header says how long it is, and it is shorter.
    fn claims_more(&self) -> bool {
        let is_frame = !matches!(self.packet, Packet::Header(_));
        is_frame && self.left < self.bytes && self.is_untouched_to(FRAME_HEADER_BYTES)
    }
}

/// Counts as `chaosdec` has them in `stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub released: u64,
    pub lost: u64,
    pub reordered: u64,
    pub replayed: u64,
    pub rejected: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.released += other.released;
        self.lost += other.lost;
        self.reordered += other.reordered;
        self.replayed += other.replayed;
        self.rejected += other.rejected;
    }
}

/// Counts what a reader with a window of so many counters makes of the pieces, which stand one after the other.
pub fn count(arrived: &[Piece], window: u64) -> Counts {
    let pieces = completed_by_chance(arrived);
    let mut starts = Vec::with_capacity(pieces.len());
    let mut end = 0;
    for piece in &pieces {
        starts.push(end);
        end += u64::from(piece.left);
    }
    let mut model = Model { window, ..Model::default() };
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        at = match piece.claims_more() && model.joined {
            true => packet_at(&pieces, &starts, at, starts[at] + u64::from(piece.bytes)),
            false => at + 1,
        };
        model.arrives(piece);
    }
    model.counts.lost = model.lost();
    model.counts
}

/// The pieces, after each that lacks what the next begins with has got it from there.
fn completed_by_chance(arrived: &[Piece]) -> Vec<Piece> {
    let mut pieces = arrived.to_vec();
    for at in 0..pieces.len() {
        let (lacks, next) = (pieces[at].lacks_magic, (at + 1..pieces.len()).find(|&next| pieces[next].left > 0));
        if let Some(next) = next.filter(|&next| lacks > 0 && pieces[next].is_untouched_to(lacks)) {
            pieces[at].left += lacks;
            pieces[next].left -= lacks;
            pieces[next].flipped = Some(0);
        }
    }
    pieces
}

/// The piece after a torn one that the reader meets next.
fn packet_at(pieces: &[Piece], starts: &[u64], torn: usize, claimed_end: u64) -> usize {
    let first = torn + 1 + starts[torn + 1..].partition_point(|&start| start < claimed_end);
    let at_the_end = (first..pieces.len()).take_while(|&at| starts[at] == claimed_end);
    at_the_end.into_iter().find(|&at| pieces[at].begins_like_one()).unwrap_or(torn + 1)
}

#[derive(Default)]
struct Model {
    window: u64,
    joined: bool,
    descriptions: HashSet<u64>,
    /// Counters released or reordered, and how many of them are not older than the first.
    seen: HashSet<u64>,
    since_first: u64,
    first: Option<u64>,
    newest: u64,
    counts: Counts,
}

impl Model {
    fn arrives(&mut self, piece: &Piece) {
        match piece.packet {
            _ if !piece.is_whole() => self.counts.rejected += u64::from(self.joined && piece.begins_like_one()),
            Packet::Header(counter) => {
                let is_news = self.descriptions.insert(counter);
                if std::mem::replace(&mut self.joined, true) && is_news {
                    self.admit(counter, &mut Counts::default());
                }
            }
            _ if !self.joined => {}
            Packet::Frame(_, description) if !self.descriptions.contains(&description) => self.counts.rejected += 1,
            Packet::Frame(counter, _) => {
                let mut counts = self.counts;
                self.admit(counter, &mut counts);
                self.counts = counts;
            }
            Packet::End(counter) => self.admit(counter, &mut Counts::default()),
        }
    }

    fn admit(&mut self, counter: u64, counts: &mut Counts) {
        let first = *self.first.get_or_insert(counter);
        if self.seen.is_empty() || counter > self.newest {
            self.newest = counter;
            counts.released += 1;
        } else if self.newest - counter >= self.window || self.seen.contains(&counter) {
            counts.replayed += 1;
            return;
        } else {
            counts.reordered += 1;
        }
        self.seen.insert(counter);
        self.since_first += u64::from(counter >= first);
    }

    fn lost(&self) -> u64 {
        self.first.map_or(0, |first| self.newest - first + 1 - self.since_first)
    }
}
