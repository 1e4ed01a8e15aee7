//! The library against `tests/vectors/format.json`, the answers of an independent program (tests/vectors/README.md).
//!
//! Keys, and records that must be refused, are not reachable from outside: the unit tests of `seal::keys` and
//! `seal::record` compare them. `k_frame` and the payload between seal and stage (`before_stage_blake3`) are seen through
//! the packets that depend on them. Key groups that hold age files are only opened: age draws its own random values.

mod vectors;

use std::{cell::RefCell, fs, sync::Arc};

use gstchaosveil::{
    Error, Result,
    backend::{self, Choice},
    frame::{Format, FrameLayout, Plane, PlaneLayout, PlaneMut},
    seal::*,
};
use serde_json::Value;

use vectors::*;

/// A test that walks through a list passes where the list is empty.
#[test]
fn no_vector_is_missing() {
    let document = document();
    let count = |list: &Value| list.as_array().expect("a list").len();
    for (section, expected) in [
        ("keys", 6),
        ("frames", 88),
        ("metas", 5),
        ("records", 27),
        ("streams", 6),
        ("epochs", 6),
        ("truncations", 42),
        ("damage", 134),
        ("indexes", 84),
        ("pictures", 11),
        ("layouts", 5),
    ] {
        assert_eq!(count(&document[section]), expected, "{section}");
    }
    for stream in document["streams"].as_array().expect("a list") {
        assert_eq!(count(&stream["packets"]), 6, "{}", stream["name"]);
    }
    for (list, expected) in [("groups", 4), ("identities", 2), ("recipients", 2)] {
        assert_eq!(count(&document["key_groups"][list]), expected, "{list}");
    }
}

/// Lengths around the edges of blocks, tiles and segments, in every profile and with both AEADs.
#[test]
fn no_length_of_a_frame_is_missing() {
    let vectors = vectors();
    let small: &[usize] = &[0, 1, 255, 256, 257, 1000];
    let segments: &[usize] = &[786_431, 786_432, 786_433, 1_572_864, 1_572_865];
    let mut names = Vec::new();
    for profile in Profile::ALL {
        for aead in Aead::ALL {
            let name = format!("{}/{}", profile.name(), aead.name());
            let tiles: &[usize] = match profile.runs_stage() {
                true => &[49_151, 49_152, 49_153, 100_000],
                false => &[],
            };
            let frames = vectors.frames.iter().filter(|vector| vector.keys == name);
            let found: Vec<usize> = frames.map(|vector| vector.payload_length).collect();
            assert_eq!(found, [small, tiles, segments, &[33]].concat(), "{name}");
            names.push(name);
        }
    }
    assert!(vectors.keys.iter().map(|vector| &vector.name).eq(&names));
    assert!(vectors.streams.iter().map(|vector| &vector.name).eq(&names));
}

#[test]
fn stream_headers_are_written_byte_for_byte() {
    for vector in &vectors().keys {
        let stream = &vector.stream;
        let description = stream.description(&vector.caps, None);
        let header = stream.writer().describe(&description).expect("fits");
        assert_eq!(Hex(header.to_vec()), vector.stream_header_packet, "{}", vector.name);
        let raw = RawStreamHeader::split(&header).expect("whole");
        assert_eq!(raw.head(), vector.head.0, "{}", vector.name);
        assert_eq!(blake3::hash(raw.head()).as_bytes()[..], vector.h.0, "{}", vector.name);
        assert_eq!(raw.key_groups().expect("valid"), [(3, &vector.key_group.0[..])], "{}", vector.name);
        assert_eq!(header[raw.head().len()..][..32], vector.commitment.0, "{}", vector.name);
        let mut reader = stream.reader();
        assert_eq!(reader.header(&header).expect("opens"), HeaderNews::NewStream);
        assert_eq!(*reader.description(vector.description_counter, 0).expect("told"), description);
    }
}

