//! The bytes of a raw frame as they are judged and classified: without padding, of a cipher picture of ours without the rows
//! of headers; and where the first channel is in them.

use super::video::{self, RawVideo};
use crate::{
    Result,
    backend::memory,
    frame::{FrameLayout, pack},
    seal::CipherPicture,
};

/// Where one channel of eight bits is in a frame's bytes.
pub struct Channel {
    /// Its first sample.
    offset: usize,
    /// Bytes from one sample to the next.
    step: usize,
    /// Bytes of a row, of all channels in it.
    row_bytes: usize,
    rows: usize,
}

impl Channel {
    /// The first channel of frames of a layout (that of `raw`, or of the picture inside), if its samples have eight bits.
    pub fn of(raw: &RawVideo, layout: &FrameLayout) -> Option<Channel> {
        let (format, plane) = (raw.info.format_info(), &layout.planes()[0]);
        let eight_bits = format.depth()[0] == 8 && !format.flags().contains(gst_video::VideoFormatFlags::COMPLEX);
        let (offset, step) = (format.poffset()[0] as usize, format.pixel_stride()[0] as usize);
        let is_first = format.plane()[0] == 0 && step > 0 && offset < plane.row_bytes;
        (eight_bits && is_first).then_some(Channel { offset, step, row_bytes: plane.row_bytes, rows: plane.rows })
    }

    /// Width and height in samples.
    #[cfg(feature = "nn")]
    pub fn size(&self) -> (usize, usize) {
        ((self.row_bytes - self.offset).div_ceil(self.step), self.rows)
    }

    /// A square of `side * side` samples out of a frame.
    ///
    /// # Errors
    /// [`Error::Geometry`](crate::Error::Geometry) if it does not lie inside.
    #[cfg(feature = "nn")]
    pub fn crop(&self, frame: crate::frame::View, (left, top): (usize, usize), side: usize) -> Result<Vec<u8>> {
        let mut samples = Vec::with_capacity(side * side);
        let mut row = vec![0; (side - 1) * self.step + 1];
        for line in top..top + side {
            frame.copy(line * self.row_bytes + self.offset + left * self.step, &mut row)?;
            samples.extend(row.iter().step_by(self.step));
        }
        Ok(samples)
    }

    /// Collects its samples and returns how many make a row.
    pub fn samples(&self, bytes: &[u8], samples: &mut Vec<u8>) -> usize {
        samples.clear();
        let rows = bytes.chunks_exact(self.row_bytes).take(self.rows);
        samples.extend(rows.flat_map(|row| row[self.offset..].iter().step_by(self.step)));
        (self.row_bytes - self.offset).div_ceil(self.step)
    }
}

/// Packs a frame into `bytes` and tells where its first channel is, if its samples have eight bits.
///
/// # Errors
/// [`Error::Geometry`](crate::Error::Geometry) if the buffer is smaller than its caps say.
pub fn collect(
    buffer: &gst::BufferRef,
    raw: &RawVideo,
    picture: &mut CipherPicture,
    bytes: &mut Vec<u8>,
) -> Result<Option<Channel>> {
    let layout: FrameLayout = video::read_planes(buffer, raw, |planes| {
        let layout = picture.read_headers(&raw.layout, planes).unwrap_or_else(|_| raw.layout.clone());
        memory::resize(bytes, layout.payload_bytes());
        pack(&layout, planes, bytes)?;
        Ok(layout)
    })?;
    Ok(Channel::of(raw, &layout))
}
