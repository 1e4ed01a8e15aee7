//! What is not encrypted, in all the ways that frames look.
//!
//! A classifier that has only seen photographs calls film grain encrypted. So the plain ones are compressed, noisy, dark,
//! flat, drawn and dithered, too, and noise that is not uniform is plain.

use std::io::Cursor;

use image::{ExtendedColorType, ImageFormat, codecs::jpeg::JpegEncoder};

use crate::{
    analysis::{picture::Picture, random::Random},
    nn::Label,
};

/// A way in which a plain frame looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As it was taken.
    Photograph,
    /// JPEG of quality 15 to 95.
    Jpeg,
    /// With Gaussian noise of a standard deviation of 1 to 20.
    Noisy,
    /// With noise that spans neighbouring pixels, strongest in the midtones.
    FilmGrain,
    /// A tenth to a half of the light.
    Dark,
    /// Two to four values, the error diffused or ordered (Floyd and Steinberg 1976; Bayer 1973).
    Dithered,
    /// One value.
    Flat,
    /// From one value to another.
    Gradient,
    /// Rectangles and stripes of single values, as on a screen.
    Drawn,
    /// A sensor in the dark: Gaussian noise around one value, of rows and of single samples, half of them interpolated.
    SensorNoise,
}

use Variant::*;

/// A label's variants, each as often as it stands here.
const OF_PLAIN: [Variant; 20] = [
    Photograph,
    Photograph,
    Photograph,
    Photograph,
    Photograph,
    Jpeg,
    Jpeg,
    Jpeg,
    Noisy,
    Noisy,
    Noisy,
    FilmGrain,
    FilmGrain,
    Dark,
    Dark,
    Dithered,
    Flat,
    Gradient,
    Drawn,
    SensorNoise,
];
/// What is permuted has to vary, or nothing tells it from what it was.
const OF_VARIED: [Variant; 8] = [Photograph, Photograph, Photograph, Photograph, Jpeg, Jpeg, Noisy, Dark];
/// The low planes are of interest where there is something above and below them.
const OF_PLANES: [Variant; 12] =
    [Photograph, Photograph, Photograph, Photograph, Photograph, Jpeg, Jpeg, Noisy, Dark, Flat, Gradient, Drawn];
/// Equal blocks come from frames that repeat themselves.
const OF_REPEATED: [Variant; 8] = [Photograph, Photograph, Photograph, Jpeg, Dark, Gradient, Drawn, Drawn];

impl Variant {
    /// A variant that suits the label.
    pub fn draw(label: Label, random: &mut Random) -> Variant {
        let mut of = |variants: &[Variant]| variants[random.below(variants.len())];
        match label {
            Label::Plain | Label::Encrypted => of(&OF_PLAIN),
            Label::Permuted => of(&OF_VARIED),
            Label::LowPlanes | Label::HighPlanes => of(&OF_PLANES),
            Label::EcbLike => of(&OF_REPEATED),
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Photograph => "photograph",
            Jpeg => "jpeg",
            Noisy => "noisy",
            FilmGrain => "film grain",
            Dark => "dark",
            Dithered => "dithered",
            Flat => "flat",
            Gradient => "gradient",
            Drawn => "drawn",
            SensorNoise => "sensor noise",
        }
    }

    /// The frame in this way; of the last four only its shape counts.
    pub fn apply(self, frame: &Picture, random: &mut Random) -> Picture {
        match self {
            Photograph => frame.clone(),
            Jpeg => jpeg(frame, 15 + random.below(81) as u8),
            Noisy => {
                let deviation = 1.0 + 19.0 * random.unit();
                map(frame, |value| value + deviation * random.normal())
            }
            FilmGrain => film_grain(frame, random),
            Dark => {
                let light = 0.1 + 0.4 * random.unit();
                map(frame, |value| light * value)
            }
            Dithered => dithered(frame, random),
            Flat => {
                let colour: [u8; 3] = random.array();
                fill(frame, |_, _, channel| f64::from(colour[channel]))
            }
            Gradient => gradient(frame, random),
            Drawn => drawn(frame, random),
            SensorNoise => sensor_noise(frame, random),
        }
    }
}

