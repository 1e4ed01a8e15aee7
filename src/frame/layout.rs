//! Where each plane of a picture lies in its payload, and how tall the picture becomes when it carries headers too.

use super::format::{Carriage, Format, PlaneShape};
use crate::{Error, Result};
use std::ops::Range;

/// The most planes a format has.
pub const MAX_PLANES: usize = 4;
/// The largest payload, in bytes: 512 MiB, beyond an RGBA picture of 11585 x 11585.
pub const MAX_PAYLOAD_BYTES: usize = 512 << 20;
/// The largest width and height, in pixels.
pub const MAX_SIDE: u32 = 65_535;

/// The last samples of a row or column that only partly belong to the picture.
const EDGE: Carriage = Carriage::Exact(
    "at this size some samples lie outside the picture and may be dropped; use packets, or transport=exact where every \
     byte survives",
);

/// One plane within the packed payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneLayout {
    /// Where the plane's first row begins in the payload, in bytes.
    pub offset: usize,
    /// Bytes of a row, without padding.
    pub row_bytes: usize,
    /// Number of rows.
    pub rows: usize,
}

impl PlaneLayout {
    /// Bytes of the whole plane.
    pub fn bytes(&self) -> usize {
        self.row_bytes * self.rows
    }

    /// The plane's bytes within the payload.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.bytes()
    }
}

/// The layout of a picture's payload: its planes in memory order, row after row, without padding.
///
/// ```text
/// payload: | plane 0: row 0, row 1, ... | plane 1: row 0, ... | plane 2 ... |
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    format: Format,
    width: u32,
    height: u32,
    interlaced: bool,
    planes: [PlaneLayout; MAX_PLANES],
    payload_bytes: usize,
}

impl FrameLayout {
    /// The layout of a picture of `width` x `height` pixels.
    ///
    /// `height` is the number of rows that one buffer holds: half the caps' height, rounded up, where fields come
    /// alternately in buffers of their own. `interlaced` is true for everything that GStreamer does not call
    /// progressive; it then keeps the chroma rows of most subsampled formats in pairs.
    ///
    /// # Errors
    /// [`Error::Geometry`] for a side of 0 or above [`MAX_SIDE`], for a payload above [`MAX_PAYLOAD_BYTES`], for a
    /// width that the format has no agreed row for, and for formats that are opaque bytes.
    pub fn new(format: Format, width: u32, height: u32, interlaced: bool) -> Result<Self> {
        check_shape(format, width, height)?;
        let mut planes = [PlaneLayout::default(); MAX_PLANES];
        let mut payload_bytes = 0;
        for (plane, shape) in planes.iter_mut().zip(format.planes()) {
            let row_bytes = row_bytes(shape, width);
            let rows = rows(shape, height, interlaced);
            let end = payload_bytes as u64 + u64::from(row_bytes) * u64::from(rows);
            if end > MAX_PAYLOAD_BYTES as u64 {
                return Err(too_large(format, width, height));
            }
            *plane = PlaneLayout { offset: payload_bytes, row_bytes: row_bytes as usize, rows: rows as usize };
            payload_bytes = end as usize;
        }
        Ok(Self { format, width, height, interlaced, planes, payload_bytes })
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in rows of the picture.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether the picture is interlaced.
    pub fn interlaced(&self) -> bool {
        self.interlaced
    }

    /// The planes, one to four.
    pub fn planes(&self) -> &[PlaneLayout] {
        &self.planes[..self.format.planes().len()]
    }

    /// Bytes of the payload: all rows of all planes without padding.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// The number of rows by which the picture may grow so that every plane grows by whole rows, and an interlaced one
    /// by the same number in both fields: the vertical subsampling, twice that if interlaced.
    pub fn row_step(&self) -> u32 {
        let row_shift = self.format.planes().iter().map(|shape| shape.row_shift).max().unwrap_or(0);
        (1 << row_shift) << u32::from(self.interlaced)
    }

    /// The same picture with `extra_rows` more rows.
    ///
    /// Row r of plane p stays row r of plane p: the original rows come first, and the
    /// `taller.planes()[p].rows - self.planes()[p].rows` rows after them are new.
    ///
    /// # Errors
    /// [`Error::Geometry`] where `extra_rows` is not a multiple of [`row_step`](Self::row_step), or the picture would
    /// be over the limits of [`new`](Self::new).
    pub fn taller(&self, extra_rows: u32) -> Result<Self> {
        let step = self.row_step();
        if !extra_rows.is_multiple_of(step) {
            return Err(Error::Geometry(format!(
                "{} grows by multiples of {step} rows, not {extra_rows}",
                self.format
            )));
        }
        Self::new(self.format, self.width, self.height.saturating_add(extra_rows), self.interlaced)
    }

    /// What becomes of this picture's bytes on a transport of raw pictures: [`Format::carriage`], lowered to
    /// [`Carriage::Exact`] where some samples lie outside the picture. Those are the second half of a YUY2 pair at the
    /// end of an odd width, and the chroma row that pairs up the fields of some interlaced heights.
    pub fn carriage(&self) -> Carriage {
        match self.format.carriage() {
            Carriage::Lossless if self.exceeds_picture() => EDGE,
            carriage => carriage,
        }
    }

    fn exceeds_picture(&self) -> bool {
        let shapes = self.format.planes();
        // Only plane 0 holds one sample per pixel and so can hold a sample beyond the last one; a chroma group that
        // covers a pixel in part is still that pixel's chroma.
        let columns = shapes.first().is_some_and(|shape| !self.width.is_multiple_of(shape.group_pixels));
        let rows = shapes.iter().zip(self.planes()).any(|(shape, plane)| plane.rows > self.scaled_rows(shape));
        columns || rows
    }

    fn scaled_rows(&self, shape: &PlaneShape) -> usize {
        rows(shape, self.height, false) as usize
    }
}

fn check_shape(format: Format, width: u32, height: u32) -> Result<()> {
    if format.planes().is_empty() {
        return Err(Error::Geometry(format!("{format} has no plain rows; treat the buffer as opaque bytes")));
    }
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) {
        return Err(Error::Geometry(format!("{width} x {height} is not between 1 x 1 and {MAX_SIDE} x {MAX_SIDE}")));
    }
    let cut = |shape: &PlaneShape| !shape.partial_group && !width.is_multiple_of(shape.group_pixels);
    if format.planes().iter().any(cut) {
        return Err(Error::Geometry(format!(
            "{format} has no agreed row size at a width of {width}; treat the buffer as opaque bytes"
        )));
    }
    Ok(())
}

