//! What was really sealed: the streams and pictures of `tests/vectors/format.json`.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock},
};

use serde_json::Value;

use crate::{
    backend::{self, Choice},
    frame::{Format, FrameLayout, PlaneMut},
    seal::*,
};

/// A stream, with everything that a reader may release of it.
pub struct Genuine {
    pub psk: [u8; 32],
    pub root: [u8; 32],
    /// The camera that has signed it, which the reader asks for.
    pub camera: Option<CameraId>,
    /// Stream headers, frames and the end record in their order.
    pub packets: Vec<Vec<u8>>,
    /// All of them, one after the other.
    pub whole: Vec<u8>,
    /// What was sealed, by counter.
    pub sealed: BTreeMap<u64, Sealed>,
    keys: OnceLock<Arc<StreamKeys>>,
}

/// Plaintexts of a frame or end record.
pub struct Sealed {
    pub kind: Kind,
    pub record: Vec<u8>,
    pub payload: Vec<u8>,
}

/// A cipher picture of one plane, without padding.
pub struct GenuinePicture {
    pub stream: Genuine,
    pub layout: FrameLayout,
    pub plane: Vec<u8>,
}

/// One stream for each profile and AEAD.
pub static STREAMS: LazyLock<Vec<Genuine>> =
    LazyLock::new(|| list(&VECTORS["streams"]).iter().map(Genuine::of_stream).collect());

/// The same, signed by a camera, through the epochs 0, 1 and 3.
pub static EPOCHS: LazyLock<Vec<Genuine>> =
    LazyLock::new(|| list(&VECTORS["epochs"]).iter().map(Genuine::of_stream).collect());

/// One of both, whatever the number.
pub fn stream(number: usize) -> &'static Genuine {
    let number = number % (STREAMS.len() + EPOCHS.len());
    STREAMS.iter().chain(EPOCHS.iter()).nth(number).expect("less than there are")
}

/// The first frame of each stream as a cipher picture, and the vectors' pictures of one plane that are there with all
/// their rows.
pub static PICTURES: LazyLock<Vec<GenuinePicture>> = LazyLock::new(|| {
    let of_streams = list(&VECTORS["streams"]).iter().map(GenuinePicture::of_stream);
    of_streams.chain(list(&VECTORS["pictures"]).iter().filter_map(GenuinePicture::of)).collect()
});

/// The index packets of the vectors, those that must be refused too.
pub static INDEXES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| list(&VECTORS["indexes"]).iter().map(|index| bytes(&index["packet"])).collect());

static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../tests/vectors/format.json")).expect("JSON"));

/// Every stream header of the vectors.
pub static HEADERS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let packets = STREAMS.iter().chain(EPOCHS.iter()).flat_map(|stream| stream.packets.iter());
    let headers = packets.filter(|packet| packet.starts_with(STREAM_MAGIC)).cloned();
    let groups = bytes(&VECTORS["key_groups"]["stream"]);
    let len = RawStreamHeader::total_len(&groups).expect("genuine").expect("whole");
    headers.chain([groups[..len].to_vec()]).collect()
});

/// An age identity that some key groups of the vectors are for.
pub fn age_identity() -> &'static str {
    VECTORS["key_groups"]["identities"][0].as_str().expect("an identity")
}

impl Genuine {
    fn of_stream(vector: &Value) -> Genuine {
        let mut stream = Genuine::empty(vector);
        // A long one would fill a program.
        let is_short = |packet: &&Value| packet["payload_length"].as_u64().is_none_or(|len| len < 1000);
        for packet in list(&vector["packets"]).iter().filter(is_short) {
            stream.packets.push(bytes(&packet["packet"]));
            match packet["kind"].as_str() {
                Some("stream header") => {}
                Some("frame") => drop(stream.sealed.insert(number(&packet["counter"]), Sealed::of_frame(packet))),
                _ => {
                    let told = [number(&packet["last_counter"]), number(&packet["frames"])];
                    let payload = told.iter().flat_map(|number| number.to_le_bytes()).collect();
                    let description = number(&packet["description_counter"]);
                    // Version 1, nothing present, no metas, no flags, the description.
                    let record = [&[1, 0, 0, 0, 0, 0, 0, 0], &(description as u32).to_le_bytes()[..]].concat();
                    stream.sealed.insert(number(&packet["counter"]), Sealed { kind: Kind::End, record, payload });
                }
            }
        }
        stream.whole = stream.packets.concat();
        stream
    }