#[test]
fn frames_are_written_byte_for_byte() {
    let vectors = vectors();
    for keys in &vectors.keys {
        let mut writer = keys.stream.writer();
        writer.describe(&keys.stream.description(&keys.caps, None)).expect("fits");
        let mut sealer = FrameSealer::new(writer.keys(), engine());
        for vector in vectors.frames.iter().filter(|vector| vector.keys == keys.name) {
            // A writer draws its counters in sequence; one far away is only opened.
            let packet = match vector.counter > 0xFFFF {
                true => vector.whole_packet(),
                false => vector.write(&mut writer, &mut sealer),
            };
            let context = format!("{}, counter {}", vector.keys, vector.counter);
            assert_eq!(packet.len(), vector.packet_length, "{context}");
            assert_eq!(Hex(packet[..64].to_vec()), vector.sealed.frame_header, "{context}");
            assert_eq!(Hex(packet[..vector.prefix().len()].to_vec()), Hex(vector.prefix()), "{context}");
            let payload = &packet[vector.prefix().len()..];
            assert!(payload.starts_with(&vector.payload_first_32.0) && payload.ends_with(&vector.payload_last_32.0));
            assert_eq!(blake3::hash(&packet).to_hex().as_str(), vector.packet_blake3, "{context}");
            let (header, record, opened) = open(writer.keys(), &packet).expect("opens");
            assert_eq!((header.counter, header.kind), (vector.counter, Kind::Frame), "{context}");
            assert_eq!(record, vector.times.record(Vec::new()), "{context}");
            assert!(opened == payload_rule(vector.payload_length), "{context}");
        }
    }
}

#[test]
fn metas_are_written_byte_for_byte() {
    for vector in vectors().metas {
        let record = Record { metas: vec![meta_of(&vector)], ..Record::default() };
        let mut written = Vec::new();
        record.encode(&mut written).expect("small enough");
        let body = &written[RECORD_FIXED_BYTES + 4..];
        assert_eq!(Hex(body.to_vec()).to_string(), vector["body"].as_str().expect("hex"), "{}", vector["meta"]);
    }
}

#[test]
fn streams_are_written_byte_for_byte_and_read_back() {
    let vectors = vectors();
    for vector in &vectors.streams {
        let mut writer = vector.stream.writer();
        let mut sealer = FrameSealer::new(writer.keys(), engine());
        for packet in &vector.packets {
            let written = packet.write(&vector.stream, &mut writer, &mut sealer, &vectors.metas);
            assert_eq!(Hex(written), packet.packet, "{}: {} at {}", vector.name, packet.kind, packet.position);
        }
        let whole = vector.whole();
        assert_eq!(blake3::hash(&whole).to_hex().as_str(), vector.blake3);
        let expected: Vec<_> = vector.packets.iter().filter(|packet| packet.kind == "frame").collect();
        for chunk in [1, 100, whole.len()] {
            let reading = read(&vector.stream, &whole, chunk);
            assert!(reading.intact(), "{}", vector.name);
            assert_eq!(reading.end, Some(EndRecord { last_counter: 4, frames: 3 }));
            for ((counter, record, payload), packet) in reading.released.iter().zip(&expected) {
                assert_eq!(Some(*counter), packet.counter);
                assert_eq!(*record, packet.record(&vectors.metas));
                assert!(*payload == payload_rule(packet.payload_length.expect("a frame")));
            }
        }
    }
}

