//! A packet file that is read where it is needed: headers and records tell what stands where, payloads are stepped over.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    endpoint, error::Failure, graph::start_gstreamer, sealing::Opening, streams::Streams, video_progress::VideoProgress,
};
use crate::{
    gst::restore_segment,
    seal::{
        FRAME_HEADER_BYTES, FRAME_MAGIC, FREE_WORK, FrameHeader, INDEX_HEADER_BYTES, INDEX_MAGIC, IndexDraft, Kind,
        RawStreamHeader, Record, STREAM_MAGIC, StreamKeys, Verifier, WORK_PER_BYTE, find_magic, is_magic, limits,
    },
};

/// Id of a stream.
pub type StreamId = [u8; 16];

/// What is read at least: headers and record of most frames.
const LEAST_READ: usize = 512;
/// What is read at once where a packet is looked for.
const SEARCH_BYTES: usize = 1 << 16;
/// Segments that are remembered.
const SEGMENTS_KEPT: usize = limits::INDEX_DESCRIPTIONS;

/// A packet file and the streams in it that have been opened.
pub struct PacketFile<'a> {
    window: Window,
    /// What it is called.
    pub name: String,
    streams: Streams<'a, ()>,
    /// Bytes of headers and indexes that did not verify.
    vain: u64,
    /// By stream and counter of the description.
    segments: BTreeMap<(StreamId, u64), gst::FormattedSegment<gst::ClockTime>>,
    /// Whose segments are kept, the last that was read last: every track needs that.
    segments_read: VecDeque<(StreamId, u64)>,
}

/// A packet, and where in the file it stands.
pub struct Met {
    /// Its bytes.
    pub place: Range<u64>,
    /// Its stream.
    pub stream: StreamId,
    /// What it is.
    pub packet: Packet,
}

/// What a packet tells without its payload.
pub enum Packet {
    /// A stream header with the description of that counter.
    Header(u64),
    /// A frame. Whether its payload verifies is not known.
    Frame(FrameHeader, Record),
    /// An end record.
    End,
}

/// What stands at some place.
enum Piece {
    Packet(Met),
    /// An index, up to there.
    Index(u64),
}

impl<'a> PacketFile<'a> {
    /// Opens a file; nothing has been read of it.
    ///
    /// # Errors
    /// If it cannot be opened, or is no regular file; if GStreamer does not start.
    pub fn open(path: &Path, opening: &'a Opening) -> Result<PacketFile<'a>, Failure> {
        // Its segments tell when frames are due.
        start_gstreamer()?;
        let name = path.display().to_string();
        let file = endpoint::open_file(path)?;
        let len = file.metadata().map_err(|error| Failure::io(&name, error))?.len();
        let window = Window { file, len, read: Arc::default(), at: 0, bytes: Vec::new() };
        let (segments, segments_read) = (BTreeMap::new(), VecDeque::new());
        Ok(PacketFile { window, name, streams: Streams::new(opening, ()), vain: 0, segments, segments_read })
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.window.len
    }

    /// Bytes that have been read of it by now.
    pub fn read_bytes(&self) -> Arc<AtomicU64> {
        self.window.read.clone()
    }

    /// Reads some of it from front to back.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn part(&self, bytes: Range<u64>) -> Result<impl Read + Send + use<>, Failure> {
        let mut file = self.window.file.try_clone().map_err(|error| self.unreadable(error))?;
        file.seek(SeekFrom::Start(bytes.start)).map_err(|error| self.unreadable(error))?;
        Ok(Part { file: file.take(bytes.end - bytes.start), read: self.read_bytes() })
    }

