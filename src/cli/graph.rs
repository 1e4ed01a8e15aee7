//! A GStreamer pipeline as a command runs it: until it ends, fails, or is told to stop; what the bus says becomes a
//! [`Failure`].

use std::{
    cell::Cell,
    io,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use gst::{glib, prelude::*};

use super::{
    elements,
    error::{Exit, Failure},
    silence, video_source,
};

/// How long the bus is waited for before anything else is looked at.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// A pipeline that stops when it is dropped.
pub struct Graph {
    /// The pipeline.
    pub pipeline: gst::Pipeline,
    bus: gst::Bus,
    /// How often in a row a demuxer was found that has stopped and said nothing; `None` once the tracks are known, as one
    /// that has read all stops too.
    silences: Cell<Option<u32>>,
}

/// What a pipeline has to say.
pub enum News {
    /// Every sink has got to its end.
    End,
    /// A message that is no error.
    Message(gst::Message),
    /// Nothing.
    Quiet,
}

impl Graph {
    /// Starts GStreamer with this crate's elements, and makes an empty pipeline.
    ///
    /// # Errors
    /// If GStreamer does not start.
    pub fn new() -> Result<Graph, Failure> {
        start_gstreamer()?;
        let pipeline = gst::Pipeline::new();
        let bus = pipeline.bus().expect("a pipeline has a bus");
        Ok(Graph { pipeline, bus, silences: Cell::new(Some(0)) })
    }

    /// Adds an element.
    ///
    /// # Errors
    /// If no plugin has it.
    pub fn add(&self, name: &str) -> Result<gst::Element, Failure> {
        let element = elements::make(name)?;
        self.pipeline.add(&element).map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        Ok(element)
    }

    /// Adds elements in a row, each linked to the next; the last is linked to `end`.
    ///
    /// # Errors
    /// If one is missing, or two do not go together.
    pub fn add_chain(&self, names: &[&str], end: &gst::Element) -> Result<Vec<gst::Element>, Failure> {
        let chain = names.iter().map(|name| self.add(name)).collect::<Result<Vec<_>, _>>()?;
        for (from, to) in chain.iter().zip(chain.iter().skip(1).chain([end])) {
            elements::link(from, to)?;
        }
        Ok(chain)
    }

    /// Lets it run.
    ///
    /// # Errors
    /// What an element says that refuses to start.
    pub fn play(&self) -> Result<(), Failure> {
        if self.pipeline.set_state(gst::State::Playing).is_ok() {
            return Ok(());
        }
        while let Some(message) = self.bus.pop() {
            if let gst::MessageView::Error(error) = message.view() {
                return Err(failure_of(error));
            }
        }
        Err(Failure::new(Exit::Other, "the pipeline does not start"))
    }

    /// The next thing that the bus says, within a moment.
    ///
    /// # Errors
    /// What an element says that failed.
    pub fn news(&self) -> Result<News, Failure> {
        self.next(Some(TICK))
    }

    /// What the bus says already.
    ///
    /// # Errors
    /// As [`Graph::news`].
    pub fn news_at_hand(&self) -> Result<News, Failure> {
        self.next(None)
    }

    fn next(&self, wait: Option<gst::ClockTime>) -> Result<News, Failure> {
        let message = match wait {
            Some(wait) => self.bus.timed_pop(wait),
            None => self.bus.pop(),
        };
        let Some(message) = message else { return self.quiet(wait.is_some()) };
        if video_source::Tracks::are_known(&message) {
            self.silences.set(None);
        }
        match message.view() {
            gst::MessageView::Eos(_) => Ok(News::End),
            gst::MessageView::Error(error) => Err(failure_of(error)),
            gst::MessageView::Latency(_) => {
                // Sinks that do not keep time do not care.
                let _ = self.pipeline.recalculate_latency();
                Ok(News::Message(message))
            }
            gst::MessageView::Element(event) => {
                warn_of_backend(event);
                Ok(News::Message(message))
            }
            _ => Ok(News::Message(message)),
        }
    }

    /// The bus says nothing. Where it has been waited for again and again, something may have stopped that cannot say so.
    fn quiet(&self, waited: bool) -> Result<News, Failure> {
        if let Some(silences) = self.silences.get().filter(|_| waited) {
            let stopped = silence::stopped_demuxer(&self.pipeline);
            if let Some(demuxer) = stopped.as_ref().filter(|_| silences >= silence::TICKS) {
                return Err(Failure::new(Exit::Content, format!("{} cannot read it", demuxer.name())));
            }
            self.silences.set(Some(if stopped.is_some() { silences + 1 } else { 0 }));
        }
        Ok(News::Quiet)
    }

    /// How far it has come, and how long it is.
    pub fn progress(&self) -> Option<(Duration, Duration)> {
        let position = self.pipeline.query_position::<gst::ClockTime>()?;
        let duration = self.pipeline.query_duration::<gst::ClockTime>()?;
        Some((position.into(), duration.into()))
    }

    /// Stops it and closes its files.
    pub fn stop(&self) {
        // Going down cannot fail.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts GStreamer once, with this crate's elements in this very program, whatever plugins are installed.
pub fn start_gstreamer() -> Result<(), Failure> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*started {
        let broken = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Missing, format!("GStreamer does not start: {error}"))
                .advise("`chaosveil doctor` tells what is missing")
        };
        gst::init().map_err(|error| broken(&error))?;
        crate::gst::register_elements().map_err(|error| broken(&error))?;
        *started = true;
    }
    Ok(())
}

