//! The GStreamer elements that the roads of this crate take, and the Debian packages that have them.

use gst::prelude::*;

use super::error::{Exit, Failure};

/// An element that some road takes.
#[derive(Debug)]
pub struct Needed {
    /// Name of the element.
    pub name: &'static str,
    /// Debian package that has it.
    pub package: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Whether `encrypt` and `decrypt` of video files do not work without it.
    pub required: bool,
}

const fn required(name: &'static str, package: &'static str, purpose: &'static str) -> Needed {
    Needed { name, package, purpose, required: true }
}

const fn optional(name: &'static str, package: &'static str, purpose: &'static str) -> Needed {
    Needed { name, package, purpose, required: false }
}

const CORE: &str = "libgstreamer1.0-0";
const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";

/// Every element, the required ones first.
pub static ELEMENTS: [Needed; 44] = [
    required("filesrc", CORE, "files"),
    required("filesink", CORE, "files"),
    required("fdsink", CORE, "stdout"),
    required("fakesink", CORE, "--video-only"),
    required("funnel", CORE, "several tracks in one file"),
    required("capsfilter", CORE, "cameras, .h264"),
    required("appsrc", BASE, "files"),
    required("appsink", BASE, "addresses"),
    required("parsebin", BASE, "compressed video"),
    required("decodebin", BASE, "--decode, cipher video"),
    required("videoconvert", BASE, "decrypting raw video"),
    required("audioconvert", BASE, "decrypting raw audio"),
    required("matroskademux", GOOD, ".mkv"),
    required("matroskamux", GOOD, ".mkv"),
    required("qtdemux", GOOD, ".mp4"),
    required("mp4mux", GOOD, ".mp4"),
    required("h264parse", BAD, "H.264"),
    optional("avenc_ffv1", LIBAV, "cipher video, decrypting raw video"),
    optional("avdec_ffv1", LIBAV, "cipher video"),
    optional("avdec_h264", LIBAV, "decoding H.264"),
    optional("h264timestamper", BAD, ".mkv to .mp4"),
    optional("h265parse", BAD, "H.265"),
    optional("aacparse", GOOD, "AAC"),
    optional("mpegaudioparse", GOOD, "MP3"),
    optional("jpegparse", BAD, "MJPEG"),
    optional("av1parse", BAD, "AV1"),
    optional("vp9parse", BAD, "VP9"),
    optional("qtmux", GOOD, ".mov"),
    optional("webmmux", GOOD, ".webm"),
    optional("avimux", GOOD, ".avi"),
    optional("capssetter", GOOD, "subtitles, .avi"),
    optional("mpegtsmux", BAD, ".ts"),
    optional("x264enc", UGLY, "encoding H.264"),
    optional("v4l2src", GOOD, "cameras"),
    optional("v4l2sink", GOOD, "virtual cameras"),
    optional("jpegdec", GOOD, "cameras that send MJPEG"),
    optional("tcpclientsrc", BASE, "TCP"),
    optional("tcpclientsink", BASE, "TCP"),
    optional("udpsrc", GOOD, "RTP"),
    optional("rtpgstpay", GOOD, "RTP"),
    optional("rtph264pay", GOOD, "RTP"),
    optional("rtspsrc", GOOD, "RTSP"),
    optional("pngdec", GOOD, "pictures in pipelines"),
    optional("autovideosink", GOOD, "showing video"),
];

/// Makes an element.
///
/// # Errors
/// If no plugin has it: which package does.
pub fn make(name: &str) -> Result<gst::Element, Failure> {
    gst::ElementFactory::make(name).build().map_err(|_| {
        let failure = Failure::new(Exit::Missing, format!("GStreamer has no element `{name}`"));
        match ELEMENTS.iter().find(|element| element.name == name) {
            Some(element) => failure.advise(format!("apt-get install {}", element.package)),
            None => failure,
        }
    })
}

/// An element as one of this program's own.
///
/// # Errors
/// If another plugin has made it.
pub fn own<T: IsA<gst::Element>>(element: &gst::Element) -> Result<&T, Failure> {
    element.downcast_ref().ok_or_else(|| {
        Failure::new(Exit::Other, format!("{} comes from another plugin than this program", element.name()))
    })
}

/// Whether a plugin has an element.
pub fn is_present(name: &str) -> bool {
    gst::ElementFactory::find(name).is_some()
}

/// Links two elements of one pipeline.
///
/// # Errors
/// If their caps do not go together.
pub fn link(from: &gst::Element, to: &gst::Element) -> Result<(), Failure> {
    from.link(to).map_err(|_| Failure::new(Exit::Other, format!("{} cannot be linked to {}", from.name(), to.name())))
}
