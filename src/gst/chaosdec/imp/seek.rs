//! Seeks of a player in a file.

use std::sync::Arc;

use gst::{prelude::*, subclass::prelude::*};

use super::{super::CAT, ChaosDec};
use crate::{
    gst::{
        decrypter::First,
        runner::lock,
        seeking::{Next, Target},
        video,
    },
    seal::Session,
};

impl ChaosDec {
    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            _ if video::is_seek_in_bytes(&event) => false,
            gst::EventView::Seek(seek) => match self.seekable_bytes() {
                Some(bytes) => Target::of(seek).is_some_and(|target| self.seek(target, bytes)),
                // Whoever makes the packets may be able to.
                None => gst::Pad::event_default(pad, Some(&*self.obj()), event),
            },
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    /// How many bytes there are where packets come from, if any of them can be had.
    pub(super) fn seekable_bytes(&self) -> Option<u64> {
        if lock(&self.pictures).is_some() {
            return None;
        }
        let mut query = gst::query::Seeking::new(gst::Format::Bytes);
        let seekable = self.sink_pad.peer_query(&mut query) && query.result().0;
        seekable.then(|| self.sink_pad.peer_query_duration::<gst::format::Bytes>()).flatten().map(u64::from)
    }

    /// The stream that is open. Who asks does not wait for a key that the application looks for.
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        lock(&self.session).clone()
    }

    /// Seeks by the index, which is fetched before if need be. A stream that has not been opened cannot.
    fn seek(&self, target: Target, bytes: u64) -> bool {
        let Some(session) = self.session() else { return false };
        let known = lock(&self.seeking).index(session.keys().stream_id);
        match known {
            Some(_) => self.seek_by_index(target),
            None => self.fetch_tail(target, bytes, false),
        }
    }

    fn fetch_tail(&self, target: Target, bytes: u64, more: bool) -> bool {
        let offset = lock(&self.seeking).fetch_tail(target, bytes, more);
        self.seek_bytes(target, offset) || lock(&self.seeking).give_up()
    }

    fn seek_by_index(&self, target: Target) -> bool {
        let Some((shared, _)) = self.parts() else { return false };
        let (session, sealed) = {
            let shared = lock(&shared);
            (shared.session(), shared.segment())
        };
        let Some(session) = session else { return false };
        let index = lock(&self.seeking).index(session.keys().stream_id).flatten();
        if index.is_none() {
            let detail =
                "there is none, or it is of other packets: all before the moment is read; `chaosveil index` makes one";
            self.post("no-index", None, detail);
        }
        let knows = |counter| session.knows(counter);
        let offset = lock(&self.seeking).go(target, index.as_deref(), &sealed, knows);
        if self.seek_bytes(target, offset) {
            return true;
        }
        // The source may not go where the index leads.
        let has_index = lock(&self.seeking).give_up_index();
        if has_index { self.seek_by_index(target) } else { lock(&self.seeking).give_up() }
    }

    /// Looks whether what comes after a seek is what the index led to. True if not, and what has come is to be dropped.
    pub(super) fn is_misled(&self, first: Option<First>, ended: bool) -> bool {
        let misled = lock(&self.seeking).meets(first, ended);
        let Some(next) = misled else { return false };
        gst::warning!(CAT, imp = self, "the index led to another packet");
        self.go_on(next, ended);
        true
    }

    fn seek_bytes(&self, target: Target, offset: u64) -> bool {
        // What an index says is its writer's word.
        let Ok(start) = gst::format::Bytes::try_from(offset) else { return false };
        let stop = gst::format::Bytes::NONE;
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let seek = gst::event::Seek::builder(1.0, gst::SeekFlags::FLUSH, set, start, none, stop);
        gst::debug!(CAT, imp = self, "to byte {offset} for {target:?}");
        self.sink_pad.push_event(seek.seqnum(target.seqnum).build())
    }

    /// Takes bytes of the end of the file, which are no packets to be opened.
    pub(super) fn take_tail(&self, bytes: &[u8], ended: bool) {
        let keys = self.session().map(|session| session.keys());
        let next = lock(&self.seeking).take_tail(bytes, ended, keys.as_deref());
        if let Some(next) = next {
            self.go_on(next, ended);
        }
    }

    /// Seeks once more. A queue that has brought the end of the file stops when that is taken, and for good if it has been
    /// started anew meanwhile: then another thread seeks.
    fn go_on(&self, next: Next, ended: bool) {
        if ended {
            lock(&self.seeking).later = Some(next);
            return self.obj().call_async(|element| {
                let this = element.imp();
                let next = lock(&this.seeking).later.take();
                if let Some(next) = next.filter(|_| this.parts().is_some()) {
                    this.go_on(next, false);
                }
            });
        }
        let sought = match next {
            Next::Seek(target) => self.seek_by_index(target),
            Next::FetchMore(target) => self.seekable_bytes().is_some_and(|bytes| self.fetch_tail(target, bytes, true)),
        };
        if !sought {
            gst::element_imp_error!(self, gst::ResourceError::Seek, ("the input does not seek any more"));
        }
    }
}
