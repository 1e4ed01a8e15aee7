//! Between GStreamer's caps, segments and buffers and this crate's layouts, descriptions and planes.

use gst::prelude::*;

use crate::{
    Error, Result,
    backend::memory,
    frame::{Format, FrameLayout, Plane, PlaneMut, View, pack},
    seal,
};

/// Feature of raw video whose buffers hold single fields.
const SINGLE_FIELDS: &gst::glib::GStr = gst_video::CAPS_FEATURE_FORMAT_INTERLACED;

/// What the frames of a pad are.
#[derive(Clone, Debug)]
pub enum Content {
    /// Raw video whose rows are known: packed without padding.
    Raw(Box<RawVideo>),
    /// Anything else: the buffer's bytes as they are. Raw video of tiled and palette formats is here too, and has to have
    /// its caps' own offsets and strides, for nothing else would tell them on the other side.
    Opaque(Option<Box<gst_video::VideoInfo>>),
}

/// Raw video whose rows are known.
#[derive(Clone, Debug)]
pub struct RawVideo {
    /// GStreamer's view: default offsets and strides.
    pub info: gst_video::VideoInfo,
    /// Ours: rows without padding.
    pub layout: FrameLayout,
}

impl Content {
    /// What fixed caps announce.
    ///
    /// # Errors
    /// [`Error::Geometry`] for raw video caps that do not make sense or live outside system memory.
    pub fn of(caps: &gst::CapsRef) -> Result<Content> {
        let Some(structure) = caps.structure(0).filter(|s| s.name() == "video/x-raw") else {
            return Ok(Content::Opaque(None));
        };
        let plain =
            |feature: &gst::glib::GStr| [gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY, SINGLE_FIELDS].contains(&feature);
        if caps.features(0).is_some_and(|features| !features.iter().all(plain)) {
            return Err(Error::Geometry("raw video outside system memory; put a download element in front".into()));
        }
        let info = gst_video::VideoInfo::from_caps(caps)
            .map_err(|_| Error::Geometry(format!("caps that are no raw video: {structure}")))?;
        match layout_of(&info) {
            Ok(layout) => Ok(Content::Raw(Box::new(RawVideo { info, layout }))),
            Err(_) => Ok(Content::Opaque(Some(Box::new(info)))),
        }
    }

    /// The rows that a cipher picture of these caps would have.
    ///
    /// # Errors
    /// [`Error::NotCarriable`], with what to do, for what is no raw video of plain rows or would be damaged on the way.
    pub fn carriable(&self, caps: &gst::CapsRef, exact: bool) -> Result<&RawVideo> {
        let refused =
            |reason| Error::NotCarriable { format: named_format(caps).unwrap_or("unknown").to_owned(), reason };
        match self {
            Content::Opaque(_) => Err(refused("only raw video with plain rows can; use output=packets")),
            Content::Raw(raw) => raw.layout.carriage().refusal(exact).map_or(Ok(raw), |reason| Err(refused(reason))),
        }
    }

    /// The payload, where it stands together in a mapped buffer; `None` where it has to be packed.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the buffer is not what its caps say.
    pub fn slice<'a>(&self, buffer: &gst::BufferRef, map: &'a [u8]) -> Result<Option<&'a [u8]>> {
        match self {
            Content::Raw(raw) => {
                let together = is_packed(raw) && geometry(buffer, raw)? == default_geometry(raw);
                Ok(if together { map.get(..raw.layout.payload_bytes()) } else { None })
            }
            Content::Opaque(info) => {
                check_strides(buffer, info.as_deref())?;
                Ok(Some(map))
            }
        }
    }

    /// Packs the payload out of a mapped buffer.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the buffer is smaller than its planes, or has another size than when its counter was drawn.
    pub fn pack(&self, buffer: &gst::BufferRef, map: &[u8], out: &mut [u8]) -> Result<()> {
        match self {
            Content::Raw(raw) => with_planes(buffer, raw, map, |planes| pack(&raw.layout, planes, out)),
            Content::Opaque(_) => Err(Error::Geometry("a buffer changed its size under way".into())),
        }
    }

    /// Looks at the payload of a mapped buffer where it stands.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the buffer is not what its caps say, and what `look` returns.
    pub fn view<T>(
        &self,
        buffer: &gst::BufferRef,
        map: &[u8],
        look: impl FnOnce(View, Option<&RawVideo>) -> Result<T>,
    ) -> Result<T> {
        match self {
            Content::Raw(raw) => {
                with_planes(buffer, raw, map, |planes| look(View::Rows(&raw.layout, planes), Some(raw)))
            }
            Content::Opaque(_) => look(View::Together(map), None),
        }
    }

    /// Bytes of every frame, where they are all alike.
    pub fn frame_bytes(&self) -> Option<usize> {
        match self {
            Content::Raw(raw) => Some(raw.layout.payload_bytes()),
            Content::Opaque(info) => info.as_deref().map(|info| info.size()),
        }
    }

    /// Bytes of the payload of a buffer.
    pub fn payload_len(&self, buffer: &gst::BufferRef) -> usize {
        match self {
            Content::Raw(raw) => raw.layout.payload_bytes(),
            Content::Opaque(_) => buffer.size(),
        }
    }
}

