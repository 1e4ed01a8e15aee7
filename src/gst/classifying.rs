//! The thread that classifies, beside a stream that never waits for it.
//!
//! One picture goes round: the stream fills it in when it is back and hands it over, the thread classifies it and gives it
//! back. While it is away the stream passes frames and fills in nothing; so the newest frame is taken whenever the thread is
//! free, and nothing is allocated for a frame.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{classification::Classification, runner::lock};
use crate::{Error, Result, analysis::picture::Picture, nn::Model};

/// A picture, and of which frame it is.
pub struct Frame {
    /// From 1.
    pub number: u64,
    /// Its time.
    pub pts: Option<gst::ClockTime>,
    /// What the model looks at.
    pub picture: Picture,
}

impl Default for Frame {
    fn default() -> Self {
        let picture = Picture { width: 0, height: 0, channels: 1, bytes: Vec::new() };
        Frame { number: 0, pts: None, picture }
    }
}

/// The thread and the picture that goes round.
pub struct Classifying {
    to_do: Sender<Frame>,
    done: Receiver<Frame>,
    at_hand: Option<Frame>,
    thread: JoinHandle<()>,
}

/// What comes of a frame, told in the thread that classifies.
pub type Tell = Box<dyn FnMut(&Frame, Result<&Classification>) + Send>;

impl Classifying {
    /// Starts the thread. `tell` is called with what each picture is taken for, or why that is not known.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no thread to be had.
    pub fn start(model: Model, record: Arc<Record>, tell: Tell) -> Result<Classifying> {
        // Each holds the one picture.
        let (to_do, frames) = bounded(1);
        let (back, done) = bounded(1);
        let work = move || classify_all(model, &frames, &back, &record, tell);
        let thread = std::thread::Builder::new().name("frameclassifier".into()).spawn(work);
        let thread = thread.map_err(|source| Error::Io { what: "starting threads".into(), source })?;
        Ok(Classifying { to_do, done, at_hand: Some(Frame::default()), thread })
    }

    /// Has a frame classified if the thread is free; tells whether it is. `fill` makes the picture.
    ///
    /// # Errors
    /// What `fill` returns.
    pub fn offer(&mut self, fill: impl FnOnce(&mut Frame) -> Result<()>) -> Result<bool> {
        let Some(mut frame) = self.at_hand.take().or_else(|| self.done.try_recv().ok()) else { return Ok(false) };
        if let Err(error) = fill(&mut frame) {
            self.at_hand = Some(frame);
            return Err(error);
        }
        // There is room for the one picture; a thread that is gone takes no more.
        Ok(self.to_do.try_send(frame).is_ok())
    }

    /// Waits for the picture that is being classified.
    pub fn stop(self) {
        drop((self.to_do, self.done));
        // It catches what it panics of.
        let _ = self.thread.join();
    }
}

/// Until nobody has frames any more.
fn classify_all(mut model: Model, frames: &Receiver<Frame>, back: &Sender<Frame>, record: &Record, mut tell: Tell) {
    for frame in frames {
        let begun = Instant::now();
        match classify(&mut model, &frame) {
            Ok(told) => {
                record.add(&told, begun.elapsed());
                tell(&frame, Ok(&told));
            }
            Err(error) => {
                record.skip();
                tell(&frame, Err(error));
            }
        }
        if back.send(frame).is_err() {
            return;
        }
    }
}

fn classify(model: &mut Model, frame: &Frame) -> Result<Classification> {
    let model_digest = model.digest().to_owned();
    let told = catch_unwind(AssertUnwindSafe(|| {
        let told = model.classify(&frame.picture)?;
        Ok((told.label.to_owned(), told.confidence.into()))
    }));
    let (label, confidence) = told.unwrap_or_else(|_| Err(Error::Model("the network panicked".into())))?;
    Ok(Classification { label, confidence, model_digest, frame: frame.number })
}

/// What has been found, for who passes frames, for the property `stats` and for Prometheus.
pub struct Record {
    element: String,
    frames: AtomicU64,
    classified: AtomicU64,
    skipped: AtomicU64,
    time_ns: AtomicU64,
    newest: Mutex<Newest>,
    frames_series: metrics::Counter,
    skipped_series: metrics::Counter,
    time_series: metrics::Histogram,
}

#[derive(Default)]
struct Newest {
    told: Option<Arc<Classification>>,
    /// Frames up to this one are of another stream or of other caps.
    after: u64,
    last: Option<Arc<Classification>>,
    last_time: Duration,
}

impl Record {
    /// Of nothing yet, also told to the `metrics` recorder under the label `element`.
    pub fn new(element: &str) -> Record {
        let labels = [("element", element.to_owned())];
        Record {
            element: element.to_owned(),
            frames: AtomicU64::new(0),
            classified: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            time_ns: AtomicU64::new(0),
            newest: Mutex::default(),
            frames_series: metrics::counter!("chaosveil_classifier_frames_total", &labels),
            skipped_series: metrics::counter!("chaosveil_classifier_skipped_total", &labels),
            time_series: metrics::histogram!("chaosveil_classify_seconds", &labels),
        }
    }

    /// Counts a frame that passes, and numbers it.
    pub fn count(&self) -> u64 {
        self.frames_series.increment(1);
        self.frames.fetch_add(1, Relaxed) + 1
    }

    /// Counts a frame that was due and is not classified.
    pub fn skip(&self) {
        self.skipped_series.increment(1);
        self.skipped.fetch_add(1, Relaxed);
    }

    /// What the newest frame that is classified was taken for; `None` until then.
    pub fn newest(&self) -> Option<Arc<Classification>> {
        lock(&self.newest).told.clone()
    }

    /// What comes is of other caps, or of another place of the stream.
    pub fn forget(&self) {
        let mut newest = lock(&self.newest);
        (newest.told, newest.after) = (None, self.frames.load(Relaxed));
    }

    fn add(&self, told: &Classification, time: Duration) {
        self.classified.fetch_add(1, Relaxed);
        self.time_ns.fetch_add(time.as_nanos() as u64, Relaxed);
        self.time_series.record(time);
        // The label is looked up: this is done a few times a second.
        let labels = [("element", self.element.clone()), ("label", told.label.clone())];
        metrics::counter!("chaosveil_classified_total", &labels).increment(1);
        let told = Arc::new(told.clone());
        let mut newest = lock(&self.newest);
        newest.told = (told.frame > newest.after).then(|| told.clone());
        (newest.last, newest.last_time) = (Some(told), time);
    }

    /// The property `stats`.
    pub fn structure(&self) -> gst::Structure {
        let classified = self.classified.load(Relaxed);
        let mean = self.time_ns.load(Relaxed).checked_div(classified).unwrap_or(0);
        let newest = lock(&self.newest);
        let mut structure = gst::Structure::builder("frameclassifier-stats")
            .field("frames", self.frames.load(Relaxed))
            .field("classified", classified)
            .field("skipped", self.skipped.load(Relaxed))
            .field("classify-mean-ns", mean)
            .build();
        if let Some(last) = &newest.last {
            structure.set("classify-last-ns", newest.last_time.as_nanos() as u64);
            structure.set("label", &last.label);
            structure.set("confidence", last.confidence);
            structure.set("frame", last.frame);
            structure.set("model-digest", &last.model_digest);
        }
        structure
    }
}
