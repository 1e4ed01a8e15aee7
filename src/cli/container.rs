//! The containers that decrypted video is written to: which muxer, and what has to stand before it.

use std::path::Path;

use gst::prelude::*;

use super::{
    elements,
    error::{Exit, Failure},
    graph::Graph,
};

/// A type of video file.
#[derive(Debug, PartialEq, Eq)]
pub struct Container {
    extensions: &'static [&'static str],
    kind: Kind,
    /// The times that it keeps of a frame.
    pub times: Times,
}

/// The times that a container keeps, and so cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Times {
    /// None: frames stand in the order of decoding.
    None,
    /// When a frame is shown.
    Presentation,
    /// When it is decoded, and when it is shown.
    Decoding,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Tracks go into a muxer.
    Muxer(&'static str),
    /// One track is written as it is, after a parser and as these caps.
    Stream(&'static str, &'static str),
}

const fn muxer(extensions: &'static [&'static str], name: &'static str, times: Times) -> Container {
    Container { extensions, kind: Kind::Muxer(name), times }
}

const fn stream(extensions: &'static [&'static str], parser: &'static str, caps: &'static str) -> Container {
    Container { extensions, kind: Kind::Stream(parser, caps), times: Times::None }
}

static CONTAINERS: [Container; 8] = [
    muxer(&["mkv"], "matroskamux", Times::Presentation),
    muxer(&["mp4", "m4v"], "mp4mux", Times::Decoding),
    muxer(&["mov"], "qtmux", Times::Decoding),
    muxer(&["webm"], "webmmux", Times::Presentation),
    muxer(&["avi"], "avimux", Times::None),
    muxer(&["ts"], "mpegtsmux", Times::Decoding),
    stream(&["h264", "264"], "h264parse", "video/x-h264, stream-format=byte-stream, alignment=au"),
    stream(&["h265", "265", "hevc"], "h265parse", "video/x-h265, stream-format=byte-stream, alignment=au"),
];

/// The container for stdout, and for raw video, which it holds losslessly compressed.
pub static MATROSKA: &Container = &CONTAINERS[0];

/// What brings a track's bytes into the shape that muxers ask for.
static PARSERS: [(&str, &str); 9] = [
    ("video/x-h264", "h264parse"),
    ("video/x-h265", "h265parse"),
    ("video/x-av1", "av1parse"),
    ("video/x-vp9", "vp9parse"),
    ("video/mpeg, mpegversion=4", "mpeg4videoparse"),
    ("video/mpeg", "mpegvideoparse"),
    ("image/jpeg", "jpegparse"),
    ("audio/mpeg, mpegversion={ 2, 4 }", "aacparse"),
    ("audio/mpeg", "mpegaudioparse"),
];

/// What finds decoding times where a container had none.
static TIMESTAMPERS: [(&str, &str); 2] = [("video/x-h264", "h264timestamper"), ("video/x-h265", "h265timestamper")];

impl Container {
    /// The container that a file's extension stands for.
    pub fn of_path(path: &Path) -> Option<&'static Container> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        CONTAINERS.iter().find(|container| container.extensions.contains(&extension.as_str()))
    }

    /// Every extension, for messages.
    pub fn extensions() -> String {
        CONTAINERS.iter().map(|container| format!(".{}", container.extensions[0])).collect::<Vec<_>>().join(" ")
    }

    /// Adds what tracks are led into, before `sink`. Neither runs before [`Mux::start`]: some muxers take no tracks once
    /// they run.
    ///
    /// # Errors
    /// If an element is missing.
    pub fn add(&self, graph: &Graph, sink: &gst::Element, seekable: bool) -> Result<Mux, Failure> {
        let chain = match self.kind {
            Kind::Muxer(name) => {
                let mux = graph.add(name)?;
                if !seekable && mux.find_property("streamable").is_some() {
                    mux.set_property("streamable", true);
                }
                elements::link(&mux, sink)?;
                vec![mux]
            }
            Kind::Stream(parser, caps) => {
                let chain = graph.add_chain(&[parser, "capsfilter"], sink)?;
                chain[1].set_property_from_str("caps", caps);
                chain
            }
        };
        let entrance = chain[0].clone();
        let waiting: Vec<_> = chain.into_iter().chain([sink.clone()]).collect();
        for element in &waiting {
            element.set_locked_state(true);
        }
        Ok(Mux { entrance, waiting, name: self.extensions[0], times: self.times })
    }
}

