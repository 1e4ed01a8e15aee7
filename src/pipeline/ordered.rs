//! One bounded queue in which jobs are worked on by many threads and leave in the order in which they came.
//!
//! ```text
//!   submit ->  [ done | running | running | queued | queued ]  -> next
//!               front: leaves when done          back: waits for room
//! ```
//!
//! Jobs and what is passed between them (events, headers) have bounds of their own: what is passed never takes the room
//! of a job, so a leaky queue that is full of both never makes its producer wait for the consumer.
//!
//! A queue of its own rather than two channels: order, bound, drop-oldest and flush are then four lines under one lock,
//! taken a few times per frame, and a channel can neither drop its oldest entry nor keep order over several workers.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// What to do with a job for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Full {
    /// Wait for room: the producer is slowed down, nothing is lost.
    #[default]
    Wait,
    /// Drop the oldest job that no worker has begun, or the oldest result that has not left, unless it came to stay. Where
    /// workers are at all of them, wait until the first is done.
    DropOldest,
}

/// The queue is flushing or closed: the job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

enum Entry<J, R> {
    Queued(J),
    Running,
    /// What came of a job.
    Done(R),
    /// What came through [`OrderedQueue::pass`].
    Passed(R),
}

impl<J, R> Entry<J, R> {
    fn is_passed(&self) -> bool {
        matches!(self, Entry::Passed(_))
    }
}

struct Slot<J, R> {
    number: u64,
    /// It may make room for others.
    droppable: bool,
    entry: Entry<J, R>,
}

struct State<J, R> {
    entries: VecDeque<Slot<J, R>>,
    /// How many of the entries were passed.
    passed: usize,
    next_number: u64,
    /// Jobs that workers have in hand, those that a flush has thrown away too.
    in_hand: usize,
    /// The consumer has a result in hand and has not asked for another.
    leaving: bool,
    flushing: bool,
    closed: bool,
}

/// A bounded queue whose entries leave in order.
pub struct OrderedQueue<J, R> {
    state: Mutex<State<J, R>>,
    /// Most jobs at a time: queued, running and done together.
    capacity: usize,
    work: Condvar,
    room: Condvar,
    ready: Condvar,
}

/// What is passed at a time at most: more events than any stream has between the frames of a queue.
pub(super) const MOST_PASSED: usize = 64;

