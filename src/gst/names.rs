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
        names(&flat).is_some_and(|names| {
            names.into_iter().all(|name| std::str::from_utf8(name).is_ok_and(|name| self.allow(name)))
        })
    }

    fn allow(&self, name: &str) -> bool {
        glib::Quark::try_from_str(name).is_some()
            || (name.len() <= MOST_BYTES && self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok())
    }
}

/// What of a text becomes a name: what stands before `=`, features, and where a structure begins what stands there. `None`
/// where a structure or a feature has a name that GStreamer would log a warning of.
fn names(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names = Vec::new();
    // The text itself is a structure, or several.
    let mut place = Place::Beginning;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let word = rest.iter().take_while(|byte| is_of_name(**byte)).count();
        if word > 0 {
            let begins = matches!(place, Place::Beginning | Place::PerhapsBeginning);
            let is_field = rest[word..].trim_ascii_start().first() == Some(&b'=');
            if place == Place::Beginning && !rest[0].is_ascii_alphabetic() {
                return None;
            }
            if begins || is_field {
                names.push(&rest[..word]);
            }
            place = if begins { Place::AfterName } else { Place::Elsewhere };
            at += word;
            continue;
        }
        match rest[0] {
            b'(' => {
                let end = rest.iter().position(|byte| *byte == b')');
                let inside = &rest[1..end.unwrap_or(rest.len())];
                let is_of_names = is_made_of_names(inside.trim_ascii());
                if place == Place::AfterName {
                    end?;
                    for feature in inside.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        names.push(Some(feature).filter(|feature| is_feature(feature))?);
                    }
                }
                place = if is_of_names { Place::Beginning } else { Place::Elsewhere };
                at += inside.len() + 1;
            }
            // Also within a string.
            b';' | b'[' => place = Place::PerhapsBeginning,
            byte if byte.is_ascii_whitespace() => {}
            _ if place == Place::Beginning => return None,
            _ => place = Place::Elsewhere,
        }
        at += 1;
    }
    // Numbers are none.
    names.retain(|name| name.iter().any(u8::is_ascii_alphabetic));
    Some(names)
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A structure's name.
    Beginning,
    /// A structure's name, or anything else.
    PerhapsBeginning,
    /// Features.
    AfterName,
    /// A field's name, or anything else.
    Elsewhere,
}

/// Whether GStreamer takes it for a feature: letters, a colon, letters and digits. `ANY` stands for all.
fn is_feature(text: &[u8]) -> bool {
    let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    let (vendor, name) = text.split_at(colon);
    text == b"ANY"
        || (vendor.iter().all(u8::is_ascii_alphabetic)
            && name.len() > 1
            && name[1..].iter().all(u8::is_ascii_alphanumeric))
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
            let names = names(&flat).unwrap_or_else(|| panic!("{text}"));
            names.into_iter().map(|name| String::from_utf8(name.to_vec()).expect("text")).collect::<Vec<_>>()
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
    fn fail_names_that_gstreamer_warns_of() {
        for text in
            [" 1>>", ">", "", "x/y(memory:)", "x/y(me{raw)", "x/y(a:b ], c==(int", "x/y(a:b ", "x/y, a=(GstCaps)1/2"]
        {
            assert!(names(text.as_bytes()).is_none_or(|names| names.is_empty()), "{text}");
        }
        for text in
            ["x/y(ANY), a=1", "x/y( memory:A , meta:B ), a=(string)5", "taglist, title=(string)At (12:30\\); ok"]
        {
            assert!(names(text.as_bytes()).is_some(), "{text}");
        }
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
