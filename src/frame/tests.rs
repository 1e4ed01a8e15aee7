//! The table of formats against the installed GStreamer: names, sizes, frames, and which bits its converters keep.

use super::{Carriage, Format, FrameLayout, Plane, PlaneMut, pack, unpack};
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoInterlaceMode, VideoPackFlags};

const SENTINEL: u8 = 0xa5;

/// All formats that both GStreamer and we give rows, and their GStreamer counterparts.
fn formats_with_rows() -> impl Iterator<Item = (Format, VideoFormat)> {
    gst::init().unwrap();
    let with_rows = Format::all().filter(|format| format.is_gstreamer() && !format.planes().is_empty());
    with_rows.map(|format| (format, format.name().parse().unwrap()))
}

fn video_info(format: VideoFormat, width: u32, height: u32, interlaced: bool) -> VideoInfo {
    let mode = if interlaced { VideoInterlaceMode::Interleaved } else { VideoInterlaceMode::Progressive };
    VideoInfo::builder(format, width, height).interlace_mode(mode).build().unwrap()
}

/// Bytes without any pattern that a converter could keep by chance.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn the_table_is_gstreamers_list() {
    gst::init().unwrap();
    for format in Format::all().filter(|format| format.is_gstreamer()) {
        assert!(format.name().parse::<VideoFormat>().is_ok(), "{format}");
    }
    for format in Format::all().filter(|format| !format.is_gstreamer()) {
        assert!(format.name().parse::<VideoFormat>().is_err(), "{format}");
    }
    for video_format in VideoFormat::iter_raw() {
        let known = Format::from_name(video_format.to_str()).is_ok();
        assert!(known || gst::version() >= (1, 23, 0, 0), "{video_format:?} is missing");
        if !known {
            println!("{video_format:?} is newer than the table");
        }
    }
}

#[test]
fn opaque_formats_are_gstreamers_tiled_and_palette_formats() {
    gst::init().unwrap();
    for format in Format::all().filter(|format| format.is_gstreamer()) {
        let info = gst_video::VideoFormatInfo::from_format(format.name().parse().unwrap());
        assert_eq!(format.planes().is_empty(), info.is_tiled() || info.has_palette(), "{format}");
    }
}

#[test]
fn planes_rows_and_strides_are_gstreamers() {
    for (format, video_format) in formats_with_rows() {
        for (width, height) in (1..=50).flat_map(|width| [1, 2, 3, 4, 5, 6, 8].map(|height| (width, height))) {
            for interlaced in [false, true] {
                let Ok(layout) = FrameLayout::new(format, width, height, interlaced) else {
                    assert!(format.name() == "UYVP" && width % 2 == 1, "{format} {width} x {height}");
                    continue;
                };
                compare_planes(&layout, &video_info(video_format, width, height, interlaced));
            }
        }
    }
}

fn compare_planes(layout: &FrameLayout, info: &VideoInfo) {
    let format_info = info.format_info();
    assert_eq!(layout.planes().len(), info.n_planes() as usize, "{layout:?}");
    for (p, (plane, shape)) in layout.planes().iter().zip(layout.format().planes()).enumerate() {
        let stride = info.stride()[p] as usize;
        assert!(plane.row_bytes <= stride, "plane {p} of {layout:?}: stride {stride}");

        let component = format_info.component(p as u32)[0] as u8;
        assert_eq!(shape.row_shift, format_info.h_sub()[component as usize], "plane {p} of {layout:?}");
        let scaled_rows = format_info.scale_height(component, info.height()) as usize;
        if !layout.interlaced() {
            assert_eq!(plane.rows, scaled_rows, "plane {p} of {layout:?}");
        }

        let end = info.offset().get(p + 1).copied().unwrap_or(info.size());
        let room = (end - info.offset()[p]) / stride;
        // GStreamer leaves room for an even number of full rows; of subsampled rows it has as many as it needs.
        let wanted =
            if shape.row_shift > 0 { plane.rows..=plane.rows } else { plane.rows..=plane.rows.next_multiple_of(2) };
        assert!(wanted.contains(&room), "plane {p} of {layout:?}: room for {room} rows");
    }
}

