//! Which packets of a recording play from one moment to another. What an index tells is a hint: a frame begins or ends
//! the excerpt for what its own record says, so that the excerpt is the same whoever made the index, and without one.

use std::{collections::BTreeMap, ops::Range};

use super::{
    error::{Exit, Failure},
    index_file::{Indexes, counter_of},
    moment::Moment,
    packet_file::{Met, Packet, PacketFile, StreamId, is_entry},
    video_progress::VideoProgress,
    video_source::{is_sparse, is_video},
};
use crate::{gst::sealed_text, seal::Index};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first moment.
    pub from: Option<Moment>,
    /// The moment after the last.
    pub to: Option<Moment>,
}

/// The packets to be decrypted.
pub struct Excerpt {
    /// What of each stream.
    pub cuts: BTreeMap<StreamId, Cut>,
    /// Bytes of the file that hold it all, but for the stream headers.
    pub bytes: Range<u64>,
    /// Running time at which it begins, ns.
    pub origin: u64,
}

impl Excerpt {
    /// Whether the end record of a stream is in it.
    pub fn has_end_of(&self, stream: StreamId) -> bool {
        self.cuts.get(&stream).is_some_and(|cut| cut.has_end)
    }
}

/// The packets of a stream.
pub struct Cut {
    /// The stream header packet that tells the description of the first frame.
    pub header: Vec<u8>,
    /// Counter of that description.
    pub description: u64,
    /// Counters of the frames.
    pub frames: Range<u64>,
    /// Whether the stream's end record is among them. That of a track that has ended before stands before.
    has_end: bool,
}

impl Cut {
    /// Whether a description of that counter may be told to who has begun with this cut: one from before would have all
    /// between taken for lost.
    pub fn takes_description(&self, counter: u64) -> bool {
        counter >= self.description && counter < self.frames.end
    }
}

/// Most frames that may be decoded before one that is shown earlier: the largest max_num_reorder_frames of H.264
/// (ITU-T H.264, E.2.1) and of H.265 (sps_max_num_reorder_pics below MaxDpbSize 16).
const REORDERED_AT_MOST: usize = 16;

/// Why a search ends without an excerpt.
enum Stopped {
    /// An index points to what is not there.
    Misled,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        Stopped::Failed(error.into())
    }
}

type Found<T> = Result<T, Stopped>;

impl Excerpt {
    /// Finds the packets. Without an index, or where it leads astray, all headers are looked through; that is told.
    ///
    /// # Errors
    /// If the file cannot be read or opened, or has nothing in that span.
    pub fn find(file: &mut PacketFile, span: Span) -> Result<Excerpt, Failure> {
        let indexes = Indexes::read(file)?;
        let end = indexes.start;
        let why = match (&indexes.wrong, indexes.are_absent()) {
            (Some(wrong), _) => format!("the index cannot be used: {wrong}"),
            (None, true) => "there is no index".to_owned(),
            (None, false) => match (Search { file, indexes: &indexes.streams, end }).excerpt(span) {
                Ok(excerpt) => return Ok(excerpt),
                Err(Stopped::Failed(failure)) => return Err(failure),
                Err(Stopped::Misled) => "the index is of another file, or of other parts of this one".to_owned(),
            },
        };
        tell!("chaosveil: {}: {why}; all of it is looked through (`chaosveil index` makes one)", file.name);
        let (drafts, _) = file.draft_indexes(end, &VideoProgress::new())?;
        if drafts.is_empty() {
            return Err(file.refusal());
        }
        let made = drafts.iter().filter_map(|(stream, draft)| Some((*stream, draft.finish()?))).collect();
        match (Search { file, indexes: &made, end }).excerpt(span) {
            Ok(excerpt) => Ok(excerpt),
            Err(Stopped::Failed(failure)) => Err(failure),
            Err(Stopped::Misled) => {
                Err(Failure::new(Exit::Content, format!("{} has changed while it was read", file.name)))
            }
        }
    }
}

