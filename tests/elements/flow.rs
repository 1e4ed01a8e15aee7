//! What happens within one run: new caps and segments, EOS, flushes and seeks, answers from downstream, full queues.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gst::prelude::*;

use super::{
    common::{Keys, in_time, pipeline, play_to_end, until_end},
    packets::{Packet, packet_caps, packet_of},
    pictures::{self, assert_same, bytes, frame, frames, info, stamped, visible},
    rig::{Item, Rig, all_caps, buffers, eos, events, flush, start, stream},
};

fn round_trip_line(keys: &Keys, encrypter: &str, decrypter: &str) -> String {
    format!("chaosenc {} {encrypter} ! chaosdec {} {decrypter}", keys.psk(), keys.psk())
}

/// Caps and buffers in the order in which they came, as text.
fn order(items: &[Item]) -> Vec<String> {
    let told = items.iter().filter_map(|item| match item {
        Item::Buffer(buffer) => Some(format!("buffer of {} at {:?}", buffer.size(), buffer.pts())),
        Item::Event(event) => match event.view() {
            gst::EventView::Caps(caps) => Some(caps.caps().to_string()),
            gst::EventView::Segment(segment) => Some(format!("{:?}", segment.segment())),
            _ => None,
        },
    });
    told.collect()
}

#[test]
fn caps_change_between_any_frames() {
    in_time(|| {
        let keys = Keys::new();
        let video = [info("I420", 64, 48), info("NV12", 50, 37), info("I420", 64, 48), info("RGB8P", 16, 16)];
        let mut items = start(&pictures::caps(&video[0]));
        for (number, info) in video.iter().enumerate() {
            items.push(Item::Event(gst::event::Caps::new(&pictures::caps(info))));
            items.extend((0..1 + number as u64).map(|n| Item::Buffer(frame(info, 10 * number as u64 + n))));
        }
        let h264 = gst::Caps::builder("video/x-h264").field("codec_data", gst::Buffer::from_slice([1, 2, 3])).build();
        items.push(Item::Event(gst::event::Caps::new(&h264)));
        items.push(Item::Buffer(stamped(vec![9; 77], 50)));
        items.push(eos());
        for settings in ["workers=1 queue-depth=1", "workers=3"] {
            let came = Rig::new(&round_trip_line(&keys, settings, settings)).run(items.clone());
            let sent: Vec<Vec<u8>> = buffers(&items).into_iter().map(|buffer| bytes(buffer)).collect();
            let got: Vec<Vec<u8>> = buffers(&came).into_iter().map(|buffer| bytes(buffer)).collect();
            assert_eq!(got.len(), sent.len());
            let mut wanted: Vec<gst::Caps> = video.iter().map(pictures::caps).collect();
            wanted.push(h264.clone());
            assert_eq!(all_caps(&came), wanted);
            let caps_and_sizes = |items: &[Item]| {
                let mut order = order(items);
                order.retain(|told| !told.contains("Segment"));
                order.dedup();
                order
            };
            assert_eq!(caps_and_sizes(&came), caps_and_sizes(&items));
        }
    });
}

#[test]
fn cipher_pictures_change_size_and_format() {
    in_time(|| {
        let keys = Keys::new();
        let video = [info("I420", 64, 48), info("I420", 120, 20), info("GRAY8", 33, 33), info("Y444", 64, 48)];
        for workers in [1, 3] {
            let mut items = start(&pictures::caps(&video[0]));
            for info in &video {
                items.push(Item::Event(gst::event::Caps::new(&pictures::caps(info))));
                items.extend(frames(info, 2).into_iter().map(Item::Buffer));
            }
            items.push(eos());
            let settings = format!("workers={workers}");
            let rig = Rig::new(&round_trip_line(&keys, &format!("output=picture {settings}"), &settings));
            let came = rig.run(items);
            let came_buffers = buffers(&came);
            assert_eq!(came_buffers.len(), 8);
            for (info, came) in video.iter().zip(came_buffers.chunks(2)) {
                assert_same(&format!("{info:?}"), info, came, &frames(info, 2));
            }
            assert_eq!(all_caps(&came), video.iter().map(pictures::caps).collect::<Vec<_>>());
            assert_eq!(rig.stat("chaosdec", "lost"), 0);
        }
    });
}

