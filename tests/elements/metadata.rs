//! What stands beside a frame: times, flags, segment, metas, tags, other events.

use gst_video::VideoBufferFlags;
use gstchaosveil::gst::classification::Classification;

use super::{
    common::{Keys, in_time},
    pictures::{self, bytes, frames, info},
    rig::{Item, Rig, buffers, events, start, stream},
};

/// Flags that describe memory, not content.
const MEMORY: gst::BufferFlags = gst::BufferFlags::TAG_MEMORY;

fn encoded_caps() -> gst::Caps {
    gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au").build()
}

/// Times and flags in all combinations that occur: absent ones stay absent.
fn stamped_buffers() -> Vec<gst::Buffer> {
    let time = |ms: u64| Some(gst::ClockTime::from_mseconds(ms));
    let flags = [
        gst::BufferFlags::empty(),
        gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC,
        gst::BufferFlags::DELTA_UNIT | gst::BufferFlags::DROPPABLE,
        gst::BufferFlags::HEADER | gst::BufferFlags::LIVE,
        gst::BufferFlags::MARKER | gst::BufferFlags::CORRUPTED,
        gst::BufferFlags::DECODE_ONLY | gst::BufferFlags::GAP | gst::BufferFlags::NON_DROPPABLE,
        gst::BufferFlags::from_bits_retain((VideoBufferFlags::INTERLACED | VideoBufferFlags::TFF).bits()),
        gst::BufferFlags::from_bits_retain((VideoBufferFlags::ONEFIELD | VideoBufferFlags::RFF).bits()),
    ];
    let times = [(time(80), time(0), time(40)), (time(40), None, None), (None, time(7), time(1)), (None, None, None)];
    let offsets = [(u64::MAX, u64::MAX), (0, 1), (1 << 40, u64::MAX), (u64::MAX, 5)];
    (0..8)
        .map(|number| {
            let mut buffer = gst::Buffer::from_mut_slice(pictures::noise(number as u64, 30 + number));
            let owned = buffer.get_mut().expect("a new buffer has one owner");
            let (pts, dts, duration) = times[number % 4];
            owned.set_pts(pts);
            owned.set_dts(dts);
            owned.set_duration(duration);
            owned.set_offset(offsets[number / 2].0);
            owned.set_offset_end(offsets[number / 2].1);
            owned.set_flags(flags[number]);
            buffer
        })
        .collect()
}

#[test]
fn times_offsets_and_flags() {
    in_time(|| {
        let keys = Keys::new();
        let sent = stamped_buffers();
        let line = format!("chaosenc {} ! chaosdec {}", keys.psk(), keys.psk());
        let came = Rig::new(&line).run(stream(&encoded_caps(), sent.clone()));
        let came = buffers(&came);
        assert_eq!(came.len(), sent.len());
        for (number, (came, sent)) in came.into_iter().zip(&sent).enumerate() {
            let facts = |buffer: &gst::BufferRef| {
                let times = (buffer.pts(), buffer.dts(), buffer.duration());
                (times, buffer.offset(), buffer.offset_end(), buffer.flags() - MEMORY, bytes(buffer))
            };
            assert_eq!(facts(came), facts(sent), "buffer {number}");
        }
    });
}

/// Times are on the outside, flags that tell of the content are not.
#[test]
fn packets_show_times_and_nothing_of_the_content() {
    in_time(|| {
        let keys = Keys::new();
        let sent = stamped_buffers();
        let came = Rig::new(&format!("chaosenc {}", keys.psk())).run(stream(&encoded_caps(), sent.clone()));
        let packets = buffers(&came);
        assert_eq!(packets[0].flags() - MEMORY, gst::BufferFlags::HEADER);
        let outside = gst::BufferFlags::LIVE | gst::BufferFlags::DISCONT;
        for (packet, sent) in packets[1..].iter().zip(&sent) {
            assert_eq!((packet.pts(), packet.dts(), packet.duration()), (sent.pts(), sent.dts(), sent.duration()));
            assert_eq!(packet.flags() - MEMORY, sent.flags() & outside);
            assert_eq!(packet.iter_meta::<gst::Meta>().count(), 0);
        }
    });
}

