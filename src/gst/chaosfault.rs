//! `chaosfault`: a bad line for tests. Passes buffers of any kind; loses, doubles, reorders, truncates and delays some of
//! them, and flips bits. The same seed makes the same faults of the same buffers.
//!
//! ```text
//! gst-launch-1.0 videotestsrc num-buffers=300 ! chaosenc key-file=psk.key ! chaosfault seed=7 loss=0.02 flip=0.01 ! \
//!     chaosdec key-file=psk.key ! videoconvert ! autovideosink
//! ```
//!
//! What is held back leaves before any event that has its place among the buffers, EOS among them; a flush drops it. Which
//! fault befalls whom is decided in `faults`.

use std::{
    sync::{Condvar, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    faults::{Line, Rates},
    runner::lock,
};
use crate::analysis::random::Random;

glib::wrapper! {
    /// Loses, doubles, reorders, truncates, delays buffers, and flips bits in them.
    pub struct ChaosFault(ObjectSubclass<imp::ChaosFault>) @extends gst::Element, gst::Object;
}

#[derive(Clone, Debug)]
struct Settings {
    seed: u64,
    rates: Rates,
}

impl Default for Settings {
    fn default() -> Self {
        let rates = Rates { reorder_distance: 1, delay_max_ns: 100_000_000, ..Rates::default() };
        Settings { seed: 0, rates }
    }
}

/// The farthest that a buffer may be held back: so many buffers are kept at most.
const MOST_DISTANCE: u32 = 1024;

/// What has happened since the element was started.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    buffers_in: u64,
    buffers_out: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    truncated: u64,
    flipped: u64,
    delayed: u64,
    dropped: u64,
}

impl Counts {
    fn structure(&self) -> gst::Structure {
        gst::Structure::builder("chaosfault-stats")
            .field("buffers-in", self.buffers_in)
            .field("buffers-out", self.buffers_out)
            .field("lost", self.lost)
            .field("duplicated", self.duplicated)
            .field("reordered", self.reordered)
            .field("truncated", self.truncated)
            .field("flipped", self.flipped)
            .field("delayed", self.delayed)
            .field("dropped", self.dropped)
            .build()
    }
}

/// A buffer, and whether it leaves twice.
type Waiting = (gst::Buffer, bool);

#[derive(Default)]
struct State {
    random: Option<Random>,
    line: Line<Waiting>,
    counts: Counts,
    /// What is to be pushed next; kept, so that it is allocated once.
    leaving: Vec<gst::Buffer>,
}

impl State {
    fn new(seed: u64) -> State {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        State { random: Some(Random::new(&key, "faults")), ..State::default() }
    }

    /// A buffer comes: what leaves is in `leaving` then. Tells how long the line stands still before.
    fn come(&mut self, mut buffer: gst::Buffer, rates: &Rates) -> Duration {
        self.counts.buffers_in += 1;
        let Some(random) = &mut self.random else { return Duration::ZERO };
        let fate = rates.draw(random, buffer.size());
        if fate.lost {
            self.counts.lost += 1;
            return Duration::ZERO;
        }
        if let Some(bytes) = fate.truncated_to {
            buffer.make_mut().set_size(bytes);
            self.counts.truncated += 1;
        }
        if fate.flipped_bit.is_some_and(|bit| flip(buffer.make_mut(), bit)) {
            self.counts.flipped += 1;
        }
        self.counts.delayed += u64::from(fate.delay_ns > 0);
        let State { line, counts, leaving, .. } = self;
        line.come((buffer, fate.doubled), fate.held_for, |waiting, late| leave(waiting, late, counts, leaving));
        Duration::from_nanos(fate.delay_ns)
    }

    fn release(&mut self) {
        let State { line, counts, leaving, .. } = self;
        line.release(|waiting, late| leave(waiting, late, counts, leaving));
    }
}

fn leave((buffer, doubled): Waiting, late: bool, counts: &mut Counts, leaving: &mut Vec<gst::Buffer>) {
    counts.reordered += u64::from(late);
    if doubled {
        counts.duplicated += 1;
        leaving.push(buffer.clone());
    }
    leaving.push(buffer);
}