    /// Some bytes as they are; fewer where the file ends.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8], Failure> {
        let name = &self.name;
        self.window.bytes(at, len).map_err(|error| Failure::io(name, error))
    }

    /// Bytes from some place on to look for a packet in: those at hand, where that are any.
    fn bytes_to_search(&mut self, at: u64) -> Result<&[u8], Failure> {
        let at_hand = self.window.at_hand(at);
        self.bytes(at, if at_hand > STREAM_MAGIC.len() { at_hand } else { SEARCH_BYTES })
    }

    fn unreadable(&self, error: io::Error) -> Failure {
        Failure::io(&self.name, error)
    }

    /// Keys of a stream that has been opened.
    pub fn keys(&mut self, stream: StreamId) -> crate::Result<Arc<StreamKeys>> {
        self.streams.stream(Some(stream))?.keys()
    }

    /// Caps of a stream that has been opened.
    pub fn caps(&mut self, stream: StreamId) -> crate::Result<String> {
        Ok(self.streams.stream(Some(stream))?.description().caps.clone())
    }

    /// How many tracks the recording has, as far as is known.
    pub fn tracks(&self) -> usize {
        self.streams.opened().values().map(|stream| stream.description().tracks.into()).max().unwrap_or(0)
    }

    /// That nothing could be opened, and why.
    pub fn refusal(&mut self) -> Failure {
        Failure::from(self.streams.take_refusal()).about(&self.name)
    }

    /// Running time of a moment in a stream, in ns, under the description of that counter. Negative where it lies before
    /// the beginning; `None` where that is not known.
    pub fn running_time(&self, stream: StreamId, description: u64, time: Option<u64>) -> Option<i64> {
        let segment = self.segments.get(&(stream, description))?;
        running_ns(segment, time?)
    }

    /// The next packet at or after some place and before another; `None` if there is none. A frame that something else
    /// follows than a packet is taken for torn, and looked into.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next(&mut self, mut at: u64, end: u64) -> Result<Option<Met>, Failure> {
        while at < end {
            if !is_magic(self.bytes(at, 8)?) {
                let skipped = find_magic(self.bytes_to_search(at)?) as u64;
                at += skipped.max(1);
                continue;
            }
            at = match self.piece(at)? {
                Some(Piece::Packet(met)) if met.place.end <= end && self.is_followed(met.place.end, end)? => {
                    return Ok(Some(met));
                }
                Some(Piece::Index(end)) => end,
                _ => at + 1,
            };
        }
        Ok(None)
    }

    fn is_followed(&mut self, at: u64, end: u64) -> Result<bool, Failure> {
        Ok(at == end || is_magic(self.bytes(at, 8)?))
    }

    /// The packet at some place, if one stands there that verifies.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn packet_at(&mut self, at: u64) -> Result<Option<Met>, Failure> {
        Ok(self.piece(at)?.and_then(|piece| match piece {
            Piece::Packet(met) => Some(met),
            Piece::Index(_) => None,
        }))
    }

    fn piece(&mut self, at: u64) -> Result<Option<Piece>, Failure> {
        let start = self.bytes(at, FRAME_HEADER_BYTES)?;
        let piece = match start.first_chunk() {
            Some(STREAM_MAGIC) => self.header_at(at)?.map(Piece::Packet),
            Some(FRAME_MAGIC) => self.frame_at(at)?.map(Piece::Packet),
            Some(INDEX_MAGIC) => self.index_at(at)?.map(Piece::Index),
            _ => None,
        };
        Ok(piece)
    }

    fn header_at(&mut self, at: u64) -> Result<Option<Met>, Failure> {
        if self.has_worked_enough() {
            return Ok(None);
        }
        let Some(bytes) = self.header_bytes(at)? else { return Ok(None) };
        if self.streams.stream_header(&bytes).is_err() {
            self.vain += bytes.len() as u64;
            return Ok(None);
        }
        Ok(self.take_description(&bytes).ok().map(|(stream, counter)| Met {
            place: at..at + bytes.len() as u64,
            stream,
            packet: Packet::Header(counter),
        }))
    }

    /// What may be a stream header packet, as it stands there.
    pub fn header_bytes(&mut self, at: u64) -> Result<Option<Vec<u8>>, Failure> {
        let mut read = LEAST_READ;
        while read < limits::STREAM_HEADER_BYTES
            && matches!(RawStreamHeader::total_len(self.bytes(at, read)?), Ok(None))
        {
            read *= 2;
        }
        let Ok(Some(len)) = RawStreamHeader::total_len(self.bytes(at, read)?) else {
            self.vain += if read > LEAST_READ { read as u64 } else { 0 };
            return Ok(None);
        };
        Ok(Some(self.bytes(at, len)?.to_vec()))
    }

    /// Remembers the segment. The header has verified.
    fn take_description(&mut self, bytes: &[u8]) -> crate::Result<(StreamId, u64)> {
        let raw = RawStreamHeader::split(bytes)?;
        let (stream, counter) = (raw.stream_id(), raw.claimed_counter());
        let place = (stream, counter);
        if self.segments.contains_key(&place) {
            self.segments_read.retain(|known| *known != place);
        } else {
            let keys = self.streams.stream(Some(stream))?.keys()?;
            let description = raw.description(&keys)?.description;
            if self.segments_read.len() == SEGMENTS_KEPT
                && let Some(oldest) = self.segments_read.pop_front()
            {
                self.segments.remove(&oldest);
            }
            self.segments.insert(place, restore_segment(description.segment.as_ref()));
        }
        self.segments_read.push_back(place);
        Ok(place)
    }

    fn frame_at(&mut self, at: u64) -> Result<Option<Met>, Failure> {
        let Some(&start) = self.bytes(at, FRAME_HEADER_BYTES)?.first_chunk() else { return Ok(None) };
        let Ok(header) = self.streams.frame_header(&start) else { return Ok(None) };
        if self.has_worked_enough() {
            return Ok(None);
        }
        let place = at..at + header.packet_len() as u64;
        let met = |packet| Some(Met { place, stream: header.stream_id, packet });
        if header.kind == Kind::End {
            return Ok(met(Packet::End));
        }
        let prefix = self.window.bytes(at, header.prefix_len()).map_err(|error| Failure::io(&self.name, error))?;
        let record = self.streams.stream(Some(header.stream_id)).and_then(|stream| stream.record(prefix));
        self.vain += if record.is_err() { header.prefix_len() as u64 } else { 0 };
        Ok(record.ok().and_then(|record| met(Packet::Frame(header, record))))
    }

    /// Where the index packet ends that stands there. Its header alone is not believed: it may be a copy.
    fn index_at(&mut self, at: u64) -> Result<Option<u64>, Failure> {
        let Some(&start) = self.bytes(at, INDEX_HEADER_BYTES)?.first_chunk() else { return Ok(None) };
        let Ok(header) = self.streams.index_header(&start) else { return Ok(None) };
        if self.has_worked_enough() {
            return Ok(None);
        }
        let packet = self.bytes(at, header.packet_len())?.to_vec();
        let opens = self.streams.opens_index(&packet);
        self.vain += if opens { 0 } else { packet.len() as u64 };
        Ok(opens.then(|| at + packet.len() as u64))
    }

    /// Whether more was read and hashed in vain, of what may stand one in the other, than fits to the file.
    fn has_worked_enough(&self) -> bool {
        self.vain > WORK_PER_BYTE * self.window.len + FREE_WORK
    }

    /// Looks through the whole file, up to `end`, for where its streams can be entered. Tells where its last packet
    /// ends, too.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn draft_indexes(
        &mut self,
        end: u64,
        progress: &VideoProgress,
    ) -> Result<(BTreeMap<StreamId, IndexDraft>, u64), Failure> {
        let (mut drafts, mut at) = (BTreeMap::new(), 0);
        while let Some(Met { place, stream, packet }) = self.next(at, end)? {
            at = place.end;
            progress.show_bytes(at, Some(end));
            let keys = self.keys(stream)?;
            let draft: &mut IndexDraft = drafts.entry(stream).or_insert_with(|| IndexDraft::new(keys));
            match packet {
                Packet::Header(counter) => draft.place_description(counter, place.start),
                Packet::Frame(header, record) => {
                    let (entry, end) = self.times(stream, &record);
                    let entry = entry.filter(|_| is_entry(&record)).and_then(|time| time.try_into().ok());
                    draft.note(header.counter, entry, end.and_then(|time| time.try_into().ok()));
                    draft.place_frame(header.counter, place.start);
                }
                Packet::End => {}
            }
        }
        Ok((drafts, at))
    }

    /// Whether a packet of a stream begins anywhere from `at` on, whoever can open it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn goes_on_after(&mut self, mut at: u64) -> Result<bool, Failure> {
        const PIECE: usize = 1 << 20;
        loop {
            let piece = self.bytes(at, PIECE)?;
            if [STREAM_MAGIC, FRAME_MAGIC].iter().any(|magic| piece.windows(magic.len()).any(|part| part == *magic)) {
                return Ok(true);
            }
            if piece.len() < PIECE {
                return Ok(false);
            }
            // A magic may lie across the border.
            at += (PIECE - STREAM_MAGIC.len() + 1) as u64;
        }
    }

    /// Running times at which a frame begins and ends.
    pub fn times(&self, stream: StreamId, record: &Record) -> (Option<i64>, Option<i64>) {
        let shown = record.pts.or(record.dts);
        let end = shown.map(|shown| shown.saturating_add(record.duration.unwrap_or(0)));
        let running = |time| self.running_time(stream, record.description, time);
        (running(shown), running(end))
    }
}

