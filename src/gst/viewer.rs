//! Frames as a classifier looks at them: buffers become pictures.
//!
//! For networks of ours that is the first channel (luma, or red), the eight most significant bits of each sample as they are
//! in the buffer, of a cipher picture of ours without the rows of headers. Formats that do not hold a sample in one byte or
//! two (v210, tiles, palettes) are unpacked by GStreamer first, of large frames the middle. For models of others it is
//! always the middle, as gray or RGB by GStreamer's conversion. Nothing is resized.

use gst_video::prelude::*;

use super::{
    first_channel,
    video::{Content, RawVideo},
};
use crate::{Error, Result, analysis::picture::Picture, nn::View, seal::CipherPicture};

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
                let channel = first_channel::collect(buffer, raw, headers, bytes)?
                    .ok_or_else(|| Error::Geometry("a row without a sample".into()))?;
                picture.channels = 1;
                picture.width = channel.samples(bytes, &mut picture.bytes);
                picture.height = picture.bytes.len().checked_div(picture.width).unwrap_or(0);
                Ok(())
            }
            Viewer::Middle(middle) => middle.look(buffer, picture),
        }
    }
}

/// The middle of frames, converted by GStreamer.
pub struct Middle {
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
        let impossible = |error: gst::glib::BoolError| Error::Geometry(format!("{} is not converted: {error}", info.format()));
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
            View::Centre { width, height, channels: 1 } => (width as u32, height as u32, gst_video::VideoFormat::Gray8, 0..1),
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
        Ok(Middle { converter, from, to, converted, pixel_bytes, taken })
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
