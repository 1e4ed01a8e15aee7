//! The raw frames of a video, one after the other: `source ! decodebin ! appsink`. No more than a few of them are in memory.

use gst::prelude::*;
use gst_app::AppSink;

use super::{
    error::{Exit, Failure},
    graph::{Graph, Interrupt, News},
    video_source::{self, Split, Tracks, VideoSource},
};

/// Decoded frames that wait.
const WAITING: u32 = 2;
/// How long a frame is waited for before anything else is looked at.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// Which frames are taken.
#[derive(Clone, Copy)]
pub struct Taken {
    /// One in so many, the first of them.
    pub every: u64,
    /// No more than so many.
    pub most: Option<u64>,
}

/// Does `work` to frames of the first video track, with their numbers from 0 and their caps, until there are no more, enough
/// have been taken, or a signal comes.
///
/// # Errors
/// What goes wrong with the video, or with `work`.
pub fn for_each(
    source: VideoSource,
    taken: Taken,
    interrupt: Interrupt,
    mut work: impl FnMut(u64, &gst::CapsRef, &gst::BufferRef) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let graph = Graph::new()?;
    let tracks = Tracks::of_source(&graph, source, Split::Decode)?;
    graph.play()?;
    let Some(sink) = link(&graph, &tracks, interrupt)? else { return Ok(()) };
    let (mut number, mut left) = (0, taken.most.unwrap_or(u64::MAX));
    let mut failed = None;
    while left > 0 && !interrupt.has_come() {
        // What is on the bus is taken off, or it would grow; what failed is told after the frames that came before it.
        while failed.is_none() {
            match graph.news_at_hand() {
                Ok(News::Quiet) => break,
                Ok(_) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        let Some(sample) = sink.try_pull_sample(TICK) else {
            match failed {
                Some(failure) => return Err(failure),
                None if sink.is_eos() => break,
                None => continue,
            }
        };
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else { continue };
        if u64::is_multiple_of(number, taken.every) {
            work(number, caps, buffer)?;
            left -= 1;
        }
        number += 1;
    }
    match number {
        0 if !interrupt.has_come() => Err(Failure::new(Exit::Content, "there is no frame in it")),
        _ => Ok(()),
    }
}

/// Leads the first video track into a sink once all are known; `None` if a signal comes first.
fn link(graph: &Graph, tracks: &Tracks, interrupt: Interrupt) -> Result<Option<AppSink>, Failure> {
    loop {
        match graph.news()? {
            News::Message(message) if Tracks::are_known(&message) => break,
            News::End => return Err(Failure::new(Exit::Content, "there is no video in it")),
            _ if interrupt.has_come() => return Ok(None),
            _ => {}
        }
    }
    let mut sink = None;
    let mut tracks = tracks.take(true)?;
    for track in &tracks {
        if sink.is_some() || !track.is_video() {
            video_source::leave_out(graph, &track.pad)?;
            continue;
        }
        let caps = crate::gst::raw_caps();
        let element = AppSink::builder().sync(false).max_buffers(WAITING).caps(&caps).build();
        let impossible = |error: &dyn std::fmt::Display| Failure::new(Exit::Other, error.to_string());
        graph.pipeline.add(&element).map_err(|error| impossible(&error))?;
        element.sync_state_with_parent().map_err(|error| impossible(&error))?;
        let pad = element.static_pad("sink").expect("it has a sink pad");
        track.pad.link(&pad).map_err(|error| impossible(&error))?;
        sink = Some(element);
    }
    tracks.iter_mut().for_each(video_source::Track::release);
    Ok(sink)
}
