//! The extra rows of a cipher picture: headers, authenticator and record in the last rows of plane 0, ended by a
//! trailer (FORMAT.md, section 7). The picture's own rows are the frame after seal and stage.

use super::{
    bytes::Fields,
    frame_header::{FRAME_HEADER_BYTES, FrameHeader, Kind},
    suite::{Profile, TAG_BYTES},
};
use crate::{
    Error, Result,
    backend::memory,
    frame::{FrameLayout, Plane, PlaneMut, pack, unpack},
};

const TRAILER_MAGIC: &[u8; 8] = b"CVEILPIC";
const TRAILER_BYTES: usize = 24;
/// Room for a frame's record in a cipher picture: times, flags, and about two kilobytes of metas.
pub const PICTURE_RECORD_BYTES: usize = 2048;

/// How a frame becomes a taller cipher picture: fixed when the stream's caps are.
#[derive(Clone, Debug)]
pub struct PictureLayout {
    /// The picture itself.
    pub frame: FrameLayout,
    /// The cipher picture.
    pub cipher: FrameLayout,
    extra_rows: usize,
}

impl PictureLayout {
    /// The layout that has room for a stream header of `header_len` bytes.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the picture would become too tall.
    pub fn new(frame: FrameLayout, profile: Profile, header_len: usize) -> Result<PictureLayout> {
        let authenticator = profile.authenticator_len(frame.payload_bytes());
        let prefix = FRAME_HEADER_BYTES + authenticator + PICTURE_RECORD_BYTES + TAG_BYTES;
        let bytes = header_len + prefix + TRAILER_BYTES;
        let step = frame.row_step();
        let extra_rows = bytes.div_ceil(frame.planes()[0].row_bytes).next_multiple_of(step as usize);
        PictureLayout::with_extra_rows(frame, extra_rows)
    }

    pub(crate) fn with_extra_rows(frame: FrameLayout, extra_rows: usize) -> Result<PictureLayout> {
        let rows = u32::try_from(extra_rows).map_err(|_| Error::Refused("too many extra rows"))?;
        let cipher = frame.taller(rows)?;
        Ok(PictureLayout { frame, cipher, extra_rows })
    }

    /// Bytes of plane 0's extra rows.
    fn margin_bytes(&self) -> usize {
        self.extra_rows * self.frame.planes()[0].row_bytes
    }

    /// Fills a cipher picture from a frame after seal and stage, its stream header and its prefix. `margin` is scratch.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if headers and record do not fit, [`Error::Geometry`] if the planes do not.
    pub fn fill(
        &self,
        header: &[u8],
        prefix: &[u8],
        payload: &[u8],
        planes: &mut [PlaneMut],
        margin: &mut Vec<u8>,
    ) -> Result<()> {
        let used = header.len() + prefix.len() + TRAILER_BYTES;
        if used > self.margin_bytes() {
            return Err(Error::TooLarge {
                what: "bytes of headers and metas beside a cipher picture (packets have no such limit)",
                size: used as u64,
                limit: self.margin_bytes() as u64,
            });
        }
        margin.clear();
        margin.extend_from_slice(header);
        margin.extend_from_slice(prefix);
        margin.resize(self.margin_bytes() - TRAILER_BYTES, 0);
        margin.extend_from_slice(&self.trailer(header.len(), prefix.len()));
        unpack(&self.frame, payload, planes)?;
        for (index, plane) in planes.iter_mut().enumerate().take(self.frame.planes().len()) {
            let (extra, row_bytes) = (self.extra_rows_of(index), self.frame.planes()[index].row_bytes);
            if index == 0 {
                plane.scatter(extra.start, row_bytes, margin)?;
            } else {
                for row in extra {
                    let start = row * plane.stride;
                    plane.data.get_mut(start..start + row_bytes).ok_or_else(too_short)?.fill(0);
                }
            }
        }
        Ok(())
    }

    /// Rows of a plane that the picture does not have.
    fn extra_rows_of(&self, plane: usize) -> std::ops::Range<usize> {
        self.frame.planes()[plane].rows..self.cipher.planes()[plane].rows
    }

    fn trailer(&self, header_len: usize, prefix_len: usize) -> [u8; TRAILER_BYTES] {
        let mut out = [0; TRAILER_BYTES];
        out[..8].copy_from_slice(TRAILER_MAGIC);
        out[8] = 1;
        out[12..16].copy_from_slice(&(header_len as u32).to_le_bytes());
        out[16..20].copy_from_slice(&(prefix_len as u32).to_le_bytes());
        out[20..24].copy_from_slice(&(self.extra_rows as u32).to_le_bytes());
        out
    }
}

/// A cipher picture taken apart; its memory is kept from picture to picture.
#[derive(Debug, Default)]
pub struct CipherPicture {
    margin: Vec<u8>,
    /// The frame after seal and stage.
    pub payload: Vec<u8>,
    header_len: usize,
    prefix_len: usize,
    /// Width and height of the picture inside.
    pub size: (u32, u32),
}

