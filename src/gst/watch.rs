//! The network of a guard: it looks at squares of frames that are about to leave, in a thread of its own.
//!
//! One square of 128 x 128 samples of the first channel, elsewhere in each frame, of one frame of every interval. What does
//! not look plain ends the look. Where one does, further squares follow, none of them twice: of the same frame, then of the
//! next ones without waiting for an interval. After [`CONFIRMATIONS`] in a row the alarm is raised, and meets the next frame
//! or end record: a stream of cipher pictures has no end record, and an alarm of its last frames stops nothing. Of sound ciphertext each square looks like chance anew, so that a network that takes one
//! square in `n` for plain gives a false alarm in one look of `n^4`. Of 20,111 crops of `train evaluate`, it
//! took none for plain: `n` is above 6,600 (95 %), `n^4` above 10^15. Other labels are no alarm, and what they mean is found by the
//! statistics.
//!
//! The first frame that is large enough waits for its look, and those that other workers have in hand wait with it, so that
//! none is pushed where it shows four squares that look plain. Later frames do not wait: those that the network judges have left by then, and so have some after them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::{alarm::Alarm, first_channel::Channel, runner::lock};
use crate::{
    Error, Result,
    frame::View,
    nn::{Classifier, Label, preprocessing::CROP},
};

/// Squares in a row that look plain.
const CONFIRMATIONS: usize = 4;

/// Squares of one frame, and who waits for them to be seen.
struct Look {
    frame: u64,
    squares: Vec<Vec<u8>>,
    seen: Option<Sender<()>>,
}

/// How it stands with the network.
#[derive(Default)]
struct State {
    /// A look is being taken.
    busy: AtomicBool,
    /// The last square looked plain.
    suspicious: AtomicBool,
    /// There will be no more verdicts.
    ended: AtomicBool,
}

/// The network at work. Dropped, it waits for the square in hand.
pub struct Watch {
    /// Holds nothing: a look is taken by a thread that waits for one, or by nobody. `None` only while it is dropped.
    looks: Option<Sender<Look>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<State>,
    alarm: Alarm,
    interval: Duration,
    /// When a frame was last shown.
    last: Mutex<Option<Instant>>,
}

impl Watch {
    /// Starts the thread, which raises `alarm`.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn start(interval: Duration, alarm: Alarm) -> Result<Watch> {
        let classifier = Classifier::embedded(1)?;
        Watch::with(interval, alarm, move |square| {
            classifier.classify_crops(&[square]).iter().all(|told| told.label() == Label::Plain)
        })
    }

    /// As [`Watch::start`], with another network, which tells of a square whether it looks plain.
    pub(super) fn with(
        interval: Duration,
        alarm: Alarm,
        looks_plain: impl FnMut(Vec<u8>) -> bool + Send + 'static,
    ) -> Result<Watch> {
        let (looks, receiver) = crossbeam_channel::bounded(0);
        let state = Arc::<State>::default();
        let (told, raised) = (state.clone(), alarm.clone());
        let thread = std::thread::Builder::new()
            .name("chaosenc-guard".into())
            .spawn(move || {
                // What it panicked of has been reported.
                let _ = catch_unwind(AssertUnwindSafe(|| look_on(&receiver, looks_plain, &told, &raised)));
                told.ended.store(true, Relaxed);
            })
            .map_err(|source| Error::Io { what: "starting the guard's thread".into(), source })?;
        Ok(Watch { looks: Some(looks), thread: Some(thread), state, alarm, interval, last: Mutex::default() })
    }

    /// What has been found by now.
    ///
    /// # Errors
    /// [`Error::LooksPlain`], and [`Error::Refused`] where the network has ended.
    pub fn verdict(&self) -> Result<()> {
        self.alarm.check()?;
        match self.state.ended.load(Relaxed) {
            false => Ok(()),
            true => Err(ENDED),
        }
    }

    /// Shows a frame to the network, if it is time for it.
    ///
    /// # Errors
    /// As [`Watch::verdict`].
    pub fn look(&self, frame: u64, sealed: View, channel: &Channel) -> Result<()> {
        // Held until the first frame has been seen: no other passes before.
        let mut last = lock(&self.last);
        self.verdict()?;
        if !last.is_none_or(|last| self.is_due(last)) {
            return Ok(());
        }
        let squares = squares(frame, sealed, channel)?;
        let Some(looks) = self.looks.as_ref().filter(|_| !squares.is_empty()) else { return Ok(()) };
        if last.is_none() {
            let (seen, wait) = crossbeam_channel::bounded(1);
            looks.send(Look { frame, squares, seen: Some(seen) }).map_err(|_| ENDED)?;
            wait.recv().map_err(|_| ENDED)?;
        } else {
            match looks.try_send(Look { frame, squares, seen: None }) {
                Ok(()) => {}
                // A later frame is newer.
                Err(TrySendError::Full(_)) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(ENDED),
            }
        }
        *last = Some(Instant::now());
        self.verdict()
    }

    fn is_due(&self, last: Instant) -> bool {
        let State { busy, suspicious, .. } = &*self.state;
        !busy.load(Relaxed) && (suspicious.load(Relaxed) || last.elapsed() >= self.interval)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looks = None;
        if let Some(thread) = self.thread.take() {
            // Its panics have been caught.
            let _ = thread.join();
        }
    }
}