fn running_ns(segment: &gst::FormattedSegment<gst::ClockTime>, time: u64) -> Option<i64> {
    // The largest number stands for no time.
    let time = Some(time).filter(|&time| time != u64::MAX).map(gst::ClockTime::from_nseconds)?;
    let running = segment.to_running_time_full(time)?;
    let (ns, sign) = (i64::try_from(running.abs().nseconds()).ok()?, running.is_negative());
    Some(if sign { -ns } else { ns })
}

/// Whether a frame needs no other one to be decoded.
pub fn is_entry(record: &Record) -> bool {
    !gst::BufferFlags::from_bits_truncate(record.flags).contains(gst::BufferFlags::DELTA_UNIT)
}

/// Some bytes of a file, and how many have been read in all.
struct Window {
    file: File,
    len: u64,
    read: Arc<AtomicU64>,
    /// Where `bytes` stand.
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// How many bytes from some place on need not be read any more.
    fn at_hand(&self, at: u64) -> usize {
        at.checked_sub(self.at).and_then(|start| self.bytes.len().checked_sub(start as usize)).unwrap_or(0)
    }

    /// `len` bytes at some place; fewer where the file ends.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let rest = self.len.saturating_sub(at);
        let len = usize::try_from(rest).map_or(len, |rest| len.min(rest));
        let start = at.wrapping_sub(self.at);
        if at < self.at || start.saturating_add(len as u64) > self.bytes.len() as u64 {
            let least = usize::try_from(rest).map_or(LEAST_READ, |rest| LEAST_READ.min(rest));
            self.bytes.resize(len.max(least), 0);
            self.at = at;
            self.file.read_exact_at(&mut self.bytes, at).inspect_err(|_| self.bytes.clear())?;
            self.read.fetch_add(self.bytes.len() as u64, Relaxed);
        }
        let start = (at - self.at) as usize;
        Ok(&self.bytes[start..start + len])
    }
}

/// A part of a file.
struct Part {
    file: io::Take<File>,
    read: Arc<AtomicU64>,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        self.read.fetch_add(len as u64, Relaxed);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_times_are_none() {
        gst::init().expect("GStreamer starts");
        let segment = gst::FormattedSegment::new();
        assert_eq!(running_ns(&segment, 5), Some(5));
        for time in [i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX] {
            assert_eq!(running_ns(&segment, time), None, "{time}");
        }
    }
}
