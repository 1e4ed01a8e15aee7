//! What a stream carries: its caps, its place among the tracks of a recording, its segment. Sealed in the stream
//! header's TAIL (FORMAT.md, section 2).

use super::bytes::{ABSENT, Fields};
use crate::{Error, Result};

/// The description in force for the frames that name its counter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Number of this track, from 0.
    pub track: u16,
    /// Number of tracks of the recording.
    pub tracks: u16,
    /// Id shared by all tracks of a recording.
    pub recording: [u8; 16],
    /// Caps in GStreamer's serialisation, codec data included.
    pub caps: String,
    /// The time segment, if there was one.
    pub segment: Option<Segment>,
}

/// A time segment as in `GstSegment`; times in nanoseconds. Equal is what is written the same: a rate that is no number is
/// equal to itself.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the fields are GstSegment's, documented there")]
pub struct Segment {
    pub flags: u32,
    pub rate: f64,
    pub applied_rate: f64,
    pub base: Option<u64>,
    pub offset: Option<u64>,
    pub start: Option<u64>,
    pub stop: Option<u64>,
    pub time: Option<u64>,
    pub position: Option<u64>,
    pub duration: Option<u64>,
}

impl PartialEq for Segment {
    fn eq(&self, other: &Segment) -> bool {
        let written = |segment: &Segment| {
            let mut bytes = Vec::new();
            segment.encode(&mut bytes);
            bytes
        };
        written(self) == written(other)
    }
}

/// GstFormat's number of time.
const FORMAT_TIME: u32 = 3;

impl Description {
    /// The plaintext of the description.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![1, 0];
        out.extend_from_slice(&self.track.to_le_bytes());
        out.extend_from_slice(&self.tracks.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.recording);
        out.extend_from_slice(&(self.caps.len() as u32).to_le_bytes());
        out.extend_from_slice(self.caps.as_bytes());
        if let Some(segment) = &self.segment {
            segment.encode(&mut out);
        }
        out
    }

    /// Reads a verified plaintext.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Description> {
        let mut fields = Fields(bytes);
        if fields.u8()? != 1 {
            return Err(Error::Refused("unknown version of the description"));
        }
        fields.zeros(1)?;
        let (track, tracks) = (fields.u16()?, fields.u16()?);
        fields.zeros(2)?;
        if track >= tracks {
            return Err(Error::Refused("a track number beyond the number of tracks"));
        }
        let recording = fields.array()?;
        let caps_len = fields.u32()? as usize;
        let caps = fields.text(caps_len)?;
        let segment = if fields.0.is_empty() { None } else { Some(Segment::decode(&mut fields)?) };
        fields.end()?;
        Ok(Description { track, tracks, recording, caps, segment })
    }
}

impl Segment {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&FORMAT_TIME.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.rate.to_bits().to_le_bytes());
        out.extend_from_slice(&self.applied_rate.to_bits().to_le_bytes());
        let times = [self.base, self.offset, self.start, self.stop, self.time, self.position, self.duration];
        for time in times {
            out.extend_from_slice(&time.unwrap_or(ABSENT).to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
    }

    fn decode(fields: &mut Fields) -> Result<Segment> {
        if fields.u32()? != FORMAT_TIME {
            return Err(Error::Refused("a segment that is not in time"));
        }
        let segment = Segment {
            flags: fields.u32()?,
            rate: fields.f64()?,
            applied_rate: fields.f64()?,
            base: fields.optional()?,
            offset: fields.optional()?,
            start: fields.optional()?,
            stop: fields.optional()?,
            time: fields.optional()?,
            position: fields.optional()?,
            duration: fields.optional()?,
        };
        fields.zeros(4)?;
        Ok(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or a stream could not be told once more what it was told before.
    #[test]
    fn a_rate_that_is_no_number_is_the_same_again() {
        let segment = |rate| Segment { rate, ..Segment::default() };
        assert_eq!(segment(f64::NAN), segment(f64::NAN));
        assert_ne!(segment(f64::NAN), segment(1.0));
    }

    #[test]
    fn survives_the_trip() {
        let mut description = Description {
            track: 1,
            tracks: 3,
            recording: [9; 16],
            caps: "video/x-raw, format=(string)I420".into(),
            segment: None,
        };
        assert_eq!(Description::decode(&description.encode()).expect("valid"), description);
        description.segment = Some(Segment {
            flags: 1,
            rate: 1.0,
            applied_rate: -0.5,
            base: Some(0),
            offset: Some(1),
            start: Some(2),
            stop: None,
            time: Some(3),
            position: Some(4),
            duration: None,
        });
        let encoded = description.encode();
        assert_eq!(encoded.len(), 28 + description.caps.len() + 84);
        assert_eq!(Description::decode(&encoded).expect("valid"), description);
        for len in 0..encoded.len() {
            let whole_without_segment = len == encoded.len() - 84;
            assert_eq!(Description::decode(&encoded[..len]).is_ok(), whole_without_segment, "{len} bytes");
        }
    }
}
