//! What travels sealed beside each frame: times, flags, metas (FORMAT.md, section 5).

use super::{
    bytes::{ABSENT, Fields, put_text16},
    limits,
};
use crate::{Error, Result};

/// Bytes of a record that has neither times nor metas.
pub const RECORD_FIXED_BYTES: usize = 12;
/// The decoding time equals the presentation time and is not told.
const TOGETHER: u8 = 1 << 5;
/// The description's counter takes eight bytes.
const LARGE: u8 = 1 << 6;

/// Times, flags and metas of one frame. Times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Flags of the buffer (`GstBufferFlags`).
    pub flags: u32,
    /// Counter of the description in force.
    pub description: u64,
    /// Presentation time.
    pub pts: Option<u64>,
    /// Decoding time.
    pub dts: Option<u64>,
    /// Duration.
    pub duration: Option<u64>,
    /// Media-specific offset.
    pub offset: Option<u64>,
    /// Media-specific offset of the end.
    pub offset_end: Option<u64>,
    /// Metas.
    pub metas: Vec<Meta>,
}

/// A meta that is sealed with its frame and restored.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of the GStreamer meta of the same name")]
pub enum Meta {
    /// GstVideoCropMeta.
    Crop { x: u32, y: u32, width: u32, height: u32 },
    /// GstVideoRegionOfInterestMeta, parameters serialised.
    RegionOfInterest {
        x: u32,
        y: u32,
        width: u32,
        height: u32,
        id: i32,
        parent: i32,
        roi_type: String,
        parameters: Vec<String>,
    },
    /// GstVideoTimeCodeMeta.
    TimeCode {
        fps_numerator: u32,
        fps_denominator: u32,
        flags: u32,
        hours: u32,
        minutes: u32,
        seconds: u32,
        frames: u32,
        field_count: u32,
        daily_jam_us: Option<u64>,
    },
    /// GstReferenceTimestampMeta.
    ReferenceTimestamp { timestamp: u64, duration: Option<u64>, reference: String },
    /// The tags in force: they ride on the first frame after each stream header.
    Tags { tags: String },
    /// What a classifier took the frame for, see [`Meta::classification`].
    Classification { frame: u64, confidence: f64, model_digest: [u8; 32], label: String },
}

impl Record {
    /// Writes the plaintext of the record over `out`, whose memory is kept.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the metas do not fit.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let metas = u16::try_from(self.metas.len()).unwrap_or(u16::MAX);
        out.clear();
        let mut times = self.times();
        let together = times[0].is_some() && times[0] == times[1];
        if together {
            times[1] = None;
        }
        let mut present = times.iter().enumerate().fold(0, |bits, (i, time)| bits | (u8::from(time.is_some()) << i));
        present |= if together { TOGETHER } else { 0 };
        let small = u32::try_from(self.description);
        present |= if small.is_err() { LARGE } else { 0 };
        out.extend_from_slice(&[1, present]);
        out.extend_from_slice(&metas.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        match small {
            Ok(description) => out.extend_from_slice(&description.to_le_bytes()),
            Err(_) => out.extend_from_slice(&self.description.to_le_bytes()),
        }
        for time in times.into_iter().flatten() {
            out.extend_from_slice(&time.to_le_bytes());
        }
        for meta in &self.metas {
            meta.encode(out)?;
        }
        if out.len() > limits::RECORD_BYTES {
            return Err(too_large(out.len()));
        }
        Ok(())
    }

    /// What may be absent, in the order of the bits that say so. All ones mean absent to GStreamer too.
    fn times(&self) -> [Option<u64>; 5] {
        [self.pts, self.dts, self.duration, self.offset, self.offset_end].map(|time| time.filter(|&t| t != ABSENT))
    }

    /// Reads a verified plaintext. Metas of unknown types are skipped.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Record> {
        let mut fields = Fields(bytes);
        if fields.u8()? != 1 {
            return Err(Error::Refused("unknown version of the record"));
        }
        let present = fields.u8()?;
        if present >> 7 != 0 {
            return Err(Error::Refused("a reserved field is not zero"));
        }
        let together = present & TOGETHER != 0;
        if together && present & 0b11 != 0b01 {
            return Err(Error::Refused("a decoding time that equals nothing, or is told twice"));
        }
        let metas = fields.u16()?;
        let flags = fields.u32()?;
        let description = match present & LARGE {
            0 => fields.u32()?.into(),
            _ => fields.u64()?,
        };
        if present & LARGE != 0 && description <= u64::from(u32::MAX) {
            return Err(Error::Refused("a small counter in eight bytes"));
        }
        let mut times = [None; 5];
        for (i, time) in times.iter_mut().enumerate() {
            if present >> i & 1 == 1 {
                let value = fields.optional()?;
                *time = Some(value.ok_or(Error::Refused("a time that is told and absent"))?);
            }
        }
        if together {
            times[1] = times[0];
        }
        let [pts, dts, duration, offset, offset_end] = times;
        let mut record = Record { flags, description, pts, dts, duration, offset, offset_end, metas: Vec::new() };
        for _ in 0..metas {
            record.metas.extend(Meta::decode(&mut fields)?);
        }
        fields.end()?;
        Ok(record)
    }
}

