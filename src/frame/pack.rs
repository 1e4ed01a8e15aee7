//! Copies pictures from planes with strides into payloads without padding, and back.
//!
//! Padding at the end of rows is never read and never written: it may belong to somebody else's buffer, and what an
//! application left there is not part of the picture.

use super::layout::FrameLayout;
use crate::{Error, Result};

/// A plane to read: row r begins at byte `r * stride`.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes from the first row on. May end right after the last row's visible bytes, and may hold more rows than
    /// the picture.
    pub data: &'a [u8],
    /// Bytes from the beginning of one row to that of the next.
    pub stride: usize,
}

/// A plane to write; otherwise as [`Plane`].
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// The bytes from the first row on, as in [`Plane::data`].
    pub data: &'a mut [u8],
    /// Bytes from the beginning of one row to that of the next.
    pub stride: usize,
}

/// Copies all rows of all planes into `payload`.
///
/// # Errors
/// [`Error::Geometry`] where the number of planes or the length of `payload` is not the layout's, and where a plane is
/// too short for its rows or its stride for their bytes. `payload` then holds some planes or none.
pub fn pack(layout: &FrameLayout, planes: &[Plane<'_>], payload: &mut [u8]) -> Result<()> {
    check_counts(layout, planes.len(), payload.len())?;
    for (plane, to) in planes.iter().zip(layout.planes()) {
        plane.gather(0, to.row_bytes, &mut payload[to.range()])?;
    }
    Ok(())
}

/// Copies `payload` into the rows of all planes, leaving everything between the rows as it is.
///
/// # Errors
/// As [`pack`]. Some planes may have been written.
pub fn unpack(layout: &FrameLayout, payload: &[u8], planes: &mut [PlaneMut<'_>]) -> Result<()> {
    check_counts(layout, planes.len(), payload.len())?;
    for (plane, from) in planes.iter_mut().zip(layout.planes()) {
        plane.scatter(0, from.row_bytes, &payload[from.range()])?;
    }
    Ok(())
}

impl Plane<'_> {
    /// Copies as many rows of `row_bytes` bytes as fill `rows`, from row number `first_row` on.
    ///
    /// # Errors
    /// [`Error::Geometry`] where `rows` does not end with a row, or the plane holds too little.
    pub fn gather(&self, first_row: usize, row_bytes: usize, rows: &mut [u8]) -> Result<()> {
        let span = Span::new(self.data.len(), self.stride, first_row, row_bytes, rows.len())?;
        let data = &self.data[span.start..span.end];
        if span.contiguous {
            rows.copy_from_slice(data);
            return Ok(());
        }
        for (row, from) in rows.chunks_exact_mut(row_bytes).zip(data.chunks(self.stride)) {
            row.copy_from_slice(&from[..row_bytes]);
        }
        Ok(())
    }
}

impl PlaneMut<'_> {
    /// Writes `rows`, rows of `row_bytes` bytes, from row number `first_row` on.
    ///
    /// # Errors
    /// [`Error::Geometry`] where `rows` does not end with a row, or the plane holds too little.
    pub fn scatter(&mut self, first_row: usize, row_bytes: usize, rows: &[u8]) -> Result<()> {
        let span = Span::new(self.data.len(), self.stride, first_row, row_bytes, rows.len())?;
        let data = &mut self.data[span.start..span.end];
        if span.contiguous {
            data.copy_from_slice(rows);
            return Ok(());
        }
        for (row, to) in rows.chunks_exact(row_bytes).zip(data.chunks_mut(self.stride)) {
            to[..row_bytes].copy_from_slice(row);
        }
        Ok(())
    }
}

/// The bytes of a plane from the first visible byte of the first row to the last visible byte of the last row.
struct Span {
    start: usize,
    end: usize,
    contiguous: bool,
}