#[test]
fn a_new_segment_comes_before_its_first_frame() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        for output in ["packets", "picture"] {
            let mut items = start(&pictures::caps(&info));
            for number in 0..4u64 {
                let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
                segment.set_start(gst::ClockTime::from_mseconds(40 * number));
                segment.set_base(gst::ClockTime::from_seconds(number));
                items.push(Item::Event(gst::event::Segment::new(&segment)));
                items.push(Item::Buffer(frame(&info, number)));
            }
            items.push(eos());
            let came = Rig::new(&round_trip_line(&keys, &format!("output={output}"), "")).run(items.clone());
            // The plain segment that a stream starts with here belongs to no frame.
            items.remove(2);
            assert_eq!(order(&came), order(&items), "{output}");
        }
    });
}

#[test]
fn eos_drains_every_frame_and_ends_with_the_end_record() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 320, 240);
        let sent = frames(&info, 30);
        let rig = Rig::new(&format!("chaosenc {} workers=3 queue-depth=8", keys.psk()));
        let came = rig.run(stream(&pictures::caps(&info), sent.clone()));
        let packets: Vec<Packet> = buffers(&came).into_iter().map(|packet| packet_of(packet)).collect();
        assert_eq!(packets.last(), Some(&Packet::End(31)));
        let counters: Vec<u64> = packets.iter().filter(|p| **p != Packet::Header(0)).map(|p| p.counter()).collect();
        assert_eq!(counters, (1..=31).collect::<Vec<_>>());
        assert_eq!(rig.push(Item::Buffer(sent[0].clone())), Err(gst::FlowError::Eos), "nothing after the end");
        let decrypter = Rig::new(&format!("chaosdec {}", keys.psk()));
        let clear = decrypter.run(came);
        assert_same("drained", &info, &buffers(&clear), &sent);
        let stats = decrypter.element("chaosdec").property::<gst::Structure>("stats");
        assert_eq!(stats.get::<bool>("end-seen"), Ok(true));
        assert_eq!(decrypter.posted(), [("new-stream".into(), None)]);
    });
}

#[test]
fn eos_without_frames() {
    in_time(|| {
        let keys = Keys::new();
        let caps = pictures::caps(&info("I420", 64, 48));
        let rig = Rig::new(&round_trip_line(&keys, "", ""));
        let came = rig.run(stream(&caps, []));
        assert!(buffers(&came).is_empty());
        assert_eq!(rig.posted(), [("new-stream".into(), None)]);
    });
}

fn segment_from(ms: u64) -> Item {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_mseconds(ms));
    segment.set_time(gst::ClockTime::from_mseconds(ms));
    Item::Event(gst::event::Segment::new(&segment))
}

/// Counters of everything sealed that left, each description once; fails if one stands for two things.
fn unique_counters(packets: &[&gst::Buffer]) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    let mut last_header = None;
    for packet in packets {
        let read = packet_of(packet);
        let repeated = last_header == Some(bytes(packet));
        if matches!(read, Packet::Header(_)) {
            last_header = Some(bytes(packet));
        }
        assert!(repeated || seen.insert(read.counter()), "{read:?} stands twice");
    }
    seen
}

#[test]
fn a_flush_goes_on_with_the_next_counters() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let rig = Rig::new(&format!("chaosenc {} workers=3", keys.psk()));
        let mut all = Vec::new();
        rig.feed(start(&pictures::caps(&info)));
        for round in 0..20u64 {
            rig.feed((0..6).map(|number| Item::Buffer(frame(&info, 10 * round + number))));
            if round % 5 == 4 {
                rig.feed([eos()]);
            }
            rig.feed(flush());
            rig.feed([segment_from(if round % 2 == 0 { 0 } else { 400 })]);
            all.extend(rig.take_when(|_| true));
        }
        rig.feed([Item::Buffer(frame(&info, 0)), eos()]);
        all.extend(rig.until_eos());
        let packets = buffers(&all);
        unique_counters(&packets);
        let ids: BTreeSet<Vec<u8>> = packets.iter().map(|packet| super::packets::stream_id(packet)).collect();
        assert_eq!(ids.len(), 1, "a flush begins no new stream");
        // What was not lost in a flush opens, and the end record counts exactly that.
        let decrypter = Rig::new(&format!("chaosdec {}", keys.psk()));
        let buffers: Vec<gst::Buffer> = packets.into_iter().cloned().collect();
        decrypter.run(stream(&super::packets::packet_caps(), buffers));
        let posted = decrypter.posted();
        assert!(posted.iter().all(|(reason, _)| reason == "new-stream" || reason == "lost"), "{posted:?}");
    });
}

