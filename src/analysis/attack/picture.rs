//! Gray pictures: what attacks are run on.

use crate::{Error, Result};

/// A picture of 8-bit gray pixels, rows without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` pixels.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture of the given pixels.
    ///
    /// # Errors
    /// [`Error::Geometry`] if there are none, or they do not fill the rows.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Picture> {
        if pixels.is_empty() || pixels.len() != width * height {
            return Err(Error::Geometry(format!("{} pixels are no picture of {width}x{height}", pixels.len())));
        }
        Ok(Picture { width, height, pixels })
    }

    /// A picture of the same size with other pixels.
    pub fn with(&self, pixels: Vec<u8>) -> Picture {
        Picture { pixels, ..*self }
    }

    /// A made scene: a gradient with shapes and lines of letters' height on it, and grain of two bits as a camera has it.
    /// `number` makes it another one; equal numbers make equal scenes.
    pub fn scene(width: usize, height: usize, number: u64) -> Picture {
        let mut chance = Chance::new(b"scene", number);
        let tilt = [0; 2].map(|_| 0.2 + 0.8 * chance.uniform());
        let shapes: Vec<Shape> = (0..12).map(|_| Shape::draw(&mut chance)).collect();
        let mut pixels = Vec::with_capacity(width * height);
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let (x, y) = ((column as f64 + 0.5) / width as f64, (row as f64 + 0.5) / height as f64);
            let ground = 200.0 * (tilt[0] * x + tilt[1] * y) / (tilt[0] + tilt[1]);
            let shade = shapes.iter().rev().find(|shape| shape.covers(x, y)).map_or(ground, |shape| shape.shade);
            pixels.push((shade + 4.0 * chance.uniform()) as u8);
        }
        Picture { width, height, pixels }
    }
}

/// An ellipse, or an ellipse cut into lines.
struct Shape {
    centre: [f64; 2],
    radius: [f64; 2],
    shade: f64,
    lines: bool,
}

impl Shape {
    fn draw(chance: &mut Chance) -> Shape {
        Shape {
            centre: [0; 2].map(|_| chance.uniform()),
            radius: [0; 2].map(|_| 0.04 + 0.16 * chance.uniform()),
            shade: 250.0 * chance.uniform(),
            lines: chance.uniform() < 0.4,
        }
    }

    fn covers(&self, x: f64, y: f64) -> bool {
        let [dx, dy] = [(x - self.centre[0]) / self.radius[0], (y - self.centre[1]) / self.radius[1]];
        dx * dx + dy * dy < 1.0 && !(self.lines && (y * 64.0) as u32 % 2 == 0)
    }
}

/// Numbers that look random and are always the same.
pub(super) struct Chance(blake3::OutputReader);

impl Chance {
    /// The numbers of a name and a number.
    pub fn new(name: &[u8], number: u64) -> Chance {
        Chance(blake3::Hasher::new().update(name).update(&number.to_le_bytes()).finalize_xof())
    }

    /// Successive bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A number in `(0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        ((u64::from_le_bytes(self.bytes()) >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_fill_the_rows() {
        assert!(Picture::new(2, 3, vec![0; 6]).is_ok());
        for (width, height, pixels) in [(2, 3, 5), (0, 0, 0), (0, 4, 0)] {
            assert!(Picture::new(width, height, vec![0; pixels]).is_err(), "{width}x{height}");
        }
    }

    #[test]
    fn scenes_differ_and_stay() {
        let scene = |number| Picture::scene(64, 48, number).pixels;
        assert!(scene(1) == scene(1) && scene(1) != scene(2));
        let values: std::collections::BTreeSet<u8> = scene(1).into_iter().collect();
        assert!(values.len() > 64, "{} values", values.len());
    }
}
