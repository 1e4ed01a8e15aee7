//! `chaosenc`: encrypts video, or any other stream of buffers.
//!
//! ```text
//! gst-launch-1.0 videotestsrc num-buffers=90 ! chaosenc key-file=psk.key ! filesink location=test.cveil
//! ```
//!
//! From time to time the stream goes on under a new key, and the old one is wiped: after `rekey-bytes`, `rekey-frames` or
//! `rekey-interval`, and where the action signal `rekey` asks for it; an element message with reason `rekeyed` tells the
//! counter and the epoch. With all three set to 0 only the signal does it: reason `key-limit-near` then asks for it, and at the
//! limits of a key the element stops with an error.
//!
//! With `guard=true` it compares each frame's output with the clear frame before it is pushed, and stops with an error where
//! that looks plain: see `guard`. An element message `chaosveil-event` with reason `looks-plain` names the frame's counter and
//! the statistic.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    alarm::Alarm,
    encrypter::{
        self, EncryptJob, EncryptWorker, Encrypted, Encrypter, Finished, KeyNews, Place, Ready, SharedEncrypter,
        SharedIndex,
    },
    guard::Guard,
    latency::{self, Latency},
    runner::{Events, Runner, lock},
    settings::{CommonSettings, number, path, path_value},
    stats,
    types::{Aead, Output, Profile, Transport},
    video,
};
use crate::{
    Error, Result,
    backend::Backend,
    pipeline::{BufferPool, Counter, Stats, exporter, ordered::Dropped},
    seal::{self, CameraKey, Recipients, RekeyPolicy, StreamSecrets, StreamWriter},
};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("chaosenc", gst::DebugColorFlags::empty(), Some("Chaosveil encrypter")));

glib::wrapper! {
    /// Encrypts video, or any other stream of buffers.
    pub struct ChaosEnc(ObjectSubclass<imp::ChaosEnc>) @extends gst::Element, gst::Object;
}

#[derive(Debug, Clone)]
struct Settings {
    common: CommonSettings,
    profile: Profile,
    aead: Aead,
    output: Output,
    transport: Transport,
    recipients: Option<String>,
    recipient_file: Option<PathBuf>,
    camera_key_file: Option<PathBuf>,
    /// In place of the file.
    given_camera: Option<Arc<CameraKey>>,
    /// In place of all that names keys.
    given: Option<Arc<Recipients>>,
    allow_insecure: bool,
    track: u32,
    tracks: u32,
    recording: Option<String>,
    rekey: RekeyPolicy,
    guard: bool,
    guard_interval: gst::ClockTime,
    keep_index: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            common: CommonSettings::default(),
            profile: Profile::default(),
            aead: Aead::default(),
            output: Output::default(),
            transport: Transport::default(),
            recipients: None,
            recipient_file: None,
            camera_key_file: None,
            given_camera: None,
            given: None,
            allow_insecure: false,
            track: 0,
            tracks: 1,
            recording: None,
            rekey: RekeyPolicy::default(),
            guard: false,
            keep_index: false,
            guard_interval: 100 * gst::ClockTime::MSECOND,
        }
    }
}

impl Settings {
    fn recipients(&self) -> Result<Arc<Recipients>> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let mut recipients = Recipients::default();
        for recipient in self.recipients.iter().flat_map(|list| list.split(',')).filter(|r| !r.trim().is_empty()) {
            recipients.add(recipient)?;
        }
        if let Some(path) = &self.recipient_file {
            recipients.add_file(path)?;
        }
        if let Some(path) = &self.common.key_file {
            recipients.set_preshared_file(path)?;
        }
        if let Some(path) = &self.common.passphrase_file {
            recipients.set_passphrase_file(path)?;
        }
        if let Some(key) = self.common.preshared()? {
            recipients.set_preshared(key);
        }
        match recipients.is_empty() {
            true => Err(Error::NoKey(
                "set recipients, recipient-file, key-file or passphrase-file (`chaosveil keygen` makes keys)",
            )),
            false => Ok(Arc::new(recipients)),
        }
    }

    fn camera(&self) -> Result<Option<Arc<CameraKey>>> {
        match (&self.given_camera, &self.camera_key_file) {
            (Some(given), _) => Ok(Some(given.clone())),
            (None, path) => Ok(path.as_deref().map(CameraKey::read).transpose()?.map(Arc::new)),
        }
    }

    fn check_profile(&self) -> Result<()> {
        match self.profile == Profile::Chaos && !self.allow_insecure {
            true => Err(Error::Refused(
                "profile=chaos is for research: it hides nothing from whoever knows or guesses content; \
                 use profile=hardened, or set allow-insecure=true",
            )),
            false => Ok(()),
        }
    }

    fn place(&self) -> Result<Place> {
        let track = u16::try_from(self.track).ok().filter(|&track| u32::from(track) < self.tracks);
        let recording = match self.recording.as_deref() {
            None | Some("") => None,
            Some(digits) => Some(
                u128::from_str_radix(digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 32)
                    .ok_or(Error::Refused("recording takes 32 hexadecimal digits"))?,
            ),
        };
        Ok(Place {
            track: track.ok_or(Error::Refused("track must be below tracks"))?,
            tracks: self.tracks as u16,
            recording: recording.map(u128::to_be_bytes),
        })
    }
}

