//! New keys in the middle of a stream: by frames, bytes, time and on request, and not a frame is lost by it.

use gst::prelude::*;

use super::{
    common::{Keys, in_time},
    packets::{Packet, decrypt, packet_caps, packet_of},
    pictures::{assert_same, bytes, caps, frame, frames, info, noise, stamped},
    rig::{Item, Rig, all_caps, buffers, eos, events, flush, start, stream},
};

fn small() -> gst_video::VideoInfo {
    info("GRAY8", 64, 24)
}

/// Epoch that a frame packet tells in the clear.
fn epoch_of(packet: &gst::BufferRef) -> u32 {
    let map = packet.map_readable().expect("readable");
    u32::from_le_bytes(map[12..16].try_into().expect("four bytes"))
}

/// The packets that a stream becomes. A header that a slow machine repeats stands once.
fn packets_of(keys: &Keys, settings: &str, items: Vec<Item>) -> Vec<gst::Buffer> {
    let came = Rig::new(&format!("chaosenc {} {settings}", keys.psk())).run(items);
    let mut packets: Vec<gst::Buffer> = buffers(&came).into_iter().cloned().collect();
    let mut seen = std::collections::BTreeSet::new();
    packets.retain(|packet| seen.insert(packet_of(packet).counter()));
    packets
}

/// Epochs of the frames among packets.
fn epochs(packets: &[gst::Buffer]) -> Vec<u32> {
    let frames = packets.iter().filter(|packet| matches!(packet_of(packet), Packet::Frame(_)));
    frames.map(|packet| epoch_of(packet)).collect()
}

#[test]
fn a_thousand_new_keys_and_caps_lose_no_frame() {
    in_time(|| {
        let sizes = [info("GRAY8", 16, 8), info("I420", 20, 10), info("RGB", 7, 5)];
        for output in ["packets", "picture transport=exact"] {
            let keys = Keys::new();
            let psk = keys.psk();
            let rig = Rig::new(&format!("chaosenc {psk} output={output} rekey-frames=1 ! chaosdec {psk}"));
            let mut items = start(&caps(&sizes[0]));
            for number in 0..1001 {
                let info = &sizes[number as usize % 3];
                items.push(Item::Event(gst::event::Caps::new(&caps(info))));
                items.push(Item::Buffer(frame(info, number)));
            }
            items.push(eos());
            let came = rig.run(items);
            let came = buffers(&came);
            assert_eq!(came.len(), 1001, "{output}");
            for (number, buffer) in came.iter().enumerate() {
                let info = &sizes[number % 3];
                assert_same(&format!("{output}, frame {number}"), info, &[buffer], &[frame(info, number as u64)]);
            }
            assert_eq!(rig.stat("chaosdec", "epoch"), 1000, "{output}");
            let losses =
                ["lost", "rejected", "replayed", "reordered", "dropped"].map(|name| rig.stat("chaosdec", name));
            assert_eq!(losses, [0; 5], "{output}");
        }
    });
}

/// After a seek frames may come before a header, and the header tells nothing new: it has come all the same.
#[test]
fn a_known_description_is_not_lost_behind_frames() {
    in_time(|| {
        let keys = Keys::new();
        // Headers have the counters 0, 5 and 10.
        let packets = packets_of(&keys, "rekey-frames=4", stream(&caps(&small()), frames(&small(), 12)));
        let rig = Rig::new(&format!("chaosdec {}", keys.psk()));
        rig.feed(start(&packet_caps()));
        rig.feed(packets[..15].iter().cloned().map(Item::Buffer));
        rig.until_buffers(12);
        for (from, shown) in [(7, 7), (5, 8), (3, 10), (10, 4)] {
            rig.feed(flush());
            rig.feed(start(&packet_caps()).into_iter().skip(2));
            rig.feed(packets[from..15].iter().cloned().map(Item::Buffer));
            rig.until_buffers(shown);
            assert_eq!(rig.stat("chaosdec", "lost"), 0, "from packet {from}");
        }
        assert_eq!(rig.posted().iter().filter(|(reason, _)| reason == "lost").count(), 0);
    });
}