/// Every sample by itself, rounded and held between 0 and 255.
fn map(frame: &Picture, mut change: impl FnMut(f64) -> f64) -> Picture {
    frame.with_bytes(frame.bytes.iter().map(|&value| to_sample(change(f64::from(value)))).collect())
}

/// Every sample by its column, row and channel.
fn fill(frame: &Picture, value: impl Fn(usize, usize, usize) -> f64) -> Picture {
    let (width, _, channels) = frame.shape();
    let of = |at: usize| to_sample(value(at / channels % width, at / channels / width, at % channels));
    frame.with_bytes((0..frame.bytes.len()).map(of).collect())
}

fn to_sample(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// What a JPEG file of it shows.
fn jpeg(frame: &Picture, quality: u8) -> Picture {
    let mut file = Vec::new();
    let color = if frame.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let (width, height) = (frame.width as u32, frame.height as u32);
    let decoded = JpegEncoder::new_with_quality(&mut file, quality)
        .encode(&frame.bytes, width, height, color)
        .and_then(|()| image::ImageReader::with_format(Cursor::new(&file), ImageFormat::Jpeg).decode());
    let image = decoded.expect("a frame of this size has a JPEG file");
    frame.with_bytes(if frame.channels == 1 { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() })
}

/// The mean of a pixel's noise and its right and lower neighbours', at full strength at 128 and at none at 0 and 255.
fn film_grain(frame: &Picture, random: &mut Random) -> Picture {
    let deviation = 4.0 + 20.0 * random.unit();
    let (width, height, channels) = frame.shape();
    let noise: Vec<f64> = (0..(width + 1) * (height + 1)).map(|_| deviation * random.normal()).collect();
    let grain = |x: usize, y: usize| {
        let at = y * (width + 1) + x;
        (noise[at] + noise[at + 1] + noise[at + width + 1] + noise[at + width + 2]) / 2.0
    };
    fill(frame, |x, y, channel| {
        let value = f64::from(frame.bytes[(y * width + x) * channels + channel]);
        value + (1.0 - (value / 127.5 - 1.0).abs()) * grain(x, y)
    })
}

/// A sensor measures a colour in half of its pixels or fewer, and the others are the mean of their neighbours, here in a
/// checkerboard. Without that, noise would be a permuted picture of the same histogram: nobody tells one from the other.
fn sensor_noise(frame: &Picture, random: &mut Random) -> Picture {
    let (level, deviation) = (255.0 * random.unit(), 2.0 + 30.0 * random.unit());
    let (width, height, channels) = frame.shape();
    let rows: Vec<f64> = (0..height).map(|_| 0.1 * deviation * random.normal()).collect();
    let noise: Vec<f64> = (0..frame.bytes.len()).map(|_| deviation * random.normal()).collect();
    let at = |x: usize, y: usize, channel| noise[(y * width + x) * channels + channel];
    fill(frame, |x, y, channel| {
        let value = match (x + y + channel) % 2 {
            0 => at(x, y, channel),
            _ => {
                let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                let (up, down) = (y.saturating_sub(1), (y + 1).min(height - 1));
                (at(left, y, channel) + at(right, y, channel) + at(x, up, channel) + at(x, down, channel)) / 4.0
            }
        };
        level + rows[y] + value
    })
}

/// Bayer's matrix of order 4.
const BAYER: [[u8; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];

fn dithered(frame: &Picture, random: &mut Random) -> Picture {
    let steps = f64::from(1 + random.below(3) as u8);
    let nearest = move |value: f64| (value / 255.0 * steps).round().clamp(0.0, steps) * 255.0 / steps;
    let (width, _, channels) = frame.shape();
    if random.below(2) == 0 {
        return fill(frame, |x, y, channel| {
            let value = f64::from(frame.bytes[(y * width + x) * channels + channel]);
            let threshold = (f64::from(BAYER[y % 4][x % 4]) + 0.5) / 16.0 - 0.5;
            nearest(value + threshold * 255.0 / steps)
        });
    }
    let row = width * channels;
    let mut values: Vec<f64> = frame.bytes.iter().map(|&value| f64::from(value)).collect();
    for at in 0..values.len() {
        let error = values[at] - nearest(values[at]);
        values[at] -= error;
        let column = at % row;
        let (is_first, is_last) = (column < channels, column + channels >= row);
        let mut spread = |to: usize, share: f64| {
            if let Some(value) = values.get_mut(to) {
                *value += error * share / 16.0;
            }
        };
        if !is_last {
            spread(at + channels, 7.0);
            spread(at + row + channels, 1.0);
        }
        if !is_first {
            spread(at + row - channels, 3.0);
        }
        spread(at + row, 5.0);
    }
    frame.with_bytes(values.into_iter().map(to_sample).collect())
}

/// Along a random direction.
fn gradient(frame: &Picture, random: &mut Random) -> Picture {
    let [from, to]: [[u8; 3]; 2] = [random.array(), random.array()];
    let (right, down) = [(1.0, 0.0), (0.0, 1.0), (random.unit(), random.unit())][random.below(3)];
    let length = right * frame.width as f64 + down * frame.height as f64;
    fill(frame, |x, y, channel| {
        let share = (right * x as f64 + down * y as f64) / length;
        f64::from(from[channel]) * (1.0 - share) + f64::from(to[channel]) * share
    })
}

fn drawn(frame: &Picture, random: &mut Random) -> Picture {
    let (width, height, channels) = frame.shape();
    let mut picture = fill(frame, |_, _, _| 0.0);
    let background: [u8; 3] = random.array();
    picture.bytes.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(&background[..channels]));
    for _ in 0..3 + random.below(12) {
        let colour: [u8; 3] = random.array();
        let (left, top) = (random.below(width), random.below(height));
        let (right, bottom) = ((left + 4 + random.below(120)).min(width), (top + 2 + random.below(80)).min(height));
        // Every so manieth row: 1 is a rectangle.
        let step = [1, 1, 2, 4, 7][random.below(5)];
        for y in (top..bottom).step_by(step) {
            let row = &mut picture.bytes[(y * width + left) * channels..(y * width + right) * channels];
            row.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(&colour[..channels]));
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(channels: usize) -> Picture {
        let (width, height) = (160, 140);
        let bytes = (0..width * height * channels).map(|at| (at / channels % width) as u8).collect();
        Picture { width, height, channels, bytes }
    }

    fn applied(variant: Variant, frame: &Picture) -> Picture {
        variant.apply(frame, &mut Random::new(&[5; 32], "plain"))
    }

    #[test]
    fn shapes_stay() {
        for frame in [ramp(1), ramp(3)] {
            for variant in OF_PLAIN {
                let made = applied(variant, &frame);
                assert_eq!((made.shape(), made.bytes.len()), (frame.shape(), frame.bytes.len()), "{}", variant.name());
            }
        }
    }

    #[test]
    fn dithering_keeps_the_mean_and_few_values() {
        let frame = ramp(1).with_bytes(vec![100; 160 * 140]);
        for seed in 0..8 {
            let made = dithered(&frame, &mut Random::new(&[seed; 32], "dither"));
            let values: std::collections::BTreeSet<u8> = made.bytes.iter().copied().collect();
            assert!((2..=4).contains(&values.len()), "{values:?}");
            let mean = made.bytes.iter().map(|&value| f64::from(value)).sum::<f64>() / made.bytes.len() as f64;
            assert!((mean - 100.0).abs() < 6.0, "{mean}");
        }
    }

    #[test]
    fn noise_has_the_deviation_it_should() {
        let frame = ramp(1).with_bytes(vec![128; 160 * 140]);
        let made = applied(SensorNoise, &frame);
        let mean = made.bytes.iter().map(|&value| f64::from(value)).sum::<f64>() / made.bytes.len() as f64;
        let variance =
            made.bytes.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / made.bytes.len() as f64;
        // Uniform bytes have 73.9.
        assert!((1.0..=33.0).contains(&variance.sqrt()), "{variance}");
        assert_eq!(applied(Flat, &frame).bytes, vec![applied(Flat, &frame).bytes[0]; 160 * 140]);
    }

    #[test]
    fn what_is_compressed_is_near() {
        let frame = ramp(3);
        let made = applied(Jpeg, &frame);
        assert_ne!(made, frame);
        let worst = made.bytes.iter().zip(&frame.bytes).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst < Some(40), "{worst:?}");
    }
}