impl<J, R> OrderedQueue<J, R> {
    /// A queue of at most `capacity` jobs.
    pub fn new(capacity: usize) -> Self {
        let entries = VecDeque::with_capacity(capacity + MOST_PASSED);
        let state =
            State { entries, passed: 0, next_number: 0, in_hand: 0, leaving: false, flushing: false, closed: false };
        OrderedQueue {
            state: Mutex::new(state),
            capacity: capacity.max(1),
            work: Condvar::new(),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J, R>> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a job to the workers and returns what had to be dropped for it. A job that came to `stay` is not dropped for
    /// others. `note` sees what is dropped before anything after it can leave; it runs under the queue's lock.
    ///
    /// # Errors
    /// [`Refused`] while flushing or when closed.
    pub fn submit(
        &self,
        job: J,
        full: Full,
        stay: bool,
        note: impl Fn(&Dropped<J, R>),
    ) -> Result<Option<Dropped<J, R>>, Refused> {
        let mut dropped = None;
        self.append(Entry::Queued(job), !stay, |state| {
            if state.jobs() >= self.capacity && full == Full::DropOldest {
                dropped = state.drop_oldest();
                dropped.iter().for_each(&note);
            }
            state.jobs() < self.capacity
        })?;
        self.work.notify_one();
        Ok(dropped)
    }

    /// Lets something that needs no work leave in its turn.
    ///
    /// # Errors
    /// [`Refused`] while flushing or when closed.
    pub fn pass(&self, result: R) -> Result<(), Refused> {
        self.append(Entry::Passed(result), false, |state| state.passed < MOST_PASSED)?;
        self.ready.notify_all();
        Ok(())
    }

    fn append(
        &self,
        entry: Entry<J, R>,
        droppable: bool,
        mut has_room: impl FnMut(&mut State<J, R>) -> bool,
    ) -> Result<(), Refused> {
        let full = |state: &mut State<J, R>| !state.flushing && !state.closed && !has_room(state);
        let mut state = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if state.flushing || state.closed {
            return Err(Refused);
        }
        let number = state.next_number;
        state.next_number += 1;
        state.passed += usize::from(entry.is_passed());
        state.entries.push_back(Slot { number, droppable, entry });
        Ok(())
    }

    /// Waits for the next result in order; `None` while flushing, or when closed and empty.
    pub fn next(&self) -> Option<R> {
        let mut state = self.lock();
        if std::mem::take(&mut state.leaving) {
            self.room.notify_all();
        }
        loop {
            if state.flushing {
                return None;
            }
            match state.entries.front() {
                Some(Slot { entry: Entry::Done(_) | Entry::Passed(_), .. }) => break,
                None if state.closed => return None,
                _ => state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        let entry = state.entries.pop_front()?.entry;
        state.passed -= usize::from(entry.is_passed());
        state.leaving = true;
        self.room.notify_all();
        match entry {
            Entry::Done(result) | Entry::Passed(result) => Some(result),
            Entry::Queued(_) | Entry::Running => None,
        }
    }

    /// Waits until everything has left and the consumer asks for more, or a flush has thrown it away.
    pub fn drain(&self) {
        let busy =
            |state: &mut State<J, R>| (state.leaving || !state.entries.is_empty()) && !state.flushing && !state.closed;
        drop(self.room.wait_while(self.lock(), busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// Number of entries: queued, running and done.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing is in the queue.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Empties the queue, refuses what comes and wakes all who wait, until [`OrderedQueue::resume`]. Jobs and what came of
    /// them are dropped; results that were passed are returned.
    pub fn flush(&self) -> Vec<R> {
        let mut state = self.lock();
        state.flushing = true;
        let passed = state.entries.drain(..).filter_map(|slot| match slot.entry {
            Entry::Passed(result) => Some(result),
            _ => None,
        });
        let passed = passed.collect();
        state.passed = 0;
        self.wake_all();
        passed
    }

    /// Waits until workers have dropped what they had in hand when a flush came.
    pub fn settle(&self) {
        let busy = |state: &mut State<J, R>| state.flushing && state.in_hand > 0;
        drop(self.room.wait_while(self.lock(), busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes jobs again after a flush. What workers still have in hand from before is dropped when they finish.
    pub fn resume(&self) {
        self.lock().flushing = false;
    }

    /// Refuses what comes; workers end when nothing is queued, [`OrderedQueue::next`] when nothing is left.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake_all();
    }

    fn wake_all(&self) {
        self.work.notify_all();
        self.room.notify_all();
        self.ready.notify_all();
    }

    /// The next job for a worker; `None` when closed.
    pub(super) fn take(&self) -> Option<(u64, J)> {
        let mut state = self.lock();
        loop {
            let queued = state.entries.iter_mut().find(|slot| matches!(slot.entry, Entry::Queued(_)));
            if let Some(slot) = queued
                && let Entry::Queued(job) = std::mem::replace(&mut slot.entry, Entry::Running)
            {
                let number = slot.number;
                state.in_hand += 1;
                return Some((number, job));
            }
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts a worker's result in its place; `None` (the worker panicked) takes the place away.
    pub(super) fn finish(&self, number: u64, result: Option<R>) {
        let mut state = self.lock();
        match (state.entries.iter().position(|slot| slot.number == number), result) {
            (Some(index), Some(result)) => state.entries[index].entry = Entry::Done(result),
            (Some(index), None) => drop(state.entries.remove(index)),
            (None, thrown_away) => {
                drop(state);
                drop(thrown_away);
                state = self.lock();
            }
        }
        state.in_hand -= 1;
        // Room too: what is done can be dropped.
        self.room.notify_all();
        self.ready.notify_all();
    }
}

/// What had to make room.
#[derive(Debug, PartialEq, Eq)]
pub enum Dropped<J, R> {
    /// A job that no worker had begun.
    Job(J),
    /// A result that had not left.
    Result(R),
}

impl<J, R> State<J, R> {
    fn jobs(&self) -> usize {
        self.entries.len() - self.passed
    }

    fn drop_oldest(&mut self) -> Option<Dropped<J, R>> {
        let droppable = |slot: &Slot<J, R>| slot.droppable && matches!(slot.entry, Entry::Queued(_) | Entry::Done(_));
        let index = self.entries.iter().position(droppable)?;
        match self.entries.remove(index)?.entry {
            Entry::Queued(job) => Some(Dropped::Job(job)),
            Entry::Done(result) => Some(Dropped::Result(result)),
            Entry::Running | Entry::Passed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread, time::Duration};

    use super::*;
    use crate::pipeline::Workers;

    #[test]
    fn a_full_queue_blocks_until_flushed() {
        let queue = Arc::new(OrderedQueue::<u64, u64>::new(2));
        queue.submit(1, Full::Wait, false, |_| {}).expect("room");
        queue.submit(2, Full::Wait, false, |_| {}).expect("room");
        let blocked = thread::spawn({
            let queue = queue.clone();
            move || queue.submit(3, Full::Wait, false, |_| {})
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!blocked.is_finished());
        assert_eq!(queue.flush(), [0; 0]);
        assert_eq!(blocked.join().expect("no panic"), Err(Refused));
        assert_eq!(queue.next(), None);
        assert_eq!(queue.pass(9), Err(Refused));
        queue.resume();
        queue.pass(9).expect("open again");
        assert_eq!(queue.next(), Some(9));
    }

    #[test]
    fn a_leaky_queue_drops_the_oldest() {
        let queue = OrderedQueue::<u64, u64>::new(3);
        for job in 1..=3 {
            assert_eq!(queue.submit(job, Full::DropOldest, false, |_| {}), Ok(None));
        }
        assert_eq!(queue.submit(4, Full::DropOldest, false, |_| {}), Ok(Some(Dropped::Job(1))));
        let (number, job) = queue.take().expect("a job");
        assert_eq!(job, 2);
        assert_eq!(
            queue.submit(5, Full::DropOldest, false, |_| {}),
            Ok(Some(Dropped::Job(3))),
            "what runs is not dropped"
        );
        queue.finish(number, Some(20));
        assert_eq!(queue.submit(6, Full::DropOldest, false, |_| {}), Ok(Some(Dropped::Result(20))));
    }

    #[test]
    fn what_is_passed_takes_no_jobs_room() {
        let queue = OrderedQueue::<u64, u64>::new(2);
        for number in 0..8 {
            queue.pass(100 + number).expect("room");
            queue.submit(number, Full::DropOldest, false, |_| {}).expect("room");
        }
        assert_eq!(queue.len(), 8 + 2);
        for number in 0..7 {
            assert_eq!(queue.next(), Some(100 + number));
        }
        assert_eq!(queue.take(), Some((13, 6)));
    }

    #[test]
    fn what_came_to_stay_is_not_dropped() {
        let queue = OrderedQueue::<u64, u64>::new(2);
        queue.submit(1, Full::DropOldest, true, |_| {}).expect("room");
        queue.submit(2, Full::DropOldest, false, |_| {}).expect("room");
        assert_eq!(queue.submit(3, Full::DropOldest, false, |_| {}), Ok(Some(Dropped::Job(2))));
    }

    /// No producer of a leaky queue waits for the consumer, only for a worker.
    #[test]
    fn a_leaky_queue_waits_for_workers_alone() {
        let queue = Arc::new(OrderedQueue::<u64, u64>::new(1));
        queue.submit(1, Full::DropOldest, false, |_| {}).expect("room");
        let (number, _) = queue.take().expect("a job");
        let waiting = thread::spawn({
            let queue = queue.clone();
            move || queue.submit(2, Full::DropOldest, false, |_| {})
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished(), "what runs is not dropped");
        queue.finish(number, Some(10));
        assert_eq!(waiting.join().expect("no panic"), Ok(Some(Dropped::Result(10))));
    }

    #[test]
    fn results_from_before_a_flush_are_dropped() {
        let queue = OrderedQueue::<u64, u64>::new(3);
        queue.submit(1, Full::Wait, false, |_| {}).expect("room");
        queue.pass(5).expect("room");
        queue.submit(2, Full::Wait, false, |_| {}).expect("room");
        let (number, _) = queue.take().expect("a job");
        assert_eq!(queue.flush(), [5], "what was passed is given back");
        queue.resume();
        queue.pass(7).expect("open");
        queue.finish(number, Some(1));
        assert_eq!(queue.next(), Some(7));
        assert!(queue.is_empty());
    }

    #[test]
    fn nothing_from_before_a_flush_is_left_after_it() {
        let queue = Arc::new(OrderedQueue::new(2));
        let worker = || {
            |job: Arc<()>| {
                thread::sleep(Duration::from_millis(30));
                job
            }
        };
        let _workers = Workers::start(&queue, "test", 1, worker, |_| {}, |()| {}).expect("threads");
        let job = Arc::new(());
        queue.submit(job.clone(), Full::Wait, false, |_| {}).expect("room");
        while queue.lock().in_hand == 0 {
            thread::yield_now();
        }
        assert_eq!(queue.flush().len(), 0);
        assert_eq!(Arc::strong_count(&job), 2, "a worker has it in hand");
        queue.settle();
        assert_eq!(Arc::strong_count(&job), 1);
    }
}
