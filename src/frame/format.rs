//! Every raw video format: its name, the shape of its planes, and how safely a transport carries its bytes.
//!
//! One table, one line per format, in GStreamer's own order (`GstVideoFormat`, version 1.22). Shapes are those of
//! GStreamer's `fill_planes` (`video-info.c`), which the tests ask of the installed GStreamer for every format.

use crate::{Error, Result};
use std::fmt;

/// A raw video format; a reference into the table below, so it costs nothing to copy.
#[derive(Clone, Copy)]
pub struct Format(&'static Entry);

impl Format {
    /// The format of that name, spelled as in GStreamer caps (`I420`, `GRAY16_BE`, `v210`).
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] where the table has no such name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::all().find(|format| format.name() == name).ok_or_else(|| Error::UnknownFormat(name.to_owned()))
    }

    /// All formats, in table order.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.iter().map(Self)
    }

    /// The name, as in GStreamer caps.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether the name is GStreamer's. The others are pictures from files for which GStreamer has no name.
    pub fn is_gstreamer(self) -> bool {
        !self.0.own
    }

    /// What becomes of the format's bytes on a transport that carries raw pictures of it, as far as the format alone
    /// decides; [`FrameLayout::carriage`](super::FrameLayout::carriage) also looks at the size.
    pub fn carriage(self) -> Carriage {
        self.0.carriage
    }

    /// The planes in memory order. Empty for formats that are opaque bytes to us ([`Carriage::PacketsOnly`]).
    pub fn planes(self) -> &'static [PlaneShape] {
        self.0.planes
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Format({})", self.name())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What a transport of raw pictures (a codec, a converter, a display) does to the bytes of a format.
///
/// Ciphertext has no bit to spare: one changed bit anywhere and the frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Every bit is part of a sample: what keeps the picture keeps the bytes.
    Lossless,
    /// Some bits may be dropped or rewritten, for the reason given, by a transport that still calls itself lossless.
    Exact(&'static str),
    /// Rows cannot be told apart, for the reason given: the buffer is sealed as opaque bytes, in packets.
    PacketsOnly(&'static str),
}

impl Carriage {
    /// Why a cipher picture must be refused, or `None` where it may be sent. `exact_transport` is the user's word that
    /// every byte survives.
    pub fn refusal(self, exact_transport: bool) -> Option<&'static str> {
        match self {
            Self::Lossless => None,
            Self::Exact(_) if exact_transport => None,
            Self::Exact(reason) | Self::PacketsOnly(reason) => Some(reason),
        }
    }
}

/// The shape of one plane: each row is a run of groups of bytes, each group covers some pixels of the picture's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneShape {
    /// Bytes in a group.
    pub group_bytes: u32,
    /// Pixels of the picture that a group covers horizontally; the last group of a row may be covered in part.
    pub group_pixels: u32,
    /// Vertical subsampling: one row of this plane stands for `1 << row_shift` rows of the picture.
    pub row_shift: u32,
    /// In an interlaced picture the rows come in pairs, one per field: their number is rounded up to even.
    pub field_pairs: bool,
    /// Whether a row may end within a group. Where it may not, such widths are refused.
    pub partial_group: bool,
}

const fn group(group_bytes: u32, group_pixels: u32) -> PlaneShape {
    PlaneShape { group_bytes, group_pixels, row_shift: 0, field_pairs: false, partial_group: true }
}

impl PlaneShape {
    const fn rows_by(self, row_shift: u32) -> Self {
        Self { row_shift, ..self }
    }

    const fn paired(self) -> Self {
        Self { field_pairs: true, ..self }
    }

    const fn whole_groups(self) -> Self {
        Self { partial_group: false, ..self }
    }
}

struct Entry {
    name: &'static str,
    carriage: Carriage,
    planes: &'static [PlaneShape],
    own: bool,
}

const fn gst(name: &'static str, carriage: Carriage, planes: &'static [PlaneShape]) -> Entry {
    Entry { name, carriage, planes, own: false }
}

const fn own(name: &'static str, carriage: Carriage, planes: &'static [PlaneShape]) -> Entry {
    Entry { name, carriage, planes, own: true }
}

// -- carriage ----------------------------------------------------------------------------------------------------

const FULL: Carriage = Carriage::Lossless;
const UNUSED: Carriage = Carriage::Exact(
    "bits that hold no sample may be dropped on the way; use packets, or transport=exact where every byte survives",
);
const ALPHA: Carriage = Carriage::Exact(
    "alpha may be dropped or premultiplied by an encoder; use packets, or transport=exact where every byte survives",
);
const ALPHA_UNUSED: Carriage = Carriage::Exact(
    "alpha and bits that hold no sample may be dropped on the way; use packets, or transport=exact where every byte \
     survives",
);
const TILED: Carriage =
    Carriage::PacketsOnly("tiles have no rows that could carry a header; use packets, opaque bytes");
