//! Opens a packet file: every stream in it, each with its own keys, counters and end record.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    error::{Exit, Failure},
    matroska::End,
    packets::{Extent, PacketReader},
    sealing::Opening,
    troubles::{Trail, Trouble},
};
use crate::{
    Error, Result,
    seal::{
        CameraId, Description, EndRecord, FRAME_HEADER_BYTES, FrameHeader, FrameOpener, HeaderNews, INDEX_HEADER_BYTES,
        Index, IndexHeader, Kind, Offset, RawStreamHeader, Record, StreamKeys, StreamReader, Verdict, Verifier, limits,
    },
};

/// Takes the packets whose headers have verified.
pub trait StreamHandler {
    /// A stream header.
    fn header(&mut self, stream: &mut Stream, bytes: &[u8]);
    /// A frame packet at some offset of the file. Tells whether it is intact, as far as is known by then.
    fn frame(&mut self, stream: &mut Stream, offset: Offset, header: &FrameHeader, packet: &[u8]) -> bool;
    /// Nothing comes at the moment. Tells whether it goes on then.
    fn idle(&mut self) -> bool {
        false
    }
}

/// Takes every frame that has verified, in the order of the file.
pub trait FrameSink {
    /// A frame with its record and the description in force.
    fn frame(&mut self, description: &Description, record: &Record, payload: &[u8]);
}

/// Opens every frame.
#[derive(Default)]
pub struct Open<S>(pub S);

impl<S: FrameSink> StreamHandler for Open<S> {
    fn header(&mut self, _: &mut Stream, _: &[u8]) {}

    fn frame(&mut self, stream: &mut Stream, offset: Offset, header: &FrameHeader, packet: &[u8]) -> bool {
        stream.take(offset, header, packet, &mut self.0)
    }
}

/// What is known of a stream that could be opened.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Intact frames, each counted once.
    pub frames: u64,
    /// Frames and end records that did not open.
    pub rejected: u64,
    /// Frames that had come before.
    pub replayed: u64,
    /// Frames that came after later ones, and are not given out.
    pub reordered: u64,
    /// How many frames the end record says there are.
    pub sealed_frames: Option<u64>,
    /// Earliest presentation time, ns.
    pub first_pts: Option<u64>,
    /// Latest presentation time, ns.
    pub last_pts: Option<u64>,
}

impl Tally {
    /// Frames known to be missing.
    pub fn lost(&self) -> u64 {
        self.sealed_frames.map_or(0, |sealed| sealed.saturating_sub(self.frames))
    }

    /// Whether everything that was sealed has come, once and in order.
    pub fn is_whole(&self) -> bool {
        self.sealed_frames == Some(self.frames) && self.rejected + self.replayed + self.reordered == 0
    }

    /// What one more packet has brought, if that was no good.
    fn trouble_since(&self, before: &Tally) -> Option<&'static str> {
        match () {
            () if self.rejected > before.rejected => Some("rejected"),
            () if self.replayed > before.replayed => Some("replayed"),
            () if self.reordered > before.reordered => Some("reordered"),
            () => None,
        }
    }

    fn note_time(&mut self, pts: Option<u64>) {
        self.first_pts = self.first_pts.into_iter().chain(pts).min();
        self.last_pts = self.last_pts.max(pts);
    }
}

/// One stream of the file.
pub struct Stream {
    id: [u8; 16],
    reader: StreamReader,
    opener: FrameOpener,
    plain: Vec<u8>,
    /// What has come of it.
    pub tally: Tally,
    /// What is wrong with it, where its frames are opened here.
    pub trail: Trail,
}

impl Stream {
    /// The newest description.
    pub fn description(&self) -> Arc<Description> {
        self.reader.newest_description().unwrap_or_default()
    }

    /// The camera that signed it, if it is signed.
    pub fn camera(&self) -> Option<CameraId> {
        self.reader.session()?.camera()
    }

    /// Leaves frames before that counter to others.
    pub fn want_from(&mut self, counter: u64) {
        self.reader.want_from(counter);
    }

    /// Id of the stream.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Keys of the stream.
    pub fn keys(&self) -> Result<Arc<StreamKeys>> {
        self.reader.keys().ok_or(Error::NoHeaderYet)
    }

    /// A frame's record, of what stands before the payload.
    pub fn record(&mut self, prefix: &[u8]) -> Result<Record> {
        self.opener.record(prefix)
    }