/// What an encrypter makes and a decrypter takes: packets, or raw video of whole frames or single fields.
pub fn cipher_caps() -> gst::Caps {
    let mut caps = gst::Caps::new_empty_simple("application/x-chaosveil");
    caps.merge(raw_caps());
    caps
}

/// Raw video of whole frames or single fields, of any format, in system memory.
pub fn raw_caps() -> gst::Caps {
    with_single_fields(gst::Caps::new_empty_simple("video/x-raw"))
}

/// Raw video that can become cipher pictures on a transport, at any size.
pub fn carriable_caps(exact: bool) -> gst::Caps {
    let formats = Format::all().filter(|format| format.is_gstreamer() && format.carriage().refusal(exact).is_none());
    let whole = gst::Caps::builder("video/x-raw").field("format", gst::List::new(formats.map(Format::name))).build();
    with_single_fields(whole)
}

/// Why no cipher picture has caps like these, and what to do, if that is for their format's sake.
pub fn format_refusal(caps: &gst::CapsRef, exact: bool) -> Option<Error> {
    let format = named_format(caps)?;
    let reason = Format::from_name(format).ok()?.carriage().refusal(exact)?;
    Some(Error::NotCarriable { format: format.to_owned(), reason })
}

/// The format of raw video caps, if they have one; the name of any others.
fn named_format(caps: &gst::CapsRef) -> Option<&str> {
    let structure = caps.structure(0)?;
    match structure.has_field("format") {
        true => structure.get("format").ok(),
        false => Some(structure.name().as_str()),
    }
}

fn with_single_fields(mut caps: gst::Caps) -> gst::Caps {
    let mut fields = caps.clone();
    fields.make_mut().set_features_simple(Some(gst::CapsFeatures::new([SINGLE_FIELDS])));
    caps.merge(fields);
    caps
}

/// Refuses raw video of opaque bytes with strides of its own: nothing would tell them on the other side.
fn check_strides(buffer: &gst::BufferRef, info: Option<&gst_video::VideoInfo>) -> Result<()> {
    if let (Some(info), Some(meta)) = (info, buffer.meta::<gst_video::VideoMeta>())
        && (meta.offset() != info.offset() || meta.stride() != info.stride())
    {
        let format = info.format();
        return Err(Error::Geometry(format!("{format} with strides of its own; put videoconvert in front")));
    }
    Ok(())
}

/// The layout of raw video; an error for formats that are opaque bytes.
pub fn layout_of(info: &gst_video::VideoInfo) -> Result<FrameLayout> {
    let format = Format::from_name(info.format().to_str())?;
    FrameLayout::new(format, info.width(), info.field_height(), info.is_interlaced())
}

/// Refuses a buffer that is not as large as its caps say: one that somebody else was to crop.
fn check_size(meta: &gst_video::VideoMeta, info: &gst_video::VideoInfo) -> Result<()> {
    let (width, height) = (meta.width(), meta.height());
    match width == info.width() && (height == info.height() || height == info.field_height()) {
        true => Ok(()),
        false => Err(Error::Geometry(format!(
            "a buffer of {width} x {height} under caps of {} x {}: it has to be cropped before",
            info.width(),
            info.height()
        ))),
    }
}

