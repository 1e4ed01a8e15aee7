//! `chaosdec`: the inverse of `chaosenc`.
//!
//! ```text
//! gst-launch-1.0 filesrc location=test.cveil ! chaosdec key-file=psk.key ! videoconvert ! autovideosink
//! ```

use std::sync::{Arc, LazyLock, Mutex};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    decrypt_settings::DecryptSettings,
    decrypter::{DecryptJob, DecryptWorker, Decrypted, Decrypter, Descriptions, SharedDecrypter},
    key_request,
    monitor::Monitor,
    runner::{Runner, lock},
    seeking::Seeking,
    video::{self, RawVideo},
};
use crate::{
    Error, Result,
    pipeline::{BufferPool, Counter, exporter},
    seal::{Identities, KeySource, Session, StreamReader},
};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("chaosdec", gst::DebugColorFlags::empty(), Some("Chaosveil decrypter")));

glib::wrapper! {
    /// Decrypts what `chaosenc` made.
    pub struct ChaosDec(ObjectSubclass<imp::ChaosDec>) @extends gst::Element, gst::Object;
}

mod imp {
    mod input;
    mod release;
    mod seek;
    mod told;

    use gst::glib::subclass::Signal;

    use told::Told;

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
        settings: Mutex<DecryptSettings>,
        /// What has been read to check it, for the start that follows: a file may be a pipe, which is read once.
        checked: Mutex<Option<Arc<Identities>>>,
        run: Mutex<Option<Run>>,
        /// Cipher pictures on the sink pad; `None` for packets.
        pictures: Mutex<Option<Arc<RawVideo>>>,
        /// The sink pad's segment.
        segment: Mutex<gst::Segment>,
        told: Mutex<Told>,
        seeking: Mutex<Seeking>,
        session: Mutex<Option<Arc<Session>>>,
        monitor: Monitor,
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
                checked: Mutex::default(),
                run: Mutex::default(),
                pictures: Mutex::default(),
                segment: Mutex::new(gst::Segment::new()),
                told: Mutex::default(),
                seeking: Mutex::default(),
                session: Mutex::default(),
                monitor: Monitor::new("chaosdec", "decrypt"),
            }
        }
    }

    impl ObjectImpl for ChaosDec {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(DecryptSettings::parameters);
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            lock(&self.settings).set(pspec.name(), value);
            *lock(&self.checked) = None;
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            match pspec.name() {
                "stats" => self.stats_structure().to_value(),
                name => lock(&self.settings).get(name),
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
                // Its keys go with it.
                *lock(&self.session) = None;
                self.tell_depth();
                gst::info!(CAT, imp = self, "{}", self.obj().property::<gst::Structure>("stats"));
            }
            if transition == gst::StateChange::ReadyToNull {
                *lock(&self.checked) = None;
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

        /// All that befalls the stream is told, however much: for who takes messages off the bus as they come.
        pub(crate) fn say_all(&self) {
            self.imp().monitor.say_all();
        }

        /// Lets a test break the stage.
        #[cfg(test)]
        pub(crate) fn run_stage_on(&self, backend: Arc<dyn crate::backend::Backend>) {
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
            *lock(&self.checked) = Some(identities);
            settings.common.engine().map(drop)
        }

        fn start(&self) -> Result<()> {
            let settings = lock(&self.settings).clone();
            let engine = settings.common.engine()?;
            let stats = self.monitor.begin(self.obj().upcast_ref(), engine.backend.clone());
            *lock(&self.told) = Told::default();
            *lock(&self.pictures) = None;
            *lock(&self.seeking) = Seeking::default();
            *lock(&self.session) = None;
            let checked = lock(&self.checked).take();
            let identities = checked.map_or_else(|| settings.identities(), Ok)?;
            let reader = StreamReader::new(identities, settings.policy()?).asking(self.key_source());
            let pool = BufferPool::new(2 * settings.common.capacity() + 2);
            let shared = Arc::new(Mutex::new(Decrypter::new(reader, engine.clone(), pool.clone())));
            let (counting, poster) = (stats.clone(), self.monitor.poster(self.obj().upcast_ref()));
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
                    poster.post("worker-panic", Some(place.counter), "a frame was rejected");
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
            let mut structure = self.monitor.structure();
            structure.set("end-seen", told.ended);
            if let Some(frames) = told.sealed {
                structure.set("frames-sealed", frames);
            }
            if let Some(first) = told.first {
                structure.set("first-counter", first);
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
    }
}