mod imp {
    use gst::glib::subclass::Signal;

    use super::*;

    type EncryptRunner = Runner<EncryptJob, Encrypted>;

    /// From READY to READY.
    struct Run {
        encrypter: SharedEncrypter,
        runner: Arc<EncryptRunner>,
        alarm: Alarm,
    }

    /// See the wrapper.
    pub struct ChaosEnc {
        sink_pad: gst::Pad,
        src_pad: gst::Pad,
        settings: Mutex<Settings>,
        run: Mutex<Option<Run>>,
        stats: Mutex<Arc<Stats>>,
        latency: Latency,
        events: Arc<Events>,
        backend: Mutex<Option<Arc<dyn Backend>>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ChaosEnc {
        const NAME: &'static str = "GstChaosEnc";
        type Type = super::ChaosEnc;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let sink = class.pad_template("sink").expect("made in pad_templates");
            let sink_pad = gst::Pad::builder_from_template(&sink)
                .chain_function(|pad, parent, buffer| {
                    let panicked = || Err(gst::FlowError::Error);
                    ChaosEnc::catch_panic_pad_function(parent, panicked, |this| this.sink_chain(pad, buffer))
                })
                .event_function(|pad, parent, event| {
                    ChaosEnc::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
                })
                .query_function(|pad, parent, query| {
                    ChaosEnc::catch_panic_pad_function(parent, || false, |this| this.sink_query(pad, query))
                })
                .build();
            let src = class.pad_template("src").expect("made in pad_templates");
            let src_pad = gst::Pad::builder_from_template(&src)
                .activatemode_function(|pad, parent, mode, active| {
                    let panicked = || Err(gst::loggable_error!(CAT, "panic while activating"));
                    ChaosEnc::catch_panic_pad_function(parent, panicked, |this| this.src_activate(pad, mode, active))
                })
                .event_function(|pad, parent, event| {
                    ChaosEnc::catch_panic_pad_function(
                        parent,
                        || false,
                        |this| {
                            !video::is_seek_in_bytes(&event) && gst::Pad::event_default(pad, Some(&*this.obj()), event)
                        },
                    )
                })
                .query_function(|pad, parent, query| {
                    ChaosEnc::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
                })
                .flags(gst::PadFlags::FIXED_CAPS)
                .build();
            ChaosEnc {
                sink_pad,
                src_pad,
                settings: Mutex::default(),
                run: Mutex::default(),
                stats: Mutex::new(Arc::new(Stats::new("chaosenc", "encrypt"))),
                latency: Latency::default(),
                events: Arc::default(),
                backend: Mutex::default(),
            }
        }
    }

