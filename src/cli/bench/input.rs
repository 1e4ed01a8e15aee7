//! Frames to measure with: synthetic ones, or the first of a file.

use std::path::Path;

use gst::prelude::*;
use gst_video::prelude::*;

use crate::{
    cli::{
        error::{Exit, Failure},
        graph::start_gstreamer,
    },
    frame::{Format, FrameLayout, Plane, pack},
};

/// Frames of one format and size, their rows without padding.
pub struct Picture {
    /// Format and size.
    pub layout: FrameLayout,
    /// Their bytes.
    pub frames: Vec<Vec<u8>>,
}

impl Picture {
    /// So many frames of noise: no stage's speed depends on what is in a frame.
    pub fn synthetic(layout: FrameLayout, frames: usize) -> Picture {
        let frame = |number: usize| {
            let mut bytes = vec![0; layout.payload_bytes()];
            blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
            bytes
        };
        Picture { frames: (0..frames).map(frame).collect(), layout }
    }

    /// Bytes of a frame.
    pub fn bytes(&self) -> usize {
        self.layout.payload_bytes()
    }
}

/// The first frames of a picture or video, as they are decoded.
///
/// # Errors
/// If it cannot be read, or no frame comes out of it.
pub fn first_frames(path: &Path, frames: usize) -> Result<Picture, Failure> {
    std::fs::File::open(path).map_err(|error| Failure::io(path.display(), error))?;
    start_gstreamer()?;
    let line = "filesrc name=from ! decodebin ! appsink name=to caps=video/x-raw sync=false max-buffers=4";
    let missing = |error: gst::glib::Error| Failure::new(Exit::Missing, error.message());
    let pipeline = gst::parse::launch(line).map_err(missing)?.downcast::<gst::Pipeline>().expect("several elements");
    let element = |name: &str| pipeline.by_name(name).expect("named in the line above");
    element("from").set_property("location", path);
    let sink = element("to").downcast::<gst_app::AppSink>().expect("appsink is what it is called");
    // A refusal is told by the bus, below.
    let _ = pipeline.set_state(gst::State::Playing);
    let picture = take(&pipeline, &sink, frames).map_err(|failure| failure.about(path.display()));
    // On its way down nothing can be done about a failure.
    let _ = pipeline.set_state(gst::State::Null);
    picture
}

/// Frames until there are enough, the end, or another size.
fn take(pipeline: &gst::Pipeline, sink: &gst_app::AppSink, frames: usize) -> Result<Picture, Failure> {
    let mut picture: Option<Picture> = None;
    while picture.as_ref().is_none_or(|picture| picture.frames.len() < frames)
        && let Some(sample) = next_sample(pipeline, sink)?
    {
        let Some((layout, bytes)) = unpadded(&sample)? else { break };
        let picture = picture.get_or_insert_with(|| Picture { layout: layout.clone(), frames: Vec::new() });
        if picture.layout != layout {
            break;
        }
        picture.frames.push(bytes);
    }
    let mut picture = picture.ok_or_else(|| Failure::new(Exit::Content, "there is no video in it"))?;
    // A single picture has to do for all.
    (picture.frames.len()..frames).for_each(|_| picture.frames.push(picture.frames[0].clone()));
    Ok(picture)
}

/// How often the bus is asked while a frame is waited for, and how long that is waited for.
const PATIENCE: (gst::ClockTime, u32) = (gst::ClockTime::from_mseconds(50), 400);

/// The next sample; `None` at the end, or where none comes.
fn next_sample(pipeline: &gst::Pipeline, sink: &gst_app::AppSink) -> Result<Option<gst::Sample>, Failure> {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    for _ in 0..PATIENCE.1 {
        if let Some(sample) = sink.try_pull_sample(PATIENCE.0) {
            return Ok(Some(sample));
        }
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
            && let gst::MessageView::Error(error) = message.view()
        {
            return Err(Failure::new(Exit::Content, error.error().message()));
        }
        if sink.is_eos() {
            break;
        }
    }
    Ok(None)
}

fn unpadded(sample: &gst::Sample) -> Result<Option<(FrameLayout, Vec<u8>)>, Failure> {
    let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else { return Ok(None) };
    let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return Ok(None) };
    let Ok(frame) = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info) else { return Ok(None) };
    let layout = FrameLayout::new(
        Format::from_name(info.format().to_str())?,
        info.width(),
        info.height(),
        info.is_interlaced(),
    )?;
    let plane = |index: usize| {
        let data = frame.plane_data(index as u32).unwrap_or_default();
        Plane { data, stride: frame.plane_stride()[index].unsigned_abs() as usize }
    };
    let planes: Vec<Plane> = (0..layout.planes().len()).map(plane).collect();
    let mut bytes = vec![0; layout.payload_bytes()];
    pack(&layout, &planes, &mut bytes)?;
    Ok(Some((layout, bytes)))
}
