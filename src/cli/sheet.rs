//! Pictures side by side, each over its histogram.
//!
//! All histograms have one scale, so that a flat one looks flat: the thin line is where every bin would stand if all
//! values were equally frequent, a third of the full height.

use std::io::Cursor;

use font8x8::UnicodeFonts;
use image::{
    DynamicImage, ImageFormat, Rgb, RgbImage,
    imageops::{self, FilterType},
};

use super::error::{Exit, Failure};

/// Sides of a picture on the sheet, in pixels: the longer one is brought between these.
const SIDE: std::ops::RangeInclusive<u32> = 256..=640;
const MARGIN: u32 = 24;
const HISTOGRAM_HEIGHT: u32 = 144;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([40, 44, 52]);
const GUIDE: Rgb<u8> = Rgb([150, 154, 162]);
const FIELD: Rgb<u8> = Rgb([243, 244, 246]);
const CHANNEL_INKS: [Rgb<u8>; 3] = [Rgb([214, 57, 57]), Rgb([47, 158, 68]), Rgb([51, 102, 214])];

/// One of the columns.
pub struct Panel {
    title: String,
    picture: RgbImage,
    /// Share of each value, for each channel: one for gray pictures, three for others.
    histograms: Vec<(Rgb<u8>, [f64; 256])>,
    caption: String,
}

impl Panel {
    /// The histograms are those of the first `rows`: below them a cipher picture has headers and filler.
    pub fn new(name: &str, image: &DynamicImage, rows: u32, caption: String) -> Panel {
        let longer = image.width().max(image.height());
        let factor = f64::from(longer.clamp(*SIDE.start(), *SIDE.end())) / f64::from(longer);
        let scaled = |side: u32| (f64::from(side) * factor).round().max(1.0) as u32;
        // Nearest, because any averaging would turn noise into gray.
        let picture = image.resize_exact(scaled(image.width()), scaled(image.height()), FilterType::Nearest);
        Panel {
            title: format!("{name}  {}x{}", image.width(), image.height()),
            picture: picture.to_rgb8(),
            histograms: histograms(&image.crop_imm(0, 0, image.width(), rows)),
            caption,
        }
    }
}

fn histograms(image: &DynamicImage) -> Vec<(Rgb<u8>, [f64; 256])> {
    let rgb = image.to_rgb8();
    let one = |channel: usize| {
        let mut shares = [0.0; 256];
        rgb.pixels().for_each(|pixel| shares[usize::from(pixel[channel])] += 1.0);
        shares.map(|count| count / f64::from(image.width() * image.height()))
    };
    match image.color().has_color() {
        true => CHANNEL_INKS.into_iter().enumerate().map(|(channel, ink)| (ink, one(channel))).collect(),
        false => vec![(INK, one(0))],
    }
}

/// A PNG of all panels, gray if all of them are.
///
/// # Errors
/// If it cannot be written.
pub fn png(panels: &[Panel]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Cursor::new(Vec::new());
    let sheet = DynamicImage::from(sheet(panels));
    let is_gray = panels.iter().all(|panel| panel.histograms.len() == 1);
    let sheet = if is_gray { sheet.to_luma8().into() } else { sheet };
    let written = sheet.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|error| Failure::new(Exit::Other, format!("writing a PNG: {error}")))?;
    Ok(bytes.into_inner())
}

fn sheet(panels: &[Panel]) -> RgbImage {
    let largest = |side: fn(&Panel) -> u32| panels.iter().map(side).max().unwrap_or(0);
    let width = largest(|panel| panel.picture.width()).max(*SIDE.start());
    let height = largest(|panel| panel.picture.height());
    let scale = if width >= 512 { 2 } else { 1 };
    let line = 8 * scale + MARGIN / 2;
    let histogram_top = MARGIN + line + height + MARGIN / 2;
    let caption_top = histogram_top + HISTOGRAM_HEIGHT + MARGIN / 2;
    let mut sheet =
        RgbImage::from_pixel(MARGIN + panels.len() as u32 * (width + MARGIN), caption_top + line + MARGIN / 2, PAPER);
    for (index, panel) in (0..).zip(panels) {
        let left = MARGIN + index * (width + MARGIN);
        write(&mut sheet, left, MARGIN, scale, &panel.title);
        imageops::replace(&mut sheet, &panel.picture, left.into(), (MARGIN + line).into());
        draw_histograms(&mut sheet, left, histogram_top, width, &panel.histograms);
        write(&mut sheet, left, caption_top, scale, &panel.caption);
    }
    sheet
}

