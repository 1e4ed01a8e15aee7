//! Where in a stream something is wrong: which counters, at which byte, after which time.

use std::fmt;

use serde::Serialize;

/// Troubles of a stream that are told one by one; of the others only the number is.
const MOST_TOLD: usize = 16;

/// What is wrong with a stream, in the order in which it was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Troubles {
    told: Vec<Trouble>,
    /// How many more there are.
    untold: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// `missing`, `rejected`, `replayed` or `reordered`; or why nothing more was read.
    pub what: String,
    /// Counter of the frame; of the first one where several are missing. The stream header takes the first counter, 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// Counter of the last one that is missing. A writer may have left out some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_counter: Option<u64>,
    /// Where in the file the packet stands that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Latest presentation time of the intact frames before it, ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_pts_ns: Option<u64>,
    /// What an element says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Trouble {
    /// What has come after an intact frame of that time, ns.
    pub fn after(pts: Option<u64>) -> Trouble {
        Trouble { after_pts_ns: pts, ..Trouble::default() }
    }
}

impl Troubles {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// One more.
    pub fn note(&mut self, trouble: Trouble) {
        match self.told.len() < MOST_TOLD {
            true => self.told.push(trouble),
            false => self.untold += 1,
        }
    }

    /// A line for each, and one for those that are not told.
    pub fn lines(&self) -> Vec<String> {
        let more = (self.untold > 0).then(|| format!("and {} more", self.untold));
        self.told.iter().map(Trouble::to_string).chain(more).collect()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match (self.counter, self.last_counter) {
            (Some(first), Some(last)) if last > first => write!(f, ": counters {first} to {last}")?,
            (Some(counter), _) => write!(f, ": counter {counter}")?,
            (None, _) => {}
        }
        if let Some(byte) = self.byte {
            write!(f, ", at byte {byte}")?;
        }
        if let Some(ns) = self.after_pts_ns {
            write!(f, ", after {:.3} s", ns as f64 / 1e9)?;
        }
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// Which counter of a stream comes next: what lies between it and the one that comes is missing.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    next: u64,
    /// What is wrong with the stream.
    pub troubles: Troubles,
}

impl Trail {
    /// A description or a frame of that counter is there, whatever is wrong with it. `at` tells where.
    pub fn pass(&mut self, counter: u64, at: &Trouble) {
        if counter > self.next {
            let (first, last) = (Some(self.next), Some(counter - 1));
            self.troubles.note(Trouble { what: "missing".into(), counter: first, last_counter: last, ..at.clone() });
        }
        self.next = self.next.max(counter.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_once() {
        let mut trail = Trail::default();
        let at = Trouble { byte: Some(7), after_pts_ns: Some(1_500_000_000), ..Trouble::default() };
        [0, 1, 4, 3, 5, 7].into_iter().for_each(|counter| trail.pass(counter, &at));
        let expected =
            ["missing: counters 2 to 3, at byte 7, after 1.500 s", "missing: counter 6, at byte 7, after 1.500 s"];
        assert_eq!(trail.troubles.lines(), expected);
        (0..20).for_each(|gap| trail.pass(10 + 2 * gap, &at));
        assert_eq!(trail.troubles.lines().len(), MOST_TOLD + 1);
        assert_eq!(trail.troubles.lines().last().map(String::as_str), Some("and 6 more"));
    }
}
