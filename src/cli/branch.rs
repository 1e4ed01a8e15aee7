//! A stream's way to the muxer: `appsrc ! chaosdec`, and what waits before it.

use std::{collections::BTreeMap, io, ops::Range};

use gst::prelude::*;
use gst_app::AppSrc;

use super::{backlog::Backlog, streams::Tally, track_times::TrackTimes, video_encrypt::stat};

/// Packets whose place is remembered, in case they turn out to be damaged.
const PLACES_KEPT: usize = 4096;

/// A stream's way to the muxer.
pub struct Branch {
    /// Where its packets go in.
    pub source: AppSrc,
    /// What opens them.
    pub decrypter: gst::Element,
    /// Number of the track, from 0.
    pub track: u16,
    /// What comes out.
    pub caps: gst::Caps,
    /// When it comes out.
    pub times: TrackTimes,
    /// Where in the file the last packets stand, by their counters.
    places: BTreeMap<u64, Range<u64>>,
    /// What does not fit in before the decrypter.
    backlog: Backlog,
    /// An end record has been pushed, and nothing after it.
    claims_end: bool,
    /// There is nothing more to come.
    ended: bool,
    told_end: bool,
}

impl Branch {
    /// Nothing has come.
    pub fn new(
        source: AppSrc,
        decrypter: gst::Element,
        track: u16,
        caps: gst::Caps,
        times: TrackTimes,
        backlog: Backlog,
    ) -> Branch {
        let places = BTreeMap::new();
        Branch {
            source,
            decrypter,
            track,
            caps,
            times,
            places,
            backlog,
            claims_end: false,
            ended: false,
            told_end: false,
        }
    }

    /// Tells the muxer what the track is, though its first frame may come late, or none at all.
    pub fn tell_caps(&self) {
        let pad = self.decrypter.static_pad("src").expect("chaosdec has a source pad");
        for event in [gst::event::StreamStart::new("chaosveil"), gst::event::Caps::new(&self.caps)] {
            // A pad that does not take it is on its way down.
            let _ = pad.store_sticky_event(&event);
        }
    }

    /// Brings what [`Branch::tell_caps`] told to the muxer, if nothing else does yet: it goes along with any event.
    pub fn announce(&self) {
        if self.times.first().is_none() {
            // Through the decrypter, whose thread is the only one that may use its pad.
            let event = gst::event::CustomDownstream::new(gst::Structure::new_empty("chaosveil-track"));
            self.source.send_event(event);
        }
    }

    /// Takes a packet; false after the end, when none is taken. At most about `room` bytes wait before the decrypter.
    ///
    /// # Errors
    /// If what waits on the disk does not find room there.
    pub fn push(&mut self, packet: &[u8], room: u64) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.claims_end = false;
        match self.backlog.is_empty() && self.queued() < room {
            true => self.hand_on(packet.to_vec()),
            false => self.backlog.push(packet)?,
        }
        Ok(true)
    }

    /// Remembers where in the file the packet of some counter stands.
    pub fn note_place(&mut self, counter: u64, place: Range<u64>) {
        self.places.insert(counter, place);
        if self.places.len() > PLACES_KEPT {
            self.places.pop_first();
        }
    }

    /// Where the packet of that counter stands. Asked once.
    pub fn place(&mut self, counter: u64) -> Option<Range<u64>> {
        self.places.remove(&counter)
    }

    /// Hands on what waits on the disk, as far as there is room; after it, that this was all.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn refill(&mut self, room: u64) -> io::Result<()> {
        while self.queued() < room
            && let Some(packet) = self.backlog.pop()?
        {
            self.hand_on(packet);
        }
        if self.ended && self.backlog.is_empty() && !std::mem::replace(&mut self.told_end, true) {
            // A pipeline that has failed does not need to be told.
            let _ = self.source.end_of_stream();
        }
        Ok(())
    }

    fn hand_on(&self, packet: Vec<u8>) {
        // A pipeline that has failed says so on the bus.
        let _ = self.source.push_buffer(gst::Buffer::from_mut_slice(packet));
    }

    /// Nothing more comes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// What was pushed last says that nothing more comes. Others than the writer may say so, and a stream may go on.
    pub fn claim_end(&mut self) {
        self.claims_end = true;
    }

    /// Whether nothing more comes, as far as the decrypter can tell.
    pub fn seems_to_end(&self) -> bool {
        self.ended || (self.claims_end && self.tally().sealed_frames.is_some())
    }

    /// Bytes that wait before the decrypter.
    pub fn queued(&self) -> u64 {
        self.source.current_level_bytes()
    }

    /// What the decrypter has counted.
    pub fn tally(&self) -> Tally {
        let sealed_frames = self.decrypter.property::<gst::Structure>("stats").get("frames-sealed").ok();
        Tally { sealed_frames, ..tally_of(&self.decrypter) }
    }
}

/// What a decrypter has counted.
pub fn tally_of(decrypter: &gst::Element) -> Tally {
    Tally {
        frames: stat(decrypter, "frames-out"),
        rejected: stat(decrypter, "rejected"),
        replayed: stat(decrypter, "replayed"),
        reordered: stat(decrypter, "reordered"),
        ..Tally::default()
    }
}

/// Profile of the stream that a decrypter has opened last.
pub fn profile_of(decrypter: &gst::Element) -> String {
    decrypter.property::<gst::Structure>("stats").get("profile").unwrap_or_default()
}
