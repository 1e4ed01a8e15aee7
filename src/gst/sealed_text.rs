//! Texts that came sealed and go to GStreamer's parsers: caps, tags, structures.
//!
//! Whoever may encrypt to a reader also writes its texts. GStreamer's parsers call themselves for each level of nesting,
//! and twenty kilobytes of brackets overflow a thread's stack, so nesting is bounded before they see a text.

use std::str::FromStr;

use gst::{glib, prelude::*};

/// Deepest nesting of brackets; caps seen in the field have three levels.
const DEEPEST: usize = 16;

/// Parses caps or a structure; `None` if it cannot be or should not be.
pub fn parse<T: FromStr>(text: &str) -> Option<T> {
    is_shallow(text).then(|| text.parse().ok()).flatten()
}

/// Parses a tag list. Tags that only some plugin knows, which is not here, are left out: GStreamer warns of each.
pub fn parse_tags(text: &str) -> Option<gst::TagList> {
    // GStreamer logs a critical warning for what does not begin so, which `G_DEBUG=fatal-criticals` makes an abort.
    let is_sane = text.starts_with("taglist") && is_shallow(text);
    let value = is_sane.then(|| glib::Value::deserialize(text, gst::TagList::static_type()).ok())?;
    let mut tags: gst::TagList = value?.get().ok()?;
    let names: Vec<_> = tags.iter_generic().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| !gst::tag_exists(name.as_gstr())) {
        tags.make_mut().remove_generic(name.as_gstr());
    }
    Some(tags)
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
