//! From NULL to PLAYING and back, in any order and at any moment; latency; typefinding.

use std::{
    collections::BTreeSet,
    io::Write,
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gst::prelude::*;

use super::{
    common::{Keys, in_time, pipeline, until_end},
    packets::{packet_caps, packets_of, stream_id},
    pictures::{self, assert_same, frames, info},
    rig::{Rig, buffers, stream},
};

#[test]
fn every_run_is_a_stream_of_its_own() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let sent = frames(&info, 3);
        let mut ids = BTreeSet::new();
        let encrypter = Rig::stopped(&format!("chaosenc {}", keys.psk()));
        let decrypter = Rig::stopped(&format!("chaosdec {}", keys.psk()));
        for run in 0..3 {
            for rig in [&encrypter, &decrypter] {
                rig.pipeline().set_state(gst::State::Playing).expect("starts");
            }
            let cipher = encrypter.run(stream(&pictures::caps(&info), sent.clone()));
            ids.insert(stream_id(buffers(&cipher)[0]));
            let clear = decrypter.run(cipher);
            assert_same(&format!("run {run}"), &info, &buffers(&clear), &sent);
            assert_eq!(encrypter.stat("chaosenc", "frames-out"), 3, "each run counts from zero");
            assert_eq!(decrypter.stat("chaosdec", "frames-out"), 3, "each run counts from zero");
            for rig in [&encrypter, &decrypter] {
                // By READY in one run, by NULL in the others.
                let state = if run == 1 { gst::State::Ready } else { gst::State::Null };
                rig.pipeline().set_state(state).expect("stops");
                rig.input().set_active(false).expect("a free pad");
                rig.input().set_active(true).expect("a free pad");
            }
        }
        assert_eq!(ids.len(), 3);
    });
}

/// Counts the buffers that a `fakesink` takes and checks that their times only grow.
fn count_frames(pipeline: &gst::Pipeline) -> Arc<AtomicU64> {
    let sink = pipeline.by_name("sink").expect("in the line");
    let (count, next) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
    let counted = count.clone();
    sink.set_property("signal-handoffs", true);
    sink.connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().expect("the signal's type");
        let pts = buffer.pts().expect("stamped").nseconds();
        assert!(pts >= next.swap(pts + 1, Ordering::SeqCst), "in order");
        counted.fetch_add(1, Ordering::SeqCst);
        None
    });
    count
}

#[test]
fn pausing_loses_nothing() {
    in_time(|| {
        let keys = Keys::new();
        let line = format!(
            "videotestsrc num-buffers=200 ! video/x-raw,format=I420,width=64,height=48,framerate=200/1 \
             ! chaosenc {} ! chaosdec {} ! fakesink name=sink sync=true",
            keys.psk(),
            keys.psk()
        );
        let pipeline = pipeline(&line);
        let count = count_frames(&pipeline);
        // GStreamer 1.22 itself, with nothing but queues, may never end a change to PAUSED that overtakes the first one.
        pipeline.set_state(gst::State::Paused).expect("starts");
        pipeline.state(gst::ClockTime::NONE).0.expect("prerolls");
        for _ in 0..12 {
            pipeline.set_state(gst::State::Playing).expect("plays");
            std::thread::sleep(Duration::from_millis(20));
            pipeline.set_state(gst::State::Paused).expect("pauses");
            pipeline.state(gst::ClockTime::NONE).0.expect("pauses");
        }
        pipeline.set_state(gst::State::Playing).expect("plays");
        let last = until_end(&pipeline).pop().expect("ends");
        assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
        assert_eq!(count.load(Ordering::SeqCst), 200);
        pipeline.set_state(gst::State::Null).expect("stops");
    });
}

/// Stopping at any moment must not hang: with full queues and a sink that takes no more, or in the middle of the flow.
#[test]
fn stopping_while_everything_waits() {
    in_time(|| {
        for settings in ["workers=1 queue-depth=1", "workers=3", "workers=2 queue-depth=4 leaky=downstream"] {
            for (sink, output) in [("sync=true", "packets"), ("sync=false", "picture"), ("sync=true", "picture")] {
                let keys = Keys::new();
                let line = format!(
                    "videotestsrc ! video/x-raw,format=I420,width=320,height=240,framerate=1/1 \
                     ! chaosenc {} {settings} output={output} ! chaosdec {} {settings} ! fakesink name=sink {sink}",
                    keys.psk(),
                    keys.psk()
                );
                let pipeline = pipeline(&line);
                for wait_ms in [0, 1, 5, 30] {
                    pipeline.set_state(gst::State::Playing).expect("starts");
                    std::thread::sleep(Duration::from_millis(wait_ms));
                    pipeline.set_state(gst::State::Null).expect("stops");
                }
            }
        }
    });
}

