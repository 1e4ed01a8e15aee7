//! The source pad's task: frames that have opened, in their order, and what is told of those that have not.

use std::time::Instant;

use gst::{prelude::*, subclass::prelude::*};

use super::ChaosDec;
use crate::{
    Error,
    gst::{
        decrypter::{Decrypted, OpenedFrame},
        runner::{self, lock},
        video,
    },
    pipeline::Counter,
    seal::{HeaderNews, Session, Verdict},
};

impl ChaosDec {
    pub(super) fn deliver(&self, result: Decrypted) -> Result<gst::FlowSuccess, gst::FlowError> {
        match result {
            Decrypted::Frame(frame) => return self.deliver_frame(*frame),
            Decrypted::End { session, counter, frames } => self.end_seen(&session, counter, frames),
            Decrypted::News(session, news) => self.header_news(&session, news),
            Decrypted::Rejected { counter, error, times } => self.reject(counter, error, times),
            Decrypted::Event(event) if event.type_() == gst::EventType::Eos => {
                self.end_of_input();
                self.src_pad.push_event(event);
                return Err(gst::FlowError::Eos);
            }
            Decrypted::Event(event) if event.type_() == gst::EventType::Gap => {
                if let Some(gap) = self.gap_inside(&event) {
                    self.src_pad.push_event(gap);
                }
            }
            Decrypted::Event(event) => drop(self.src_pad.push_event(event)),
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn deliver_frame(&self, mut frame: OpenedFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let stats = self.monitor.stats();
        match self.admit(&frame.session, frame.counter) {
            Verdict::Fresh => {}
            Verdict::Reordered => {
                stats.add(Counter::Reordered, 1);
                self.post("reordered", Some(frame.counter), "it came after later frames and was dropped");
                return Ok(gst::FlowSuccess::Ok);
            }
            Verdict::Replayed => {
                stats.add(Counter::Replayed, 1);
                self.post("replayed", Some(frame.counter), "it came before, or is too old to tell; dropped");
                return Ok(gst::FlowSuccess::Ok);
            }
        }
        lock(&self.told).first.get_or_insert(frame.counter);
        self.tell_epoch(&frame);
        self.tell_description(&frame);
        if let Some(tags) = &frame.tags {
            self.src_pad.push_event(gst::event::Tag::new(tags.clone()));
        }
        if lock(&self.told).count_frame(&frame.buffer)
            && let Some(buffer) = frame.buffer.get_mut()
        {
            buffer.set_flags(buffer.flags() | gst::BufferFlags::DISCONT);
        }
        self.monitor.tell_trouble(self.obj().upcast_ref());
        self.tell_depth();
        let most = lock(&self.settings).common.most_at_once();
        self.monitor.note_work(self.obj().upcast_ref(), frame.work, most);
        let (bytes, begun) = (frame.buffer.size(), Instant::now());
        let flow = self.src_pad.push(frame.buffer);
        if flow.is_ok() {
            stats.add(Counter::BytesOut, bytes as u64);
            self.monitor.count_frame(frame.entered, frame.finished, begun);
        }
        flow
    }

    /// The carrier's gap at the same running time in the frames' own segment. A gap before the first frame has no caps
    /// and segment to stand in.
    fn gap_inside(&self, event: &gst::Event) -> Option<gst::Event> {
        let gst::EventView::Gap(gap) = event.view() else { return None };
        let (start, duration) = gap.get();
        let carrier = lock(&self.segment).downcast_ref::<gst::ClockTime>().cloned()?;
        let running = carrier.to_running_time(start)?;
        let start = lock(&self.told).segment.as_ref()?.position_from_running_time(running)?;
        Some(gst::event::Gap::builder(start).duration(duration).seqnum(event.seqnum()).build())
    }

    /// Asks the replay window, and tells what has not come.
    pub(super) fn admit(&self, session: &Session, counter: u64) -> Verdict {
        let (lost, passed_over) = (session.lost(), session.passed_over());
        let verdict = session.admit(counter);
        let now = session.lost();
        if (now, session.passed_over()) == (lost, passed_over) {
            return verdict;
        }
        let mut told = lock(&self.told);
        told.lost = now;
        told.gap |= verdict == Verdict::Fresh;
        let total = told.all_lost();
        drop(told);
        self.monitor.stats().set(Counter::Lost, total);
        if now > lost {
            self.post("lost", Some(counter), &format!("{} before this one have not come", now - lost));
        }
        verdict
    }

    fn header_news(&self, session: &Session, news: HeaderNews) {
        match news {
            HeaderNews::Repeated => {}
            HeaderNews::NewDescription(counter) => drop(self.admit(session, counter)),
            HeaderNews::NewStream => self.tell_stream(session),
        }
    }

    /// Tells of a stream, once.
    pub(super) fn tell_stream(&self, session: &Session) {
        let keys = session.keys();
        let mut told = lock(&self.told);
        if told.head.replace(keys.head_hash) == Some(keys.head_hash) {
            return;
        }
        let cut_off = told.opened && !told.ended;
        (told.opened, told.ended, told.sealed, told.frames, told.flushed) = (true, false, None, 0, false);
        told.first = None;
        (told.lost_before, told.lost) = (told.all_lost(), 0);
        told.epoch = None;
        told.profile = Some(keys.profile.name());
        told.camera = session.camera();
        drop(told);
        if cut_off && lock(&self.pictures).is_none() {
            self.post("truncated", None, "another stream began before the end record of the last one");
        }
        let signed = session.camera().map_or(String::new(), |camera| format!(", signed by {camera}"));
        self.post("new-stream", None, &format!("a stream was opened{signed}"));
    }

    fn end_seen(&self, session: &Session, counter: u64, frames: u64) {
        if self.admit(session, counter) != Verdict::Fresh {
            return;
        }
        let mut told = lock(&self.told);
        (told.ended, told.sealed) = (true, Some(frames));
        // After a local flush some frames were not meant to come out.
        let missing = if told.flushed { 0 } else { frames.saturating_sub(told.frames) };
        drop(told);
        if missing > 0 {
            self.post("incomplete", Some(counter), &format!("{missing} of {frames} frames have not come out"));
        }
    }

    pub(super) fn reject(&self, counter: Option<u64>, error: Error, times: u64) {
        if matches!(error, Error::NoHeaderYet) {
            if !std::mem::replace(&mut lock(&self.told).waiting, true) {
                self.post("waiting-for-header", None, "joined in the middle; a stream header comes once a second");
            }
            return;
        }
        self.monitor.stats().add_many_because(Counter::Rejected, reason_of(&error), times);
        lock(&self.told).gap = true;
        self.post(reason_of(&error), counter, &error.to_string());
        let mut told = lock(&self.told);
        if !told.opened && told.refusal.is_none() && stands_for_stream(&error) {
            told.refusal = Some(error);
        }
    }

    fn tell_epoch(&self, frame: &OpenedFrame) {
        let last = lock(&self.told).epoch.replace(frame.epoch);
        if last.is_some_and(|last| last != frame.epoch) {
            self.post("rekeyed", Some(frame.counter), &format!("epoch {} begins", frame.epoch));
        }
    }

    /// Pushes caps and segment where the frame names other ones than the last frame did.
    fn tell_description(&self, frame: &OpenedFrame) {
        let described = &frame.described;
        let last = lock(&self.told).described.replace(described.clone());
        if last.as_ref().is_some_and(|last| last.says_the_same(described)) {
            return;
        }
        if last.is_none() && self.src_pad.sticky_event::<gst::event::StreamStart>(0).is_none() {
            let number = u64::from_be_bytes(described.id.0[..8].try_into().unwrap_or_default());
            self.src_pad.push_event(gst::event::StreamStart::new(&format!("chaosveil-{number:016x}")));
        }
        if last.as_ref().is_none_or(|last| last.caps != described.caps) {
            self.src_pad.push_event(gst::event::Caps::new(&described.caps));
            self.monitor.set_caps(self.obj().upcast_ref(), &described.caps);
        }
        let origin = lock(&self.seeking).origin;
        let segment = match &origin {
            Some(origin) => origin.segment(&described.segment),
            None => self.segment_for(frame, last.map(|last| last.id.0)),
        };
        lock(&self.told).segment = Some(segment.clone());
        let event = gst::event::Segment::builder(&segment);
        self.src_pad.push_event(match origin {
            Some(origin) => event.seqnum(origin.seqnum()).build(),
            None => event.build(),
        });
    }

    /// The sealed segment. For who joins in the middle, and for a stream that follows another, one in which the frame
    /// is due at once, and the rest of the stream as long after it as the sender says.
    fn segment_for(&self, frame: &OpenedFrame, last_stream: Option<[u8; 32]>) -> gst::FormattedSegment<gst::ClockTime> {
        let (stream, description) = frame.described.id;
        let mut segment = frame.described.segment.clone();
        let due_at_once = match last_stream {
            // Each epoch has a description of its own: the first one that is known may be the newest of many.
            None => frame.counter.saturating_sub(description) > 1 || frame.session.description(0, 0).is_none(),
            Some(last_stream) => last_stream != stream,
        };
        let times = frame.buffer.pts().and_then(|pts| {
            Some((pts, segment.to_stream_time(pts)?, i128::from(segment.to_running_time(pts)?.nseconds())))
        });
        let Some((pts, stream_time, running_ns)) = times else { return segment };
        if lock(&self.settings).keep_times {
            return segment;
        }
        let now = self.obj().current_running_time().unwrap_or_default();
        let mut told = lock(&self.told);
        if due_at_once {
            let due = frame.arrival.unwrap_or(now).max(told.reached);
            told.ahead_ns = Some(i128::from(due.nseconds()) - running_ns);
        }
        if let Some(ahead_ns) = told.ahead_ns {
            segment.set_time(stream_time);
            segment.set_start(pts);
            let base = u64::try_from(running_ns + ahead_ns).ok().and_then(|ns| gst::ClockTime::try_from(ns).ok());
            segment.set_base(base.unwrap_or(now));
            segment.set_offset(gst::ClockTime::ZERO);
        }
        segment
    }

    fn end_of_input(&self) {
        let told = lock(&self.told);
        if !told.opened {
            let unknown = if told.waiting { &Error::NoHeaderYet } else { &Error::NotOurs };
            let error = told.refusal.as_ref().unwrap_or(unknown).to_string();
            drop(told);
            gst::element_imp_error!(self, gst::StreamError::Decrypt, ("{error}"));
        } else if !told.ended && lock(&self.pictures).is_none() {
            drop(told);
            self.post("truncated", None, "the stream ended without its end record");
        }
    }

    /// How long the recording is, once the index has been fetched.
    pub(super) fn duration(&self) -> Option<gst::ClockTime> {
        let stream = self.session()?.keys().stream_id;
        let index = lock(&self.seeking).index(stream)??;
        index.end.map(gst::ClockTime::from_nseconds)
    }

    pub(super) fn tell_depth(&self) {
        let depth = self.parts().map_or(0, |(_, runner)| runner.depth());
        self.monitor.tell_depth(depth);
    }

    pub(super) fn post(&self, reason: &str, counter: Option<u64>, detail: &str) {
        self.monitor.post(self.obj().upcast_ref(), reason, counter, detail);
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        if video::is_in_bytes(query) {
            return false;
        }
        match query.view_mut() {
            QueryViewMut::Latency(query) => {
                // Upstream is asked without the lock: it may ask for a property.
                let capacity = lock(&self.settings).common.capacity();
                self.monitor.answer_latency(query, &self.sink_pad, capacity)
            }
            QueryViewMut::Seeking(query) if query.format() == gst::Format::Time && self.seekable_bytes().is_some() => {
                query.set(self.session().is_some(), gst::ClockTime::ZERO, self.duration());
                true
            }
            QueryViewMut::Duration(query) if query.format() == gst::Format::Time && self.duration().is_some() => {
                query.set(self.duration());
                true
            }
            // What is inside is known only when a header has come.
            QueryViewMut::Caps(query) => {
                runner::answer_caps(query, self.src_pad.current_caps().unwrap_or_else(gst::Caps::new_any));
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

/// Word for the reason of a rejection.
fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::WrongKey => "wrong-key",
        Error::OtherStream => "other-stream",
        Error::ProfileNotAccepted(_) => "profile-not-accepted",
        Error::Camera(_) => "camera-not-accepted",
        _ => "rejected",
    }
}

/// Whether an error says why a whole stream cannot be opened.
fn stands_for_stream(error: &Error) -> bool {
    !matches!(error, Error::OtherStream | Error::NotOurs | Error::NoHeaderYet)
}
