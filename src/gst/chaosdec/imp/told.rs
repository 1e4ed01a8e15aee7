//! What is known of the stream, and what downstream knows.

use std::sync::Arc;

use crate::{Error, gst::decrypter::Described, seal::CameraId};

/// What the source pad has been told, and what the stream has shown.
#[derive(Default)]
pub struct Told {
    /// What the last frame is.
    pub described: Option<Arc<Described>>,
    /// Epoch of the last frame.
    pub epoch: Option<u32>,
    pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// Running time at the end of the last frame.
    pub reached: gst::ClockTime,
    /// What our running time is ahead of the sender's, in nanoseconds, if the stream was joined late or follows another.
    pub ahead_ns: Option<i128>,
    pub frames: u64,
    /// Counter of the first frame of this stream that has come.
    pub first: Option<u64>,
    /// Counters of this stream, and of all before it, that have not come.
    pub lost: u64,
    pub lost_before: u64,
    pub ended: bool,
    /// Frames of this stream, as its end record says.
    pub sealed: Option<u64>,
    pub opened: bool,
    /// Hash of the HEAD of the stream that has been told of last: its id anyone can use again.
    pub head: Option<[u8; 32]>,
    /// Profile of this stream.
    pub profile: Option<&'static str>,
    /// Camera that signed this stream.
    pub camera: Option<CameraId>,
    pub waiting: bool,
    /// Something is missing before the next frame.
    pub gap: bool,
    /// A local flush has thrown frames away.
    pub flushed: bool,
    /// Why the stream could not be opened, told at its end.
    pub refusal: Option<Error>,
}

impl Told {
    /// A frame leaves; true if something is missing before it.
    pub fn count_frame(&mut self, frame: &gst::BufferRef) -> bool {
        (self.frames, self.ended) = (self.frames + 1, false);
        let end = frame.pts().map(|pts| pts.saturating_add(frame.duration().unwrap_or_default()));
        let running = self.segment.as_ref().zip(end).and_then(|(segment, end)| segment.to_running_time(end));
        self.reached = self.reached.max(running.unwrap_or_default());
        std::mem::take(&mut self.gap)
    }

    /// Counters of all streams that have not come.
    pub fn all_lost(&self) -> u64 {
        self.lost_before.saturating_add(self.lost)
    }
}
