//! Names that GStreamer keeps for ever: those of structures, fields, features and types of regions become quarks of GLib,
//! which never forgets one and copies the list of all of them as it grows. Who seals new ones with each frame must not fill
//! the memory.
//!
//! Which words of a text become names only GStreamer's parsers know, and they keep some of texts that they refuse, too. So
//! every word counts that is no quark yet, once; but for what stands in a string.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex},
};

use gst::glib;

use super::runner::lock;

/// New words that sealed texts may bring into this process.
static IN_TEXTS: LazyLock<Mutex<Words>> = LazyLock::new(|| {
    let most = if cfg!(any(test, fuzzing)) { usize::MAX } else { 1 };
    Mutex::new(Words::new(most.saturating_mul(1 << 16), most.saturating_mul(16 << 20)))
});
/// New types of regions.
static OF_REGIONS: LazyLock<Mutex<Words>> = LazyLock::new(|| Mutex::new(Words::new(1024, 1024 * MOST_TYPE_BYTES)));
/// The longest new type of a region.
const MOST_TYPE_BYTES: usize = 256;

/// Whether all words of a text that GStreamer is to parse are known here, or may become so.
pub fn may_be_parsed(text: &str) -> bool {
    let Some(words) = words(text) else { return false };
    let mut known = lock(&IN_TEXTS);
    words.iter().all(|word| known.allow(word))
}

/// Whether a type of regions is known here, or may become so.
pub fn may_be_region(name: &str) -> bool {
    name.len() <= MOST_TYPE_BYTES && lock(&OF_REGIONS).allow(name)
}

/// Words that have come, and how much may come yet.
struct Words {
    /// Hashes of those that were new.
    charged: HashSet<[u8; 16]>,
    most: usize,
    bytes_left: usize,
}

impl Words {
    fn new(most: usize, bytes: usize) -> Words {
        Words { charged: HashSet::new(), most, bytes_left: bytes }
    }

    fn allow(&mut self, word: &str) -> bool {
        if glib::Quark::try_from_str(word).is_some() {
            return true;
        }
        let hash = *blake3::hash(word.as_bytes()).as_bytes().first_chunk().expect("32 bytes");
        if self.charged.contains(&hash) {
            return true;
        }
        let Some(left) = self.bytes_left.checked_sub(word.len()).filter(|_| self.charged.len() < self.most) else {
            return false;
        };
        self.bytes_left = left;
        self.charged.insert(hash)
    }
}

/// The words of a text outside of its strings. `None` where an escape hides what is a word, or a structure or a feature has a
/// name of which GStreamer logs a warning.
fn words(text: &str) -> Option<Vec<String>> {
    if !is_well_named(&without_quotations(text, |_| true)) {
        return None;
    }
    // Only what is told to be a string is one, and in no other quotation: there may be structures in it.
    let text = without_quotations(text, |before| before.ends_with(b"(string)"));
    let is_octal = |byte: u8| (b'0'..=b'7').contains(&byte);
    let hides = |escape: &[u8]| matches!(escape, [b'\\', b'0' | b'1', rest @ ..] if rest.iter().copied().all(is_octal));
    if text.windows(4).any(hides) {
        return None;
    }
    // In strings within strings backslashes stand before everything.
    let plain: Vec<u8> = text.into_iter().filter(|byte| *byte != b'\\').collect();
    let words = plain.split(|byte| !is_of_word(*byte)).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8(word.to_vec()).ok()).collect()
}

/// Whether structures that are in no other one are named as they should be, and their features.
fn is_well_named(text: &[u8]) -> bool {
    text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|structure| !structure.is_empty()).all(
        |structure| {
            let name = structure.iter().take_while(|byte| is_of_word(**byte)).count();
            let rest = structure[name..].trim_ascii_start();
            let features =
                rest.strip_prefix(b"(").map(|rest| rest.iter().position(|byte| *byte == b')').map(|end| &rest[..end]));
            structure[0].is_ascii_alphabetic() && features.is_none_or(|features| features.is_some_and(are_features))
        },
    )
}

/// Whether GStreamer takes them for features: each letters, a colon, letters and digits. `ANY` stands for all.
fn are_features(list: &[u8]) -> bool {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).all(|feature| {
        let colon = feature.iter().position(|byte| *byte == b':').unwrap_or(feature.len());
        let (vendor, name) = feature.split_at(colon);
        let is_name = name.len() > 1 && name[1..].iter().all(u8::is_ascii_alphanumeric);
        feature == b"ANY" || (vendor.iter().all(u8::is_ascii_alphabetic) && is_name)
    })
}