fn too_large(size: usize) -> Error {
    Error::TooLarge { what: "a frame's metas in bytes", size: size as u64, limit: limits::RECORD_BYTES as u64 }
}

impl Meta {
    /// What a classifier took a frame for: number of the frame that it looked at, what the model gives for the label, BLAKE3
    /// of the model file, the label.
    ///
    /// # Errors
    /// [`Error::Refused`] for a confidence outside 0 to 1, and a label that is empty or longer than
    /// [`limits::LABEL_BYTES`].
    pub fn classification(frame: u64, confidence: f64, model_digest: [u8; 32], label: String) -> Result<Meta> {
        if !(0.0..=1.0).contains(&confidence) {
            return Err(Error::Refused("a confidence that is not between 0 and 1"));
        }
        if label.is_empty() || label.len() > limits::LABEL_BYTES {
            return Err(Error::Refused("a label that is empty or too long"));
        }
        Ok(Meta::Classification { frame, confidence, model_digest, label })
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(&[self.code(), 0, 0, 0]);
        let mut numbers = |values: &[u32]| values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        match self {
            Meta::Crop { x, y, width, height } => numbers(&[*x, *y, *width, *height]),
            Meta::RegionOfInterest { x, y, width, height, id, parent, roi_type, parameters } => {
                numbers(&[*x, *y, *width, *height, *id as u32, *parent as u32]);
                put_text16(out, roi_type)?;
                for parameter in parameters {
                    put_text16(out, parameter)?;
                }
            }
            Meta::TimeCode {
                fps_numerator,
                fps_denominator,
                flags,
                hours,
                minutes,
                seconds,
                frames,
                field_count,
                daily_jam_us,
            } => {
                numbers(&[*fps_numerator, *fps_denominator, *flags, *hours, *minutes, *seconds, *frames, *field_count]);
                out.extend_from_slice(&daily_jam_us.unwrap_or(ABSENT).to_le_bytes());
            }
            Meta::ReferenceTimestamp { timestamp, duration, reference } => {
                out.extend_from_slice(&timestamp.to_le_bytes());
                out.extend_from_slice(&duration.unwrap_or(ABSENT).to_le_bytes());
                put_text16(out, reference)?;
            }
            Meta::Tags { tags } => put_text16(out, tags)?,
            Meta::Classification { frame, confidence, model_digest, label } => {
                out.extend_from_slice(&frame.to_le_bytes());
                out.extend_from_slice(&confidence.to_le_bytes());
                out.extend_from_slice(model_digest);
                put_text16(out, label)?;
            }
        }
        let len = out.len() - start - 4;
        let len = u16::try_from(len).map_err(|_| too_large(len))?;
        out[start + 2..start + 4].copy_from_slice(&len.to_le_bytes());
        Ok(())
    }

    fn code(&self) -> u8 {
        match self {
            Meta::Crop { .. } => 1,
            Meta::RegionOfInterest { .. } => 2,
            Meta::TimeCode { .. } => 3,
            Meta::ReferenceTimestamp { .. } => 4,
            Meta::Tags { .. } => 5,
            Meta::Classification { .. } => 6,
        }
    }

