//! The times of decrypted tracks on their way into a container: nothing may be cut off before the beginning, and frames
//! may not come without the times that the container keeps.
//!
//! A recording may hold frames that are decoded and not shown: audio encoders need a few to begin with, and the segment
//! that is sealed with them starts later. A muxer would drop them. So all tracks together are moved to where the first
//! of these frames is at zero, and nothing is lost nor out of step.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use gst::prelude::*;

use super::{
    container::Times,
    video_source::{BLOCKED, is_preface},
};
use crate::gst::begun;

/// A decrypter's source pad, blocked until it is released.
pub struct TrackTimes {
    pad: gst::Pad,
    block: Option<gst::PadProbeId>,
    first: Arc<OnceLock<First>>,
    shift: Arc<OnceLock<Shift>>,
    untimed: Arc<AtomicBool>,
    /// Running time that becomes zero.
    origin: gst::ClockTime,
}

/// Times of the first frame, as far as there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct First {
    pts: Option<gst::ClockTime>,
    /// When it is decoded.
    pub dts: Option<gst::ClockTime>,
}

/// How a track's segments are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shift {
    /// How much earlier they begin.
    wider: gst::ClockTime,
    /// How much later everything in them is due.
    later: gst::ClockTime,
}

impl TrackTimes {
    /// Blocks a pad that nothing has flowed through. What is due at running time `origin` will be due at zero.
    pub fn block(pad: &gst::Pad, origin: gst::ClockTime) -> TrackTimes {
        let first = Arc::new(OnceLock::new());
        let block = pad.add_probe(BLOCKED, {
            let first = first.clone();
            move |_, info| {
                if is_preface(info) {
                    return gst::PadProbeReturn::Pass;
                }
                let times = match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => First { pts: buffer.pts(), dts: buffer.dts() },
                    _ => First::default(),
                };
                // Asked again while it is blocked, it is the same frame.
                let _ = first.set(times);
                gst::PadProbeReturn::Ok
            }
        });
        TrackTimes { pad: pad.clone(), block, first, shift: Arc::default(), untimed: Arc::default(), origin }
    }

    /// The first frame's times; `None` while it has not come.
    pub fn first(&self) -> Option<First> {
        self.first.get().copied()
    }

    /// How far the first frame lies before the beginning.
    pub fn early(&self) -> gst::ClockTime {
        let start = self.segment().and_then(|segment| segment.start());
        let pts = self.first.get().and_then(|first| first.pts);
        start.zip(pts).map_or(gst::ClockTime::ZERO, |(start, pts)| start.saturating_sub(pts))
    }

    fn segment(&self) -> Option<gst::FormattedSegment<gst::ClockTime>> {
        let event = self.pad.sticky_event::<gst::event::Segment>(0)?;
        event.segment().downcast_ref().map(|segment| begun(segment, self.origin))
    }

    /// Lets the track flow, everything in it `later` than sealed. From here on frames are held against the times that
    /// the container keeps; `reordered` tells that nothing finds decoding times for those without.
    pub fn release(&mut self, later: gst::ClockTime, times: Times, reordered: bool) {
        let (shift, origin) = (Shift { wider: self.early(), later }, self.origin);
        if self.shift.set(shift).is_ok() {
            self.pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| move_segment(info, origin, shift));
            self.watch(times, reordered);
        }
        if let Some(block) = self.block.take() {
            self.pad.remove_probe(block);
        }
    }

    fn watch(&self, times: Times, reordered: bool) {
        let (untimed, last) = (self.untimed.clone(), Mutex::new(None));
        self.pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
                && !is_header(pad, buffer)
            {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let backwards = buffer.dts().is_none() && buffer.pts() < *last;
                let missing = (times >= Times::Presentation && buffer.pts().is_none())
                    || (times == Times::Decoding && reordered && backwards);
                *last = buffer.pts();
                if missing {
                    untimed.store(true, Relaxed);
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Whether a frame has come without the times that the container keeps.
    pub fn is_untimed(&self) -> bool {
        self.untimed.load(Relaxed)
    }
}

/// Whether a buffer is a header of the codec, which has no time. Containers take those from the caps.
fn is_header(pad: &gst::Pad, buffer: &gst::BufferRef) -> bool {
    let told = || pad.current_caps().is_some_and(|caps| caps.structure(0).is_some_and(|s| s.has_field("streamheader")));
    buffer.pts().is_none() && buffer.flags().contains(gst::BufferFlags::HEADER) && told()
}

fn move_segment(info: &mut gst::PadProbeInfo, origin: gst::ClockTime, shift: Shift) -> gst::PadProbeReturn {
    if let Some(gst::PadProbeData::Event(event)) = &mut info.data
        && let gst::EventView::Segment(told) = event.view()
        && let Some(segment) = told.segment().downcast_ref::<gst::ClockTime>()
    {
        let seqnum = event.seqnum();
        *event = gst::event::Segment::builder(&moved(&begun(segment, origin), shift)).seqnum(seqnum).build();
    }
    gst::PadProbeReturn::Ok
}

/// The running time of everything in the segment grows by `later`; what lies up to `wider` before it comes into it, and
/// what lies after it too.
fn moved(segment: &gst::FormattedSegment<gst::ClockTime>, shift: Shift) -> gst::FormattedSegment<gst::ClockTime> {
    let mut moved = segment.clone();
    let start = segment.start().unwrap_or_default();
    let wider = shift.wider.min(start).min(shift.later);
    moved.set_start(start - wider);
    moved.set_base(segment.base().unwrap_or_default() + shift.later - wider);
    moved.set_time(segment.time().map(|time| time.saturating_sub(wider)));
    moved.set_stop(gst::ClockTime::NONE);
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: gst::ClockTime = gst::ClockTime::from_mseconds(1);

    #[test]
    fn everything_is_due_later_by_the_same_time() {
        gst::init().expect("GStreamer starts");
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(70 * MS);
        segment.set_stop(900 * MS);
        let moved = moved(&segment, Shift { wider: 70 * MS, later: 100 * MS });
        for pts in [0, 36, 70, 500, 950] {
            let due = moved.to_running_time(pts * MS).expect("within");
            assert_eq!(due + 70 * MS, pts * MS + 100 * MS, "{pts}");
        }
    }

    #[test]
    fn what_is_left_out_takes_no_time() {
        gst::init().expect("GStreamer starts");
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(70 * MS);
        for base in [0, 30, 400] {
            segment.set_base(base * MS);
            let begun = begun(&segment, 100 * MS);
            for pts in [370, 500] {
                let due = segment.to_running_time(pts * MS).expect("within");
                assert_eq!(begun.to_running_time(pts * MS), Some(due - 100 * MS), "{base} {pts}");
            }
        }
        assert_eq!(begun(&segment, gst::ClockTime::ZERO), segment);
    }

    #[test]
    fn nothing_moves_where_nothing_is_early() {
        gst::init().expect("GStreamer starts");
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(100 * MS);
        assert_eq!(moved(&segment, Shift::default()), segment);
    }
}