/// A muxer, or the parser of a bare stream.
pub struct Mux {
    entrance: gst::Element,
    /// What does not run yet, in the order of the flow.
    waiting: Vec<gst::Element>,
    name: &'static str,
    times: Times,
}

/// How a track goes into a container.
pub struct Way {
    /// Its decoding times are found where it has none.
    pub finds_times: bool,
}

impl Mux {
    /// Leads a track of the given caps from `element` into it. `decoding_times` tells whether its frames have them.
    ///
    /// # Errors
    /// If it does not take such tracks, or no more of them.
    pub fn lead(
        &self,
        graph: &Graph,
        element: &gst::Element,
        caps: &gst::Caps,
        decoding_times: bool,
    ) -> Result<Way, Failure> {
        let Some((mut steps, template)) = self.way_for(caps) else {
            let kind = caps.structure(0).map_or("unknown", |structure| structure.name().as_str());
            return Err(Failure::usage(format!("a .{} file does not hold a track of type {kind}", self.name))
                .advise("name an OUTPUT that ends in .mkv"));
        };
        let missing = self.times == Times::Decoding && !decoding_times;
        let timestamper = TIMESTAMPERS.iter().find(|(media, _)| missing && is_named(caps, media));
        steps.extend(timestamper.map(|(_, name)| *name));
        let steps = steps.into_iter().map(|step| graph.add(step)).collect::<Result<Vec<_>, _>>()?;
        let chain: Vec<_> = std::iter::once(element).chain(&steps).collect();
        let pad = self.request_pad(&template)?;
        let source = chain[chain.len() - 1].static_pad("src").expect("every step has a source pad");
        let unfit = |error: gst::PadLinkError| Failure::new(Exit::Other, format!("a .{} file: {error}", self.name));
        source.link(&pad).map_err(unfit)?;
        // From the end on, so that nothing flows into what does not run yet.
        for pair in chain.windows(2).rev() {
            pair[1].sync_state_with_parent().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
            elements::link(pair[0], pair[1])?;
        }
        Ok(Way { finds_times: timestamper.is_some() })
    }

    /// Lets it run: all tracks have been led into it.
    ///
    /// # Errors
    /// If an element refuses to start.
    pub fn start(&mut self) -> Result<(), Failure> {
        for element in self.waiting.drain(..).rev() {
            element.set_locked_state(false);
            element.sync_state_with_parent().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        }
        Ok(())
    }

    fn request_pad(&self, template: &gst::PadTemplate) -> Result<gst::Pad, Failure> {
        let pad = match template.presence() {
            gst::PadPresence::Request => self.entrance.request_pad(template, None, None),
            _ => self.entrance.static_pad(&template.name()).filter(|pad| !pad.is_linked()),
        };
        pad.ok_or_else(|| {
            Failure::usage(format!("a .{} file does not hold that many tracks", self.name))
                .advise("name an OUTPUT that ends in .mkv")
        })
    }

    /// The elements between a track and the muxer, and the muxer's pad.
    fn way_for(&self, caps: &gst::Caps) -> Option<(Vec<&'static str>, gst::PadTemplate)> {
        if is_named(caps, "video/x-raw") {
            let lossless = gst::Caps::new_empty_simple("video/x-ffv");
            return self.pad_for(&lossless).map(|pad| (vec!["videoconvert", "avenc_ffv1"], pad));
        }
        if is_named(caps, "audio/x-raw") {
            return self.pad_for(&gst::Caps::new_empty_simple("audio/x-raw")).map(|pad| (vec!["audioconvert"], pad));
        }
        if let Some(pad) = self.pad_for(caps) {
            return Some((Vec::new(), pad));
        }
        let fits = |media: &str| media.parse::<gst::Caps>().is_ok_and(|media| caps.can_intersect(&media));
        let parser = PARSERS.iter().find(|(media, _)| fits(media))?.1;
        // A parser changes how a stream is framed, not what it is.
        let bare = gst::Caps::new_empty_simple(caps.structure(0)?.name());
        self.pad_for(&bare).map(|pad| (vec![parser], pad))
    }

    fn pad_for(&self, caps: &gst::Caps) -> Option<gst::PadTemplate> {
        let mut templates = self.entrance.pad_template_list().into_iter();
        templates.find(|pad| pad.direction() == gst::PadDirection::Sink && pad.caps().can_intersect(caps))
    }
}

fn is_named(caps: &gst::Caps, name: &str) -> bool {
    caps.structure(0).is_some_and(|structure| structure.name() == name)
}
