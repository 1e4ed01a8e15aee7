//! What the end record counts (FORMAT.md, section 5).

use super::{
    bytes::Fields,
    frame_header::{FrameHeader, Kind},
    record::Record,
};
use crate::{Error, Result};

/// The payload of an end record: a stream without one, or with other numbers, has been truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndRecord {
    /// The last counter given out before it.
    pub last_counter: u64,
    /// How many frames the stream holds.
    pub frames: u64,
}

impl EndRecord {
    /// The payload to seal.
    pub(super) fn encode(&self) -> [u8; 16] {
        let mut payload = [0; 16];
        payload[..8].copy_from_slice(&self.last_counter.to_le_bytes());
        payload[8..].copy_from_slice(&self.frames.to_le_bytes());
        payload
    }

    /// Reads an opened packet of kind [`Kind::End`].
    ///
    /// # Errors
    /// [`Error::Refused`] if it carries more than an end record may, or contradicts its own counter.
    pub fn decode(header: &FrameHeader, record: &Record, payload: &[u8]) -> Result<EndRecord> {
        if header.kind != Kind::End {
            return Err(Error::Refused("a frame in the place of an end record"));
        }
        if *record != (Record { description: record.description, ..Record::default() }) {
            return Err(Error::Refused("an end record with times, flags or metas"));
        }
        let mut fields = Fields(payload);
        let end = EndRecord { last_counter: fields.u64()?, frames: fields.u64()? };
        fields.end()?;
        match end.last_counter == header.counter.wrapping_sub(1) {
            true => Ok(end),
            false => Err(Error::Refused("an end record that contradicts its own counter")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Profile;

    #[test]
    fn fail_what_no_writer_makes() {
        let header = FrameHeader {
            kind: Kind::End,
            profile: Profile::Aead,
            epoch: 0,
            stream_id: [0; 16],
            counter: 5,
            payload_len: 16,
            record_len: 56,
        };
        let record = Record { description: 3, ..Record::default() };
        let end = EndRecord { last_counter: 4, frames: 2 };
        assert_eq!(EndRecord::decode(&header, &record, &end.encode()).expect("valid"), end);
        let frame = FrameHeader { kind: Kind::Frame, ..header };
        assert!(EndRecord::decode(&frame, &record, &end.encode()).is_err());
        let gap = FrameHeader { counter: 6, ..header };
        assert!(EndRecord::decode(&gap, &record, &end.encode()).is_err());
        assert!(EndRecord::decode(&header, &Record { pts: Some(0), ..record.clone() }, &end.encode()).is_err());
        assert!(EndRecord::decode(&header, &record, &end.encode()[..15]).is_err());
        assert!(EndRecord::decode(&header, &record, &[0; 17]).is_err());
    }
}
