//! Frames as a classifier looks at them: buffers become pictures.
//!
//! For networks of ours that is the first channel (luma, or red), the eight most significant bits of each sample as they are
//! in the buffer, of a cipher picture of ours without the rows of headers. Formats that do not hold a sample of eight bits or
//! more in one byte or two (v210, RGB16, tiles, palettes) are unpacked by GStreamer first, of large frames the middle. For models of others it is
//! always the middle, as gray or RGB by GStreamer's conversion. Nothing is resized.

use gst_video::prelude::*;

use super::{
    first_channel::{self, Channel},
    video::{self, Content, RawVideo},
};
use crate::{
    Error, Result,
    analysis::picture::Picture,
    frame,
    nn::{View, crop, crop_places, preprocessing::CROP},
    seal::CipherPicture,
};

/// Samples a side of what is unpacked: three crops of the network.
const MIDDLE: u32 = 384;

/// Turns buffers of one kind of caps into pictures.
pub enum Viewer {
    /// Samples are taken out of the buffer.
    Channel {
        /// What the buffers are.
        raw: Box<RawVideo>,
        /// What is known of cipher pictures among them.
        picture: Box<CipherPicture>,
        /// A frame without padding, kept from frame to frame.
        bytes: Vec<u8>,
    },
    /// GStreamer converts the middle.
    Middle(Box<Middle>),
}

impl Viewer {
    /// For buffers of these caps.
    ///
    /// # Errors
    /// [`Error::Geometry`] if they are no raw video, or smaller than what is looked at.
    pub fn new(caps: &gst::CapsRef, view: View) -> Result<Viewer> {
        let content = Content::of(caps)?;
        let info = match &content {
            Content::Raw(raw) => &raw.info,
            Content::Opaque(Some(info)) => info,
            Content::Opaque(None) => return Err(Error::Geometry(format!("no raw video: {caps}"))),
        };
        view.check(info.width() as usize, info.field_height() as usize)?;
        match (view, content) {
            (View::FirstChannel { .. }, Content::Raw(raw)) if first_channel::sample(&raw.info).is_some() => {
                Ok(Viewer::Channel { raw, picture: Box::default(), bytes: Vec::new() })
            }
            (_, Content::Raw(raw)) => Middle::new(&raw.info, view).map(|middle| Viewer::Middle(Box::new(middle))),
            (_, Content::Opaque(Some(info))) => Middle::new(&info, view).map(|middle| Viewer::Middle(Box::new(middle))),
            (_, Content::Opaque(None)) => unreachable!("returned above"),
        }
    }

    /// Fills in the picture that a buffer is.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the buffer is not what its caps say.
    pub fn look(&mut self, buffer: &gst::BufferRef, picture: &mut Picture) -> Result<()> {
        match self {
            Viewer::Channel { raw, picture: headers, bytes } => {
                let channel = first_channel::collect(buffer, raw, headers, bytes)?.ok_or_else(no_sample)?;
                picture.channels = 1;
                picture.width = channel.samples(bytes, &mut picture.bytes);
                picture.height = picture.bytes.len().checked_div(picture.width).unwrap_or(0);
                Ok(())
            }
            Viewer::Middle(middle) => middle.look(buffer, picture),
        }
    }

    /// The same for a frame of many: for networks of ours one crop of it, the next with each `number`, and no more of the
    /// frame is copied.
    ///
    /// # Errors
    /// Those of [`Viewer::look`].
    pub fn glimpse(&mut self, buffer: &gst::BufferRef, number: usize, picture: &mut Picture) -> Result<()> {
        let place = |width, height| crop_places(width, height).map(|places| places[number % places.len()]);
        picture.bytes = match self {
            Viewer::Channel { raw, picture: headers, .. } => video::read_planes(buffer, raw, |planes| {
                let layout = headers.read_headers(&raw.layout, planes).unwrap_or_else(|_| raw.layout.clone());
                let channel = Channel::of(raw, &layout).ok_or_else(no_sample)?;
                let (width, height) = channel.size();
                channel.crop(frame::View::Rows(&layout, planes), place(width, height)?, CROP)
            })?,
            Viewer::Middle(middle) => {
                middle.look(buffer, picture)?;
                if !middle.is_first_channel {
                    return Ok(());
                }
                crop(picture, place(picture.width, picture.height)?, 0)
            }
        };
        (picture.width, picture.height, picture.channels) = (CROP, CROP, 1);
        Ok(())
    }
}

