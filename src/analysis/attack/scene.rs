//! Made pictures, for attacks that know some, and for who has none at hand.

use crate::analysis::{picture::Picture, random::Random};

/// A scene of the shape of `like`: a gradient with shapes and lines on it, and grain of two bits as a camera has it.
/// `number` makes it another one; equal numbers make equal scenes.
pub fn scene(like: &Picture, number: u64) -> Picture {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let mut random = Random::new(&seed, "scene");
    let tilt = [0; 2].map(|_| 0.2 + 0.8 * random.unit());
    let shapes: Vec<Shape> = (0..12).map(|_| Shape::draw(&mut random)).collect();
    let mut bytes = Vec::with_capacity(like.bytes.len());
    for (row, column) in (0..like.height).flat_map(|row| (0..like.width).map(move |column| (row, column))) {
        let (x, y) = ((column as f64 + 0.5) / like.width as f64, (row as f64 + 0.5) / like.height as f64);
        let ground = 200.0 * (tilt[0] * x + tilt[1] * y) / (tilt[0] + tilt[1]);
        let shade = shapes.iter().rev().find(|shape| shape.covers(x, y)).map_or(ground, |shape| shape.shade);
        bytes.extend((0..like.channels).map(|_| (shade + 4.0 * random.unit()) as u8));
    }
    like.with_bytes(bytes)
}

/// The scene that is attacked where no picture is given: gray, 256 x 256.
pub fn of_our_own() -> Picture {
    scene(&Picture { width: 256, height: 256, channels: 1, bytes: Vec::new() }, u64::MAX)
}

/// An ellipse, or an ellipse cut into lines.
struct Shape {
    centre: [f64; 2],
    radius: [f64; 2],
    shade: f64,
    lines: bool,
}

impl Shape {
    fn draw(random: &mut Random) -> Shape {
        Shape {
            centre: [0; 2].map(|_| random.unit()),
            radius: [0; 2].map(|_| 0.04 + 0.16 * random.unit()),
            shade: 250.0 * random.unit(),
            lines: random.unit() < 0.4,
        }
    }

    fn covers(&self, x: f64, y: f64) -> bool {
        let [dx, dy] = [(x - self.centre[0]) / self.radius[0], (y - self.centre[1]) / self.radius[1]];
        dx * dx + dy * dy < 1.0 && !(self.lines && ((y * 64.0) as u32).is_multiple_of(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_differ_and_stay() {
        let like = Picture { width: 64, height: 48, channels: 3, bytes: Vec::new() };
        let scene = |number| scene(&like, number).bytes;
        assert!(scene(1) == scene(1) && scene(1) != scene(2));
        assert_eq!(scene(1).len(), 3 * 64 * 48);
        let values: std::collections::BTreeSet<u8> = scene(1).into_iter().collect();
        assert!(values.len() > 64, "{} values", values.len());
    }
}