    fn empty(vector: &Value) -> Genuine {
        Genuine {
            psk: array(&vector["psk"]),
            root: array(&vector["root"]),
            camera: vector["camera"].as_str().map(|id| CameraId::parse(&format!("camera-1:{id}")).expect("a camera")),
            packets: Vec::new(),
            whole: Vec::new(),
            sealed: BTreeMap::new(),
            keys: OnceLock::new(),
        }
    }

    /// A reader that accepts every profile, and only the camera that has signed the stream, if one has.
    pub fn reader(&self) -> StreamReader {
        let mut identities = Identities::default();
        identities.set_preshared(Secret::new(self.psk));
        let cameras = self.camera.into_iter().collect();
        let policy = ReaderPolicy { profiles: Profile::ALL.to_vec(), cameras, ..ReaderPolicy::default() };
        StreamReader::new(Arc::new(identities), policy)
    }

    /// Keys of the stream.
    pub fn keys(&self) -> Arc<StreamKeys> {
        let open = || {
            let mut reader = self.reader();
            reader.header(&self.packets[0]).expect("genuine");
            reader.keys().expect("open")
        };
        self.keys.get_or_init(open).clone()
    }
}

impl Sealed {
    fn of_frame(packet: &Value) -> Sealed {
        let payload = payload_rule(number(&packet["payload_length"]) as usize);
        Sealed { kind: Kind::Frame, record: bytes(&packet["record"]), payload }
    }
}

impl GenuinePicture {
    /// The streams are of pictures of 16 x 16 gray pixels, the size of their first frame.
    fn of_stream(vector: &Value) -> GenuinePicture {
        let stream = Genuine::of_stream(vector);
        let (header, packet) = (&stream.packets[0], &stream.packets[1]);
        let gray = FrameLayout::new(Format::from_name("GRAY8").expect("known"), 16, 16, false).expect("a picture");
        let (prefix, payload) = packet.split_at(packet.len() - gray.payload_bytes());
        let rows = (header.len() + prefix.len() + 40).div_ceil(16);
        let layout = PictureLayout::with_extra_rows(gray, rows).expect("a picture");
        let mut plane = vec![0; layout.cipher.payload_bytes()];
        let mut planes = [PlaneMut { data: &mut plane, stride: 16 }];
        layout.fill(header, prefix, payload, &mut planes, &mut Vec::new()).expect("it has room");
        GenuinePicture { layout: layout.cipher, stream, plane }
    }

    fn of(vector: &Value) -> Option<GenuinePicture> {
        let [geometry] = &list(&vector["taller_planes"])[..] else { return None };
        let plane: Vec<u8> = list(&vector["plane_0_rows"]).iter().flat_map(bytes).collect();
        if plane.len() as u64 != number(&geometry["row_bytes"]) * number(&geometry["rows"]) {
            return None;
        }
        let name = vector["name"].as_str()?;
        let (format, size) = name.split_once(' ')?;
        let (width, height) = size.split_once('x')?;
        let rows = height.parse::<u32>().ok()? + number(&vector["extra_rows"]) as u32;
        let layout = FrameLayout::new(Format::from_name(format).ok()?, width.parse().ok()?, rows, false).ok()?;
        let mut stream = Genuine::empty(vector);
        stream.packets.push([bytes(&vector["head"]), bytes(&vector["tail"])].concat());
        stream.sealed.insert(number(&vector["counter"]), Sealed::of_frame(vector));
        Some(GenuinePicture { stream, layout, plane })
    }
}

/// Who opens frames.
pub fn engine() -> Engine {
    static BACKEND: LazyLock<Arc<dyn backend::Backend>> =
        LazyLock::new(|| backend::choose(Choice::Auto).expect("a backend"));
    Engine { backend: BACKEND.clone(), pool: None }
}

/// The payloads of the vectors.
fn payload_rule(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 197 + (i >> 8) * 31 + 7) as u8).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits")).collect()
}

fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().expect("32 bytes")
}
