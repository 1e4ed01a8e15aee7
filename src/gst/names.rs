//! Names that GStreamer keeps for ever: those of structures, fields, features and types of regions become quarks of GLib,
//! which never forgets one and copies all of them as they grow. Who seals new ones with each frame must not fill the memory.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use gst::glib;

/// New names that sealed texts may bring into this process; caps and metas seen in the field have a few dozen between them.
static IN_TEXTS: Names = Names::new(if cfg!(any(test, fuzzing)) { usize::MAX } else { 4096 });
/// New types of regions.
static OF_REGIONS: Names = Names::new(1024);
/// The longest new one.
const MOST_BYTES: usize = 256;

/// Whether all names in a text that GStreamer is to parse are known here, or may become so.
pub fn may_be_parsed(text: &str) -> bool {
    IN_TEXTS.allow_text(text)
}

/// Whether a type of regions is known here, or may become so.
pub fn may_be_region(name: &str) -> bool {
    OF_REGIONS.allow(name)
}

/// How many new names may come yet.
struct Names(AtomicUsize);

impl Names {
    const fn new(most: usize) -> Names {
        Names(AtomicUsize::new(most))
    }

    fn allow_text(&self, text: &str) -> bool {
        // In strings, and in strings within them, backslashes and quotation marks stand before everything.
        let flat: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\\' | b'"')).collect();
        names(&flat).into_iter().all(|name| std::str::from_utf8(name).is_ok_and(|name| self.allow(name)))
    }

    fn allow(&self, name: &str) -> bool {
        glib::Quark::try_from_str(name).is_some()
            || (name.len() <= MOST_BYTES && self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok())
    }
}

/// What of a text becomes a name: what stands before `=`, features, and where a structure begins what stands there.
fn names(text: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    // The text itself is a structure, or several.
    let mut begins = true;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let word = rest.iter().take_while(|byte| is_of_name(**byte)).count();
        if word > 0 {
            let is_field = rest[word..].trim_ascii_start().first() == Some(&b'=');
            if begins || is_field {
                names.push(&rest[..word]);
            }
            (begins, at) = (false, at + word);
            continue;
        }
        match rest[0] {
            b'(' => {
                let inside = &rest[1..rest.iter().position(|byte| *byte == b')').unwrap_or(rest.len()).max(1)];
                if inside.contains(&b':') {
                    names.extend(inside.split(|byte| !is_of_name(*byte)).filter(|name| !name.is_empty()));
                    begins = false;
                } else {
                    begins = is_made_of_names(inside.trim_ascii());
                }
                at += 1 + inside.len();
            }
            b';' | b'[' => begins = true,
            byte if byte.is_ascii_whitespace() || byte == b')' => {}
            _ => begins = false,
        }
        at += 1;
    }
    // Numbers are none.
    names.retain(|name| name.iter().any(u8::is_ascii_alphabetic));
    names
}

/// Whether values of a type are structures or the like.
fn is_made_of_names(type_name: &[u8]) -> bool {
    let name = type_name.strip_prefix(b"Gst").unwrap_or(type_name).to_ascii_lowercase();
    [&b"structure"[..], b"caps", b"capsfeatures", b"taglist"].contains(&&name[..])
}

/// What GStreamer takes into a name.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+/:.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_no_values() {
        let of = |text: &str| {
            let flat: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\\' | b'"')).collect();
            names(&flat).into_iter().map(|name| String::from_utf8(name.to_vec()).expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(
            of("video/x-raw(memory:A, meta:B), format=(string)I420, width=(int)[ 1, 5 ]; x/y"),
            ["video/x-raw", "memory:A", "meta:B", "format", "width", "x/y"]
        );
        assert_eq!(
            of(
                "a, b=(GstStructure)\"c\\,\\ d\\=\\(GstStructure\\)\\\"e\\\\\\,\\\\\\ f\\\\\\=\\\\\\(int\\\\\\)1\\\"\\;\";"
            ),
            ["a", "b", "c", "d", "e", "f"]
        );
        assert_eq!(
            of("x/y, codec_data=(buffer)a1b2, z=(GstCapsFeatures)memory:C"),
            ["x/y", "codec_data", "z", "memory:C"]
        );
        assert_eq!(of("a, b=[c, d=1]"), ["a", "b", "c", "d"]);
        assert_eq!(
            of("taglist, title=(string)\"A film, in colour\", artist=(string){ Nobody, Somebody };"),
            ["taglist", "title", "artist"]
        );
    }

    #[test]
    fn known_names_are_free_and_new_ones_are_few() {
        gst::init().expect("GStreamer");
        let names = Names::new(3);
        assert!(names.allow_text("video/x-raw, width=(int)5, height=(int)6"));
        assert!(names.allow_text("video/x-raw, brand-new-1=(int)5, brand-new-2=(int)6"));
        assert!(!names.allow_text("video/x-raw, brand-new-3=(int)5, brand-new-4=(int)6"));
        assert!(!names.allow_text("brand-new-5"));
        assert!(names.allow_text("video/x-raw, width=(int)7"));
        assert!(!Names::new(3).allow(&"x".repeat(257)));
    }
}
