//! `chaosdec`: the inverse of `chaosenc`.
//!
//! ```text
//! gst-launch-1.0 filesrc location=test.cveil ! chaosdec key-file=psk.key ! videoconvert ! autovideosink
//! ```

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
    time::Instant,
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    decrypter::{
        DecryptJob, DecryptWorker, Decrypted, Decrypter, Described, Descriptions, Item, OpenedFrame, SharedDecrypter,
    },
    encrypter::count_frame,
    key_request,
    latency::{self, Latency},
    runner::{Events, Runner, lock},
    seeking::{Next, Seeking, Target},
    settings::{CommonSettings, path, path_value},
    stats,
    types::Profiles,
    video::{self, Content, RawVideo},
};
use crate::{
    Error, Result,
    backend::Backend,
    pipeline::{BufferPool, Counter, Stats, exporter, ordered},
    seal::{
        CameraId, DEFAULT_REPLAY_WINDOW, HeaderNews, Identities, KeySource, ReaderPolicy, Session, StreamReader,
        Verdict,
    },
};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("chaosdec", gst::DebugColorFlags::empty(), Some("Chaosveil decrypter")));

glib::wrapper! {
    /// Decrypts what `chaosenc` made.
    pub struct ChaosDec(ObjectSubclass<imp::ChaosDec>) @extends gst::Element, gst::Object;
}

#[derive(Debug, Clone)]
struct Settings {
    common: CommonSettings,
    identity_file: Option<PathBuf>,
    /// In place of all that names keys.
    given: Option<Arc<Identities>>,
    /// Frames are due when they were sealed to be, also of a stream that was joined late.
    keep_times: bool,
    accept_profiles: Profiles,
    accept_new_stream: bool,
    replay_window: u32,
    /// Cameras, separated by commas.
    verify_camera: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            common: CommonSettings::default(),
            identity_file: None,
            given: None,
            keep_times: false,
            accept_profiles: Profiles::HARDENED | Profiles::AEAD,
            accept_new_stream: false,
            replay_window: DEFAULT_REPLAY_WINDOW,
            verify_camera: None,
        }
    }
}

impl Settings {
    fn identities(&self) -> Result<Arc<Identities>> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let mut identities = Identities::default();
        if let Some(path) = &self.identity_file {
            identities.add_file(path)?;
        }
        if let Some(path) = &self.common.key_file {
            identities.set_preshared_file(path)?;
        }
        if let Some(path) = &self.common.passphrase_file {
            identities.set_passphrase_file(path)?;
        }
        if let Some(key) = self.common.preshared()? {
            identities.set_preshared(key);
        }
        Ok(Arc::new(identities))
    }

    fn policy(&self) -> Result<ReaderPolicy> {
        let cameras = self.verify_camera.iter().flat_map(|list| list.split(','));
        Ok(ReaderPolicy {
            profiles: self.accept_profiles.list(),
            accept_new_stream: self.accept_new_stream,
            replay_window: self.replay_window,
            cameras: cameras.map(CameraId::parse).collect::<Result<_>>()?,
        })
    }
}

/// What the source pad has been told, and what the stream has shown.
#[derive(Default)]
struct Told {
    /// What the last frame is.
    described: Option<Arc<Described>>,
    /// Epoch of the last frame.
    epoch: Option<u32>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// Running time at the end of the last frame.
    reached: gst::ClockTime,
    /// What our running time is ahead of the sender's, in nanoseconds, if the stream was joined late or follows another.
    ahead_ns: Option<i128>,
    frames: u64,
    /// Counters of this stream, and of all before it, that have not come.
    lost: u64,
    lost_before: u64,
    ended: bool,
    /// Frames of this stream, as its end record says.
    sealed: Option<u64>,
    opened: bool,
    /// Profile of this stream.
    profile: Option<&'static str>,
    /// Camera that signed this stream.
    camera: Option<CameraId>,
    waiting: bool,
    /// Something is missing before the next frame.
    gap: bool,
    /// A local flush has thrown frames away.
    flushed: bool,
    /// Why the stream could not be opened, told at its end.
    refusal: Option<Error>,
}

impl Told {
    /// A frame leaves; true if something is missing before it.
    fn count_frame(&mut self, frame: &gst::BufferRef) -> bool {
        (self.frames, self.ended) = (self.frames + 1, false);
        let end = frame.pts().map(|pts| pts + frame.duration().unwrap_or_default());
        let running = self.segment.as_ref().zip(end).and_then(|(segment, end)| segment.to_running_time(end));
        self.reached = self.reached.max(running.unwrap_or_default());
        std::mem::take(&mut self.gap)
    }

    /// Counters of all streams that have not come.
    fn all_lost(&self) -> u64 {
        self.lost_before + self.lost
    }
}

mod imp {
    use gst::glib::subclass::Signal;

    use super::*;

    type DecryptRunner = Runner<DecryptJob, Decrypted>;

    /// From READY to READY.
    struct Run {
        shared: SharedDecrypter,
        runner: Arc<DecryptRunner>,
    }

