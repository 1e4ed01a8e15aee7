//! Buffers' times, flags and metas to and from the sealed record.
//!
//! Restored are GstVideoCropMeta, GstVideoRegionOfInterestMeta (with its parameters), GstVideoTimeCodeMeta,
//! GstReferenceTimestampMeta and ChaosveilClassification, and the tags in force. Every other meta is dropped; GstVideoMeta
//! describes the memory, not the picture, and is made anew.

use gst::{Tag, glib, prelude::*};

use super::{classification::Classification, names, sealed_text};
use crate::seal::{Meta, Record};

/// Flags of a buffer that describe its memory, not its content.
const MEMORY_FLAGS: gst::BufferFlags = gst::BufferFlags::TAG_MEMORY;

/// The record of a buffer; `description` is filled in by the writer's caller.
pub fn record_of(buffer: &gst::BufferRef, tags: Option<&str>) -> Record {
    let mut record = Record {
        flags: (buffer.flags() - MEMORY_FLAGS).bits(),
        description: 0,
        pts: buffer.pts().map(gst::ClockTime::nseconds),
        dts: buffer.dts().map(gst::ClockTime::nseconds),
        duration: buffer.duration().map(gst::ClockTime::nseconds),
        offset: Some(buffer.offset()).filter(|&offset| offset != gst::format::Buffers::OFFSET_NONE),
        offset_end: Some(buffer.offset_end()).filter(|&offset| offset != gst::format::Buffers::OFFSET_NONE),
        metas: Vec::new(),
    };
    record.metas.extend(buffer.iter_meta::<gst_video::VideoCropMeta>().map(|meta| {
        let (x, y, width, height) = meta.rect();
        Meta::Crop { x, y, width, height }
    }));
    record.metas.extend(buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>().map(|meta| {
        let (x, y, width, height) = meta.rect();
        Meta::RegionOfInterest {
            x,
            y,
            width,
            height,
            id: meta.id(),
            parent: meta.parent_id(),
            roi_type: meta.roi_type().to_owned(),
            parameters: meta.params().map(|structure| structure.to_string()).collect(),
        }
    }));
    record.metas.extend(buffer.iter_meta::<gst_video::VideoTimeCodeMeta>().map(|meta| time_code(&meta.tc().into())));
    record.metas.extend(buffer.iter_meta::<gst::ReferenceTimestampMeta>().map(|meta| Meta::ReferenceTimestamp {
        timestamp: meta.timestamp().nseconds(),
        duration: meta.duration().map(gst::ClockTime::nseconds),
        reference: meta.reference().to_string(),
    }));
    record.metas.extend(Classification::of(buffer).and_then(sealable));
    record.metas.extend(tags.map(|tags| Meta::Tags { tags: tags.to_owned() }));
    record
}

/// Anybody may attach a classification: one that no reader would take is left out.
fn sealable(told: Classification) -> Option<Meta> {
    let model_digest = *blake3::Hash::from_hex(&told.model_digest).ok()?.as_bytes();
    Meta::classification(told.frame, told.confidence, model_digest, told.label).ok()
}

fn time_code(code: &gst_video::VideoTimeCode) -> Meta {
    Meta::TimeCode {
        fps_numerator: code.fps().numer() as u32,
        fps_denominator: code.fps().denom() as u32,
        flags: code.flags().bits(),
        hours: code.hours(),
        minutes: code.minutes(),
        seconds: code.seconds(),
        frames: code.frames(),
        field_count: code.field_count(),
        daily_jam_us: code.latest_daily_jam().and_then(|jam| {
            let seconds = u64::try_from(jam.to_unix()).ok()?;
            Some(seconds * 1_000_000 + jam.microsecond() as u64)
        }),
    }
}

/// Gives a buffer the times, flags and metas of its record, and returns the tags that came with it.
pub fn restore(record: &Record, buffer: &mut gst::BufferRef) -> Option<gst::TagList> {
    buffer.set_flags(gst::BufferFlags::from_bits_truncate(record.flags) - MEMORY_FLAGS);
    buffer.set_pts(record.pts.map(gst::ClockTime::from_nseconds));
    buffer.set_dts(record.dts.map(gst::ClockTime::from_nseconds));
    buffer.set_duration(record.duration.map(gst::ClockTime::from_nseconds));
    buffer.set_offset(record.offset.unwrap_or(gst::format::Buffers::OFFSET_NONE));
    buffer.set_offset_end(record.offset_end.unwrap_or(gst::format::Buffers::OFFSET_NONE));
    let mut tags = None;
    for meta in &record.metas {
        match meta {
            Meta::Tags { tags: text } => tags = sealed_text::parse_tags(text),
            meta => add(meta, buffer),
        }
    }
    tags
}

