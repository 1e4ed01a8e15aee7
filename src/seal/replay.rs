//! Which counters have been seen: told once, in output order, after verification.

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
    lost: u64,
}

impl ReplayWindow {
    /// A window over the last `size` counters, at least 1.
    pub fn new(size: u32) -> ReplayWindow {
        let size = u64::from(size.max(1));
        ReplayWindow { size, seen: vec![0; size.div_ceil(64) as usize], first: 0, highest: None, lost: 0 }
    }

    /// Forgets everything but the count of lost ones. For a local application's own seek, never for a packet's sake.
    pub fn reset(&mut self) {
        self.seen.fill(0);
        self.highest = None;
    }

    /// Counters between the first and the newest seen that have not come.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Tells and remembers a counter.
    pub fn admit(&mut self, counter: u64) -> Verdict {
        let Some(highest) = self.highest else {
            self.first = counter;
            self.highest = Some(counter);
            self.mark(counter);
            return Verdict::Fresh;
        };
        if counter > highest {
            let gap = counter - highest - 1;
            self.lost = self.lost.saturating_add(gap);
            // Slots between the two now stand for counters that have not come.
            (0..gap.min(self.size)).for_each(|back| self.clear(counter - 1 - back));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a set of all counters ever seen.
        #[test]
        fn agrees_with_a_set(size in 1u32..200, counters in prop::collection::vec(0u64..400, 1..300)) {
            let mut window = ReplayWindow::new(size);
            let mut seen = BTreeSet::new();
            let first = counters[0];
            for counter in counters {
                let highest = seen.last().copied();
                let expected = match highest {
                    None => Verdict::Fresh,
                    Some(highest) if counter > highest => Verdict::Fresh,
                    Some(highest) if highest - counter >= u64::from(size) => Verdict::Replayed,
                    Some(_) if seen.contains(&counter) => Verdict::Replayed,
                    Some(_) => Verdict::Reordered,
                };
                prop_assert_eq!(window.admit(counter), expected);
                if expected != Verdict::Replayed {
                    seen.insert(counter);
                }
            }
            let since_joining = seen.range(first..).count() as u64;
            prop_assert_eq!(window.lost(), seen.last().unwrap() - first + 1 - since_joining);
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
