//! `chaosfault` does what its counters say, and `chaosdec` behind it lets out nothing but what was sent.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use gst::prelude::*;

use super::{
    common::{Keys, in_time},
    pictures::{self, bytes, frames, info, noise, stamped},
    rig::{Item, Rig, buffers, eos, start, stream},
};

const COUNT: u64 = 400;
const BYTES: usize = 100;

fn any_caps() -> gst::Caps {
    gst::Caps::new_empty_simple("application/x-anything")
}

fn sent() -> Vec<gst::Buffer> {
    (0..COUNT).map(|number| stamped(noise(number + 1, BYTES), number)).collect()
}

/// Number of a buffer, by its time.
fn number(buffer: &gst::BufferRef) -> u64 {
    buffer.pts().expect("every buffer has a time").mseconds() / 40
}

/// A run: number and bytes of what came out, and the counters.
struct Ran {
    out: Vec<(u64, Vec<u8>)>,
    rig: Rig,
}

impl Ran {
    fn new(settings: &str) -> Ran {
        let rig = Rig::new(&format!("chaosfault {settings}"));
        let items = rig.run(stream(&any_caps(), sent()));
        let out = buffers(&items).into_iter().map(|buffer| (number(buffer), bytes(buffer))).collect();
        Ran { out, rig }
    }

    fn stat(&self, name: &str) -> u64 {
        self.rig.stat("chaosfault", name)
    }

    /// Lost, duplicated, reordered, truncated, flipped, delayed; the sums agree.
    fn counts(&self) -> [u64; 6] {
        assert_eq!((self.stat("buffers-in"), self.stat("buffers-out")), (COUNT, self.out.len() as u64));
        let counts = ["lost", "duplicated", "reordered", "truncated", "flipped", "delayed"].map(|name| self.stat(name));
        assert_eq!(COUNT + counts[1], self.out.len() as u64 + counts[0]);
        assert_eq!(self.stat("dropped"), 0);
        counts
    }

    fn numbers(&self) -> Vec<u64> {
        self.out.iter().map(|(number, _)| *number).collect()
    }
}

fn original(number: u64) -> Vec<u8> {
    noise(number + 1, BYTES)
}

/// How many come after a later one, each counted once.
fn late(numbers: &[u64]) -> u64 {
    let mut newest = 0;
    let mut late = BTreeSet::new();
    for &number in numbers {
        newest = newest.max(number);
        late.extend((number < newest).then_some(number));
    }
    late.len() as u64
}

#[test]
fn without_faults_everything_passes_untouched() {
    in_time(|| {
        let ran = Ran::new("");
        assert_eq!(ran.counts(), [0; 6]);
        assert_eq!(ran.numbers(), (0..COUNT).collect::<Vec<_>>());
        assert!(ran.out.iter().all(|(number, bytes)| *bytes == original(*number)));
    });
}

#[test]
fn what_befalls_everybody_befalls_everybody() {
    in_time(|| {
        assert_eq!(Ran::new("loss=1 duplicate=1 flip=1").counts(), [COUNT, 0, 0, 0, 0, 0]);
        let ran = Ran::new("duplicate=1 delay=1 delay-max=1000");
        assert_eq!(ran.counts(), [0, COUNT, 0, 0, 0, COUNT]);
        assert_eq!(ran.numbers(), (0..COUNT).flat_map(|number| [number; 2]).collect::<Vec<_>>());
        // All are held equally long, so none overtakes another.
        let ran = Ran::new("reorder=1 reorder-distance=1");
        assert_eq!(ran.counts(), [0; 6]);
        assert_eq!(ran.numbers(), (0..COUNT).collect::<Vec<_>>());
    });
}

#[test]
fn counters_tell_exactly_what_came_out() {
    in_time(|| {
        let [lost, ..] = Ran::new("seed=1 loss=0.2").counts();
        assert!((30..150).contains(&lost), "{lost}");

        let ran = Ran::new("seed=2 flip=0.3");
        let bits = |(number, bytes): &(u64, Vec<u8>)| -> u32 {
            bytes.iter().zip(original(*number)).map(|(came, sent)| (came ^ sent).count_ones()).sum()
        };
        let flipped: Vec<u32> = ran.out.iter().map(bits).collect();
        assert!(flipped.iter().all(|&bits| bits <= 1));
        assert_eq!(ran.counts(), [0, 0, 0, 0, u64::from(flipped.iter().sum::<u32>()), 0]);
        assert!(ran.stat("flipped") > 60 && ran.out.iter().all(|(_, bytes)| bytes.len() == BYTES));

        let ran = Ran::new("seed=3 truncate=0.3");
        assert!(ran.out.iter().all(|(number, bytes)| original(*number).starts_with(bytes)));
        let shorter = ran.out.iter().filter(|(_, bytes)| bytes.len() < BYTES).count() as u64;
        assert_eq!(ran.counts(), [0, 0, 0, shorter, 0, 0]);
        assert!(shorter > 60);

        let ran = Ran::new("seed=4 reorder=0.3 reorder-distance=4");
        let numbers = ran.numbers();
        assert_eq!(ran.counts(), [0, 0, late(&numbers), 0, 0, 0]);
        assert!(late(&numbers) > 60);
        assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>().len() as u64, COUNT);
        assert!(numbers.iter().enumerate().all(|(place, &number)| place as u64 <= number + 4));
    });
}

