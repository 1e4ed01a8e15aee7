//! The sink pad's thread: what comes is cut into packets and handed to the workers.

use std::sync::Arc;

use gst::{prelude::*, subclass::prelude::*};

use super::{super::CAT, ChaosDec, DecryptRunner};
use crate::{
    gst::{
        decrypter::{DecryptJob, Decrypted, Item},
        runner::{self, lock},
        video::Content,
    },
    pipeline::{Counter, Stats, ordered},
};

impl ChaosDec {
    pub(super) fn sink_chain(&self, _pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some((shared, runner)) = self.parts() else { return Err(gst::FlowError::Flushing) };
        runner.flow()?;
        let stats = self.monitor.stats();
        stats.add(Counter::BytesIn, buffer.size() as u64);
        let arrival = lock(&self.segment)
            .downcast_ref::<gst::ClockTime>()
            .and_then(|segment| segment.to_running_time(buffer.pts()?));
        let pictures = lock(&self.pictures).clone();
        let mut items = Vec::new();
        match pictures {
            Some(cipher) => lock(&shared).picture(buffer, cipher, arrival, &mut items),
            None => {
                let map = buffer.map_readable().map_err(|_| {
                    gst::element_imp_error!(self, gst::ResourceError::Read, ("a buffer that cannot be read"));
                    gst::FlowError::Error
                })?;
                if lock(&self.seeking).is_fetching() {
                    self.take_tail(&map, false);
                    return Ok(gst::FlowSuccess::Ok);
                }
                let first = {
                    let mut shared = lock(&shared);
                    shared.push(&map, arrival, &mut items);
                    *lock(&self.session) = shared.session();
                    shared.first()
                };
                if self.is_misled(first, false) {
                    return Ok(gst::FlowSuccess::Ok);
                }
            }
        }
        self.hand_on(&runner, &stats, items)?;
        self.tell_depth();
        Ok(gst::FlowSuccess::Ok)
    }

    fn hand_on(&self, runner: &DecryptRunner, stats: &Stats, items: Vec<Item>) -> Result<(), gst::FlowError> {
        for item in items {
            match item {
                Item::Pass(result) => runner.pass(result)?,
                Item::Job(job) => {
                    stats.add(Counter::FramesIn, u64::from(job.is_frame()));
                    // An end record is not dropped: without it the stream would look cut off.
                    let stay = !job.is_frame();
                    let dropped = runner.submit(job, stay, |dropped| match dropped {
                        ordered::Dropped::Job(job) => job.place().drop_before_admitting(),
                        ordered::Dropped::Result(Decrypted::Frame(frame)) => {
                            frame.session.drop_before_admitting(frame.counter);
                        }
                        ordered::Dropped::Result(_) => {}
                    })?;
                    if let Some(dropped) = dropped {
                        self.count_dropped(stats, dropped);
                    }
                }
            }
        }
        Ok(())
    }

    fn count_dropped(&self, stats: &Stats, dropped: ordered::Dropped<DecryptJob, Decrypted>) {
        let counter = match dropped {
            ordered::Dropped::Job(job) => Some(job.counter()),
            ordered::Dropped::Result(Decrypted::Frame(frame)) => Some(frame.counter),
            ordered::Dropped::Result(Decrypted::Rejected { counter, error, times }) => {
                return self.reject(counter, error, times);
            }
            ordered::Dropped::Result(_) => None,
        };
        stats.add_because(Counter::Dropped, "queue-full");
        self.post("dropped", counter, "the queue was full");
    }

    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        let Some((shared, runner)) = self.parts() else {
            return gst::Pad::event_default(pad, Some(&*self.obj()), event);
        };
        match event.view() {
            EventView::FlushStart(_) => runner.flush_start(&self.src_pad, event),
            EventView::FlushStop(_) => {
                let forget = || {
                    let session = {
                        let mut shared = lock(&shared);
                        shared.flush();
                        shared.session()
                    };
                    lock(&self.seeking).flushed();
                    // The news of a stream may be among what was thrown away.
                    if let Some(session) = session {
                        self.tell_stream(&session);
                    }
                    let mut told = lock(&self.told);
                    (told.described, told.ended, told.flushed) = (None, false, true);
                    (told.segment, told.reached, told.ahead_ns) = (None, gst::ClockTime::ZERO, None);
                };
                runner.flush_stop(&self.src_pad, event, forget, || self.start_task(&self.src_pad))
            }
            EventView::Caps(caps) => self.sink_caps(caps.caps()),
            EventView::Segment(segment) => {
                // The sealed one is pushed before the first frame.
                *lock(&self.segment) = segment.segment().clone();
                true
            }
            // Whether there is more of it or not, this is what can be had of the end. The pad does not keep it as the stream's.
            EventView::Eos(_) if lock(&self.seeking).is_fetching() => {
                self.take_tail(&[], true);
                false
            }
            EventView::Eos(_) => {
                let mut items = Vec::new();
                let first = {
                    let mut shared = lock(&shared);
                    shared.finish(&mut items);
                    shared.first()
                };
                if self.is_misled(first, true) {
                    return false;
                }
                let stats = self.monitor.stats();
                if let Err(flow) = self.hand_on(&runner, &stats, items) {
                    gst::debug!(CAT, imp = self, "the last frames cannot leave: {flow:?}");
                }
                runner.pass_eos(&self.src_pad, event)
            }
            // Tags of the carrier say nothing of what is inside.
            EventView::Tag(_) => true,
            _ if event.is_serialized() => runner.pass_event(event).is_ok(),
            _ => self.src_pad.push_event(event),
        }
    }

    fn sink_caps(&self, caps: &gst::CapsRef) -> bool {
        let is_raw = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
        let pictures = match is_raw.then(|| Content::of(caps)) {
            None => None,
            Some(Ok(Content::Raw(raw))) => Some(Arc::new(*raw)),
            Some(Ok(Content::Opaque(_))) => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("no cipher picture has caps {caps}"));
                return false;
            }
            Some(Err(error)) => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                return false;
            }
        };
        *lock(&self.pictures) = pictures;
        self.monitor.set_caps(self.obj().upcast_ref(), caps);
        true
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        match query.view_mut() {
            QueryViewMut::Caps(query) => {
                runner::answer_caps(query, self.sink_pad.pad_template_caps());
                true
            }
            QueryViewMut::Allocation(query) => {
                query.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            // Upstream wants its buffers back: those in the queue leave first.
            QueryViewMut::Drain(_) => {
                if let Some((_, runner)) = self.parts() {
                    runner.drain();
                }
                gst::Pad::query_default(pad, Some(&*self.obj()), query)
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}