/// Full height is three times the share that each value would have if all were equally frequent; the rest is cut off.
fn draw_histograms(sheet: &mut RgbImage, left: u32, top: u32, width: u32, histograms: &[(Rgb<u8>, [f64; 256])]) {
    let height_of = |share: f64| ((share * 256.0 / 3.0).min(1.0) * f64::from(HISTOGRAM_HEIGHT)).round() as u32;
    for (x, y) in (0..width).flat_map(|x| (0..HISTOGRAM_HEIGHT).map(move |y| (x, y))) {
        let value = (x * 256 / width) as usize;
        let from_bottom = HISTOGRAM_HEIGHT - y;
        let inks = histograms.iter().filter(|(_, shares)| from_bottom <= height_of(shares[value])).map(|(ink, _)| *ink);
        let mut colour = mix(inks);
        if from_bottom == HISTOGRAM_HEIGHT / 3 && x % 6 < 3 {
            colour = GUIDE;
        }
        sheet.put_pixel(left + x, top + y, colour);
    }
}

/// What areas of these inks look like where they overlap.
fn mix(inks: impl Iterator<Item = Rgb<u8>> + Clone) -> Rgb<u8> {
    let count = inks.clone().count() as u32;
    let sum = |channel: usize| inks.clone().map(|ink| u32::from(ink[channel])).sum::<u32>();
    match count {
        0 => FIELD,
        _ => Rgb(std::array::from_fn(|channel| (sum(channel) / count * 3 / 4 + u32::from(FIELD[channel]) / 4) as u8)),
    }
}

/// Writes ASCII; what runs over the edge is cut off.
fn write(sheet: &mut RgbImage, left: u32, top: u32, scale: u32, text: &str) {
    for (column, character) in (0..).zip(text.chars()) {
        let glyph = font8x8::BASIC_FONTS.get(character).unwrap_or_default();
        for (x, y) in (0..8 * scale).flat_map(|x| (0..8 * scale).map(move |y| (x, y))) {
            if glyph[(y / scale) as usize] >> (x / scale) & 1 == 1
                && let Some(pixel) = sheet.get_pixel_mut_checked(left + column * 8 * scale + x, top + y)
            {
                *pixel = INK;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_count_shares() {
        let picture = DynamicImage::from(RgbImage::from_fn(20, 10, |x, y| Rgb([7, x as u8, y as u8])));
        let colour = histograms(&picture);
        assert_eq!(colour.len(), 3);
        assert_eq!(colour[0].1[7], 1.0);
        assert!((0..20).all(|x| colour[1].1[x] == 0.05));
        assert_eq!(histograms(&picture.to_luma8().into()).len(), 1);
    }

    #[test]
    fn a_flat_histogram_meets_the_line() {
        let mut sheet = RgbImage::from_pixel(256, HISTOGRAM_HEIGHT, PAPER);
        draw_histograms(&mut sheet, 0, 0, 256, &[(INK, [1.0 / 256.0; 256])]);
        let line = HISTOGRAM_HEIGHT - HISTOGRAM_HEIGHT / 3;
        assert_eq!(*sheet.get_pixel(0, line), GUIDE);
        assert_eq!(*sheet.get_pixel(3, line), mix([INK].into_iter()));
        assert_eq!(*sheet.get_pixel(3, line - 1), FIELD);
    }

    #[test]
    fn sheets_of_any_size() {
        for (width, height) in [(1, 1), (17, 13), (2000, 3), (3, 2000), (640, 362)] {
            let image = DynamicImage::new_rgb8(width, height);
            let panels = ["a", "b", "c"].map(|name| Panel::new(name, &image, 10, "caption".into()));
            assert!(sheet(&panels).width() >= 3 * 256);
        }
    }
}
