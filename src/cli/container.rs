//! The containers that decrypted video is written to: which muxer, and what becomes of its file.

use std::path::Path;

use gst::prelude::*;

use super::{
    elements,
    error::{Exit, Failure},
    graph::Graph,
    movie_header::{self, Orientation},
    subtitles,
    track_way::{Change, Pads, Step},
    video_source::{self, Track},
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

/// What to do with what no container holds.
const IN_A_PIPELINE: &str = "take it out in a pipeline: filesrc ! chaosdec ! ...";

/// The container for stdout, and for raw video.
pub static MATROSKA: &Container = &CONTAINERS[0];

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

    /// The containers that hold a track of these caps whole, by their extensions.
    fn holding(caps: &gst::Caps) -> Vec<String> {
        let holds = |container: &&Container| {
            let (Kind::Muxer(entrance) | Kind::Stream(entrance, _)) = container.kind;
            elements::make(entrance).is_ok_and(|entrance| Pads::of(&entrance).way(caps).is_some())
        };
        CONTAINERS.iter().filter(holds).map(|container| format!(".{}", container.extensions[0])).collect()
    }

    /// Warns of a track that can be sealed, but that no container holds which it could be decrypted to.
    pub fn warn_of(track: &Track) {
        if Container::holding(&track.caps).is_empty() {
            let name = track.name();
            tell!("chaosveil: warning: no file that decrypt makes holds a track of type {name} whole; {IN_A_PIPELINE}");
        }
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
        Ok(Mux {
            pads: Pads::of(&entrance),
            entrance,
            waiting,
            name: self.extensions[0],
            times: self.times,
            tracks: Vec::new(),
            disguises: Disguises::default(),
        })
    }
}

/// A muxer, or the parser of a bare stream.
pub struct Mux {
    entrance: gst::Element,
    pads: Pads,
    /// What does not run yet, in the order of the flow.
    waiting: Vec<gst::Element>,
    name: &'static str,
    times: Times,
    /// In the order of the file.
    tracks: Vec<Lead>,
    disguises: Disguises,
}

/// A track's way to the muxer.
struct Lead {
    source: gst::Pad,
    steps: Vec<gst::Element>,
    /// The muxer's pad.
    target: gst::Pad,
}

impl Lead {
    /// Starts the steps and links what is left to be linked: from the end on, for what does not run would turn away even
    /// what a blocked pad tells.
    fn start(&self) -> Result<(), Failure> {
        for step in self.steps.iter().rev() {
            step.sync_state_with_parent().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        }
        let first = self.steps.first().and_then(|step| step.static_pad("sink"));
        let linked = self.source.link(first.as_ref().unwrap_or(&self.target));
        linked.map(drop).map_err(|error| Failure::new(Exit::Other, format!("a track does not fit: {error}")))
    }
}

/// What a track needs in a container.
pub struct Led {
    /// Its decoding times are found where it has none.
    pub finds_times: bool,
}

impl Mux {
    /// Prepares to lead a track of the given caps from `element` into it. `decoding_times` tells whether its frames have
    /// them.
    ///
    /// # Errors
    /// If it does not take such tracks, or no more of them.
    pub fn lead(
        &mut self,
        graph: &Graph,
        element: &gst::Element,
        caps: &gst::Caps,
        decoding_times: bool,
    ) -> Result<Led, Failure> {
        let mut way = self.pads.way(caps).ok_or_else(|| self.refusal(caps))?;
        if !self.disguises.admit(caps, way.change) {
            return Err(self.refusal(caps));
        }
        let missing = self.times == Times::Decoding && !decoding_times;
        let timestamper = TIMESTAMPERS.iter().find(|(media, _)| missing && is_named(caps, media));
        way.steps.extend(timestamper.map(|(_, name)| Step::of(name)));
        let steps = way.steps.iter().map(|step| step.add_to(graph)).collect::<Result<Vec<_>, _>>()?;
        let target = self.request_pad(&way.pad)?;
        for pair in steps.windows(2) {
            elements::link(&pair[0], &pair[1])?;
        }
        let source = |element: &gst::Element| element.static_pad("src").expect("every step has a source pad");
        if let Some(last) = steps.last().map(source) {
            let unfit = |error: gst::PadLinkError| Failure::new(Exit::Other, format!("a .{} file: {error}", self.name));
            last.link(&target).map_err(unfit)?;
            if way.change == Some(Change::PlainText) {
                subtitles::undo_markup(&last);
            }
        }
        self.tracks.push(Lead { source: source(element), steps, target });
        Ok(Led { finds_times: timestamper.is_some() })
    }