/// Offers upstream a pool for its frames.
pub fn propose_pool(query: &mut gst::query::Allocation) {
    let (Some(caps), true) = query.get_owned() else { return };
    let Ok(info) = gst_video::VideoInfo::from_caps(&caps) else { return };
    let (pool, size) = (gst_video::VideoBufferPool::new(), info.size() as u32);
    let mut config = pool.config();
    config.set_params(Some(&caps), size, 0, 0);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
    if pool.set_config(config).is_ok() {
        query.add_allocation_pool(Some(&pool), size, 0, 0);
    }
}

/// Whether a query asks for places in bytes: those of ciphertext are not those of what is inside.
pub fn is_in_bytes(query: &gst::QueryRef) -> bool {
    let format = match query.view() {
        gst::QueryView::Position(query) => query.format(),
        gst::QueryView::Duration(query) => query.format(),
        gst::QueryView::Seeking(query) => query.format(),
        gst::QueryView::Segment(query) => query.format(),
        _ => return false,
    };
    format == gst::Format::Bytes
}

/// Whether an event asks for a place in bytes.
pub fn is_seek_in_bytes(event: &gst::EventRef) -> bool {
    matches!(event.view(), gst::EventView::Seek(seek) if seek.get().3.format() == gst::Format::Bytes)
}

/// Where the planes of a mapped buffer are: its GstVideoMeta's word, or the caps' default.
fn geometry(buffer: &gst::BufferRef, raw: &RawVideo) -> Result<[(usize, usize); 4]> {
    let Some(meta) = buffer.meta::<gst_video::VideoMeta>() else { return Ok(default_geometry(raw)) };
    check_size(&meta, &raw.info)?;
    let mut planes = [(0, 0); 4];
    let count = raw.layout.planes().len();
    let (offsets, strides) = (meta.offset(), meta.stride());
    if offsets.len() < count || strides.len() < count {
        return Err(Error::Geometry("a buffer with too few planes".into()));
    }
    for (plane, (&offset, &stride)) in planes.iter_mut().zip(offsets.iter().zip(strides)).take(count) {
        let stride = usize::try_from(stride).map_err(|_| Error::Geometry("a stride below zero".into()))?;
        *plane = (offset, stride);
    }
    Ok(planes)
}

/// Where the planes of a buffer are that says nothing of them.
fn default_geometry(raw: &RawVideo) -> [(usize, usize); 4] {
    let mut planes = [(0, 0); 4];
    let places = raw.info.offset().iter().zip(raw.info.stride());
    for (plane, (&offset, &stride)) in planes.iter_mut().zip(places).take(raw.layout.planes().len()) {
        *plane = (offset, stride.unsigned_abs() as usize);
    }
    planes
}

/// Reads the planes of a buffer.
///
/// # Errors
/// [`Error::Geometry`] if the buffer cannot be mapped or is smaller than its planes.
pub fn read_planes<T>(buffer: &gst::BufferRef, raw: &RawVideo, read: impl FnOnce(&[Plane]) -> Result<T>) -> Result<T> {
    with_planes(buffer, raw, &map(buffer)?, read)
}

fn with_planes<T>(
    buffer: &gst::BufferRef,
    raw: &RawVideo,
    map: &[u8],
    read: impl FnOnce(&[Plane]) -> Result<T>,
) -> Result<T> {
    let geometry = geometry(buffer, raw)?;
    let mut planes = [Plane { data: &[], stride: 0 }; 4];
    let count = raw.layout.planes().len();
    for (plane, (offset, stride)) in planes.iter_mut().zip(geometry).take(count) {
        let data = map.get(offset..).ok_or_else(|| Error::Geometry("a plane outside its buffer".into()))?;
        *plane = Plane { data, stride };
    }
    read(&planes[..count])
}

