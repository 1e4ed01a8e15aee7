//! Packets lost, doubled, swapped, cut into pieces, among other bytes; streams joined late or one after the other.
//! Frames that leave are exact, and the counters tell exactly what happened.

use gst::prelude::*;

use super::{
    common::{Keys, in_time},
    packets::{Decrypted, Packet, decrypt, decrypt_caps, joined, packet_caps, packet_of, packets_of},
    pictures::{self, frame, frames, info, noise, stamped},
    rig::{Item, Rig, all_caps, buffers, eos, events, start, stream},
};

const FRAMES: u64 = 12;

fn small() -> gst_video::VideoInfo {
    info("I420", 32, 24)
}

/// Keys, the frames sent, and the packets that they became.
fn sent() -> (Keys, Vec<gst::Buffer>, Vec<gst::Buffer>) {
    let keys = Keys::new();
    let frames = frames(&small(), FRAMES);
    let packets = packets_of(&keys, "", &small(), &frames);
    (keys, frames, packets)
}

fn posted(list: &[(&str, Option<u64>)]) -> Vec<(String, Option<u64>)> {
    list.iter().map(|(reason, counter)| (reason.to_string(), *counter)).collect()
}

/// Settings under which every case must come out the same.
const SETTINGS: [&str; 2] = ["workers=1 queue-depth=1", "workers=3 threads-per-frame=2"];

#[test]
fn lost_packets_are_counted() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        for settings in SETTINGS {
            let lost = [3, 4, 9];
            let came = packets.iter().filter(|packet| !lost.contains(&packet_of(packet).counter())).cloned();
            let came = decrypt(&keys, settings, came);
            assert_eq!(came.frames(&small(), &frames), [0, 1, 4, 5, 6, 7, 9, 10, 11]);
            assert_eq!(came.losses(), [3, 0, 0, 0]);
            let told = [("new-stream", None), ("lost", Some(5)), ("lost", Some(10)), ("incomplete", Some(FRAMES + 1))];
            assert_eq!(came.posted, posted(&told));
            assert!(came.end_seen());
            assert_eq!((came.stat("frames-in"), came.stat("frames-out")), (9, 9));
        }
    });
}

#[test]
fn doubled_packets_leave_once() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        for settings in SETTINGS {
            let came = decrypt(&keys, settings, packets.iter().flat_map(|packet| [packet.clone(), packet.clone()]));
            assert_eq!(came.frames(&small(), &frames), (0..FRAMES).collect::<Vec<_>>());
            assert_eq!(came.losses(), [0, 0, FRAMES, 0]);
            let replayed = (1..=FRAMES).map(|counter| ("replayed".to_owned(), Some(counter)));
            assert!(came.posted[1..].iter().cloned().eq(replayed));
        }
    });
}

/// The whole recording once more: nothing of it leaves a second time, and the stream stays ended.
#[test]
fn a_recording_played_again_is_refused() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        for settings in ["", "replay-window=4", "accept-new-stream=true"] {
            let came = decrypt(&keys, settings, packets.iter().chain(&packets[..8]).cloned());
            assert_eq!(came.frames(&small(), &frames), (0..FRAMES).collect::<Vec<_>>());
            assert_eq!(came.losses(), [0, 0, 7, 0], "{settings}");
            assert!(came.end_seen(), "{settings}");
        }
    });
}

#[test]
fn swapped_packets_cost_the_late_ones() {
    in_time(|| {
        let (keys, frames, mut packets) = sent();
        packets.swap(3, 4);
        packets.swap(7, 9);
        for settings in SETTINGS {
            let came = decrypt(&keys, settings, packets.clone());
            // 1 2 4 (3) 5 6 9 (8) (7) 10 11 12
            assert_eq!(came.frames(&small(), &frames), [0, 1, 3, 4, 5, 8, 9, 10, 11]);
            assert_eq!(came.losses(), [0, 3, 0, 0], "what came late is not lost");
            let told = [
                ("new-stream", None),
                ("lost", Some(4)),
                ("reordered", Some(3)),
                ("lost", Some(9)),
                ("reordered", Some(8)),
                ("reordered", Some(7)),
                ("incomplete", Some(FRAMES + 1)),
            ];
            assert_eq!(came.posted, posted(&told));
        }
    });
}

#[test]
fn pieces_of_any_size_are_put_together() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        let bytes = joined(&packets);
        let longest = packets.iter().map(|packet| packet.size()).max().expect("not empty");
        for size in [1, 2, 3, 7, 8, 9, 63, 64, 65, 1000, longest - 1, longest, longest + 1, bytes.len()] {
            let pieces = bytes.chunks(size).map(|piece| gst::Buffer::from_slice(piece.to_vec()));
            let came = decrypt(&keys, SETTINGS[size % 2], pieces);
            assert_eq!(came.frames(&small(), &frames), (0..FRAMES).collect::<Vec<_>>(), "{size}");
            assert_eq!(came.losses(), [0; 4], "{size}");
            assert!(came.end_seen() && came.error.is_none(), "{size}");
            assert_eq!(came.stat("bytes-in"), bytes.len() as u64);
        }
    });
}