#[test]
fn frames_after_a_flush_come_with_caps_and_segment_of_their_own() {
    in_time(|| {
        for (output, line) in [("packets", ""), ("picture", "workers=3")] {
            let keys = Keys::new();
            let info = info("I420", 64, 48);
            let rig = Rig::new(&round_trip_line(&keys, &format!("output={output} {line}"), line));
            rig.feed(start(&pictures::caps(&info)));
            rig.feed(frames(&info, 5).into_iter().map(Item::Buffer));
            rig.until_buffers(5);
            for round in [1u64, 2] {
                rig.feed(flush());
                rig.feed([segment_from(400 * round)]);
                let sent: Vec<gst::Buffer> = (0..3).map(|number| frame(&info, 10 * round + number)).collect();
                rig.feed(sent.iter().cloned().map(Item::Buffer));
                let came = rig.until_buffers(3);
                assert_same(output, &info, &buffers(&came), &sent);
                let segments = events(&came, gst::EventType::Segment);
                assert_eq!(segments.len(), 1);
                let gst::EventView::Segment(segment) = segments[0].view() else { unreachable!("selected by type") };
                let Item::Event(wanted) = segment_from(400 * round) else { unreachable!("made above") };
                let gst::EventView::Segment(wanted) = wanted.view() else { unreachable!("made above") };
                assert_eq!(segment.segment(), wanted.segment(), "{output}");
            }
            assert_eq!(rig.stat("chaosdec", "lost"), 0, "{output}");
            assert_eq!(rig.stat("chaosdec", "replayed"), 0, "{output}");
        }
    });
}

/// Caps and other sticky events that a flush meets in the queue hold for what follows; frames do not.
#[test]
fn sticky_events_in_the_queue_survive_a_flush() {
    in_time(|| {
        let keys = Keys::new();
        let (first, second) = (info("I420", 64, 48), info("GRAY8", 32, 32));
        let rig = Rig::new(&format!("chaosenc {} queue-depth=9", keys.psk()));
        rig.hold(true);
        rig.feed(start(&pictures::caps(&first)));
        rig.feed(frames(&first, 2).into_iter().map(Item::Buffer));
        let note = gst::event::CustomDownstreamSticky::new(gst::Structure::new_empty("note"));
        let mut second_caps = pictures::caps(&second);
        second_caps.make_mut().set("framerate", gst::Fraction::new(30, 1));
        rig.feed([Item::Event(note), Item::Event(gst::event::Caps::new(&second_caps))]);
        rig.feed(flush());
        rig.hold(false);
        rig.take_when(|_| true);
        rig.feed([segment_from(0), Item::Buffer(frame(&second, 5)), eos()]);
        let came = rig.until_eos();
        let caps = all_caps(&came).pop().expect("told again");
        assert!(caps.to_string().contains("30/1"), "{caps}");
        assert_eq!(events(&came, gst::EventType::CustomDownstreamSticky).len(), 1);
        assert_eq!(buffers(&came).len(), 3, "header, frame, end record");
    });
}