/// Flips a bit; false for memory that cannot be written.
fn flip(buffer: &mut gst::BufferRef, bit: usize) -> bool {
    let Ok(mut map) = buffer.map_writable() else { return false };
    map[bit / 8] ^= 1 << (bit % 8);
    true
}

mod imp {
    use super::*;

    /// See the wrapper.
    pub struct ChaosFault {
        sink_pad: gst::Pad,
        src_pad: gst::Pad,
        settings: Mutex<Settings>,
        state: Mutex<State>,
        /// Whether nobody may wait.
        flushing: Mutex<bool>,
        wake: Condvar,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ChaosFault {
        const NAME: &'static str = "GstChaosFault";
        type Type = super::ChaosFault;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let template = |name| class.pad_template(name).expect("the class has it");
            let proxy = gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION;
            let sink_pad = gst::Pad::builder_from_template(&template("sink"))
                .chain_function(|_, parent, buffer| {
                    ChaosFault::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |imp| imp.chain(buffer))
                })
                .event_function(|pad, parent, event| {
                    ChaosFault::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
                })
                .flags(proxy)
                .build();
            let src_pad = gst::Pad::builder_from_template(&template("src")).flags(proxy).build();
            ChaosFault {
                sink_pad,
                src_pad,
                settings: Mutex::default(),
                state: Mutex::default(),
                flushing: Mutex::default(),
                wake: Condvar::new(),
            }
        }
    }

    impl ObjectImpl for ChaosFault {
        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sink_pad, &self.src_pad] {
                self.obj().add_pad(pad).expect("a new element has no pads");
            }
        }

        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(parameters);
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut settings = lock(&self.settings);
            let get = "type checked by GObject";
            let rates = &mut settings.rates;
            match pspec.name() {
                "seed" => settings.seed = value.get().expect(get),
                "loss" => rates.loss = value.get().expect(get),
                "duplicate" => rates.duplicate = value.get().expect(get),
                "reorder" => rates.reorder = value.get().expect(get),
                "reorder-distance" => rates.reorder_distance = value.get().expect(get),
                "truncate" => rates.truncate = value.get().expect(get),
                "flip" => rates.flip = value.get().expect(get),
                "delay" => rates.delay = value.get().expect(get),
                "delay-max" => rates.delay_max_ns = value.get().expect(get),
                name => unreachable!("no property {name}"),
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            if pspec.name() == "stats" {
                return lock(&self.state).counts.structure().to_value();
            }
            let Settings { seed, rates } = lock(&self.settings).clone();
            match pspec.name() {
                "seed" => seed.to_value(),
                "loss" => rates.loss.to_value(),
                "duplicate" => rates.duplicate.to_value(),
                "reorder" => rates.reorder.to_value(),
                "reorder-distance" => rates.reorder_distance.to_value(),
                "truncate" => rates.truncate.to_value(),
                "flip" => rates.flip.to_value(),
                "delay" => rates.delay.to_value(),
                "delay-max" => rates.delay_max_ns.to_value(),
                name => unreachable!("no property {name}"),
            }
        }
    }

    impl GstObjectImpl for ChaosFault {}

    impl ElementImpl for ChaosFault {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Chaosveil faults",
                    "Filter/Network/Testing",
                    "Loses, doubles, reorders, truncates and delays buffers and flips bits in them, from a seed",
                    "The Chaosveil developers",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let template = |name, direction| {
                    let caps = gst::Caps::new_any();
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("a valid template")
                };
                vec![template("sink", gst::PadDirection::Sink), template("src", gst::PadDirection::Src)]
            });
            &TEMPLATES
        }

        fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            match transition {
                gst::StateChange::ReadyToPaused => {
                    *lock(&self.state) = State::new(lock(&self.settings).seed);
                    self.set_flushing(false);
                }
                // Whoever waits has to leave before pads can be stopped.
                gst::StateChange::PausedToReady => self.set_flushing(true),
                _ => {}
            }
            let changed = self.parent_change_state(transition)?;
            if transition == gst::StateChange::PausedToReady {
                self.drop_held();
            }
            Ok(changed)
        }
    }

    impl ChaosFault {
        fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let rates = lock(&self.settings).rates.clone();
            let delay = lock(&self.state).come(buffer, &rates);
            self.wait(delay)?;
            self.push_leaving()
        }

        /// Only the thread that holds the sink pad's stream lock comes here: nothing leaves out of turn.
        fn push_leaving(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
            let mut leaving = std::mem::take(&mut lock(&self.state).leaving);
            let mut rest = leaving.drain(..);
            let flow = rest.try_for_each(|buffer| {
                lock(&self.state).counts.buffers_out += 1;
                self.src_pad.push(buffer).map(drop)
            });
            let dropped = rest.count() as u64;
            let mut state = lock(&self.state);
            state.counts.dropped += dropped;
            state.leaving = leaving;
            flow.map(|()| gst::FlowSuccess::Ok)
        }

        fn wait(&self, delay: Duration) -> Result<(), gst::FlowError> {
            if delay.is_zero() {
                return Ok(());
            }
            let flushing = lock(&self.flushing);
            let waited = self.wake.wait_timeout_while(flushing, delay, |flushing| !*flushing);
            let (flushing, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if *flushing { Err(gst::FlowError::Flushing) } else { Ok(()) }
        }

        fn set_flushing(&self, flushing: bool) {
            *lock(&self.flushing) = flushing;
            self.wake.notify_all();
        }

        fn drop_held(&self) {
            let mut state = lock(&self.state);
            let dropped = state.line.clear();
            state.counts.dropped += dropped + state.leaving.len() as u64;
            state.leaving.clear();
        }

        fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            match event.type_() {
                gst::EventType::FlushStart => self.set_flushing(true),
                gst::EventType::FlushStop => {
                    self.drop_held();
                    self.set_flushing(false);
                }
                _ if event.is_serialized() => {
                    lock(&self.state).release();
                    // What does not leave any more the next buffer is told.
                    let _ = self.push_leaving();
                }
                _ => {}
            }
            gst::Pad::event_default(pad, Some(&*self.obj()), event)
        }
    }
}