    /// See the wrapper.
    pub struct ChaosDec {
        sink_pad: gst::Pad,
        src_pad: gst::Pad,
        settings: Mutex<Settings>,
        run: Mutex<Option<Run>>,
        /// Cipher pictures on the sink pad; `None` for packets.
        pictures: Mutex<Option<Arc<RawVideo>>>,
        /// The sink pad's segment.
        segment: Mutex<gst::Segment>,
        told: Mutex<Told>,
        seeking: Mutex<Seeking>,
        session: Mutex<Option<Arc<Session>>>,
        stats: Mutex<Arc<Stats>>,
        latency: Latency,
        events: Arc<Events>,
        backend: Mutex<Option<Arc<dyn Backend>>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ChaosDec {
        const NAME: &'static str = "GstChaosDec";
        type Type = super::ChaosDec;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let sink = class.pad_template("sink").expect("made in pad_templates");
            let sink_pad = gst::Pad::builder_from_template(&sink)
                .chain_function(|pad, parent, buffer| {
                    let panicked = || Err(gst::FlowError::Error);
                    ChaosDec::catch_panic_pad_function(parent, panicked, |this| this.sink_chain(pad, buffer))
                })
                .event_function(|pad, parent, event| {
                    ChaosDec::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
                })
                .query_function(|pad, parent, query| {
                    ChaosDec::catch_panic_pad_function(parent, || false, |this| this.sink_query(pad, query))
                })
                .build();
            let src = class.pad_template("src").expect("made in pad_templates");
            let src_pad = gst::Pad::builder_from_template(&src)
                .activatemode_function(|pad, parent, mode, active| {
                    let panicked = || Err(gst::loggable_error!(CAT, "panic while activating"));
                    ChaosDec::catch_panic_pad_function(parent, panicked, |this| this.src_activate(pad, mode, active))
                })
                .event_function(|pad, parent, event| {
                    ChaosDec::catch_panic_pad_function(parent, || false, |this| this.src_event(pad, event))
                })
                .query_function(|pad, parent, query| {
                    ChaosDec::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
                })
                .build();
            ChaosDec {
                sink_pad,
                src_pad,
                settings: Mutex::default(),
                run: Mutex::default(),
                pictures: Mutex::default(),
                segment: Mutex::new(gst::Segment::new()),
                told: Mutex::default(),
                seeking: Mutex::default(),
                session: Mutex::default(),
                stats: Mutex::new(Arc::new(Stats::new("chaosdec", "decrypt"))),
                latency: Latency::default(),
                events: Arc::default(),
                backend: Mutex::default(),
            }
        }
    }

    impl ObjectImpl for ChaosDec {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(parameters);
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut settings = lock(&self.settings);
            if settings.common.set(pspec.name(), value) {
                return;
            }
            let get = "type checked by GObject";
            match pspec.name() {
                "identity-file" => {
                    settings.identity_file = value.get::<Option<String>>().expect(get).map(PathBuf::from);
                }
                "accept-profiles" => settings.accept_profiles = value.get().expect(get),
                "accept-new-stream" => settings.accept_new_stream = value.get().expect(get),
                "replay-window" => settings.replay_window = value.get().expect(get),
                "verify-camera" => settings.verify_camera = value.get().expect(get),
                name => unreachable!("no property {name}"),
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            if pspec.name() == "stats" {
                return self.stats_structure().to_value();
            }
            let settings = lock(&self.settings);
            if let Some(value) = settings.common.get(pspec.name()) {
                return value;
            }
            match pspec.name() {
                "identity-file" => path_value(&settings.identity_file),
                "accept-profiles" => settings.accept_profiles.to_value(),
                "accept-new-stream" => settings.accept_new_stream.to_value(),
                "replay-window" => settings.replay_window.to_value(),
                "verify-camera" => settings.verify_camera.to_value(),
                name => unreachable!("no property {name}"),
            }
        }

