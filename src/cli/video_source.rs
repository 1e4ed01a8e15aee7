//! Where video comes from: what INPUT becomes in a pipeline, and the tracks that come out of it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
};

use gst::{glib, prelude::*};

use super::{
    byte_source::ByteSource,
    elements,
    error::{Exit, Failure},
    graph::Graph,
    track_count::TrackCount,
};

/// What video is read from.
pub enum VideoSource {
    /// A file.
    File(PathBuf),
    /// Anything that GStreamer has a source element for.
    Uri(String),
    /// A camera.
    Camera(Camera),
    /// Bytes of a container, from a pipe.
    Bytes(ByteSource),
}

impl VideoSource {
    /// The file that is read, if it is one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            VideoSource::File(path) => Some(path.clone()),
            VideoSource::Uri(uri) => glib::filename_from_uri(uri).ok().map(|(path, _)| path),
            VideoSource::Camera(_) | VideoSource::Bytes(_) => None,
        }
    }
}

/// A `v4l2://` device and what it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Camera {
    /// `/dev/video0`
    pub device: String,
    /// Width and height.
    pub size: Option<(i32, i32)>,
    /// Frames a second.
    pub fps: Option<gst::Fraction>,
}

impl Camera {
    /// What the camera may send: raw video or MJPEG.
    pub fn caps(&self) -> gst::Caps {
        let mut caps = gst::Caps::builder_full();
        for name in ["video/x-raw", "image/jpeg"] {
            let mut structure = gst::Structure::new_empty(name);
            if let Some((width, height)) = self.size {
                structure.set("width", width);
                structure.set("height", height);
            }
            if let Some(fps) = self.fps {
                structure.set("framerate", fps);
            }
            caps = caps.structure(structure);
        }
        caps.build()
    }
}

/// How far a track is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// As the source gives it.
    AsIs,
    /// Encoded access units.
    Parse,
    /// Raw frames.
    Decode,
}

/// The tracks of a source, as they turn up in the source's own threads.
pub struct Tracks {
    found: Arc<Mutex<Found>>,
}

/// A track: a pad that is blocked until it is released.
pub struct Track {
    /// Where its buffers come from.
    pub pad: gst::Pad,
    probe: Option<gst::PadProbeId>,
    /// What they are.
    pub caps: gst::Caps,
}

#[derive(Default)]
struct Found {
    tracks: Vec<Track>,
    unknown: Vec<gst::Caps>,
    /// Elements that may still bring tracks.
    open: usize,
    told: bool,
    /// What the container tells of, and what takes it apart.
    count: TrackCount,
    demuxer: Option<gst::Element>,
}

/// Name of the message that all tracks are known.
const ALL_TRACKS: &str = "chaosveil-all-tracks";

impl Track {
    /// Lets its buffers flow.
    pub fn release(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.pad.remove_probe(probe);
        }
    }

    /// Name for messages.
    pub fn name(&self) -> String {
        self.caps.structure(0).map_or("unknown".into(), |structure| structure.name().to_string())
    }

    /// Whether it is decoded audio.
    pub fn is_raw_audio(&self) -> bool {
        self.caps.structure(0).is_some_and(|caps| caps.name() == "audio/x-raw")
    }

    /// Whether it is moving pictures.
    pub fn is_video(&self) -> bool {
        is_video(&self.caps)
    }
}

/// Whether a track has frames now and then only, not as long as it lasts.
pub fn is_sparse(caps: &gst::Caps) -> bool {
    !is_video(caps) && caps.structure(0).is_some_and(|caps| !caps.name().starts_with("audio/"))
}

fn is_subtitle(caps: &gst::Caps) -> bool {
    caps.structure(0).is_some_and(|caps| match caps.name().as_str() {
        "application/x-ass" | "application/x-ssa" | "application/x-usf" => true,
        name => name.starts_with("subpicture/"),
    })
}

/// Whether caps are those of moving pictures.
pub fn is_video(caps: &gst::Caps) -> bool {
    caps.structure(0).is_some_and(|caps| caps.name().starts_with("video/") || caps.name().starts_with("image/"))
}