#[test]
fn stopping_while_the_pad_is_blocked() {
    in_time(|| {
        for blocked in ["enc", "dec"] {
            let keys = Keys::new();
            let line = format!(
                "videotestsrc ! video/x-raw,format=I420,width=64,height=48 ! chaosenc name=enc {} queue-depth=2 \
                 ! chaosdec name=dec {} queue-depth=2 ! fakesink name=sink",
                keys.psk(),
                keys.psk()
            );
            let pipeline = pipeline(&line);
            let pad = pipeline.by_name(blocked).and_then(|element| element.static_pad("src")).expect("always there");
            pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| gst::PadProbeReturn::Ok);
            pipeline.set_state(gst::State::Playing).expect("starts");
            std::thread::sleep(Duration::from_millis(50));
            pipeline.set_state(gst::State::Null).expect("stops");
        }
    });
}

/// Minimum and maximum latency of a live pipeline.
fn latency(middle: &str) -> (u64, Option<u64>) {
    let line = format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=10/1 {middle} \
         ! fakesink name=sink sync=true"
    );
    let pipeline = pipeline(&line);
    pipeline.set_state(gst::State::Playing).expect("starts");
    // The sink has latency to tell once it has a frame.
    let bus = pipeline.bus().expect("a pipeline has a bus");
    while pipeline.state(gst::ClockTime::ZERO).1 != gst::State::Playing {
        bus.timed_pop(gst::ClockTime::from_mseconds(20));
    }
    let mut query = gst::query::Latency::new();
    assert!(pipeline.query(&mut query));
    let (live, min, max) = query.result();
    assert!(live);
    pipeline.set_state(gst::State::Null).expect("stops");
    (min.mseconds(), max.map(gst::ClockTime::mseconds))
}

#[test]
fn latency_adds_up() {
    in_time(|| {
        let keys = Keys::new();
        let (min, max) = latency("");
        let line = format!("! chaosenc {} queue-depth=4 ! chaosdec {} queue-depth=3", keys.psk(), keys.psk());
        let (with_min, with_max) = latency(&line);
        // A frame of 100 ms in each element at least, a full queue in each at most.
        assert_eq!(with_min, min + 2 * 100);
        assert_eq!(with_max, max.map(|max| max + (4 + 3) * 100));
    });
}

#[test]
fn typefinding() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let packets = packets_of(&keys, "", &info, &frames(&info, 1));
        for packet in [&packets[0], &packets[1]] {
            let bytes = pictures::bytes(packet);
            let (found, probability) = find(&bytes).expect("is recognised");
            assert_eq!(found, packet_caps());
            assert_eq!(probability, gst::TypeFindProbability::Maximum);
            let file = keys.path("any.name");
            std::fs::write(&file, bytes).expect("written");
            let pipeline = pipeline(&format!("filesrc location={} ! typefind name=find ! fakesink", file.display()));
            pipeline.set_state(gst::State::Playing).expect("starts");
            until_end(&pipeline);
            let caps = pipeline.by_name("find").expect("in the line").property::<gst::Caps>("caps");
            assert_eq!(caps, packet_caps());
            pipeline.set_state(gst::State::Null).expect("stops");
        }
        for other in [&b"CVEILxxx"[..], b"CVEIL", b""] {
            assert!(find(other).is_none_or(|(caps, _)| caps != packet_caps()));
        }
    });
}

fn find(bytes: &[u8]) -> Option<(gst::Caps, gst::TypeFindProbability)> {
    gst_base::functions::type_find_helper_for_data(gst::Object::NONE, bytes).ok()
}

/// `chaosenc key-file=<(pass show camera)`: a pipe can be read once.
#[test]
fn a_key_file_may_be_a_pipe() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("GRAY8", 64, 24);
        let pipe = |name: &str| {
            let (reader, mut writer) = std::io::pipe().expect("a pipe");
            writer.write_all(keys.text(name).as_bytes()).expect("it has room");
            let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
            (reader, path)
        };
        for (encrypt, decrypt) in [
            (("key-file", "psk.key"), ("key-file", "psk.key")),
            (("recipient-file", "recipients.txt"), ("identity-file", "cam.key")),
        ] {
            let ((_sealing, sealing), (_opening, opening)) = (pipe(encrypt.1), pipe(decrypt.1));
            let rig = Rig::new(&format!("chaosenc {}={sealing} ! chaosdec {}={opening}", encrypt.0, decrypt.0));
            let came = rig.run(stream(&pictures::caps(&info), frames(&info, 3)));
            assert_same(encrypt.0, &info, &buffers(&came), &frames(&info, 3));
            // Once more there is nothing in it.
            rig.pipeline().set_state(gst::State::Null).expect("stops");
            assert!(rig.pipeline().set_state(gst::State::Playing).is_err());
            assert!(rig.told().1.expect("an error").contains("/proc/self/fd/"));
        }
    });
}
