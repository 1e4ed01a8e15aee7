//! Seeking in a file of packets: a seek in time becomes one in bytes, to where the index at the end of the file says. The
//! index is fetched at the first seek, by a seek in bytes to the end of the file. Where there is none, all before the
//! moment is read and left out.

use std::sync::Arc;

use super::{decrypter::First, video::begun};
use crate::seal::{Index, IndexHeader, StreamKeys};

/// Bytes at the end of a file in which its index is looked for: those of most, and those of the largest.
const TAIL_BYTES: [u64; 2] = [64 << 10, 4 << 20];

/// A seek that an application asks for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    time: gst::ClockTime,
    stop: Option<gst::ClockTime>,
    rate: f64,
    key_unit: bool,
    /// That of the seek, for the events that come of it.
    pub seqnum: gst::Seqnum,
}

impl Target {
    /// What a seek event asks for; `None` if it is not one forward to some moment, with a flush, to where the stream ends.
    pub fn of(seek: &gst::event::Seek) -> Option<Target> {
        let (rate, flags, start_type, start, stop_type, stop) = seek.get();
        let gst::GenericFormattedValue::Time(Some(time)) = start else { return None };
        let stop = match stop {
            gst::GenericFormattedValue::Time(stop) if stop_type == gst::SeekType::Set => stop,
            _ => None,
        };
        let (flush, segment) = (gst::SeekFlags::FLUSH, gst::SeekFlags::SEGMENT);
        let taken = rate > 0.0 && flags & (flush | segment) == flush && start_type == gst::SeekType::Set;
        let key_unit = flags.contains(gst::SeekFlags::KEY_UNIT);
        taken.then_some(Target { time, stop, rate, key_unit, seqnum: seek.seqnum() })
    }
}

/// Where a stream goes on after a seek.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Running time of the moment in the recording.
    running: gst::ClockTime,
    target: Target,
    /// What an index says that stands there.
    expected: Option<First>,
}

impl Origin {
    /// A sealed segment, as it is after the seek.
    pub fn segment(&self, sealed: &gst::FormattedSegment<gst::ClockTime>) -> gst::FormattedSegment<gst::ClockTime> {
        let mut segment = begun(sealed, self.running);
        if let Some(stop) = self.target.stop.and_then(|stop| sealed.position_from_stream_time(stop)) {
            segment.set_stop(segment.start().map_or(stop, |start| stop.max(start)));
        }
        segment.set_rate(self.target.rate);
        segment
    }

    /// That of the seek.
    pub fn seqnum(&self) -> gst::Seqnum {
        self.target.seqnum
    }
}

/// The end of the file on its way here.
struct Tail {
    target: Target,
    bytes: Vec<u8>,
    wanted: usize,
    /// There is more of the file.
    is_short: bool,
    /// The flush of our own seek has come: what follows is the end of the file.
    begun: bool,
}

/// What comes after the end of the file.
pub enum Next {
    /// The index is known, if there is one.
    Seek(Target),
    /// It is longer than that.
    FetchMore(Target),
}

/// What seeks have brought.
#[derive(Default)]
pub struct Seeking {
    /// The index of the stream with that id; `None` in it where there is none.
    index: Option<([u8; 16], Option<Arc<Index>>)>,
    tail: Option<Tail>,
    /// Holds from the flush on that comes of our own seek.
    coming: Option<Origin>,
    /// What has to come first since the last flush, and the seek that it came of.
    expected: Option<(First, Target)>,
    /// What is to be done when the thread that brings packets is done with the end of the file.
    pub later: Option<Next>,
    /// Holds now.
    pub origin: Option<Origin>,
}

impl Seeking {
    /// The index of a stream, if it has been looked for.
    pub fn index(&self, stream: [u8; 16]) -> Option<Option<Arc<Index>>> {
        self.index.as_ref().filter(|(known, _)| *known == stream).map(|(_, index)| index.clone())
    }