/// Maps a buffer for reading.
///
/// # Errors
/// [`Error::Geometry`] if its memory cannot be read.
pub fn map(buffer: &gst::BufferRef) -> Result<gst::BufferMap<'_, gst::buffer::Readable>> {
    buffer.map_readable().map_err(|_| Error::Geometry("a buffer whose memory cannot be read".into()))
}

/// Writes the planes of a frame with the caps' default offsets and strides over `bytes`.
///
/// # Errors
/// What `write` returns.
pub fn write_planes(
    raw: &RawVideo,
    bytes: &mut Vec<u8>,
    write: impl FnOnce(&mut [PlaneMut]) -> Result<()>,
) -> Result<()> {
    if !is_packed(raw) {
        // A recycled buffer's old bytes must not show between the rows.
        bytes.clear();
    }
    memory::resize(bytes, raw.info.size());
    let count = raw.layout.planes().len();
    let (offsets, strides) = (raw.info.offset(), raw.info.stride());
    let mut planes: [PlaneMut; 4] = std::array::from_fn(|_| PlaneMut { data: &mut [], stride: 0 });
    // Planes stand in the order of their offsets in every format that has rows.
    let mut rest = &mut bytes[..];
    for plane in (0..count).rev() {
        let (front, data) = rest.split_at_mut(offsets[plane]);
        planes[plane] = PlaneMut { data, stride: strides[plane] as usize };
        rest = front;
    }
    write(&mut planes[..count])
}

/// Whether a payload without padding is, byte for byte, a frame with the caps' default offsets and strides.
pub fn is_packed(raw: &RawVideo) -> bool {
    let planes = raw.layout.planes().iter();
    raw.info.size() == raw.layout.payload_bytes()
        && planes
            .zip(raw.info.offset().iter().zip(raw.info.stride()))
            .all(|(plane, (&offset, &stride))| plane.offset == offset && plane.row_bytes == stride as usize)
}

/// A time segment for the description; `None` for any other.
pub fn describe_segment(segment: &gst::Segment) -> Option<seal::Segment> {
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
    let ns = |time: Option<gst::ClockTime>| time.map(gst::ClockTime::nseconds);
    Some(seal::Segment {
        flags: segment.flags().bits(),
        rate: segment.rate(),
        applied_rate: segment.applied_rate(),
        base: ns(segment.base()),
        offset: ns(segment.offset()),
        start: ns(segment.start()),
        stop: ns(segment.stop()),
        time: ns(segment.time()),
        position: ns(segment.position()),
        duration: ns(segment.duration()),
    })
}

/// A segment in which everything is due earlier by `origin`: what was due then begins it.
pub fn begun(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    origin: gst::ClockTime,
) -> gst::FormattedSegment<gst::ClockTime> {
    let (mut begun, base) = (segment.clone(), segment.base().unwrap_or_default());
    if let Some(base) = base.checked_sub(origin) {
        begun.set_base(base);
    } else if let Some(start) = segment.position_from_running_time(origin) {
        let left_out = start.saturating_sub(segment.start().unwrap_or_default());
        begun.set_start(start);
        begun.set_offset(gst::ClockTime::ZERO);
        begun.set_base(gst::ClockTime::ZERO);
        begun.set_time(segment.time().map(|time| time.saturating_add(left_out)));
    }
    begun
}

/// The segment of a description, or a plain one in time.
pub fn restore_segment(described: Option<&seal::Segment>) -> gst::FormattedSegment<gst::ClockTime> {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let Some(described) = described else { return segment };
    let time = |ns: Option<u64>| ns.map(gst::ClockTime::from_nseconds);
    segment.set_flags(gst::SegmentFlags::from_bits_truncate(described.flags));
    if described.rate.is_finite() && described.rate != 0.0 {
        segment.set_rate(described.rate);
    }
    if described.applied_rate.is_finite() && described.applied_rate != 0.0 {
        segment.set_applied_rate(described.applied_rate);
    }
    segment.set_base(time(described.base));
    segment.set_offset(time(described.offset));
    segment.set_start(time(described.start));
    segment.set_stop(time(described.stop));
    segment.set_time(time(described.time));
    segment.set_position(time(described.position));
    segment.set_duration(time(described.duration));
    segment
}
