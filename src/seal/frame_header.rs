//! The 64 bytes before each frame (FORMAT.md, section 5).

use super::{
    bytes::Fields,
    keys::StreamKeys,
    limits,
    suite::{Profile, TAG_BYTES, segments},
};
use crate::{Error, Result};

/// First bytes of a frame header.
pub const FRAME_MAGIC: &[u8; 8] = b"CVEILFRM";
/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 64;
const MACED_BYTES: usize = 48;
const KIND_AT: usize = 9;

/// What a frame packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A frame.
    Frame,
    /// The end of the stream.
    End,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Frame => 0,
            Kind::End => 1,
        }
    }

    fn from_code(code: u8) -> Option<Kind> {
        [Kind::Frame, Kind::End].into_iter().find(|kind| kind.code() == code)
    }
}

/// A frame header, verified or about to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the packet holds.
    pub kind: Kind,
    /// Profile, equal to the stream's.
    pub profile: Profile,
    /// Epoch whose keys seal it.
    pub epoch: u32,
    /// Id of the stream.
    pub stream_id: [u8; 16],
    /// Counter of the frame.
    pub counter: u64,
    /// Bytes of the payload.
    pub payload_len: usize,
    /// Bytes of the record's plaintext.
    pub record_len: usize,
}

impl FrameHeader {
    /// Bytes of what stands between header and payload: authenticator and sealed record.
    pub fn envelope_len(&self) -> usize {
        self.authenticator_len() + self.record_len + TAG_BYTES
    }

    /// Bytes of tags or digest.
    pub fn authenticator_len(&self) -> usize {
        self.profile.authenticator_len(self.payload_len)
    }

    /// Bytes of header, authenticator and sealed record.
    pub fn prefix_len(&self) -> usize {
        FRAME_HEADER_BYTES + self.envelope_len()
    }

    /// Bytes of the whole packet.
    pub fn packet_len(&self) -> usize {
        self.prefix_len() + self.payload_len
    }

    /// Number of segments of the payload.
    pub fn segments(&self) -> u32 {
        segments(self.payload_len) as u32
    }

    /// The 64 bytes, with their MAC.
    pub(crate) fn encode(&self, keys: &StreamKeys) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[..8].copy_from_slice(FRAME_MAGIC);
        out[8] = 1;
        out[KIND_AT] = self.kind.code();
        out[10] = self.profile.code();
        out[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        out[16..32].copy_from_slice(&self.stream_id);
        out[32..40].copy_from_slice(&self.counter.to_le_bytes());
        out[40..44].copy_from_slice(&(self.payload_len as u32).to_le_bytes());
        out[44..48].copy_from_slice(&(self.record_len as u32).to_le_bytes());
        let mac = keys.header_mac(&[b"frame", &out[..MACED_BYTES]]);
        out[MACED_BYTES..].copy_from_slice(&mac);
        out
    }

    /// The stream id that 64 bytes claim, before anything is verified; `None` if they do not begin a frame.
    pub fn claimed_stream(bytes: &[u8; FRAME_HEADER_BYTES]) -> Option<[u8; 16]> {
        (bytes[..8] == *FRAME_MAGIC).then(|| Fields(&bytes[16..]).array().unwrap_or_default())
    }

    /// The payload that a packet claims to have, before anything is verified; `None` if it does not begin a frame, or is
    /// no longer than its payload.
    pub fn claimed_payload(packet: &[u8]) -> Option<&[u8]> {
        let header = packet.first_chunk::<FRAME_HEADER_BYTES>()?;
        FrameHeader::claimed_stream(header)?;
        let len = Fields(&header[40..]).u32().ok()? as usize;
        packet.get(packet.len().checked_sub(len)?.max(FRAME_HEADER_BYTES)..)
    }

    /// The kind that some bytes claim, before anything is verified; `None` if they do not begin a frame.
    pub(super) fn claimed_kind(bytes: &[u8]) -> Option<Kind> {
        let bytes = bytes.first_chunk::<FRAME_HEADER_BYTES>().filter(|bytes| bytes.starts_with(FRAME_MAGIC))?;
        Kind::from_code(bytes[KIND_AT])
    }

    /// Verifies the MAC first, then reads and checks every field.
    ///
    /// # Errors
    /// [`Error::NotOurs`], [`Error::OtherStream`], [`Error::Forged`], [`Error::Refused`] or [`Error::TooLarge`].
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES], keys: &StreamKeys) -> Result<FrameHeader> {
        match FrameHeader::claimed_stream(bytes) {
            None => return Err(Error::NotOurs),
            Some(id) if id != keys.stream_id => return Err(Error::OtherStream),
            Some(_) => {}
        }
        keys.check_header_mac(&[b"frame", &bytes[..MACED_BYTES]], &bytes[MACED_BYTES..], "a frame header")?;
        let header = FrameHeader::claimed(bytes)?;
        match header.profile == keys.profile {
            true => Ok(header),
            false => Err(Error::Refused("a frame's profile differs from its stream's")),
        }
    }

    /// What 64 bytes claim to be, within the limits of the format and unverified: to tell about a stream that nobody
    /// has a key of. Nothing may be opened by it.
    ///
    /// # Errors
    /// [`Error::NotOurs`], [`Error::Refused`] or [`Error::TooLarge`].
    pub fn claimed(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        let mut fields = Fields(&bytes[..MACED_BYTES]);
        if fields.array()? != *FRAME_MAGIC {
            return Err(Error::NotOurs);
        }
        if fields.u8()? != 1 {
            return Err(Error::Refused("unknown version of the frame"));
        }
        let kind = Kind::from_code(fields.u8()?).ok_or(Error::Refused("unknown kind of frame"))?;
        let profile = Profile::from_code(fields.u8()?)?;
        fields.zeros(1)?;
        let header = FrameHeader {
            kind,
            profile,
            epoch: fields.u32()?,
            stream_id: fields.array()?,
            counter: fields.u64()?,
            payload_len: fields.u32()? as usize,
            record_len: fields.u32()? as usize,
        };
        check_size("the number of an epoch", header.epoch as usize, limits::EPOCHS as usize)?;
        check_size("bytes of a frame", header.payload_len, limits::FRAME_BYTES)?;
        check_size("bytes of a record", header.record_len, limits::RECORD_BYTES)?;
        Ok(header)
    }
}

/// Refuses a size over its limit.
pub(super) fn check_size(what: &'static str, size: usize, limit: usize) -> Result<()> {
    match size > limit {
        true => Err(Error::TooLarge { what, size: size as u64, limit: limit as u64 }),
        false => Ok(()),
    }
}