/// Looks for an excerpt by indexes.
struct Search<'a, 'b> {
    file: &'a mut PacketFile<'b>,
    indexes: &'a BTreeMap<StreamId, Index>,
    /// Where the packets end.
    end: u64,
}

/// A stream on the way to its cut.
struct Track {
    stream: StreamId,
    video: bool,
    /// It has frames now and then only: nobody waits for them.
    sparse: bool,
    start: Option<Start>,
    /// Counter after the last frame that has been looked at.
    next: u64,
    /// Counter after the last frame of the excerpt, and where that ends in the file.
    stop: Option<(u64, u64)>,
    /// Frames in a row that lie after the end.
    after: usize,
    done: bool,
}

/// The first frame of a stream's excerpt.
struct Start {
    counter: u64,
    offset: u64,
    description: u64,
    /// Running time, ns.
    time: i64,
}

impl Search<'_, '_> {
    fn excerpt(&mut self, span: Span) -> Found<Excerpt> {
        let mut tracks = self.tracks()?;
        let end = self.indexes.values().filter_map(|index| index.end).max();
        let Some(end) = end else {
            return Err(Failure::new(Exit::Content, format!("{}: its frames have no times", self.file.name)).into());
        };
        let (from, to) = (span.from.map_or(0, |from| from.0), span.to.map_or(u64::MAX, |to| to.0));
        if from >= end || (to > end && span.to.is_some()) {
            self.check_end(end)?;
        }
        if from >= end {
            let text = format!("{} ends at {}, before --from {}", self.file.name, Moment(end), Moment(from));
            return Err(Failure::usage(text).advise("name an earlier moment").into());
        }
        if to > end && span.to.is_some() {
            tell!("chaosveil: {} ends at {}, before --to {}", self.file.name, Moment(end), Moment(to));
        }
        let origin = match span.from {
            Some(_) => self.begin(&mut tracks, from)?,
            None => 0,
        };
        if origin < from {
            let (origin, from) = (Moment(origin), Moment(from));
            tell!("chaosveil: begins at {origin}, with the last picture before {from} that is decoded by itself");
        }
        if to < end {
            self.finish(&mut tracks, to)?;
        }
        self.cut(&tracks, span.from.map(|_| origin), to < end)
    }

    /// Opens every stream by the first header that its index names.
    fn tracks(&mut self) -> Found<Vec<Track>> {
        let mut tracks = Vec::new();
        for (&stream, index) in self.indexes {
            let offset = index.descriptions.first().map_or(0, |told| told.offset);
            self.check(stream, offset, index.descriptions.first().map(|told| (told.counter, true)))?;
            let caps = sealed_text::parse::<gst::Caps>(&self.file.caps(stream)?);
            let (video, sparse) = caps.map_or((false, true), |caps| (is_video(&caps), is_sparse(&caps)));
            let (start, stop) = (None, None);
            tracks.push(Track { stream, video, sparse, start, next: 0, stop, after: 0, done: false });
        }
        Ok(tracks)
    }

    /// Whether that packet of that stream stands there.
    fn check(&mut self, stream: StreamId, offset: u64, expected: Option<(u64, bool)>) -> Found<()> {
        let met = self.file.packet_at(offset)?;
        let is_there = met.is_some_and(|met| met.stream == stream && counter_of(&met) == expected);
        if is_there { Ok(()) } else { Err(Stopped::Misled) }
    }

    /// Whether the recording ends when the indexes say so: they may be those of a part of it.
    fn check_end(&mut self, end: u64) -> Found<()> {
        let last = self.indexes.iter().find(|(_, index)| index.end == Some(end)).map(|(stream, _)| *stream);
        let mut at = last.map_or(Ok(self.end), |last| self.place(last, end))?;
        while let Some(met) = self.file.next(at, self.end)? {
            at = met.place.end;
            if let Packet::Frame(_, record) = &met.packet
                && let (Some(begins), _) = self.file.times(met.stream, record)
                && begins > i64::try_from(end).unwrap_or(i64::MAX)
            {
                return Err(Stopped::Misled);
            }
        }
        Ok(())
    }