#[test]
fn rows_end_with_the_last_sample() {
    for (format, video_format) in formats_with_rows() {
        for width in 1..=50 {
            let Ok(layout) = FrameLayout::new(format, width, 8, false) else { continue };
            let info = video_info(video_format, width, 8, false);
            for (p, plane) in layout.planes().iter().enumerate() {
                assert_eq!(plane.row_bytes, needed_bytes(&info, p as u32), "plane {p} of {format} {width}");
            }
        }
    }
}

/// Bytes up to the last sample's last byte: from the components' pixel strides, and where GStreamer has none, from the
/// definition of the packing.
fn needed_bytes(info: &VideoInfo, plane: u32) -> usize {
    let width = info.width() as usize;
    match info.name() {
        // Four words hold six pixels.
        "v210" => width.div_ceil(6) * 4 * 4,
        // 2 x (10 + 10) bits.
        "UYVP" => width / 2 * 5,
        // Cb Y Y Cr Y Y.
        "IYU1" => width.div_ceil(4) * 6,
        // A word holds three samples; interleaved chroma has as many samples as luma, but see the table for 3 pixels.
        "GRAY10_LE32" | "NV12_10LE32" | "NV16_10LE32" => width.div_ceil(3) * 4,
        // Four samples of 10 bits.
        "NV12_10LE40" => width.div_ceil(4) * 5,
        _ => (0..info.n_components() as u8)
            .filter(|&component| info.comp_plane(component) == plane)
            .map(|component| info.comp_width(component) as usize * info.comp_pstride(component) as usize)
            .max()
            .unwrap(),
    }
}

#[test]
fn frames_with_padded_strides_come_back() {
    for (format, video_format) in formats_with_rows() {
        for (width, height, padding) in [(1, 1, 4), (7, 5, 0), (33, 9, 64), (48, 4, 16), (50, 3, 8)] {
            let Ok(layout) = FrameLayout::new(format, width, height, false) else { continue };
            let info = padded_info(video_format, width, height, padding);
            let payload = noise(layout.payload_bytes());
            let buffer = filled_buffer(&layout, &info, &payload);

            let written = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte != SENTINEL).count();
            assert_eq!(written(&buffer), written(&payload), "{format} {width} x {height}: padding was written");
            assert_eq!(packed(&layout, &info, buffer), payload, "{format} {width} x {height}");
        }
    }
}

/// The default layout with each row longer by `padding` bytes.
fn padded_info(format: VideoFormat, width: u32, height: u32, padding: usize) -> VideoInfo {
    let plain = video_info(format, width, height, false);
    let strides: Vec<i32> = plain.stride().iter().map(|stride| stride + padding as i32).collect();
    let mut size = 0;
    let mut offsets = Vec::new();
    for (p, stride) in strides.iter().enumerate() {
        let component = plain.format_info().component(p as u32)[0] as u8;
        offsets.push(size);
        size += *stride as usize * plain.comp_height(component) as usize;
    }
    VideoInfo::builder(format, width, height).stride(&strides).offset(&offsets).size(size).build().unwrap()
}

/// Unpacks the payload into a frame that GStreamer maps.
fn filled_buffer(layout: &FrameLayout, info: &VideoInfo, payload: &[u8]) -> Vec<u8> {
    let buffer = gst::Buffer::from_mut_slice(vec![SENTINEL; info.size()]);
    let mut frame = gst_video::VideoFrame::from_buffer_writable(buffer, info).unwrap();
    let strides: Vec<usize> = frame.plane_stride().iter().map(|&stride| stride as usize).collect();
    let data = frame.planes_data_mut();
    let mut planes: Vec<PlaneMut> =
        data.into_iter().zip(&strides).map(|(data, &stride)| PlaneMut { data, stride }).collect();
    unpack(layout, payload, &mut planes).unwrap();
    let buffer = frame.into_buffer();
    buffer.map_readable().unwrap().to_vec()
}