/// Tells on stderr that another backend has taken over from the one that was asked for.
fn warn_of_backend(event: &gst::message::Element) {
    let Some(event) = event.structure().filter(|event| event.name() == "chaosveil-event") else { return };
    if let (Ok("backend-failed"), Ok(detail)) = (event.get::<&str>("reason"), event.get::<&str>("detail")) {
        tell!("chaosveil: warning: {detail}");
    }
}

/// An element's error as a failure of the command.
pub fn failure_of(error: &gst::message::Error) -> Failure {
    let source = error.src().map(|source| source.name().to_string()).unwrap_or_default();
    let exit = exit_of(&error.error());
    if let Some(gst::StreamError::TypeNotFound) = error.error().kind() {
        return Failure::new(exit, "no picture or video that can be read");
    }
    if let Some(gst::ResourceError::NoSpaceLeft) = error.error().kind() {
        return Failure::io("OUTPUT", io::ErrorKind::StorageFull.into());
    }
    let failure = match is_not_negotiated(error) {
        true => Failure::new(exit, format!("{source}: what comes after it does not take its format")),
        false => Failure::new(exit, format!("{source}: {}", error.error().message())),
    };
    match exit {
        Exit::Missing => failure.advise("`chaosveil doctor` tells which plugins and devices are there"),
        _ => failure,
    }
}

/// Whether an element stopped because the next one refused its caps: its own message says no more than that it did.
fn is_not_negotiated(error: &gst::message::Error) -> bool {
    let flow = error.details().and_then(|details| details.get::<i32>("flow-return").ok());
    flow == Some(gst::ffi::GST_FLOW_NOT_NEGOTIATED)
}

fn exit_of(error: &glib::Error) -> Exit {
    use gst::{CoreError, ResourceError, StreamError};
    if let Some(error) = error.kind::<ResourceError>() {
        return match error {
            ResourceError::Settings => Exit::Usage,
            ResourceError::Failed | ResourceError::Read | ResourceError::Write | ResourceError::Sync => Exit::Other,
            _ => Exit::Missing,
        };
    }
    if let Some(error) = error.kind::<StreamError>() {
        return match error {
            StreamError::CodecNotFound => Exit::Missing,
            StreamError::Failed | StreamError::NotImplemented | StreamError::Encode | StreamError::Mux => Exit::Other,
            StreamError::Format => Exit::Usage,
            _ => Exit::Content,
        };
    }
    match error.kind::<CoreError>() {
        Some(CoreError::MissingPlugin) => Exit::Missing,
        _ => Exit::Other,
    }
}

static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

/// Ctrl-C and SIGTERM: the first asks the run to end in good order, the second ends it at once.
#[derive(Clone, Copy)]
pub struct Interrupt;

impl Interrupt {
    /// Takes the signals over.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn watch() -> Result<Interrupt, Failure> {
        ctrlc::set_handler(|| {
            if INTERRUPTS.fetch_add(1, Relaxed) > 0 {
                std::process::exit(Exit::Other as i32);
            }
        })
        .map_err(|error| Failure::new(Exit::Other, format!("signals: {error}")))?;
        Ok(Interrupt)
    }

    /// Whether one has come.
    pub fn has_come(&self) -> bool {
        INTERRUPTS.load(Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Takes a file apart that is no Matroska file, with a bus that loses what the demuxer says of it.
    #[test]
    fn a_demuxer_that_stops_and_is_not_heard_ends_the_run() {
        let graph = Graph::new().expect("GStreamer starts");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("damaged.mkv");
        std::fs::write(&path, b"\x1a\x45\xdf\xa3\x01\x00").expect("written");
        let source = graph.add("filesrc").expect("it is there");
        source.set_property("location", &path);
        elements::link(&source, &graph.add("matroskademux").expect("it is there")).expect("they go together");
        graph.bus.set_sync_handler(|_, message| match message.view() {
            gst::MessageView::Error(_) => gst::BusSyncReply::Drop,
            _ => gst::BusSyncReply::Pass,
        });
        graph.play().expect("it starts");
        let start = Instant::now();
        let failure = loop {
            match graph.news() {
                Ok(_) => assert!(start.elapsed() < Duration::from_secs(20), "nobody notices"),
                Err(failure) => break failure,
            }
        };
        assert!(failure.to_string().ends_with("cannot read it"), "{failure}");
    }

    /// It has stopped too, and what it has brought takes longer than anybody waits for who is not heard.
    #[test]
    fn a_demuxer_at_the_end_of_its_file_ends_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("short.mkv");
        start_gstreamer().expect("GStreamer starts");
        let line = format!("videotestsrc num-buffers=1 ! matroskamux ! filesink location={}", path.display());
        let made = gst::parse::launch(&line).expect("valid");
        made.set_state(gst::State::Playing).expect("starts");
        let end = made
            .bus()
            .and_then(|bus| bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &[gst::MessageType::Eos]));
        made.set_state(gst::State::Null).expect("stops");
        end.expect("an end");
        let graph = Graph::new().expect("GStreamer starts");
        let sink = graph.add("fakesink").expect("it is there");
        let slow = graph.add_chain(&["queue", "identity"], &sink).expect("they go together");
        slow[1].set_property("sleep-time", 1_500_000_u32);
        let source = graph.add("filesrc").expect("it is there");
        source.set_property("location", &path);
        let demuxer = graph.add("matroskademux").expect("it is there");
        elements::link(&source, &demuxer).expect("they go together");
        let entrance = slow[0].static_pad("sink").expect("a queue has one");
        demuxer.connect_pad_added(move |_, pad| {
            let _ = pad.link(&entrance);
        });
        graph.play().expect("it starts");
        while !matches!(graph.news().expect("nothing is wrong"), News::End) {}
    }
}