    /// The next meta; `None` for one of an unknown type.
    fn decode(record: &mut Fields) -> Result<Option<Meta>> {
        let code = record.u8()?;
        record.zeros(1)?;
        let len = record.u16()?;
        let mut fields = Fields(record.take(len.into())?);
        let meta = match code {
            1 => Meta::Crop { x: fields.u32()?, y: fields.u32()?, width: fields.u32()?, height: fields.u32()? },
            2 => Meta::RegionOfInterest {
                x: fields.u32()?,
                y: fields.u32()?,
                width: fields.u32()?,
                height: fields.u32()?,
                id: fields.u32()? as i32,
                parent: fields.u32()? as i32,
                roi_type: fields.text16()?,
                parameters: {
                    let mut parameters = Vec::new();
                    while !fields.0.is_empty() {
                        parameters.push(fields.text16()?);
                    }
                    parameters
                },
            },
            3 => Meta::TimeCode {
                fps_numerator: fields.u32()?,
                fps_denominator: fields.u32()?,
                flags: fields.u32()?,
                hours: fields.u32()?,
                minutes: fields.u32()?,
                seconds: fields.u32()?,
                frames: fields.u32()?,
                field_count: fields.u32()?,
                daily_jam_us: fields.optional()?,
            },
            4 => Meta::ReferenceTimestamp {
                timestamp: fields.u64()?,
                duration: fields.optional()?,
                reference: fields.text16()?,
            },
            5 => Meta::Tags { tags: fields.text16()? },
            6 => Meta::classification(fields.u64()?, fields.f64()?, fields.array()?, fields.text16()?)?,
            _ => return Ok(None),
        };
        fields.end()?;
        Ok(Some(meta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Record {
        Record {
            flags: 0x1234,
            description: 7,
            pts: Some(1),
            dts: None,
            duration: Some(3),
            offset: None,
            offset_end: Some(5),
            metas: vec![
                Meta::Crop { x: 1, y: 2, width: 3, height: 4 },
                Meta::RegionOfInterest {
                    x: 1,
                    y: 2,
                    width: 3,
                    height: 4,
                    id: -1,
                    parent: 5,
                    roi_type: "face".into(),
                    parameters: vec!["a, b=(int)1;".into(), String::new()],
                },
                Meta::TimeCode {
                    fps_numerator: 30,
                    fps_denominator: 1,
                    flags: 0,
                    hours: 1,
                    minutes: 2,
                    seconds: 3,
                    frames: 4,
                    field_count: 0,
                    daily_jam_us: None,
                },
                Meta::ReferenceTimestamp { timestamp: 9, duration: None, reference: "timestamp/x-ntp".into() },
                Meta::Tags { tags: "taglist, title=x;".into() },
                Meta::classification(11, 0.25, [7; 32], "plain".into()).expect("in bounds"),
            ],
        }
    }

    #[test]
    fn survives_the_trip() {
        let mut bytes = Vec::new();
        let shown_when_decoded = Record { pts: Some(9), dts: Some(9), ..full() };
        let late = Record { description: 1 << 40, ..full() };
        for record in [Record::default(), full(), shown_when_decoded, late] {
            record.encode(&mut bytes).expect("small enough");
            assert_eq!(Record::decode(&bytes).expect("valid"), record);
        }
        Record::default().encode(&mut bytes).expect("small enough");
        assert_eq!(bytes.len(), RECORD_FIXED_BYTES);
    }

    #[test]
    fn fail_every_truncation() {
        let mut bytes = Vec::new();
        full().encode(&mut bytes).expect("small enough");
        for len in 0..bytes.len() {
            assert!(Record::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn unknown_metas_are_skipped() {
        let mut bytes = Vec::new();
        Record::default().encode(&mut bytes).expect("small enough");
        bytes[2] = 1;
        bytes.extend_from_slice(&[200, 0, 2, 0, 1, 2]);
        assert_eq!(Record::decode(&bytes).expect("valid"), Record::default());
    }

    #[test]
    fn records_agree_with_the_vectors() {
        for vector in crate::seal::tests::vectors()["records"].as_array().expect("a list") {
            let record = Record::decode(&crate::seal::tests::vector_bytes(&vector["record"]));
            let found = record.ok().map(|record| record.metas.iter().map(|meta| meta.code().into()).collect());
            let expected: Option<Vec<u64>> =
                vector["metas"].as_array().map(|types| types.iter().filter_map(|t| t.as_u64()).collect());
            assert_eq!(found, expected, "{}", vector["case"]);
        }
    }

    #[test]
    fn fail_classifications_out_of_bounds() {
        let of = |confidence, label: &str| Meta::classification(0, confidence, [0; 32], label.into()).is_ok();
        assert!(of(0.0, "a") && of(1.0, &"a".repeat(limits::LABEL_BYTES)));
        assert!([-1e-9, 1.0 + 1e-9, f64::NAN, f64::INFINITY].into_iter().all(|confidence| !of(confidence, "a")));
        assert!(!of(0.5, "") && !of(0.5, &"a".repeat(limits::LABEL_BYTES + 1)));
    }

    #[test]
    fn fail_metas_beyond_the_limit() {
        let tags = Meta::Tags { tags: "x".repeat(40_000) };
        let record = Record { metas: vec![tags.clone(), tags], ..Record::default() };
        assert!(matches!(record.encode(&mut Vec::new()), Err(Error::TooLarge { .. })));
    }
}
