//! How raw video goes into a Matroska file without losing a bit of any sample.
//!
//! FFV1 is lossless, but takes few formats; offered others, a converter chooses one by itself, and half of the chroma of
//! YUY2 is gone in I420. So every format has its form here: one that the codec takes, with the same samples in another
//! order, or none. Each line was held against a reading of the samples that does not come from GStreamer, at even and odd
//! sizes. What the converter of GStreamer 1.22 gets wrong is refused: odd widths of VYUY, and fields that share chroma.

/// What raw video is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Format that goes into the file.
    pub format: &'static str,
    /// Whether FFV1 compresses it; what it does not take goes in as it is.
    pub compressed: bool,
}

/// A form and the formats that have all their samples in it.
struct Row(Form, &'static [&'static str]);

const fn ffv1(format: &'static str, others: &'static [&'static str]) -> Row {
    Row(Form { format, compressed: true }, others)
}

const fn plain(format: &'static str, others: &'static [&'static str]) -> Row {
    Row(Form { format, compressed: false }, others)
}

/// Narrower samples (RGB16, GRAY10_LE32, alpha of two bits) are widened so that they can be narrowed to what they were.
static ROWS: [Row; 24] = [
    ffv1("I420", &["YV12", "NV12", "NV21", "NV12_64Z32", "NV12_4L4", "NV12_32L32", "NV12_16L32S", "NV12_8L128"]),
    ffv1("Y42B", &["YUY2", "UYVY", "YVYU", "VYUY", "NV16", "NV61"]),
    ffv1("Y444", &["NV24", "v308", "IYU2"]),
    ffv1("Y41B", &["IYU1"]),
    ffv1("YUV9", &["YVU9"]),
    ffv1("GRAY8", &[]),
    ffv1("GRAY16_LE", &["GRAY16_BE", "GRAY10_LE32"]),
    ffv1("BGRx", &["RGB", "BGR", "RGBx", "xRGB", "xBGR", "GBR", "RGBP", "BGRP", "RGB16", "BGR16", "RGB15", "BGR15"]),
    ffv1("BGRA", &["RGBA", "ARGB", "ABGR", "GBRA", "RGB8P"]),
    ffv1("A420", &["AV12"]),
    plain("AYUV", &["VUYA"]),
    ffv1("I420_10LE", &["I420_10BE", "P010_10LE", "P010_10BE", "NV12_10LE32", "NV12_10LE40", "NV12_10BE_8L128"]),
    ffv1("I422_10LE", &["I422_10BE", "v210", "Y210", "UYVP", "NV16_10LE32"]),
    ffv1("Y444_10LE", &["Y444_10BE"]),
    ffv1("I420_12LE", &["I420_12BE", "P012_LE", "P012_BE"]),
    ffv1("I422_12LE", &["I422_12BE", "Y212_LE", "Y212_BE"]),
    ffv1("Y444_12LE", &["Y444_12BE"]),
    ffv1("A420_10LE", &["A420_10BE"]),
    ffv1("A422_10LE", &["A422_10BE"]),
    ffv1("A444_10LE", &["A444_10BE", "Y410"]),
    ffv1("GBR_10LE", &["GBR_10BE", "r210"]),
    ffv1("GBRA_10LE", &["GBRA_10BE", "RGB10A2_LE", "BGR10A2_LE"]),
    ffv1("GBR_12LE", &["GBR_12BE"]),
    ffv1("GBRA_12LE", &["GBRA_12BE"]),
];

/// Forms in which rows share chroma, which fields have each for themselves.
static SHARED_CHROMA: [&str; 6] = ["I420", "YUV9", "A420", "I420_10LE", "I420_12LE", "A420_10LE"];

/// The form of raw video of these caps; `None` if no file holds it exactly.
pub fn form_of(caps: &gst::CapsRef) -> Option<Form> {
    let structure = caps.structure(0)?;
    // Buffers that hold single fields, or lie outside memory.
    if caps.features(0).is_some_and(|features| !features.is_equal(&gst::CAPS_FEATURES_MEMORY_SYSTEM_MEMORY)) {
        return None;
    }
    let format: &str = structure.get("format").ok()?;
    let form = form_of_format(format)?;
    let (width, height) = (structure.get::<i32>("width").ok()?, structure.get::<i32>("height").ok()?);
    let interlaced = structure.get::<&str>("interlace-mode").is_ok_and(|mode| mode != "progressive");
    let by_field = format == form.format && height % 4 == 0 && format != "YUV9";
    let fields_lost = interlaced && SHARED_CHROMA.contains(&form.format) && !by_field;
    let last_column_wrong = format == "VYUY" && width % 2 != 0;
    (!fields_lost && !last_column_wrong).then_some(form)
}

fn form_of_format(format: &str) -> Option<Form> {
    let takes = |Row(form, others): &&Row| form.format == format || others.contains(&format);
    ROWS.iter().find(takes).map(|Row(form, _)| *form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Format;

    fn form(format: &str, more: &str) -> Option<&'static str> {
        let caps = format!("video/x-raw, format={format}, {more}");
        form_of(&caps.parse::<gst::Caps>().expect("caps")).map(|form| form.format)
    }

    #[test]
    fn every_format_has_one_form_or_none() {
        gst::init().expect("GStreamer starts");
        let without: Vec<_> = Format::all()
            .filter(|format| format.is_gstreamer() && form_of_format(format.name()).is_none())
            .map(Format::name)
            .collect();
        let sixteen_bits = ["v216", "ARGB64", "AYUV64", "Y444_16BE", "Y444_16LE", "P016_BE", "P016_LE"];
        let with_alpha = ["Y412_BE", "Y412_LE", "ARGB64_LE", "ARGB64_BE", "RGBA64_LE", "RGBA64_BE"];
        let reversed = ["BGRA64_LE", "BGRA64_BE", "ABGR64_LE", "ABGR64_BE"];
        assert_eq!(without, [&sixteen_bits[..], &with_alpha, &reversed].concat());
        let mut all: Vec<_> = ROWS.iter().flat_map(|Row(_, others)| *others).collect();
        all.extend(ROWS.iter().map(|Row(form, _)| &form.format));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|name| Format::from_name(name).is_ok()));
    }

    #[test]
    fn fields_and_odd_widths() {
        gst::init().expect("GStreamer starts");
        assert_eq!(form("YUY2", "width=33, height=17"), Some("Y42B"));
        assert_eq!(form("VYUY", "width=34, height=17"), Some("Y42B"));
        assert_eq!(form("VYUY", "width=33, height=17"), None);
        assert_eq!(form("I420", "width=720, height=576, interlace-mode=interleaved"), Some("I420"));
        assert_eq!(form("I420", "width=720, height=486, interlace-mode=interleaved"), None);
        assert_eq!(form("NV12", "width=720, height=576, interlace-mode=mixed"), None);
        assert_eq!(form("UYVY", "width=720, height=576, interlace-mode=interleaved"), Some("Y42B"));
        let fields = "video/x-raw(format:Interlaced), format=I420, width=64, height=64, interlace-mode=alternate";
        assert_eq!(form_of(&fields.parse::<gst::Caps>().expect("caps")), None);
    }
}
