//! What goes through the queue of `chaosenc`: frames on their way in, packets and pictures on their way out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    Error, Result,
    frame::View,
    gst::{
        runner::Passing,
        video::{self, Content, RawVideo},
    },
    seal::{PictureLayout, Record, Ticket},
};

/// What this run's output is, once caps are known.
#[derive(Clone)]
pub enum Form {
    /// Packets.
    Packets,
    /// Cipher pictures: their layout, and GStreamer's view of them.
    Pictures(Arc<(PictureLayout, RawVideo)>),
}

/// A frame on its way to a worker.
pub struct EncryptJob {
    pub(super) ticket: Ticket,
    pub(super) record: Record,
    pub(super) source: Source,
    pub(super) form: Form,
    /// The stream header that a cipher picture carries.
    pub(super) header: Arc<Vec<u8>>,
    pub(super) entered: Instant,
    /// For frames, not for the end record.
    pub(super) passage: Option<Passage>,
}

impl EncryptJob {
    /// Counter that was drawn for it.
    pub fn counter(&self) -> u64 {
        self.ticket.counter()
    }
}

/// A frame on its way out. Dropped on the way, wherever that happens, it is taken out of the end record's count.
pub struct Passage {
    counter: u64,
    lost: Arc<AtomicU64>,
    left: bool,
}

impl Passage {
    /// Of the frame of this counter, which counts as `lost` unless it leaves.
    pub(super) fn new(counter: u64, lost: Arc<AtomicU64>) -> Passage {
        Passage { counter, lost, left: false }
    }

    /// Counter of the frame.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// The frame has left.
    pub fn left(mut self) {
        self.left = true;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if !self.left {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// What is known of a finished frame.
pub struct Finished {
    /// When it entered the element.
    pub entered: Instant,
    /// When it was sealed.
    pub finished: Instant,
    /// Time that a worker spent on it.
    pub work: Duration,
    /// Its way out.
    pub passage: Passage,
}

/// Where the clear bytes are.
pub enum Source {
    /// In a frame.
    Frame {
        /// It came so.
        buffer: gst::Buffer,
        /// What is in it.
        content: Arc<Content>,
        /// Whether its time stands on the outside too.
        timed: bool,
    },
    /// They are an end record.
    End([u8; 16]),
}

impl Source {
    /// Looks at the clear payload.
    pub(super) fn view<T>(&self, look: impl FnOnce(View, Option<&RawVideo>) -> Result<T>) -> Result<T> {
        match self {
            Source::Frame { buffer, content, .. } => content.view(buffer, &video::map(buffer)?, look),
            Source::End(payload) => look(View::Together(payload), None),
        }
    }
}

/// What leaves the queue.
pub enum Encrypted {
    /// A packet or picture; end records have nothing more.
    Buffer(gst::Buffer, Option<Finished>),
    /// A stream header.
    Header {
        /// The packet.
        buffer: gst::Buffer,
        /// How many are on their way is told by the number of owners.
        _waiting: Arc<()>,
    },
    /// An event in its turn.
    Event(gst::Event),
    /// A frame that could not be sealed.
    Failed(Error),
}

impl Passing for Encrypted {
    fn of_event(event: gst::Event) -> Encrypted {
        Encrypted::Event(event)
    }

    fn into_event(self) -> Option<gst::Event> {
        match self {
            Encrypted::Event(event) => Some(event),
            Encrypted::Buffer(..) | Encrypted::Header { .. } | Encrypted::Failed(_) => None,
        }
    }
}