    fn take(&mut self, offset: Offset, header: &FrameHeader, packet: &[u8], sink: &mut impl FrameSink) -> bool {
        let at = Trouble { byte: Some(offset), ..Trouble::after(self.tally.last_pts) };
        self.trail.pass(header.counter, &at);
        let before = self.tally.clone();
        let intact = self.open(header, packet, sink);
        if let Some(what) = self.tally.trouble_since(&before) {
            self.trail.troubles.note(Trouble { what: what.to_owned(), counter: Some(header.counter), ..at });
        }
        intact
    }

    fn open(&mut self, header: &FrameHeader, packet: &[u8], sink: &mut impl FrameSink) -> bool {
        let (prefix, payload) = packet.split_at(header.prefix_len());
        let Ok((_, record)) = self.opener.open(prefix, payload, &mut self.plain) else {
            self.tally.rejected += 1;
            return false;
        };
        match self.reader.admit(header.counter) {
            Verdict::Fresh => return self.take_fresh(header, &record, sink),
            Verdict::Reordered => self.tally.reordered += 1,
            Verdict::Replayed => self.tally.replayed += 1,
        }
        true
    }

    fn take_fresh(&mut self, header: &FrameHeader, record: &Record, sink: &mut impl FrameSink) -> bool {
        if header.kind == Kind::End {
            let end = EndRecord::decode(header, record, &self.plain).ok();
            self.tally.sealed_frames = end.as_ref().map(|end| end.frames).or(self.tally.sealed_frames);
            self.tally.rejected += u64::from(end.is_none());
            return end.is_some();
        }
        let Some(description) = self.reader.description(record.description, header.epoch) else {
            // Its own stream header did not come through: what the bytes are is not known.
            self.tally.rejected += 1;
            return true;
        };
        self.tally.frames += 1;
        self.tally.note_time(record.pts);
        sink.frame(&description, record, &self.plain);
        true
    }
}

/// Opens all streams of a file. The first fixes the recording; streams of others are refused.
pub struct Streams<'a, H> {
    opening: &'a Opening,
    /// Who takes the packets.
    pub handler: H,
    streams: BTreeMap<[u8; 16], Stream>,
    recording: Option<[u8; 16]>,
    /// Why the first refused header was refused.
    refusal: Option<Error>,
}