    /// Begins to fetch the end of a file of `len` bytes, the larger one of two if `more`. Tells at which byte it begins.
    pub fn fetch_tail(&mut self, target: Target, len: u64, more: bool) -> u64 {
        let wanted = len.min(TAIL_BYTES[usize::from(more)]);
        let tail =
            Tail { target, bytes: Vec::new(), wanted: wanted as usize, is_short: !more && wanted < len, begun: false };
        (self.tail, self.coming, self.later) = (Some(tail), None, None);
        len - wanted
    }

    /// Whether the end of the file is being fetched.
    pub fn is_fetching(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.begun)
    }

    /// Upstream does not seek: everything stays as it was. Never true.
    pub fn give_up(&mut self) -> bool {
        (self.tail, self.coming) = (None, None);
        false
    }

    /// Bytes from before have nothing to do with those that come.
    pub fn flushed(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.bytes.clear();
            tail.begun = true;
        }
        self.origin = self.coming.take();
        self.later = None;
        self.expected = self.origin.and_then(|origin| Some((origin.expected?, origin.target)));
    }

    /// What has come since a seek, or that the file ended. Where that is not what the index led to, the index is of other
    /// packets than the file's: it is given up, and this tells what is to be done without it.
    pub fn meets(&mut self, first: Option<First>, ended: bool) -> Option<Next> {
        if first.is_none() && !ended {
            return None;
        }
        let (expected, target) = self.expected.take()?;
        if first == Some(expected) {
            return None;
        }
        self.give_up_index();
        Some(Next::Seek(target))
    }

    /// All before a moment is read from now on. True if there was an index.
    pub fn give_up_index(&mut self) -> bool {
        self.index.as_mut().is_some_and(|(_, index)| index.take().is_some())
    }

    /// Takes bytes of the end of the file. With the last one, or if `ended`, the index of the stream is known, and this
    /// tells the seek that waits for it.
    pub fn take_tail(&mut self, bytes: &[u8], ended: bool, keys: Option<&StreamKeys>) -> Option<Next> {
        let tail = self.tail.as_mut()?;
        let room = tail.wanted - tail.bytes.len();
        tail.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if tail.bytes.len() < tail.wanted && !ended {
            return None;
        }
        let tail = self.tail.take()?;
        let keys = keys?;
        let index = Index::find(&tail.bytes, keys);
        let begins = tail.bytes.last_chunk().and_then(IndexHeader::claimed_packet_len).is_some();
        if index.is_none() && begins && tail.is_short {
            return Some(Next::FetchMore(tail.target));
        }
        self.index = Some((keys.stream_id, index.map(Arc::new)));
        Some(Next::Seek(tail.target))
    }

    /// Where to go on reading for a target, in bytes. `sealed` is the segment of the stream, `knows` tells whether a
    /// description has been read.
    pub fn go(
        &mut self,
        target: Target,
        index: Option<&Index>,
        sealed: &gst::FormattedSegment<gst::ClockTime>,
        knows: impl Fn(u64) -> bool,
    ) -> u64 {
        // A segment has no positions outside of itself.
        let last = sealed.stop().and_then(|stop| sealed.to_stream_time(stop));
        let time = target.time.min(last.unwrap_or(target.time)).max(sealed.time().unwrap_or_default());
        let position = sealed.position_from_stream_time(time);
        let running = position.and_then(|position| sealed.to_running_time(position)).unwrap_or_default();
        let point = index.and_then(|index| index.point_at(running.nseconds()));
        let snapped = point.filter(|_| target.key_unit).map(|point| gst::ClockTime::from_nseconds(point.time));
        let described = point.and_then(|point| index?.description_of(point.counter));
        let (offset, expected) = match (point, described) {
            (Some(point), Some(told)) if knows(told.counter) => (point.offset, Some(First::Frame(point.counter))),
            (_, Some(told)) => (told.offset, Some(First::Description(told.counter))),
            _ => (0, None),
        };
        self.later = None;
        self.coming = Some(Origin { running: snapped.unwrap_or(running), target, expected });
        offset
    }
}