/// A real seek, from a sink to a source that can.
#[test]
fn seeking() {
    in_time(|| {
        let keys = Keys::new();
        let line = format!(
            "videotestsrc pattern=ball ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 \
             ! chaosenc {} ! chaosdec {} ! fakesink name=sink sync=false signal-handoffs=true",
            keys.psk(),
            keys.psk()
        );
        let pipeline = pipeline(&line);
        let element = |factory: &str| {
            let mut found = pipeline.iterate_elements().into_iter().filter_map(Result::ok);
            found.find(|element| element.factory().is_some_and(|made| made.name() == factory)).expect("in the line")
        };
        let (packets, times) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let kept = packets.clone();
        let encrypted = element("chaosenc").static_pad("src").expect("always there");
        encrypted.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            kept.lock().expect("not poisoned").extend(info.buffer().map(|buffer| buffer.to_owned()));
            gst::PadProbeReturn::Ok
        });
        let seen = times.clone();
        element("fakesink").connect("handoff", false, move |values| {
            let buffer = values[1].get::<gst::Buffer>().expect("the signal's type");
            seen.lock().expect("not poisoned").push(buffer.pts().expect("stamped"));
            None
        });
        pipeline.set_state(gst::State::Paused).expect("starts");
        pipeline.state(gst::ClockTime::NONE).0.expect("prerolls");
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        for seconds in [7, 3] {
            // Paused, or frames would be shown before the list is emptied.
            pipeline.set_state(gst::State::Paused).expect("pauses");
            let (from, to) = (gst::ClockTime::from_seconds(seconds), gst::ClockTime::from_seconds(seconds + 1));
            pipeline.set_state(gst::State::Paused).expect("pauses");
            pipeline.seek(1.0, flags, gst::SeekType::Set, from, gst::SeekType::Set, to).expect("can seek");
            pipeline.state(gst::ClockTime::NONE).0.expect("prerolls");
            times.lock().expect("not poisoned").clear();
            pipeline.set_state(gst::State::Playing).expect("plays");
            let last = until_end(&pipeline).pop().expect("ends");
            assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
            let came = times.lock().expect("not poisoned").clone();
            // The first frame may have been shown in the preroll already.
            let wanted: Vec<_> = (0..25).map(|number| from + gst::ClockTime::from_mseconds(40 * number)).collect();
            assert!(came == wanted || came == wanted[1..], "{came:?}");
        }
        pipeline.set_state(gst::State::Null).expect("stops");
        let packets = packets.lock().expect("not poisoned");
        unique_counters(&packets.iter().collect::<Vec<_>>());
    });
}

#[test]
fn downstreams_answer_is_upstreams() {
    in_time(|| {
        for answer in
            [gst::FlowError::Error, gst::FlowError::Eos, gst::FlowError::NotLinked, gst::FlowError::NotNegotiated]
        {
            for line in ["workers=1 queue-depth=1", "workers=3"] {
                let keys = Keys::new();
                let info = info("I420", 64, 48);
                let rig = Rig::new(&round_trip_line(&keys, line, line));
                rig.feed(start(&pictures::caps(&info)));
                rig.feed([Item::Buffer(frame(&info, 0))]);
                rig.until_buffers(1);
                rig.answer(Err(answer));
                let mut pushes = (1..1000).map(|number| {
                    std::thread::sleep(Duration::from_millis(1));
                    rig.push(Item::Buffer(frame(&info, number)))
                });
                assert_eq!(pushes.find(Result::is_err), Some(Err(answer)), "{line}");
                assert_eq!(rig.push(Item::Buffer(frame(&info, 0))), Err(answer), "{line}: and stays so");
            }
        }
    });
}

/// A sink that takes a few frames and answers EOS waits for the event itself before it says that it has ended.
#[test]
fn a_sink_that_has_had_enough_ends() {
    in_time(|| {
        let keys = Keys::new();
        for elements in [format!("chaosenc {}", keys.psk()), round_trip_line(&keys, "", "")] {
            let source = "videotestsrc num-buffers=300 ! video/x-raw,width=64,height=48";
            play_to_end(&pipeline(&format!("{source} ! {elements} ! fakesink num-buffers=10")));
        }
    });
}