/// A text with a space in place of each quotation that `is_left_out` for what stands before it.
fn without_quotations(text: &str, is_left_out: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|byte| *byte == b'"').map(|start| at + start) {
        let end = end_of_quotation(bytes, start);
        let is_left_out = is_left_out(&bytes[..start]) && end.is_some();
        let end = end.unwrap_or(bytes.len());
        out.extend_from_slice(&bytes[at..start]);
        out.extend_from_slice(if is_left_out { b" " } else { &bytes[start..end] });
        at = end;
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

/// Where a quotation that begins at some place has ended.
fn end_of_quotation(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// What GStreamer takes into a name.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+/:.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of which GStreamer 1.22 keeps words that do not look like names, each with such words.
    const KEPT: [(&str, &[&str]); 9] = [
        ("kept-0/y, kept-1=(int)5", &["kept-0/y", "kept-1"]),
        ("x/y, 987654321=(int)1, -1234=(int)3", &["987654321", "-1234"]),
        ("x/y, a=(string)\"(\", kept-2=(int)1, b=(string)\")\"", &["kept-2"]),
        ("x/y(memory:Kept)", &["memory:Kept"]),
        ("x/y, z=(GstCapsFeatures)\"n:a1,n:a2\"", &["n:a1", "n:a2"]),
        ("x/y, z=(GstStructure){ kept-5, kept-6 }", &["kept-5", "kept-6"]),
        ("x/y, z=(GstCaps){ \"kept/7\", \"kept/8\" }", &["kept/7", "kept/8"]),
        ("x/y, z=(GstSegment)\"kept-9\\;\"", &["kept-9"]),
        ("x/y, z=(GstStructure)\"kept-10\\,\\ kept-11\\=\\(int\\)1\\;\"", &["kept-10", "kept-11"]),
    ];

    #[test]
    fn what_gstreamer_keeps_counts() {
        gst::init().expect("GStreamer");
        let mut kept = 0;
        for (text, names) in KEPT {
            let words = words(text).expect("nothing is hidden");
            let _ = text.parse::<gst::Caps>();
            for name in names {
                assert!(words.iter().any(|word| word == name), "{name} of {text}");
                kept += usize::from(glib::Quark::try_from_str(name).is_some());
            }
        }
        assert!(kept > 10, "GStreamer keeps {kept} of them");
        for ill_named in
            [" 1>>", ">", "x/y(kept3)", "x/y(memory:)", "x/y(me{raw)", "x/y(a:b ], c==(int", "x/y(a:b ", "x/y; 5/6"]
        {
            assert_eq!(words(ill_named), None, "{ill_named}");
        }
        assert!(words("x/y(ANY), a=(int)1; x/z( memory:A , meta:B );").is_some());
        assert_eq!(words("x/y, z=(GstStructure)\"s\\,\\011field\\=1\""), None);
    }

    #[test]
    fn what_stands_in_strings_does_not() {
        let title = "taglist, title=(string)\"E\\=mc2\\012 (12:30); \\\"part\\\" two\", artist=(string)\"A B\"";
        assert_eq!(words(title).expect("nothing is hidden"), ["taglist", "title", "string", "artist", "string"]);
        let nested = words("x/y, z=(GstStructure)\"a\\,\\ b\\=\\(string\\)\\\"c\\\"\\;\"").expect("nothing is hidden");
        assert_eq!(nested, ["x/y", "z", "GstStructure", "a", "b", "string", "c"]);
        let open = words("x/y, a=(string)\"b, c=1").expect("nothing is hidden");
        assert_eq!(open, ["x/y", "a", "string", "b", "c", "1"]);
    }

    #[test]
    fn new_words_count_once_and_are_few() {
        gst::init().expect("GStreamer");
        let mut known = Words::new(3, 40);
        for _ in 0..5 {
            assert!(["width", "brand-new-1", "brand-new-2"].iter().all(|word| known.allow(word)));
        }
        assert!(!known.allow(&"x".repeat(19)), "no bytes left");
        assert!(known.allow("brand-new-3") && !known.allow("new-4") && known.allow("brand-new-1"));
    }

    /// Of rtptheorapay, whose configuration is longer than any name.
    #[test]
    fn configurations_are_no_names() {
        gst::init().expect("GStreamer");
        let caps = format!("application/x-rtp, configuration=(string)\"{}\\=\\=\"", "AbC+/9".repeat(2000));
        assert!(caps.parse::<gst::Caps>().is_ok());
        assert_eq!(words(&caps).expect("nothing is hidden"), ["application/x-rtp", "configuration", "string"]);
        assert!(gst::Caps::builder("x/y").field("a", "b=c").build().to_string().contains("(string)\""));
    }
}
