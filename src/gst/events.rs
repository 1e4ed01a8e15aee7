//! Element messages `chaosveil-event`: what befalls a stream.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use gst::prelude::*;

use super::runner::lock;

/// Tells bus and application what befalls the stream: element messages `chaosveil-event`, in bounds.
#[derive(Debug, Default)]
pub struct Events(Mutex<PostLimit>);

impl Events {
    /// From now on all are posted.
    pub fn say_all(&self) {
        lock(&self.0).is_off = true;
    }

    /// Posts one, unless there are too many already; what goes unsaid is told with the next.
    pub fn post(&self, element: &gst::Element, reason: &str, counter: Option<u64>, detail: &str) {
        gst::info!(gst::CAT_RUST, obj = element, "{reason}: {detail}");
        // Bus handlers may read `stats`: nothing is locked while posting.
        let admitted = lock(&self.0).admit(Instant::now());
        let Some(unsaid) = admitted else { return };
        let detail = if unsaid == 0 { detail.to_owned() } else { format!("{detail} ({unsaid} events unsaid)") };
        let mut structure = gst::Structure::builder("chaosveil-event").field("reason", reason).field("detail", detail);
        if let Some(counter) = counter {
            structure = structure.field("counter", counter);
        }
        let message = gst::message::Element::builder(structure.build()).src(element).build();
        // Without a bus nobody wants to know.
        let _ = element.post_message(message);
    }
}

/// Keeps an attacker who sends rubbish from filling the bus: so many messages a second, the rest is only counted.
#[derive(Debug, Default)]
struct PostLimit {
    second: Option<Instant>,
    posted: u32,
    unsaid: u64,
    /// Whoever listens takes them off the bus as they come, and misses none.
    is_off: bool,
}

/// Messages a second that reach the bus.
const POSTS_PER_SECOND: u32 = 200;

impl PostLimit {
    /// Whether a message may be posted now, and how many were not since the last one.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|begun| now - begun >= Duration::from_secs(1)) {
            (self.second, self.posted) = (Some(now), 0);
        }
        if self.posted >= POSTS_PER_SECOND && !self.is_off {
            self.unsaid += 1;
            return None;
        }
        self.posted += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_not_posted() {
        let (mut limit, begun) = (PostLimit::default(), Instant::now());
        let posted = (0..1000).filter(|_| limit.admit(begun).is_some()).count();
        assert_eq!(posted, 200);
        assert_eq!(limit.admit(begun + Duration::from_secs(1)), Some(800));
        assert_eq!(limit.admit(begun + Duration::from_secs(1)), Some(0));
    }
}
