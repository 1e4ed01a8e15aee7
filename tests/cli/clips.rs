//! Small videos with sound, what is in them, and the packets of their ciphers.
//!
//! Packets are told apart by the lengths that FORMAT.md gives, sections 2 and 5, not by the code under test.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::process::DEADLINE;

/// Two seconds of MJPEG, 20 frames, and of Opus, 101 packets: 40 kilobytes.
pub const CLIP: &str = "videotestsrc num-buffers=20 pattern=ball ! video/x-raw,format=I420,width=96,height=64,framerate=10/1 \
     ! jpegenc ! queue ! matroskamux name=mux \
     audiotestsrc num-buffers=40 samplesperbuffer=2400 ! audio/x-raw,rate=48000,channels=1 ! opusenc ! queue ! mux.";

/// Runs a pipeline to its end; `mux.` goes into the file.
pub fn make(path: &Path, pipeline: &str) {
    run(&format!("{pipeline} mux. ! filesink location={}", path.display()), |_| {});
}

/// Runs a pipeline, which `prepare` may change before it starts, to its end.
pub fn run(pipeline: &str, prepare: impl FnOnce(&gst::Pipeline)) {
    let pipeline = Playing::new(pipeline, prepare);
    let deadline = Instant::now() + DEADLINE;
    while !pipeline.is_over() {
        assert!(Instant::now() < deadline, "no end after {DEADLINE:?}");
    }
}

/// A pipeline that plays until it is dropped.
pub struct Playing(gst::Pipeline);

impl Playing {
    pub fn new(pipeline: &str, prepare: impl FnOnce(&gst::Pipeline)) -> Playing {
        gst::init().expect("GStreamer starts");
        let parsed = gst::parse::launch(pipeline).unwrap_or_else(|error| panic!("{pipeline}: {error}"));
        let pipeline = parsed.downcast::<gst::Pipeline>().expect("more than one element");
        prepare(&pipeline);
        let playing = Playing(pipeline);
        playing.0.set_state(gst::State::Playing).expect("starts");
        playing
    }

    /// Whether it has come to its end; asked again and again it waits a little each time.
    fn is_over(&self) -> bool {
        let bus = self.0.bus().expect("a pipeline has a bus");
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(100), &kinds);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => panic!("{error:?}"),
            message => message.is_some(),
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// A track of a Matroska file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    pub media: String,
    pub frames: Vec<Frame>,
}

/// A frame, with its presentation time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub time: Option<Duration>,
    pub bytes: Vec<u8>,
}

/// All that is in a Matroska file, in the order of its tracks.
pub fn tracks(path: &Path) -> Vec<Track> {
    let tracks = Arc::new(Mutex::new(Vec::new()));
    let description = format!("filesrc location={} ! matroskademux name=demux", path.display());
    run(&description, |pipeline| {
        let (found, weak) = (tracks.clone(), pipeline.downgrade());
        pipeline.by_name("demux").expect("just made").connect_pad_added(move |_, pad| {
            let pipeline = weak.upgrade().expect("it is running");
            collect(&pipeline, pad, &found);
        });
    });
    std::mem::take(&mut tracks.lock().expect("no panic"))
}

fn collect(pipeline: &gst::Pipeline, pad: &gst::Pad, found: &Arc<Mutex<Vec<Track>>>) {
    let caps = pad.current_caps().expect("a demuxer knows");
    let media = caps.structure(0).expect("caps").name().to_string();
    let number = {
        let mut found = found.lock().expect("no panic");
        found.push(Track { media, frames: Vec::new() });
        found.len() - 1
    };
    let found = found.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().expect("a buffer probe");
        let bytes = buffer.map_readable().expect("readable").to_vec();
        let frame = Frame { time: buffer.pts().map(Duration::from), bytes };
        found.lock().expect("no panic")[number].frames.push(frame);
        gst::PadProbeReturn::Ok
    });
    let sink = gst::ElementFactory::make("fakesink").property("async", false).build().expect("always there");
    pipeline.add(&sink).expect("a new element");
    sink.sync_state_with_parent().expect("starts");
    pad.link(&sink.static_pad("sink").expect("it has one")).expect("takes anything");
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Header,
    Frame,
    End,
}

/// A packet of a `.cveil` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub kind: Kind,
    pub stream: [u8; 16],
    /// Of the file's bytes.
    pub range: Range<usize>,
}

/// Takes the index from a `.cveil` file, and tells what is left: nothing but packets.
pub fn take_index(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).expect("a file");
    bytes.truncate(packets(&bytes).last().expect("packets").range.end);
    std::fs::write(path, &bytes).expect("written");
    bytes
}

/// The packets of a `.cveil` file up to its index, or to where it was cut off.
pub fn packets(file: &[u8]) -> Vec<Packet> {
    const SEGMENT_BYTES: usize = 786_432;
    const TAG_BYTES: usize = 16;
    let mut packets = Vec::new();
    let mut at = 0;
    while let Some(bytes) = file.get(at..).filter(|bytes| bytes.len() >= 64) {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
        let (kind, len) = match &bytes[..8] {
            b"CVEILHDR" => (Kind::Header, u32_at(12) + 72 + u32_at(u32_at(12) + 40) + TAG_BYTES),
            b"CVEILFRM" => {
                let tags = u32_at(40).div_ceil(SEGMENT_BYTES).max(1) * TAG_BYTES;
                let kind = if bytes[9] == 1 { Kind::End } else { Kind::Frame };
                (kind, 64 + tags + u32_at(44) + TAG_BYTES + u32_at(40))
            }
            // They stand at the end.
            b"CVEILIDX" => break,
            other => panic!("no packet at {at}: {other:?}"),
        };
        if bytes.len() < len {
            break;
        }
        let stream = bytes[16..32].try_into().expect("16 bytes");
        packets.push(Packet { kind, stream, range: at..at + len });
        at += len;
    }
    packets
}
