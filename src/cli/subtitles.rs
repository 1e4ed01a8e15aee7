//! What has to be done to subtitles so that they come back as the bytes that a Matroska file held.

use std::sync::{Mutex, PoisonError};

use gst::prelude::*;

/// GStreamer's demuxer gives plain text as markup: it escapes `&` and the like, up to the first text that holds tags,
/// and leaves that one and all after it as they are. This turns the escaped ones back, where they leave a pad.
///
/// Escaped text has no `<` in it, and text with tags has: the first `<` is where escaping ended.
pub fn undo_markup(pad: &gst::Pad) {
    let tags_seen = Mutex::new(false);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let mut tags_seen = tags_seen.lock().unwrap_or_else(PoisonError::into_inner);
            let text = buffer.map_readable().map(|text| text.to_vec()).unwrap_or_default();
            *tags_seen |= text.contains(&b'<');
            if !*tags_seen && text.contains(&b'&') {
                *buffer = with_bytes(buffer, unescaped(&text));
            }
        }
        gst::PadProbeReturn::Ok
    });
}

fn with_bytes(buffer: &gst::Buffer, bytes: Vec<u8>) -> gst::Buffer {
    let mut changed = gst::Buffer::from_mut_slice(bytes);
    let target = changed.get_mut().expect("a new buffer has one owner");
    // Without its memory a buffer can always be copied.
    let _ = buffer.copy_into(target, gst::BUFFER_COPY_METADATA, ..);
    changed
}

/// The inverse of `g_markup_escape_text`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        match entity(rest) {
            Some((character, len)) => {
                plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[len..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// The character that an entity at the beginning of a text stands for, and the entity's length.
fn entity(text: &[u8]) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let text = &text[..text.len().min(LONGEST)];
    let end = text.iter().position(|&byte| byte == b';')?;
    let name = std::str::from_utf8(text.get(1..end)?).ok().filter(|_| text[0] == b'&')?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((character, end + 1))
}

/// EBML id and length of a CodecID of ten letters and the zero after them (RFC 9559, section 5.1.4.1.21).
const CODEC_ID: [u8; 2] = [0x86, 0x80 | 11];
/// Under which codec PGS goes into matroskamux, and its own; as long as one another.
const USF: &[u8; 11] = b"S_TEXT/USF\0";
const PGS: &[u8; 11] = b"S_HDMV/PGS\0";
/// What the first frames begin with: the header is over.
const CLUSTER: [u8; 4] = [0x1F, 0x43, 0xB6, 0x75];

/// Writes the name of the codec PGS into the header that leaves a pad of matroskamux.
pub fn name_pgs(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        let mut bytes = buffer.map_readable().map(|bytes| bytes.to_vec()).unwrap_or_default();
        if bytes.starts_with(&CLUSTER) {
            return gst::PadProbeReturn::Remove;
        }
        if rename_codec(&mut bytes) {
            *buffer = with_bytes(buffer, bytes);
        }
        gst::PadProbeReturn::Ok
    });
}

fn rename_codec(bytes: &mut [u8]) -> bool {
    let pattern = [&CODEC_ID[..], USF].concat();
    let places: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&pattern)).collect();
    places.iter().for_each(|at| bytes[at + CODEC_ID.len()..at + pattern.len()].copy_from_slice(PGS));
    !places.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_is_turned_back() {
        for (escaped, plain) in [
            ("Tom &amp; Jerry &quot;x&quot;", "Tom & Jerry \"x\""),
            ("a &lt; b &amp;amp; c &gt;", "a < b &amp; c >"),
            ("it&#39;s &#x1;", "it's \u{1}"),
            ("R&D & &; &unknown; &#xFFFFFFFF; &#xD800;", "R&D & &; &unknown; &#xFFFFFFFF; &#xD800;"),
            ("&", "&"),
            ("", ""),
        ] {
            assert_eq!(unescaped(escaped.as_bytes()), plain.as_bytes(), "{escaped}");
        }
    }

    #[test]
    fn codecs_are_renamed_in_place() {
        let mut header = [&[1, 2, 0x86, 0x8B][..], USF, &[3, 0x86, 0x8B], USF].concat();
        assert!(rename_codec(&mut header));
        assert_eq!(header, [&[1, 2, 0x86, 0x8B][..], PGS, &[3, 0x86, 0x8B], PGS].concat());
        assert!(!rename_codec(&mut header));
        assert!(!rename_codec(&mut []));
    }
}
