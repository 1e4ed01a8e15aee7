//! What goes through the queue of `chaosdec`: packets and pictures on their way in, frames and news on their way out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::described::Described;
use crate::{
    Error,
    frame::FrameLayout,
    gst::{runner::Passing, video::RawVideo},
    pipeline::PooledBuffer,
    seal::{FrameHeader, HeaderNews, Kind, Session},
};

/// A frame on its way to a worker.
pub struct DecryptJob {
    /// Verified.
    pub(super) header: FrameHeader,
    pub(super) input: Input,
    /// The stream that the frame belongs to, whichever has taken its place meanwhile.
    pub(super) session: Arc<Session>,
    /// Running time at which it came, where its buffer had one.
    pub(super) arrival: Option<gst::ClockTime>,
    pub(super) entered: Instant,
}

/// What has come of a frame.
pub enum Input {
    /// Its packet.
    Packet {
        /// All of it.
        bytes: PooledBuffer,
    },
    /// A cipher picture, whose headers have been read.
    Picture {
        /// It came so.
        buffer: gst::Buffer,
        /// GStreamer's view of it.
        cipher: Arc<RawVideo>,
        /// Layout of the frame inside.
        frame: FrameLayout,
        /// What stands before the payload.
        prefix: PooledBuffer,
    },
}

impl DecryptJob {
    /// Whether it is a frame, not an end record.
    pub fn is_frame(&self) -> bool {
        self.header.kind == Kind::Frame
    }

    /// Its counter.
    pub fn counter(&self) -> u64 {
        self.header.counter
    }

    /// Which frame of which stream it is.
    pub fn place(&self) -> Place {
        Place { session: self.session.clone(), counter: self.header.counter }
    }
}

/// A frame of a stream.
pub struct Place {
    session: Arc<Session>,
    /// Its counter.
    pub counter: u64,
}

impl Place {
    /// Tells the replay window that the frame is dropped here.
    pub fn drop_before_admitting(&self) {
        self.session.drop_before_admitting(self.counter);
    }
}

/// What leaves the queue.
pub enum Decrypted {
    /// A verified frame.
    Frame(Box<OpenedFrame>),
    /// The end record of a stream: last counter, number of frames.
    End {
        /// Its stream.
        session: Arc<Session>,
        /// Counter of the end record.
        counter: u64,
        /// Frames that the stream holds.
        frames: u64,
    },
    /// A stream header of this stream told something new.
    News(Arc<Session>, HeaderNews),
    /// Something that did not verify, and how often in a row.
    Rejected {
        /// Counter of the frame, where that is known.
        counter: Option<u64>,
        /// Why.
        error: Error,
        /// How often.
        times: u64,
    },
    /// An event in its turn.
    Event(gst::Event),
}

impl Decrypted {
    /// One thing that did not verify.
    pub fn rejected(counter: Option<u64>, error: Error) -> Decrypted {
        Decrypted::Rejected { counter, error, times: 1 }
    }
}

impl Passing for Decrypted {
    fn of_event(event: gst::Event) -> Decrypted {
        Decrypted::Event(event)
    }

    fn into_event(self) -> Option<gst::Event> {
        match self {
            Decrypted::Event(event) => Some(event),
            _ => None,
        }
    }
}

/// A verified frame.
pub struct OpenedFrame {
    /// Its stream.
    pub session: Arc<Session>,
    /// Its counter.
    pub counter: u64,
    /// Its epoch.
    pub epoch: u32,
    /// The description that it names.
    pub described: Arc<Described>,
    /// The frame itself.
    pub buffer: gst::Buffer,
    /// Tags that came with it.
    pub tags: Option<gst::TagList>,
    /// Running time at which it came, where its buffer had one.
    pub arrival: Option<gst::ClockTime>,
    /// When it entered the element.
    pub entered: Instant,
    /// When it was opened.
    pub finished: Instant,
    /// Time that a worker spent on it.
    pub work: Duration,
}