#[test]
fn other_bytes_between_packets_are_skipped() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        let beginnings = [&b"CVEILFRM"[..], b"CVEIL", b"CVEILHDR", b"CVEILHDR\x01\x01\x01\x00\xff\xff\xff\xff", b"C"];
        let mut bytes = noise(1, 5000);
        for (number, packet) in packets.iter().enumerate() {
            bytes.extend(pictures::bytes(packet));
            bytes.extend(noise(number as u64 + 2, 37 * number));
            bytes.extend(beginnings[number % beginnings.len()]);
            bytes.extend(noise(number as u64 + 2, number));
        }
        for size in [5, 100, 4096, bytes.len()] {
            let came = decrypt(&keys, "", bytes.chunks(size).map(|piece| gst::Buffer::from_slice(piece.to_vec())));
            assert_eq!(came.frames(&small(), &frames), (0..FRAMES).collect::<Vec<_>>(), "{size}");
            assert_eq!(came.losses()[..3], [0; 3], "{size}");
            assert!(came.end_seen(), "{size}");
        }
    });
}

/// Who joins in the middle waits for the next header; frames before it are no failures.
#[test]
fn joining_late() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        let mut stream = packets[4..7].to_vec();
        stream.push(packets[0].clone());
        stream.extend_from_slice(&packets[7..]);
        for settings in SETTINGS {
            let came = decrypt(&keys, settings, stream.clone());
            assert_eq!(came.frames(&small(), &frames), [6, 7, 8, 9, 10, 11]);
            assert_eq!(came.losses(), [0; 4], "nothing before the first frame counts");
            let told = [("waiting-for-header", None), ("new-stream", None), ("incomplete", Some(FRAMES + 1))];
            assert_eq!(came.posted, posted(&told));
            assert_eq!(came.error, None);
        }
    });
}

fn segment_of(came: &Decrypted) -> gst::FormattedSegment<gst::ClockTime> {
    let segments = events(&came.items, gst::EventType::Segment);
    let gst::EventView::Segment(segment) = segments.last().expect("frames have a segment").view() else {
        unreachable!("selected by type")
    };
    segment.segment().clone().downcast().expect("in time")
}

/// The first frame after a late join is due at once: at the running time of the buffer that brought it.
#[test]
fn the_first_frame_after_joining_late_is_due_at_once() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        let first = frames[6].pts().expect("stamped");
        // A receiver that stamps what arrives with its own clock.
        let arriving = |from: u64| {
            let mut stream = vec![packets[0].clone()];
            stream.extend_from_slice(&packets[7..]);
            for (number, packet) in stream.iter_mut().enumerate() {
                packet.make_mut().set_pts(gst::ClockTime::from_mseconds(from + number as u64));
            }
            stream
        };
        let came = decrypt(&keys, "", arriving(70_000));
        let segment = segment_of(&came);
        assert_eq!(segment.to_running_time(first), Some(gst::ClockTime::from_mseconds(70_001)));
        assert_eq!(segment.to_stream_time(first), Some(first), "the place in the recording is the sender's");
        // Bytes of a file have no times: due from the start, and no later than now.
        let untimed = arriving(0).into_iter().map(|packet| gst::Buffer::from_slice(pictures::bytes(&packet)));
        let mut items = start(&packet_caps());
        items[2] = Item::Event(gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new()));
        items.extend(untimed.map(Item::Buffer));
        items.push(eos());
        let rig = Rig::new(&format!("chaosdec {}", keys.psk()));
        let items = rig.run(items);
        let segments = events(&items, gst::EventType::Segment);
        let gst::EventView::Segment(segment) = segments[0].view() else { unreachable!("selected by type") };
        let segment = segment.segment().downcast_ref::<gst::ClockTime>().expect("in time");
        let due = segment.to_running_time(first).expect("within the segment");
        assert!(due <= rig.pipeline().current_running_time().expect("plays"), "{due}");
        // From the start on, the sender's segment holds.
        let segment = segment_of(&decrypt(&keys, "", packets.clone()));
        assert_eq!(segment, gst::FormattedSegment::new());
    });
}

