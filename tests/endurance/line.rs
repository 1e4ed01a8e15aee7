//! Pipelines that are fed by the test and whose output goes to it buffer by buffer, so that nothing piles up.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::sleep,
    time::Duration,
};

use gst::prelude::*;
use gstchaosveil::seal::create_preshared;

/// Starts GStreamer and registers the elements.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        gstchaosveil::gst::register_elements().expect("the elements register");
    });
}

/// A pre-shared key in a folder of its own.
pub struct Key(tempfile::TempDir);

impl Key {
    pub fn new() -> Key {
        let folder = tempfile::tempdir().expect("a temporary folder");
        create_preshared(&folder.path().join("psk.key")).expect("a key file");
        Key(folder)
    }

    /// The key file.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("psk.key")
    }

    /// `key-file=...` for a launch line.
    pub fn setting(&self) -> String {
        format!("key-file={}", self.path().display())
    }
}

/// Buffers that wait before a line.
const MOST_WAITING: u64 = 64;

/// A playing pipeline: `appsrc ! LINE ! fakesink`.
pub struct Line {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    /// An element has posted an error.
    stopped: Arc<AtomicBool>,
    /// What came out was not what the test wants.
    failed: Arc<AtomicBool>,
}

impl Line {
    /// Plays a launch line; `out` gets each buffer that comes out of it, in order, with its caps.
    pub fn play(line: &str, out: impl Fn(&gst::BufferRef, &gst::CapsRef) + Send + Sync + 'static) -> Line {
        init();
        let line = format!(
            "appsrc name=source format=time max-buffers=0 max-bytes=0 ! {line} ! \
             fakesink name=sink sync=false async=false"
        );
        let pipeline = gst::parse::launch(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements");
        // A bus that nobody empties would grow with every loss that is told.
        let stopped = Arc::new(AtomicBool::new(false));
        let stopping = stopped.clone();
        pipeline.bus().expect("a pipeline has a bus").set_sync_handler(move |_, message| {
            stopping.fetch_or(message.type_() == gst::MessageType::Error, Relaxed);
            match message.type_() {
                gst::MessageType::Eos | gst::MessageType::Error => gst::BusSyncReply::Pass,
                _ => gst::BusSyncReply::Drop,
            }
        });
        let failed = Arc::new(AtomicBool::new(false));
        let failing = failed.clone();
        let sink = pipeline.by_name("sink").and_then(|sink| sink.static_pad("sink")).expect("a sink has a pad");
        sink.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
            let caps = pad.current_caps().expect("caps come before buffers");
            let look = || out(probe.buffer().expect("a buffer's probe"), &caps);
            // No panic may go through GStreamer.
            if catch_unwind(AssertUnwindSafe(look)).is_err() {
                failing.store(true, Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).expect("starts");
        let source = pipeline.by_name("source").expect("in the line").downcast().expect("an appsrc");
        Line { pipeline, source, stopped, failed }
    }

    /// Sends caps before the next buffer.
    pub fn caps(&self, caps: &gst::Caps) {
        self.source.set_caps(Some(caps));
    }

    /// Sends a buffer; waits while there is no room.
    ///
    /// # Errors
    /// If the line has stopped; [`Line::end`] says why.
    pub fn send(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        // Not by a push that blocks: one of a line that has stopped never returns.
        while self.source.current_level_buffers() >= MOST_WAITING {
            if self.stopped.load(Relaxed) {
                return Err(gst::FlowError::Error);
            }
            sleep(Duration::from_micros(200));
        }
        self.source.push_buffer(buffer).map(drop)
    }

    /// Ends the stream and waits until its end has come out.
    ///
    /// # Errors
    /// What the first error message says; or that a buffer was not taken for right where it came out.
    pub fn end(&self) -> Result<(), String> {
        // A line that has stopped does not take it, and has told why.
        let _ = self.source.end_of_stream();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let last = bus.timed_pop_filtered(gst::ClockTime::NONE, &kinds).expect("no end of waiting");
        match last.view() {
            gst::MessageView::Error(error) => Err(error.error().message().to_owned()),
            _ if self.failed.load(Relaxed) => Err("a buffer came out that is not right: see above".to_owned()),
            _ => Ok(()),
        }
    }

    /// The only element of a factory.
    pub fn element(&self, factory: &str) -> gst::Element {
        let is_it = |element: &gst::Element| element.factory().is_some_and(|made| made.name() == factory);
        self.pipeline.iterate_elements().into_iter().flatten().find(is_it).expect("in the line")
    }

    /// Counters of the only element of a factory.
    pub fn stats<const N: usize>(&self, factory: &str, names: [&str; N]) -> [u64; N] {
        let stats = self.element(factory).property::<gst::Structure>("stats");
        names.map(|name| stats.get(name).unwrap_or_else(|_| panic!("no {name} in {stats}")))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A failure here would only hide the one that the test is about.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The bytes of a buffer.
pub fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().expect("readable").to_vec()
}
