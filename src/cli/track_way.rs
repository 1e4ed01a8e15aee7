//! The way of a track into a muxer: which of its pads takes the track, and what has to stand before it, so that nothing
//! of the track is lost.

use gst::prelude::*;

use super::{elements, error::Failure, graph::Graph, raw_forms};

/// The way of a track.
pub struct Way {
    /// What it goes through, in this order.
    pub steps: Vec<Step>,
    /// What the muxer takes it by.
    pub pad: gst::PadTemplate,
    /// What is done to it after the steps.
    pub change: Option<Change>,
}

/// An element, and what it is told.
pub struct Step {
    element: &'static str,
    properties: Vec<(&'static str, String)>,
}

/// What is done to a track that a muxer takes under another name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Text that GStreamer's demuxer has turned into markup is turned back.
    PlainText,
    /// Pictures for subtitles, named such when the file's header is written.
    Pgs,
}

impl Step {
    /// An element as it is.
    pub fn of(element: &'static str) -> Step {
        Step { element, properties: Vec::new() }
    }

    fn with(mut self, property: &'static str, value: impl Into<String>) -> Step {
        self.properties.push((property, value.into()));
        self
    }

    fn filter(caps: impl Into<String>) -> Step {
        Step::of("capsfilter").with("caps", caps)
    }

    /// Gives a track other caps, its bytes staying what they are.
    fn renamed(caps: impl Into<String>) -> Step {
        Step::of("capssetter").with("join", "false").with("replace", "true").with("caps", caps)
    }

    /// Adds the element to a pipeline.
    ///
    /// # Errors
    /// If no plugin has it.
    pub fn add_to(&self, graph: &Graph) -> Result<gst::Element, Failure> {
        let element = graph.add(self.element)?;
        self.properties.iter().for_each(|(name, value)| element.set_property_from_str(name, value));
        Ok(element)
    }
}

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

/// Fields of caps that a parser or a container with headers of its own has told.
static PARSED: [&str; 4] = ["parsed", "framed", "stream-format", "codec_data"];

/// Bytes of a subtitle's header that matroskamux takes; it leaves out a longer one without a word.
const MOST_SUBTITLE_HEADER_BYTES: usize = 2048;

/// The sink pads that a muxer, or the parser of a bare stream, may have.
pub struct Pads {
    templates: Vec<gst::PadTemplate>,
    muxer: String,
}

impl Pads {
    /// Those of an element.
    pub fn of(element: &gst::Element) -> Pads {
        let sinks = |pad: &gst::PadTemplate| pad.direction() == gst::PadDirection::Sink;
        let muxer = element.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
        Pads { templates: element.pad_template_list().into_iter().filter(sinks).collect(), muxer }
    }

    /// The way of a track of these caps; `None` if there is none on which everything is kept.
    pub fn way(&self, caps: &gst::Caps) -> Option<Way> {
        match caps.structure(0)?.name().as_str() {
            "video/x-raw" => self.raw_video(caps),
            "audio/x-raw" => self.raw_audio(caps),
            "text/x-raw" => self.text(caps),
            "subpicture/x-pgs" => self.pgs(),
            _ => self.encoded(caps),
        }
    }

    fn taking(&self, caps: &gst::Caps) -> Option<gst::PadTemplate> {
        self.templates.iter().find(|pad| pad.caps().can_intersect(caps)).cloned()
    }

    fn taking_named(&self, caps: &str) -> Option<gst::PadTemplate> {
        self.taking(&caps.parse().ok()?)
    }

    /// Converters are told the one format that keeps all samples, and to do nothing else to them.
    fn raw_video(&self, caps: &gst::Caps) -> Option<Way> {
        let form = raw_forms::form_of(caps)?;
        let format: &str = caps.structure(0)?.get("format").ok()?;
        let raw = |format: &str| format!("video/x-raw, format=(string){format}");
        let mut steps = vec![Step::filter(raw(format))];
        if format != form.format {
            let modes = ["chroma-mode", "matrix-mode", "gamma-mode", "primaries-mode", "dither"];
            steps.push(modes.into_iter().fold(Step::of("videoconvert"), |step, mode| step.with(mode, "none")));
            steps.push(Step::filter(raw(form.format)));
        }
        let pad = match form.compressed {
            true => self.taking_named("video/x-ffv")?,
            false => self.taking_named(&raw(form.format))?,
        };
        steps.extend(form.compressed.then(|| Step::of("avenc_ffv1")));
        Some(Way { steps, pad, change: None })
    }