#[test]
fn epochs_are_written_byte_for_byte_and_read_in_any_order() {
    for vector in &vectors().epochs {
        let camera = camera_of(&vector.camera_seed);
        assert_eq!(camera.id().to_string(), format!("camera-1:{}", vector.camera));
        let mut writer = vector.stream.writer().signed_by(Some(Arc::new(camera)));
        let mut sealer = FrameSealer::new(writer.keys(), engine());
        assert_eq!(vector.packets.len(), 9, "{}", vector.name);
        for packet in &vector.packets {
            while writer.epoch() < packet.epoch {
                writer.rekey().expect("within limits");
            }
            let written = match packet.kind.as_str() {
                "stream header" => {
                    writer.describe(&vector.stream.description(&vector.caps, None)).expect("fits").to_vec()
                }
                "frame" => {
                    let payload = payload_rule(packet.payload_length.expect("a length"));
                    let ticket = writer.frame(payload.len()).expect("within limits");
                    seal(&mut sealer, ticket, &packet.times.record(Vec::new()), &payload)
                }
                _ => {
                    let (ticket, payload) = writer.end().expect("within limits");
                    let record = Record { description: ticket.description(), ..Record::default() };
                    seal(&mut sealer, ticket, &record, &payload)
                }
            };
            assert_eq!(Hex(written), packet.packet, "{}: counter {}", vector.name, packet.counter);
        }
        // Who joins late begins with the last epoch, and still opens the first.
        let mut reader = vector.stream.reader();
        for packet in vector.packets.iter().rev().filter(|packet| packet.kind == "stream header") {
            reader.header(&packet.packet.0).expect("opens");
        }
        let camera = reader.session().expect("open").camera().expect("signed");
        assert_eq!(camera.to_string(), format!("camera-1:{}", vector.camera));
        let keys = reader.keys().expect("open");
        for packet in vector.packets.iter().rev().filter(|packet| packet.kind == "frame") {
            let (header, record, payload) = open(keys.clone(), &packet.packet.0).expect("opens");
            assert_eq!((header.epoch, header.counter), (packet.epoch, packet.counter), "{}", vector.name);
            assert_eq!(record, packet.times.record(Vec::new()), "{}", vector.name);
            assert!(payload == payload_rule(packet.payload_length.expect("a length")), "{}", vector.name);
        }
        // The writer has wiped what was before: a stolen camera opens nothing of the first two epochs.
        for packet in vector.packets.iter().filter(|packet| packet.kind == "frame") {
            assert_eq!(open(writer.keys(), &packet.packet.0).is_ok(), packet.epoch == 3, "{}", vector.name);
        }
    }
}

#[test]
fn fail_every_truncation() {
    let vectors = vectors();
    // The last cut of a stream is none: it leaves the stream complete.
    let cuts: Vec<_> = vectors.truncations.split_inclusive(|cut| cut.complete).collect();
    assert_eq!(cuts.len(), vectors.streams.len());
    for (vector, cuts) in vectors.streams.iter().zip(cuts) {
        let whole = vector.whole();
        let mut next = 0;
        for cut in cuts {
            assert_eq!(cut.from, next, "{}", vector.name);
            for len in cut.from..=cut.to {
                let reading = read(&vector.stream, &whole[..len], 500);
                let found = (reading.released.len(), reading.intact());
                assert_eq!(found, (cut.frames, cut.complete), "{}, {len} bytes", vector.name);
            }
            next = cut.to + 1;
        }
        assert_eq!(next, whole.len() + 1, "{}", vector.name);
    }
}

#[test]
fn fail_every_damage() {
    let vectors = vectors();
    let (stream, whole) = (&vectors.streams[0].stream, vectors.streams[0].whole());
    for damage in &vectors.damage {
        let mut damaged = whole.clone();
        damaged[damage.byte] ^= 1 << damage.bit;
        for chunk in [64, whole.len()] {
            let reading = read(stream, &damaged, chunk);
            let context = format!("{} at byte {}, chunks of {chunk}", damage.field, damage.byte);
            let released: Vec<u64> = reading.released.iter().map(|(counter, ..)| *counter).collect();
            assert_eq!(released, damage.released, "{context}");
            assert_eq!(reading.undescribed, damage.undescribed, "{context}");
            assert!(!reading.intact(), "{context}");
        }
    }
}

/// Also opens age files that this crate's age did not make.
#[test]
fn every_key_group_opens_the_stream() {
    let vector = &vectors().key_groups;
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let identity = |text: &str| {
        let mut identities = Identities::default();
        identities.add_file(&file("identity", text)).expect("an identity");
        identities
    };
    let passphrase = |text: &str| {
        let mut identities = Identities::default();
        identities.set_passphrase_file(&file("passphrase", text)).expect("a passphrase");
        identities
    };
    let fitting = [
        identity(&vector.identities[0]),
        identity(&vector.identities[1]),
        passphrase(&vector.passphrase),
        vector.stream.identities(),
    ];
    for identities in fitting {
        let reading = read_as(identities, &vector.opened, 1000);
        assert!(reading.intact());
        assert_eq!(reading.released.len(), 1);
        assert_eq!(reading.released[0].2, payload_rule(vector.payload_length));
    }
    let header_len = RawStreamHeader::total_len(&vector.opened.0).expect("ours").expect("whole");
    let header = RawStreamHeader::split(&vector.opened.0[..header_len]).expect("whole");
    let wrong = RawStreamHeader::split(&vector.wrong_root_stream_header.0).expect("whole");
    assert!(matches!(identity(&vector.wrong_identity).unlock(&header), Err(Error::WrongKey)));
    assert!(matches!(passphrase("no").unlock(&header), Err(Error::WrongKey)));
    assert!(matches!(vector.stream.identities().unlock(&wrong), Err(Error::WrongKey)));
    let groups = header.key_groups().expect("valid");
    let expected: Vec<_> = vector.groups.iter().map(|group| (group.kind, &group.bytes.0[..])).collect();
    assert_eq!(groups, expected);
}

