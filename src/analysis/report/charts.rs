//! Pictures and charts as data URIs.

use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use plotters::prelude::*;

use crate::analysis::{correlation::Direction, histogram, picture::Picture};

/// A picture as it is.
pub fn picture(picture: &Picture) -> String {
    let (width, height, bytes) = (picture.width as u32, picture.height as u32, picture.bytes.clone());
    let image = match picture.channels {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
        _ => RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
    };
    image.map_or(String::new(), png)
}

/// The middle of a picture, at most 256 pixels a side.
pub fn middle(picture: &Picture) -> Picture {
    let (width, height) = (picture.width.min(256), picture.height.min(256));
    let (left, top) = ((picture.width - width) / 2, (picture.height - height) / 2);
    let rows = picture.bytes.chunks_exact(picture.width * picture.channels).skip(top).take(height);
    let bytes =
        rows.flat_map(|row| &row[left * picture.channels..(left + width) * picture.channels]).copied().collect();
    Picture { width, height, bytes, ..*picture }
}

/// The distance of two pictures' samples: black where they are equal.
pub fn difference(one: &Picture, other: &Picture) -> String {
    picture(&one.with_bytes(one.bytes.iter().zip(&other.bytes).map(|(a, b)| a.abs_diff(*b)).collect()))
}

/// How often each pair of neighbouring values occurs in the first channel: the darker the more often. Of ideal ciphertext
/// it is an even gray, of a photograph the diagonal.
pub fn neighbours(picture: &Picture, direction: Direction) -> String {
    let plane = &picture.planes()[0].bytes;
    let mut counts = vec![0u32; 256 * 256];
    for (x, y) in direction.pairs(plane, picture.width) {
        counts[256 * (255 - usize::from(y)) + usize::from(x)] += 1;
    }
    let most = f64::from(counts.iter().copied().max().unwrap_or(0)).ln_1p().max(f64::MIN_POSITIVE);
    let shade = |count: &u32| (255.0 * (1.0 - f64::from(*count).ln_1p() / most)) as u8;
    let bytes = counts.iter().map(shade).collect();
    GrayImage::from_raw(256, 256, bytes).map(DynamicImage::ImageLuma8).map_or(String::new(), png)
}

/// The histograms of all channels, one line for each, from 0 up to `most` pixels.
pub fn histograms(picture: &Picture) -> String {
    let mut svg = String::new();
    // Only a backend that cannot be written to fails, and a string can.
    let _ = draw_histograms(picture, &mut svg);
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))
}

const RED: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const BLUE: RGBColor = RGBColor(0, 114, 178);

fn draw_histograms(picture: &Picture, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (280, 130)).into_drawing_area();
    root.fill(&WHITE)?;
    let all: Vec<[u64; 256]> = picture.planes().iter().map(|plane| histogram::counts(&plane.bytes)).collect();
    // Twice what a flat one has at least, so that a flat one looks flat.
    let flat = (picture.width * picture.height / 256) as u64;
    let most = all.iter().flatten().copied().max().unwrap_or(0).max(2 * flat).max(1);
    let mut chart = ChartBuilder::on(&root)
        .margin(4)
        .x_label_area_size(18)
        .y_label_area_size(42)
        .build_cartesian_2d(0u32..255, 0..most)?;
    chart.configure_mesh().disable_mesh().x_labels(5).y_labels(4).label_style(("sans-serif", 10)).draw()?;
    let inks = if all.len() == 1 { vec![BLACK] } else { vec![RED, GREEN, BLUE] };
    for (counts, ink) in all.iter().zip(inks) {
        let line: Vec<(u32, u64)> = (0..256).map(|value| (value, counts[value as usize])).collect();
        chart.draw_series(std::iter::once(PathElement::new(line, ink)))?;
    }
    root.present()?;
    Ok(())
}

fn png(image: DynamicImage) -> String {
    let mut file = Cursor::new(Vec::new());
    match image.write_to(&mut file, ImageFormat::Png) {
        Ok(()) => format!("data:image/png;base64,{}", STANDARD.encode(file.into_inner())),
        // An empty picture has no PNG.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(uri: &str) -> DynamicImage {
        let data = uri.strip_prefix("data:image/png;base64,").expect("a PNG");
        image::load_from_memory(&STANDARD.decode(data).expect("base64")).expect("decodes")
    }

    #[test]
    fn pictures_are_themselves() {
        let rgb = Picture { width: 2, height: 2, channels: 3, bytes: (0..12).collect() };
        assert_eq!(decoded(&picture(&rgb)).into_rgb8().into_raw(), rgb.bytes);
        let other = rgb.with_bytes(vec![5; 12]);
        assert_eq!(decoded(&difference(&rgb, &other)).into_rgb8().into_raw(), [5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn the_middle_is_in_the_middle() {
        let wide = Picture {
            width: 300,
            height: 2,
            channels: 3,
            bytes: (0..1800).map(|i| (i / 3 % 300 % 256) as u8).collect(),
        };
        let cut = middle(&wide);
        assert_eq!((cut.shape(), cut.bytes[0], cut.bytes[256 * 3]), ((256, 2, 3), 22, 22));
    }

    /// Equal neighbours lie on the diagonal from the lower left.
    #[test]
    fn neighbours_have_their_place() {
        let gray = Picture { width: 2, height: 1, channels: 1, bytes: vec![10, 200] };
        let drawn = decoded(&neighbours(&gray, Direction::Horizontal)).into_luma8();
        assert_eq!(drawn.get_pixel(10, 255 - 200).0, [0]);
        assert_eq!(drawn.iter().filter(|&&shade| shade == 0).count(), 1);
    }

    #[test]
    fn histograms_are_drawn() {
        let gray = Picture { width: 16, height: 16, channels: 1, bytes: (0..=255).collect() };
        let data = histograms(&gray);
        let svg = STANDARD.decode(data.strip_prefix("data:image/svg+xml;base64,").expect("SVG")).expect("base64");
        assert!(String::from_utf8(svg).expect("text").contains("<polyline"));
    }
}