fn no_sample() -> Error {
    Error::Geometry("a row without a sample".into())
}

/// The middle of frames, converted by GStreamer.
pub struct Middle {
    is_first_channel: bool,
    converter: gst_video::VideoConverter,
    from: gst_video::VideoInfo,
    to: gst_video::VideoInfo,
    converted: gst::Buffer,
    /// Bytes of a pixel, and those of them that are taken.
    pixel_bytes: usize,
    taken: std::ops::Range<usize>,
}

impl Middle {
    fn new(info: &gst_video::VideoInfo, view: View) -> Result<Middle> {
        let impossible =
            |error: gst::glib::BoolError| Error::Geometry(format!("{} is not converted: {error}", info.format()));
        let from = as_picture(info).map_err(impossible)?;
        let (width, height, format, taken) = match view {
            View::FirstChannel { .. } => {
                let format = match from.format_info().unpack_format() {
                    gst_video::VideoFormat::Argb | gst_video::VideoFormat::Argb64 => gst_video::VideoFormat::Argb,
                    _ => gst_video::VideoFormat::Ayuv,
                };
                // Behind alpha.
                (from.width().min(MIDDLE), from.height().min(MIDDLE), format, 1..2)
            }
            View::Centre { width, height, channels: 1 } => {
                (width as u32, height as u32, gst_video::VideoFormat::Gray8, 0..1)
            }
            View::Centre { width, height, .. } => (width as u32, height as u32, gst_video::VideoFormat::Rgb, 0..3),
        };
        let mut to = gst_video::VideoInfo::builder(format, width, height).fps(from.fps());
        let mut how = gst_video::VideoConverterConfig::new();
        how.set_src_x(((from.width() - width) / 2) as i32);
        how.set_src_y(((from.height() - height) / 2) as i32);
        how.set_src_width(Some(width as i32));
        how.set_src_height(Some(height as i32));
        how.set_dither_method(gst_video::VideoDitherMethod::None);
        let colorimetry = from.colorimetry();
        if let View::FirstChannel { .. } = view {
            // The numbers as they are.
            to = to.colorimetry(&colorimetry);
            how.set_matrix_mode(gst_video::VideoMatrixMode::None);
            how.set_chroma_mode(gst_video::VideoChromaMode::None);
        }
        let to = to.build().map_err(impossible)?;
        let converter = gst_video::VideoConverter::new(&from, &to, Some(how)).map_err(impossible)?;
        let converted = gst::Buffer::with_size(to.size()).map_err(impossible)?;
        let pixel_bytes = to.format_info().pixel_stride()[0] as usize;
        let is_first_channel = matches!(view, View::FirstChannel { .. });
        Ok(Middle { is_first_channel, converter, from, to, converted, pixel_bytes, taken })
    }

    fn look(&mut self, buffer: &gst::BufferRef, picture: &mut Picture) -> Result<()> {
        let unreadable = |_| Error::Geometry("a buffer that is not what its caps say".into());
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &self.from).map_err(unreadable)?;
        if source.width() != self.from.width() || source.height() < self.from.height() {
            return Err(Error::Geometry("a buffer of another size than its caps: it has to be cropped before".into()));
        }
        let converted = self.converted.get_mut().expect("nobody else has it");
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(converted, &self.to).map_err(unreadable)?;
        self.converter.frame_ref(&source, &mut frame);
        let (width, height) = (self.to.width() as usize, self.to.height() as usize);
        let stride = frame.plane_stride()[0] as usize;
        let rows = frame.plane_data(0).map_err(unreadable)?.chunks(stride).take(height);
        picture.bytes.clear();
        for row in rows {
            let pixels = row.chunks_exact(self.pixel_bytes).take(width);
            picture.bytes.extend(pixels.flat_map(|pixel| &pixel[self.taken.clone()]));
        }
        (picture.width, picture.height, picture.channels) = (width, height, self.taken.len());
        Ok(())
    }
}

