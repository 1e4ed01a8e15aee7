//! Recognises `.cveil` streams: a stream header or frame at their start.

use gst::glib;

use crate::seal::{FRAME_MAGIC, STREAM_MAGIC};

/// Registers the typefinder.
///
/// # Errors
/// If GStreamer refuses it.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let caps = gst::Caps::new_empty_simple("application/x-chaosveil");
    let found = caps.clone();
    gst::TypeFind::register(
        Some(plugin),
        "application/x-chaosveil",
        gst::Rank::PRIMARY,
        Some("cveil"),
        Some(&caps),
        move |find| {
            let start = find.peek(0, STREAM_MAGIC.len() as u32);
            if start.is_some_and(|start| start == STREAM_MAGIC || start == FRAME_MAGIC) {
                find.suggest(gst::TypeFindProbability::Maximum, &found);
            }
        },
    )
}