#[test]
fn the_segment_comes_back() {
    in_time(|| {
        let keys = Keys::new();
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_flags(gst::SegmentFlags::RESET | gst::SegmentFlags::SKIP);
        segment.set_rate(2.0);
        segment.set_applied_rate(-1.5);
        segment.set_base(gst::ClockTime::from_mseconds(70));
        segment.set_start(gst::ClockTime::from_mseconds(1000));
        segment.set_stop(gst::ClockTime::from_seconds(100));
        segment.set_time(gst::ClockTime::from_seconds(3));
        segment.set_position(gst::ClockTime::from_mseconds(1000));
        segment.set_duration(gst::ClockTime::from_seconds(200));
        for output in ["packets", "picture"] {
            let info = info("I420", 64, 48);
            let mut items = start(&pictures::caps(&info));
            items[2] = Item::Event(gst::event::Segment::new(&segment));
            items.extend(frames(&info, 2).into_iter().map(Item::Buffer));
            items.push(Item::Event(gst::event::Eos::new()));
            let line = format!("chaosenc {} output={output} ! chaosdec {}", keys.psk(), keys.psk());
            let came = Rig::new(&line).run(items);
            let events = events(&came, gst::EventType::Segment);
            assert_eq!(events.len(), 1, "{output}");
            let gst::EventView::Segment(event) = events[0].view() else { unreachable!("selected by type") };
            assert_eq!(event.segment(), segment.upcast_ref(), "{output}");
        }
    });
}

/// Frames of a stream whose segment is in bytes: decrypted ones have times all the same.
#[test]
fn a_segment_in_bytes_becomes_a_plain_one_in_time() {
    in_time(|| {
        let keys = Keys::new();
        let mut items = stream(&encoded_caps(), stamped_buffers());
        items[2] = Item::Event(gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new()));
        let came = Rig::new(&format!("chaosenc {} ! chaosdec {}", keys.psk(), keys.psk())).run(items);
        let events = events(&came, gst::EventType::Segment);
        let gst::EventView::Segment(event) = events[0].view() else { unreachable!("selected by type") };
        assert_eq!(event.segment(), gst::FormattedSegment::<gst::ClockTime>::new().upcast_ref());
    });
}

fn with_metas(frame: &mut gst::Buffer) {
    let owned = frame.make_mut();
    gst_video::VideoCropMeta::add(owned, (1, 2, 30, 40));
    let mut face = gst_video::VideoRegionOfInterestMeta::add(owned, "face", (5, 6, 7, 8));
    face.set_id(11);
    face.set_parent_id(-3);
    face.add_param(
        gst::Structure::builder("detection").field("confidence", 0.75f64).field("label", "A, \"b\"; c").build(),
    );
    face.add_param(gst::Structure::builder("mask").field("on", true).build());
    gst_video::VideoRegionOfInterestMeta::add(owned, "plate", (0, 0, 64, 48));
    let jam = gst::glib::DateTime::from_utc(2024, 2, 29, 12, 30, 15.25).expect("a valid date");
    let code = gst_video::ValidVideoTimeCode::new(
        gst::Fraction::new(30000, 1001),
        Some(&jam),
        gst_video::VideoTimeCodeFlags::DROP_FRAME,
        10,
        11,
        12,
        13,
        0,
    );
    gst_video::VideoTimeCodeMeta::add(owned, &code.expect("a valid time code"));
    let reference = gst::Caps::new_empty_simple("timestamp/x-ntp");
    gst::ReferenceTimestampMeta::add(owned, &reference, gst::ClockTime::from_nseconds(123_456_789), None);
    let unix = gst::Caps::builder("timestamp/x-unix").field("origin", "camera").build();
    let duration = gst::ClockTime::from_mseconds(40);
    gst::ReferenceTimestampMeta::add(owned, &unix, gst::ClockTime::from_seconds(1 << 33), duration);
    gst::meta::ProtectionMeta::add(owned, gst::Structure::new_empty("not-sealed"));
}

/// Everything about the metas that are sealed, as text.
fn metas(frame: &gst::BufferRef) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(frame.iter_meta::<gst_video::VideoCropMeta>().map(|meta| format!("{:?}", meta.rect())));
    all.extend(frame.iter_meta::<gst_video::VideoRegionOfInterestMeta>().map(|meta| {
        let parameters: Vec<String> = meta.params().map(|parameter| parameter.to_string()).collect();
        format!("{} {:?} {} {} {parameters:?}", meta.roi_type(), meta.rect(), meta.id(), meta.parent_id())
    }));
    all.extend(frame.iter_meta::<gst_video::VideoTimeCodeMeta>().map(|meta| {
        let code = meta.tc();
        let jam = code.latest_daily_jam().map(|jam| (jam.to_unix(), jam.microsecond()));
        format!("{code} {:?} {:?} {} {jam:?}", code.fps(), code.flags(), code.field_count())
    }));
    all.extend(
        frame
            .iter_meta::<gst::ReferenceTimestampMeta>()
            .map(|meta| format!("{} {} {:?}", meta.reference(), meta.timestamp(), meta.duration())),
    );
    all
}

