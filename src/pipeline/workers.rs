//! Threads that work on the jobs of an ordered queue.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use super::OrderedQueue;

/// Threads that work on a queue's jobs. Dropping them closes the queue and waits for them.
pub struct Workers {
    close: Box<dyn Fn() + Send + Sync>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads named after `name`. `worker` makes the function of each. When a job panics, `on_panic` is
    /// told what `label` had read of it; then its place in the queue is taken away, and the thread goes on with a new
    /// function.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start<J: Send + 'static, R: Send + 'static, W: FnMut(J) -> R, L: 'static>(
        queue: &Arc<OrderedQueue<J, R>>,
        name: &str,
        count: usize,
        worker: impl Fn() -> W + Send + Clone + 'static,
        label: fn(&J) -> L,
        on_panic: impl Fn(L) + Send + Clone + 'static,
    ) -> std::io::Result<Workers> {
        let closing = queue.clone();
        let mut workers = Workers { close: Box::new(move || closing.close()), threads: Vec::with_capacity(count) };
        for index in 0..count {
            let (queue, worker, on_panic) = (queue.clone(), worker.clone(), on_panic.clone());
            let thread = std::thread::Builder::new().name(format!("{name}:{index}"));
            workers.threads.push(thread.spawn(move || work(&queue, &worker, label, &on_panic))?);
        }
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        (self.close)();
        for thread in self.threads.drain(..) {
            // A thread that panicked outside a job has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn work<J, R, W: FnMut(J) -> R, L>(
    queue: &OrderedQueue<J, R>,
    worker: &impl Fn() -> W,
    label: fn(&J) -> L,
    on_panic: &impl Fn(L),
) {
    let mut function = worker();
    while let Some((number, job)) = queue.take() {
        let label = label(&job);
        // A panic may leave the function's buffers half-written: it is made anew.
        let result = catch_unwind(AssertUnwindSafe(|| function(job))).ok();
        if result.is_none() {
            on_panic(label);
            function = worker();
        }
        queue.finish(number, result);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, thread, time::Duration};

    use super::*;
    use crate::pipeline::{Full, ordered::MOST_PASSED};

    fn doubling(queue: &Arc<OrderedQueue<u64, u64>>, count: usize) -> Workers {
        let worker = || {
            |job: u64| {
                // The first of every seven takes longest, so that results come out of order.
                thread::sleep(Duration::from_micros(if job.is_multiple_of(7) { 900 } else { 50 }));
                2 * job
            }
        };
        Workers::start(queue, "test", count, worker, |_| {}, |()| {}).expect("threads")
    }

    #[test]
    fn results_leave_in_order() {
        let queue = Arc::new(OrderedQueue::new(5));
        let _workers = doubling(&queue, 3);
        let producer = thread::spawn({
            let queue = queue.clone();
            move || {
                for job in 0..500 {
                    match job % 10 {
                        9 => queue.pass(1_000_000 + job).expect("open"),
                        _ => drop(queue.submit(job, Full::Wait, false, |_| {}).expect("open")),
                    }
                    assert!(queue.len() <= 5 + MOST_PASSED);
                }
                queue.close();
            }
        });
        let mut expected = 0;
        while let Some(result) = queue.next() {
            assert_eq!(result, if expected % 10 == 9 { 1_000_000 + expected } else { 2 * expected });
            expected += 1;
        }
        assert_eq!(expected, 500);
        producer.join().expect("producer");
    }

    #[test]
    fn draining_waits_for_the_last_result_to_leave() {
        let queue = Arc::new(OrderedQueue::new(4));
        let _workers = doubling(&queue, 2);
        for job in 0..4 {
            queue.submit(job, Full::Wait, false, |_| {}).expect("room");
        }
        let draining = thread::spawn({
            let queue = queue.clone();
            move || queue.drain()
        });
        for job in 0..4 {
            assert_eq!(queue.next(), Some(2 * job));
        }
        thread::sleep(Duration::from_millis(20));
        assert!(!draining.is_finished(), "the last result may still be on its way");
        let asking = thread::spawn({
            let queue = queue.clone();
            move || queue.next()
        });
        draining.join().expect("drained");
        queue.close();
        assert_eq!(asking.join().expect("no panic"), None);
    }

    #[test]
    fn a_panic_costs_one_job() {
        let queue = Arc::new(OrderedQueue::new(4));
        let panicked = Arc::new(Mutex::new(Vec::new()));
        let told = panicked.clone();
        let worker = || {
            |job: u64| {
                assert!(job != 2, "a job that panics");
                job
            }
        };
        let on_panic = move |job| told.lock().expect("not poisoned").push(job);
        let workers = Workers::start(&queue, "test", 1, worker, |job| *job, on_panic).expect("a thread");
        for job in 1..=4 {
            queue.submit(job, Full::Wait, false, |_| {}).expect("open");
        }
        assert_eq!([queue.next(), queue.next(), queue.next()], [Some(1), Some(3), Some(4)]);
        drop(workers);
        assert_eq!(*panicked.lock().expect("not poisoned"), [2]);
    }
}