impl Span {
    fn new(data_bytes: usize, stride: usize, first_row: usize, row_bytes: usize, rows_bytes: usize) -> Result<Self> {
        if row_bytes == 0 || !rows_bytes.is_multiple_of(row_bytes) {
            return Err(Error::Geometry(format!("{rows_bytes} bytes are not whole rows of {row_bytes} bytes")));
        }
        if stride < row_bytes {
            return Err(Error::Geometry(format!("a stride of {stride} is shorter than a row of {row_bytes} bytes")));
        }
        let rows = rows_bytes / row_bytes;
        let end = |start: usize| match rows {
            0 => Some(start),
            _ => stride.checked_mul(rows - 1)?.checked_add(row_bytes)?.checked_add(start),
        };
        match first_row.checked_mul(stride).and_then(|start| Some((start, end(start)?))) {
            Some((start, end)) if end <= data_bytes => Ok(Self { start, end, contiguous: stride == row_bytes }),
            _ => Err(Error::Geometry(format!(
                "a plane of {data_bytes} bytes holds less than {rows} rows from row {first_row} on, stride {stride}"
            ))),
        }
    }
}

fn check_counts(layout: &FrameLayout, planes: usize, payload_bytes: usize) -> Result<()> {
    let (wanted_planes, wanted_bytes) = (layout.planes().len(), layout.payload_bytes());
    if planes != wanted_planes {
        return Err(Error::Geometry(format!("{} has {wanted_planes} planes, not {planes}", layout.format())));
    }
    if payload_bytes != wanted_bytes {
        return Err(Error::Geometry(format!("the payload takes {wanted_bytes} bytes, not {payload_bytes}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Format, PlaneLayout};
    use proptest::prelude::*;

    const SENTINEL: u8 = 0xa5;

    fn layout(name: &str, width: u32, height: u32) -> FrameLayout {
        FrameLayout::new(Format::from_name(name).unwrap(), width, height, false).unwrap()
    }

    #[test]
    fn rows_of_all_planes_follow_without_padding() {
        let layout = layout("I420", 3, 2);
        let planes = [
            Plane { data: &[1, 2, 3, 0, 4, 5, 6], stride: 4 },
            Plane { data: &[7, 8, 0], stride: 3 },
            Plane { data: &[9, 10], stride: 2 },
        ];
        let mut payload = [0; 10];
        pack(&layout, &planes, &mut payload).unwrap();
        assert_eq!(payload, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn rows_in_the_middle_of_a_plane() {
        let data: Vec<u8> = (0..19).collect();
        let mut rows = [0; 6];
        Plane { data: &data, stride: 4 }.gather(3, 3, &mut rows).unwrap();
        assert_eq!(rows, [12, 13, 14, 16, 17, 18]);
        let mut data = [SENTINEL; 11];
        PlaneMut { data: &mut data, stride: 4 }.scatter(1, 3, &rows).unwrap();
        assert_eq!(data[..4], [SENTINEL; 4]);
        assert_eq!(data[4..], [12, 13, 14, SENTINEL, 16, 17, 18]);
    }

    #[test]
    fn no_rows_are_no_bytes() {
        assert!(Plane { data: &[], stride: 4 }.gather(0, 4, &mut []).is_ok());
        assert!(Plane { data: &[0; 8], stride: 4 }.gather(2, 4, &mut []).is_ok());
        assert!(Plane { data: &[0; 8], stride: 4 }.gather(3, 4, &mut []).is_err());
    }

    #[test]
    fn fail_short_planes_and_wrong_counts() {
        let layout = layout("GRAY8", 4, 3);
        let attempt = |data: &[u8], stride, payload_bytes| {
            let mut payload = vec![0; payload_bytes];
            let mut copy = data.to_vec();
            let packed = pack(&layout, &[Plane { data, stride }], &mut payload);
            let unpacked = unpack(&layout, &payload, &mut [PlaneMut { data: &mut copy, stride }]);
            assert_eq!(packed.is_ok(), unpacked.is_ok());
            packed
        };
        assert!(attempt(&[0; 16], 6, 12).is_ok());
        for (data_bytes, stride, payload_bytes) in
            [(15, 6, 12), (0, 6, 12), (16, 6, 11), (16, 6, 13), (16, 3, 12), (16, 0, 12), (16, usize::MAX, 12)]
        {
            let error = attempt(&vec![0; data_bytes], stride, payload_bytes).unwrap_err();
            assert!(matches!(error, Error::Geometry(_)), "{data_bytes} {stride} {payload_bytes}: {error}");
        }
        let plane = Plane { data: &[0; 12], stride: 4 };
        for planes in [&[][..], &[plane, plane]] {
            assert!(matches!(pack(&layout, planes, &mut [0; 12]), Err(Error::Geometry(_))));
        }
        assert!(unpack(&layout, &[0; 12], &mut []).is_err());
    }

    #[test]
    fn fail_rows_that_overflow() {
        let plane = Plane { data: &[0; 16], stride: 4 };
        assert!(plane.gather(usize::MAX, 4, &mut [0; 4]).is_err());
        assert!(plane.gather(usize::MAX / 4, 4, &mut [0; 16]).is_err());
        assert!(plane.gather(0, 0, &mut [0; 4]).is_err());
        assert!(plane.gather(0, 3, &mut [0; 4]).is_err());
    }

    prop_compose! {
        /// A layout of any format, and for each plane some padding per row and some bytes after the last row.
        fn any_picture()(
            index in 0..Format::all().count(), width in 1..40u32, height in 1..40u32, interlaced: bool,
            padding in prop::array::uniform4(0..20usize), tail in prop::array::uniform4(0..50usize),
        ) -> Option<(FrameLayout, [usize; 4], [usize; 4])> {
            let format = Format::all().nth(index)?;
            FrameLayout::new(format, width, height, interlaced).ok().map(|layout| (layout, padding, tail))
        }
    }

    /// Whether `at` is a visible byte of the plane, and which byte of the payload it then is.
    fn payload_index(plane: &PlaneLayout, stride: usize, at: usize) -> Option<usize> {
        let (row, column) = (at / stride, at % stride);
        let visible = row < plane.rows && column < plane.row_bytes;
        visible.then(|| plane.offset + row * plane.row_bytes + column)
    }

    proptest! {
        #[test]
        fn planes_come_back_and_padding_stays(picture in any_picture().prop_filter_map("refused", |picture| picture)) {
            let (layout, padding, tail) = picture;
            let payload: Vec<u8> = (0..layout.payload_bytes()).map(|i| (i * 7 + i / 251) as u8).collect();
            let strides: Vec<usize> = layout.planes().iter().zip(padding).map(|(p, pad)| p.row_bytes + pad).collect();
            let mut data: Vec<Vec<u8>> = layout.planes().iter().zip(&strides).zip(tail)
                .map(|((plane, stride), tail)| vec![SENTINEL; stride * (plane.rows - 1) + plane.row_bytes + tail])
                .collect();

            let mut planes: Vec<PlaneMut> =
                data.iter_mut().zip(&strides).map(|(data, &stride)| PlaneMut { data, stride }).collect();
            unpack(&layout, &payload, &mut planes).unwrap();
            for ((plane, &stride), data) in layout.planes().iter().zip(&strides).zip(&data) {
                for (at, &byte) in data.iter().enumerate() {
                    let wanted = payload_index(plane, stride, at).map_or(SENTINEL, |index| payload[index]);
                    prop_assert_eq!(byte, wanted);
                }
            }

            let planes: Vec<Plane> = data.iter().zip(&strides).map(|(data, &stride)| Plane { data, stride }).collect();
            let mut packed = vec![0; payload.len()];
            pack(&layout, &planes, &mut packed).unwrap();
            prop_assert_eq!(packed, payload);
        }
    }
}
