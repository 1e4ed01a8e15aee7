//! An index while its file is written: a writer knows when its frames are due, who writes the file where they stand.

use std::sync::Arc;

use super::{
    frame_header::{FRAME_HEADER_BYTES, FrameHeader},
    index::{Index, IndexPoint, IndexedDescription},
    keys::StreamKeys,
    limits,
    stream_header::RawStreamHeader,
};
use crate::Result;

/// Points lie at least this far apart, in ns of running time: as far as repeated stream headers.
const SPACING_NS: u64 = 1_000_000_000;
/// Descriptions noted: as many as a stream has epochs. An index holds fewer.
const DESCRIPTIONS_NOTED: usize = 1 << 20;

/// The index of one stream in the making. Its memory is bounded: when it is full, points lie twice as far apart.
#[derive(Debug)]
pub struct IndexDraft {
    keys: Arc<StreamKeys>,
    end: Option<u64>,
    spacing_ns: u64,
    descriptions: Vec<IndexedDescription>,
    points: Vec<Point>,
    /// There are more descriptions than are noted.
    overfull: bool,
}

#[derive(Debug)]
struct Point {
    counter: u64,
    time: u64,
    offset: Option<u64>,
}

impl IndexDraft {
    /// Nothing has been noted of the stream that `keys` belong to.
    pub fn new(keys: Arc<StreamKeys>) -> IndexDraft {
        let (descriptions, points) = (Vec::new(), Vec::new());
        IndexDraft { keys, end: None, spacing_ns: SPACING_NS, descriptions, points, overfull: false }
    }

    /// Id of the stream.
    pub fn stream_id(&self) -> [u8; 16] {
        self.keys.stream_id
    }

    /// Notes a frame, in the order of counters. `entry` is its running time if it needs no other frame, `end` that at
    /// which it ends, both in ns.
    pub fn note(&mut self, counter: u64, entry: Option<u64>, end: Option<u64>) {
        self.end = self.end.max(end);
        let Some(time) = entry.filter(|&time| self.is_due(time)) else { return };
        if self.points.len() == limits::INDEX_POINTS {
            self.thin();
        }
        if self.is_due(time) {
            self.points.push(Point { counter, time, offset: None });
        }
    }

    fn is_due(&self, time: u64) -> bool {
        self.points.last().is_none_or(|last| time >= last.time.saturating_add(self.spacing_ns))
    }

    fn thin(&mut self) {
        while self.points.len() == limits::INDEX_POINTS {
            self.spacing_ns = self.spacing_ns.saturating_mul(2);
            let (spacing, mut next) = (self.spacing_ns, 0);
            self.points.retain(|point| {
                let kept = point.time >= next;
                next = if kept { point.time.saturating_add(spacing) } else { next };
                kept
            });
        }
    }

    /// Notes where a packet of the stream stands in the file.
    pub fn place(&mut self, packet: &[u8], offset: u64) {
        if let Ok(header) = RawStreamHeader::split(packet) {
            return self.place_description(header.claimed_counter(), offset);
        }
        if let Some(Ok(header)) = packet.first_chunk::<FRAME_HEADER_BYTES>().map(FrameHeader::claimed) {
            self.place_frame(header.counter, offset);
        }
    }

    /// Notes where the packet of a frame stands in the file.
    pub fn place_frame(&mut self, counter: u64, offset: u64) {
        if let Ok(found) = self.points.binary_search_by_key(&counter, |point| point.counter) {
            self.points[found].offset = Some(offset);
        }
    }

    /// Notes where a stream header packet with the description of that counter stands in the file.
    pub fn place_description(&mut self, counter: u64, offset: u64) {
        if self.descriptions.last().is_some_and(|last| counter <= last.counter) {
            return;
        }
        self.overfull |= self.descriptions.len() == DESCRIPTIONS_NOTED;
        if !self.overfull {
            self.descriptions.push(IndexedDescription { counter, offset });
        }
    }

    /// Whether there are more descriptions than an index packet holds.
    pub fn is_too_long(&self) -> bool {
        self.descriptions.len() > limits::INDEX_DESCRIPTIONS
    }

    /// The index packet of what has been placed; `None` if nothing was, or too much.
    ///
    /// # Errors
    /// As [`Index::seal`].
    pub fn seal(&self) -> Result<Option<Vec<u8>>> {
        if self.is_too_long() {
            return Ok(None);
        }
        self.finish().map(|index| index.seal(&self.keys)).transpose()
    }

    /// The index of what has been placed, which may be longer than a packet holds; `None` if nothing was, or far too much.
    pub fn finish(&self) -> Option<Index> {
        let first = self.descriptions.first().filter(|_| !self.overfull)?;
        let placed = self
            .points
            .iter()
            .filter_map(|point| Some(IndexPoint { counter: point.counter, offset: point.offset?, time: point.time }));
        let mut reached = first.offset;
        let points = placed.filter(|point| {
            let onward = point.counter > first.counter && point.offset > reached;
            reached = reached.max(point.offset);
            onward
        });
        let points = points.collect();
        Some(Index { end: self.end, descriptions: self.descriptions.clone(), points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Aead, Profile, Secret};

    fn draft() -> IndexDraft {
        let root = Secret::new([1; 32]);
        IndexDraft::new(Arc::new(StreamKeys::derive(&root, b"", [2; 16], Profile::Aead, Aead::Aes256Gcm)))
    }

    #[test]
    fn points_stay_apart_and_few() {
        let mut draft = draft();
        draft.place_description(0, 0);
        let frames = 3 * limits::INDEX_POINTS as u64;
        for counter in 1..=frames {
            // Two frames a second.
            let time = counter * SPACING_NS / 2;
            draft.note(counter, Some(time), Some(time + SPACING_NS / 2));
            if let Some(last) = draft.points.last_mut() {
                last.offset = Some(100 * last.counter);
            }
        }
        let index = draft.finish().expect("a description is there");
        assert!((limits::INDEX_POINTS / 2..=limits::INDEX_POINTS).contains(&index.points.len()));
        assert!(index.points.is_sorted_by(|a, b| b.time - a.time >= 2 * SPACING_NS));
        assert_eq!(index.end, Some((frames + 1) * SPACING_NS / 2));
        assert!(draft.points.capacity() <= 2 * limits::INDEX_POINTS);
    }

    #[test]
    fn what_never_left_is_not_in_it() {
        let mut draft = draft();
        assert!(draft.finish().is_none());
        draft.place_description(0, 0);
        draft.note(1, Some(0), None);
        draft.note(2, None, None);
        draft.note(3, Some(5 * SPACING_NS), None);
        draft.points[1].offset = Some(500);
        let index = draft.finish().expect("a description is there");
        assert_eq!(index.points, [IndexPoint { counter: 3, offset: 500, time: 5 * SPACING_NS }]);
    }
}