/// What the sender changes later keeps its distance to what was joined.
#[test]
fn a_late_join_outlives_new_caps() {
    in_time(|| {
        let keys = Keys::new();
        let (video, other) = (small(), info("GRAY8", 40, 30));
        let mut items = start(&pictures::caps(&video));
        items.extend((1000..1003).map(|number| Item::Buffer(frame(&video, number))));
        items.push(Item::Event(gst::event::Caps::new(&pictures::caps(&other))));
        items.extend((1003..1005).map(|number| Item::Buffer(frame(&other, number))));
        items.push(eos());
        let came = Rig::new(&format!("chaosenc {}", keys.psk())).run(items);
        let mut packets: Vec<gst::Buffer> = buffers(&came).into_iter().cloned().collect();
        packets.remove(1);
        let stamps = packets.iter_mut().map(|packet| packet.make_mut());
        stamps.for_each(|packet| packet.set_pts(gst::ClockTime::from_mseconds(500)));
        let came = decrypt(&keys, "", packets);
        let mut running = Vec::new();
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for item in &came.items {
            match item {
                Item::Buffer(buffer) => {
                    running.extend(segment.to_running_time(buffer.pts()).map(|time| time.mseconds()))
                }
                Item::Event(event) => {
                    if let gst::EventView::Segment(event) = event.view() {
                        segment = event.segment().clone().downcast().expect("in time");
                    }
                }
            }
        }
        assert_eq!(running, [500, 540, 580, 620]);
    });
}

/// A live sink plays what comes after a late join and drops nothing as too late.
#[test]
fn a_sink_that_keeps_time_shows_a_stream_joined_late() {
    in_time(|| {
        let keys = Keys::new();
        let video = small();
        // Frames of the sender's second hour.
        let late: Vec<gst::Buffer> = (90_000..90_010).map(|number| frame(&video, number)).collect();
        let mut packets = packets_of(&keys, "", &video, &late);
        packets.remove(1);
        let line =
            format!("appsrc name=src is-live=true format=bytes ! chaosdec {} ! fakevideosink name=sink", keys.psk());
        let pipeline = super::common::pipeline(&line);
        pipeline.set_state(gst::State::Playing).expect("starts");
        // The receiver has been running for a while.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let source = pipeline.by_name("src").expect("in the line").downcast::<gst_app::AppSrc>().expect("an appsrc");
        for packet in packets {
            source.push_buffer(gst::Buffer::from_slice(pictures::bytes(&packet))).expect("takes buffers");
        }
        source.end_of_stream().expect("ends");
        let last = super::common::until_end(&pipeline).pop().expect("ends");
        assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
        let stats = pipeline.by_name("sink").expect("in the line").property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("dropped"), Ok(0), "{stats}");
        assert_eq!(stats.get::<u64>("rendered"), Ok(9), "{stats}");
        pipeline.set_state(gst::State::Null).expect("stops");
    });
}

#[test]
fn another_stream_is_refused_unless_accepted() {
    in_time(|| {
        let (keys, first, packets) = sent();
        let video = info("GRAY8", 40, 30);
        let second = frames(&video, 5);
        let others = packets_of(&keys, "", &video, &second);
        for settings in SETTINGS {
            let both = packets.iter().chain(&others).cloned();
            let came = decrypt(&keys, settings, both);
            assert_eq!(came.frames(&small(), &first), (0..FRAMES).collect::<Vec<_>>());
            assert_eq!(came.losses(), [0, 0, 0, 7], "header, five frames, end record");
            assert!(came.posted[1..].iter().all(|(reason, _)| reason == "other-stream"), "{:?}", came.posted);

            let both = packets.iter().chain(&others).cloned();
            let came = decrypt(&keys, &format!("{settings} accept-new-stream=true"), both);
            let (one, two) = all_frames(&came, FRAMES as usize);
            assert_eq!(one, first.iter().map(|frame| pictures::bytes(frame)).collect::<Vec<_>>());
            assert_eq!(two, second.iter().map(|frame| pictures::bytes(frame)).collect::<Vec<_>>());
            assert_eq!(came.losses(), [0; 4]);
            assert_eq!(came.posted, posted(&[("new-stream", None), ("new-stream", None)]));
            assert_eq!(all_caps(&came.items), [pictures::caps(&small()), pictures::caps(&video)]);
            // The second stream is due when the first is over, or now, but not in the past.
            let due = segment_of(&came).to_running_time(gst::ClockTime::ZERO);
            assert!(due >= Some(gst::ClockTime::from_mseconds(40 * FRAMES)), "{due:?}");
        }
    });
}

fn all_frames(came: &Decrypted, split: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let bytes: Vec<Vec<u8>> = buffers(&came.items).into_iter().map(|frame| pictures::bytes(frame)).collect();
    let (one, two) = bytes.split_at(split.min(bytes.len()));
    (one.to_vec(), two.to_vec())
}