    /// Samples keep their depth, or get a greater one; channels stay what they are.
    fn raw_audio(&self, caps: &gst::Caps) -> Option<Way> {
        let format: &str = caps.structure(0)?.get("format").ok()?;
        let (format, pad) = wider_formats(format).find_map(|format| {
            let mut caps = caps.clone();
            caps.make_mut().set("format", format);
            caps.make_mut().set("layout", "interleaved");
            self.taking(&caps).map(|pad| (format.to_owned(), pad))
        })?;
        let converter = Step::of("audioconvert").with("dithering", "none");
        let filter = Step::filter(format!("audio/x-raw, format=(string){format}, layout=(string)interleaved"));
        Some(Way { steps: vec![converter, filter], pad, change: None })
    }

    fn text(&self, caps: &gst::Caps) -> Option<Way> {
        let plain = "text/x-raw, format=(string)utf8";
        let pad = self.taking_named(plain)?;
        let markup = caps.structure(0)?.get::<&str>("format").is_ok_and(|format| format == "pango-markup");
        let steps = markup.then(|| Step::renamed(plain)).into_iter().collect();
        Some(Way { steps, pad, change: markup.then_some(Change::PlainText) })
    }

    /// matroskamux knows no PGS. What it takes under the name of another codec it writes as it is.
    fn pgs(&self) -> Option<Way> {
        let pad = self.taking_named("application/x-usf").filter(|_| self.muxer == "matroskamux")?;
        Some(Way { steps: vec![Step::renamed("application/x-usf")], pad, change: Some(Change::Pgs) })
    }

    fn encoded(&self, caps: &gst::Caps) -> Option<Way> {
        let way = |steps, pad| Some(Way { steps, pad, change: None });
        let direct = self.taking(caps).filter(|pad| self.keeps_header(caps, pad));
        let parser = self.parser(caps);
        if let Some(pad) = direct.as_ref().filter(|_| parser.is_none() || self.muxer == "avimux")
            && let Some(told) = completed(caps, pad)
        {
            return way(vec![Step::renamed(told)], pad.clone());
        }
        match (direct, parser) {
            (Some(pad), parser) if parser.is_none() || is_told(caps, &pad) => way(Vec::new(), pad),
            (_, Some((parser, pad))) => way(vec![Step::of(parser)], pad),
            (None, None) | (Some(_), None) => None,
        }
    }

    /// A parser changes how a stream is framed, not what it is.
    fn parser(&self, caps: &gst::Caps) -> Option<(&'static str, gst::PadTemplate)> {
        let fits = |media: &str| media.parse::<gst::Caps>().is_ok_and(|media| caps.can_intersect(&media));
        let (_, parser) = PARSERS.iter().find(|(media, _)| fits(media))?;
        let bare = gst::Caps::new_empty_simple(caps.structure(0)?.name());
        let pad = self.taking(&bare).filter(|_| elements::is_present(parser) && self.muxer != *parser)?;
        Some((parser, pad))
    }

    fn keeps_header(&self, caps: &gst::Caps, pad: &gst::PadTemplate) -> bool {
        let header = caps.structure(0).and_then(|caps| caps.get::<gst::Buffer>("codec_data").ok());
        let length = header.map_or(0, |header| header.size());
        !pad.name_template().starts_with("subtitle") || length <= MOST_SUBTITLE_HEADER_BYTES
    }
}

/// Caps with what a pad asks for and the file did not tell in which the track was: it need not be known, for the frames go
/// back as they came. `None` if nothing is missing, or cannot be told.
fn completed(caps: &gst::Caps, pad: &gst::PadTemplate) -> Option<String> {
    if caps.is_subset(pad.caps()) {
        return None;
    }
    let mut told = pad.caps().intersect(caps);
    let structure = told.is_fixed().then(|| told.make_mut().structure_mut(0))??;
    if structure.get("mpegversion") == Ok(4) && structure.name() == "audio/mpeg" && !structure.has_field("codec_data") {
        let header = aac_header(structure.get("rate").ok()?, structure.get("channels").ok()?)?;
        structure.set("codec_data", gst::Buffer::from_slice(header));
    }
    Some(told.to_string())
}

/// The header of AAC of the usual profile, LC (AudioSpecificConfig, ISO/IEC 14496-3, section 1.6.2.1).
fn aac_header(rate: i32, channels: i32) -> Option<[u8; 2]> {
    const LC: u16 = 2;
    const RATES: [i32; 13] = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
    let rate = RATES.iter().position(|known| *known == rate)? as u16;
    let channels = u16::try_from(channels).ok().filter(|channels| (1..8).contains(channels))?;
    // u5 profile | u4 rate | u4 channels | u3 frame length 1024, nothing more
    Some((LC << 11 | rate << 7 | channels << 3).to_be_bytes())
}

/// Whether caps tell all that a parser would find out, and a pad asks for.
fn is_told(caps: &gst::Caps, pad: &gst::PadTemplate) -> bool {
    let parsed = caps.structure(0).is_some_and(|caps| PARSED.iter().any(|field| caps.has_field(*field)));
    parsed && caps.is_subset(pad.caps())
}