const ENDED: Error = Error::Refused("the guard's network has ended, and nothing leaves unseen");

/// Until nobody has frames any more.
fn look_on(looks: &Receiver<Look>, mut looks_plain: impl FnMut(Vec<u8>) -> bool, state: &State, alarm: &Alarm) {
    let mut in_a_row = 0;
    for Look { frame, squares, seen } in looks {
        state.busy.store(true, Relaxed);
        for square in squares {
            in_a_row = if looks_plain(square) { in_a_row + 1 } else { 0 };
            if in_a_row == CONFIRMATIONS {
                alarm.raise(frame, format!("the network took {CONFIRMATIONS} squares in a row for plain"));
            }
            if in_a_row == 0 || in_a_row >= CONFIRMATIONS {
                break;
            }
        }
        state.suspicious.store(in_a_row > 0, Relaxed);
        state.busy.store(false, Relaxed);
        if let Some(seen) = seen {
            // Who has asked waits.
            let _ = seen.send(());
        }
    }
}

/// Squares that do not overlap, at most as many as are needed, others in each frame.
fn squares(frame: u64, sealed: View, channel: &Channel) -> Result<Vec<Vec<u8>>> {
    let (width, height) = channel.size();
    let (columns, rows) = (width / CROP, height / CROP);
    let count = columns * rows;
    let wanted = count.min(CONFIRMATIONS);
    let square = |number: usize| {
        let place = (frame as usize % count + number) % count;
        channel.crop(sealed, (place % columns * CROP, place / columns * CROP), CROP)
    };
    (0..wanted).map(square).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gst::video::Content;

    const LONG: Duration = Duration::from_secs(3600);

    fn silent() -> Alarm {
        Alarm::new(|_, _| {})
    }

    fn channel(caps: &str) -> Channel {
        gst::init().expect("GStreamer starts");
        let caps: gst::Caps = format!("video/x-raw, framerate=25/1, {caps}").parse().expect("caps");
        let Ok(Content::Raw(raw)) = Content::of(&caps) else { panic!("{caps}") };
        Channel::of(&raw, &raw.layout).expect("eight bits")
    }

    fn looks(watch: &Watch, frames: u64, side: usize) -> Vec<bool> {
        let channel = channel(&format!("format=GRAY8, width={side}, height={side}"));
        let bytes = vec![0; side * side];
        (0..frames).map(|frame| watch.look(frame, View::Together(&bytes), &channel).is_ok()).collect()
    }

    #[test]
    fn a_first_frame_that_looks_plain_does_not_pass() {
        let watch = Watch::with(LONG, silent(), |_| true).expect("a thread");
        assert_eq!(looks(&watch, 2, 256), [false, false]);
        assert!(matches!(watch.verdict(), Err(Error::LooksPlain { frame: 0, .. })));
    }

    #[test]
    fn no_worker_passes_before_the_first_look_has_ended() {
        let slow = |_| {
            std::thread::sleep(Duration::from_millis(30));
            true
        };
        let watch = Watch::with(LONG, silent(), slow).expect("a thread");
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2).map(|_| scope.spawn(|| looks(&watch, 3, 256))).collect();
            for worker in workers {
                assert_eq!(worker.join().expect("no panic"), [false; 3]);
            }
        });
    }

    #[test]
    fn frames_without_a_square_are_not_the_first() {
        let watch = Watch::with(LONG, silent(), |_| true).expect("a thread");
        assert_eq!(looks(&watch, 2, 127), [true; 2]);
        assert_eq!(looks(&watch, 2, 256), [false; 2]);
    }

    /// Two squares a frame: the second frame brings the confirmation, without an interval between.
    #[test]
    fn small_frames_confirm_each_other() {
        let watch = Watch::with(LONG, silent(), |_| true).expect("a thread");
        let channel = channel("format=GRAY8, width=256, height=128");
        let bytes = vec![0; 256 * 128];
        assert!(watch.look(0, View::Together(&bytes), &channel).is_ok());
        let begun = Instant::now();
        let refused = (1..).find(|&frame| {
            std::thread::sleep(Duration::from_millis(1));
            watch.look(frame, View::Together(&bytes), &channel).is_err() || begun.elapsed() > Duration::from_secs(10)
        });
        assert!(watch.verdict().is_err(), "{refused:?}");
    }

    /// Three in a row and then another, again and again.
    #[test]
    fn fewer_in_a_row_are_no_alarm() {
        let mut seen = 0;
        let watch = Watch::with(Duration::ZERO, silent(), move |_| {
            seen += 1;
            seen % CONFIRMATIONS != 0
        });
        let watch = watch.expect("a thread");
        assert!(looks(&watch, 1000, 512).into_iter().all(|passes| passes));
    }

    #[test]
    fn an_interval_is_kept_and_small_frames_are_not_seen() {
        let count = Arc::new(Mutex::new(0));
        let counted = count.clone();
        let watch = Watch::with(LONG, silent(), move |_| {
            *lock(&counted) += 1;
            false
        });
        let watch = watch.expect("a thread");
        assert!(looks(&watch, 100, 300).into_iter().all(|passes| passes));
        assert_eq!(*lock(&count), 1);
        let watch = Watch::with(LONG, silent(), |_| true).expect("a thread");
        assert!(looks(&watch, 100, 127).into_iter().all(|passes| passes));
    }

    /// The network that comes with the program, and not one of the test's own.
    #[test]
    fn the_network_refuses_a_picture_and_passes_noise() {
        let channel = channel("format=GRAY8, width=256, height=256");
        let wave = |at: usize| ((at % 256) as f64 / 17.0).sin() + ((at / 256) as f64 / 23.0).cos();
        let picture: Vec<u8> = (0..256 * 256).map(|at| (wave(at) * 60.0 + 128.0) as u8).collect();
        let watch = Watch::start(LONG, silent()).expect("a network");
        assert!(watch.look(0, View::Together(&picture), &channel).is_err());
        let watch = Watch::start(Duration::ZERO, silent()).expect("a network");
        let mut noise = vec![0; 256 * 256];
        for frame in 0..50 {
            blake3::Hasher::new().update(&[frame]).finalize_xof().fill(&mut noise);
            assert!(watch.look(frame.into(), View::Together(&noise), &channel).is_ok());
        }
    }

    #[test]
    fn fail_frames_after_the_network_has_died() {
        let watch = Watch::with(LONG, silent(), |_| panic!("in a test")).expect("a thread");
        assert_eq!(looks(&watch, 2, 128), [false, false]);
        let mut seen = 0;
        let late = move |_| {
            seen += 1;
            assert!(seen == 1, "in a test");
            false
        };
        let watch = Watch::with(Duration::ZERO, silent(), late).expect("a thread");
        let begun = Instant::now();
        while looks(&watch, 1, 128) == [true] {
            assert!(begun.elapsed() < Duration::from_secs(10), "frames pass unseen");
        }
        assert_eq!(looks(&watch, 2, 128), [false, false]);
    }

    #[test]
    fn squares_are_those_of_the_picture() {
        let channel = channel("format=RGB, width=300, height=260");
        assert_eq!(channel.size(), (300, 260));
        let row = 300 * 3;
        let bytes: Vec<u8> = (0..row * 260).map(|at| (at % row / 3 + at / row) as u8 + (at % 3) as u8).collect();
        let found = squares(1, View::Together(&bytes), &channel).expect("inside");
        let corners: Vec<(u8, u8)> = found.iter().map(|square| (square[0], square[129])).collect();
        // There are four, and the second is the first of frame 1.
        assert_eq!(corners, [(128, 130), (128, 130), (0, 2), (0, 2)]);
    }
}