#[test]
fn metas_come_back_with_their_frame() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let mut sent = frames(&info, 3);
        with_metas(&mut sent[1]);
        assert_eq!(metas(&sent[1]).len(), 6);
        for output in ["packets", "picture"] {
            let line = format!("chaosenc {} output={output} ! chaosdec {}", keys.psk(), keys.psk());
            let came = Rig::new(&line).run(stream(&pictures::caps(&info), sent.clone()));
            pictures::assert_same(output, &info, &buffers(&came), &sent);
            for (came, sent) in buffers(&came).into_iter().zip(&sent) {
                assert_eq!(metas(came), metas(sent), "{output}");
                assert!(came.meta::<gst::meta::ProtectionMeta>().is_none(), "other metas are dropped");
            }
        }
    });
}

#[test]
fn metas_do_not_stand_on_cipher_buffers() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let mut sent = frames(&info, 1);
        with_metas(&mut sent[0]);
        for output in ["packets", "picture"] {
            let line = format!("chaosenc {} output={output}", keys.psk());
            let came = Rig::new(&line).run(stream(&pictures::caps(&info), sent.clone()));
            for buffer in buffers(&came) {
                assert_eq!(metas(buffer), [""; 0], "{output}");
                assert!(buffer.meta::<gst::meta::ProtectionMeta>().is_none());
            }
        }
    });
}

fn classification(label: &str) -> Classification {
    let model_digest = blake3::hash(b"a model").to_hex().to_string();
    Classification { label: label.into(), confidence: 0.875, model_digest, frame: 1 << 40 }
}

/// What a frame was taken for comes back with it, and is not seen outside.
#[test]
fn classifications_are_sealed() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let labels = ["plain", "a label of someone's", "ecb-like", &"x".repeat(255)].map(classification);
        let mut sent = frames(&info, 5);
        for (frame, told) in sent.iter_mut().zip(&labels) {
            told.attach(frame.make_mut());
        }
        for output in ["packets", "picture"] {
            let encrypter = Rig::new(&format!("chaosenc {} output={output}", keys.psk()));
            let cipher = encrypter.run(stream(&pictures::caps(&info), sent.clone()));
            for buffer in buffers(&cipher) {
                assert!(Classification::of(buffer).is_none(), "{output}");
                assert!(!bytes(buffer).windows(7).any(|window| window == b"someone"), "{output}");
            }
            let came = Rig::new(&format!("chaosdec {}", keys.psk())).run(cipher);
            let told: Vec<_> = buffers(&came).into_iter().map(|buffer| Classification::of(buffer)).collect();
            let expected: Vec<_> = labels.iter().cloned().map(Some).chain([None]).collect();
            assert_eq!(told, expected, "{output}");
        }
    });
}

/// Anybody upstream may attach anything: what no reader would take is left out, and the frame is sealed.
#[test]
fn bad_classifications_are_left_out() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let good = classification("plain");
        let bad = [
            Classification { label: String::new(), ..good.clone() },
            Classification { label: "x".repeat(256), ..good.clone() },
            Classification { confidence: f64::NAN, ..good.clone() },
            Classification { confidence: 1.5, ..good.clone() },
            Classification { model_digest: "12".into(), ..good.clone() },
            Classification { model_digest: "z".repeat(64), ..good.clone() },
        ];
        let mut sent = frames(&info, bad.len() as u64);
        for (frame, told) in sent.iter_mut().zip(&bad) {
            told.attach(frame.make_mut());
        }
        let rig = Rig::new(&format!("chaosenc {} ! chaosdec {}", keys.psk(), keys.psk()));
        let came = rig.run(stream(&pictures::caps(&info), sent));
        assert_eq!(buffers(&came).len(), bad.len());
        assert!(buffers(&came).into_iter().all(|buffer| Classification::of(buffer).is_none()));
    });
}