#[test]
fn a_stream_cut_off_by_the_next_is_told() {
    in_time(|| {
        let (keys, _, packets) = sent();
        let others = packets_of(&keys, "", &small(), &frames(&small(), 3));
        let came = decrypt(&keys, "accept-new-stream=true", packets[..6].iter().chain(&others[..3]).cloned());
        let told = [("new-stream", None), ("truncated", None), ("new-stream", None), ("truncated", None)];
        assert_eq!(came.posted, posted(&told));
        assert_eq!(buffers(&came.items).len(), 5 + 2);
    });
}

#[test]
fn what_was_lost_stays_lost_in_the_next_stream() {
    in_time(|| {
        let (keys, _, mut packets) = sent();
        let mut others = packets_of(&keys, "", &small(), &frames(&small(), 5));
        packets.drain(3..6);
        others.remove(3);
        let came = decrypt(&keys, "accept-new-stream=true", packets.iter().chain(&others).cloned());
        assert_eq!(came.losses(), [3 + 1, 0, 0, 0]);
        assert_eq!((came.stat("frames-in"), came.stat("frames-out")), (9 + 4, 9 + 4));
    });
}

/// Frames that name a description which did not come are refused; the next header mends it.
#[test]
fn a_lost_header_costs_the_frames_that_need_it() {
    in_time(|| {
        let keys = Keys::new();
        let (video, other) = (small(), info("GRAY8", 40, 30));
        let mut items = start(&pictures::caps(&video));
        items.extend(frames(&video, 2).into_iter().map(Item::Buffer));
        items.push(Item::Event(gst::event::Caps::new(&pictures::caps(&other))));
        items.extend(frames(&other, 2).into_iter().map(Item::Buffer));
        items.push(eos());
        let came = Rig::new(&format!("chaosenc {}", keys.psk())).run(items);
        let packets: Vec<gst::Buffer> = buffers(&came).into_iter().cloned().collect();
        let kinds: Vec<Packet> = packets.iter().map(|packet| packet_of(packet)).collect();
        use Packet::{End, Frame, Header};
        assert_eq!(kinds, [Header(0), Frame(1), Frame(2), Header(3), Frame(4), Frame(5), End(6)]);
        let rig = Rig::new(&format!("chaosdec {}", keys.psk()));
        rig.feed(start(&packet_caps()));
        rig.feed([0, 1, 2, 4].map(|number| Item::Buffer(packets[number].clone())));
        while rig.stat("chaosdec", "rejected") == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        rig.feed([3, 5, 6].map(|number| Item::Buffer(packets[number].clone())));
        rig.feed([eos()]);
        let came = rig.until_eos();
        assert_eq!(buffers(&came).len(), 3);
        assert_eq!(all_caps(&came), [pictures::caps(&video), pictures::caps(&other)]);
        assert_eq!(rig.stat("chaosdec", "lost"), 1);
        let told = [("new-stream", None), ("rejected", Some(4)), ("lost", Some(5)), ("incomplete", Some(6))];
        assert_eq!(rig.posted(), posted(&told));
    });
}

/// The same for cipher pictures, each of which carries its header.
#[test]
fn pictures_lost_doubled_and_swapped() {
    in_time(|| {
        let keys = Keys::new();
        let sent = frames(&small(), 10);
        let rig = Rig::new(&format!("chaosenc {} output=picture", keys.psk()));
        let cipher = rig.run(stream(&pictures::caps(&small()), sent.clone()));
        let caps = all_caps(&cipher).remove(0);
        let pictures: Vec<gst::Buffer> = buffers(&cipher).into_iter().cloned().collect();
        for settings in SETTINGS {
            let order = [2, 3, 3, 5, 4, 8, 9];
            let came = decrypt_caps(&keys, settings, &caps, order.map(|number| pictures[number].clone()));
            assert_eq!(came.frames(&small(), &sent), [2, 3, 5, 8, 9], "{settings}");
            // Frame 4 came late, 6 and 7 not at all.
            assert_eq!(came.losses(), [2, 1, 1, 0], "{settings}");
            let told = [
                ("new-stream", None),
                ("replayed", Some(4)),
                ("lost", Some(6)),
                ("reordered", Some(5)),
                ("lost", Some(9)),
            ];
            assert_eq!(came.posted, posted(&told), "{settings}");
        }
    });
}

#[test]
fn a_buffer_may_hold_several_packets() {
    in_time(|| {
        let (keys, frames, packets) = sent();
        let pairs = packets.chunks(3).map(|some| stamped(joined(some), 0));
        let came = decrypt(&keys, "", pairs);
        assert_eq!(came.frames(&small(), &frames), (0..FRAMES).collect::<Vec<_>>());
        assert_eq!(came.losses(), [0; 4]);
    });
}