    /// A place in the file from which on all is seen that the stream has from some moment on.
    fn place(&mut self, stream: StreamId, time: u64) -> Found<u64> {
        let index = &self.indexes[&stream];
        let point = index.point_at(time).copied();
        let description = match point {
            Some(point) => index.description_of(point.counter),
            None => index.descriptions.first(),
        };
        let Some(description) = description.copied() else { return Err(Stopped::Misled) };
        self.check(stream, description.offset, Some((description.counter, true)))?;
        if let Some(point) = point {
            self.check(stream, point.offset, Some((point.counter, false)))?;
        }
        Ok(point.map_or(description.offset, |point| point.offset))
    }

    /// Where a pass over the tracks that are wanted has to begin.
    fn first_place(&mut self, tracks: &[Track], time: u64, wanted: impl Fn(&Track) -> bool) -> Found<Option<u64>> {
        let mut first: Option<u64> = None;
        for track in tracks.iter().filter(|track| wanted(track)) {
            let place = self.place(track.stream, time)?;
            first = Some(first.map_or(place, |first| first.min(place)));
        }
        Ok(first)
    }

    /// Shows all packets from some place on to their tracks, until those that are waited for are done.
    fn pass(
        &mut self,
        tracks: &mut [Track],
        mut at: u64,
        waited_for: impl Fn(&Track) -> bool,
        look: impl Fn(&PacketFile, &mut Track, &Met),
    ) -> Result<(), Failure> {
        tracks.iter_mut().for_each(|track| track.done = false);
        while tracks.iter().any(|track| waited_for(track) && !track.done)
            && let Some(met) = self.file.next(at, self.end)?
        {
            at = met.place.end;
            let track = tracks.iter_mut().find(|track| track.stream == met.stream && !track.done);
            if let Some(track) = track {
                look(self.file, track, &met);
            }
        }
        Ok(())
    }

    /// Finds where every track begins, and the running time of the first picture: a video track begins with the last
    /// frame at or before `from` that needs no other one, the others with what plays then.
    fn begin(&mut self, tracks: &mut [Track], from: u64) -> Found<u64> {
        let from_time = i64::try_from(from).unwrap_or(i64::MAX);
        if let Some(place) = self.first_place(tracks, from, |track| track.video)? {
            self.pass(
                tracks,
                place,
                |track| track.video,
                |file, track, met| track.look_for_entry(file, met, from_time),
            )?;
        }
        let videos = tracks.iter().filter(|track| track.video).filter_map(|track| Some(track.start.as_ref()?.time));
        let time = videos.min().map_or(from_time, |time| time.min(from_time)).max(0);
        let origin = u64::try_from(time).unwrap_or_default();
        let heard = |track: &Track| !track.video && !track.sparse;
        let others = self.first_place(tracks, origin, heard)?;
        let starts = tracks.iter().filter_map(|track| Some(track.start.as_ref()?.offset));
        if let Some(place) = starts.chain(others).min() {
            self.pass(tracks, place, heard, |file, track, met| track.look_for_playing(file, met, time))?;
        }
        Ok(origin)
    }

    /// Finds where every track ends: with the last frame, as they stand in the file, that is due before `to`.
    fn finish(&mut self, tracks: &mut [Track], to: u64) -> Found<()> {
        let time = i64::try_from(to).unwrap_or(i64::MAX);
        let lasting = |track: &Track| !track.sparse;
        let Some(place) = self.first_place(tracks, to.saturating_sub(1), lasting)? else { return Ok(()) };
        self.pass(tracks, place, lasting, |file, track, met| track.look_for_end(file, met, time))?;
        Ok(())
    }