impl Tracks {
    /// Adds a source to a pipeline. When [`Tracks::are_known`] says so, its tracks can be taken.
    ///
    /// # Errors
    /// If an element is missing or refuses what it is told.
    pub fn of_source(graph: &Graph, source: VideoSource, split: Split) -> Result<Tracks, Failure> {
        let tracks = Tracks { found: Arc::default() };
        let camera = matches!(source, VideoSource::Camera(_));
        let file = source.path();
        let source = add_source(graph, source)?;
        match (file, source.static_pad("src")) {
            (Some(path), _) => lock(&tracks.found).count = TrackCount::of_file(&path),
            (None, Some(pad)) => tracks.count_as_it_comes(&pad),
            (None, None) => {}
        }
        // A camera's frames need no parsing: each is a buffer of its own.
        let split = if camera && split == Split::Parse { Split::AsIs } else { split };
        match source.static_pad("src") {
            Some(pad) => tracks.split(&graph.pipeline, &pad, split)?,
            None => tracks.follow(&graph.pipeline, &source, split),
        }
        Ok(tracks)
    }

    /// Whether a message says that all tracks are known.
    pub fn are_known(message: &gst::Message) -> bool {
        message.structure().is_some_and(|structure| structure.name() == ALL_TRACKS)
    }

    /// The tracks, each blocked.
    ///
    /// # Errors
    /// If there is none, or one that no plugin can take apart; with `video_only` others than video do not count.
    pub fn take(&self, video_only: bool) -> Result<Vec<Track>, Failure> {
        let mut found = lock(&self.found);
        for track in &mut found.tracks {
            track.caps = track.pad.current_caps().unwrap_or_else(|| track.pad.query_caps(None));
        }
        if let Some(caps) = found.unknown.iter().find(|caps| !video_only || is_video(caps)) {
            let name = caps.structure(0).map_or("unknown".into(), |structure| structure.name().to_string());
            let failure = Failure::new(Exit::Missing, format!("no plugin takes the track of type {name}"));
            return Err(match is_video(caps) {
                true => failure.advise("install the plugin for it: gstreamer1.0-plugins-bad, gstreamer1.0-libav"),
                false => failure.advise("install the plugin for it, or leave such tracks out with --video-only"),
            });
        }
        found.check_count(video_only)?;
        if !found.tracks.iter().any(|track| !video_only || track.is_video()) {
            return Err(Failure::new(Exit::Content, "there is no video in it"));
        }
        Ok(std::mem::take(&mut found.tracks))
    }

    /// Takes what one pad brings.
    fn split(&self, pipeline: &gst::Pipeline, pad: &gst::Pad, split: Split) -> Result<(), Failure> {
        let name = match split {
            Split::AsIs => {
                lock(&self.found).open += 1;
                let added = self.add(pipeline, pad, &Arc::new(Once::new()));
                return added.map_err(|reason| Failure::new(Exit::Other, reason));
            }
            Split::Parse => "parsebin",
            Split::Decode => "decodebin",
        };
        let splitter = elements::make(name)?;
        keep_as_it_is(&splitter, split);
        let impossible = |error: glib::BoolError| Failure::new(Exit::Other, error.to_string());
        pipeline.add(&splitter).map_err(impossible)?;
        self.follow(pipeline, &splitter, Split::AsIs);
        let sink = splitter.static_pad("sink").expect("parsebin and decodebin have a sink pad");
        pad.link(&sink).map_err(|error| Failure::new(Exit::Other, format!("{error}")))?;
        splitter.sync_state_with_parent().map_err(impossible)
    }

    /// Takes every pad that an element gets: as a track, or to split it further.
    fn follow(&self, pipeline: &gst::Pipeline, element: &gst::Element, split: Split) {
        lock(&self.found).open += 1;
        let (found, weak) = (self.found.clone(), pipeline.downgrade());
        let all_here = Arc::new(Once::new());
        element.connect_pad_added(move |element, pad| {
            let (tracks, Some(pipeline)) = (Tracks { found: found.clone() }, weak.upgrade()) else { return };
            let taken = match split {
                Split::AsIs => tracks.add(&pipeline, pad, &all_here),
                split => tracks.split(&pipeline, pad, split).map_err(|failure| failure.text()),
            };
            if let Err(reason) = taken {
                gst::element_error!(element, gst::StreamError::Failed, ["{reason}"]);
            }
        });
        if split == Split::AsIs {
            self.note_unknown(element);
            self.note_demuxer(element);
        } else {
            let (found, weak) = (self.found.clone(), pipeline.downgrade());
            element.connect_no_more_pads(move |_| close(&found, &weak));
        }
    }