#[test]
fn places_in_bytes_are_not_told() {
    in_time(|| {
        let keys = Keys::new();
        let file = keys.path("clip.cveil");
        let source = "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48";
        play_to_end(&pipeline(&format!("{source} ! chaosenc {} ! filesink location={}", keys.psk(), file.display())));
        let line = format!("filesrc location={} ! chaosdec {} ! fakesink", file.display(), keys.psk());
        let pipeline = pipeline(&line);
        pipeline.set_state(gst::State::Paused).expect("starts");
        pipeline.state(gst::ClockTime::NONE).0.expect("prerolls");
        assert_eq!(pipeline.query_duration::<gst::format::Bytes>(), None);
        let mut seeking = gst::query::Seeking::new(gst::Format::Bytes);
        assert!(!pipeline.query(&mut seeking) || !seeking.result().0);
        let start = gst::format::Bytes::from_u64(10);
        assert!(pipeline.seek_simple(gst::SeekFlags::FLUSH, start).is_err());
        pipeline.set_state(gst::State::Null).expect("stops");
    });
}

/// An input that says it can be read anywhere and then does not seek: the stream goes on, over later flushes too.
#[test]
fn a_seek_that_upstream_refuses_changes_nothing() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("GRAY8", 64, 24);
        let came = Rig::new(&format!("chaosenc {}", keys.psk())).run(stream(&pictures::caps(&info), frames(&info, 8)));
        let packets: Vec<gst::Buffer> = buffers(&came).into_iter().cloned().collect();
        let rig = Rig::new(&format!("chaosdec {}", keys.psk()));
        rig.input().add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PUSH, |_, probed| {
            match probed.query_mut().map(gst::QueryRef::view_mut) {
                Some(gst::QueryViewMut::Seeking(query)) if query.format() == gst::Format::Bytes => {
                    query.set(true, gst::format::Bytes::ZERO, gst::format::Bytes::from_u64(1 << 20));
                }
                Some(gst::QueryViewMut::Duration(query)) if query.format() == gst::Format::Bytes => {
                    query.set(gst::format::Bytes::from_u64(1 << 20));
                }
                _ => return gst::PadProbeReturn::Ok,
            }
            gst::PadProbeReturn::Handled
        });
        let mut seekable = gst::query::Seeking::new(gst::Format::Time);
        rig.feed(start(&packet_caps()));
        // A stream header and four frames.
        rig.feed(packets[..5].iter().cloned().map(Item::Buffer));
        rig.until_buffers(4);
        assert!(rig.output().peer_query(&mut seekable) && seekable.result().0, "it would have to be tried");
        let to = gst::ClockTime::from_mseconds(10);
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let seek = gst::event::Seek::new(1.0, gst::SeekFlags::FLUSH, set, to, none, gst::ClockTime::NONE);
        assert!(!rig.output().push_event(seek), "nobody has sought");
        rig.feed(flush());
        rig.feed(start(&packet_caps()).into_iter().skip(2));
        rig.feed(packets[5..].iter().cloned().map(Item::Buffer));
        rig.feed([eos()]);
        let after = rig.until_eos();
        let shown: Vec<gst::Buffer> = buffers(&after).into_iter().cloned().collect();
        assert_same("after the seek", &info, &shown.iter().collect::<Vec<_>>(), &frames(&info, 8)[4..]);
        assert_eq!(rig.stat("chaosdec", "rejected"), 0);
    });
}

/// The news of a stream is in the queue when everything in it is thrown away.
#[test]
fn a_stream_that_begins_before_a_flush_is_told_of() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("GRAY8", 64, 24);
        let packets = |profile: &str| {
            let rig = Rig::new(&format!("chaosenc {} profile={profile}", keys.psk()));
            buffers(&rig.run(stream(&pictures::caps(&info), frames(&info, 3)))).into_iter().cloned().collect::<Vec<_>>()
        };
        let (first, second) = (packets("aead"), packets("hardened"));
        let rig = Rig::new(&format!("chaosdec {} accept-new-stream=true", keys.psk()));
        rig.feed(start(&packet_caps()));
        // Header and frame of one.
        rig.feed(first[..2].iter().cloned().map(Item::Buffer));
        rig.until_buffers(1);
        // A frame that waits, and behind it the header of the other.
        rig.hold(true);
        rig.feed([first[2].clone(), second[0].clone()].into_iter().map(Item::Buffer));
        rig.feed(flush());
        rig.hold(false);
        rig.feed(start(&packet_caps()).into_iter().skip(2));
        rig.feed(second[1..].iter().cloned().map(Item::Buffer));
        rig.feed([eos()]);
        assert_eq!(buffers(&rig.until_eos()).len(), 3);
        let stats = rig.element("chaosdec").property::<gst::Structure>("stats");
        assert_eq!(stats.get::<String>("profile").expect("told"), "hardened");
        let told = rig.posted();
        assert_eq!(told.iter().filter(|(reason, _)| reason == "new-stream").count(), 2, "{told:?}");
    });
}

