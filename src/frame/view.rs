//! A payload where it stands, to be looked at in parts without a copy of the whole.

use super::{layout::FrameLayout, pack::Plane};
use crate::{Error, Result};

/// The bytes of a payload: together, or in the rows of planes (which may have more rows than the layout).
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// One after the other.
    Together(&'a [u8]),
    /// As [`pack`](super::pack()) would put them together.
    Rows(&'a FrameLayout, &'a [Plane<'a>]),
}

impl View<'_> {
    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        match self {
            View::Together(bytes) => bytes.len(),
            View::Rows(layout, _) => layout.payload_bytes(),
        }
    }

    /// Copies the payload's bytes from number `from` on, as many as `out` has.
    ///
    /// # Errors
    /// [`Error::Geometry`] where there are not so many, or a plane is too short.
    pub fn copy(&self, from: usize, out: &mut [u8]) -> Result<()> {
        match self {
            View::Together(bytes) => copy_bytes(bytes, from, out),
            View::Rows(layout, planes) => copy_rows(layout, planes, from, out),
        }
    }
}

fn copy_bytes(bytes: &[u8], from: usize, out: &mut [u8]) -> Result<()> {
    let range = from..from.saturating_add(out.len());
    out.copy_from_slice(bytes.get(range).ok_or_else(|| Error::Geometry("bytes outside their frame".into()))?);
    Ok(())
}

fn copy_rows(layout: &FrameLayout, planes: &[Plane], mut from: usize, mut out: &mut [u8]) -> Result<()> {
    for (plane, place) in planes.iter().zip(layout.planes()) {
        while !out.is_empty() && place.range().contains(&from) {
            let (row, column) = ((from - place.offset) / place.row_bytes, (from - place.offset) % place.row_bytes);
            let (piece, rest) = out.split_at_mut(out.len().min(place.row_bytes - column));
            copy_bytes(plane.data, row * plane.stride + column, piece)?;
            from += piece.len();
            out = rest;
        }
    }
    match out.is_empty() {
        true => Ok(()),
        false => Err(Error::Geometry("bytes outside their frame".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Format, pack};

    #[test]
    fn any_part_is_that_of_the_packed_payload() {
        let layout = FrameLayout::new(Format::from_name("I420").expect("known"), 9, 7, false).expect("a layout");
        let data: Vec<u8> = (0..400).map(|at: u32| (at * 7) as u8).collect();
        let planes = [(0, 13), (120, 8), (200, 5)].map(|(at, stride)| Plane { data: &data[at..], stride });
        let mut packed = vec![0; layout.payload_bytes()];
        pack(&layout, &planes, &mut packed).expect("large enough");
        for view in [View::Together(&packed), View::Rows(&layout, &planes)] {
            assert_eq!(view.payload_bytes(), packed.len());
            for from in 0..=packed.len() {
                for to in from..=packed.len() {
                    let mut part = vec![0; to - from];
                    view.copy(from, &mut part).expect("inside");
                    assert_eq!(part, packed[from..to]);
                }
            }
            assert!(view.copy(packed.len(), &mut [0]).is_err());
            assert!(view.copy(usize::MAX, &mut [0]).is_err());
        }
        let short = [Plane { data: &data[..30], stride: 13 }, planes[1], planes[2]];
        assert!(View::Rows(&layout, &short).copy(0, &mut [0; 63]).is_err());
    }
}
