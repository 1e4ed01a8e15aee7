//! Decoded pixels as the bytes of a raw video picture, and back: depth, alpha and channels kept.

use image::{DynamicImage, ImageBuffer, Pixel};

use super::error::{Exit, Failure};
use crate::frame::{Format, FrameLayout};

/// A picture as the bytes of a raw video format.
pub struct Pixels {
    /// Format and size.
    pub layout: FrameLayout,
    /// The rows, one after the other.
    pub bytes: Vec<u8>,
}

impl Pixels {
    /// Takes a decoded picture.
    ///
    /// # Errors
    /// For floating-point samples, and pictures over the limits of a frame.
    pub fn from_image(image: DynamicImage) -> Result<Pixels, Failure> {
        let (width, height) = (image.width(), image.height());
        let (format, bytes) = match image {
            DynamicImage::ImageLuma8(image) => ("GRAY8", image.into_raw()),
            DynamicImage::ImageLumaA8(image) => ("GRAYA8", image.into_raw()),
            DynamicImage::ImageRgb8(image) => ("RGB", image.into_raw()),
            DynamicImage::ImageRgba8(image) => ("RGBA", image.into_raw()),
            DynamicImage::ImageLuma16(image) => ("GRAY16_BE", big_endian(image.into_raw())),
            DynamicImage::ImageLumaA16(image) => ("GRAYA16_BE", big_endian(image.into_raw())),
            DynamicImage::ImageRgb16(image) => ("RGB48_BE", big_endian(image.into_raw())),
            DynamicImage::ImageRgba16(image) => ("RGBA64_BE", big_endian(image.into_raw())),
            _ => {
                return Err(Failure::new(Exit::Other, "a PNG cannot hold floating-point samples")
                    .advise("name an OUTPUT that ends in .cveil"));
            }
        };
        Ok(Pixels { layout: FrameLayout::new(Format::from_name(format)?, width, height, false)?, bytes })
    }

    /// The decoded picture.
    ///
    /// # Errors
    /// If the format is none of [`Pixels::from_image`]'s, or the bytes are too few.
    pub fn into_image(self) -> Result<DynamicImage, Failure> {
        let Pixels { layout, bytes } = self;
        let size = (layout.width(), layout.height());
        let image = match layout.format().name() {
            "GRAY8" => image(size, bytes).map(DynamicImage::ImageLuma8),
            "GRAYA8" => image(size, bytes).map(DynamicImage::ImageLumaA8),
            "RGB" => image(size, bytes).map(DynamicImage::ImageRgb8),
            "RGBA" => image(size, bytes).map(DynamicImage::ImageRgba8),
            "GRAY16_BE" => image(size, native_endian(&bytes)).map(DynamicImage::ImageLuma16),
            "GRAYA16_BE" => image(size, native_endian(&bytes)).map(DynamicImage::ImageLumaA16),
            "RGB48_BE" => image(size, native_endian(&bytes)).map(DynamicImage::ImageRgb16),
            "RGBA64_BE" => image(size, native_endian(&bytes)).map(DynamicImage::ImageRgba16),
            _ => None,
        };
        image.ok_or_else(|| {
            Failure::new(Exit::Other, format!("raw {} is no picture of a picture file", layout.format()))
        })
    }

    /// Caps of a picture of this layout: a still one, without a rate.
    pub fn caps(layout: &FrameLayout) -> String {
        let (format, width, height) = (layout.format(), layout.width(), layout.height());
        format!(
            "video/x-raw, format=(string){format}, width=(int){width}, height=(int){height}, framerate=(fraction)0/1"
        )
    }

    /// The layout that caps describe.
    ///
    /// # Errors
    /// If they describe no progressive raw video that we know.
    pub fn layout_of_caps(caps: &str) -> Result<FrameLayout, Failure> {
        let field = |name: &str| {
            let field = caps.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix("=("))?;
            Some(field.split_once(')')?.1)
        };
        let number = |name| field(name).and_then(|text| text.parse().ok());
        let (Some(format), Some(width), Some(height)) = (field("format"), number("width"), number("height")) else {
            return Err(Failure::new(Exit::Content, format!("no raw picture: {caps}")));
        };
        Ok(FrameLayout::new(Format::from_name(format)?, width, height, false)?)
    }
}

fn image<P: Pixel>((width, height): (u32, u32), samples: Vec<P::Subpixel>) -> Option<ImageBuffer<P, Vec<P::Subpixel>>> {
    ImageBuffer::from_raw(width, height, samples)
}

fn big_endian(samples: Vec<u16>) -> Vec<u8> {
    samples.into_iter().flat_map(u16::to_be_bytes).collect()
}

fn native_endian(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_name_the_layout() {
        for (format, width, height) in [("GRAY8", 1, 1), ("RGB48_BE", 640, 481)] {
            let layout =
                FrameLayout::new(Format::from_name(format).expect("known"), width, height, false).expect("fits");
            assert_eq!(Pixels::layout_of_caps(&Pixels::caps(&layout)).expect("ours"), layout);
        }
        for caps in ["image/png", "video/x-raw, format=(string)RGB, width=(int)-3, height=(int)2", ""] {
            assert!(Pixels::layout_of_caps(caps).is_err(), "{caps}");
        }
    }
}