    impl ObjectImpl for ChaosEnc {
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
                "profile" => settings.profile = value.get().expect(get),
                "aead" => settings.aead = value.get().expect(get),
                "output" => settings.output = value.get().expect(get),
                "transport" => settings.transport = value.get().expect(get),
                "recipients" => settings.recipients = value.get().expect(get),
                "recipient-file" => {
                    settings.recipient_file = value.get::<Option<String>>().expect(get).map(PathBuf::from);
                }
                "camera-key-file" => {
                    settings.camera_key_file = value.get::<Option<String>>().expect(get).map(PathBuf::from);
                }
                "allow-insecure" => settings.allow_insecure = value.get().expect(get),
                "track" => settings.track = value.get().expect(get),
                "tracks" => settings.tracks = value.get().expect(get),
                "recording" => settings.recording = value.get().expect(get),
                "rekey-bytes" => settings.rekey.bytes = value.get().expect(get),
                "rekey-frames" => settings.rekey.frames = value.get().expect(get),
                "rekey-interval" => settings.rekey.interval = Duration::from_nanos(value.get().expect(get)),
                "guard" => settings.guard = value.get().expect(get),
                "guard-interval" => {
                    settings.guard_interval = gst::ClockTime::from_nseconds(value.get().expect(get));
                }
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
                "profile" => settings.profile.to_value(),
                "aead" => settings.aead.to_value(),
                "output" => settings.output.to_value(),
                "transport" => settings.transport.to_value(),
                "recipients" => settings.recipients.to_value(),
                "recipient-file" => path_value(&settings.recipient_file),
                "camera-key-file" => path_value(&settings.camera_key_file),
                "allow-insecure" => settings.allow_insecure.to_value(),
                "track" => settings.track.to_value(),
                "tracks" => settings.tracks.to_value(),
                "recording" => settings.recording.to_value(),
                "rekey-bytes" => settings.rekey.bytes.to_value(),
                "rekey-frames" => settings.rekey.frames.to_value(),
                "rekey-interval" => (settings.rekey.interval.as_nanos() as u64).to_value(),
                "guard" => settings.guard.to_value(),
                "guard-interval" => settings.guard_interval.nseconds().to_value(),
                name => unreachable!("no property {name}"),
            }
        }

        fn signals() -> &'static [Signal] {
            static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
                vec![
                    Signal::builder("rekey")
                        .action()
                        .return_type::<bool>()
                        .class_handler(|values| {
                            let element = values[0].get::<super::ChaosEnc>().expect("called on its own type");
                            Some(element.imp().ask_rekey().to_value())
                        })
                        .build(),
                ]
            });
            &SIGNALS
        }

        fn constructed(&self) {
            self.parent_constructed();
            let object = self.obj();
            object.add_pad(&self.sink_pad).expect("a new element has no pads");
            object.add_pad(&self.src_pad).expect("a new element has no pads");
        }
    }

    impl GstObjectImpl for ChaosEnc {}

    impl ElementImpl for ChaosEnc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Chaosveil encrypter",
                    "Filter/Encryptor/Video",
                    "Encrypts and authenticates video, raw or encoded, as packets or as cipher pictures",
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
                    template("sink", gst::PadDirection::Sink, &gst::Caps::new_any()),
                    template("src", gst::PadDirection::Src, &video::cipher_caps()),
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

    impl super::ChaosEnc {
        /// Seals to these and signs with this, whatever the properties say: for who has read the key files, which may be
        /// pipes.
        pub(crate) fn seal_to(&self, recipients: Arc<Recipients>, camera: Option<Arc<CameraKey>>) {
            let mut settings = lock(&self.imp().settings);
            (settings.given, settings.given_camera) = (Some(recipients), camera);
        }

        /// Notes where the stream can be entered: for who writes the file, and tells `index` where in it
        /// the packets stand.
        pub(crate) fn keep_index(&self) {
            lock(&self.imp().settings).keep_index = true;
        }

        /// The index of the run that has been started.
        pub(crate) fn index(&self) -> Option<SharedIndex> {
            let (encrypter, _) = self.imp().parts()?;
            encrypter::serial(&encrypter).index()
        }

        /// Lets a test break the stage.
        #[cfg(test)]
        pub(crate) fn run_stage_on(&self, backend: Arc<dyn Backend>) {
            lock(&self.imp().settings).common.given_backend = Some(backend);
        }
    }

    impl ChaosEnc {
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
            settings.check_profile()?;
            settings.place()?;
            settings.recipients()?;
            settings.camera()?;
            settings.common.engine().map(drop)
        }

        fn start(&self) -> Result<()> {
            let settings = lock(&self.settings).clone();
            settings.check_profile()?;
            if settings.profile == Profile::Chaos {
                gst::element_imp_warning!(
                    self,
                    gst::ResourceError::Settings,
                    ("profile=chaos: research only, no confidentiality against known or flat content")
                );
            }
            let (profile, aead) = (settings.profile.into(), settings.aead.into());
            let recipients = settings.recipients()?;
            let writer = StreamWriter::new(profile, aead, &recipients, StreamSecrets::random()?)?;
            let writer = writer.signed_by(settings.camera()?);
            let mut encrypter = Encrypter::new(writer, profile, settings.place()?, settings.rekey)?;
            if settings.keep_index {
                encrypter.keep_index();
            }
            let (keys, engine) = (encrypter.keys(), settings.common.engine()?);
            *lock(&self.backend) = Some(engine.backend.clone());
            self.latency.begin();
            let stats = Arc::new(Stats::new(&self.obj().name(), "encrypt"));
            *lock(&self.stats) = stats.clone();
            let pool = BufferPool::new(settings.common.capacity() + 2);
            let alarm = self.new_alarm(&stats);
            let guard =
                settings.guard.then(|| Guard::new(settings.guard_interval.into(), alarm.clone())).transpose()?;
            let (counting, events, element) = (stats.clone(), self.events.clone(), self.obj().downgrade());
            let runner = Runner::start(
                "chaosenc",
                settings.common.worker_count(),
                settings.common.capacity(),
                settings.common.leaky.into(),
                move || {
                    let (keys, engine, guard) = (keys.clone(), engine.clone(), guard.clone());
                    let mut worker = EncryptWorker::new(keys, engine, guard, pool.clone(), stats.clone());
                    move |job| worker.run(job)
                },
                EncryptJob::counter,
                move |counter| {
                    counting.add(Counter::Panics, 1);
                    counting.add_because(Counter::Dropped, "worker-panic");
                    if let Some(element) = element.upgrade() {
                        let detail = "a frame was dropped, not sent clear";
                        events.post(element.upcast_ref(), "worker-panic", Some(counter), detail);
                    }
                },
            )?;
            let encrypter = Arc::new(Mutex::new(encrypter));
            *lock(&self.run) = Some(Run { encrypter, runner: Arc::new(runner), alarm });
            Ok(())
        }

        fn new_alarm(&self, stats: &Arc<Stats>) -> Alarm {
            let (stats, events, element) = (stats.clone(), self.events.clone(), self.obj().downgrade());
            Alarm::new(move |frame, evidence| {
                stats.add(Counter::GuardAlarms, 1);
                if let Some(element) = element.upgrade() {
                    events.post(element.upcast_ref(), "looks-plain", Some(frame), evidence);
                }
            })
        }

        fn parts(&self) -> Option<(SharedEncrypter, Arc<EncryptRunner>)> {
            lock(&self.run).as_ref().map(|run| (run.encrypter.clone(), run.runner.clone()))
        }

        /// The next frame begins the next epoch. False while nothing runs.
        fn ask_rekey(&self) -> bool {
            self.parts().map(|(encrypter, _)| encrypter::serial(&encrypter).ask_rekey()).is_some()
        }

        fn stats_structure(&self) -> gst::Structure {
            let mut structure = stats::structure(&lock(&self.stats), self.backend_name());
            if let Some((encrypter, _)) = self.parts() {
                structure.set("epoch", u64::from(encrypter::serial(&encrypter).epoch()));
            }
            structure
        }

        fn tell_keys(&self, news: KeyNews, counter: u64) {
            let (reason, detail) = match news {
                KeyNews::Rekeyed(epoch) => ("rekeyed", format!("epoch {epoch} begins")),
                KeyNews::NearsLimit => {
                    ("key-limit-near", "less than an eighth is left of a limit at which encryption stops".into())
                }
            };
            self.events.post(self.obj().upcast_ref(), reason, Some(counter), &detail);
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
            let parts = lock(&self.run).as_ref().map(|run| (run.runner.clone(), run.alarm.clone()));
            let Some((runner, alarm)) = parts else {
                return Err(gst::loggable_error!(CAT, "not started"));
            };
            let weak = self.obj().downgrade();
            runner.start_task(pad, move |result| {
                let element = weak.upgrade().ok_or(gst::FlowError::Flushing)?;
                // What was finished before the alarm does not leave after it.
                alarm.check().map_err(|error| element.imp().failed(&error))?;
                element.imp().deliver(result)
            })
        }

        fn deliver(&self, result: Encrypted) -> Result<gst::FlowSuccess, gst::FlowError> {
            match result {
                Encrypted::Buffer(buffer, frame) => self.push(buffer, frame),
                Encrypted::Header { buffer, .. } => self.push(buffer, None),
                Encrypted::Event(event) => {
                    let is_eos = event.type_() == gst::EventType::Eos;
                    self.src_pad.push_event(event);
                    if is_eos { Err(gst::FlowError::Eos) } else { Ok(gst::FlowSuccess::Ok) }
                }
                Encrypted::Failed(error) => Err(self.failed(&error)),
            }
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
                self.events.post(self.obj().upcast_ref(), "backend-failed", None, &trouble);
            }
        }

        fn failed(&self, error: &Error) -> gst::FlowError {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}"));
            gst::FlowError::Error
        }

        fn push(&self, buffer: gst::Buffer, frame: Option<Finished>) -> Result<gst::FlowSuccess, gst::FlowError> {
            self.tell_trouble();
            self.tell_depth();
            if let Some(frame) = &frame {
                let most = lock(&self.settings).common.most_at_once();
                if self.latency.note_work(frame.work, most) {
                    latency::post(self.obj().upcast_ref());
                }
            }
            let (bytes, begun) = (buffer.size(), Instant::now());
            let flow = self.src_pad.push(buffer);
            if flow.is_ok() {
                let stats = lock(&self.stats).clone();
                encrypter::count_delivery(&stats, bytes, frame, begun);
            }
            flow
        }

        fn sink_chain(&self, _pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let Some((encrypter, runner)) = self.parts() else { return Err(gst::FlowError::Flushing) };
            runner.flow()?;
            let stats = lock(&self.stats).clone();
            stats.add(Counter::FramesIn, 1);
            stats.add(Counter::BytesIn, buffer.size() as u64);
            let ready = encrypter::serial(&encrypter).frame(buffer);
            let mut ready = ready.map_err(|error| self.failed(&error))?;
            for news in ready.news.drain(..) {
                self.tell_keys(news, ready.job.counter());
            }
            self.submit(&runner, &stats, ready)?;
            self.tell_depth();
            Ok(gst::FlowSuccess::Ok)
        }

        fn submit(&self, runner: &EncryptRunner, stats: &Stats, ready: Ready) -> Result<(), gst::FlowError> {
            if let Some(header) = ready.header {
                runner.pass(header)?;
            }
            let counter = match runner.submit(ready.job, false, |_| {})? {
                None => return Ok(()),
                Some(Dropped::Result(Encrypted::Failed(error))) => return Err(self.failed(&error)),
                Some(Dropped::Result(Encrypted::Buffer(_, frame))) => frame.map(|frame| frame.passage.counter()),
                Some(Dropped::Result(_)) => None,
                Some(Dropped::Job(job)) => Some(job.counter()),
            };
            stats.add_because(Counter::Dropped, "queue-full");
            self.events.post(self.obj().upcast_ref(), "dropped", counter, "the queue was full");
            Ok(())
        }

        /// The end record waits for room: nothing is dropped for it.
        fn submit_end(&self, runner: &EncryptRunner, ready: Ready) -> Result<(), gst::FlowError> {
            if let Some(header) = ready.header {
                runner.pass(header)?;
            }
            runner.submit_waiting(ready.job)
        }

        fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            use gst::EventView;
            gst::log!(CAT, obj = pad, "event {:?}", event.type_());
            let Some((encrypter, runner)) = self.parts() else {
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
                    encrypter::serial(&encrypter).resume();
                    let forwarded = self.src_pad.push_event(event);
                    // A pad that was deactivated meanwhile stays so.
                    let active = self.src_pad.mode() == gst::PadMode::Push;
                    stopped && active && self.start_task(&self.src_pad).is_ok() && forwarded
                }
                EventView::Caps(caps) => self.sink_caps(&encrypter, &runner, caps.caps()),
                EventView::Tag(tag) => {
                    // Sealed with the next frame, not sent on: a title or a place is not for everyone.
                    encrypter::serial(&encrypter).add_tags(&tag.tag_owned());
                    true
                }
                EventView::Eos(_) => self.sink_eos(&encrypter, &runner, event),
                EventView::Segment(segment) => {
                    encrypter::serial(&encrypter).set_segment(segment.segment());
                    runner.pass_event(event).is_ok()
                }
                EventView::Gap(_) => self.sink_gap(&encrypter, &runner, event),
                // They repeat caps and tags.
                EventView::StreamCollection(_) | EventView::Toc(_) => true,
                _ if event.is_serialized() => runner.pass_event(event).is_ok(),
                _ => self.src_pad.push_event(event),
            }
        }

        fn sink_caps(&self, encrypter: &SharedEncrypter, runner: &EncryptRunner, caps: &gst::CapsRef) -> bool {
            let settings = lock(&self.settings).clone();
            let pictures = match settings.output {
                Output::Packets => false,
                Output::Picture => true,
                Output::Auto => {
                    let packets = gst::Caps::new_empty_simple("application/x-chaosveil");
                    !self.src_pad.peer_query_caps(None).can_intersect(&packets)
                }
            };
            let exact = settings.transport == Transport::Exact;
            let output = encrypter::serial(encrypter).set_caps(caps, pictures, exact);
            match output {
                Ok(output) => {
                    gst::debug!(CAT, imp = self, "output caps {output}");
                    if seal::Profile::from(settings.profile).runs_stage() {
                        self.expect_frames(caps);
                    }
                    let passed = runner.pass_event(gst::event::Caps::new(&output)).is_ok();
                    if self.latency.set_caps(caps) {
                        latency::post(self.obj().upcast_ref());
                    }
                    passed
                }
                Err(error) => {
                    gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                    false
                }
            }
        }

        /// Lets the backend be chosen for the frames that caps announce, before the first of them comes.
        fn expect_frames(&self, caps: &gst::CapsRef) {
            let frame_bytes = video::Content::of(caps).ok().and_then(|content| content.frame_bytes());
            let backend = lock(&self.backend).clone();
            if let (Some(frame_bytes), Some(backend)) = (frame_bytes, backend) {
                backend.expect_frames(frame_bytes);
                gst::info!(CAT, imp = self, "frames of {frame_bytes} bytes go through {}", backend.name());
            }
        }

        fn sink_gap(&self, encrypter: &SharedEncrypter, runner: &EncryptRunner, event: gst::Event) -> bool {
            let header = encrypter::serial(encrypter).early_header();
            match header {
                Ok(None) => {}
                Ok(Some(header)) => {
                    if let Err(flow) = runner.pass(header) {
                        gst::debug!(CAT, imp = self, "no header: {flow:?}");
                    }
                }
                Err(error) => gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}")),
            }
            runner.pass_event(event).is_ok()
        }

        fn sink_eos(&self, encrypter: &SharedEncrypter, runner: &EncryptRunner, event: gst::Event) -> bool {
            let end = encrypter::serial(encrypter).end();
            match end {
                Ok(None) => {}
                Ok(Some(ready)) => {
                    if let Err(flow) = self.submit_end(runner, ready) {
                        gst::debug!(CAT, imp = self, "no end record: {flow:?}");
                    }
                }
                Err(error) => gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}")),
            }
            runner.pass_eos(&self.src_pad, event)
        }

        fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
            use gst::QueryViewMut;
            match query.view_mut() {
                QueryViewMut::Caps(query) => {
                    let allowed = self.sink_caps_allowed();
                    let caps = match query.filter() {
                        Some(filter) => self.allowed_of(filter, &allowed),
                        None => allowed,
                    };
                    query.set_result(&caps);
                    true
                }
                QueryViewMut::AcceptCaps(query) => {
                    let acceptable = self.sink_caps_allowed().can_intersect(query.caps());
                    query.set_result(acceptable || self.sink_caps_refusal(query.caps()).is_some());
                    true
                }
                QueryViewMut::Allocation(query) => {
                    let content = query.get().0.map(video::Content::of);
                    // What is sealed as opaque bytes has to have its caps' own strides.
                    if let Some(Ok(video::Content::Raw(_))) = content {
                        video::propose_pool(query);
                        query.add_allocation_meta::<gst_video::VideoMeta>(None);
                    }
                    // No crop meta: who sees it taken leaves cropping to us, and the whole picture would be sealed.
                    query.add_allocation_meta::<gst_video::VideoRegionOfInterestMeta>(None);
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

        /// What is allowed of the caps that upstream offers. Where nothing is, upstream only learns that it is nothing: the
        /// bus is told why.
        fn allowed_of(&self, offered: &gst::CapsRef, allowed: &gst::Caps) -> gst::Caps {
            let caps = offered.intersect_with_mode(allowed, gst::CapsIntersectMode::First);
            let exact = lock(&self.settings).transport == Transport::Exact;
            if caps.is_empty()
                && let Some(error) = video::format_refusal(offered, exact)
            {
                gst::element_imp_warning!(self, gst::StreamError::Format, ("{error}"));
            }
            caps
        }

        /// Why caps will be refused when they come: told then, with advice, not by a silent no beforehand.
        fn sink_caps_refusal(&self, caps: &gst::CapsRef) -> Option<Error> {
            let exact = lock(&self.settings).transport == Transport::Exact;
            video::Content::of(caps).and_then(|content| content.carriable(caps, exact).map(drop)).err()
        }

        /// Anything for packets; for pictures, what downstream takes, at any height. Anything also before the start, when
        /// settings may still change.
        fn sink_caps_allowed(&self) -> gst::Caps {
            if self.parts().is_none() {
                return gst::Caps::new_any();
            }
            let (output, exact) = {
                let settings = lock(&self.settings);
                (settings.output, settings.transport == Transport::Exact)
            };
            let peer = self.src_pad.peer_query_caps(None);
            let packets = gst::Caps::new_empty_simple("application/x-chaosveil");
            if output == Output::Packets || (output == Output::Auto && peer.can_intersect(&packets)) {
                return gst::Caps::new_any();
            }
            let mut allowed = peer.intersect(&video::carriable_caps(exact));
            for structure in allowed.make_mut().iter_mut() {
                structure.remove_field("height");
            }
            allowed
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
                _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
            }
        }
    }
}

