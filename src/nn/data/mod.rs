//! Of what the network learns: crops of photographs, as they are and encrypted in known ways.
//!
//! In: pictures of a folder, divided by source, and a seed. Out: crops of 128 x 128 samples of one channel with the label
//! that is theirs by construction. Pictures are never resized: what tells a cipher from another is in single samples.
//!
//! ```text
//!  source -> frame (a cut of odd size, gray or RGB) -> plain variant -> weakened or whole encryption -> crop, channel
//! ```
//!
//! Read next: [`sources`] (files and splits), [`plain`] (the variants), [`weakened`] (the labels), `tellable` (which samples
//! are left out).

pub mod plain;
pub mod sources;
mod tellable;
pub mod weakened;

use self::{plain::Variant, weakened::Schemes};
use super::{Label, preprocessing::CROP};
use crate::{
    Result,
    analysis::{picture::Picture, random::Random},
};

/// A crop and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it is.
    pub label: Label,
    /// How it was made, for whoever looks at mistakes.
    pub made_by: String,
    /// How often it was drawn before it showed what it is.
    pub drawn_again: usize,
    /// `CROP * CROP` samples, row by row.
    pub crop: Vec<u8>,
}

/// Makes a sample of `label` from a source at least [`CROP`] pixels wide and high. What is drawn comes from `random` alone.
///
/// # Errors
/// Those of the ciphers.
pub fn sample(source: &Picture, label: Label, random: &mut Random, schemes: &mut Schemes) -> Result<Sample> {
    for drawn_again in 0.. {
        let frame = frame(source, random);
        let variant = Variant::draw(label, random);
        let plain = variant.apply(&frame, random);
        let (scheme, shown) = schemes.apply(label, &plain, random)?;
        let place = Place::draw(&frame, random);
        let crop = place.of(&shown);
        if drawn_again == MOST_DRAWN || tellable::is_tellable(label, &place.of(&plain), &crop) {
            return Ok(Sample { label, made_by: format!("{}, {scheme}", variant.name()), drawn_again, crop });
        }
    }
    unreachable!("the last draw is taken")
}

/// How often a sample that shows nothing is drawn again. Each label has variants that always show something.
const MOST_DRAWN: usize = 200;

/// Most pixels of a frame's side. Frames are no larger than what the crops need for ciphers to see rows longer than theirs.
const FRAME: usize = 256;

/// A cut of the source of random size and place, gray (its luma) as often as in colour: encryption of interleaved channels
/// leaves other traces in each.
fn frame(source: &Picture, random: &mut Random) -> Picture {
    let mut side = |whole: usize| CROP + random.below(whole.min(FRAME) - CROP + 1);
    let (width, height) = (side(source.width), side(source.height));
    let (left, top) = (random.below(source.width - width + 1), random.below(source.height - height + 1));
    let cut = cut(source, left, top, width, height);
    match source.channels > 1 && random.below(2) == 0 {
        true => gray(&cut),
        false => cut,
    }
}

fn cut(picture: &Picture, left: usize, top: usize, width: usize, height: usize) -> Picture {
    let channels = picture.channels;
    let rows = picture.bytes.chunks_exact(picture.width * channels).skip(top).take(height);
    let bytes = rows.flat_map(|row| &row[left * channels..(left + width) * channels]).copied().collect();
    Picture { width, height, channels, bytes }
}

/// Luma of ITU-R BT.601, section 2.5.1.
fn gray(picture: &Picture) -> Picture {
    let luma =
        |rgb: &[u8]| ((299 * u32::from(rgb[0]) + 587 * u32::from(rgb[1]) + 114 * u32::from(rgb[2])) / 1000) as u8;
    Picture { channels: 1, bytes: picture.bytes.chunks_exact(3).map(luma).collect(), ..*picture }
}

/// One channel of a square of a frame.
struct Place {
    left: usize,
    top: usize,
    channel: usize,
}

impl Place {
    fn draw(frame: &Picture, random: &mut Random) -> Place {
        let (left, top) = (random.below(frame.width - CROP + 1), random.below(frame.height - CROP + 1));
        Place { left, top, channel: random.below(frame.channels) }
    }

    fn of(&self, frame: &Picture) -> Vec<u8> {
        let square = cut(frame, self.left, self.top, CROP, CROP).bytes;
        square.into_iter().skip(self.channel).step_by(frame.channels).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{self, Choice};

    fn source() -> Picture {
        let mut bytes = vec![0; 300 * 200 * 3];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let (x, y, channel) = (at / 3 % 300, at / 900, at % 3);
            *byte = (x / 2 + y + 20 * channel) as u8;
        }
        Picture { width: 300, height: 200, channels: 3, bytes }
    }

    fn schemes() -> Schemes {
        Schemes::new(backend::choose(Choice::Portable).expect("portable is everywhere"))
    }

    #[test]
    fn the_same_seed_gives_the_same_samples() {
        let drawn = |seed: u8, label| {
            sample(&source(), label, &mut Random::new(&[seed; 32], "sample"), &mut schemes()).expect("encrypts")
        };
        for label in Label::ALL {
            let one = drawn(1, label);
            assert_eq!((one.label, one.crop.len()), (label, CROP * CROP));
            assert_eq!(one, drawn(1, label));
            assert_ne!(one.crop, drawn(2, label).crop);
        }
    }

    /// Crops hold samples of the source where they lay: nothing is resized.
    #[test]
    fn crops_are_at_native_resolution() {
        let mut random = Random::new(&[3; 32], "crop");
        let gray =
            Picture { width: 300, height: 200, channels: 1, bytes: (0..60_000).map(|at| (at % 251) as u8).collect() };
        for _ in 0..20 {
            let frame = frame(&gray, &mut random);
            let crop = Place::draw(&frame, &mut random).of(&frame);
            let steps = crop.chunks_exact(CROP).flat_map(|row| row.windows(2));
            assert!(steps.clone().all(|pair| (pair[0] + 1) % 251 == pair[1]));
            assert_eq!((usize::from(crop[0]) + 300) % 251, usize::from(crop[CROP]));
        }
    }

    /// The weights of BT.601 by hand: 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2.
    #[test]
    fn luma_by_hand() {
        let picture = Picture { width: 2, height: 1, channels: 3, bytes: vec![200, 100, 50, 255, 255, 255] };
        assert_eq!(gray(&picture).bytes, [124, 255]);
    }
}
