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
    sync::{Arc, LazyLock, Mutex},
    time::Instant,
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    alarm::Alarm,
    encrypt_settings::{EncryptKeys, EncryptSettings},
    encrypter::{
        self, EncryptJob, EncryptWorker, Encrypted, Encrypter, Finished, KeyNews, SharedEncrypter, SharedIndex,
    },
    guard::Guard,
    monitor::Monitor,
    runner::{Runner, lock},
    types::Profile,
    video,
};
use crate::{
    Error, Result,
    pipeline::{BufferPool, Counter, Stats, exporter},
    seal::{CameraKey, Recipients, StreamSecrets, StreamWriter},
};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("chaosenc", gst::DebugColorFlags::empty(), Some("Chaosveil encrypter")));

glib::wrapper! {
    /// Encrypts video, or any other stream of buffers.
    pub struct ChaosEnc(ObjectSubclass<imp::ChaosEnc>) @extends gst::Element, gst::Object;
}

mod imp {
    mod input;
    mod negotiation;

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
        settings: Mutex<EncryptSettings>,
        /// What has been read to check it, for the start that follows: a file may be a pipe, which is read once.
        checked: Mutex<Option<EncryptKeys>>,
        run: Mutex<Option<Run>>,
        monitor: Monitor,
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
                checked: Mutex::default(),
                run: Mutex::default(),
                monitor: Monitor::new("chaosenc", "encrypt"),
            }
        }
    }

    impl ObjectImpl for ChaosEnc {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(EncryptSettings::parameters);
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
            if transition == gst::StateChange::ReadyToNull {
                *lock(&self.checked) = None;
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
        pub(crate) fn run_stage_on(&self, backend: Arc<dyn crate::backend::Backend>) {
            lock(&self.imp().settings).common.given_backend = Some(backend);
        }

        /// Leaves room for so many payload bytes under the key of a run.
        #[cfg(test)]
        pub(crate) fn use_up_key_but(&self, bytes: u64) {
            let (encrypter, _) = self.imp().parts().expect("it runs");
            encrypter::serial(&encrypter).use_up_key_but(bytes);
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
            *lock(&self.checked) = Some(settings.keys()?);
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
            let checked = lock(&self.checked).take();
            let (recipients, camera) = checked.map_or_else(|| settings.keys(), Ok)?;
            let writer = StreamWriter::new(profile, aead, &recipients, StreamSecrets::random()?)?;
            let writer = writer.signed_by(camera);
            let mut encrypter = Encrypter::new(writer, profile, settings.place()?, settings.rekey)?;
            if settings.keep_index {
                encrypter.keep_index();
            }
            let (keys, engine) = (encrypter.keys(), settings.common.engine()?);
            let stats = self.monitor.begin(self.obj().upcast_ref(), engine.backend.clone());
            let pool = BufferPool::new(settings.common.capacity() + 2);
            let alarm = self.new_alarm(&stats);
            let guard = settings.guard.then(|| Guard::new(settings.guard_interval, alarm.clone())).transpose()?;
            let (counting, poster) = (stats.clone(), self.monitor.poster(self.obj().upcast_ref()));
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
                    poster.post("worker-panic", Some(counter), "a frame was dropped, not sent clear");
                },
            )?;
            let encrypter = Arc::new(Mutex::new(encrypter));
            *lock(&self.run) = Some(Run { encrypter, runner: Arc::new(runner), alarm });
            Ok(())
        }

        fn new_alarm(&self, stats: &Arc<Stats>) -> Alarm {
            let (stats, poster) = (stats.clone(), self.monitor.poster(self.obj().upcast_ref()));
            Alarm::new(move |frame, evidence| {
                stats.add(Counter::GuardAlarms, 1);
                poster.post("looks-plain", Some(frame), evidence);
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
            let mut structure = self.monitor.structure();
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
            self.monitor.post(self.obj().upcast_ref(), reason, Some(counter), &detail);
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

        fn tell_depth(&self) {
            let depth = self.parts().map_or(0, |(_, runner)| runner.depth());
            self.monitor.tell_depth(depth);
        }

        fn failed(&self, error: &Error) -> gst::FlowError {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}"));
            gst::FlowError::Error
        }

        fn push(&self, buffer: gst::Buffer, frame: Option<Finished>) -> Result<gst::FlowSuccess, gst::FlowError> {
            self.monitor.tell_trouble(self.obj().upcast_ref());
            self.tell_depth();
            if let Some(frame) = &frame {
                let most = lock(&self.settings).common.most_at_once();
                self.monitor.note_work(self.obj().upcast_ref(), frame.work, most);
            }
            let (bytes, begun) = (buffer.size(), Instant::now());
            let flow = self.src_pad.push(buffer);
            if flow.is_ok() {
                self.monitor.stats().add(Counter::BytesOut, bytes as u64);
                if let Some(frame) = frame {
                    frame.passage.left();
                    self.monitor.count_frame(frame.entered, frame.finished, begun);
                }
            }
            flow
        }

        fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
            use gst::QueryViewMut;
            if video::is_in_bytes(query) {
                return false;
            }
            match query.view_mut() {
                QueryViewMut::Latency(query) => {
                    // Upstream is asked without the lock: it may ask for a property.
                    let capacity = lock(&self.settings).common.capacity();
                    self.monitor.answer_latency(query, &self.sink_pad, capacity)
                }
                _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
            }
        }
    }
}