    /// Lets it run, and the tracks flow into it: some muxers take no more once they run.
    ///
    /// # Errors
    /// If an element refuses to start.
    pub fn start(&mut self) -> Result<(), Failure> {
        if self.disguises.pgs {
            subtitles::name_pgs(&self.entrance.static_pad("src").expect("a muxer has a source pad"));
        }
        for element in self.waiting.drain(..).rev() {
            element.set_locked_state(false);
            element.sync_state_with_parent().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        }
        self.tracks.iter().try_for_each(Lead::start)
    }

    /// How each track is to be turned to be seen upright. Known only while the pipeline runs.
    pub fn orientations(&self) -> Vec<Option<Orientation>> {
        self.tracks.iter().map(|track| Orientation::of_pad(&track.source)).collect()
    }

    /// Writes into a finished file what GStreamer's muxers leave out; warns of what has no place in it.
    ///
    /// # Errors
    /// If the file is not what the muxer should have made, or the disk refuses.
    pub fn complete(&self, file: Option<&Path>, orientations: &[Option<Orientation>]) -> Result<(), Failure> {
        let Some(turned) = orientations.iter().flatten().find(|orientation| !orientation.is_upright()) else {
            return Ok(());
        };
        match (file, self.times) {
            (Some(file), Times::Decoding) if self.name != "ts" => movie_header::turn(file, orientations),
            _ => {
                tell!(
                    "chaosveil: warning: a .{} file does not keep that the picture is to be turned ({turned}); .mp4 \
                     and .mov files do",
                    self.name
                );
                Ok(())
            }
        }
    }

    fn request_pad(&self, template: &gst::PadTemplate) -> Result<gst::Pad, Failure> {
        let pad = match template.presence() {
            gst::PadPresence::Request => self.entrance.request_pad(template, None, None),
            _ => self.entrance.static_pad(&template.name()).filter(|pad| !pad.is_linked()),
        };
        pad.ok_or_else(|| {
            Failure::usage(format!("a .{} file does not hold that many tracks", self.name))
                .advise("name an OUTPUT that ends in .mkv, or leave tracks out with --video-only")
        })
    }

    fn refusal(&self, caps: &gst::Caps) -> Failure {
        let structure = caps.structure(0);
        let kind = structure.map_or("unknown", |structure| structure.name().as_str());
        let format = structure.and_then(|structure| structure.get::<&str>("format").ok());
        let named = format.map_or(kind.to_owned(), |format| format!("{kind} in format {format}"));
        let failure = Failure::usage(format!("a .{} file does not hold a track of type {named}", self.name));
        let failure = failure.advise(match &Container::holding(caps)[..] {
            [] => IN_A_PIPELINE.to_owned(),
            containers => format!("name an OUTPUT that ends in {}", containers.join(", ")),
        });
        match video_source::is_video(caps) {
            true => failure,
            false => failure.note("or leave it out with --video-only"),
        }
    }
}

/// Tracks that go into a muxer under the name of others; both in one file could not be told apart.
#[derive(Debug, Default)]
struct Disguises {
    pgs: bool,
    usf: bool,
}

impl Disguises {
    fn admit(&mut self, caps: &gst::Caps, change: Option<Change>) -> bool {
        self.pgs |= change == Some(Change::Pgs);
        self.usf |= is_named(caps, "application/x-usf");
        !(self.pgs && self.usf)
    }
}

fn is_named(caps: &gst::Caps, name: &str) -> bool {
    caps.structure(0).is_some_and(|structure| structure.name() == name)
}