/// The writer keeps room for larger records than these pictures have: more extra rows, of zeros. Without those the
/// picture must be that of the vectors.
#[test]
fn cipher_pictures_are_written_byte_for_byte_and_read_back() {
    for vector in &vectors().pictures {
        let frame = vector.frame();
        let (planes, extra_rows) = vector.write(&frame);
        let row_bytes = frame.planes()[0].row_bytes;
        let surplus = extra_rows - vector.extra_rows;
        let planes: Vec<Vec<u8>> = planes
            .into_iter()
            .zip(&vector.taller_planes)
            .enumerate()
            .map(|(index, (plane, geometry))| match index {
                0 => without_surplus(plane, surplus * row_bytes, vector.extra_rows),
                _ => plane[..geometry.row_bytes * geometry.rows].to_vec(),
            })
            .collect();
        // All rows of a small picture, the extra rows of a large one.
        let rows: Vec<u8> = vector.plane_0_rows.iter().flat_map(|row| row.0.clone()).collect();
        let told = planes[0].len().checked_sub(rows.len()).expect("no more rows than there are");
        assert_eq!(Hex(planes[0][told..].to_vec()), Hex(rows), "{}", vector.name);
        assert_eq!(blake3::hash(&planes.concat()).to_hex().as_str(), vector.picture_blake3, "{}", vector.name);

        let cipher = frame.taller(vector.extra_rows as u32).expect("fits");
        let views: Vec<Plane> = planes
            .iter()
            .zip(&vector.taller_planes)
            .map(|(data, geometry)| Plane { data, stride: geometry.row_bytes })
            .collect();
        let mut picture = CipherPicture::default();
        picture.read(&cipher, &views).expect("a cipher picture");
        assert_eq!(picture.size, (frame.width(), frame.height()));
        let mut reader = vector.stream.reader();
        reader.header(picture.header()).expect("opens");
        let mut out = Vec::new();
        let mut opener = FrameOpener::new(reader.keys().expect("open"), engine());
        let (_, record) = opener.open(picture.prefix(), &picture.payload, &mut out).expect("opens");
        assert_eq!(record, vector.times.record(Vec::new()));
        assert_eq!(reader.description(record.description, 0).expect("told").caps, vector.caps);
        assert_eq!(out, payload_rule(vector.payload_length));
    }
}

/// The planes of every format at a few sizes, in the words of the vectors: `17x13 9x7 9x7`.
#[test]
fn planes_have_the_sizes_of_the_vectors() {
    for sizes in document()["layouts"].as_array().expect("a list") {
        let side = |name: &str| sizes[name].as_u64().and_then(|side| u32::try_from(side).ok()).expect("px");
        let (width, height) = (side("width"), side("height"));
        let interlaced = sizes["interlaced"].as_bool().expect("a truth value");
        let mut formats = 0;
        for (expected, names) in sizes["formats"].as_object().expect("formats by their planes") {
            for name in names.as_str().expect("names").split(' ') {
                let format = Format::from_name(name).expect("known");
                let found = match FrameLayout::new(format, width, height, interlaced) {
                    Err(_) => "opaque".to_owned(),
                    Ok(layout) => {
                        let text = |plane: &PlaneLayout| format!("{}x{}", plane.row_bytes, plane.rows);
                        layout.planes().iter().map(text).collect::<Vec<_>>().join(" ")
                    }
                };
                assert_eq!(found, *expected, "{name} {width} x {height}, interlaced: {interlaced}");
                formats += 1;
            }
        }
        assert_eq!(formats, Format::all().count());
    }
}

/// The file as it stands, for what its types leave out.
fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/format.json");
    serde_json::from_str(&fs::read_to_string(path).expect("format.json")).expect("valid vectors")
}

