//! What a bad line does to buffers: decisions alone, from a seed. `chaosfault` carries them out.

use std::collections::VecDeque;

use crate::analysis::random::Random;

/// How often each fault befalls a buffer, 0 to 1, and how far it goes.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// Does not leave.
    pub loss: f64,
    /// Leaves twice.
    pub duplicate: f64,
    /// Is held back, while others pass.
    pub reorder: f64,
    /// Loses its end.
    pub truncate: f64,
    /// Gets one bit flipped.
    pub flip: f64,
    /// Comes late, with everything behind it.
    pub delay: f64,
    /// Buffers that come before one that is held back leaves: at most so many.
    pub reorder_distance: u32,
    /// The longest delay, ns.
    pub delay_max_ns: u64,
}

/// What befalls one buffer. One that is lost suffers nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// It does not leave.
    pub lost: bool,
    /// It leaves twice.
    pub doubled: bool,
    /// So many buffers come before it leaves.
    pub held_for: u32,
    /// Bytes that are left of it.
    pub truncated_to: Option<usize>,
    /// The bit that is flipped, of what is left.
    pub flipped_bit: Option<usize>,
    /// Time that it waits, ns.
    pub delay_ns: u64,
}

impl Rates {
    /// Draws what befalls a buffer of so many bytes. The draws are as many for each, so that a rate changes its own faults
    /// and no others, except how far they go in buffers of other sizes.
    pub fn draw(&self, random: &mut Random, bytes: usize) -> Fate {
        // Never 0: nothing befalls anybody at rate 0, and everybody at 1.
        let mut befalls = |rate: f64| random.unit() <= rate;
        let [lost, doubled, held, truncated, flipped, delayed] =
            [self.loss, self.duplicate, self.reorder, self.truncate, self.flip, self.delay].map(&mut befalls);
        let [distance, length, bit, delay] = [(); 4].map(|()| 1.0 - random.unit());
        if lost {
            return Fate { lost, ..Fate::default() };
        }
        let truncated_to = (truncated && bytes > 0).then(|| below(length, bytes));
        let bits = truncated_to.unwrap_or(bytes).saturating_mul(8);
        let farthest = self.reorder_distance.max(1);
        Fate {
            lost,
            doubled,
            held_for: if held { 1 + below(distance, farthest as usize) as u32 } else { 0 },
            truncated_to,
            flipped_bit: (flipped && bits > 0).then(|| below(bit, bits)),
            delay_ns: if delayed { ((1.0 - delay) * self.delay_max_ns as f64).ceil() as u64 } else { 0 },
        }
    }
}

/// A number below `end` for a number from 0 to below 1.
fn below(unit: f64, end: usize) -> usize {
    ((unit * end as f64) as usize).min(end.saturating_sub(1))
}

/// Items in the order in which they leave. One that is held for `n` leaves after `n` more have come, so no more than the
/// longest distance wait here.
#[derive(Debug)]
pub struct Line<T> {
    /// Number of the next item that comes.
    next: u64,
    /// Newest item that has left.
    newest: Option<u64>,
    held: VecDeque<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    number: u64,
    /// How many are still to come before it leaves.
    wait: u32,
    item: T,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line { next: 0, newest: None, held: VecDeque::new() }
    }
}

impl<T> Line<T> {
    /// An item comes; `leave` is called for each that leaves by that, and told whether a later one left before it.
    pub fn come(&mut self, item: T, held_for: u32, mut leave: impl FnMut(T, bool)) {
        let number = self.next;
        self.next += 1;
        self.held.iter_mut().for_each(|held| held.wait -= 1);
        // The one that has come goes first: it is what those pass that were held for it.
        let mut come = Some(Held { number, wait: held_for, item });
        if let Some(passing) = come.take_if(|come| come.wait == 0) {
            self.leave(passing, &mut leave);
        }
        while let Some(at) = self.held.iter().position(|held| held.wait == 0) {
            let held = self.held.remove(at).expect("just found");
            self.leave(held, &mut leave);
        }
        self.held.extend(come);
    }

    /// Everything that is held leaves, in the order in which it came.
    pub fn release(&mut self, mut leave: impl FnMut(T, bool)) {
        while let Some(held) = self.held.pop_front() {
            self.leave(held, &mut leave);
        }
    }

    /// Drops everything that is held, and tells how many that were.
    pub fn clear(&mut self) -> u64 {
        let dropped = self.held.len() as u64;
        self.held.clear();
        dropped
    }

    fn leave(&mut self, held: Held<T>, leave: &mut impl FnMut(T, bool)) {
        let late = self.newest.is_some_and(|newest| newest > held.number);
        self.newest = self.newest.max(Some(held.number));
        leave(held.item, late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> Random {
        Random::new(&[7; 32], "test")
    }

    #[test]
    fn rates_of_nothing_and_of_everything() {
        let mut random = random();
        let all = Rates { duplicate: 1.0, reorder: 1.0, truncate: 1.0, flip: 1.0, delay: 1.0, ..Rates::default() };
        let all = Rates { reorder_distance: 3, delay_max_ns: 10, ..all };
        for bytes in [0, 1, 2, 100] {
            assert_eq!(Rates::default().draw(&mut random, bytes), Fate::default());
            for _ in 0..200 {
                let fate = all.draw(&mut random, bytes);
                assert!(fate.doubled && (1..=3).contains(&fate.held_for) && fate.delay_ns <= 10);
                assert_eq!(fate.truncated_to.is_some(), bytes > 0);
                let left = fate.truncated_to.unwrap_or(0);
                assert!(left < bytes.max(1) && fate.flipped_bit.is_none_or(|bit| bit < 8 * left));
                assert_eq!(fate.flipped_bit.is_some(), left > 0);
            }
            let lost = Rates { loss: 1.0, ..all.clone() }.draw(&mut random, bytes);
            assert_eq!(lost, Fate { lost: true, ..Fate::default() });
        }
    }

    #[test]
    fn a_rate_is_kept_and_changes_no_other_fault() {
        let draw = |rates: &Rates| {
            let mut random = random();
            (0..10_000).map(|_| rates.draw(&mut random, 100)).collect::<Vec<_>>()
        };
        let few = draw(&Rates { duplicate: 0.1, ..Rates::default() });
        let both = draw(&Rates { duplicate: 0.1, flip: 0.5, ..Rates::default() });
        let doubled = few.iter().filter(|fate| fate.doubled).count();
        // Six standard deviations of 30.
        assert!((820..1180).contains(&doubled), "{doubled}");
        assert!(few.iter().zip(&both).all(|(few, both)| few.doubled == both.doubled));
    }

    #[test]
    fn held_items_leave_after_as_many() {
        let (mut line, mut left) = (Line::default(), Vec::new());
        for (item, held_for) in [(0, 2), (1, 0), (2, 0), (3, 1), (4, 0), (5, 3), (6, 1)] {
            line.come(item, held_for, |item, late| left.push((item, late)));
        }
        assert_eq!(left, [(1, false), (2, false), (0, true), (4, false), (3, true)]);
        left.clear();
        line.release(|item, late| left.push((item, late)));
        assert_eq!(left, [(5, false), (6, false)]);
        line.come(7, 5, |_, _| unreachable!("it is held"));
        assert_eq!((line.clear(), line.clear()), (1, 0));
    }
}
