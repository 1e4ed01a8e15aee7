//! Which counters have been seen: told once, in output order, after verification.

use std::collections::BTreeMap;

/// What a counter is to a reader that has seen others before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Newer than everything before.
    Fresh,
    /// Older than the last, not seen before: late.
    Reordered,
    /// Seen before, or too old to tell.
    Replayed,
}

/// A sliding window over counters, and the exact number of those that never came.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    size: u64,
    /// Bit `counter % size`: seen.
    seen: Vec<u64>,
    /// The counter at which this reader joined; none before it counts as lost.
    first: u64,
    highest: Option<u64>,
    /// Newer than the highest: they came and were dropped by this reader itself.
    dropped: Ranges,
    lost: u64,
    passed_over: u64,
}

impl ReplayWindow {
    /// A window over the last `size` counters, at least 1.
    pub fn new(size: u32) -> ReplayWindow {
        let size = u64::from(size.max(1));
        let seen = vec![0; size.div_ceil(64) as usize];
        ReplayWindow { size, seen, first: 0, highest: None, dropped: Ranges::default(), lost: 0, passed_over: 0 }
    }

    /// Forgets everything but the counts. For a local application's own seek, never for a packet's sake.
    pub fn reset(&mut self) {
        self.seen.fill(0);
        self.highest = None;
        self.dropped = Ranges::default();
    }

    /// Counters between the first and the newest seen that have not come.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Counters that the newest one has passed over although they had come, see [`ReplayWindow::drop_before_admitting`].
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// A frame has come and is dropped by the reader itself, for want of room: it will not be admitted, nor is it lost.
    /// To be told before a newer one is admitted.
    pub fn drop_before_admitting(&mut self, counter: u64) {
        if self.highest.is_none_or(|highest| counter > highest) {
            self.dropped.insert(counter);
        }
    }

    /// Tells and remembers a counter.
    pub fn admit(&mut self, counter: u64) -> Verdict {
        let Some(highest) = self.highest else {
            self.dropped.take_to(counter, |_, _| {});
            self.first = counter;
            self.highest = Some(counter);
            self.mark(counter);
            return Verdict::Fresh;
        };
        if counter > highest {
            let gap = counter - highest - 1;
            // Slots between the two now stand for counters that have not come.
            (0..gap.min(self.size)).for_each(|back| self.clear(counter - 1 - back));
            let mut dropped = std::mem::take(&mut self.dropped);
            let (oldest, mut passed_over) = (counter.saturating_sub(self.size - 1), 0);
            dropped.take_to(counter, |start, end| {
                passed_over += end - start;
                (start.max(oldest)..end).for_each(|dropped| self.mark(dropped));
            });
            self.dropped = dropped;
            self.passed_over += passed_over;
            self.lost = self.lost.saturating_add(gap - passed_over);
            self.highest = Some(counter);
            self.mark(counter);
            return Verdict::Fresh;
        }
        if highest - counter >= self.size || self.is_seen(counter) {
            return Verdict::Replayed;
        }
        self.mark(counter);
        if counter > self.first {
            self.lost -= 1;
        }
        Verdict::Reordered
    }

    fn slot(&self, counter: u64) -> (usize, u64) {
        let bit = counter % self.size;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn mark(&mut self, counter: u64) {
        let (word, bit) = self.slot(counter);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, counter: u64) {
        let (word, bit) = self.slot(counter);
        self.seen[word] &= !bit;
    }

    fn is_seen(&self, counter: u64) -> bool {
        let (word, bit) = self.slot(counter);
        self.seen[word] & bit != 0
    }
}

/// Counters in ranges that do not overlap: first one, and the one after the last.
#[derive(Clone, Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

/// Ranges kept; a reader that drops frames drops many in a row.
const MOST_RANGES: usize = 4096;

impl Ranges {
    fn insert(&mut self, counter: u64) {
        let (after, room) = (counter.saturating_add(1), self.0.len() < MOST_RANGES);
        match self.0.range_mut(..=counter).next_back() {
            Some((_, end)) if *end > counter => {}
            Some((_, end)) if *end == counter => *end = after,
            _ if room => drop(self.0.insert(counter, after)),
            _ => {}
        }
    }

    /// Takes out everything up to `counter` and hands on the ranges of what is less.
    fn take_to(&mut self, counter: u64, mut less: impl FnMut(u64, u64)) {
        while let Some(entry) = self.0.first_entry().filter(|entry| *entry.key() <= counter) {
            let (start, end) = entry.remove_entry();
            if start < counter {
                less(start, end.min(counter));
            }
            let later = counter.saturating_add(1);
            if end > later {
                self.0.insert(later, end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a set of all counters ever seen. One in four is dropped before it is admitted.
        #[test]
        fn agrees_with_a_set(size in 1u32..200, counters in prop::collection::vec((0u64..400, 0..4), 1..300)) {
            let mut window = ReplayWindow::new(size);
            let (mut seen, mut dropped) = (BTreeSet::new(), BTreeSet::new());
            let (mut highest, mut first, mut passed_over) = (None, 0, 0);
            for (counter, way) in counters {
                if way == 0 {
                    window.drop_before_admitting(counter);
                    if highest.is_none_or(|highest| counter > highest) {
                        dropped.insert(counter);
                    }
                    continue;
                }
                let expected = match highest {
                    None => Verdict::Fresh,
                    Some(highest) if counter > highest => Verdict::Fresh,
                    Some(highest) if highest - counter >= u64::from(size) => Verdict::Replayed,
                    Some(_) if seen.contains(&counter) => Verdict::Replayed,
                    Some(_) => Verdict::Reordered,
                };
                prop_assert_eq!(window.admit(counter), expected);
                if expected == Verdict::Fresh {
                    let later = dropped.split_off(&counter);
                    match highest {
                        None => first = counter,
                        Some(_) => {
                            passed_over += dropped.len() as u64;
                            seen.append(&mut dropped);
                        }
                    }
                    dropped = later.into_iter().filter(|&dropped| dropped > counter).collect();
                    highest = Some(counter);
                }
                if expected != Verdict::Replayed {
                    seen.insert(counter);
                }
            }
            let Some(highest) = highest else { return Ok(()) };
            let since_joining = seen.range(first..).count() as u64;
            prop_assert_eq!(window.lost(), highest - first + 1 - since_joining);
            prop_assert_eq!(window.passed_over(), passed_over);
        }
    }

    #[test]
    fn a_jump_wider_than_the_window_costs_no_time() {
        let mut window = ReplayWindow::new(1024);
        window.admit(0);
        assert_eq!(window.admit(u64::MAX), Verdict::Fresh);
        assert_eq!(window.lost(), u64::MAX - 1);
        assert_eq!(window.admit(0), Verdict::Replayed);
    }
}