// -- writing -------------------------------------------------------------------------------------------------------

fn engine() -> Engine {
    Engine { backend: backend::choose(Choice::Auto).expect("a backend"), pool: None }
}

/// The `payload_rule` of the vectors.
fn payload_rule(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 197 + (i >> 8) * 31 + 7) as u8).collect()
}

/// A camera's key, by way of its file.
fn camera_of(seed: &Hex) -> CameraKey {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), format!("# a comment\nCHAOSVEIL-CAMERA-1:{seed}\n")).expect("written");
    CameraKey::read(file.path()).expect("a key file")
}

fn seal(sealer: &mut FrameSealer, ticket: Ticket, record: &Record, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let source = |out: &mut [u8]| {
        out.copy_from_slice(payload);
        Ok(())
    };
    sealer.seal_packet(ticket, record, source, &mut packet).expect("seals");
    packet
}

impl StreamInputs {
    fn writer(&self) -> StreamWriter {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new(self.psk.array()));
        let secrets = StreamSecrets::new(self.root.array(), self.stream_id.array(), self.salt.array());
        let profile = Profile::from_code(self.profile).expect("known");
        StreamWriter::new(profile, Aead::from_code(self.aead).expect("known"), &recipients, secrets).expect("valid")
    }

    fn description(&self, caps: &str, segment: Option<Segment>) -> Description {
        Description { track: 0, tracks: 1, recording: self.recording_id.array(), caps: caps.into(), segment }
    }

    fn identities(&self) -> Identities {
        let mut identities = Identities::default();
        identities.set_preshared(Secret::new(self.psk.array()));
        identities
    }

    fn reader(&self) -> StreamReader {
        reader(self.identities())
    }
}

impl FrameVector {
    fn write(&self, writer: &mut StreamWriter, sealer: &mut FrameSealer) -> Vec<u8> {
        let ticket = writer.frame(self.payload_length).expect("within limits");
        assert_eq!((ticket.counter(), ticket.description()), (self.counter, self.times.description_counter));
        seal(sealer, ticket, &self.times.record(Vec::new()), &payload_rule(self.payload_length))
    }

    /// Header, authenticator and record, as the vectors have them.
    fn prefix(&self) -> Vec<u8> {
        [&self.sealed.frame_header.0[..], &self.sealed.authenticator.0, &self.sealed.sealed_record.0].concat()
    }

    /// The packet, where first and last 32 bytes are all of its payload.
    fn whole_packet(&self) -> Vec<u8> {
        let (first, last) = (&self.payload_first_32.0, &self.payload_last_32.0);
        let missing = self.payload_length - first.len();
        [&self.prefix()[..], first, &last[last.len() - missing..]].concat()
    }
}

impl PacketVector {
    fn write(
        &self,
        stream: &StreamInputs,
        writer: &mut StreamWriter,
        sealer: &mut FrameSealer,
        metas: &[Value],
    ) -> Vec<u8> {
        match self.kind.as_str() {
            "stream header" => {
                let caps = self.caps.as_ref().expect("caps");
                let segment = self.segment.as_ref().map(SegmentVector::segment);
                writer.describe(&stream.description(caps, segment)).expect("fits").to_vec()
            }
            "frame" => {
                let payload = payload_rule(self.payload_length.expect("a length"));
                let ticket = writer.frame(payload.len()).expect("within limits");
                seal(sealer, ticket, &self.record(metas), &payload)
            }
            kind => {
                assert_eq!(kind, "end record");
                let (ticket, payload) = writer.end().expect("within limits");
                let record = Record { description: ticket.description(), ..Record::default() };
                seal(sealer, ticket, &record, &payload)
            }
        }
    }

    fn record(&self, metas: &[Value]) -> Record {
        let fields = |body: &Hex| {
            metas.iter().find(|meta| meta["body"] == body.to_string().as_str()).expect("among the metas of the vectors")
        };
        self.times.record(self.metas.iter().map(|meta| meta_of(fields(&meta.body))).collect())
    }
}

