//! What only somebody with the key can seal, and what GStreamer's own types do not stand: the decrypter outlives it.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use gst::prelude::*;
use gstchaosveil::{
    backend::{self, Choice},
    seal::{
        Aead, Description, Engine, FrameSealer, Index, IndexPoint, IndexedDescription, Meta, Profile, Recipients,
        Record, Segment, StreamSecrets, StreamWriter,
    },
};

use super::{
    common::{Keys, in_time, pipeline, play_to_end},
    packets::{Decrypted, decrypt},
    pictures::{self, frames, info},
    rig::{Rig, buffers, stream},
};

/// The last time that GStreamer can say.
const LAST: u64 = u64::MAX - 1;

/// The segment of a file that is played from its beginning.
const AT_ZERO: Segment = Segment {
    flags: 0,
    rate: 1.0,
    applied_rate: 1.0,
    base: Some(0),
    offset: Some(0),
    start: Some(0),
    stop: None,
    time: Some(0),
    position: None,
    duration: None,
};

/// Seals what it is told to.
struct Forger {
    writer: StreamWriter,
    sealer: FrameSealer,
    sealed: Vec<u8>,
    packets: Vec<gst::Buffer>,
}

impl Forger {
    fn new(keys: &Keys) -> Forger {
        Forger::with(keys, StreamSecrets::random().expect("random bytes"))
    }

    fn with(keys: &Keys, secrets: StreamSecrets) -> Forger {
        let mut recipients = Recipients::default();
        recipients.set_preshared_file(&keys.path("psk.key")).expect("a key");
        let writer = StreamWriter::new(Profile::Aead, Aead::default(), &recipients, secrets).expect("valid");
        let backend = backend::choose(Choice::Auto).expect("a backend");
        let sealer = FrameSealer::new(writer.keys(), Engine { backend, pool: None });
        Forger { writer, sealer, sealed: Vec::new(), packets: Vec::new() }
    }

    fn describe(&mut self, caps: &str, segment: Segment) {
        let description =
            Description { tracks: 1, caps: caps.into(), segment: Some(segment), ..Description::default() };
        let header = self.writer.describe(&description).expect("fits").to_vec();
        self.add(header);
    }

    fn frame(&mut self, record: Record) {
        let ticket = self.writer.frame(1).expect("within limits");
        let record = Record { description: ticket.description(), ..record };
        let mut packet = Vec::new();
        self.sealer.seal_packet(ticket, &record, &[7_u8][..], &mut packet).expect("seals");
        self.add(packet);
    }

    fn add(&mut self, packet: Vec<u8>) {
        self.sealed.extend(&packet);
        self.packets.push(gst::Buffer::from_slice(packet));
    }

    #[track_caller]
    fn decrypted(self, keys: &Keys, settings: &str) -> Decrypted {
        let came = decrypt(keys, settings, self.packets);
        assert_eq!(came.error, None);
        came
    }
}

fn at(pts: u64, duration: u64) -> Record {
    Record { pts: Some(pts), dts: Some(pts), duration: Some(duration), ..Record::default() }
}

#[test]
fn times_at_the_end_of_time() {
    in_time(|| {
        let keys = Keys::new();
        for (base, time) in [(0, 0), (LAST, LAST), (1 << 63, LAST - 5)] {
            let mut forger = Forger::new(&keys);
            forger.describe("x/y", Segment { base: Some(base), time: Some(time), ..AT_ZERO });
            for (pts, duration) in [(5, LAST), (LAST - 1, 1), (LAST, 1), (LAST, LAST)] {
                forger.frame(at(pts, duration));
            }
            let came = forger.decrypted(&keys, "");
            assert_eq!(buffers(&came.items).len(), 4, "base {base}");
        }
    });
}

