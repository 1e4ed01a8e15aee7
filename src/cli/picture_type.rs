//! The picture file types: which extension, which media type, which codec.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::error::{Exit, Failure};
use crate::seal::limits;

/// A type of picture file.
#[derive(Debug, PartialEq, Eq)]
pub struct PictureType {
    /// Extensions, in small letters; the first is the one to give.
    extensions: &'static [&'static str],
    /// The caps of a sealed file of this type.
    pub media: &'static str,
    format: ImageFormat,
}

const fn picture(extensions: &'static [&'static str], media: &'static str, format: ImageFormat) -> PictureType {
    PictureType { extensions, media, format }
}

/// Media types as GStreamer's typefinders name them, so that pipelines know what a sealed file holds.
static TYPES: [PictureType; 11] = [
    picture(&["png"], "image/png", ImageFormat::Png),
    picture(&["jpg", "jpeg", "jfif"], "image/jpeg", ImageFormat::Jpeg),
    picture(&["webp"], "image/webp", ImageFormat::WebP),
    picture(&["tif", "tiff"], "image/tiff", ImageFormat::Tiff),
    picture(&["bmp"], "image/bmp", ImageFormat::Bmp),
    picture(&["gif"], "image/gif", ImageFormat::Gif),
    picture(&["ppm"], "image/x-portable-pixmap", ImageFormat::Pnm),
    picture(&["pgm"], "image/x-portable-graymap", ImageFormat::Pnm),
    picture(&["pbm"], "image/x-portable-bitmap", ImageFormat::Pnm),
    picture(&["pam"], "image/x-portable-arbitrarymap", ImageFormat::Pnm),
    picture(&["pnm"], "image/x-portable-anymap", ImageFormat::Pnm),
];

/// The type of a cipher picture, and of decoded pixels that nobody gave a type.
pub static PNG: &PictureType = &TYPES[0];

impl PictureType {
    /// The type that a file's extension stands for.
    pub fn of_path(path: &Path) -> Option<&'static PictureType> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        TYPES.iter().find(|kind| kind.extensions.contains(&extension.as_str()))
    }

    /// The type that content begins like.
    pub fn of_content(start: &[u8]) -> Option<&'static PictureType> {
        let format = image::guess_format(start).ok()?;
        TYPES.iter().find(|kind| kind.format == format)
    }

    /// The type of a sealed file's caps, whatever else they say.
    pub fn of_caps(caps: &str) -> Option<&'static PictureType> {
        let media = caps.split(',').next()?.trim();
        TYPES.iter().find(|kind| kind.media == media)
    }

    /// `path` with this type's extension after what it has.
    pub fn append_extension(&self, path: PathBuf) -> PathBuf {
        let mut name = path.into_os_string();
        name.push(".");
        name.push(self.extensions[0]);
        name.into()
    }

    /// Every extension, for messages.
    pub fn extensions() -> String {
        TYPES.iter().map(|kind| format!(".{}", kind.extensions[0])).collect::<Vec<_>>().join(" ")
    }

    /// Writes a picture as a file of this type, in as much as the type can hold.
    ///
    /// # Errors
    /// If it cannot hold the picture at all.
    pub fn encode(&self, picture: &DynamicImage) -> Result<Vec<u8>, Failure> {
        let encode = |picture: &DynamicImage| {
            let mut file = Cursor::new(Vec::new());
            picture.write_to(&mut file, self.format).map(|()| file.into_inner())
        };
        // A type that has not the picture's channels or depth takes eight bits of each of four.
        encode(picture).or_else(|_| encode(&picture.to_rgba8().into())).map_err(|error| {
            Failure::new(Exit::Other, format!("the picture cannot be written as {}: {error}", self.media))
        })
    }
}

/// Decodes a picture of any type and turns it upright.
///
/// # Errors
/// If it is damaged, no picture, or larger than a frame may be.
pub fn decode(file: &[u8]) -> Result<DynamicImage, Failure> {
    decode_at_most(file, MOST_BYTES)
}

/// Samples of a picture: a frame, and the rows below it that make a cipher picture of it.
const MOST_BYTES: u64 = limits::FRAME_BYTES as u64 / 8 * 9;

/// Decodes a picture whose samples have at most so many bytes; nothing of it is allocated before that is known.
///
/// # Errors
/// As [`decode`].
pub fn decode_at_most(file: &[u8], most_bytes: u64) -> Result<DynamicImage, Failure> {
    let damaged = |error: &dyn std::fmt::Display| Failure::new(Exit::Content, format!("no readable picture: {error}"));
    let most_bytes = most_bytes.min(MOST_BYTES);
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| damaged(&error))?;
    let mut most = Limits::default();
    most.max_alloc = Some(most_bytes);
    reader.limits(most);
    let mut decoder = reader.into_decoder().map_err(|error| damaged(&error))?;
    if decoder.total_bytes() > most_bytes {
        let (width, height) = decoder.dimensions();
        return Err(damaged(&format!("{width} x {height} is too large for it")));
    }
    let orientation = decoder.orientation().map_err(|error| damaged(&error))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| damaged(&error))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_in_any_case() {
        assert_eq!(PictureType::of_path(Path::new("a/b.JPEG")).expect("known").media, "image/jpeg");
        assert!(PictureType::of_path(Path::new("a/b.cveil")).is_none());
        assert!(PictureType::of_path(Path::new("png")).is_none());
        assert_eq!(PictureType::of_caps("image/png, width=(int)3"), Some(PNG));
    }
}