/// A meta from the fields that the vectors name.
fn meta_of(fields: &Value) -> Meta {
    let long = |name: &str| fields[name].as_u64();
    let number = |name: &str| long(name).and_then(|value| u32::try_from(value).ok()).expect("a u32");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match long("type") {
        Some(1) => Meta::Crop { x: number("x"), y: number("y"), width: number("width"), height: number("height") },
        Some(2) => Meta::RegionOfInterest {
            x: number("x"),
            y: number("y"),
            width: number("width"),
            height: number("height"),
            id: number("id").cast_signed(),
            parent: number("parent").cast_signed(),
            roi_type: text(&fields["region_type"]),
            parameters: fields["parameters"].as_array().expect("a list").iter().map(text).collect(),
        },
        Some(3) => Meta::TimeCode {
            fps_numerator: number("fps_numerator"),
            fps_denominator: number("fps_denominator"),
            flags: number("flags"),
            hours: number("hours"),
            minutes: number("minutes"),
            seconds: number("seconds"),
            frames: number("frames"),
            field_count: number("field_count"),
            daily_jam_us: long("daily_jam_us"),
        },
        Some(4) => Meta::ReferenceTimestamp {
            timestamp: long("timestamp").expect("a time"),
            duration: long("duration"),
            reference: text(&fields["caps"]),
        },
        Some(6) => Meta::Classification {
            frame: long("frame").expect("a number"),
            confidence: fields["confidence"].as_f64().expect("a number"),
            model_digest: blake3::Hash::from_hex(text(&fields["model_digest"])).expect("a digest").into(),
            label: text(&fields["label"]),
        },
        other => panic!("no meta of type {other:?}"),
    }
}

impl PictureVector {
    /// The picture itself, from a name such as `GRAY8 16x16` or `I420 16x25 alternate`: then a buffer holds one field.
    fn frame(&self) -> FrameLayout {
        let mut words = self.name.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, size, mode) = (word(), word(), word());
        let (width, height) = size.split_once('x').expect("width and height");
        let (width, height): (u32, u32) = (width.parse().expect("px"), height.parse().expect("px"));
        let format = Format::from_name(name).expect("known");
        let (rows, interlaced) = match mode {
            "" => (height, false),
            "interlaced" => (height, true),
            "alternate" => (height.div_ceil(2), true),
            other => panic!("no pictures are {other}"),
        };
        FrameLayout::new(format, width, rows, interlaced).expect("a picture")
    }

    /// The planes of the cipher picture that the library makes, and its extra rows.
    fn write(&self, frame: &FrameLayout) -> (Vec<Vec<u8>>, usize) {
        let mut writer = self.stream.writer();
        let header = writer.describe(&self.stream.description(&self.caps, None)).expect("fits");
        let profile = Profile::from_code(self.stream.profile).expect("known");
        let layout = PictureLayout::new(frame.clone(), profile, header.len()).expect("fits");
        let ticket = writer.frame(self.payload_length).expect("within limits");
        let source = |out: &mut [u8]| {
            out.copy_from_slice(&payload_rule(self.payload_length));
            Ok(())
        };
        let (mut prefix, mut payload) = (Vec::new(), Vec::new());
        FrameSealer::new(writer.keys(), engine())
            .seal(ticket, &self.times.record(Vec::new()), source, &mut prefix, &mut payload)
            .expect("seals");
        let mut planes: Vec<Vec<u8>> = layout.cipher.planes().iter().map(|plane| vec![0xC3; plane.bytes()]).collect();
        let mut views: Vec<PlaneMut> = planes
            .iter_mut()
            .zip(layout.cipher.planes())
            .map(|(data, plane)| PlaneMut { data, stride: plane.row_bytes })
            .collect();
        layout.fill(&header, &prefix, &payload, &mut views, &mut Vec::new()).expect("fits");
        (planes, (layout.cipher.height() - frame.height()) as usize)
    }
}

/// Plane 0 without `surplus` of the zero bytes before its trailer, which then tells `extra_rows`.
fn without_surplus(mut plane: Vec<u8>, surplus: usize, extra_rows: usize) -> Vec<u8> {
    let trailer = plane.split_off(plane.len() - 24);
    let zeros = plane.split_off(plane.len() - surplus);
    assert!(zeros.iter().all(|&byte| byte == 0), "filler is zero");
    [&plane[..], &trailer[..20], &(extra_rows as u32).to_le_bytes()].concat()
}

