//! Pictures to judge: read, found in folders, brought to eight bits a sample.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use image::DynamicImage;

use crate::{
    analysis::picture::Picture,
    cli::{
        endpoint,
        error::{Exit, Failure},
        folder,
        picture_type::{self, PictureType},
        pixels::Pixels,
    },
    frame::Plane,
    seal::CipherPicture,
};

/// A picture and its name.
pub struct Input {
    /// As the user knows it.
    pub name: String,
    /// What is judged.
    pub picture: Picture,
}

/// The pictures that arguments name: files as they are, of folders the regular files with a picture's extension.
///
/// # Errors
/// If a folder cannot be read, or none is found.
pub fn collect(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    collect_where(arguments, |name| PictureType::of_path(name).is_some(), "picture")
}

/// As [`collect`], with what is taken of folders.
///
/// # Errors
/// As [`collect`].
pub fn collect_where(
    arguments: &[PathBuf],
    is_taken: impl Fn(&Path) -> bool,
    what: &str,
) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            paths.push(argument.clone());
            continue;
        }
        let before = paths.len();
        let found = folder::files(argument)?.into_iter().filter(|name| is_taken(name)).map(|name| argument.join(name));
        paths.extend(found.filter(|path| !endpoint::is_special(path)));
        if paths.len() == before {
            return Err(Failure::new(Exit::Missing, format!("{} holds no {what}", argument.display()))
                .advise(format!("pictures end in {}", PictureType::extensions())));
        }
    }
    Ok(paths)
}

/// Reads a picture: gray stays gray, everything else becomes RGB; more than eight bits lose the lower ones.
///
/// # Errors
/// If it cannot be read or decoded.
pub fn read(path: &Path) -> Result<Input, Failure> {
    let name = path.display().to_string();
    Ok(Input { picture: picture_of(decode(&name, endpoint::open(path)?)?), name })
}

/// As [`read`], and of a cipher picture of ours only the rows of the picture itself: what stands below them are headers.
///
/// # Errors
/// As [`read`].
pub fn read_shown(path: &Path) -> Result<Input, Failure> {
    let name = path.display().to_string();
    Ok(Input { picture: shown(&name, endpoint::open(path)?)?, name })
}

/// As [`read_shown`], of what is open.
///
/// # Errors
/// As [`read`].
pub fn shown(name: &str, source: impl Read) -> Result<Picture, Failure> {
    let decoded = decode(name, source)?;
    let rows = rows_of_ours(&decoded);
    let mut picture = picture_of(decoded);
    if let Some(rows) = rows {
        picture.height = rows;
        picture.bytes.truncate(picture.width * rows * picture.channels);
    }
    Ok(picture)
}

/// Reads a plain and a cipher picture of equal shape, the latter as [`read_shown`] does.
///
/// # Errors
/// If one cannot be read, or they are of different shapes.
pub fn read_pair(plain: &Path, cipher: &Path) -> Result<(Input, Picture), Failure> {
    let input = read(plain)?;
    let picture = read_shown(cipher)?.picture;
    if picture.shape() != input.picture.shape() {
        let shape = |picture: &Picture| {
            let kind = if picture.channels == 1 { "gray" } else { "RGB" };
            format!("{} x {} {kind}", picture.width, picture.height)
        };
        let message =
            format!("{} is {}, {} is {}", input.name, shape(&input.picture), cipher.display(), shape(&picture));
        return Err(Failure::usage(message).advise("a pair has the same size and the same channels"));
    }
    Ok((input, picture))
}

fn decode(name: &str, source: impl Read) -> Result<DynamicImage, Failure> {
    let file = endpoint::read_frame(name, source)?;
    let image = picture_type::decode(&file).map_err(|failure| failure.about(name))?;
    match image.width() * image.height() {
        0 => Err(Failure::new(Exit::Content, format!("{name}: a picture without pixels"))),
        _ => Ok(image),
    }
}

/// Rows of the picture inside a cipher picture of ours.
fn rows_of_ours(image: &DynamicImage) -> Option<usize> {
    let pixels = Pixels::from_image(image.clone()).ok()?;
    let stride = pixels.layout.planes()[0].row_bytes;
    let plane = Plane { data: &pixels.bytes, stride };
    let frame = CipherPicture::default().read_headers(&pixels.layout, &[plane]).ok()?;
    Some(frame.height() as usize)
}

/// The samples of a decoded picture, the upper eight bits of each.
pub fn picture_of(image: DynamicImage) -> Picture {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let upper = |samples: Vec<u16>| samples.into_iter().map(|sample| (sample >> 8) as u8).collect();
    let is_deep = image.color().bytes_per_pixel() > image.color().channel_count();
    let (channels, bytes) = match (image.color().has_color(), is_deep) {
        (true, false) => (3, image.into_rgb8().into_raw()),
        (true, true) => (3, upper(image.into_rgb16().into_raw())),
        (false, false) => (1, image.into_luma8().into_raw()),
        (false, true) => (1, upper(image.into_luma16().into_raw())),
    };
    Picture { width, height, channels, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding would give 0 and 255 half of their share.
    #[test]
    fn deep_samples_lose_their_lower_bits() {
        let deep = image::ImageBuffer::from_raw(4, 1, vec![0x00FF, 0x0180, 0xFE80, 0xFFFFu16]).expect("fits");
        let picture = picture_of(DynamicImage::ImageLuma16(deep));
        assert_eq!((picture.shape(), picture.bytes), ((4, 1, 1), vec![0x00, 0x01, 0xFE, 0xFF]));
    }
}