impl<'a, H> Streams<'a, H> {
    /// Nothing has been read yet.
    pub fn new(opening: &'a Opening, handler: H) -> Streams<'a, H> {
        Streams { opening, handler, streams: BTreeMap::new(), recording: None, refusal: None }
    }

    /// The streams that could be opened, with their ids, and who took their packets.
    ///
    /// # Errors
    /// If there is none: because of the key, or because the file is not ours.
    pub fn finish(self) -> Result<(BTreeMap<[u8; 16], Stream>, H), Failure> {
        match self.streams.is_empty() {
            true => Err(self.refusal.unwrap_or(Error::NotOurs).into()),
            false => Ok((self.streams, self.handler)),
        }
    }

    /// Why none could be opened. Asked once.
    pub fn take_refusal(&mut self) -> Error {
        self.refusal.take().unwrap_or(Error::NotOurs)
    }

    fn open_stream(&mut self, bytes: &[u8]) -> Result<()> {
        if self.streams.len() == limits::STREAMS {
            return Err(Error::Refused("more streams than a file may hold"));
        }
        let mut reader = StreamReader::new(self.opening.identities.clone(), self.opening.policy.clone());
        reader.header(bytes)?;
        let (Some(keys), Some(description)) = (reader.keys(), reader.newest_description()) else {
            return Err(Error::NotOurs);
        };
        let raw = RawStreamHeader::split(bytes)?;
        if let Err(error) = self.check_place(&description) {
            self.opening.identities.refuse_far(&raw, &keys);
            return Err(error);
        }
        let (id, counter) = (raw.stream_id(), raw.description(&keys)?.counter);
        let (tally, mut trail) = (Tally::default(), Trail::default());
        trail.pass(counter, &Trouble::default());
        let opener = FrameOpener::new(keys, self.opening.engine.clone());
        self.streams.insert(id, Stream { id, reader, opener, plain: Vec::new(), tally, trail });
        Ok(())
    }

    /// Whether a stream is one more of the same recording.
    fn check_place(&mut self, description: &Description) -> Result<()> {
        if *self.recording.get_or_insert(description.recording) != description.recording {
            return Err(Error::OtherStream);
        }
        match self.streams.values().any(|known| known.description().track == description.track) {
            true => Err(Error::Refused("two streams for one track of a recording")),
            false => Ok(()),
        }
    }

    /// The streams that could be opened, with their ids.
    pub fn opened(&self) -> &BTreeMap<[u8; 16], Stream> {
        &self.streams
    }

    /// The stream with an id that its packets claim.
    pub fn stream(&mut self, id: Option<[u8; 16]>) -> Result<&mut Stream> {
        self.streams.get_mut(&id.ok_or(Error::NotOurs)?).ok_or(Error::OtherStream)
    }
}

impl<H> Verifier for Streams<'_, H> {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        let id = RawStreamHeader::split(bytes)?.stream_id();
        let verified = match self.streams.get_mut(&id) {
            None => self.open_stream(bytes),
            Some(stream) => stream.reader.header(bytes).map(|news| {
                if let HeaderNews::NewDescription(counter) = news {
                    stream.reader.admit(counter);
                    stream.trail.pass(counter, &Trouble::after(stream.tally.last_pts));
                }
            }),
        };
        verified.inspect_err(|error| note_refusal(&mut self.refusal, error))
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        self.stream(FrameHeader::claimed_stream(bytes))?.reader.frame(bytes)
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        self.stream(IndexHeader::claimed_stream(bytes))?.reader.index_header(bytes)
    }

    fn opens_index(&mut self, packet: &[u8]) -> bool {
        let stream = packet.first_chunk().and_then(IndexHeader::claimed_stream);
        self.stream(stream).and_then(|stream| stream.keys()).is_ok_and(|keys| Index::open(packet, &keys).is_ok())
    }

    fn opens(&mut self, packet: &[u8]) -> bool {
        let Some(bytes) = packet.first_chunk() else { return false };
        let Ok(stream) = self.stream(FrameHeader::claimed_stream(bytes)) else { return false };
        let Ok(header) = stream.reader.frame(bytes) else { return false };
        let (prefix, payload) = packet.split_at(header.prefix_len());
        stream.opener.open(prefix, payload, &mut stream.plain).is_ok()
    }
}

/// A refused key explains why nothing opens better than what else stood in the file.
fn note_refusal(refusal: &mut Option<Error>, error: &Error) {
    let explains = |error: &Error| match error {
        Error::Camera(_) => 5,
        Error::ProfileNotAccepted(_) => 4,
        Error::WrongKey => 3,
        Error::TooManyPassphrases | Error::TooManyFarEpochs => 2,
        _ => 1,
    };
    if refusal.as_ref().is_none_or(|known| explains(error) > explains(known)) {
        *refusal = Some(match error {
            Error::Camera(reason) => Error::Camera(reason),
            Error::ProfileNotAccepted(name) => Error::ProfileNotAccepted(name),
            Error::WrongKey => Error::WrongKey,
            Error::TooManyPassphrases => Error::TooManyPassphrases,
            Error::TooManyFarEpochs => Error::TooManyFarEpochs,
            _ => Error::NotOurs,
        });
    }
}

impl<H: StreamHandler> PacketReader for Streams<'_, H> {
    fn header(&mut self, bytes: &[u8]) {
        let Ok(id) = RawStreamHeader::split(bytes).map(|raw| raw.stream_id()) else { return };
        if let Some(stream) = self.streams.get_mut(&id) {
            self.handler.header(stream, bytes);
        }
    }

    fn frame(&mut self, offset: Offset, header: FrameHeader, packet: &[u8]) -> bool {
        let Some(stream) = self.streams.get_mut(&header.stream_id) else { return false };
        self.handler.frame(stream, offset, &header, packet)
    }

    fn idle(&mut self) -> bool {
        self.handler.idle()
    }
}

/// What is wrong with a file that could be opened.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    ranges: Vec<std::ops::Range<u64>>,
    truncated: bool,
    bytes_missing: u64,
    tracks_missing: usize,
    lost: u64,
    rejected: u64,
    replayed: u64,
    reordered: u64,
}