#[test]
fn each_limit_begins_an_epoch() {
    in_time(|| {
        let keys = Keys::new();
        let sent = frames(&small(), 10);
        let size = sent[0].size();
        for (settings, expected) in [
            ("rekey-frames=4".to_owned(), vec![0, 0, 0, 0, 1, 1, 1, 1, 2, 2]),
            (format!("rekey-bytes={}", 3 * size), vec![0, 0, 0, 1, 1, 1, 2, 2, 2, 3]),
            (format!("rekey-bytes={}", 3 * size - 1), vec![0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
            ("rekey-interval=1".to_owned(), (0..10).collect()),
            ("rekey-bytes=0 rekey-interval=0".to_owned(), vec![0; 10]),
            (String::new(), vec![0; 10]),
        ] {
            let packets = packets_of(&keys, &settings, stream(&caps(&small()), sent.clone()));
            assert_eq!(epochs(&packets), expected, "{settings}");
            // Each epoch is told by a header of its own, before its first frame.
            let headers = packets.iter().filter(|packet| matches!(packet_of(packet), Packet::Header(_))).count();
            assert_eq!(headers, 1 + *expected.last().expect("frames") as usize, "{settings}");
            let came = decrypt(&keys, "", packets);
            assert_eq!(came.frames(&small(), &sent), (0..10).collect::<Vec<_>>(), "{settings}");
            assert!(came.end_seen() && came.losses() == [0; 4], "{settings}");
        }
    });
}

#[test]
fn a_signal_asks_for_the_next_key() {
    in_time(|| {
        let keys = Keys::new();
        let psk = keys.psk();
        let rig = Rig::new(&format!("chaosenc {psk} rekey-bytes=0 rekey-interval=0 ! chaosdec {psk}"));
        let encrypter = rig.element("chaosenc");
        let sent = frames(&small(), 5);
        rig.feed(start(&caps(&small())));
        for (number, frame) in sent.iter().enumerate() {
            if number == 2 || number == 3 {
                assert!(encrypter.emit_by_name::<bool>("rekey", &[]));
                // Asked twice before a frame, it is one.
                assert!(encrypter.emit_by_name::<bool>("rekey", &[]));
            }
            rig.feed([Item::Buffer(frame.clone())]);
        }
        rig.feed([eos()]);
        let came = rig.until_eos();
        assert_same("signal", &small(), &buffers(&came), &sent);
        // What stays the same is not told anew downstream.
        assert_eq!(all_caps(&came).len(), 1);
        assert_eq!(events(&came, gst::EventType::Segment).len(), 1);
        assert_eq!((rig.stat("chaosenc", "epoch"), rig.stat("chaosdec", "epoch")), (2, 2));
        let rekeyed: Vec<_> = rig.posted().into_iter().filter(|(reason, _)| reason == "rekeyed").collect();
        // Of both elements: header 0, frames 1 and 2, header 3, frame 4, header 5, frames 6 and 7.
        let mut counters: Vec<_> = rekeyed.iter().map(|(_, counter)| counter.expect("a counter")).collect();
        counters.sort_unstable();
        assert_eq!(counters, [4, 4, 6, 6]);
        let stopped = gst::ElementFactory::make("chaosenc").build().expect("registered");
        assert!(!stopped.emit_by_name::<bool>("rekey", &[]), "nothing runs");
    });
}

/// Who joins in a later epoch has nothing but its header.
#[test]
fn any_epoch_can_be_joined() {
    in_time(|| {
        let keys = Keys::new();
        let caps = gst::Caps::builder("application/x-test").build();
        let sent: Vec<gst::Buffer> = (0..30).map(|number| stamped(noise(number, 50), number)).collect();
        let packets = packets_of(&keys, "rekey-frames=5", stream(&caps, sent.clone()));
        for from in 0..packets.len() {
            let rig = Rig::new(&format!("chaosdec {}", keys.psk()));
            let came = rig.run(stream(&packet_caps(), packets[from..].iter().cloned()));
            let came: Vec<Vec<u8>> = buffers(&came).into_iter().map(|buffer| bytes(buffer)).collect();
            // Six packets an epoch: a header and five frames, and nothing else but the end record.
            let first = 5 * from.div_ceil(6);
            let expected: Vec<Vec<u8>> = sent[first.min(30)..].iter().map(|buffer| bytes(buffer)).collect();
            if expected.is_empty() {
                break;
            }
            assert_eq!(came, expected, "from packet {from}");
        }
    });
}
