//! The whole `chaosenc` as a stage: frames are pushed into it from a pad, as a source would, and timed where they come out.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use gst::prelude::*;

use super::{
    input::Picture,
    stages::{Case, Stage},
};
use crate::{
    backend::Choice,
    cli::{
        error::{Exit, Failure},
        graph::{Graph, News},
        sealing::BackendArgument,
    },
    seal::{Profile, random_bytes},
};

/// A running `chaosenc` between two pads.
struct Element {
    graph: Graph,
    feed: gst::Pad,
    _out: gst::Pad,
    frames: Vec<gst::Buffer>,
    pushed: u64,
    /// How many had been pushed when this turn began.
    begun: u64,
    workers: usize,
    arrivals: Arc<Mutex<Vec<Instant>>>,
    backend: &'static str,
    profile: Profile,
}

/// The element, running.
///
/// # Errors
/// If GStreamer or the element does not start.
pub fn stage(case: &Case, backend: &BackendArgument) -> Result<Box<dyn Stage>, Failure> {
    let graph = Graph::new()?;
    let element = graph.add("chaosenc")?;
    element.set_property("key", gst::glib::Bytes::from_owned(random_bytes::<32>()?));
    element.set_property_from_str("profile", case.profile.name());
    element.set_property("allow-insecure", true);
    element.set_property("workers", case.threads as u32);
    backend.apply(&element);
    let arrivals = Arc::<Mutex<Vec<Instant>>>::default();
    let feed = pad("feed", gst::PadDirection::Src, |builder| builder);
    let arrived = arrivals.clone();
    let out = pad("out", gst::PadDirection::Sink, |builder| {
        builder
            .chain_function(move |_, _, buffer: gst::Buffer| {
                if !buffer.flags().contains(gst::BufferFlags::HEADER) {
                    arrived.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(|_, _, _| true)
    });
    let linked = element
        .static_pad("sink")
        .zip(element.static_pad("src"))
        .map(|(sink, src)| feed.link(&sink).is_ok() && src.link(&out).is_ok());
    if linked != Some(true) {
        return Err(Failure::new(Exit::Other, "chaosenc has other pads than it should"));
    }
    graph.play()?;
    let frames = buffers(case.picture);
    let mut stage = Element {
        graph,
        feed,
        _out: out,
        frames,
        pushed: 0,
        begun: 0,
        workers: case.threads,
        arrivals,
        backend: case.backend.name(),
        profile: case.profile,
    };
    stage.begin(case.picture)?;
    // With `auto` it is chosen for the frames that have been announced.
    let stats = element.property::<gst::Structure>("stats");
    if let Some(choice) = stats.get::<&str>("backend").ok().and_then(|name| Choice::from_name(name).ok()) {
        stage.backend = choice.name();
    }
    Ok(Box::new(stage))
}

fn pad(
    name: &str,
    direction: gst::PadDirection,
    build: impl FnOnce(gst::PadBuilder<gst::Pad>) -> gst::PadBuilder<gst::Pad>,
) -> gst::Pad {
    let any = gst::Caps::new_any();
    let template = gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &any).expect("a valid template");
    let pad = build(gst::Pad::builder_from_template(&template)).build();
    pad.set_active(true).expect("a pad without a parent can be activated");
    pad
}

/// GStreamer's layout has padding where ours has none.
fn buffers(picture: &Picture) -> Vec<gst::Buffer> {
    picture.frames.iter().map(|frame| gst::Buffer::from_slice(frame.clone())).collect()
}

impl Element {
    fn begin(&self, picture: &Picture) -> Result<(), Failure> {
        let layout = &picture.layout;
        // As bytes that the element takes as they are, unless its caps' own layout has no padding either.
        let raw = gst_video::VideoInfo::builder(
            gst_video::VideoFormat::from_string(layout.format().name()),
            layout.width(),
            layout.height(),
        )
        .fps(gst::Fraction::new(60, 1))
        .build();
        let caps = raw.ok().filter(|info| info.size() == picture.bytes()).and_then(|info| info.to_caps().ok());
        let caps = caps.unwrap_or_else(|| gst::Caps::new_empty_simple("application/octet-stream"));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let events =
            [gst::event::StreamStart::new("bench"), gst::event::Caps::new(&caps), gst::event::Segment::new(&segment)];
        match events.into_iter().all(|event| self.feed.push_event(event)) {
            true => Ok(()),
            false => Err(self.failure()),
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Failure {
        loop {
            match self.graph.news_at_hand() {
                Err(failure) => return failure,
                Ok(News::Quiet) => return Failure::new(Exit::Other, "chaosenc does not take frames"),
                Ok(_) => {}
            }
        }
    }
}

impl Stage for Element {
    fn name(&self) -> &'static str {
        "element"
    }

    fn backend(&self) -> Option<&'static str> {
        Some(self.backend)
    }

    fn profile(&self) -> Option<Profile> {
        Some(self.profile)
    }

    fn run(&mut self) -> Result<(), Failure> {
        let mut buffer = self.frames[self.pushed as usize % self.frames.len()].clone();
        // Times go on, as those of a stream at 60 Hz: headers are repeated as they would be.
        let pts = gst::ClockTime::from_nseconds(self.pushed * 1_000_000_000 / 60);
        buffer.make_mut().set_pts(pts);
        self.pushed += 1;
        self.feed.push(buffer).map(drop).map_err(|_| self.failure())
    }

    fn drain(&mut self) -> Result<(), Failure> {
        self.feed.peer_query(&mut gst::query::Drain::new());
        // What has left the queue is being pushed, and no more than that.
        while (self.arrivals().len() as u64) < self.pushed - self.begun {
            std::thread::yield_now();
        }
        self.begun = self.pushed;
        Ok(())
    }

    fn in_parallel(&self) -> bool {
        self.workers > 1
    }

    fn intervals_ns(&mut self) -> Option<Vec<u64>> {
        let times = std::mem::take(&mut *self.arrivals());
        Some(times.windows(2).map(|pair| (pair[1] - pair[0]).as_nanos() as u64).collect())
    }
}
