//! `format.json` as types; README.md beside this file says what each section is for.

use std::{collections::HashMap, fs, path::Path};

use gstchaosveil::seal::{Index, IndexPoint, IndexedDescription, Meta, Record, Segment};
use serde::Deserialize;
use serde_json::Value;

pub fn vectors() -> Vectors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/format.json");
    serde_json::from_str(&fs::read_to_string(path).expect("format.json")).expect("valid vectors")
}

#[derive(Deserialize)]
pub struct Vectors {
    pub keys: Vec<KeyVector>,
    pub frames: Vec<FrameVector>,
    pub metas: Vec<Value>,
    pub streams: Vec<StreamVector>,
    pub epochs: Vec<EpochsVector>,
    pub truncations: Vec<Truncation>,
    pub damage: Vec<Damage>,
    pub indexes: Vec<IndexVector>,
    pub key_groups: KeyGroupsVector,
    pub pictures: Vec<PictureVector>,
}

/// An index packet; `index` is `None` where its content must be refused.
#[derive(Deserialize)]
pub struct IndexVector {
    pub stream: String,
    pub case: String,
    pub index: Option<IndexFields>,
    pub packet: Hex,
}

#[derive(Deserialize)]
pub struct IndexFields {
    pub end: Option<u64>,
    pub descriptions: Vec<[u64; 2]>,
    pub points: Vec<[u64; 3]>,
}

impl IndexFields {
    pub fn index(&self) -> Index {
        let told = |&[counter, offset]: &[u64; 2]| IndexedDescription { counter, offset };
        let point = |&[counter, offset, time]: &[u64; 3]| IndexPoint { counter, offset, time };
        Index {
            end: self.end,
            descriptions: self.descriptions.iter().map(told).collect(),
            points: self.points.iter().map(point).collect(),
        }
    }
}

/// What a writer would draw, and what it is told.
#[derive(Deserialize)]
pub struct StreamInputs {
    pub profile: u8,
    pub aead: u8,
    pub psk: Hex,
    pub salt: Hex,
    pub root: Hex,
    pub stream_id: Hex,
    pub recording_id: Hex,
}

#[derive(Deserialize)]
pub struct KeyVector {
    pub name: String,
    #[serde(flatten)]
    pub stream: StreamInputs,
    pub key_group: Hex,
    pub head: Hex,
    pub h: Hex,
    pub commitment: Hex,
    pub description_counter: u64,
    pub caps: String,
    pub stream_header_packet: Hex,
}

/// Record of a frame, without its metas.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Times {
    pub description_counter: u64,
    pub flags: u32,
    pub pts: Option<u64>,
    pub dts: Option<u64>,
    pub duration: Option<u64>,
    pub offset: Option<u64>,
    pub offset_end: Option<u64>,
}

impl Times {
    pub fn record(&self, metas: Vec<Meta>) -> Record {
        let Times { description_counter: description, flags, pts, dts, duration, offset, offset_end } = *self;
        Record { flags, description, pts, dts, duration, offset, offset_end, metas }
    }
}

#[derive(Deserialize)]
pub struct SealedParts {
    pub frame_header: Hex,
    pub authenticator: Hex,
    pub sealed_record: Hex,
}

#[derive(Deserialize)]
pub struct FrameVector {
    pub keys: String,
    pub payload_length: usize,
    pub counter: u64,
    #[serde(flatten)]
    pub times: Times,
    #[serde(flatten)]
    pub sealed: SealedParts,
    pub payload_first_32: Hex,
    pub payload_last_32: Hex,
    pub packet_length: usize,
    pub packet_blake3: String,
}

#[derive(Deserialize)]
pub struct StreamVector {
    pub name: String,
    #[serde(flatten)]
    pub stream: StreamInputs,
    pub blake3: String,
    pub packets: Vec<PacketVector>,
}