/// Who is asked for the latency upstream may look at the element's properties.
#[test]
fn properties_are_read_while_upstream_tells_its_latency() {
    in_time(|| {
        let keys = Keys::new();
        for factory in ["chaosenc", "chaosdec"] {
            let rig = Rig::new(&format!("{factory} {}", keys.psk()));
            let element = rig.element(factory);
            let asked = Arc::new(Mutex::new(0));
            let count = asked.clone();
            rig.input().add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PUSH, move |_, probed| {
                let Some(gst::QueryViewMut::Latency(query)) = probed.query_mut().map(gst::QueryRef::view_mut) else {
                    return gst::PadProbeReturn::Ok;
                };
                element.set_property("queue-depth", element.property::<u32>("queue-depth"));
                *count.lock().expect("not poisoned") += 1;
                query.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                gst::PadProbeReturn::Handled
            });
            assert!(rig.output().peer_query(&mut gst::query::Latency::new()), "{factory}");
            assert!(*asked.lock().expect("not poisoned") > 0, "{factory}");
        }
    });
}

/// Who asks for its buffers back gets them: none is left in the queue.
#[test]
fn draining_empties_the_queue() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let rig = Rig::new(&round_trip_line(&keys, "workers=2 queue-depth=8", "workers=2 queue-depth=8"));
        rig.feed(start(&pictures::caps(&info)));
        rig.feed(frames(&info, 8).into_iter().map(Item::Buffer));
        rig.input().peer_query(&mut gst::query::Drain::new());
        assert_eq!(buffers(&rig.take_when(|_| true)).len(), 8);
    });
}

/// Where the last frame fails, no buffer comes that could carry the news upstream: it goes to the bus.
#[test]
fn an_error_on_the_last_frame_is_told() {
    in_time(|| {
        for answer in [gst::FlowError::Error, gst::FlowError::NotNegotiated] {
            for line in ["chaosenc", "chaosdec"] {
                let keys = Keys::new();
                let info = info("I420", 64, 48);
                let packets = super::packets::packets_of(&keys, "", &info, &frames(&info, 1));
                let items = match line {
                    "chaosenc" => stream(&pictures::caps(&info), frames(&info, 1)),
                    _ => stream(&super::packets::packet_caps(), packets),
                };
                let rig = Rig::new(&format!("{line} {}", keys.psk()));
                rig.answer(Err(answer));
                for item in items {
                    // EOS may be refused by then.
                    let _ = rig.push(item);
                }
                let bus = rig.bus();
                let told = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &[gst::MessageType::Error]);
                assert!(told.is_some(), "{line}: nobody is told of {answer:?}");
            }
        }
    });
}

/// Most frames that are on their way at once: those in the queue, one being pushed, one waiting outside.
#[test]
fn the_queue_is_bounded() {
    in_time(|| {
        for (line, depth) in
            [("workers=1 queue-depth=1", 1), ("workers=3 queue-depth=5", 5), ("workers=4 queue-depth=2", 2)]
        {
            let keys = Keys::new();
            let info = info("I420", 64, 48);
            let rig = Arc::new(Rig::new(&format!("chaosenc {} {line}", keys.psk())));
            rig.feed(start(&pictures::caps(&info)));
            rig.hold(true);
            let taken = Arc::new(AtomicUsize::new(0));
            let feeder = std::thread::spawn({
                let (rig, taken, info) = (rig.clone(), taken.clone(), info.clone());
                move || {
                    for number in 0..20 {
                        rig.feed([Item::Buffer(frame(&info, number))]);
                        taken.fetch_add(1, Ordering::SeqCst);
                    }
                    rig.feed([eos()]);
                }
            });
            std::thread::sleep(Duration::from_millis(200));
            assert!(taken.load(Ordering::SeqCst) <= depth + 1, "{line}: {taken:?} frames were taken");
            rig.hold(false);
            let came = rig.until_eos();
            feeder.join().expect("feeds");
            assert!(buffers(&came).len() >= 22, "{line}");
        }
    });
}

