//! The bytes of a raw frame as they are judged and classified: without padding, of a cipher picture of ours without the rows
//! of headers; and where the first channel is in them.

use super::video::{self, RawVideo};
use crate::{
    Result,
    backend::memory,
    frame::{FrameLayout, pack},
    seal::CipherPicture,
};

/// Where one channel is in a frame's bytes.
pub struct Channel {
    /// Its plane.
    plane: usize,
    /// Its first sample in a row.
    offset: usize,
    /// Bytes from one sample to the next.
    step: usize,
    /// Bytes of a row, of all channels in it.
    row_bytes: usize,
    rows: usize,
    sample: Sample,
}

/// How a sample is held.
#[derive(Clone, Copy)]
pub enum Sample {
    /// One.
    Byte,
    /// Two bytes with the sample at some place in them.
    Word {
        /// Order of the bytes.
        big_endian: bool,
        /// Bits below it.
        shift: u32,
        /// Bits of it.
        depth: u32,
    },
}

impl Sample {
    /// That of a format's first component; `None` where it does not stand in a byte or in two.
    fn of(format: &gst_video::VideoFormatInfo) -> Option<Sample> {
        let (shift, depth) = (format.shift()[0], format.depth()[0]);
        // The places that GStreamer tells are not always right where a sample has fewer bits than a byte (BGR16), or more and
        // shares its bytes or words with others (r210, Y410, Y210).
        let is_alone = format.pixel_stride()[0] == 2 || depth == 16;
        match shift + depth {
            _ if format.flags().contains(gst_video::VideoFormatFlags::COMPLEX) => None,
            8 if depth == 8 => Some(Sample::Byte),
            9..=16 if depth >= 8 && is_alone => Some(Sample::Word { big_endian: !format.is_le(), shift, depth }),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Sample::Byte => 1,
            Sample::Word { .. } => 2,
        }
    }
}

impl Channel {
    /// The first channel of frames of a layout (that of `raw`, or of the picture inside), if each of its samples stands in a
    /// byte or in two.
    pub fn of(raw: &RawVideo, layout: &FrameLayout) -> Option<Channel> {
        let sample = sample(&raw.info)?;
        let format = raw.info.format_info();
        let plane = &layout.planes()[format.plane()[0] as usize];
        let (offset, step) = (format.poffset()[0] as usize, format.pixel_stride()[0] as usize);
        let fits = offset + sample.bytes() <= plane.row_bytes;
        let (row_bytes, rows) = (plane.row_bytes, plane.rows);
        fits.then_some(Channel { plane: plane.offset, offset, step, row_bytes, rows, sample })
    }

    /// Width and height in samples.
    pub fn size(&self) -> (usize, usize) {
        ((self.row_bytes - self.offset - self.sample.bytes()) / self.step + 1, self.rows)
    }

    /// A square of `side * side` samples out of a frame, the eight most significant bits of each.
    ///
    /// # Errors
    /// [`Error::Geometry`](crate::Error::Geometry) if it does not lie inside.
    #[cfg(feature = "nn")]
    pub fn crop(&self, frame: crate::frame::View, (left, top): (usize, usize), side: usize) -> Result<Vec<u8>> {
        let mut samples = Vec::with_capacity(side * side);
        let mut row = vec![0; (side - 1) * self.step + self.sample.bytes()];
        for line in top..top + side {
            frame.copy(self.plane + line * self.row_bytes + self.offset + left * self.step, &mut row)?;
            self.take_row(&row, &mut samples);
        }
        Ok(samples)
    }

    /// Collects the eight most significant bits of its samples and returns how many samples make a row.
    pub fn samples(&self, bytes: &[u8], samples: &mut Vec<u8>) -> usize {
        samples.clear();
        let rows = bytes[self.plane..].chunks_exact(self.row_bytes).take(self.rows);
        rows.for_each(|row| self.take_row(&row[self.offset..], samples));
        self.size().0
    }

    /// The samples of a row that begins with one.
    fn take_row(&self, row: &[u8], samples: &mut Vec<u8>) {
        match self.sample {
            Sample::Byte if self.step == 1 => samples.extend_from_slice(row),
            Sample::Byte => samples.extend(row.iter().step_by(self.step)),
            Sample::Word { big_endian, shift, depth } => {
                let word = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
                let upper = |pair: &[u8]| upper_bits(word([pair[0], pair[1]]) >> shift, depth);
                samples.extend(row.windows(2).step_by(self.step).map(upper));
            }
        }
    }
}

/// The eight most significant of so many bits.
fn upper_bits(sample: u16, depth: u32) -> u8 {
    (u32::from(sample) >> (depth - 8)) as u8
}

/// Packs a frame into `bytes` and tells where its first channel is, if each of its samples stands in a byte or in two.
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

/// How the samples of the first channel are held; `None` where [`collect`] does not find them.
pub fn sample(info: &gst_video::VideoInfo) -> Option<Sample> {
    let format = info.format_info();
    Sample::of(&format).filter(|_| format.pixel_stride()[0] > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_upper_bits() {
        assert_eq!([0, 0x3ff, 0x155].map(|sample| upper_bits(sample, 10)), [0, 0xff, 0x55]);
        assert_eq!(upper_bits(0xabcd, 16), 0xab);
        assert_eq!(upper_bits(0xfc12, 8), 0x12, "what stands above a sample is none of it");
    }
}
