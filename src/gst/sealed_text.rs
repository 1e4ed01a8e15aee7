//! Texts that came sealed and go to GStreamer's parsers: caps, tags, structures.
//!
//! Whoever may encrypt to a reader also writes its texts, and GStreamer's parsers are not made for that. They call
//! themselves for each level of nesting, and twenty kilobytes of brackets overflow a thread's stack; they read memory that
//! they have freed where a buffer's digits are none; they keep every name for ever. A text is looked at before they see it.

use std::str::FromStr;

use gst::{glib, prelude::*};

use super::names;

/// Deepest nesting of brackets; caps seen in the field have three levels.
const DEEPEST: usize = 16;

/// Parses caps or a structure; `None` if it cannot be or should not be.
pub fn parse<T: FromStr>(text: &str) -> Option<T> {
    is_sane(text).then(|| text.parse().ok()).flatten()
}

/// Parses a tag list. Tags that only some plugin knows, which is not here, are left out: GStreamer warns of each.
pub fn parse_tags(text: &str) -> Option<gst::TagList> {
    // GStreamer logs a critical warning for what does not begin so, which `G_DEBUG=fatal-criticals` makes an abort.
    let is_sane = text.starts_with("taglist") && is_sane(text);
    let value = is_sane.then(|| glib::Value::deserialize(text, gst::TagList::static_type()).ok())?;
    let mut tags: gst::TagList = value?.get().ok()?;
    let names: Vec<_> = tags.iter_generic().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| !gst::tag_exists(name.as_gstr())) {
        tags.make_mut().remove_generic(name.as_gstr());
    }
    Some(tags)
}

fn is_sane(text: &str) -> bool {
    is_shallow(text) && !hides_letters(text) && has_sane_buffers(text) && names::may_be_parsed(text)
}

/// Whether brackets nest no deeper than is sane, whatever else the text is; a string within a string counts as a level.
fn is_shallow(text: &str) -> bool {
    let (mut depth, mut deepest, mut backslashes) = (0_usize, 0, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'<' | b'[' | b'{' | b'(' => depth += 1,
            b'>' | b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        deepest = deepest.max(depth).max(backslashes);
    }
    deepest <= DEEPEST
}

/// Whether an octal escape stands for a character that GStreamer writes as it is: only what has something to hide does so.
fn hides_letters(text: &str) -> bool {
    text.as_bytes().windows(4).any(|window| {
        let [b'\\', digits @ ..] = window else { return false };
        let digit = |at: usize| matches!(digits[at], b'0'..=b'7').then(|| digits[at] - b'0');
        let code = digit(0).filter(|first| *first < 2).zip(digit(1)).zip(digit(2));
        code.is_some_and(|((a, b), c)| (0x20..0x7F).contains(&(a << 6 | b << 3 | c)))
    })
}

/// Whether all values of type buffer are what they have to be, hexadecimal digits or lists of them: of others GStreamer
/// 1.22 reads a buffer that it has freed. Samples, whose buffers and caps are written otherwise, are refused.
fn has_sane_buffers(text: &str) -> bool {
    // In strings, and in strings within them, backslashes stand before everything.
    let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != b'\\').collect();
    let types = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'(').map(|(at, _)| &bytes[at..]);
    types.filter_map(type_of).all(|(name, value)| match name {
        b"buffer" | b"GstBuffer" => is_hexadecimal(value),
        b"sample" | b"GstSample" => false,
        _ => true,
    })
}

/// The type's name that stands in brackets, and what comes after it.
fn type_of(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = bytes.strip_prefix(b"(")?.trim_ascii_start();
    let (name, rest) = bytes.split_at(bytes.iter().take_while(|byte| is_of_word(**byte)).count());
    Some((name, rest.trim_ascii_start().strip_prefix(b")")?.trim_ascii_start()))
}

/// What GStreamer takes into a value without quotation marks.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+/:.".contains(&byte)
}