#[test]
fn a_leaky_queue_drops_the_oldest_and_counts() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let sent = frames(&info, 40);
        let rig = Rig::new(&format!("chaosenc {} workers=2 queue-depth=4 leaky=downstream", keys.psk()));
        rig.feed(start(&pictures::caps(&info)));
        rig.feed([Item::Buffer(sent[0].clone())]);
        let mut came = rig.until_buffers(2);
        rig.hold(true);
        rig.feed(sent[1..].iter().cloned().map(Item::Buffer));
        rig.hold(false);
        rig.feed([eos()]);
        came.extend(rig.until_eos());
        let dropped = rig.stat("chaosenc", "dropped");
        assert!(dropped >= 30, "{dropped}");
        assert_eq!(rig.stat("chaosenc", "frames-out") + dropped, 40);
        assert_eq!(rig.posted().iter().filter(|(reason, _)| reason == "dropped").count() as u64, dropped);
        let decrypter = Rig::new(&format!("chaosdec {}", keys.psk()));
        let clear = decrypter.run(came);
        let pts: Vec<_> = buffers(&clear).iter().map(|frame| frame.pts()).collect();
        assert!(pts.is_sorted(), "{pts:?}");
        assert_eq!(visible(buffers(&clear).last().expect("some are left"), &info), visible(&sent[39], &info));
        // The end record counts what left: nothing is missing.
        assert!(decrypter.posted().iter().all(|(reason, _)| reason != "incomplete"));
        assert_eq!(decrypter.stat("chaosdec", "lost"), dropped);
    });
}

/// Frames at one a second, each of which comes with a stream header: those take nothing of the frames' room.
#[test]
fn a_stalled_sink_never_stops_a_leaky_encrypter() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("GRAY8", 16, 16);
        let rig = Rig::new(&format!("chaosenc {} workers=1 queue-depth=2 leaky=downstream", keys.psk()));
        rig.feed(start(&pictures::caps(&info)));
        rig.hold(true);
        for number in 0..200 {
            let mut slow = frame(&info, number);
            slow.make_mut().set_pts(number * gst::ClockTime::SECOND);
            rig.feed([Item::Buffer(slow)]);
        }
        rig.hold(false);
        rig.feed([eos()]);
        let came = rig.until_eos();
        assert!(rig.stat("chaosenc", "dropped") >= 196, "{}", rig.stat("chaosenc", "dropped"));
        let decrypter = Rig::new(&format!("chaosdec {}", keys.psk()));
        let clear = decrypter.run(came);
        assert_eq!(visible(buffers(&clear).last().expect("some are left"), &info), visible(&frame(&info, 199), &info));
    });
}

#[test]
fn a_leaky_decrypter_drops_and_counts() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let packets = super::packets::packets_of(&keys, "", &info, &frames(&info, 40));
        let rig = Rig::new(&format!("chaosdec {} workers=2 queue-depth=4 leaky=downstream", keys.psk()));
        rig.feed(start(&super::packets::packet_caps()));
        rig.hold(true);
        rig.feed(packets.into_iter().map(Item::Buffer));
        rig.hold(false);
        rig.feed([eos()]);
        let came = rig.until_eos();
        let dropped = rig.stat("chaosdec", "dropped");
        assert!(dropped >= 30, "{dropped}");
        assert_eq!(buffers(&came).len() as u64 + dropped, 40);
        assert_eq!(rig.stat("chaosdec", "lost"), 0, "what was dropped here did come");
        let told = |(reason, counter): &(String, Option<u64>)| reason != "lost" && counter.is_some();
        assert!(rig.posted().iter().all(|posted| told(posted) || posted.0 == "new-stream"));
        let stats = rig.element("chaosdec").property::<gst::Structure>("stats");
        assert_eq!(stats.get::<bool>("end-seen"), Ok(true), "the end record is no frame to drop");
    });
}