        fn signals() -> &'static [Signal] {
            static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| vec![key_request::signal()]);
            &SIGNALS
        }

        fn constructed(&self) {
            self.parent_constructed();
            let object = self.obj();
            object.add_pad(&self.sink_pad).expect("a new element has no pads");
            object.add_pad(&self.src_pad).expect("a new element has no pads");
        }
    }

    impl GstObjectImpl for ChaosDec {}

    impl ElementImpl for ChaosDec {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Chaosveil decrypter",
                    "Filter/Decryptor/Video",
                    "Verifies and decrypts packets and cipher pictures; nothing leaves that has not verified",
                    "The Chaosveil developers",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let always = gst::PadPresence::Always;
                let template = |name, direction, caps: &gst::Caps| {
                    gst::PadTemplate::new(name, direction, always, caps).expect("valid template")
                };
                vec![
                    template("sink", gst::PadDirection::Sink, &video::cipher_caps()),
                    template("src", gst::PadDirection::Src, &gst::Caps::new_any()),
                ]
            });
            &TEMPLATES
        }

        fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            match transition {
                gst::StateChange::NullToReady => self.check().map_err(|error| self.start_failed(&error))?,
                gst::StateChange::ReadyToPaused => self.start().map_err(|error| self.start_failed(&error))?,
                // Wakes the threads that wait in the queue, or the pads could not be deactivated.
                gst::StateChange::PausedToReady => {
                    if let Some((_, runner)) = self.parts() {
                        runner.flush(&self.src_pad);
                    }
                }
                _ => {}
            }
            let success = self.parent_change_state(transition)?;
            if transition == gst::StateChange::PausedToReady {
                // Workers are joined when the run goes, and not under the lock.
                let run = lock(&self.run).take();
                drop(run);
                self.tell_depth();
                gst::info!(CAT, imp = self, "{}", self.obj().property::<gst::Structure>("stats"));
            }
            Ok(success)
        }
    }

    impl super::ChaosDec {
        /// Opens with these, whatever the properties say: for who has read the key files, which may be pipes.
        pub(crate) fn open_with(&self, identities: Arc<Identities>) {
            lock(&self.imp().settings).given = Some(identities);
        }

        /// Nobody waits for a frame: for files, of which several tracks have to stay in step whatever is missing of them.
        pub(crate) fn keep_times(&self) {
            lock(&self.imp().settings).keep_times = true;
        }

        /// Lets a test break the stage.
        #[cfg(test)]
        pub(crate) fn run_stage_on(&self, backend: Arc<dyn Backend>) {
            lock(&self.imp().settings).common.given_backend = Some(backend);
        }
    }

    impl ChaosDec {
        fn start_failed(&self, error: &Error) -> gst::StateChangeError {
            gst::element_imp_error!(self, gst::ResourceError::Settings, ("{error}"));
            gst::StateChangeError
        }

        /// Refuses bad settings before anything flows.
        fn check(&self) -> Result<()> {
            // Whoever cannot have metrics can have encryption all the same.
            if let Err(error) = exporter::serve_as_asked() {
                gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{error}"));
            }
            let settings = lock(&self.settings).clone();
            let identities = settings.identities()?;
            if identities.is_empty() && !key_request::is_answered(self.obj().upcast_ref()) {
                return Err(Error::NoKey("set identity-file, key-file or passphrase-file, or answer request-key"));
            }
            settings.policy()?;
            settings.common.engine().map(drop)
        }

        fn start(&self) -> Result<()> {
            let settings = lock(&self.settings).clone();
            let engine = settings.common.engine()?;
            *lock(&self.backend) = Some(engine.backend.clone());
            self.latency.begin();
            let stats = Arc::new(Stats::new(&self.obj().name(), "decrypt"));
            *lock(&self.stats) = stats.clone();
            *lock(&self.told) = Told::default();
            *lock(&self.pictures) = None;
            *lock(&self.seeking) = Seeking::default();
            *lock(&self.session) = None;
            let reader = StreamReader::new(settings.identities()?, settings.policy()?).asking(self.key_source());
            let pool = BufferPool::new(2 * settings.common.capacity() + 2);
            let shared = Arc::new(Mutex::new(Decrypter::new(reader, engine.clone(), pool.clone())));
            let (counting, events, element) = (stats.clone(), self.events.clone(), self.obj().downgrade());
            let descriptions = Descriptions::default();
            let runner = Runner::start(
                "chaosdec",
                settings.common.worker_count(),
                settings.common.capacity(),
                settings.common.leaky.into(),
                move || {
                    let (known, engine) = (descriptions.clone(), engine.clone());
                    let mut worker = DecryptWorker::new(known, engine, pool.clone(), stats.clone());
                    move |job| worker.run(job)
                },
                DecryptJob::place,
                move |place| {
                    // It has come, and is not lost.
                    place.drop_before_admitting();
                    counting.add(Counter::Panics, 1);
                    counting.add_because(Counter::Rejected, "worker-panic");
                    if let Some(element) = element.upgrade() {
                        let detail = "a frame was rejected";
                        events.post(element.upcast_ref(), "worker-panic", Some(place.counter), detail);
                    }
                },
            )?;
            *lock(&self.run) = Some(Run { shared, runner: Arc::new(runner) });
            Ok(())
        }

        /// Asks the application, if it answers.
        fn key_source(&self) -> Option<KeySource> {
            let element = self.obj().downgrade();
            let answered = key_request::is_answered(self.obj().upcast_ref());
            answered.then(|| -> KeySource {
                Box::new(move |header| match element.upgrade() {
                    Some(element) => key_request::ask(element.upcast_ref(), header),
                    None => Ok(None),
                })
            })
        }

        fn parts(&self) -> Option<(SharedDecrypter, Arc<DecryptRunner>)> {
            lock(&self.run).as_ref().map(|run| (run.shared.clone(), run.runner.clone()))
        }

        fn stats_structure(&self) -> gst::Structure {
            let told = lock(&self.told);
            let mut structure = stats::structure(&lock(&self.stats), self.backend_name());
            structure.set("end-seen", told.ended);
            if let Some(frames) = told.sealed {
                structure.set("frames-sealed", frames);
            }
            if let Some(epoch) = told.epoch {
                structure.set("epoch", u64::from(epoch));
            }
            if let Some(camera) = told.camera {
                structure.set("camera", camera.to_string());
            }
            if let Some(profile) = told.profile {
                structure.set("profile", profile);
            }
            structure
        }

        fn src_activate(&self, pad: &gst::Pad, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
            match (mode, active) {
                (gst::PadMode::Push, true) => self.start_task(pad),
                (gst::PadMode::Push, false) => match self.parts() {
                    Some((_, runner)) => runner.stop_task(pad),
                    None => Ok(()),
                },
                _ => Err(gst::loggable_error!(CAT, "only push mode")),
            }
        }

        fn start_task(&self, pad: &gst::Pad) -> Result<(), gst::LoggableError> {
            let Some((_, runner)) = self.parts() else {
                return Err(gst::loggable_error!(CAT, "not started"));
            };
            let weak = self.obj().downgrade();
            runner.start_task(pad, move |result| match weak.upgrade() {
                Some(element) => element.imp().deliver(result),
                None => Err(gst::FlowError::Flushing),
            })
        }

        // -- source pad's task ---------------------------------------------------------------------------------

        fn deliver(&self, result: Decrypted) -> Result<gst::FlowSuccess, gst::FlowError> {
            match result {
                Decrypted::Frame(frame) => return self.deliver_frame(*frame),
                Decrypted::End { session, counter, frames } => self.end_seen(&session, counter, frames),
                Decrypted::News(session, news) => self.header_news(&session, news),
                Decrypted::Rejected(counter, error) => self.reject(counter, error),
                Decrypted::Event(event) if event.type_() == gst::EventType::Eos => {
                    self.end_of_input();
                    self.src_pad.push_event(event);
                    return Err(gst::FlowError::Eos);
                }
                Decrypted::Event(event) if event.type_() == gst::EventType::Gap => {
                    if let Some(gap) = self.gap_inside(&event) {
                        self.src_pad.push_event(gap);
                    }
                }
                Decrypted::Event(event) => drop(self.src_pad.push_event(event)),
            }
            Ok(gst::FlowSuccess::Ok)
        }

        fn deliver_frame(&self, mut frame: OpenedFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
            let stats = lock(&self.stats).clone();
            match self.admit(&frame.session, frame.counter) {
                Verdict::Fresh => {}
                Verdict::Reordered => {
                    stats.add(Counter::Reordered, 1);
                    self.post("reordered", Some(frame.counter), "it came after later frames and was dropped");
                    return Ok(gst::FlowSuccess::Ok);
                }
                Verdict::Replayed => {
                    stats.add(Counter::Replayed, 1);
                    self.post("replayed", Some(frame.counter), "it came before, or is too old to tell; dropped");
                    return Ok(gst::FlowSuccess::Ok);
                }
            }
            self.tell_epoch(&frame);
            self.tell_description(&frame);
            if let Some(tags) = &frame.tags {
                self.src_pad.push_event(gst::event::Tag::new(tags.clone()));
            }
            if lock(&self.told).count_frame(&frame.buffer)
                && let Some(buffer) = frame.buffer.get_mut()
            {
                buffer.set_flags(buffer.flags() | gst::BufferFlags::DISCONT);
            }
            self.tell_trouble();
            self.tell_depth();
            let most = lock(&self.settings).common.most_at_once();
            if self.latency.note_work(frame.work, most) {
                latency::post(self.obj().upcast_ref());
            }
            let (bytes, begun) = (frame.buffer.size(), Instant::now());
            let flow = self.src_pad.push(frame.buffer);
            if flow.is_ok() {
                stats.add(Counter::BytesOut, bytes as u64);
                count_frame(&stats, frame.entered, frame.finished, begun);
            }
            flow
        }

        /// The carrier's gap at the same running time in the frames' own segment. A gap before the first frame has no caps
        /// and segment to stand in.
        fn gap_inside(&self, event: &gst::Event) -> Option<gst::Event> {
            let gst::EventView::Gap(gap) = event.view() else { return None };
            let (start, duration) = gap.get();
            let carrier = lock(&self.segment).downcast_ref::<gst::ClockTime>().cloned()?;
            let running = carrier.to_running_time(start)?;
            let start = lock(&self.told).segment.as_ref()?.position_from_running_time(running)?;
            Some(gst::event::Gap::builder(start).duration(duration).seqnum(event.seqnum()).build())
        }

        /// Asks the replay window, and tells what has not come.
        fn admit(&self, session: &Session, counter: u64) -> Verdict {
            let (lost, passed_over) = (session.lost(), session.passed_over());
            let verdict = session.admit(counter);
            let now = session.lost();
            if (now, session.passed_over()) == (lost, passed_over) {
                return verdict;
            }
            let mut told = lock(&self.told);
            told.lost = now;
            told.gap |= verdict == Verdict::Fresh;
            let total = told.all_lost();
            drop(told);
            lock(&self.stats).set(Counter::Lost, total);
            if now > lost {
                self.post("lost", Some(counter), &format!("{} before this one have not come", now - lost));
            }
            verdict
        }

        fn header_news(&self, session: &Session, news: HeaderNews) {
            match news {
                HeaderNews::Repeated => {}
                HeaderNews::NewDescription(counter) => drop(self.admit(session, counter)),
                HeaderNews::NewStream => {
                    let mut told = lock(&self.told);
                    let cut_off = told.opened && !told.ended;
                    (told.opened, told.ended, told.sealed, told.frames, told.flushed) = (true, false, None, 0, false);
                    (told.lost_before, told.lost) = (told.all_lost(), 0);
                    told.epoch = None;
                    told.profile = Some(session.keys().profile.name());
                    told.camera = session.camera();
                    drop(told);
                    if cut_off && lock(&self.pictures).is_none() {
                        self.post("truncated", None, "another stream began before the end record of the last one");
                    }
                    let signed = session.camera().map_or(String::new(), |camera| format!(", signed by {camera}"));
                    self.post("new-stream", None, &format!("a stream was opened{signed}"));
                }
            }
        }

        fn end_seen(&self, session: &Session, counter: u64, frames: u64) {
            if self.admit(session, counter) != Verdict::Fresh {
                return;
            }
            let mut told = lock(&self.told);
            (told.ended, told.sealed) = (true, Some(frames));
            // After a local flush some frames were not meant to come out.
            let missing = if told.flushed { 0 } else { frames.saturating_sub(told.frames) };
            drop(told);
            if missing > 0 {
                self.post("incomplete", Some(counter), &format!("{missing} of {frames} frames have not come out"));
            }
        }

        fn reject(&self, counter: Option<u64>, error: Error) {
            if matches!(error, Error::NoHeaderYet) {
                if !std::mem::replace(&mut lock(&self.told).waiting, true) {
                    self.post("waiting-for-header", None, "joined in the middle; a stream header comes once a second");
                }
                return;
            }
            lock(&self.stats).add_because(Counter::Rejected, reason_of(&error));
            lock(&self.told).gap = true;
            self.post(reason_of(&error), counter, &error.to_string());
            let mut told = lock(&self.told);
            if !told.opened && told.refusal.is_none() && stands_for_stream(&error) {
                told.refusal = Some(error);
            }
        }

        fn tell_epoch(&self, frame: &OpenedFrame) {
            let last = lock(&self.told).epoch.replace(frame.epoch);
            if last.is_some_and(|last| last != frame.epoch) {
                self.post("rekeyed", Some(frame.counter), &format!("epoch {} begins", frame.epoch));
            }
        }

        /// Pushes caps and segment where the frame names other ones than the last frame did.
        fn tell_description(&self, frame: &OpenedFrame) {
            let described = &frame.described;
            let last = lock(&self.told).described.replace(described.clone());
            if last.as_ref().is_some_and(|last| last.says_the_same(described)) {
                return;
            }
            if last.is_none() && self.src_pad.sticky_event::<gst::event::StreamStart>(0).is_none() {
                let number = u64::from_be_bytes(described.id.0[..8].try_into().unwrap_or_default());
                self.src_pad.push_event(gst::event::StreamStart::new(&format!("chaosveil-{number:016x}")));
            }
            if last.as_ref().is_none_or(|last| last.caps != described.caps) {
                self.src_pad.push_event(gst::event::Caps::new(&described.caps));
                if self.latency.set_caps(&described.caps) {
                    latency::post(self.obj().upcast_ref());
                }
            }
            let origin = lock(&self.seeking).origin;
            let segment = match &origin {
                Some(origin) => origin.segment(&described.segment),
                None => self.segment_for(frame, last.map(|last| last.id.0)),
            };
            lock(&self.told).segment = Some(segment.clone());
            let event = gst::event::Segment::builder(&segment);
            self.src_pad.push_event(match origin {
                Some(origin) => event.seqnum(origin.seqnum()).build(),
                None => event.build(),
            });
        }

        /// The sealed segment. For who joins in the middle, and for a stream that follows another, one in which the frame
        /// is due at once, and the rest of the stream as long after it as the sender says.
        fn segment_for(
            &self,
            frame: &OpenedFrame,
            last_stream: Option<[u8; 16]>,
        ) -> gst::FormattedSegment<gst::ClockTime> {
            let (stream, description) = frame.described.id;
            let mut segment = frame.described.segment.clone();
            let due_at_once = match last_stream {
                // Each epoch has a description of its own: the first one that is known may be the newest of many.
                None => frame.counter > description + 1 || frame.session.description(0, 0).is_none(),
                Some(last_stream) => last_stream != stream,
            };
            let times = frame.buffer.pts().and_then(|pts| {
                Some((pts, segment.to_stream_time(pts)?, i128::from(segment.to_running_time(pts)?.nseconds())))
            });
            let Some((pts, stream_time, running_ns)) = times else { return segment };
            if lock(&self.settings).keep_times {
                return segment;
            }
            let now = self.obj().current_running_time().unwrap_or_default();
            let mut told = lock(&self.told);
            if due_at_once {
                let due = frame.arrival.unwrap_or(now).max(told.reached);
                told.ahead_ns = Some(i128::from(due.nseconds()) - running_ns);
            }
            if let Some(ahead_ns) = told.ahead_ns {
                segment.set_time(stream_time);
                segment.set_start(pts);
                segment.set_base(u64::try_from(running_ns + ahead_ns).map_or(now, gst::ClockTime::from_nseconds));
                segment.set_offset(gst::ClockTime::ZERO);
            }
            segment
        }

        fn end_of_input(&self) {
            let told = lock(&self.told);
            if !told.opened {
                let unknown = if told.waiting { &Error::NoHeaderYet } else { &Error::NotOurs };
                let error = told.refusal.as_ref().unwrap_or(unknown).to_string();
                drop(told);
                gst::element_imp_error!(self, gst::StreamError::Decrypt, ("{error}"));
            } else if !told.ended && lock(&self.pictures).is_none() {
                drop(told);
                self.post("truncated", None, "the stream ended without its end record");
            }
        }

        /// How long the recording is, once the index has been fetched.
        fn duration(&self) -> Option<gst::ClockTime> {
            let stream = self.session()?.keys().stream_id;
            let index = lock(&self.seeking).index(stream)??;
            index.end.map(gst::ClockTime::from_nseconds)
        }

        fn backend_name(&self) -> &'static str {
            lock(&self.backend).as_ref().map_or("", |backend| backend.name())
        }

        fn tell_depth(&self) {
            let depth = self.parts().map_or(0, |(_, runner)| runner.depth());
            lock(&self.stats).set_depth(depth);
        }

        /// Tells that another backend has taken over, if one has.
        fn tell_trouble(&self) {
            let trouble = lock(&self.backend).as_ref().and_then(|backend| backend.take_trouble());
            if let Some(trouble) = trouble {
                lock(&self.stats).add(Counter::BackendFailures, 1);
                self.post("backend-failed", None, &trouble);
            }
        }

        fn post(&self, reason: &str, counter: Option<u64>, detail: &str) {
            self.events.post(self.obj().upcast_ref(), reason, counter, detail);
        }

        // -- seeks ----------------------------------------------------------------------------------------------

        fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            match event.view() {
                _ if video::is_seek_in_bytes(&event) => false,
                gst::EventView::Seek(seek) => match self.seekable_bytes() {
                    Some(bytes) => Target::of(seek).is_some_and(|target| self.seek(target, bytes)),
                    // Whoever makes the packets may be able to.
                    None => gst::Pad::event_default(pad, Some(&*self.obj()), event),
                },
                _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
            }
        }

        /// How many bytes there are where packets come from, if any of them can be had.
        fn seekable_bytes(&self) -> Option<u64> {
            if lock(&self.pictures).is_some() {
                return None;
            }
            let mut query = gst::query::Seeking::new(gst::Format::Bytes);
            let seekable = self.sink_pad.peer_query(&mut query) && query.result().0;
            seekable.then(|| self.sink_pad.peer_query_duration::<gst::format::Bytes>()).flatten().map(u64::from)
        }

        /// The stream that is open. Who asks does not wait for a key that the application looks for.
        fn session(&self) -> Option<Arc<Session>> {
            lock(&self.session).clone()
        }

        /// Seeks by the index, which is fetched before if need be. A stream that has not been opened cannot.
        fn seek(&self, target: Target, bytes: u64) -> bool {
            let Some(session) = self.session() else { return false };
            let known = lock(&self.seeking).index(session.keys().stream_id);
            match known {
                Some(_) => self.seek_by_index(target),
                None => self.fetch_tail(target, bytes, false),
            }
        }

        fn fetch_tail(&self, target: Target, bytes: u64, more: bool) -> bool {
            let offset = lock(&self.seeking).fetch_tail(target, bytes, more);
            self.seek_bytes(target, offset) || lock(&self.seeking).give_up()
        }

        fn seek_by_index(&self, target: Target) -> bool {
            let Some((shared, _)) = self.parts() else { return false };
            let (session, sealed) = {
                let shared = lock(&shared);
                (shared.session(), shared.segment())
            };
            let Some(session) = session else { return false };
            let index = lock(&self.seeking).index(session.keys().stream_id).flatten();
            if index.is_none() {
                self.post("no-index", None, "all before the moment is read; `chaosveil index` gives a file an index");
            }
            let knows = |counter| session.knows(counter);
            let offset = lock(&self.seeking).go(target, index.as_deref(), &sealed, knows);
            self.seek_bytes(target, offset) || lock(&self.seeking).give_up()
        }

        fn seek_bytes(&self, target: Target, offset: u64) -> bool {
            let (start, stop) = (gst::format::Bytes::from_u64(offset), gst::format::Bytes::NONE);
            let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
            let seek = gst::event::Seek::builder(1.0, gst::SeekFlags::FLUSH, set, start, none, stop);
            gst::debug!(CAT, imp = self, "to byte {offset} for {target:?}");
            self.sink_pad.push_event(seek.seqnum(target.seqnum).build())
        }

        /// Takes bytes of the end of the file, which are no packets to be opened.
        fn take_tail(&self, bytes: &[u8], ended: bool) {
            let keys = self.session().map(|session| session.keys());
            let next = lock(&self.seeking).take_tail(bytes, ended, keys.as_deref());
            let sought = match next {
                None => true,
                Some(Next::Seek(target)) => self.seek_by_index(target),
                Some(Next::FetchMore(target)) => {
                    self.seekable_bytes().is_some_and(|bytes| self.fetch_tail(target, bytes, true))
                }
            };
            if !sought {
                gst::element_imp_error!(self, gst::ResourceError::Seek, ("the input does not seek any more"));
            }
        }

        // -- sink pad's thread ---------------------------------------------------------------------------------

        fn sink_chain(&self, _pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let Some((shared, runner)) = self.parts() else { return Err(gst::FlowError::Flushing) };
            runner.flow()?;
            let stats = lock(&self.stats).clone();
            stats.add(Counter::BytesIn, buffer.size() as u64);
            let arrival = lock(&self.segment)
                .downcast_ref::<gst::ClockTime>()
                .and_then(|segment| segment.to_running_time(buffer.pts()?));
            let pictures = lock(&self.pictures).clone();
            let mut items = Vec::new();
            match pictures {
                Some(cipher) => lock(&shared).picture(buffer, cipher, arrival, &mut items),
                None => {
                    let map = buffer.map_readable().map_err(|_| {
                        gst::element_imp_error!(self, gst::ResourceError::Read, ("a buffer that cannot be read"));
                        gst::FlowError::Error
                    })?;
                    if lock(&self.seeking).is_fetching() {
                        self.take_tail(&map, false);
                        return Ok(gst::FlowSuccess::Ok);
                    }
                    let mut shared = lock(&shared);
                    shared.push(&map, arrival, &mut items);
                    *lock(&self.session) = shared.session();
                }
            }
            self.hand_on(&runner, &stats, items)?;
            self.tell_depth();
            Ok(gst::FlowSuccess::Ok)
        }

        fn hand_on(&self, runner: &DecryptRunner, stats: &Stats, items: Vec<Item>) -> Result<(), gst::FlowError> {
            for item in items {
                match item {
                    Item::Pass(result) => runner.pass(result)?,
                    Item::Job(job) => {
                        stats.add(Counter::FramesIn, u64::from(job.is_frame()));
                        // An end record is not dropped: without it the stream would look cut off.
                        let stay = !job.is_frame();
                        let dropped = runner.submit(job, stay, |dropped| match dropped {
                            ordered::Dropped::Job(job) => job.place().drop_before_admitting(),
                            ordered::Dropped::Result(Decrypted::Frame(frame)) => {
                                frame.session.drop_before_admitting(frame.counter);
                            }
                            ordered::Dropped::Result(_) => {}
                        })?;
                        if let Some(dropped) = dropped {
                            self.count_dropped(stats, dropped);
                        }
                    }
                }
            }
            Ok(())
        }

        fn count_dropped(&self, stats: &Stats, dropped: ordered::Dropped<DecryptJob, Decrypted>) {
            let counter = match dropped {
                ordered::Dropped::Job(job) => Some(job.counter()),
                ordered::Dropped::Result(Decrypted::Frame(frame)) => Some(frame.counter),
                ordered::Dropped::Result(Decrypted::Rejected(counter, error)) => return self.reject(counter, error),
                ordered::Dropped::Result(_) => None,
            };
            stats.add_because(Counter::Dropped, "queue-full");
            self.post("dropped", counter, "the queue was full");
        }

        fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            use gst::EventView;
            let Some((shared, runner)) = self.parts() else {
                return gst::Pad::event_default(pad, Some(&*self.obj()), event);
            };
            match event.view() {
                EventView::FlushStart(_) => {
                    let forwarded = self.src_pad.push_event(event);
                    runner.flush(&self.src_pad);
                    forwarded
                }
                EventView::FlushStop(_) => {
                    let stopped = runner.stop_task(&self.src_pad).is_ok();
                    lock(&shared).flush();
                    lock(&self.seeking).flushed();
                    let mut told = lock(&self.told);
                    (told.described, told.ended, told.flushed) = (None, false, true);
                    (told.segment, told.reached, told.ahead_ns) = (None, gst::ClockTime::ZERO, None);
                    drop(told);
                    let forwarded = self.src_pad.push_event(event);
                    // A pad that was deactivated meanwhile stays so.
                    let active = self.src_pad.mode() == gst::PadMode::Push;
                    stopped && active && self.start_task(&self.src_pad).is_ok() && forwarded
                }
                EventView::Caps(caps) => self.sink_caps(caps.caps()),
                EventView::Segment(segment) => {
                    // The sealed one is pushed before the first frame.
                    *lock(&self.segment) = segment.segment().clone();
                    true
                }
                // Whether there is more of it or not, this is what can be had of the end.
                EventView::Eos(_) if lock(&self.seeking).is_fetching() => {
                    self.take_tail(&[], true);
                    true
                }
                EventView::Eos(_) => {
                    let mut items = Vec::new();
                    lock(&shared).finish(&mut items);
                    let stats = lock(&self.stats).clone();
                    if let Err(flow) = self.hand_on(&runner, &stats, items) {
                        gst::debug!(CAT, imp = self, "the last frames cannot leave: {flow:?}");
                    }
                    runner.pass_eos(&self.src_pad, event)
                }
                // Tags of the carrier say nothing of what is inside.
                EventView::Tag(_) => true,
                _ if event.is_serialized() => runner.pass_event(event).is_ok(),
                _ => self.src_pad.push_event(event),
            }
        }

        fn sink_caps(&self, caps: &gst::CapsRef) -> bool {
            let is_raw = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
            let pictures = match is_raw.then(|| Content::of(caps)) {
                None => None,
                Some(Ok(Content::Raw(raw))) => Some(Arc::new(*raw)),
                Some(Ok(Content::Opaque(_))) => {
                    gst::element_imp_error!(self, gst::StreamError::Format, ("no cipher picture has caps {caps}"));
                    return false;
                }
                Some(Err(error)) => {
                    gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                    return false;
                }
            };
            *lock(&self.pictures) = pictures;
            if self.latency.set_caps(caps) {
                latency::post(self.obj().upcast_ref());
            }
            true
        }

        fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
            use gst::QueryViewMut;
            match query.view_mut() {
                QueryViewMut::Caps(query) => {
                    let template = self.sink_pad.pad_template_caps();
                    let caps = match query.filter() {
                        Some(filter) => filter.intersect_with_mode(&template, gst::CapsIntersectMode::First),
                        None => template,
                    };
                    query.set_result(&caps);
                    true
                }
                QueryViewMut::Allocation(query) => {
                    query.add_allocation_meta::<gst_video::VideoMeta>(None);
                    true
                }
                // Upstream wants its buffers back: those in the queue leave first.
                QueryViewMut::Drain(_) => {
                    if let Some((_, runner)) = self.parts() {
                        runner.drain();
                    }
                    gst::Pad::query_default(pad, Some(&*self.obj()), query)
                }
                _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
            }
        }

        fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
            use gst::QueryViewMut;
            if video::is_in_bytes(query) {
                return false;
            }
            match query.view_mut() {
                QueryViewMut::Latency(query) => {
                    let mut upstream = gst::query::Latency::new();
                    if !self.sink_pad.peer_query(&mut upstream) {
                        return false;
                    }
                    let (live, min, max) = upstream.result();
                    let (ours, most) = self.latency.bounds(lock(&self.settings).common.capacity());
                    query.set(live, min + ours, max.map(|max| max + most));
                    true
                }
                QueryViewMut::Seeking(query)
                    if query.format() == gst::Format::Time && self.seekable_bytes().is_some() =>
                {
                    query.set(self.session().is_some(), gst::ClockTime::ZERO, self.duration());
                    true
                }
                QueryViewMut::Duration(query) if query.format() == gst::Format::Time && self.duration().is_some() => {
                    query.set(self.duration());
                    true
                }
                // What is inside is known only when a header has come.
                QueryViewMut::Caps(query) => {
                    let caps = self.src_pad.current_caps().unwrap_or_else(gst::Caps::new_any);
                    let caps = match query.filter() {
                        Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
                        None => caps,
                    };
                    query.set_result(&caps);
                    true
                }
                _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
            }
        }
    }
}

