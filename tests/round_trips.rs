//! Every raw format with plain rows, at even, odd and large sizes, as packets and as cipher pictures, in every profile:
//! what comes back is what went in, bit for bit. Through the library alone; `elements` does the same in pipelines.

use std::sync::Arc;

use gstchaosveil::{
    backend::{self, Choice},
    frame::{Format, FrameLayout, Plane, PlaneMut},
    seal::{
        Aead, CipherPicture, Description, Engine, FrameOpener, FrameSealer, Identities, PictureLayout, Profile,
        ReaderPolicy, Recipients, Record, Secret, StreamKeys, StreamReader, StreamSecrets, StreamWriter,
    },
};

const KEY: [u8; 32] = [0x5A; 32];

/// One stream and everything that works on it.
struct Stream {
    profile: Profile,
    writer: StreamWriter,
    header: Arc<Vec<u8>>,
    sealer: FrameSealer,
    opener: FrameOpener,
    prefix: Vec<u8>,
    payload: Vec<u8>,
    packet: Vec<u8>,
    opened: Vec<u8>,
}

impl Stream {
    fn new(profile: Profile) -> Stream {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new(KEY));
        let secrets = StreamSecrets::random().expect("random bytes");
        let mut writer = StreamWriter::new(profile, Aead::Aes256Gcm, &recipients, secrets).expect("valid");
        let description = Description { tracks: 1, caps: "video/x-raw".into(), ..Description::default() };
        let header = writer.describe(&description).expect("fits");
        let engine = Engine { backend: backend::choose(Choice::Auto).expect("a backend"), pool: None };
        let sealer = FrameSealer::new(writer.keys(), engine.clone());
        let opener = FrameOpener::new(reader_keys(&header), engine);
        let (prefix, payload, packet, opened) = Default::default();
        Stream { profile, writer, header, sealer, opener, prefix, payload, packet, opened }
    }

    fn packet_round_trip(&mut self, frame: &[u8]) -> bool {
        let ticket = self.writer.frame(frame.len()).expect("within limits");
        let copy = |out: &mut [u8]| {
            out.copy_from_slice(frame);
            Ok(())
        };
        self.sealer.seal_packet(ticket, &Record::default(), copy, &mut self.packet).expect("seals");
        assert!(frame.len() < 64 || !contains(&self.packet, &frame[..64]), "nothing of the frame shows");
        let (prefix, payload) = self.packet.split_at(self.packet.len() - frame.len());
        self.opener.open(prefix, payload, &mut self.opened).expect("opens");
        self.opened == frame
    }

    fn picture_round_trip(&mut self, layout: &FrameLayout, frame: &[u8], padding: usize) -> bool {
        let picture = PictureLayout::new(layout.clone(), self.profile, self.header.len()).expect("fits");
        let ticket = self.writer.frame(frame.len()).expect("within limits");
        let copy = |out: &mut [u8]| {
            out.copy_from_slice(frame);
            Ok(())
        };
        self.sealer.seal(ticket, &Record::default(), copy, &mut self.prefix, &mut self.payload).expect("seals");
        let stride = |row_bytes: usize| row_bytes + padding;
        let planes = picture.cipher.planes();
        let mut carried: Vec<Vec<u8>> = planes.iter().map(|p| vec![0xC3; stride(p.row_bytes) * p.rows]).collect();
        let mut out: Vec<PlaneMut> =
            carried.iter_mut().zip(planes).map(|(data, p)| PlaneMut { data, stride: stride(p.row_bytes) }).collect();
        picture.fill(&self.header, &self.prefix, &self.payload, &mut out, &mut Vec::new()).expect("fits");
        let views: Vec<Plane> =
            carried.iter().zip(planes).map(|(data, p)| Plane { data, stride: stride(p.row_bytes) }).collect();
        let mut cipher = CipherPicture::default();
        cipher.read(&picture.cipher, &views).expect("a cipher picture");
        assert_eq!(cipher.size, (layout.width(), layout.height()));
        self.opener.open(cipher.prefix(), &cipher.payload, &mut self.opened).expect("opens");
        self.opened == frame
    }
}

/// Keys as a reader finds them, from the header alone.
fn reader_keys(header: &[u8]) -> Arc<StreamKeys> {
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(KEY));
    let policy = ReaderPolicy { profiles: Profile::ALL.to_vec(), ..ReaderPolicy::default() };
    let mut reader = StreamReader::new(Arc::new(identities), policy);
    reader.header(header).expect("our own stream");
    reader.keys().expect("open")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Bytes without a pattern, the same in every run.
fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"round trips").finalize_xof().fill(&mut bytes);
    bytes
}

fn every_format(width: u32, height: u32) {
    let mut streams: Vec<Stream> = Profile::ALL.map(Stream::new).into();
    let noise = noise(width as usize * height as usize * 8 + 4096);
    let (mut formats, mut pictures) = (0, 0);
    for format in Format::all() {
        let Ok(layout) = FrameLayout::new(format, width, height, false) else { continue };
        let frame = &noise[..layout.payload_bytes()];
        formats += 1;
        // What a lossless carrier would damage goes where the user vouches for an exact one.
        let as_picture = layout.carriage().refusal(true).is_none();
        pictures += usize::from(as_picture);
        for stream in &mut streams {
            let what = format!("{format} {width}x{height} {:?}", stream.profile);
            assert!(stream.packet_round_trip(frame), "{what}, packet");
            if as_picture {
                assert!(stream.picture_round_trip(&layout, frame, (formats % 3) * 5), "{what}, picture");
            }
        }
    }
    assert!(formats >= 100 && pictures >= 100, "{formats} formats, {pictures} as pictures");
}

#[test]
fn at_16x16() {
    every_format(16, 16);
}

#[test]
fn at_17x13() {
    every_format(17, 13);
}

#[test]
fn at_320x240() {
    every_format(320, 240);
}

#[test]
fn at_641x479() {
    every_format(641, 479);
}

#[test]
fn at_1920x1080() {
    every_format(1920, 1080);
}

#[test]
fn at_1921x1081() {
    every_format(1921, 1081);
}