impl StreamVector {
    pub fn whole(&self) -> Vec<u8> {
        self.packets.iter().flat_map(|packet| packet.packet.0.clone()).collect()
    }
}

#[derive(Deserialize)]
pub struct EpochsVector {
    pub name: String,
    #[serde(flatten)]
    pub stream: StreamInputs,
    pub camera_seed: Hex,
    pub camera: Hex,
    pub caps: String,
    pub packets: Vec<EpochPacket>,
}

#[derive(Deserialize)]
pub struct EpochPacket {
    pub kind: String,
    pub epoch: u32,
    pub counter: u64,
    pub payload_length: Option<usize>,
    #[serde(flatten)]
    pub times: Times,
    pub packet: Hex,
}

#[derive(Deserialize)]
pub struct PacketVector {
    pub kind: String,
    pub position: usize,
    pub counter: Option<u64>,
    pub payload_length: Option<usize>,
    pub caps: Option<String>,
    pub segment: Option<SegmentVector>,
    #[serde(flatten)]
    pub times: Times,
    #[serde(default)]
    pub metas: Vec<MetaVector>,
    pub packet: Hex,
}

#[derive(Deserialize)]
pub struct MetaVector {
    pub body: Hex,
}

#[derive(Deserialize)]
pub struct SegmentVector {
    pub flags: u32,
    pub rate: f64,
    pub applied_rate: f64,
    #[serde(flatten)]
    pub times: HashMap<String, Value>,
}

impl SegmentVector {
    pub fn segment(&self) -> Segment {
        let time = |name: &str| self.times[name].as_u64();
        Segment {
            flags: self.flags,
            rate: self.rate,
            applied_rate: self.applied_rate,
            base: time("base"),
            offset: time("offset"),
            start: time("start"),
            stop: time("stop"),
            time: time("time"),
            position: time("position"),
            duration: time("duration"),
        }
    }
}

#[derive(Deserialize)]
pub struct Truncation {
    pub from: usize,
    pub to: usize,
    pub frames: usize,
    pub complete: bool,
}

#[derive(Deserialize)]
pub struct Damage {
    pub field: String,
    pub byte: usize,
    pub bit: u8,
    pub released: Vec<u64>,
    pub undescribed: Vec<u64>,
}

#[derive(Deserialize)]
pub struct KeyGroupsVector {
    #[serde(flatten)]
    pub stream: StreamInputs,
    pub identities: Vec<String>,
    pub wrong_identity: String,
    pub passphrase: String,
    pub groups: Vec<GroupVector>,
    pub payload_length: usize,
    #[serde(rename = "stream")]
    pub opened: Hex,
    pub wrong_root_stream_header: Hex,
}

#[derive(Deserialize)]
pub struct GroupVector {
    #[serde(rename = "type")]
    pub kind: u8,
    pub bytes: Hex,
}

#[derive(Deserialize)]
pub struct PictureVector {
    pub name: String,
    #[serde(flatten)]
    pub stream: StreamInputs,
    pub caps: String,
    pub payload_length: usize,
    #[serde(flatten)]
    pub times: Times,
    pub extra_rows: usize,
    pub taller_planes: Vec<PlaneVector>,
    pub picture_blake3: String,
    pub plane_0_rows: Vec<Hex>,
}

#[derive(Deserialize)]
pub struct PlaneVector {
    pub row_bytes: usize,
    pub rows: usize,
}

/// Bytes that stand in the file, and in failures of the tests, as hexadecimal digits.
#[derive(Clone, Default, Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub struct Hex(pub Vec<u8>);

impl Hex {
    pub fn array<const N: usize>(&self) -> [u8; N] {
        self.0[..].try_into().expect("as many bytes as the format asks for")
    }
}

impl TryFrom<String> for Hex {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> std::result::Result<Hex, Self::Error> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16);
        (0..text.len()).step_by(2).map(byte).collect::<std::result::Result<_, _>>().map(Hex)
    }
}

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