/// Whether the value at the beginning is hexadecimal digits, or a list of such values.
fn is_hexadecimal(mut bytes: &[u8]) -> bool {
    let mut depth = 0_usize;
    loop {
        bytes = bytes.trim_ascii_start();
        let Some((&first, rest)) = bytes.split_first() else { return true };
        match first {
            b'<' | b'{' | b'[' => depth += 1,
            b',' | b';' | b'>' | b'}' | b']' if depth == 0 => return true,
            b'>' | b'}' | b']' => depth -= 1,
            b',' => {}
            b'(' => match type_of(bytes) {
                Some((b"buffer" | b"GstBuffer", value)) if depth > 0 => {
                    bytes = value;
                    continue;
                }
                _ => return false,
            },
            _ if first.is_ascii_hexdigit() => {
                let (word, rest) = bytes.split_at(bytes.iter().take_while(|byte| is_of_word(**byte)).count());
                if !word.iter().all(u8::is_ascii_hexdigit) {
                    return false;
                }
                if depth == 0 {
                    return true;
                }
                bytes = rest;
                continue;
            }
            _ => return false,
        }
        if depth == 0 && matches!(first, b'>' | b'}' | b']') {
            return true;
        }
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };

    use super::*;

    #[test]
    fn ordinary_texts_parse() {
        gst::init().expect("GStreamer");
        let caps = "video/x-h264, streamheader=(buffer)< 0102, 0304 >, codec_data=(buffer)01, framerate=(fraction)30/1";
        assert!(parse::<gst::Caps>(caps).is_some());
        assert!(parse::<gst::Structure>("a, b=(GstStructure)\"c\\,\\ d\\=\\(int\\)1\\;\";").is_some());
        assert_eq!(parse_tags("taglist, title=(string)x;").expect("tags").n_tags(), 1);
        assert_eq!(parse_tags("taglist, title=(string)x, nobodys-tag=(int)1;").expect("tags").n_tags(), 1);
    }

    #[test]
    fn fail_what_is_no_tag_list_without_a_warning_of_glib() {
        gst::init().expect("GStreamer");
        let warned = Arc::new(AtomicBool::new(false));
        let here = warned.clone();
        let handler = glib::log_set_handler(
            Some("GStreamer"),
            glib::LogLevels::LEVEL_CRITICAL | glib::LogLevels::LEVEL_WARNING,
            false,
            false,
            move |_, _, message| {
                here.fetch_or(message.contains("gst_tag_list_new_from_string"), Relaxed);
            },
        );
        assert!(
            ["", "caps, title=(string)x;", " taglist, title=(string)x;"].iter().all(|text| parse_tags(text).is_none())
        );
        glib::log_remove_handler(Some("GStreamer"), handler);
        assert!(!warned.load(Relaxed));
    }

    /// Of those that are refused GStreamer 1.22 reads freed memory, as valgrind shows.
    #[test]
    fn buffers_are_hexadecimal_digits() {
        gst::init().expect("GStreamer");
        for caps in [
            "x/y, a=(buffer)01fF",
            "x/y, a=(buffer)< 0102, 0304 >, b=(int)1",
            "x/y, a=(buffer)<< 0102 >, < (buffer)0304 >>",
            "x/y, a=(GstCaps)\"x/z\\,\\ b\\=\\(buffer\\)0102\"",
            "x/y, a=(string)\"caf\\303\\251\"",
        ] {
            assert!(parse::<gst::Caps>(caps).is_some(), "{caps}");
        }
        for caps in [
            "x/y, a=(GstBuffer)zz",
            "x/y, a=( buffer )zz",
            "x/y, a=(buffer)01zz",
            "x/y, a=(buffer)\"0102\"",
            "x/y, a=(buffer)\"01, zz\"",
            "x/y, a=(buffer)< 0102, zz >",
            "x/y, a=(buffer)< 0102, \"zz\" >",
            "x/y, a=(buffer)< < 0102 >, zz >",
            "x/y, a=< (buffer)0102, (buffer)zz >",
            "x/y, a=(GstCaps)\"x/z\\,\\ b\\=\\(GstBuffer\\)zz\"",
            "x/y, a=(GstCaps)\"x/z\\,b\\=\\050GstBuffer\\051zz\"",
            "x/y, a=(GstCaps)\"x/z\\,b\\=\\(\\107stBuffer\\)zz\"",
            "x/y, a=(GstSample)zz:None:None:None",
            "x/y, a=(sample)\"\"",
        ] {
            assert!(!is_sane(caps) && parse::<gst::Caps>(caps).is_none(), "{caps}");
        }
    }

    #[test]
    fn fail_bottomless_texts() {
        gst::init().expect("GStreamer");
        for open in ["<", "{", "[", "(a)<", "\\"] {
            let text = format!("x/y, a={}", open.repeat(20_000));
            assert!(parse::<gst::Caps>(&text).is_none(), "{open}");
            assert!(parse_tags(&text).is_none(), "{open}");
        }
    }
}