/// Serialises tags in at most so many bytes: pictures are left out, and what is longest of the others until they fit. How
/// a picture is to be turned always stays.
pub fn tags_text(tags: &gst::TagList, most_bytes: usize) -> String {
    let mut tags = tags.clone();
    let list = tags.make_mut();
    list.remove::<gst::tags::Image>();
    list.remove::<gst::tags::PreviewImage>();
    list.remove::<gst::tags::Attachment>();
    // Players' private data, also as samples: readers do not take them.
    let samples = tags.iter_generic().map(|(name, _)| name.to_owned());
    let samples: Vec<_> =
        samples.filter(|name| gst::tag_get_type(name.as_gstr()) == gst::Sample::static_type()).collect();
    samples.iter().for_each(|name| tags.make_mut().remove_generic(name.as_gstr()));
    let mut text = tags.to_string();
    while text.len() > most_bytes {
        let orientation = gst::tags::ImageOrientation::TAG_NAME;
        let names = tags.iter_generic().map(|(name, _)| name.to_owned());
        let without = names.filter(|name| name.as_gstr() != orientation).map(|name| {
            let mut rest = tags.clone();
            rest.make_mut().remove_generic(name.as_gstr());
            (rest.to_string(), rest)
        });
        let Some((shortest, rest)) = without.min_by_key(|(text, _)| text.len()) else { break };
        (text, tags) = (shortest, rest);
    }
    text
}

/// The tags that say what a stream is. A parser measures rates all the time, and that is no reason to tell them anew.
pub fn lasting_tags(tags: &gst::TagList) -> gst::TagList {
    let mut tags = tags.clone();
    let list = tags.make_mut();
    list.remove::<gst::tags::Bitrate>();
    list.remove::<gst::tags::MinimumBitrate>();
    list.remove::<gst::tags::MaximumBitrate>();
    tags
}

fn add(meta: &Meta, buffer: &mut gst::BufferRef) {
    match meta {
        Meta::Crop { x, y, width, height } => {
            gst_video::VideoCropMeta::add(buffer, (*x, *y, *width, *height));
        }
        Meta::RegionOfInterest { x, y, width, height, id, parent, roi_type, parameters } => {
            if !names::may_be_region(roi_type) {
                return;
            }
            let mut region = gst_video::VideoRegionOfInterestMeta::add(buffer, roi_type, (*x, *y, *width, *height));
            region.set_id(*id);
            region.set_parent_id(*parent);
            parameters
                .iter()
                .filter_map(|text| sealed_text::parse(text))
                .for_each(|structure| region.add_param(structure));
        }
        Meta::TimeCode { .. } => {
            if let Some(code) = valid_time_code(meta) {
                gst_video::VideoTimeCodeMeta::add(buffer, &code);
            }
        }
        Meta::ReferenceTimestamp { timestamp, duration, reference } => {
            // All ones stand for no time, which this meta cannot say.
            if let Some(reference) = sealed_text::parse::<gst::Caps>(reference)
                && *timestamp != u64::MAX
            {
                let duration = duration.map(gst::ClockTime::from_nseconds);
                gst::ReferenceTimestampMeta::add(
                    buffer,
                    &reference,
                    gst::ClockTime::from_nseconds(*timestamp),
                    duration,
                );
            }
        }
        Meta::Classification { frame, confidence, model_digest, label } => Classification {
            label: label.clone(),
            confidence: *confidence,
            model_digest: blake3::Hash::from_bytes(*model_digest).to_hex().to_string(),
            frame: *frame,
        }
        .attach(buffer),
        Meta::Tags { .. } => {}
    }
}

fn valid_time_code(meta: &Meta) -> Option<gst_video::ValidVideoTimeCode> {
    let Meta::TimeCode {
        fps_numerator,
        fps_denominator,
        flags,
        hours,
        minutes,
        seconds,
        frames,
        field_count,
        daily_jam_us,
    } = meta
    else {
        return None;
    };
    let (numerator, denominator) = (i32::try_from(*fps_numerator).ok()?, i32::try_from(*fps_denominator).ok()?);
    if denominator == 0 {
        return None;
    }
    let jam = daily_jam_us.and_then(|us| {
        let seconds = i64::try_from(us / 1_000_000).ok()?;
        glib::DateTime::from_unix_utc(seconds).ok()?.add(glib::TimeSpan((us % 1_000_000) as i64)).ok()
    });
    gst_video::ValidVideoTimeCode::new(
        gst::Fraction::new(numerator, denominator),
        jam.as_ref(),
        gst_video::VideoTimeCodeFlags::from_bits_truncate(*flags),
        *hours,
        *minutes,
        *seconds,
        *frames,
        *field_count,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_tags_as_fit_and_always_the_orientation() {
        gst::init().expect("GStreamer starts");
        let mut tags = gst::TagList::new();
        let list = tags.make_mut();
        list.add::<gst::tags::Title>(&"short", gst::TagMergeMode::Append);
        list.add::<gst::tags::Comment>(&"x".repeat(2000).as_str(), gst::TagMergeMode::Append);
        list.add::<gst::tags::ImageOrientation>(&"flip-rotate-270", gst::TagMergeMode::Append);
        assert!(tags_text(&tags, 4000).contains("xxx"));
        let text = tags_text(&tags, 1024);
        assert!(text.len() < 1024 && text.contains("short") && text.contains("flip-rotate-270"), "{text}");
        let text = tags_text(&tags, 60);
        assert!(!text.contains("title") && text.contains("flip-rotate-270"), "{text}");
        assert!(tags_text(&tags, 0).contains("flip-rotate-270"));
    }
}
