//! The sink pad's thread: frames get their counters and are handed to the workers.

use gst::{prelude::*, subclass::prelude::*};

use super::{super::CAT, ChaosEnc, EncryptRunner};
use crate::{
    gst::encrypter::{self, Encrypted, Ready, SharedEncrypter},
    pipeline::{Counter, Stats, ordered::Dropped},
};

impl ChaosEnc {
    pub(super) fn sink_chain(&self, _pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some((encrypter, runner)) = self.parts() else { return Err(gst::FlowError::Flushing) };
        runner.flow()?;
        let stats = self.monitor.stats();
        stats.add(Counter::FramesIn, 1);
        stats.add(Counter::BytesIn, buffer.size() as u64);
        let ready = encrypter::serial(&encrypter).frame(buffer);
        let mut ready = ready.map_err(|error| self.failed(&error))?;
        for news in ready.news.drain(..) {
            self.tell_keys(news, ready.job.counter());
        }
        self.submit(&runner, &stats, ready)?;
        self.tell_depth();
        Ok(gst::FlowSuccess::Ok)
    }

    fn submit(&self, runner: &EncryptRunner, stats: &Stats, ready: Ready) -> Result<(), gst::FlowError> {
        if let Some(header) = ready.header {
            runner.pass(header)?;
        }
        let counter = match runner.submit(ready.job, false, |_| {})? {
            None => return Ok(()),
            Some(Dropped::Result(Encrypted::Failed(error))) => return Err(self.failed(&error)),
            Some(Dropped::Result(Encrypted::Buffer(_, frame))) => frame.map(|frame| frame.passage.counter()),
            Some(Dropped::Result(_)) => None,
            Some(Dropped::Job(job)) => Some(job.counter()),
        };
        stats.add_because(Counter::Dropped, "queue-full");
        self.monitor.post(self.obj().upcast_ref(), "dropped", counter, "the queue was full");
        Ok(())
    }

    /// The end record waits for room: nothing is dropped for it.
    fn submit_end(&self, runner: &EncryptRunner, ready: Ready) -> Result<(), gst::FlowError> {
        if let Some(header) = ready.header {
            runner.pass(header)?;
        }
        runner.submit_waiting(ready.job)
    }

    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        gst::log!(CAT, obj = pad, "event {:?}", event.type_());
        let Some((encrypter, runner)) = self.parts() else {
            return gst::Pad::event_default(pad, Some(&*self.obj()), event);
        };
        match event.view() {
            EventView::FlushStart(_) => runner.flush_start(&self.src_pad, event),
            EventView::FlushStop(_) => {
                let forget = || encrypter::serial(&encrypter).resume();
                runner.flush_stop(&self.src_pad, event, forget, || self.start_task(&self.src_pad))
            }
            EventView::Caps(caps) => self.sink_caps(&encrypter, &runner, caps.caps()),
            EventView::Tag(tag) => {
                // Sealed with the next frame, not sent on: a title or a place is not for everyone.
                encrypter::serial(&encrypter).add_tags(&tag.tag_owned());
                true
            }
            EventView::Eos(_) => self.sink_eos(&encrypter, &runner, event),
            EventView::Segment(segment) => {
                encrypter::serial(&encrypter).set_segment(segment.segment());
                runner.pass_event(event).is_ok()
            }
            EventView::Gap(_) => self.sink_gap(&encrypter, &runner, event),
            // They repeat caps and tags.
            EventView::StreamCollection(_) | EventView::Toc(_) => true,
            _ if event.is_serialized() => runner.pass_event(event).is_ok(),
            _ => self.src_pad.push_event(event),
        }
    }

    fn sink_gap(&self, encrypter: &SharedEncrypter, runner: &EncryptRunner, event: gst::Event) -> bool {
        let header = encrypter::serial(encrypter).early_header();
        match header {
            Ok(None) => {}
            Ok(Some(header)) => {
                if let Err(flow) = runner.pass(header) {
                    gst::debug!(CAT, imp = self, "no header: {flow:?}");
                }
            }
            Err(error) => gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}")),
        }
        runner.pass_event(event).is_ok()
    }

    fn sink_eos(&self, encrypter: &SharedEncrypter, runner: &EncryptRunner, event: gst::Event) -> bool {
        let end = encrypter::serial(encrypter).end();
        match end {
            Ok(None) => {}
            Ok(Some(ready)) => {
                if let Err(flow) = self.submit_end(runner, ready) {
                    gst::debug!(CAT, imp = self, "no end record: {flow:?}");
                }
            }
            Err(error) => gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}")),
        }
        runner.pass_eos(&self.src_pad, event)
    }
}