fn parameters() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let rate = |name: &'static str, nick: &'static str, blurb: &'static str| {
        glib::ParamSpecDouble::builder(name).nick(nick).blurb(blurb).minimum(0.0).maximum(1.0).mutable_playing().build()
    };
    vec![
        glib::ParamSpecUInt64::builder("seed")
            .nick("Seed")
            .blurb("The same seed makes the same faults")
            .default_value(defaults.seed)
            .mutable_ready()
            .build(),
        rate("loss", "Loss", "Share of the buffers that do not leave"),
        rate("duplicate", "Duplicate", "Share of the buffers that leave twice"),
        rate("reorder", "Reorder", "Share of the buffers that are held back while others pass"),
        glib::ParamSpecUInt::builder("reorder-distance")
            .nick("Reorder distance")
            .blurb("Buffers that come before one that is held back leaves, at most")
            .minimum(1)
            .maximum(MOST_DISTANCE)
            .default_value(defaults.rates.reorder_distance)
            .mutable_playing()
            .build(),
        rate("truncate", "Truncate", "Share of the buffers that lose their end"),
        rate("flip", "Flip", "Share of the buffers in which one bit is flipped"),
        rate("delay", "Delay", "Share of the buffers that come late, with all behind them"),
        glib::ParamSpecUInt64::builder("delay-max")
            .nick("Longest delay")
            .blurb("Nanoseconds that a buffer is delayed, at most")
            .default_value(defaults.rates.delay_max_ns)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "buffers-in, buffers-out, lost, duplicated, reordered (left after a later one), truncated, flipped, \
                 delayed, dropped (there when a flush or a failure came)",
            )
            .read_only()
            .build(),
    ]
}