const PALETTE: Carriage = Carriage::PacketsOnly("a palette does not survive as pixels; use packets, opaque bytes");

// -- plane shapes, by bytes per group and pixels per group ---------------------------------------------------------

const OPAQUE: &[PlaneShape] = &[];

// One plane, whole pixels.
const PIXEL_1: &[PlaneShape] = &[group(1, 1)];
const PIXEL_2: &[PlaneShape] = &[group(2, 1)];
const PIXEL_3: &[PlaneShape] = &[group(3, 1)];
const PIXEL_4: &[PlaneShape] = &[group(4, 1)];
const PIXEL_6: &[PlaneShape] = &[group(6, 1)];
const PIXEL_8: &[PlaneShape] = &[group(8, 1)];

// One plane, several pixels to a group.
const PAIR_4: &[PlaneShape] = &[group(4, 2)];
const PAIR_8: &[PlaneShape] = &[group(8, 2)];
const IYU1_6: &[PlaneShape] = &[group(6, 4)];
const V210_16: &[PlaneShape] = &[group(16, 6)];
const WORD_OF_3: &[PlaneShape] = &[group(4, 3)];
// GStreamer 1.22 gives odd widths a stride shorter than the last group (3 pixels: 8 bytes of 10), later versions do
// not: there is no row that both agree on.
const UYVP_5: &[PlaneShape] = &[group(5, 2).whole_groups()];

// Planar, 8 bits: Y (or R, G, B, A) and the chroma planes.
const Y: PlaneShape = group(1, 1);
const C_420: PlaneShape = group(1, 2).rows_by(1).paired();
const C_422: PlaneShape = group(1, 2);
const C_411: PlaneShape = group(1, 4);
const C_410: PlaneShape = group(1, 4).rows_by(2).paired();
const PLANAR_420: &[PlaneShape] = &[Y, C_420, C_420];
const PLANAR_420_A: &[PlaneShape] = &[Y, C_420, C_420, Y];
const PLANAR_422: &[PlaneShape] = &[Y, C_422, C_422];
const PLANAR_411: &[PlaneShape] = &[Y, C_411, C_411];
const PLANAR_410: &[PlaneShape] = &[Y, C_410, C_410];
const PLANAR_444: &[PlaneShape] = &[Y, Y, Y];
const PLANAR_444_A: &[PlaneShape] = &[Y, Y, Y, Y];

// Planar, 16-bit words.
const Y16: PlaneShape = group(2, 1);
const C16_420: PlaneShape = group(2, 2).rows_by(1).paired();
const C16_422: PlaneShape = group(2, 2);
const PLANAR16_420: &[PlaneShape] = &[Y16, C16_420, C16_420];
const PLANAR16_420_A: &[PlaneShape] = &[Y16, C16_420, C16_420, Y16];
const PLANAR16_422: &[PlaneShape] = &[Y16, C16_422, C16_422];
const PLANAR16_422_A: &[PlaneShape] = &[Y16, C16_422, C16_422, Y16];
const PLANAR16_444: &[PlaneShape] = &[Y16, Y16, Y16];
const PLANAR16_444_A: &[PlaneShape] = &[Y16, Y16, Y16, Y16];

// One luma plane, one plane of interleaved chroma. GStreamer does not pair the chroma rows of AV12 and P01x.
const NV_420: &[PlaneShape] = &[Y, group(2, 2).rows_by(1).paired()];
const NV_420_A: &[PlaneShape] = &[Y, group(2, 2).rows_by(1), Y];
const NV_422: &[PlaneShape] = &[Y, group(2, 2)];
const NV_444: &[PlaneShape] = &[Y, group(2, 1)];
const NV16_420: &[PlaneShape] = &[Y16, group(4, 2).rows_by(1)];
// Interleaved chroma has as many samples per row as luma. A row of 3, 9, 15 ... pixels has one chroma sample more than
// the stride that GStreamer gives it, and that sample lies in the next row's first word: the bytes are all there.
const NV_420_WORD_OF_3: &[PlaneShape] = &[group(4, 3), group(4, 3).rows_by(1).paired()];
const NV_422_WORD_OF_3: &[PlaneShape] = &[group(4, 3), group(4, 3)];
const NV_420_5_OF_4: &[PlaneShape] = &[group(5, 4), group(5, 4).rows_by(1).paired()];