/// Where fields come in buffers of their own each is a picture.
fn as_picture(info: &gst_video::VideoInfo) -> Result<gst_video::VideoInfo, gst::glib::BoolError> {
    let colorimetry = info.colorimetry();
    gst_video::VideoInfo::builder(info.format(), info.width(), info.field_height())
        .fps(info.fps())
        .colorimetry(&colorimetry)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{analysis::random::Random, frame::Format};

    const WIDTH: u32 = 134;
    const HEIGHT: u32 = 132;

    fn info(format: gst_video::VideoFormat) -> gst_video::VideoInfo {
        let bt709 = if format_info(format).is_rgb() { "sRGB" } else { "bt709" };
        let colorimetry: gst_video::VideoColorimetry = bt709.parse().expect("a colorimetry");
        gst_video::VideoInfo::builder(format, WIDTH, HEIGHT).colorimetry(&colorimetry).build().expect("valid")
    }

    fn format_info(format: gst_video::VideoFormat) -> gst_video::VideoFormatInfo {
        gst_video::VideoFormatInfo::from_format(format)
    }

    /// The first channel's sample at each place: every value, and none that a neighbour gives away.
    fn sample(x: u32, y: u32) -> u8 {
        (x * 7 + y * 13) as u8
    }

    /// A frame whose first channel is that, packed by GStreamer from four bytes a pixel.
    fn frame(format: gst_video::VideoFormat) -> (gst_video::VideoInfo, gst::Buffer) {
        let is_rgb = format_info(format).is_rgb();
        let four = info(if is_rgb { gst_video::VideoFormat::Argb } else { gst_video::VideoFormat::Ayuv });
        let pixels = (0..HEIGHT).flat_map(|y| (0..WIDTH).flat_map(move |x| [255, sample(x, y), 128, 128]));
        let from = gst::Buffer::from_slice(pixels.collect::<Vec<u8>>());
        let to = info(format);
        let mut packed = gst::Buffer::with_size(to.size()).expect("memory");
        {
            let mut how = gst_video::VideoConverterConfig::new();
            how.set_dither_method(gst_video::VideoDitherMethod::None);
            how.set_matrix_mode(gst_video::VideoMatrixMode::None);
            let converter = gst_video::VideoConverter::new(&four, &to, Some(how)).expect("it converts");
            let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&from, &four).expect("readable");
            let packed = packed.get_mut().expect("one owner");
            let mut packed = gst_video::VideoFrameRef::from_buffer_ref_writable(packed, &to).expect("writable");
            converter.frame_ref(&from, &mut packed);
        }
        (to, packed)
    }

    fn look(info: &gst_video::VideoInfo, buffer: &gst::BufferRef, view: View) -> (Picture, bool) {
        let caps = info.to_caps().expect("caps");
        let mut viewer = Viewer::new(&caps, view).unwrap_or_else(|error| panic!("{caps}: {error}"));
        let mut picture = Picture { width: 0, height: 0, channels: 0, bytes: Vec::new() };
        viewer.look(buffer, &mut picture).unwrap_or_else(|error| panic!("{caps}: {error}"));
        (picture, matches!(viewer, Viewer::Channel { .. }))
    }

    /// Of every format the upper eight bits come out as they went in; of five bits those and themselves again.
    #[test]
    fn every_format_shows_its_first_channel() {
        gst::init().expect("GStreamer starts");
        let formats = Format::all().filter(|format| format.is_gstreamer());
        let (mut read_here, mut wrong) = (0, Vec::new());
        for format in formats.map(|format| format.name().parse::<gst_video::VideoFormat>().expect("GStreamer's")) {
            let (info, buffer) = frame(format);
            let (picture, is_read_here) = look(&info, &buffer, View::FirstChannel { side: 128 });
            read_here += usize::from(is_read_here);
            assert_eq!(picture.shape(), (WIDTH as usize, HEIGHT as usize, 1), "{format}");
            let depth = format_info(format).depth()[0];
            let expected = |at: usize| {
                let sample = sample(at as u32 % WIDTH, at as u32 / WIDTH);
                if depth >= 8 { sample } else { sample & 0xf8 | sample >> 5 }
            };
            // A palette has not all values.
            if format != gst_video::VideoFormat::Rgb8p {
                let at = picture.bytes.iter().enumerate().position(|(at, &byte)| byte != expected(at));
                wrong.extend(at.map(|at| format!("{format}: {} for {} at {at}", picture.bytes[at], expected(at))));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(read_here > 80, "{read_here} formats are read without conversion");
    }

    /// A glimpse is a crop of what a look sees, at each place in turn, read here or converted.
    #[test]
    fn glimpses_are_crops() {
        gst::init().expect("GStreamer starts");
        for format in ["I420", "RGB", "P010_10LE", "v210", "RGB16"] {
            let format: gst_video::VideoFormat = format.parse().expect("GStreamer's");
            let (small, _) = frame(format);
            let info = gst_video::VideoInfo::builder(format, 2 * WIDTH, HEIGHT).colorimetry(&small.colorimetry());
            let info = info.build().expect("valid");
            let mut bytes = vec![0; info.size()];
            Random::new(&[1; 32], "glimpse").fill(&mut bytes);
            let buffer = gst::Buffer::from_slice(bytes);
            let (whole, _) = look(&info, &buffer, View::FirstChannel { side: CROP });
            let places = [0, 2 * WIDTH as usize - CROP];
            let mut viewer =
                Viewer::new(&info.to_caps().expect("caps"), View::FirstChannel { side: CROP }).expect("large");
            let mut picture = Picture { width: 0, height: 0, channels: 0, bytes: Vec::new() };
            for number in 0..4 {
                viewer.glimpse(&buffer, number, &mut picture).expect("as its caps say");
                let left = places[number % 2];
                let rows = whole.bytes.chunks(whole.width).skip(2).take(CROP);
                let expected: Vec<u8> = rows.flat_map(|row| &row[left..left + CROP]).copied().collect();
                assert_eq!((picture.shape(), &picture.bytes), ((CROP, CROP, 1), &expected), "{format} {number}");
            }
        }
    }

    /// By hand: v210 holds in its first word blue difference, luma and red difference of ten bits each.
    #[test]
    fn v210_by_hand() {
        gst::init().expect("GStreamer starts");
        let info = info(gst_video::VideoFormat::V210);
        let mut bytes = vec![0u8; info.size()];
        let word = 512u32 | 0x2ab << 10 | 512 << 20;
        bytes[..4].copy_from_slice(&word.to_le_bytes());
        let buffer = gst::Buffer::from_slice(bytes);
        let (picture, _) = look(&info, &buffer, View::FirstChannel { side: 128 });
        assert_eq!(picture.bytes[..2], [(0x2ab >> 2) as u8, 0]);
    }

    /// Red and the middle: the frame is red but for a green square in its middle, and the model sees the square.
    #[test]
    fn the_middle_in_colour_and_gray() {
        gst::init().expect("GStreamer starts");
        let info = info(gst_video::VideoFormat::Rgb);
        let stride = info.stride()[0] as usize;
        let mut bytes = vec![0u8; info.size()];
        for (y, row) in bytes.chunks_exact_mut(stride).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(3).take(WIDTH as usize).enumerate() {
                let is_middle = (51..83).contains(&x) && (54..78).contains(&y);
                pixel.copy_from_slice(if is_middle { &[0, 255, 0] } else { &[255, 0, 0] });
            }
        }
        let buffer = gst::Buffer::from_slice(bytes);
        let (picture, _) = look(&info, &buffer, View::Centre { width: 32, height: 24, channels: 3 });
        assert_eq!((picture.shape(), &picture.bytes), ((32, 24, 3), &[0, 255, 0].repeat(32 * 24)));
        let (picture, _) = look(&info, &buffer, View::Centre { width: 32, height: 24, channels: 1 });
        let luma = 0.587 * 255.0;
        assert!(picture.bytes.iter().all(|&byte| (f64::from(byte) - luma).abs() < 30.0), "{:?}", &picture.bytes[..4]);
    }

    #[test]
    fn fail_small_frames_and_other_content() {
        gst::init().expect("GStreamer starts");
        let caps = info(gst_video::VideoFormat::I420).to_caps().expect("caps");
        let error = Viewer::new(&caps, View::Centre { width: 135, height: 10, channels: 3 }).err().expect("refused");
        assert!(error.to_string().contains("134 x 132 is too small"), "{error}");
        let caps = "audio/x-raw".parse::<gst::Caps>().expect("caps");
        assert!(Viewer::new(&caps, View::FirstChannel { side: 128 }).is_err());
        // A buffer that is too short for its caps.
        for format in [gst_video::VideoFormat::I420, gst_video::VideoFormat::V210, gst_video::VideoFormat::Nv124l4] {
            let caps = info(format).to_caps().expect("caps");
            let mut viewer = Viewer::new(&caps, View::FirstChannel { side: 128 }).expect("large enough");
            let mut picture = Picture { width: 0, height: 0, channels: 0, bytes: Vec::new() };
            assert!(viewer.look(&gst::Buffer::from_slice([0; 7]), &mut picture).is_err(), "{format}");
        }
    }
}