/// Word for the reason of a rejection.
fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::WrongKey => "wrong-key",
        Error::OtherStream => "other-stream",
        Error::ProfileNotAccepted(_) => "profile-not-accepted",
        Error::Camera(_) => "camera-not-accepted",
        _ => "rejected",
    }
}

/// Whether an error says why a whole stream cannot be opened.
fn stands_for_stream(error: &Error) -> bool {
    !matches!(error, Error::OtherStream | Error::NotOurs | Error::NoHeaderYet)
}

fn parameters() -> Vec<glib::ParamSpec> {
    let mut list = CommonSettings::parameters();
    list.extend([
        path("identity-file", "Identity file", "File with age identities or an SSH private key"),
        glib::ParamSpecFlags::builder::<Profiles>("accept-profiles")
            .default_value(Profiles::HARDENED | Profiles::AEAD)
            .nick("Accepted profiles")
            .blurb("Profiles that a stream may have")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("accept-new-stream")
            .nick("Accept new stream")
            .blurb("Let another stream that the keys open take the place of the first")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("replay-window")
            .nick("Replay window")
            .blurb("Counters remembered to tell late frames from replayed ones")
            .minimum(1)
            .maximum(1 << 20)
            .default_value(DEFAULT_REPLAY_WINDOW)
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("verify-camera")
            .nick("Verify camera")
            .blurb("Accept only a stream that one of these cameras signed: camera-1:..., separated by commas")
            .mutable_ready()
            .build(),
    ]);
    list
}