#[test]
fn the_same_seed_makes_the_same_faults() {
    in_time(|| {
        let all = "loss=0.1 duplicate=0.1 reorder=0.2 reorder-distance=5 truncate=0.1 flip=0.2";
        let (one, other) = (Ran::new(&format!("seed=5 {all}")), Ran::new(&format!("seed=5 {all}")));
        assert_eq!(one.counts(), other.counts());
        assert!(one.out == other.out);
        assert!(one.counts()[..5].iter().all(|&count| count > 0), "{:?}", one.counts());
        assert!(Ran::new(&format!("seed=6 {all}")).out != one.out);
    });
}

#[test]
fn a_flush_drops_what_is_held_and_events_wait_for_it() {
    in_time(|| {
        let rig = Rig::new("chaosfault reorder=1 reorder-distance=1024 seed=9");
        let mut sent = sent().into_iter();
        rig.feed(start(&any_caps()));
        // None of the seed's first distances is as short as that.
        rig.feed(sent.by_ref().take(3).map(Item::Buffer));
        assert_eq!(rig.stat("chaosfault", "buffers-out"), 0);
        rig.feed([gst::event::FlushStart::new(), gst::event::FlushStop::new(true)].map(Item::Event));
        assert_eq!(rig.stat("chaosfault", "dropped"), 3);
        rig.feed(start(&any_caps()).split_off(2));
        rig.feed(sent.by_ref().take(2).map(Item::Buffer));
        let tags = gst::event::CustomDownstream::new(gst::Structure::new_empty("in-its-place"));
        rig.feed([Item::Event(tags)]);
        rig.feed(sent.by_ref().take(1).map(Item::Buffer).chain([eos()]));
        let came = rig.until_eos();
        assert_eq!(buffers(&came).iter().map(|buffer| number(buffer)).collect::<Vec<_>>(), [3, 4, 5]);
        let place = came
            .iter()
            .position(|item| matches!(item, Item::Event(e) if e.type_() == gst::EventType::CustomDownstream));
        assert_eq!(buffers(&came[..place.expect("it passes")]).len(), 2);
    });
}

/// Cipher pictures through a bad line; what left it, by number, and the rig after the end.
fn over_a_bad_line(faults: &str) -> (Vec<u64>, Vec<u64>, Rig) {
    let (keys, info) = (Keys::new(), info("I420", 64, 48));
    let sent = frames(&info, 100);
    let rig =
        Rig::new(&format!("chaosenc output=picture {key} ! chaosfault {faults} ! chaosdec {key}", key = keys.psk()));
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let seen = arrived.clone();
    let pad = rig.element("chaosfault").static_pad("src").expect("it has one");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        seen.lock().expect("no panic").extend(probe.buffer().map(|buffer| number(buffer)));
        gst::PadProbeReturn::Ok
    });
    let items = rig.run(stream(&pictures::caps(&info), sent.clone()));
    let came: Vec<u64> = buffers(&items).iter().map(|buffer| number(buffer)).collect();
    for (buffer, &number) in buffers(&items).iter().zip(&came) {
        let wanted = &sent[number as usize];
        assert!(pictures::visible(buffer, &info) == pictures::visible(wanted, &info), "frame {number} differs");
    }
    let arrived = std::mem::take(&mut *arrived.lock().expect("no panic"));
    (arrived, came, rig)
}

#[test]
fn behind_a_bad_line_every_frame_is_one_that_was_sent_and_the_losses_are_told() {
    in_time(|| {
        let faults = "seed=10 loss=0.1 duplicate=0.1 reorder=0.1 reorder-distance=3";
        let (arrived, came, rig) = over_a_bad_line(faults);
        // What comes late, or again, does not leave.
        let mut expected: Vec<u64> = Vec::new();
        for &number in &arrived {
            if expected.last().is_none_or(|&newest| number > newest) {
                expected.push(number);
            }
        }
        assert_eq!(came, expected);
        let fault = |name| rig.stat("chaosfault", name);
        let told = |name| rig.stat("chaosdec", name);
        assert!(fault("lost") > 0 && fault("duplicated") > 0 && fault("reordered") > 0);
        let (first, last) = (arrived[0], *expected.last().expect("not all is lost"));
        let distinct = arrived.iter().filter(|&&number| number >= first).collect::<BTreeSet<_>>().len() as u64;
        assert_eq!(told("lost"), last - first + 1 - distinct);
        assert_eq!((told("reordered"), told("replayed")), (fault("reordered"), fault("duplicated")));
        assert_eq!((told("rejected"), told("frames-out")), (0, came.len() as u64));
    });
}

#[test]
fn behind_a_line_that_flips_bits_no_frame_is_changed() {
    in_time(|| {
        let (arrived, came, rig) = over_a_bad_line("seed=11 flip=0.4");
        let rejected = rig.stat("chaosdec", "rejected");
        assert_eq!(rejected + came.len() as u64, arrived.len() as u64);
        assert!(rejected > 0 && rejected <= rig.stat("chaosfault", "flipped"));
    });
}