fn packed(layout: &FrameLayout, info: &VideoInfo, buffer: Vec<u8>) -> Vec<u8> {
    let frame = gst_video::VideoFrame::from_buffer_readable(gst::Buffer::from_slice(buffer), info).unwrap();
    let data = frame.planes_data();
    let planes: Vec<Plane> =
        frame.plane_stride().iter().zip(data).map(|(&stride, data)| Plane { data, stride: stride as usize }).collect();
    let mut payload = vec![0; layout.payload_bytes()];
    pack(layout, &planes, &mut payload).unwrap();
    payload
}

#[test]
fn alpha_is_named_where_there_is_alpha() {
    for (format, video_format) in formats_with_rows() {
        let alpha = gst_video::VideoFormatInfo::from_format(video_format).n_components() == 4;
        let reason = format.carriage().refusal(false).unwrap_or_default();
        assert_eq!(reason.contains("alpha"), alpha, "{format}: {reason}");
    }
}

#[test]
fn carriage_names_unused_bits_where_samples_do_not_fill_the_bytes() {
    for (format, video_format) in formats_with_rows() {
        let info = video_info(video_format, 48, 8, false);
        let sample_bits = |c| info.comp_width(c) as usize * info.comp_height(c) as usize * info.comp_depth(c) as usize;
        let picture_bits: usize = (0..info.n_components() as u8).map(sample_bits).sum();
        let payload_bits = 8 * FrameLayout::new(format, 48, 8, false).unwrap().payload_bytes();
        let reason = format.carriage().refusal(false).unwrap_or_default();
        assert_eq!(reason.contains("bits that hold no sample"), picture_bits < payload_bits, "{format}: {reason}");
        assert!(picture_bits <= payload_bits, "{format}");
    }
}

/// GStreamer's own converter reads a picture as pixels and writes it again.
#[test]
fn lossless_formats_keep_every_bit_in_gstreamers_converter() {
    for (format, video_format) in formats_with_rows().filter(|(format, _)| format.carriage() == Carriage::Lossless) {
        let layout = FrameLayout::new(format, 48, 8, false).unwrap();
        let payload = noise(layout.payload_bytes());
        let kept = converted(&layout, &video_info(video_format, 48, 8, false), &payload);
        assert_eq!(kept, payload, "{format}");
    }
}

fn converted(layout: &FrameLayout, info: &VideoInfo, payload: &[u8]) -> Vec<u8> {
    // The bindings ask for as many rows of chroma as of luma.
    let empty_planes = || info.stride().iter().map(|&stride| vec![0; stride as usize * info.height() as usize]);
    let strides = || info.stride().iter().map(|&stride| stride as usize);
    let mut source: Vec<Vec<u8>> = empty_planes().collect();
    let mut target: Vec<Vec<u8>> = empty_planes().collect();

    let mut planes: Vec<PlaneMut> =
        source.iter_mut().zip(strides()).map(|(data, stride)| PlaneMut { data, stride }).collect();
    unpack(layout, payload, &mut planes).unwrap();
    for y in 0..info.height() as i32 {
        convert_row(info, y, &source, &mut target);
    }
    let planes: Vec<Plane> = target.iter().zip(strides()).map(|(data, stride)| Plane { data, stride }).collect();
    let mut payload = vec![0; payload.len()];
    pack(layout, &planes, &mut payload).unwrap();
    payload
}

fn convert_row(info: &VideoInfo, y: i32, source: &[Vec<u8>], target: &mut [Vec<u8>]) {
    let width = info.width() as i32;
    // The widest pixel that GStreamer unpacks to: four 16-bit components.
    let mut pixels = vec![0; 8 * info.width() as usize];
    let source: Vec<&[u8]> = source.iter().map(Vec::as_slice).collect();
    info.format_info().unpack(VideoPackFlags::empty(), &mut pixels, &source, info.stride(), 0, y, width);
    let mut target: Vec<&mut [u8]> = target.iter_mut().map(Vec::as_mut_slice).collect();
    let (stride, site) = (info.stride(), info.chroma_site());
    info.format_info().pack(VideoPackFlags::empty(), &pixels, 0, &mut target, stride, site, y, width);
}