    /// parsebin and decodebin tell what no plugin takes.
    fn note_unknown(&self, splitter: &gst::Element) {
        let found = self.found.clone();
        splitter.connect("unknown-type", false, move |values| {
            if let Some(caps) = values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok()) {
                lock(&found).unknown.push(caps);
            }
            None
        });
    }

    /// Remembers what takes a container apart whose header says how many tracks there are.
    fn note_demuxer(&self, splitter: &gst::Element) {
        let Some(bin) = splitter.downcast_ref::<gst::Bin>() else { return };
        let found = self.found.clone();
        bin.connect_element_added(move |_, element| {
            let factory = element.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
            if COUNTED.contains(&factory.as_str()) {
                lock(&found).demuxer.get_or_insert(element.clone());
            }
        });
    }

    fn count_as_it_comes(&self, pad: &gst::Pad) {
        let found = self.found.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
                && let Ok(bytes) = buffer.map_readable()
            {
                let offset = Some(buffer.offset()).filter(|&offset| offset != gst::format::Buffers::OFFSET_NONE);
                lock(&found).count.push_at(offset, &bytes);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Blocks a pad of parsebin or decodebin. They add all their pads before they let anything flow, so what comes first
    /// tells that all are here; parsebin has no other sign.
    fn add(&self, pipeline: &gst::Pipeline, pad: &gst::Pad, all_here: &Arc<Once>) -> Result<(), String> {
        if lock(&self.found).told {
            return Err("a track that begins in the middle cannot be taken".into());
        }
        let (found, weak, all_here) = (self.found.clone(), pipeline.downgrade(), all_here.clone());
        let probe = pad.add_probe(BLOCKED, move |_, info| {
            if is_preface(info) {
                return gst::PadProbeReturn::Pass;
            }
            all_here.call_once(|| close(&found, &weak));
            gst::PadProbeReturn::Ok
        });
        forget_offsets(pad);
        lock(&self.found).tracks.push(Track { pad: pad.clone(), probe, caps: gst::Caps::new_any() });
        Ok(())
    }
}

/// Demuxers of the containers that [`TrackCount`] reads.
static COUNTED: [&str; 3] = ["qtdemux", "matroskademux", "avidemux"];

impl Found {
    /// Holds the tracks that the demuxer has given against those that the container tells of.
    fn check_count(&self, video_only: bool) -> Result<(), Failure> {
        let (Some(told), Some(demuxer)) = (self.count.told(), &self.demuxer) else { return Ok(()) };
        let pads = demuxer.src_pads();
        let (of, given, kind) = match video_only {
            true => (told.videos, pads.iter().filter(|pad| pad.name().starts_with("video")).count(), "video tracks"),
            false => (told.tracks.len(), pads.len(), "tracks"),
        };
        if given >= of {
            return Ok(());
        }
        let held = told.tracks.join(", ");
        let failure = format!("no plugin takes {} of its {of} {kind} (it holds {held})", of - given);
        Err(Failure::new(Exit::Missing, failure).advise("take nothing but video with --video-only"))
    }
}

/// Takes away what demuxers and parsers number their buffers with: no container keeps it, and it would be sealed.
fn forget_offsets(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let none = gst::format::Buffers::OFFSET_NONE;
            if buffer.offset() != none || buffer.offset_end() != none {
                let buffer = buffer.make_mut();
                buffer.set_offset(none);
                buffer.set_offset_end(none);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// Keeps parsebin from changing what a container holds, and decodebin from changing subtitles. Tracks whose codec headers stand beside their frames leave the
/// demuxer as they are in the file: a parser would put the headers before the first frame too, and drop audio that is
/// decoded and not heard. So do subtitles, which a parser would turn into plain text, and all that is in AVI files, which
/// may be framed in ways that a parser would not give back.
fn keep_as_it_is(splitter: &gst::Element, split: Split) {
    splitter.connect("autoplug-continue", false, move |values| {
        let pad = values[1].get::<gst::Pad>().ok()?;
        let caps = values[2].get::<gst::Caps>().ok()?;
        // The pad is one of the splitter's own; the one behind it belongs to the demuxer.
        let behind = pad.downcast_ref::<gst::GhostPad>().and_then(GhostPadExt::target).unwrap_or(pad);
        let factory = behind.parent_element().and_then(|element| element.factory());
        let demuxed = factory.as_ref().is_some_and(|it| it.has_type(gst::ElementFactoryType::DEMUXER));
        let avi = factory.is_some_and(|factory| factory.name() == "avidemux");
        let complete = caps.structure(0).is_some_and(|caps| match caps.name().as_str() {
            "video/x-h264" | "video/x-h265" => caps.has_field("codec_data"),
            "audio/mpeg" => caps.get("mpegversion") == Ok(4) && caps.has_field("codec_data"),
            name => name == "audio/x-opus",
        });
        let kept = split == Split::Parse && demuxed && (avi || complete);
        Some((!kept && !is_subtitle(&caps)).to_value())
    });
}

/// Leads a track to where it is dropped.
///
/// # Errors
/// If an element is missing.
pub fn leave_out(graph: &Graph, track: &gst::Pad) -> Result<(), Failure> {
    let nowhere = graph.add("fakesink")?;
    // It shall not hold up the start, nor keep time.
    nowhere.set_property("async", false);
    nowhere.set_property("sync", false);
    let sink = nowhere.static_pad("sink").expect("fakesink has a sink pad");
    // What does not run yet would turn away even what a blocked pad tells.
    nowhere.sync_state_with_parent().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
    track.link(&sink).map(drop).map_err(|error| Failure::new(Exit::Other, error.to_string()))
}

/// Everything that has to wait.
pub const BLOCKED: gst::PadProbeType = gst::PadProbeType::BLOCK
    .union(gst::PadProbeType::BUFFER)
    .union(gst::PadProbeType::BUFFER_LIST)
    .union(gst::PadProbeType::EVENT_DOWNSTREAM);

/// Whether a blocked pad is told something beforehand: it stays with the pad until it is linked.
pub fn is_preface(info: &gst::PadProbeInfo) -> bool {
    match &info.data {
        Some(gst::PadProbeData::Event(event)) => !matches!(event.type_(), gst::EventType::Eos | gst::EventType::Gap),
        _ => false,
    }
}

/// One element fewer that may bring tracks; the last one tells the bus.
fn close(found: &Mutex<Found>, pipeline: &glib::WeakRef<gst::Pipeline>) {
    let mut found = lock(found);
    found.open = found.open.saturating_sub(1);
    if found.open == 0 && !found.told {
        found.told = true;
        drop(found);
        if let Some(pipeline) = pipeline.upgrade() {
            let message = gst::message::Application::new(gst::Structure::new_empty(ALL_TRACKS));
            // A pipeline on its way down has no use for it.
            let _ = pipeline.post_message(message);
        }
    }
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add_source(graph: &Graph, source: VideoSource) -> Result<gst::Element, Failure> {
    match source {
        VideoSource::File(path) => {
            let element = graph.add("filesrc")?;
            element.set_property("location", &path);
            Ok(element)
        }
        VideoSource::Uri(uri) => {
            let element = element_for_uri(&uri)?;
            graph.pipeline.add(&element).map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
            Ok(element)
        }
        VideoSource::Camera(camera) => add_camera(graph, &camera),
        VideoSource::Bytes(bytes) => {
            let element = graph.add("appsrc")?;
            bytes.feed(element.downcast_ref().expect("appsrc is what it is called"));
            Ok(element)
        }
    }
}

fn add_camera(graph: &Graph, camera: &Camera) -> Result<gst::Element, Failure> {
    let source = graph.add("v4l2src")?;
    source.set_property("device", &camera.device);
    let filter = graph.add("capsfilter")?;
    filter.set_property("caps", camera.caps());
    elements::link(&source, &filter)?;
    Ok(filter)
}

/// The source element for an address; TCP has none by itself.
///
/// # Errors
/// If no plugin knows the scheme, or the address is not understood.
pub fn element_for_uri(uri: &str) -> Result<gst::Element, Failure> {
    let Some(address) = uri.strip_prefix("tcp://") else {
        return gst::Element::make_from_uri(gst::URIType::Src, uri, None)
            .map_err(|error| Failure::new(Exit::Missing, error.message()));
    };
    let port = address.trim_end_matches('/').rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port): (_, i32) =
        port.ok_or_else(|| Failure::usage(format!("{uri} names no port")).advise("write tcp://HOST:PORT"))?;
    let element = elements::make("tcpclientsrc")?;
    element.set_property("host", host.trim_matches(['[', ']']));
    element.set_property("port", port);
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_asked_for_raw_video_or_mjpeg() {
        gst::init().expect("GStreamer starts");
        let camera = Camera { device: "/dev/video0".into(), size: Some((640, 480)), fps: Some((30, 1).into()) };
        let expected = "video/x-raw, width=(int)640, height=(int)480, framerate=(fraction)30/1; \
                        image/jpeg, width=(int)640, height=(int)480, framerate=(fraction)30/1";
        assert_eq!(camera.caps(), expected.parse::<gst::Caps>().expect("valid"));
        let any = Camera::default().caps();
        assert!(any.can_intersect(&"video/x-raw, format=YUY2, width=1".parse::<gst::Caps>().expect("valid")));
    }
}
