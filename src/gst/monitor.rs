//! What both elements tell of themselves: the `stats` property, their latency, messages, and which backend works.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};

use super::{events::Events, latency::Latency, runner::lock};
use crate::{
    backend::Backend,
    pipeline::{Counter, Stage, Stats},
};

/// Counters and messages of one element.
pub struct Monitor {
    /// "encrypt" or "decrypt".
    stage: &'static str,
    stats: Mutex<Arc<Stats>>,
    latency: Latency,
    events: Arc<Events>,
    backend: Mutex<Option<Arc<dyn Backend>>>,
}

impl Monitor {
    /// Of an element of this name that has not run.
    pub fn new(name: &str, stage: &'static str) -> Monitor {
        Monitor {
            stage,
            stats: Mutex::new(Arc::new(Stats::new(name, stage))),
            latency: Latency::default(),
            events: Arc::default(),
            backend: Mutex::default(),
        }
    }

    /// A new run on this backend, with new counters.
    pub fn begin(&self, element: &gst::Element, backend: Arc<dyn Backend>) -> Arc<Stats> {
        *lock(&self.backend) = Some(backend);
        self.latency.begin();
        let stats = Arc::new(Stats::new(&element.name(), self.stage));
        *lock(&self.stats) = stats.clone();
        stats
    }

    /// Counters of the last run.
    pub fn stats(&self) -> Arc<Stats> {
        lock(&self.stats).clone()
    }

    /// Backend of the last run.
    pub fn backend(&self) -> Option<Arc<dyn Backend>> {
        lock(&self.backend).clone()
    }

    /// What the `stats` property of both elements says.
    pub fn structure(&self) -> gst::Structure {
        structure(&self.stats(), self.backend().map_or("", |backend| backend.name()))
    }

    /// Posts a message, see [`Events::post`].
    pub fn post(&self, element: &gst::Element, reason: &str, counter: Option<u64>, detail: &str) {
        self.events.post(element, reason, counter, detail);
    }

    /// From now on all messages are posted, however many.
    pub fn say_all(&self) {
        self.events.say_all();
    }

    /// Who posts messages from other threads, while the element lives.
    pub fn poster(&self, element: &gst::Element) -> Poster {
        Poster { events: self.events.clone(), element: element.downgrade() }
    }

    /// Tells that another backend has taken over, if one has.
    pub fn tell_trouble(&self, element: &gst::Element) {
        let trouble = lock(&self.backend).as_ref().and_then(|backend| backend.take_trouble());
        if let Some(trouble) = trouble {
            lock(&self.stats).add(Counter::BackendFailures, 1);
            self.post(element, "backend-failed", None, &trouble);
        }
    }

    /// Frames that are in the queue.
    pub fn tell_depth(&self, depth: usize) {
        lock(&self.stats).set_depth(depth);
    }

    /// Takes the framerate of caps, see [`Latency::set_caps`], and tells another latency if it makes one.
    pub fn set_caps(&self, element: &gst::Element, caps: &gst::CapsRef) {
        if self.latency.set_caps(caps) {
            post_latency(element);
        }
    }

    /// Notes how long the work on a frame took, see [`Latency::note_work`], and tells another latency if it makes one.
    pub fn note_work(&self, element: &gst::Element, work: Duration, most: usize) {
        if self.latency.note_work(work, most) {
            post_latency(element);
        }
    }

    /// Counts a frame that has left: when it entered, when it was finished, and when it began to be pushed.
    pub fn count_frame(&self, entered: Instant, finished: Instant, push_begun: Instant) {
        let stats = self.stats();
        stats.add(Counter::FramesOut, 1);
        stats.add_stage(Stage::Order, push_begun - finished);
        stats.add_stage(Stage::Push, push_begun.elapsed());
        stats.add_latency(push_begun - entered);
    }

    /// Answers a latency query with that of all before `sink_pad` and ours, of a queue of so many frames.
    pub fn answer_latency(&self, query: &mut gst::query::Latency, sink_pad: &gst::Pad, capacity: usize) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !sink_pad.peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let (ours, most) = self.latency.bounds(capacity);
        query.set(live, min.saturating_add(ours), max.map(|max| max.saturating_add(most)));
        true
    }
}

/// Posts messages of an element that may be gone.
#[derive(Clone)]
pub struct Poster {
    events: Arc<Events>,
    element: glib::WeakRef<gst::Element>,
}

impl Poster {
    /// Posts a message, see [`Events::post`].
    pub fn post(&self, reason: &str, counter: Option<u64>, detail: &str) {
        if let Some(element) = self.element.upgrade() {
            self.events.post(&element, reason, counter, detail);
        }
    }
}

/// Tells the pipeline that an element's latency has changed.
fn post_latency(element: &gst::Element) {
    // Without a bus nobody needs to know.
    let _ = element.post_message(gst::message::Latency::builder().src(element).build());
}

/// The statistics as a structure.
fn structure(stats: &Stats, backend: &str) -> gst::Structure {
    let mut structure = gst::Structure::new_empty("chaosveil-stats");
    for counter in Counter::ALL {
        structure.set(counter.name(), stats.total(counter));
    }
    structure.set("latency-p50-ns", stats.latency_quantile(0.5).as_nanos() as u64);
    structure.set("latency-p99-ns", stats.latency_quantile(0.99).as_nanos() as u64);
    for stage in Stage::ALL {
        structure.set(format!("{}-ns", stage.name()), stats.stage_total(stage).as_nanos() as u64);
    }
    structure.set("backend", backend);
    structure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stats_say_is_described() {
        gst::init().expect("GStreamer starts");
        let described = include_str!("EVENTS.md");
        let structure = structure(&Stats::new("x", "encrypt"), "portable");
        let left_out: Vec<_> = structure.fields().filter(|name| !described.contains(&format!("`{name}`"))).collect();
        assert_eq!(left_out, Vec::<&gst::glib::GStr>::new());
    }
}
