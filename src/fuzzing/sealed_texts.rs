//! Texts that go from a sealed frame or header to GStreamer's parsers, and metas that are put on a buffer.

use super::program::Program;
use crate::{
    gst::{metas, sealed_text},
    seal::{Record, limits},
};

/// `u8 which | text or record`.
pub fn run(bytes: &[u8]) {
    gst::init().expect("GStreamer starts");
    let mut program = Program(bytes);
    let which = program.byte() % 4;
    let rest = &program.0[..program.0.len().min(limits::RECORD_BYTES)];
    let text = || std::str::from_utf8(rest).ok().filter(|text| !text.contains('\0'));
    match which {
        0 => drop(text().and_then(sealed_text::parse::<gst::Caps>).map(|caps| caps.to_string())),
        1 => drop(text().and_then(sealed_text::parse::<gst::Structure>).map(|structure| structure.to_string())),
        2 => drop(text().and_then(sealed_text::parse_tags).map(|tags| tags.to_string())),
        _ => drop(Record::decode(rest).map(|record| restore(&record))),
    }
}

/// Times and flags come back as they were sealed, and what is on the buffer can be sealed again.
fn restore(record: &Record) {
    let mut buffer = gst::Buffer::with_size(4).expect("four bytes");
    let tags = metas::restore(record, buffer.make_mut());
    let tags = tags.map(|tags| metas::tags_text(&tags, 1024));
    let told = metas::record_of(&buffer, tags.as_deref());
    assert_eq!([told.pts, told.dts, told.duration], [record.pts, record.dts, record.duration]);
    assert_eq!([told.offset, told.offset_end], [record.offset, record.offset_end]);
    // Texts may grow where GStreamer writes them; then it is refused, and nothing worse.
    let mut written = Vec::new();
    if told.encode(&mut written).is_ok() {
        assert!(written.len() <= limits::RECORD_BYTES);
        assert!(Record::decode(&written).is_ok());
    }
}
