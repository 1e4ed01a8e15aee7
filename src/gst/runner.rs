//! What both elements do alike: an ordered queue with workers between the sink pad's thread and the source pad's task,
//! and the events, flushes and flow returns around it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use gst::prelude::*;

use crate::{
    Error, Result,
    pipeline::{Full, OrderedQueue, Workers, ordered::Dropped},
};

/// Locks a mutex under which nothing panics that matters.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What leaves the queue.
pub trait Passing: Send + 'static {
    /// An event in its turn.
    fn of_event(event: gst::Event) -> Self;
    /// The event, if it is one.
    fn into_event(self) -> Option<gst::Event>;
}

/// Queue and workers of one run of an element, from READY to READY.
pub struct Runner<J: Send + 'static, R: Passing> {
    queue: Arc<OrderedQueue<J, R>>,
    /// Dropping them waits for the threads.
    _workers: Workers,
    /// Why the source pad's task stopped, told upstream by the next buffer.
    flow: Mutex<Result<gst::FlowSuccess, gst::FlowError>>,
    /// EOS has come and no buffer will: why the task stops is then told to the bus, once.
    last_word: AtomicBool,
    full: Full,
}

impl<J: Send + 'static, R: Passing> Runner<J, R> {
    /// Starts `count` workers on a queue of `capacity` entries. What `label` and `on_panic` are, [`Workers::start`] says.
    ///
    /// # Errors
    /// [`Error::Io`] if threads cannot be had.
    pub fn start<W: FnMut(J) -> R, L: 'static>(
        name: &str,
        count: usize,
        capacity: usize,
        full: Full,
        worker: impl Fn() -> W + Send + Clone + 'static,
        label: fn(&J) -> L,
        on_panic: impl Fn(L) + Send + Clone + 'static,
    ) -> Result<Runner<J, R>> {
        let queue = Arc::new(OrderedQueue::new(capacity));
        let workers = Workers::start(&queue, name, count, worker, label, on_panic)
            .map_err(|source| Error::Io { what: "starting threads".into(), source })?;
        Ok(Runner {
            queue,
            _workers: workers,
            flow: Mutex::new(Ok(gst::FlowSuccess::Ok)),
            last_word: AtomicBool::new(false),
            full,
        })
    }

    /// Hands a job to the workers and returns what had to be dropped for it. A job that came to `stay` is not dropped for
    /// others. `note` sees what is dropped before anything after it can leave, see [`OrderedQueue::submit`].
    ///
    /// # Errors
    /// Why the source pad stopped, or flushing.
    pub fn submit(
        &self,
        job: J,
        stay: bool,
        note: impl Fn(&Dropped<J, R>),
    ) -> Result<Option<Dropped<J, R>>, gst::FlowError> {
        self.queue.submit(job, self.full, stay, note).map_err(|_| self.refusal())
    }

    /// Hands a job to the workers once there is room.
    ///
    /// # Errors
    /// Why the source pad stopped, or flushing.
    pub fn submit_waiting(&self, job: J) -> Result<(), gst::FlowError> {
        self.queue.submit(job, Full::Wait, true, |_| {}).map(drop).map_err(|_| self.refusal())
    }

    /// Lets something that needs no work leave in its turn.
    ///
    /// # Errors
    /// Why the source pad stopped, or flushing.
    pub fn pass(&self, result: R) -> Result<(), gst::FlowError> {
        self.queue.pass(result).map_err(|_| self.refusal())
    }

    /// Lets an event leave in its turn.
    ///
    /// # Errors
    /// Why the source pad stopped, or flushing.
    pub fn pass_event(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        self.pass(R::of_event(event))
    }

    /// Lets EOS leave in its turn; false if it cannot. Where the source pad has stopped, or stops before it, the bus is
    /// told, for no buffer comes any more that could carry the reason upstream. A downstream that has had enough before
    /// is told all the same, or sinks would wait for ever.
    pub fn pass_eos(&self, pad: &gst::Pad, eos: gst::Event) -> bool {
        self.last_word.store(true, Ordering::SeqCst);
        match self.pass_event(eos.clone()) {
            Ok(()) => true,
            Err(gst::FlowError::Eos) => push_eos_once(pad, eos),
            Err(_) => {
                self.tell_stop(pad);
                false
            }
        }
    }

    /// Jobs and events on their way.
    pub fn depth(&self) -> usize {
        self.queue.len()
    }

    /// Waits until everything has left.
    pub fn drain(&self) {
        self.queue.drain();
    }

    fn refusal(&self) -> gst::FlowError {
        lock(&self.flow).err().unwrap_or(gst::FlowError::Flushing)
    }

    /// Why the source pad stopped, if it did.
    pub fn flow(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        *lock(&self.flow)
    }

    /// A flush begins. Downstream hears of it first, so that a push that waits there comes back.
    pub fn flush_start(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let forwarded = pad.push_event(event);
        self.flush(pad);
        forwarded
    }

    /// A flush ends: `forget` lets go of what came before it, `restart` starts the source pad's task again.
    pub fn flush_stop(
        &self,
        pad: &gst::Pad,
        event: gst::Event,
        forget: impl FnOnce(),
        restart: impl FnOnce() -> Result<(), gst::LoggableError>,
    ) -> bool {
        let stopped = self.stop_task(pad).is_ok();
        forget();
        let forwarded = pad.push_event(event);
        // A pad that was deactivated meanwhile stays so.
        let active = pad.mode() == gst::PadMode::Push;
        stopped && active && restart().is_ok() && forwarded
    }

    /// Drops everything in flight and wakes all who wait. Sticky events still hold after a flush: the source pad keeps
    /// them for the next buffer.
    pub fn flush(&self, pad: &gst::Pad) {
        drop(self.take_eos(pad));
    }

    /// Flushes, and returns the EOS that was on its way.
    fn take_eos(&self, pad: &gst::Pad) -> Option<gst::Event> {
        let mut eos = None;
        for event in self.queue.flush().into_iter().filter_map(Passing::into_event) {
            match event.type_() {
                gst::EventType::Eos => eos = Some(event),
                gst::EventType::Segment => {}
                kind if event.is_sticky() => {
                    if let Err(flow) = pad.store_sticky_event(&event) {
                        gst::debug!(gst::CAT_RUST, obj = pad, "{kind:?} is not kept: {flow:?}");
                    }
                }
                _ => {}
            }
        }
        eos
    }

    /// Starts the source pad's task: `deliver` gets every result in order.
    pub fn start_task(
        self: &Arc<Self>,
        pad: &gst::Pad,
        deliver: impl FnMut(R) -> Result<gst::FlowSuccess, gst::FlowError> + Send + 'static,
    ) -> Result<(), gst::LoggableError> {
        *lock(&self.flow) = Ok(gst::FlowSuccess::Ok);
        self.last_word.store(false, Ordering::SeqCst);
        self.queue.resume();
        let (runner, mut deliver, weak) = (self.clone(), deliver, pad.downgrade());
        pad.start_task(move || {
            let flow = match runner.queue.next() {
                None => Err(gst::FlowError::Flushing),
                Some(result) => deliver(result),
            };
            if let Err(error) = flow
                && let Some(pad) = weak.upgrade()
            {
                runner.stop(error, &pad);
            }
        })
        .map_err(|_| gst::loggable_error!(gst::CAT_RUST, "the source pad's task does not start"))
    }

    /// The source pad's task ends itself.
    fn stop(&self, error: gst::FlowError, pad: &gst::Pad) {
        *lock(&self.flow) = Err(error);
        let eos = self.take_eos(pad).filter(|_| error == gst::FlowError::Eos);
        if let Some(eos) = eos {
            push_eos_once(pad, eos);
        }
        self.tell_stop(pad);
        // The only failure is a pad without this very task.
        let _ = pad.pause_task();
    }

    fn tell_stop(&self, pad: &gst::Pad) {
        let Err(flow) = self.flow() else { return };
        let expected = matches!(flow, gst::FlowError::Flushing | gst::FlowError::Eos);
        if !expected
            && self.last_word.swap(false, Ordering::SeqCst)
            && let Some(element) = pad.parent_element()
        {
            gst::element_error!(element, gst::StreamError::Failed, ["downstream answered {flow:?}"]);
        }
    }

    /// Stops the source pad's task and waits for it, and for what workers have in hand: until it is dropped, nobody can
    /// count what has been lost.
    pub fn stop_task(&self, pad: &gst::Pad) -> Result<(), gst::LoggableError> {
        self.flush(pad);
        let stopped = pad.stop_task();
        self.queue.settle();
        stopped.map_err(|_| gst::loggable_error!(gst::CAT_RUST, "the source pad's task does not stop"))
    }
}

/// Answers a query for caps: what of them the asker takes, in the asker's order.
pub fn answer_caps(query: &mut gst::query::Caps, caps: gst::Caps) {
    let caps = match query.filter() {
        Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
        None => caps,
    };
    query.set_result(&caps);
}

/// Pushes EOS unless it has been pushed; false if downstream does not take it.
fn push_eos_once(pad: &gst::Pad, eos: gst::Event) -> bool {
    pad.sticky_event::<gst::event::Eos>(0).is_some() || pad.push_event(eos)
}
