//! Mutants of genuine streams, in one epoch and in several, and of pictures: every single bit flipped, and as many random
//! ones as `ENDURANCE_MUTANTS` says.
//!
//! A mutant is accepted wrongly if a frame comes out of it whose bytes, record, counter or kind were not sealed so, or
//! twice, or out of order, or if an opening that fails leaves bytes behind: `judge` panics then. `tests/endurance.sh --only mutants`
//! is the long form.

use std::time::Instant;

use rayon::prelude::*;
use serde_json::json;

use super::{
    cipher_picture::judge_picture,
    genuine::{EPOCHS, PICTURES, STREAMS},
    judge::{Outcome, judge},
    resynchronisation::judge_mutant,
};

#[path = "../../tests/endurance/record.rs"]
mod record;
use record::{number, record};

#[test]
fn genuine_ones_come_through_whole() {
    for stream in STREAMS.iter().chain(EPOCHS.iter()) {
        let whole = Outcome { released: stream.sealed.len(), ..Outcome::default() };
        for piece in [1, 7, 100, usize::MAX] {
            assert_eq!(judge(stream, &stream.whole, piece), whole);
        }
    }
    assert!(PICTURES.len() >= STREAMS.len() + 4, "{} pictures", PICTURES.len());
    assert!(PICTURES.iter().all(|picture| judge_picture(picture, &picture.plane)));
}

/// No flip goes unnoticed: something is refused, held back or skipped, and something of what was sealed is missing.
#[test]
fn fail_every_single_bit_flip_of_packets() {
    for stream in STREAMS.iter().chain(EPOCHS.iter()) {
        (0..stream.whole.len() * 8).into_par_iter().for_each(|bit| {
            let mut damaged = stream.whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let outcome = judge(stream, &damaged, if bit % 2 == 0 { usize::MAX } else { 300 });
            assert!(outcome.rejected + outcome.held_back > 0 || outcome.skipped > 0, "bit {bit} is not noticed");
            assert!(outcome.released < stream.sealed.len() + usize::from(bit / 8 < 2 * stream.packets[0].len()));
        });
    }
}

#[test]
fn fail_every_single_bit_flip_of_cipher_pictures() {
    for picture in PICTURES.iter() {
        (0..picture.plane.len() * 8).into_par_iter().for_each(|bit| {
            let mut damaged = picture.plane.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !judge_picture(picture, &damaged),
                "bit {bit} of {} x {}",
                picture.layout.width(),
                picture.layout.height()
            );
        });
    }
}

/// Flipped, truncated, spliced, doubled, cut to pieces, with packets of other streams between, and with headers that only
/// somebody with the key can make.
#[test]
fn fail_random_mutants() {
    let mutants = number("ENDURANCE_MUTANTS", 20_000);
    let start = Instant::now();
    let (mut tally, mut pictures, mut pictures_unchanged) = (Tally::default(), 0, 0);
    // In a hundred parts, so that a long run tells how far it is.
    for part in 0..100 {
        let share = |count: u64| count * part / 100..count * (part + 1) / 100;
        tally = tally.and(share(mutants).into_par_iter().map(one).reduce(Tally::default, Tally::and));
        pictures += share(mutants / 10).count() as u64;
        pictures_unchanged += share(mutants / 10).into_par_iter().filter(|number| one_picture(*number)).count() as u64;
        println!("{} % in {} s: {tally:?}, {pictures} pictures", part + 1, start.elapsed().as_secs());
    }
    assert!(tally.released > tally.mutants / 10, "what is whole in a mutant still opens: {tally:?}");
    assert!(tally.rejected > tally.mutants / 2, "{tally:?}");
    let flips: usize = STREAMS.iter().chain(EPOCHS.iter()).map(|stream| stream.whole.len() * 8).sum();
    let picture_flips: usize = PICTURES.iter().map(|picture| picture.plane.len() * 8).sum();
    record(
        "mutants",
        json!({
            "seconds": start.elapsed().as_secs(),
            "packets": {
                "random_mutants": tally.mutants,
                "programs_that_changed_nothing": tally.unchanged,
                "single_bit_flips": flips,
                "accepted_wrongly": 0,
                "genuine_frames_released": tally.released,
                "genuine_frames_held_back": tally.held_back,
                "rejected": tally.rejected,
            },
            "cipher_pictures": {
                "random_mutants": pictures - pictures_unchanged,
                "single_bit_flips": picture_flips,
                "accepted_wrongly": 0,
            },
            "panics": 0,
        }),
    );
}

#[derive(Debug, Default)]
struct Tally {
    mutants: u64,
    unchanged: u64,
    released: u64,
    held_back: u64,
    rejected: u64,
}

impl Tally {
    fn and(self, other: Tally) -> Tally {
        Tally {
            mutants: self.mutants + other.mutants,
            unchanged: self.unchanged + other.unchanged,
            released: self.released + other.released,
            held_back: self.held_back + other.held_back,
            rejected: self.rejected + other.rejected,
        }
    }
}

/// The mutant of this number: a whole stream, or nothing, and then one to eight changes at random.
fn one(number: u64) -> Tally {
    let mut random = Random(number);
    let changes = 1 + random.below(8) as usize;
    let mut program = vec![random.byte(), 0, 0];
    if random.below(4) == 0 {
        program[1..3].copy_from_slice(&[random.byte(), random.byte() % 4]);
    }
    if random.below(8) != 0 {
        program.push(2);
    }
    let arguments = changes * 6;
    program.extend((0..arguments).map(|_| random.byte()));
    match judge_mutant(&program) {
        None => Tally { unchanged: 1, ..Tally::default() },
        Some(outcome) => Tally {
            mutants: 1,
            unchanged: 0,
            released: outcome.released as u64,
            held_back: outcome.held_back as u64,
            rejected: outcome.rejected as u64,
        },
    }
}

/// Tells whether the picture is as it was, after all.
fn one_picture(number: u64) -> bool {
    let mut random = Random(!number);
    let picture = &PICTURES[number as usize % PICTURES.len()];
    let mut plane = picture.plane.clone();
    for _ in 0..=random.below(4) {
        let at = random.below(plane.len() as u64) as usize;
        match random.below(3) {
            0 => plane[at] ^= 1 << random.below(8),
            1 => {
                let other = &PICTURES[random.below(PICTURES.len() as u64) as usize].plane;
                let end = (at + random.below(80) as usize).min(plane.len()).min(other.len());
                if at < end {
                    plane[at..end].copy_from_slice(&other[at..end]);
                }
            }
            _ => {
                let row = picture.layout.planes()[0].row_bytes;
                let (a, b) = (at / row * row, random.below(plane.len() as u64 / row as u64) as usize * row);
                (0..row).for_each(|column| plane.swap(a + column, b + column));
            }
        }
    }
    let unchanged = plane == picture.plane;
    assert_eq!(judge_picture(picture, &plane), unchanged, "picture {number}");
    unchanged
}

/// SplitMix64 (Steele, Lea, Flood 2014), so that a number names its mutant.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}