fn parameters() -> Vec<glib::ParamSpec> {
    let mut list = CommonSettings::parameters();
    list.extend([
        glib::ParamSpecEnum::builder_with_default("profile", Profile::default())
            .nick("Profile")
            .blurb("What protects a frame")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("aead", Aead::default())
            .nick("AEAD")
            .blurb("The authenticated cipher")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("output", Output::default())
            .nick("Output")
            .blurb("Packets, or cipher pictures that any raw video element takes")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("transport", Transport::default())
            .nick("Transport")
            .blurb("What carries cipher pictures; formats that it would damage are refused")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("recipients")
            .nick("Recipients")
            .blurb("Who may decrypt: age1... or SSH public keys, separated by commas")
            .mutable_ready()
            .build(),
        path("recipient-file", "Recipient file", "File with recipients, one a line"),
        path("camera-key-file", "Camera key file", "Sign the stream with this key (chaosveil keygen --camera)"),
        glib::ParamSpecBoolean::builder("allow-insecure")
            .nick("Allow insecure")
            .blurb("Allow profile=chaos, which is for research and protects no secrets")
            .mutable_ready()
            .build(),
        number("track", "Track", "Number of this track among those of the recording", 0, 255, 0),
        number("tracks", "Tracks", "Number of tracks of the recording", 1, 256, 1),
        glib::ParamSpecString::builder("recording")
            .nick("Recording")
            .blurb("Id shared by all tracks of a recording, 32 hexadecimal digits (default: random)")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("rekey-bytes")
            .nick("Rekey after bytes")
            .blurb("A new key after so many bytes of frames (0 = not because of bytes)")
            .default_value(RekeyPolicy::default().bytes)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("rekey-frames")
            .nick("Rekey after frames")
            .blurb("A new key after so many frames (0 = not because of frames)")
            .default_value(RekeyPolicy::default().frames)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("rekey-interval")
            .nick("Rekey interval")
            .blurb("A new key after so many nanoseconds (0 = not because of time)")
            .default_value(RekeyPolicy::default().interval.as_nanos() as u64)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("guard")
            .nick("Guard")
            .blurb("Check each frame before it is pushed, and stop with an error where it looks plain")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("guard-interval")
            .nick("Guard interval")
            .blurb("Nanoseconds from one frame that the guard's network looks at to the next, at least (0 = as fast as it can)")
            .default_value(Settings::default().guard_interval.nseconds())
            .mutable_ready()
            .build(),
    ]);
    list
}