impl CipherPicture {
    /// HEAD and TAIL.
    pub fn header(&self) -> &[u8] {
        &self.margin[..self.header_len]
    }

    /// Frame header, authenticator and sealed record.
    pub fn prefix(&self) -> &[u8] {
        &self.margin[self.header_len..self.header_len + self.prefix_len]
    }

    /// Takes a picture apart, checking its trailer and that everything that should be zero is.
    ///
    /// # Errors
    /// [`Error::NotOurs`] without a trailer, [`Error::Refused`] if the rows contradict it.
    pub fn read(&mut self, cipher: &FrameLayout, planes: &[Plane]) -> Result<()> {
        let frame = self.read_headers(cipher, planes)?;
        memory::resize(&mut self.payload, frame.payload_bytes());
        pack(&frame, planes, &mut self.payload)
    }

    /// Takes headers, authenticator and record, and leaves the frame where it is: the serial and cheap half of
    /// [`CipherPicture::read`]. Returns the layout of the picture inside.
    ///
    /// # Errors
    /// As [`CipherPicture::read`].
    pub fn read_headers(&mut self, cipher: &FrameLayout, planes: &[Plane]) -> Result<FrameLayout> {
        let trailer = read_trailer(cipher, planes)?;
        let mut fields = Fields(&trailer);
        if fields.array::<8>()? != *TRAILER_MAGIC {
            return Err(Error::NotOurs);
        }
        if fields.u8()? != 1 {
            return Err(Error::Refused("unknown version of the cipher picture"));
        }
        fields.zeros(3)?;
        let (header_len, prefix_len) = (fields.u32()? as usize, fields.u32()? as usize);
        let extra_rows = fields.u32()?;
        if extra_rows == 0 || extra_rows >= cipher.height() || !extra_rows.is_multiple_of(cipher.row_step()) {
            return Err(Error::Refused("an impossible number of extra rows"));
        }
        let frame =
            FrameLayout::new(cipher.format(), cipher.width(), cipher.height() - extra_rows, cipher.interlaced())?;
        let layout = PictureLayout { frame, cipher: cipher.clone(), extra_rows: extra_rows as usize };
        let used = header_len.saturating_add(prefix_len).saturating_add(TRAILER_BYTES);
        if used > layout.margin_bytes() {
            return Err(Error::Refused("headers longer than the extra rows"));
        }
        self.read_rows(&layout, planes)?;
        let zeros = &self.margin[header_len + prefix_len..self.margin.len() - TRAILER_BYTES];
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(Error::Refused("filler that is not zero"));
        }
        (self.header_len, self.prefix_len) = (header_len, prefix_len);
        if FrameHeader::claimed_kind(self.prefix()) != Some(Kind::Frame) {
            return Err(Error::Refused("a cipher picture without a frame"));
        }
        self.size = (layout.frame.width(), layout.frame.height());
        Ok(layout.frame)
    }

    /// Collects plane 0's extra rows; those of other planes must be zero.
    fn read_rows(&mut self, layout: &PictureLayout, planes: &[Plane]) -> Result<()> {
        self.margin.resize(layout.margin_bytes(), 0);
        for (index, plane) in planes.iter().enumerate().take(layout.frame.planes().len()) {
            let (extra, row_bytes) = (layout.extra_rows_of(index), layout.frame.planes()[index].row_bytes);
            if index == 0 {
                plane.gather(extra.start, row_bytes, &mut self.margin)?;
            } else {
                for row in extra {
                    if row_of(plane, row, row_bytes)?.iter().any(|&byte| byte != 0) {
                        return Err(Error::Refused("filler that is not zero"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn row_of<'a>(plane: &Plane<'a>, row: usize, row_bytes: usize) -> Result<&'a [u8]> {
    let start = row * plane.stride;
    plane.data.get(start..start + row_bytes).ok_or_else(too_short)
}

fn too_short() -> Error {
    Error::Geometry("a plane ends too early".into())
}

/// The last visible bytes of plane 0, over as many rows as they take.
fn read_trailer(cipher: &FrameLayout, planes: &[Plane]) -> Result<[u8; TRAILER_BYTES]> {
    let (Some(plane), first) = (planes.first(), &cipher.planes()[0]) else { return Err(Error::NotOurs) };
    let total = first.rows * first.row_bytes;
    if total < TRAILER_BYTES {
        return Err(Error::NotOurs);
    }
    let mut trailer = [0; TRAILER_BYTES];
    for (i, byte) in trailer.iter_mut().enumerate() {
        let at = total - TRAILER_BYTES + i;
        *byte = row_of(plane, at / first.row_bytes, first.row_bytes)?[at % first.row_bytes];
    }
    Ok(trailer)
}