#[test]
fn indexes_are_opened_or_refused_and_stepped_over() {
    let vectors = vectors();
    for vector in &vectors.indexes {
        let stream = vectors.streams.iter().find(|stream| stream.name == vector.stream).expect("its stream");
        let whole = stream.whole();
        let mut reader = reader(stream.stream.identities());
        reader.header(&stream.packets[0].packet.0).expect("opens");
        let keys = reader.keys().expect("a stream");
        let packet = &vector.packet.0;
        let context = format!("{}, {}", vector.stream, vector.case);
        let expected = vector.index.as_ref().map(IndexFields::index);
        assert_eq!(Index::open(packet, &keys).ok(), expected, "{context}");
        assert_eq!(Index::find(&[&whole[..], packet].concat(), &keys), expected, "{context}");
        for chunk in [1, 100, 10_000] {
            let reading = read(&stream.stream, &[&whole[..], packet].concat(), chunk);
            assert!(reading.intact(), "{context} in pieces of {chunk}");
        }
        let mut flipped = packet.clone();
        let bit = flipped.len() * 5 / 3 % (8 * flipped.len());
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Index::open(&flipped, &keys).is_err(), "{context}, bit {bit}");
    }
}

// -- reading -------------------------------------------------------------------------------------------------------

fn reader(identities: Identities) -> StreamReader {
    let policy = ReaderPolicy { profiles: Profile::ALL.to_vec(), ..ReaderPolicy::default() };
    StreamReader::new(Arc::new(identities), policy)
}

fn open(keys: Arc<StreamKeys>, packet: &[u8]) -> Result<(FrameHeader, Record, Vec<u8>)> {
    let header = FrameHeader::decode(packet.first_chunk().expect("a header"), &keys)?;
    let (prefix, payload) = packet.split_at(header.prefix_len());
    let mut out = Vec::new();
    let (header, record) = FrameOpener::new(keys, engine()).open(prefix, payload, &mut out)?;
    Ok((header, record, out))
}

/// What a whole byte stream held.
#[derive(Default)]
struct Reading {
    released: Vec<(u64, Record, Vec<u8>)>,
    undescribed: Vec<u64>,
    end: Option<EndRecord>,
    skipped: u64,
}

impl Reading {
    fn intact(&self) -> bool {
        self.skipped == 0 && self.end.is_some_and(|end| end.frames == self.released.len() as u64)
    }

    fn take(&mut self, reader: &mut StreamReader, packet: &[u8]) -> Result<()> {
        let (header, record, payload) = open(reader.keys().expect("its header has verified"), packet)?;
        if header.kind == Kind::End {
            self.end = Some(EndRecord::decode(&header, &record, &payload)?);
        } else if reader.description(record.description, header.epoch).is_none() {
            self.undescribed.push(header.counter);
        } else if reader.admit(header.counter) == Verdict::Fresh {
            self.released.push((header.counter, record, payload));
        }
        Ok(())
    }
}

/// Shared with what is told about the packets found.
struct Shared<'a>(&'a RefCell<StreamReader>);

impl Verifier for Shared<'_> {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.borrow_mut().header(bytes).map(drop)
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        self.0.borrow().frame(bytes)
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        self.0.borrow().index_header(bytes)
    }

    fn opens(&mut self, packet: &[u8]) -> bool {
        self.0.borrow().keys().is_some_and(|keys| open(keys, packet).is_ok())
    }
}

fn read(stream: &StreamInputs, bytes: &[u8], chunk: usize) -> Reading {
    read_as(stream.identities(), &Hex(bytes.to_vec()), chunk)
}

fn read_as(identities: Identities, bytes: &Hex, chunk: usize) -> Reading {
    let reader = RefCell::new(reader(identities));
    let mut reading = Reading::default();
    let mut found = |_, found: Found| {
        if let Found::Frame(_, packet) = found {
            // A frame that does not open is what these tests are about: it must not be among the released.
            let _ = reading.take(&mut reader.borrow_mut(), packet);
        }
    };
    let mut scanner = PacketScanner::default();
    for chunk in bytes.0.chunks(chunk) {
        scanner.push(chunk, &mut Shared(&reader), &mut found);
    }
    scanner.finish(&mut Shared(&reader), &mut found);
    reading.skipped = scanner.skipped();
    reading
}