/// Bytes of a row; at most 16 per pixel of a width that was checked, so it cannot overflow.
fn row_bytes(shape: &PlaneShape, width: u32) -> u32 {
    width.div_ceil(shape.group_pixels) * shape.group_bytes
}

fn rows(shape: &PlaneShape, height: u32, interlaced: bool) -> u32 {
    let rows = height.div_ceil(1 << shape.row_shift);
    if interlaced && shape.field_pairs { rows.next_multiple_of(2) } else { rows }
}

fn too_large(format: Format, width: u32, height: u32) -> Error {
    Error::Geometry(format!("{format} of {width} x {height} is over {MAX_PAYLOAD_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str, width: u32, height: u32, interlaced: bool) -> FrameLayout {
        FrameLayout::new(Format::from_name(name).unwrap(), width, height, interlaced).unwrap()
    }

    fn sizes(layout: &FrameLayout) -> Vec<(usize, usize)> {
        layout.planes().iter().map(|plane| (plane.row_bytes, plane.rows)).collect()
    }

    #[test]
    fn planes_follow_each_other() {
        let layout = layout("I420", 5, 3, false);
        assert_eq!(sizes(&layout), [(5, 3), (3, 2), (3, 2)]);
        assert_eq!(layout.planes().iter().map(|plane| plane.offset).collect::<Vec<_>>(), [0, 15, 21]);
        assert_eq!(layout.payload_bytes(), 27);
        assert_eq!(layout.planes()[2].range(), 21..27);
    }

    #[test]
    fn sizes_of_the_odd_formats() {
        let one_row = |name, width| layout(name, width, 1, false).planes()[0].row_bytes;
        assert_eq!([6, 7, 48].map(|width| one_row("v210", width)), [16, 32, 128]);
        assert_eq!([2, 4].map(|width| one_row("UYVP", width)), [5, 10]);
        assert_eq!([1, 4, 5].map(|width| one_row("IYU1", width)), [6, 6, 12]);
        assert_eq!([3, 4].map(|width| one_row("GRAY10_LE32", width)), [4, 8]);
        assert_eq!([4, 5].map(|width| one_row("NV12_10LE40", width)), [5, 10]);
        assert_eq!(sizes(&layout("YUV9", 5, 5, false)), [(5, 5), (2, 2), (2, 2)]);
        assert_eq!(sizes(&layout("AV12", 3, 3, false)), [(3, 3), (4, 2), (3, 3)]);
        assert_eq!(sizes(&layout("RGB48_BE", 3, 2, false)), [(18, 2)]);
    }

    #[test]
    fn interlaced_chroma_rows_come_in_pairs() {
        // 486 rows: 243 chroma rows, 122 of the top field and 122 places for the bottom field.
        assert_eq!(sizes(&layout("I420", 720, 486, true)), [(720, 486), (360, 244), (360, 244)]);
        assert_eq!(sizes(&layout("I420", 720, 486, false))[1], (360, 243));
        assert_eq!(sizes(&layout("YUV9", 8, 4, true))[1], (2, 2));
        assert_eq!(sizes(&layout("P010_10LE", 720, 486, true))[1], (1440, 243));
        assert_eq!(sizes(&layout("YUY2", 8, 5, true)), [(16, 5)]);
    }

    #[test]
    fn row_step_is_the_subsampling_twice_if_interlaced() {
        for (name, step) in [("GRAY8", 1), ("Y42B", 1), ("I420", 2), ("P010_10LE", 2), ("YUV9", 4), ("AV12", 2)] {
            assert_eq!(layout(name, 16, 16, false).row_step(), step, "{name}");
            assert_eq!(layout(name, 16, 16, true).row_step(), 2 * step, "{name}");
        }
    }

    #[test]
    fn a_taller_picture_adds_the_same_share_to_every_plane() {
        for format in Format::all().filter(|format| !format.planes().is_empty()) {
            for (height, interlaced) in (1..20).flat_map(|height| [(height, false), (height, true)]) {
                let layout = FrameLayout::new(format, 12, height, interlaced).unwrap();
                let taller = layout.taller(3 * layout.row_step()).unwrap();
                for ((plane, grown), shape) in layout.planes().iter().zip(taller.planes()).zip(format.planes()) {
                    let added = (3 * layout.row_step()) as usize >> shape.row_shift;
                    assert_eq!(grown.rows, plane.rows + added, "{format} {height} {interlaced}");
                    assert_eq!(grown.row_bytes, plane.row_bytes);
                }
            }
        }
    }

    #[test]
    fn carriage_looks_at_the_size() {
        assert_eq!(layout("YUY2", 4, 3, false).carriage(), Carriage::Lossless);
        assert_eq!(layout("YUY2", 5, 3, false).carriage(), EDGE);
        assert_eq!(layout("I420", 5, 3, false).carriage(), Carriage::Lossless);
        assert_eq!(layout("I420", 5, 8, true).carriage(), Carriage::Lossless);
        assert_eq!(layout("I420", 5, 6, true).carriage(), EDGE);
        let alpha = layout("A420", 5, 6, true);
        assert_eq!(alpha.carriage(), alpha.format().carriage());
    }

    #[test]
    fn fail_bad_geometry() {
        let attempt = |name, width, height| FrameLayout::new(Format::from_name(name).unwrap(), width, height, false);
        for (name, width, height) in [
            ("GRAY8", 0, 1),
            ("GRAY8", 1, 0),
            ("GRAY8", MAX_SIDE + 1, 1),
            ("GRAY8", 1, u32::MAX),
            ("ARGB64", MAX_SIDE, MAX_SIDE),
            ("GRAY8", 32_768, 16_385),
            ("UYVP", 3, 3),
            ("NV12_4L4", 16, 16),
            ("RGB8P", 16, 16),
        ] {
            let error = attempt(name, width, height).unwrap_err();
            assert!(matches!(error, Error::Geometry(_)), "{name} {width} {height}: {error}");
        }
        assert_eq!(attempt("GRAY8", 32_768, 16_384).unwrap().payload_bytes(), MAX_PAYLOAD_BYTES);
        assert!(attempt("GRAY8", MAX_SIDE, 1).is_ok() && attempt("GRAY8", 1, MAX_SIDE).is_ok());
    }

    #[test]
    fn fail_to_grow() {
        let layout = layout("I420", 16, 16, false);
        for extra_rows in [1, 3, MAX_SIDE - 16 + 1, u32::MAX - 1] {
            assert!(matches!(layout.taller(extra_rows), Err(Error::Geometry(_))), "{extra_rows}");
        }
        assert_eq!(layout.taller(0).unwrap(), layout);
    }
}