/// The second stream is moved to where the first one has come to, and that is no time any more.
#[test]
fn a_stream_that_follows_at_the_end_of_time() {
    in_time(|| {
        let keys = Keys::new();
        let mut first = Forger::new(&keys);
        first.describe("x/y", AT_ZERO);
        first.frame(at(0, 1 << 63));
        let mut second = Forger::new(&keys);
        second.describe("x/y", AT_ZERO);
        second.frame(at(0, 0));
        let base = Some((1 << 63) - 1);
        second.describe("x/y", Segment { base, ..AT_ZERO });
        second.frame(at(0, 0));
        first.packets.append(&mut second.packets);
        let came = first.decrypted(&keys, "accept-new-stream=true");
        assert_eq!(buffers(&came.items).len(), 3);
    });
}

/// The id of a stream stands in the clear, and anyone can make another stream of it.
#[test]
fn another_stream_of_the_same_id_is_told_of() {
    in_time(|| {
        let keys = Keys::new();
        let [mut first, mut second] =
            [1, 2].map(|root| Forger::with(&keys, StreamSecrets::new([root; 32], [5; 16], [root; 32])));
        for forger in [&mut first, &mut second] {
            forger.describe("x/y", AT_ZERO);
            forger.frame(at(0, 1));
        }
        first.packets.append(&mut second.packets);
        let came = first.decrypted(&keys, "accept-new-stream=true");
        assert_eq!(buffers(&came.items).len(), 2);
        assert_eq!(came.posted.iter().filter(|(reason, _)| reason == "new-stream").count(), 2, "{:?}", came.posted);
    });
}

#[test]
fn frames_of_the_end_of_time_are_sealed_too() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("GRAY8", 64, 24);
        let mut odd = frames(&info, 2);
        for (frame, duration) in odd.iter_mut().zip([1, LAST]) {
            let frame = frame.make_mut();
            frame.set_pts(gst::ClockTime::from_nseconds(LAST));
            frame.set_duration(gst::ClockTime::from_nseconds(duration));
        }
        let rig = Rig::new(&format!("chaosenc {0} ! chaosdec {0}", keys.psk()));
        assert_eq!(buffers(&rig.run(stream(&pictures::caps(&info), odd))).len(), 2);
    });
}

/// Seeks in a file, one moment after the other, and tells at which seconds the frames are due that are shown then.
fn shown_after_seeks(keys: &Keys, sealed: &[u8], moments: &[u64], carrier: &str) -> Vec<u64> {
    let file = keys.path("forged.cveil");
    std::fs::write(&file, sealed).expect("written");
    let sink = "fakesink name=sink sync=false signal-handoffs=true";
    let line = format!("filesrc location={} ! {carrier} ! chaosdec {} ! {sink}", file.display(), keys.psk());
    let pipeline = pipeline(&line);
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = shown.clone();
    pipeline.by_name("sink").expect("in the line").connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().expect("the signal's type");
        seen.lock().expect("not poisoned").push(buffer.pts().expect("stamped").seconds());
        None
    });
    pipeline.set_state(gst::State::Paused).expect("starts");
    let wait = || pipeline.state(gst::ClockTime::from_seconds(20)).0.expect("prerolls");
    wait();
    for seconds in moments {
        let to = gst::ClockTime::from_seconds(*seconds);
        pipeline.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT, to).expect("seeks");
        wait();
    }
    shown.lock().expect("not poisoned").clear();
    play_to_end(&pipeline);
    shown.lock().expect("not poisoned").clone()
}

/// What may be shown from some second on to the last of a hundred, the first frame in the preroll or not.
#[track_caller]
fn shows_from(shown: &[u64], second: u64) {
    let wanted: Vec<u64> = (second..100).collect();
    assert!(shown == wanted || shown == &wanted[1..], "{shown:?}");
}

/// An index that sends a player to where no file reaches, or to another frame than it says.
#[test]
fn an_index_that_misleads_is_given_up() {
    in_time(|| {
        let keys = Keys::new();
        for (offset, described) in [(u64::MAX, 0), (LAST, 0), (1 << 41, 1 << 40), (10_000, 0), (10_001, 0), (2, 0)] {
            let mut forger = Forger::new(&keys);
            forger.describe("x/y", AT_ZERO);
            (0..100).for_each(|second| forger.frame(at(second * 1_000_000_000, 1_000_000_000)));
            let index = Index {
                end: Some(100_000_000_000),
                descriptions: vec![IndexedDescription { counter: 0, offset: described }],
                points: vec![IndexPoint { counter: 50, offset, time: 49_000_000_000 }],
            };
            forger.sealed.extend(index.seal(&forger.writer.keys()).expect("seals"));
            for carrier in ["identity", "queue"] {
                shows_from(&shown_after_seeks(&keys, &forger.sealed, &[60], carrier), 60);
                shows_from(&shown_after_seeks(&keys, &forger.sealed, &[60, 70, 20], carrier), 20);
            }
        }
    });
}