/// Tracks of the recording of which nothing is there.
fn tracks_missing<'a>(streams: impl Iterator<Item = &'a Stream> + Clone) -> usize {
    let tracks = streams.clone().map(|stream| usize::from(stream.description().tracks)).max().unwrap_or(0);
    tracks.saturating_sub(streams.count())
}

impl Damage {
    /// Judges the streams of a file that was read to its end; `None` if all is well.
    pub fn of<'a>(extent: &Extent, streams: impl Iterator<Item = &'a Stream> + Clone) -> Option<Damage> {
        let mut damage = Damage { ranges: extent.damaged.clone(), ..Damage::default() };
        damage.tracks_missing = tracks_missing(streams.clone());
        let mut whole = damage.ranges.is_empty() && damage.tracks_missing == 0;
        for Stream { tally, .. } in streams {
            whole &= tally.is_whole();
            // What follows an end record needs another.
            damage.truncated |= tally.sealed_frames.is_none_or(|sealed| sealed < tally.frames);
            damage.add(tally);
        }
        if whole {
            return None;
        }
        // Who knows what else has been there.
        damage.ranges = extent.all_damaged();
        Some(damage)
    }

    /// Judges what was read of a file by then, although there is more of it: what has not come is not missing.
    pub fn so_far<'a>(extent: &Extent, streams: impl Iterator<Item = &'a Stream>) -> Option<Damage> {
        let mut damage = Damage { ranges: extent.damaged.clone(), ..Damage::default() };
        streams.for_each(|stream| damage.add(&Tally { sealed_frames: None, ..stream.tally.clone() }));
        damage.if_any()
    }

    /// Judges an excerpt of a file: what lies outside is not missing. `with_end` tells of which streams the ends are in it.
    pub fn of_excerpt<'a>(
        extent: &Extent,
        streams: impl Iterator<Item = &'a Stream> + Clone,
        with_end: impl Fn(&Stream) -> bool,
    ) -> Option<Damage> {
        let truncated = streams.clone().any(|stream| with_end(stream) && stream.tally.sealed_frames.is_none());
        let tracks_missing = tracks_missing(streams.clone());
        match Damage::so_far(extent, streams) {
            None if truncated || tracks_missing > 0 => Some(Damage { truncated, tracks_missing, ..Damage::default() }),
            damage => damage.map(|damage| Damage { truncated, tracks_missing, ..damage }),
        }
    }

    /// Judges a cipher video, whose end only its container may know; `None` if all is well.
    pub fn of_pictures(tally: &Tally, end: Option<End>) -> Option<Damage> {
        let mut damage = Damage::default();
        damage.add(tally);
        if let Some(End::Missing(bytes)) = end {
            damage.bytes_missing = bytes;
        }
        damage.if_any()
    }

    /// The failure that it is of a command that reads `name`.
    pub fn failure(&self, name: impl fmt::Display) -> Failure {
        Failure::new(Exit::Content, format!("{name} is damaged: {self}"))
    }

    fn if_any(self) -> Option<Damage> {
        let counts = [self.lost, self.rejected, self.replayed, self.reordered, self.bytes_missing];
        (counts.iter().any(|count| *count > 0) || !self.ranges.is_empty()).then_some(self)
    }

    fn add(&mut self, tally: &Tally) {
        self.lost = self.lost.saturating_add(tally.lost());
        self.rejected = self.rejected.saturating_add(tally.rejected);
        self.replayed = self.replayed.saturating_add(tally.replayed);
        self.reordered = self.reordered.saturating_add(tally.reordered);
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.truncated {
            parts.push("truncated: the end record is missing".to_owned());
        }
        if self.bytes_missing > 0 {
            parts.push(format!("truncated: at least {} bytes are missing at its end", self.bytes_missing));
        }
        let counts = [
            (self.tracks_missing as u64, "tracks missing"),
            (self.lost, "frames lost"),
            (self.rejected, "frames rejected"),
            (self.replayed, "frames replayed"),
            (self.reordered, "frames out of order"),
        ];
        parts.extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
        if !self.ranges.is_empty() {
            parts.push(format!("damaged bytes {}", ranges_text(&self.ranges)));
        }
        f.write_str(&parts.join("; "))
    }
}

/// The first ranges, and how many more there are.
fn ranges_text(ranges: &[std::ops::Range<u64>]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = ranges.iter().take(SHOWN).map(|range| format!("{}-{}", range.start, range.end - 1)).collect();
    match ranges.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