// -- the table -----------------------------------------------------------------------------------------------------

static FORMATS: [Entry; 114] = [
    gst("I420", FULL, PLANAR_420),
    gst("YV12", FULL, PLANAR_420),
    gst("YUY2", FULL, PAIR_4),
    gst("UYVY", FULL, PAIR_4),
    gst("AYUV", ALPHA, PIXEL_4),
    gst("RGBx", UNUSED, PIXEL_4),
    gst("BGRx", UNUSED, PIXEL_4),
    gst("xRGB", UNUSED, PIXEL_4),
    gst("xBGR", UNUSED, PIXEL_4),
    gst("RGBA", ALPHA, PIXEL_4),
    gst("BGRA", ALPHA, PIXEL_4),
    gst("ARGB", ALPHA, PIXEL_4),
    gst("ABGR", ALPHA, PIXEL_4),
    gst("RGB", FULL, PIXEL_3),
    gst("BGR", FULL, PIXEL_3),
    gst("Y41B", FULL, PLANAR_411),
    gst("Y42B", FULL, PLANAR_422),
    gst("YVYU", FULL, PAIR_4),
    gst("Y444", FULL, PLANAR_444),
    gst("v210", UNUSED, V210_16),
    gst("v216", FULL, PAIR_8),
    gst("NV12", FULL, NV_420),
    gst("NV21", FULL, NV_420),
    gst("GRAY8", FULL, PIXEL_1),
    gst("GRAY16_BE", FULL, PIXEL_2),
    gst("GRAY16_LE", FULL, PIXEL_2),
    gst("v308", FULL, PIXEL_3),
    gst("RGB16", FULL, PIXEL_2),
    gst("BGR16", FULL, PIXEL_2),
    gst("RGB15", UNUSED, PIXEL_2),
    gst("BGR15", UNUSED, PIXEL_2),
    gst("UYVP", FULL, UYVP_5),
    gst("A420", ALPHA, PLANAR_420_A),
    gst("RGB8P", PALETTE, OPAQUE),
    gst("YUV9", FULL, PLANAR_410),
    gst("YVU9", FULL, PLANAR_410),
    gst("IYU1", FULL, IYU1_6),
    gst("ARGB64", ALPHA, PIXEL_8),
    gst("AYUV64", ALPHA, PIXEL_8),
    gst("r210", UNUSED, PIXEL_4),
    gst("I420_10BE", UNUSED, PLANAR16_420),
    gst("I420_10LE", UNUSED, PLANAR16_420),
    gst("I422_10BE", UNUSED, PLANAR16_422),
    gst("I422_10LE", UNUSED, PLANAR16_422),
    gst("Y444_10BE", UNUSED, PLANAR16_444),
    gst("Y444_10LE", UNUSED, PLANAR16_444),
    gst("GBR", FULL, PLANAR_444),
    gst("GBR_10BE", UNUSED, PLANAR16_444),
    gst("GBR_10LE", UNUSED, PLANAR16_444),
    gst("NV16", FULL, NV_422),
    gst("NV24", FULL, NV_444),
    gst("NV12_64Z32", TILED, OPAQUE),
    gst("A420_10BE", ALPHA_UNUSED, PLANAR16_420_A),
    gst("A420_10LE", ALPHA_UNUSED, PLANAR16_420_A),
    gst("A422_10BE", ALPHA_UNUSED, PLANAR16_422_A),
    gst("A422_10LE", ALPHA_UNUSED, PLANAR16_422_A),
    gst("A444_10BE", ALPHA_UNUSED, PLANAR16_444_A),
    gst("A444_10LE", ALPHA_UNUSED, PLANAR16_444_A),
    gst("NV61", FULL, NV_422),
    gst("P010_10BE", UNUSED, NV16_420),
    gst("P010_10LE", UNUSED, NV16_420),
    gst("IYU2", FULL, PIXEL_3),
    gst("VYUY", FULL, PAIR_4),
    gst("GBRA", ALPHA, PLANAR_444_A),
    gst("GBRA_10BE", ALPHA_UNUSED, PLANAR16_444_A),
    gst("GBRA_10LE", ALPHA_UNUSED, PLANAR16_444_A),
    gst("GBR_12BE", UNUSED, PLANAR16_444),
    gst("GBR_12LE", UNUSED, PLANAR16_444),
    gst("GBRA_12BE", ALPHA_UNUSED, PLANAR16_444_A),
    gst("GBRA_12LE", ALPHA_UNUSED, PLANAR16_444_A),
    gst("I420_12BE", UNUSED, PLANAR16_420),
    gst("I420_12LE", UNUSED, PLANAR16_420),
    gst("I422_12BE", UNUSED, PLANAR16_422),
    gst("I422_12LE", UNUSED, PLANAR16_422),
    gst("Y444_12BE", UNUSED, PLANAR16_444),
    gst("Y444_12LE", UNUSED, PLANAR16_444),
    gst("GRAY10_LE32", UNUSED, WORD_OF_3),
    gst("NV12_10LE32", UNUSED, NV_420_WORD_OF_3),
    gst("NV16_10LE32", UNUSED, NV_422_WORD_OF_3),
    gst("NV12_10LE40", FULL, NV_420_5_OF_4),
    gst("Y210", UNUSED, PAIR_8),
    gst("Y410", ALPHA, PIXEL_4),
    gst("VUYA", ALPHA, PIXEL_4),
    gst("BGR10A2_LE", ALPHA, PIXEL_4),
    gst("RGB10A2_LE", ALPHA, PIXEL_4),
    gst("Y444_16BE", FULL, PLANAR16_444),
    gst("Y444_16LE", FULL, PLANAR16_444),
    gst("P016_BE", FULL, NV16_420),
    gst("P016_LE", FULL, NV16_420),
    gst("P012_BE", UNUSED, NV16_420),
    gst("P012_LE", UNUSED, NV16_420),
    gst("Y212_BE", UNUSED, PAIR_8),
    gst("Y212_LE", UNUSED, PAIR_8),
    gst("Y412_BE", ALPHA_UNUSED, PIXEL_8),
    gst("Y412_LE", ALPHA_UNUSED, PIXEL_8),
    gst("NV12_4L4", TILED, OPAQUE),
    gst("NV12_32L32", TILED, OPAQUE),
    gst("RGBP", FULL, PLANAR_444),
    gst("BGRP", FULL, PLANAR_444),
    gst("AV12", ALPHA, NV_420_A),
    gst("ARGB64_LE", ALPHA, PIXEL_8),
    gst("ARGB64_BE", ALPHA, PIXEL_8),
    gst("RGBA64_LE", ALPHA, PIXEL_8),
    gst("RGBA64_BE", ALPHA, PIXEL_8),
    gst("BGRA64_LE", ALPHA, PIXEL_8),
    gst("BGRA64_BE", ALPHA, PIXEL_8),
    gst("ABGR64_LE", ALPHA, PIXEL_8),
    gst("ABGR64_BE", ALPHA, PIXEL_8),
    gst("NV12_16L32S", TILED, OPAQUE),
    gst("NV12_8L128", TILED, OPAQUE),
    gst("NV12_10BE_8L128", TILED, OPAQUE),
    own("GRAYA8", ALPHA, PIXEL_2),
    own("GRAYA16_BE", ALPHA, PIXEL_4),
    own("RGB48_BE", FULL, PIXEL_6),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for format in Format::all() {
            assert_eq!(Format::from_name(format.name()).unwrap(), format);
            assert_eq!(Format::all().filter(|other| other.name() == format.name()).count(), 1, "{format}");
        }
    }

    #[test]
    fn fail_unknown_names() {
        for name in ["", "i420", "I420 ", "ENCODED", "UNKNOWN"] {
            let error = Format::from_name(name).unwrap_err();
            assert!(matches!(&error, Error::UnknownFormat(unknown) if unknown == name), "{error}");
        }
    }

    #[test]
    fn only_opaque_formats_lack_planes() {
        for format in Format::all() {
            let opaque = matches!(format.carriage(), Carriage::PacketsOnly(_));
            assert_eq!(format.planes().is_empty(), opaque, "{format}");
            assert!(format.planes().len() <= 4, "{format}");
        }
    }

    #[test]
    fn a_refusal_gives_advice_and_only_exact_yields_to_the_user() {
        for format in Format::all() {
            match format.carriage() {
                Carriage::Lossless => assert_eq!(format.carriage().refusal(false), None),
                Carriage::Exact(reason) => {
                    assert!(reason.ends_with("use packets, or transport=exact where every byte survives"), "{format}");
                    assert_eq!(format.carriage().refusal(false), Some(reason));
                    assert_eq!(format.carriage().refusal(true), None);
                }
                Carriage::PacketsOnly(reason) => {
                    assert!(reason.ends_with("use packets, opaque bytes"), "{format}");
                    assert_eq!(format.carriage().refusal(true), Some(reason));
                }
            }
        }
    }
}
