//! Raw frames of any format: noise where a byte is visible, a sentinel where none is, and the visible bytes of what
//! comes back.

use gstchaosveil::frame::{Format, FrameLayout};

/// Stands in every byte of a frame that is not picture.
pub const SENTINEL: u8 = 0xA5;

/// Bytes without pattern, the same for the same seed.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// Progressive video at 25 frames a second.
pub fn info(format: &str, width: u32, height: u32) -> gst_video::VideoInfo {
    of_mode(format, width, height, gst_video::VideoInterlaceMode::Progressive)
}

/// Video of an interlace mode at 25 frames a second.
pub fn of_mode(format: &str, width: u32, height: u32, mode: gst_video::VideoInterlaceMode) -> gst_video::VideoInfo {
    let format = format.parse().expect("a name from the table of formats");
    let mut builder = gst_video::VideoInfo::builder(format, width, height).fps(gst::Fraction::new(25, 1));
    if mode != gst_video::VideoInterlaceMode::Progressive {
        builder = builder.interlace_mode(mode).field_order(gst_video::VideoFieldOrder::TopFieldFirst);
    }
    builder.build().expect("a size that the format takes")
}

/// Caps of video.
pub fn caps(info: &gst_video::VideoInfo) -> gst::Caps {
    info.to_caps().expect("valid video info has caps")
}

/// Rows and bytes of each plane, without padding; `None` for formats that are opaque bytes.
fn layout(info: &gst_video::VideoInfo) -> Option<FrameLayout> {
    let format = Format::from_name(info.name()).expect("the table holds every raw format");
    FrameLayout::new(format, info.width(), info.field_height(), info.is_interlaced()).ok()
}

/// Where each visible row lies in a frame with these offsets and strides.
fn visible_rows(
    info: &gst_video::VideoInfo,
    offsets: &[usize],
    strides: &[i32],
    size: usize,
) -> Vec<std::ops::Range<usize>> {
    let Some(layout) = layout(info) else { return std::iter::once(0..size).collect() };
    let planes = layout.planes().iter().zip(offsets.iter().zip(strides));
    let rows = planes.flat_map(|(plane, (&offset, &stride))| {
        (0..plane.rows).map(move |row| {
            let start = offset + row * stride as usize;
            start..start + plane.row_bytes
        })
    });
    rows.collect()
}

/// A frame with the caps' default strides.
pub fn frame(info: &gst_video::VideoInfo, number: u64) -> gst::Buffer {
    stamped(fill(info, info.offset(), info.stride(), info.size(), number), number)
}

/// A frame whose rows are longer than their default by `padding` bytes, told by a GstVideoMeta.
pub fn padded_frame(info: &gst_video::VideoInfo, padding: usize, number: u64) -> gst::Buffer {
    let layout = layout(info).expect("a format with rows");
    let strides: Vec<i32> = info.stride().iter().map(|stride| stride + padding as i32).collect();
    // The planes do not follow each other closely, either.
    let mut end = 0;
    let mut offsets = Vec::new();
    for (plane, &stride) in layout.planes().iter().zip(&strides) {
        offsets.push(end + 7 * padding);
        end = end + 7 * padding + stride as usize * plane.rows.next_multiple_of(2);
    }
    let mut buffer = stamped(fill(info, &offsets, &strides, end, number), number);
    let (format, width, height) = (info.format(), info.width(), info.field_height());
    let owned = buffer.get_mut().expect("a new buffer has one owner");
    gst_video::VideoMeta::add_full(
        owned,
        gst_video::VideoFrameFlags::empty(),
        format,
        width,
        height,
        &offsets,
        &strides,
    )
    .expect("valid strides");
    buffer
}

fn fill(info: &gst_video::VideoInfo, offsets: &[usize], strides: &[i32], size: usize, number: u64) -> Vec<u8> {
    let mut bytes = vec![SENTINEL; size];
    let rows = visible_rows(info, offsets, strides, size);
    let picture = noise(number + 1, rows.iter().map(|row| row.len()).sum());
    let mut rest = &picture[..];
    for row in rows {
        let (front, back) = rest.split_at(row.len());
        bytes[row].copy_from_slice(front);
        rest = back;
    }
    bytes
}

/// A buffer with the times of frame `number` at 25 frames a second.
pub fn stamped(bytes: Vec<u8>, number: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let owned = buffer.get_mut().expect("a new buffer has one owner");
    owned.set_pts(gst::ClockTime::from_mseconds(40 * number));
    owned.set_duration(gst::ClockTime::from_mseconds(40));
    buffer
}

/// A number of frames in a row.
pub fn frames(info: &gst_video::VideoInfo, count: u64) -> Vec<gst::Buffer> {
    (0..count).map(|number| frame(info, number)).collect()
}

/// The visible bytes of a frame, row after row.
pub fn visible(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Vec<u8> {
    let map = buffer.map_readable().expect("a buffer in memory");
    let rows = match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) => visible_rows(info, meta.offset(), meta.stride(), map.len()),
        None => visible_rows(info, info.offset(), info.stride(), map.len()),
    };
    rows.into_iter().flat_map(|row| map[row].iter().copied()).collect()
}

/// Positions of the visible bytes in a frame with default strides.
pub fn visible_bytes(info: &gst_video::VideoInfo) -> Vec<usize> {
    visible_rows(info, info.offset(), info.stride(), info.size()).into_iter().flatten().collect()
}

/// The bytes of a buffer.
pub fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().expect("a buffer in memory").to_vec()
}

/// Fails unless both are the same frames, visible byte for visible byte, at the same times.
pub fn assert_same(case: &str, info: &gst_video::VideoInfo, came: &[&gst::Buffer], wanted: &[gst::Buffer]) {
    assert_eq!(came.len(), wanted.len(), "{case}: number of frames");
    for (number, (came, wanted)) in came.iter().zip(wanted).enumerate() {
        assert_eq!(came.pts(), wanted.pts(), "{case}: pts of frame {number}");
        assert_eq!(came.duration(), wanted.duration(), "{case}: duration of frame {number}");
        assert!(visible(came, info) == visible(wanted, info), "{case}: frame {number} differs");
    }
}
