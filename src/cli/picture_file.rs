//! A picture's own bytes, sealed as a packet file of one frame; and back: the identical file, or another type of it.

use std::io::Read;

use super::{
    error::{Exit, Failure},
    output,
    packets::read_packets,
    picture_type::{self, PictureType},
    pixels::Pixels,
    sealing::{Opening, Sealing},
    streams::{Damage, FrameSink, Open, Streams},
};
use crate::{
    Result,
    seal::{Description, FrameSealer, Record, Ticket, random_bytes},
};

/// Seals a picture file of the given type.
///
/// The stream header stands there twice, so that damage to one does not take the picture with it.
///
/// # Errors
/// If the system gives no random bytes, or a limit is passed.
pub fn seal(sealing: &Sealing, kind: &PictureType, file: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut writer = sealing.stream()?;
    let header = writer.describe(&description(kind.media.into())?)?;
    let mut sealer = FrameSealer::new(writer.keys(), sealing.engine.clone());
    let mut packet = |ticket: Ticket, bytes: &[u8]| {
        let record = Record { description: ticket.description(), ..Record::default() };
        let mut packet = Vec::new();
        let source = |out: &mut [u8]| {
            out.copy_from_slice(bytes);
            Ok(())
        };
        sealer.seal_packet(ticket, &record, source, &mut packet).map(|()| packet)
    };
    let frame = packet(writer.frame(file.len())?, file)?;
    let (ticket, last) = writer.end()?;
    let end = packet(ticket, &last)?;
    Ok([&header, &header, &frame[..], &end].concat())
}

/// The description of the only frame of a stream.
///
/// # Errors
/// If the system gives no random bytes.
pub fn description(caps: String) -> Result<Description> {
    Ok(Description { track: 0, tracks: 1, recording: random_bytes()?, caps, segment: None })
}

/// A picture that has been opened and verified.
pub struct Opened {
    /// What it is.
    pub content: Content,
    /// What else is wrong with the file that it stood in.
    pub damage: Option<Damage>,
}

/// The picture in a sealed file.
pub enum Content {
    /// The bytes of a picture file.
    File(&'static PictureType, Vec<u8>),
    /// Pixels.
    Pixels(Pixels),
}

impl Content {
    /// The type to write where the user names none.
    pub fn kind(&self) -> &'static PictureType {
        match self {
            Content::File(kind, _) => kind,
            Content::Pixels(_) => picture_type::PNG,
        }
    }

    /// A file of the given type: the very bytes if that is what was sealed.
    ///
    /// # Errors
    /// If what was sealed cannot be decoded, or not be written as that type.
    pub fn into_file(self, kind: &PictureType) -> Result<Vec<u8>, Failure> {
        match self {
            Content::File(sealed, bytes) if sealed == kind => Ok(bytes),
            Content::File(_, bytes) => kind.encode(&picture_type::decode(&bytes)?),
            Content::Pixels(pixels) => kind.encode(&pixels.into_image()?),
        }
    }
}

/// Opens a packet file that holds one picture.
///
/// # Errors
/// If no key opens it, it is not ours, the picture in it is damaged, or it holds something else.
pub fn open(opening: &Opening, name: &str, source: impl Read) -> Result<Opened, Failure> {
    let mut streams = Streams::new(opening, Open(FirstFrame::default()));
    let (extent, read) = read_packets(source, 0, &mut streams);
    read.map_err(|error| Failure::io(name, error))?;
    let (streams, Open(first)) = streams.finish().map_err(|failure| failure.about(name))?;
    let damage = Damage::of(&extent, streams.values());
    if first.frames > 1 || streams.len() > 1 {
        return Err(Failure::usage(format!("{name} holds {} frames, not one picture", first.frames))
            .advise("it is a video: name an OUTPUT that ends in .mkv"));
    }
    let Some((caps, bytes)) = first.frame else {
        let why = damage.map_or_else(|| "it holds no frame".to_owned(), |damage| damage.to_string());
        return Err(Failure::new(Exit::Content, format!("{name}: no intact picture: {why}")));
    };
    Ok(Opened { content: content(&caps, bytes).map_err(|failure| failure.about(name))?, damage })
}

fn content(caps: &str, bytes: Vec<u8>) -> Result<Content, Failure> {
    if let Some(kind) = PictureType::of_caps(caps) {
        return Ok(Content::File(kind, bytes));
    }
    if !caps.starts_with("video/x-raw,") {
        return Err(Failure::usage(format!("it holds no picture but {}", output::printable(caps)))
            .advise("name an OUTPUT that fits, such as a .mkv file"));
    }
    let layout = Pixels::layout_of_caps(caps)?;
    if bytes.len() != layout.payload_bytes() {
        return Err(Failure::new(
            Exit::Content,
            format!("{} bytes are no picture of {}", bytes.len(), output::printable(caps)),
        ));
    }
    Ok(Content::Pixels(Pixels { layout, bytes }))
}

/// Keeps the first frame and counts the others.
#[derive(Default)]
struct FirstFrame {
    frame: Option<(String, Vec<u8>)>,
    frames: u64,
}

impl FrameSink for FirstFrame {
    fn frame(&mut self, description: &Description, _: &Record, payload: &[u8]) {
        self.frames += 1;
        if self.frames == 1 {
            self.frame = Some((description.caps.clone(), payload.to_vec()));
        }
    }
}