fn tags(title: &str) -> gst::TagList {
    let mut tags = gst::TagList::new();
    let list = tags.make_mut();
    list.add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
    list.add::<gst::tags::GeoLocationLatitude>(&48.137, gst::TagMergeMode::Append);
    list.add::<gst::tags::ImageOrientation>(&"rotate-90", gst::TagMergeMode::Append);
    tags
}

#[test]
fn tags_are_sealed() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let title = "Interview with a source, unpublished";
        let mut items = start(&pictures::caps(&info));
        items.push(Item::Event(gst::event::Tag::new(tags(title))));
        items.push(Item::Event(gst::event::Toc::new(&gst::Toc::new(gst::TocScope::Global), false)));
        items.push(Item::Event(gst::event::StreamCollection::new(&gst::StreamCollection::builder(None).build())));
        items.extend(frames(&info, 2).into_iter().map(Item::Buffer));
        items.push(Item::Event(gst::event::Eos::new()));
        for output in ["packets", "picture"] {
            let encrypter = Rig::new(&format!("chaosenc {} output={output} profile=aead", keys.psk()));
            let cipher = encrypter.run(items.clone());
            for kind in [gst::EventType::Tag, gst::EventType::Toc, gst::EventType::StreamCollection] {
                assert!(events(&cipher, kind).is_empty(), "{output}: {kind:?} left in clear");
            }
            for buffer in buffers(&cipher) {
                let bytes = bytes(buffer);
                assert!(!bytes.windows(9).any(|window| window == b"Interview"), "{output}");
            }
            let came = Rig::new(&format!("chaosdec {}", keys.psk())).run(cipher);
            let told = events(&came, gst::EventType::Tag);
            assert_eq!(told.len(), 1, "{output}");
            let gst::EventView::Tag(tag) = told[0].view() else { unreachable!("selected by type") };
            assert_eq!(tag.tag().to_string(), tags(title).to_string(), "{output}");
        }
    });
}

/// Tags that come later replace those that came before, and the others stay.
#[test]
fn tags_are_merged() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let mut items = start(&pictures::caps(&info));
        for (number, frame) in frames(&info, 3).into_iter().enumerate() {
            let mut more = gst::TagList::new();
            more.make_mut().add::<gst::tags::Title>(&format!("part {number}").as_str(), gst::TagMergeMode::Append);
            items.push(Item::Event(gst::event::Tag::new(if number == 0 { tags("part 0") } else { more })));
            items.push(Item::Buffer(frame));
        }
        items.push(Item::Event(gst::event::Eos::new()));
        let came = Rig::new(&format!("chaosenc {} ! chaosdec {}", keys.psk(), keys.psk())).run(items);
        let titles: Vec<(String, bool)> = events(&came, gst::EventType::Tag)
            .into_iter()
            .map(|event| match event.view() {
                gst::EventView::Tag(tag) => (
                    tag.tag().get::<gst::tags::Title>().expect("sent").get().to_owned(),
                    tag.tag().get::<gst::tags::ImageOrientation>().is_some(),
                ),
                _ => unreachable!("selected by type"),
            })
            .collect();
        assert_eq!(titles, [("part 0".into(), true), ("part 1".into(), true), ("part 2".into(), true)]);
    });
}

#[test]
fn gaps_and_custom_events_keep_their_turn() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let sent = frames(&info, 4);
        let mut items = start(&pictures::caps(&info));
        items.push(Item::Buffer(sent[0].clone()));
        items.push(Item::Event(gst::event::Gap::builder(gst::ClockTime::from_mseconds(40)).build()));
        items.push(Item::Buffer(sent[1].clone()));
        let custom = gst::event::CustomDownstream::new(gst::Structure::new_empty("mark"));
        items.push(Item::Event(custom));
        items.extend(sent[2..].iter().cloned().map(Item::Buffer));
        items.push(Item::Event(gst::event::Eos::new()));
        let line = format!("chaosenc {} workers=3 ! chaosdec {} workers=3", keys.psk(), keys.psk());
        let came = Rig::new(&line).run(items);
        let order: Vec<String> = came
            .iter()
            .map(|item| match item {
                Item::Buffer(buffer) => format!("{}", buffer.pts().expect("stamped").mseconds() / 40),
                Item::Event(event) => event.type_().name().to_string(),
            })
            .collect();
        let wanted = ["stream-start", "caps", "segment", "0", "gap", "1", "custom-downstream", "2", "3", "eos"];
        assert_eq!(order, wanted);
    });
}
