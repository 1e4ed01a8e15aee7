//! A picture's pixels as a cipher picture: a PNG of the same width, depth and channels, a few rows taller.

use std::{io::Cursor, sync::Arc};

use image::{
    DynamicImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use super::{
    error::{Exit, Failure},
    picture_file::{Content, Opened, description},
    picture_type,
    pixels::Pixels,
    sealing::{Opening, Sealing},
};
use crate::{
    frame::{FrameLayout, Plane, PlaneMut},
    seal::{CipherPicture, Description, FrameOpener, FrameSealer, Kind, PictureLayout, Record, StreamReader},
};

/// Seals pixels and writes the cipher picture as a PNG file.
///
/// # Errors
/// If the picture is over the limits of a frame, or would become taller than a picture can be.
pub fn seal(sealing: &Sealing, pixels: Pixels) -> Result<Vec<u8>, Failure> {
    let mut writer = sealing.stream()?;
    let header = writer.describe(&description(Pixels::caps(&pixels.layout))?)?;
    let layout = PictureLayout::new(pixels.layout, sealing.profile, header.len())?;
    let ticket = writer.frame(pixels.bytes.len())?;
    let record = Record { description: ticket.description(), ..Record::default() };
    let source = |out: &mut [u8]| {
        out.copy_from_slice(&pixels.bytes);
        Ok(())
    };
    let (mut prefix, mut payload) = (Vec::new(), Vec::new());
    let mut sealer = FrameSealer::new(writer.keys(), sealing.engine.clone());
    sealer.seal(ticket, &record, source, &mut prefix, &mut payload)?;
    let mut bytes = vec![0; layout.cipher.payload_bytes()];
    let stride = layout.cipher.planes()[0].row_bytes;
    layout.fill(&header, &prefix, &payload, &mut [PlaneMut { data: &mut bytes, stride }], &mut Vec::new())?;
    encode(Pixels { layout: layout.cipher, bytes }.into_image()?)
}

/// Ciphertext does not compress.
fn encode(picture: DynamicImage) -> Result<Vec<u8>, Failure> {
    let mut file = Cursor::new(Vec::new());
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Uncompressed, FilterType::NoFilter);
    picture
        .write_with_encoder(encoder)
        .map_err(|error| Failure::new(Exit::Other, format!("the cipher picture cannot be written: {error}")))?;
    Ok(file.into_inner())
}

/// Of what stands below a small picture the most is filler, which does compress.
const FILLER_BYTES: u64 = 1 << 20;

/// Takes a PNG apart: its pixels, and the headers in its last rows.
///
/// # Errors
/// If it is damaged, or no cipher picture.
pub fn read(file: &[u8]) -> Result<(FrameLayout, CipherPicture), Failure> {
    check_chunks(file)?;
    // Ciphertext does not compress: what a small file unfolds to a large picture is none, and is not unfolded.
    let most_bytes = 4 * file.len() as u64 + FILLER_BYTES;
    let pixels = Pixels::from_image(picture_type::decode_at_most(file, most_bytes)?)?;
    let mut picture = CipherPicture::default();
    let stride = pixels.layout.planes()[0].row_bytes;
    picture.read(&pixels.layout, &[Plane { data: &pixels.bytes, stride }])?;
    let (width, height) = picture.size;
    Ok((FrameLayout::new(pixels.layout.format(), width, height, false)?, picture))
}

/// Opens a cipher picture.
///
/// # Errors
/// If no key opens it, it is not ours, or anything in it is damaged.
pub fn open(opening: &Opening, name: &str, file: &[u8]) -> Result<Opened, Failure> {
    open_pixels(opening, file)
        .map(|(pixels, ..)| Opened { content: Content::Pixels(pixels), damage: None })
        .map_err(|failure| failure.about(name))
}

/// The pixels of a cipher picture, and the description and record that were sealed with them.
///
/// # Errors
/// As [`open`].
pub fn open_pixels(opening: &Opening, file: &[u8]) -> Result<(Pixels, Arc<Description>, Record), Failure> {
    let (layout, picture) = read(file)?;
    let damaged = |what: &str| Failure::new(Exit::Content, what);
    let mut reader = StreamReader::new(opening.identities.clone(), opening.policy.clone());
    reader.header(picture.header())?;
    let keys = reader.keys().ok_or_else(|| damaged("its header opens no stream"))?;
    let mut bytes = Vec::new();
    let mut opener = FrameOpener::new(keys, opening.engine.clone());
    let (header, record) = opener.open(picture.prefix(), &picture.payload, &mut bytes)?;
    let description = reader.description(record.description, header.epoch);
    let sealed = description.ok_or_else(|| damaged("its frame names another header"))?;
    // The size of a PNG is not sealed: rows of another length would hold the same bytes.
    if header.kind != Kind::Frame || Pixels::layout_of_caps(&sealed.caps)? != layout {
        return Err(damaged("its size or format is not what was sealed"));
    }
    Ok((Pixels { layout, bytes }, sealed, record))
}

/// Walks through a PNG's chunks: all whole, their check sums right, IEND the last and nothing after it. Decoders are
/// more lenient than that with what they do not need, and damage would go unseen.
fn check_chunks(file: &[u8]) -> Result<(), Failure> {
    let damaged = |what: &str| Failure::new(Exit::Content, format!("a damaged PNG: {what}"));
    let mut rest = file.strip_prefix(PNG_SIGNATURE).ok_or_else(|| damaged("its signature"))?;
    loop {
        let (length, chunk) = rest.split_first_chunk().ok_or_else(|| damaged("it ends too early"))?;
        let body = (u32::from_be_bytes(*length) as usize).saturating_add(CHUNK_TYPE_BYTES);
        let (body, after) = chunk.split_at_checked(body).ok_or_else(|| damaged("it ends too early"))?;
        let (check, after) = after.split_first_chunk().ok_or_else(|| damaged("it ends too early"))?;
        if crc32(body) != u32::from_be_bytes(*check) {
            return Err(damaged("a chunk's check sum"));
        }
        rest = after;
        if body.starts_with(b"IEND") {
            return if rest.is_empty() { Ok(()) } else { Err(damaged("bytes after its end")) };
        }
    }
}

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const CHUNK_TYPE_BYTES: usize = 4;

/// CRC-32 of ISO 3309, as in the PNG specification, annex D.
fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|byte| {
        (0..8).fold(byte as u32, |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 })
    });
    !bytes.iter().fold(!0, |crc, byte| table[((crc ^ u32::from(*byte)) & 0xFF) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sum_of_the_empty_end_chunk() {
        // The twelve bytes that end every PNG file.
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