/// The formats that hold all of an audio format's bits, the best first.
fn wider_formats(format: &str) -> impl Iterator<Item = &str> {
    let wider: &[&str] = if format.starts_with('F') { &["F32LE", "F64LE"] } else { &["S16LE", "S24LE", "S32LE"] };
    let bits = bits_of(format);
    std::iter::once(format).chain(wider.iter().copied().filter(move |wider| bits_of(wider) >= bits))
}

/// `S24_32LE` has 24 bits.
fn bits_of(format: &str) -> u32 {
    let digits = format.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(muxer: &str, caps: &str) -> Option<Vec<&'static str>> {
        gst::init().expect("GStreamer starts");
        let muxer = elements::make(muxer).expect("the muxer is there");
        let way = Pads::of(&muxer).way(&caps.parse().expect("caps"))?;
        Some(way.steps.iter().map(|step| step.element).collect())
    }

    #[test]
    fn depth_of_audio_is_kept_or_grows() {
        assert_eq!(wider_formats("U8").collect::<Vec<_>>(), ["U8", "S16LE", "S24LE", "S32LE"]);
        assert_eq!(wider_formats("S24_32BE").collect::<Vec<_>>(), ["S24_32BE", "S24LE", "S32LE"]);
        assert_eq!(wider_formats("F64BE").collect::<Vec<_>>(), ["F64BE", "F64LE"]);
        let stereo = "rate=48000, channels=2, layout=interleaved";
        assert!(way("matroskamux", &format!("audio/x-raw, format=F32LE, {stereo}")).is_some());
        assert!(way("qtmux", &format!("audio/x-raw, format=S20LE, {stereo}")).is_some());
        assert!(way("qtmux", &format!("audio/x-raw, format=F32LE, {stereo}")).is_none());
        let six = "rate=48000, channels=6, layout=interleaved, channel-mask=(bitmask)0x3f";
        assert!(way("qtmux", &format!("audio/x-raw, format=S16LE, {six}")).is_none());
    }

    #[test]
    fn what_a_container_told_is_not_parsed_again() {
        let bare = "video/x-h264, width=16, height=16, framerate=10/1";
        let parsed = format!("{bare}, stream-format=(string)avc, alignment=au, codec_data=(buffer)01");
        assert_eq!(way("matroskamux", &parsed), Some(vec![]));
        assert_eq!(way("matroskamux", bare), Some(vec!["h264parse"]));
        assert_eq!(way("avimux", bare), Some(vec!["capssetter"]));
        assert_eq!(way("avimux", &parsed), Some(vec!["h264parse"]));
        assert_eq!(way("h264parse", bare), Some(vec![]));
        let aac = "audio/mpeg, mpegversion=4, rate=44100, channels=2";
        assert_eq!(way("matroskamux", &format!("{aac}, codec_data=(buffer)1210")), Some(vec!["aacparse"]));
        assert_eq!(way("avimux", aac), Some(vec!["capssetter"]));
        let ffv1 = "video/x-ffv, ffvversion=1, width=16, height=16";
        assert_eq!(way("matroskamux", ffv1), Some(vec!["capssetter"]));
    }

    #[test]
    fn subtitles_find_their_way_or_none() {
        assert_eq!(way("matroskamux", "text/x-raw, format=pango-markup"), Some(vec!["capssetter"]));
        assert_eq!(way("matroskamux", "text/x-raw, format=utf8"), Some(vec![]));
        assert_eq!(way("matroskamux", "subpicture/x-pgs"), Some(vec!["capssetter"]));
        assert_eq!(way("mp4mux", "subpicture/x-pgs"), None);
        let header = |bytes| format!("application/x-ass, codec_data=(buffer){}", "5b".repeat(bytes));
        assert_eq!(way("matroskamux", &header(2048)), Some(vec![]));
        assert_eq!(way("matroskamux", &header(2049)), None);
    }

    #[test]
    fn raw_video_is_converted_where_no_codec_takes_it() {
        let raw = |format: &str| format!("video/x-raw, format={format}, width=16, height=16");
        assert_eq!(way("matroskamux", &raw("I420")), Some(vec!["capsfilter", "avenc_ffv1"]));
        let converted = vec!["capsfilter", "videoconvert", "capsfilter", "avenc_ffv1"];
        assert_eq!(way("matroskamux", &raw("YUY2")), Some(converted));
        assert_eq!(way("matroskamux", &raw("AYUV")), Some(vec!["capsfilter"]));
        assert_eq!(way("matroskamux", &raw("ARGB64")), None);
        assert_eq!(way("mp4mux", &raw("I420")), None);
    }
}