    /// Without an `origin` nothing is left out at the beginning.
    fn cut(&mut self, tracks: &[Track], origin: Option<u64>, is_cut: bool) -> Found<Excerpt> {
        let is_begun = origin.is_none();
        let starts = tracks.iter().filter_map(|track| Some(track.start.as_ref()?.offset));
        let start = if is_begun { 0 } else { starts.min().unwrap_or(self.end) };
        let mut excerpt = Excerpt { cuts: BTreeMap::new(), bytes: start..0, origin: origin.unwrap_or_default() };
        for track in tracks {
            let descriptions = &self.indexes[&track.stream].descriptions;
            let told = match &track.start {
                Some(start) => descriptions.iter().find(|told| told.counter == start.description),
                // What is in force where the part begins.
                None => descriptions.iter().rfind(|told| told.offset < start).or(descriptions.first()),
            };
            let Some(told) = told else { return Err(Stopped::Misled) };
            let first = track.start.as_ref().map_or(track.next.max(told.counter), |start| start.counter);
            let Some(header) = self.file.header_bytes(told.offset)? else { return Err(Stopped::Misled) };
            let stop = match (is_cut, track.stop) {
                (false, _) => (u64::MAX, self.end),
                (true, Some(stop)) => stop,
                (true, None) if track.sparse => (u64::MAX, 0),
                (true, None) => (first, 0),
            };
            excerpt.bytes.end = excerpt.bytes.end.max(stop.1);
            let frames = first..stop.0.max(first);
            let has_end = !is_cut && (is_begun || track.start.is_some());
            excerpt.cuts.insert(track.stream, Cut { header, description: told.counter, frames, has_end });
        }
        match excerpt.bytes.is_empty() {
            false => Ok(excerpt),
            true => Err(Failure::usage(format!("{} has no frame from there to there", self.file.name)).into()),
        }
    }
}

impl Track {
    fn begin_with(&mut self, met: &Met, description: u64, time: i64) {
        let Some((counter, _)) = counter_of(met) else { return };
        self.start = Some(Start { counter, offset: met.place.start, description, time });
    }

    /// The last frame at or before a moment that needs no other one; the first one after it where there is none.
    fn look_for_entry(&mut self, file: &PacketFile, met: &Met, from: i64) {
        let Packet::Frame(_, record) = &met.packet else { return };
        let (Some(time), _) = file.times(self.stream, record) else { return };
        if !self.video || !is_entry(record) {
            return;
        }
        match time <= from || self.start.is_none() {
            true => self.begin_with(met, record.description, time),
            false => self.done = true,
        }
        self.done |= time > from;
    }

    /// The first frame that has not ended by some moment.
    fn look_for_playing(&mut self, file: &PacketFile, met: &Met, moment: i64) {
        let Packet::Frame(header, record) = &met.packet else { return };
        let (Some(time), end) = file.times(self.stream, record) else { return };
        if self.video || self.start.is_some() {
            return;
        }
        self.next = header.counter.saturating_add(1);
        if time >= moment || end.is_some_and(|end| end > moment) {
            self.begin_with(met, record.description, time);
            self.done = true;
        }
    }

    /// The last frame that is due before some moment.
    fn look_for_end(&mut self, file: &PacketFile, met: &Met, moment: i64) {
        let Packet::Frame(header, record) = &met.packet else { return };
        let (Some(time), _) = file.times(self.stream, record) else { return };
        if time < moment {
            (self.stop, self.after) = (Some((header.counter.saturating_add(1), met.place.end)), 0);
            return;
        }
        self.after += 1;
        self.stop = self.stop.or(Some((header.counter, 0)));
        let decoded = file.running_time(self.stream, record.description, record.dts);
        self.done = !self.video || self.after > REORDERED_AT_MOST || decoded.is_some_and(|decoded| decoded >= moment);
    }
}
