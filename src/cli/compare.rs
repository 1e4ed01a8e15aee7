//! `compare`: a picture, its cipher picture and the decrypted one side by side, each over its histogram.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use image::DynamicImage;

use super::{
    endpoint,
    error::{Exit, Failure},
    output, picture_type,
    sheet::{self, Panel},
};

/// Show a picture, its cipher picture and the decrypted one side by side, with their histograms
///
/// A decrypted picture that is not the plain one, sample for sample, is a failure.
#[derive(clap::Args)]
pub struct Compare {
    /// The picture before encryption
    plain: PathBuf,
    /// The cipher picture
    cipher: PathBuf,
    /// The picture after decryption
    decrypted: PathBuf,
    /// PNG to make
    #[arg(short, long, value_name = "PNG")]
    output: PathBuf,
    /// Replace an OUTPUT that exists
    #[arg(long)]
    force: bool,
}

impl Compare {
    /// Makes the sheet.
    pub fn run(self) -> Result<(), Failure> {
        endpoint::refuse_clashes(&[&self.plain, &self.cipher, &self.decrypted], &[Some(&self.output)])?;
        output::check_writable(&self.output, self.force)?;
        let (plain, cipher, decrypted) = (read(&self.plain)?, read(&self.cipher)?, read(&self.decrypted)?);
        let verdict = Verdict::of(&plain, &decrypted);
        let rows = plain.height();
        let panels = [
            Panel::new("plain", &plain, rows, String::new()),
            Panel::new("cipher picture", &cipher, rows, String::new()),
            Panel::new("decrypted", &decrypted, rows, verdict.to_string()),
        ];
        output::write_file(&self.output, &sheet::png(&panels)?, self.force)?;
        match verdict {
            Verdict::Identical => Ok(()),
            _ => Err(Failure::new(Exit::Content, format!("{}: {verdict}", self.decrypted.display()))),
        }
    }
}

fn read(path: &Path) -> Result<DynamicImage, Failure> {
    // As `encrypt` reads it: upright, and no larger than a frame may be.
    let name = path.display().to_string();
    let file = endpoint::read_frame(&name, endpoint::open(path)?)?;
    picture_type::decode(&file).map_err(|failure| failure.about(name))
}

/// What became of the picture.
#[derive(Debug, PartialEq)]
enum Verdict {
    Identical,
    /// Peak signal-to-noise ratio in dB.
    Differs(f64),
    AnotherShape,
}

impl Verdict {
    fn of(plain: &DynamicImage, decrypted: &DynamicImage) -> Verdict {
        let shape = |image: &DynamicImage| (image.width(), image.height(), image.color());
        if shape(plain) != shape(decrypted) {
            return Verdict::AnotherShape;
        }
        if plain.as_bytes() == decrypted.as_bytes() {
            return Verdict::Identical;
        }
        Verdict::Differs(psnr_db(&samples(plain), &samples(decrypted)))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Identical => f.write_str("equal to plain in every bit"),
            Verdict::Differs(psnr_db) => write!(f, "differs from plain: PSNR {psnr_db:.1} dB"),
            Verdict::AnotherShape => f.write_str("of another size or depth than plain"),
        }
    }
}

/// All samples on a scale of 16 bits; those of alpha only where there is one.
fn samples(image: &DynamicImage) -> Vec<u16> {
    match image.color().has_alpha() {
        true => image.to_rgba16().into_raw(),
        false => image.to_rgb16().into_raw(),
    }
}

fn psnr_db(a: &[u16], b: &[u16]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (f64::from(u16::MAX).powi(2) * a.len() as f64 / squares).log10()
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    fn picture(value: u8) -> DynamicImage {
        RgbImage::from_fn(20, 10, |x, y| Rgb([value, x as u8, y as u8])).into()
    }

    #[test]
    fn verdicts() {
        assert_eq!(Verdict::of(&picture(7), &picture(7)), Verdict::Identical);
        assert_eq!(Verdict::of(&picture(7), &picture(7).to_luma8().into()), Verdict::AnotherShape);
        // A third of the samples differ by one: MSE 1/3, and 20 log10(255) + 10 log10(3) = 52.902.
        let Verdict::Differs(db) = Verdict::of(&picture(7), &picture(8)) else { panic!("they differ") };
        assert!((db - 52.902).abs() < 0.001, "{db}");
    }
}