#[test]
fn a_seek_behind_the_end_shows_nothing() {
    in_time(|| {
        let keys = Keys::new();
        for stop in [None, Some(100_000_000_000)] {
            let mut forger = Forger::new(&keys);
            forger.describe("x/y", Segment { stop, ..AT_ZERO });
            (0..100).for_each(|second| forger.frame(at(second * 1_000_000_000, 1_000_000_000)));
            assert_eq!(shown_after_seeks(&keys, &forger.sealed, &[50, 200], "identity"), [0; 0], "stop {stop:?}");
            shows_from(&shown_after_seeks(&keys, &forger.sealed, &[200, 50], "identity"), 50);
        }
    });
}

/// GLib keeps each type of region for as long as the process lives.
#[test]
fn types_of_regions_do_not_fill_the_memory() {
    in_time(|| {
        let keys = Keys::new();
        let mut forger = Forger::new(&keys);
        forger.describe("x/y", AT_ZERO);
        for number in 0..2000 {
            let region = |roi_type: String| Meta::RegionOfInterest {
                x: 0,
                y: 0,
                width: 1,
                height: 1,
                id: 1,
                parent: 0,
                roi_type,
                parameters: Vec::new(),
            };
            let metas = vec![region(format!("sealed-oddity-{number}")), region(format!("{number:0300}"))];
            forger.frame(Record { metas, ..at(number, 1) });
        }
        let came = forger.decrypted(&keys, "");
        let types = |buffer: &&gst::Buffer| {
            let metas = buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>();
            metas.map(|meta| meta.roi_type().to_owned()).collect::<Vec<_>>()
        };
        let kept: Vec<String> = buffers(&came.items).iter().flat_map(types).collect();
        assert_eq!(buffers(&came.items).len(), 2000);
        assert!((500..=1024).contains(&kept.len()), "{} types", kept.len());
        assert!(kept.iter().all(|kept| kept.starts_with("sealed-oddity-")), "short ones");
    });
}

#[test]
fn properties_take_the_largest_numbers_and_any_bytes() {
    in_time(|| {
        let keys = Keys::new();
        let rig = Rig::stopped(&format!("chaosenc {0} ! chaosdec {0}", keys.psk()));
        let (encrypter, decrypter) = (rig.element("chaosenc"), rig.element("chaosdec"));
        for name in ["guard-interval", "rekey-bytes", "rekey-frames", "rekey-interval"] {
            encrypter.set_property(name, u64::MAX);
            assert_eq!(encrypter.property::<u64>(name), u64::MAX, "{name}");
        }
        let bytes = PathBuf::from(OsString::from_vec(b"/tmp/no-such-\xFF-file".to_vec()));
        for (element, name) in
            [(&encrypter, "recipient-file"), (&encrypter, "recipients"), (&decrypter, "identity-file")]
        {
            element.set_property_from_value(name, &bytes.to_value());
            assert!(rig.pipeline().set_state(gst::State::Playing).is_err(), "{name}");
            let error = rig.told().1.expect("an error that says why");
            assert!(error.contains("no-such-") || error.contains("recipient"), "{name}: {error}");
            rig.pipeline().set_state(gst::State::Null).expect("stops");
            element.set_property(name, None::<String>);
        }
        rig.pipeline().set_state(gst::State::Playing).expect("starts");
        let came = rig.run(stream(&pictures::caps(&info("GRAY8", 64, 24)), frames(&info("GRAY8", 64, 24), 2)));
        assert_eq!(buffers(&came).len(), 2);
    });
}
