//! Whether what is about to leave in place of a frame could be the frame, or parts of it: cheap enough for every frame.
//!
//! A sample of at most [`SAMPLE_BYTES`] bytes of the payload after the seal is compared with the same bytes of the clear
//! frame, and looked at by itself. Of bytes that are uniform, independent, and independent of the clear frame, as those of a
//! sound cipher are, each statistic has a distribution that is known exactly, whatever the frame shows. Its *surprise* is
//! -ln of a bound on the chance to find as much or more:
//!
//! | statistic | what it counts | it catches | bound |
//! |---|---|---|---|
//! | `equal-bytes` | bytes equal to the clear ones at their place, 1 of 256 | frames left clear: whole ones, or half a percent that is spread evenly, or a piece of 1/64 | Chernoff |
//! | `equal-high-bits` | the same of the four high bits, 1 of 16 | only low planes encrypted | Chernoff |
//! | `equal-low-bits` | the same of the four low bits, 1 of 16 | only high planes encrypted | Chernoff |
//! | `histogram` | relative entropy of the bytes to uniform ones | clear bytes in another order (a keystream of zeros), or of another frame | Agrawal |
//! | `neighbours` | bytes that differ by less than 8 from that [`LAG`] further on, 1 of 16 | clear bytes with a flat histogram | Chernoff |
//! | `repeated-blocks` | aligned blocks of 16 bytes that come twice | ECB | union |
//!
//! *Chernoff*: a count of `n` independent events of chance `p` exceeds `nq` with a chance of at most `exp(-n KL(q, p))`
//! (Hoeffding 1963, "Probability inequalities for sums of bounded random variables", theorem 1). Differences of neighbours
//! are independent and uniform too: a run of bytes falls apart into chains, and those in a chain are differences of
//! independent uniform bytes along it. *Agrawal*: of `n` samples in `k + 1` classes the relative entropy to their
//! distribution exceeds `t / n` with a chance of at most `exp(-t) (e t / k)^k`, for `t > k` (Agrawal 2020, "Finite-sample
//! concentration of the multinomial in relative entropy", IEEE Trans. Inf. Theory 66(10), theorem 1.2). *Union*: `m` blocks
//! have `m (m - 1) / 2` pairs, each equal with a chance of 2^-128, and a block of zeros counts as well.
//!
//! Of a frame of more than [`SAMPLE_BYTES`] it sees 64 runs of 256 bytes that lie evenly over it, elsewhere in each frame. A
//! clear piece of 1/64 of the frame covers as much as a run, wherever it is; smaller ones meet one in some of the frames only.
//!
//! A frame is suspicious where one surprise reaches [`ALARM`]. That a frame is not suspicious proves nothing: ciphertext
//! without a key looks the same, and so does a clear frame of uniform noise or well compressed bytes in another order.

use std::fmt;

use super::histogram;
use crate::{Error, Result, frame::View};

/// Bytes of a frame that are looked at, at most; all of a smaller one.
pub const SAMPLE_BYTES: usize = RUNS * RUN_BYTES;
/// Runs that lie evenly over a frame, elsewhere in each.
const RUNS: usize = 64;
/// Bytes of a run; whole blocks.
const RUN_BYTES: usize = 256;
/// Bytes of a block: those of AES.
const BLOCK: usize = 16;
/// Bytes to the neighbour: whole pixels of all formats of 1, 2, 3, 4, 6 or 8 bytes a pixel.
pub const LAG: usize = 24;
/// Least surprise of a suspicious frame, ln(10^13): five statistics with bounds of 10^-13, and the blocks with at most 2^-108,
/// leave a chance of less than 10^-12 for each frame: at 30 frames a second one false alarm in a thousand years.
pub const ALARM: f64 = 29.933_606_208_922_6;

/// Number of statistics.
pub const STATISTICS: usize = 6;

/// What one statistic says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Its name.
    pub statistic: &'static str,
    /// What was found.
    pub found: f64,
    /// Its mean for ciphertext.
    pub expected: f64,
    /// Of how many samples.
    pub samples: usize,
    /// -ln of a bound on the chance to find as much in ciphertext.
    pub surprise: f64,
}

impl Evidence {
    /// Whether it says that a frame looks plain.
    pub fn alarms(&self) -> bool {
        self.surprise >= ALARM
    }

    /// Of `count` events among `samples`, each of chance `chance`.
    fn of_count(statistic: &'static str, count: usize, samples: usize, chance: f64) -> Evidence {
        let (found, expected) = (count as f64, samples as f64 * chance);
        let part = |found: f64, chance: f64| if found > 0.0 { found * (found / chance).ln() } else { 0.0 };
        let share = found / samples.max(1) as f64;
        let surprise = match share > chance {
            true => samples as f64 * (part(share, chance) + part(1.0 - share, 1.0 - chance)),
            false => 0.0,
        };
        Evidence { statistic, found, expected, samples, surprise }
    }

    fn of_histogram(bytes: &[u8]) -> Evidence {
        const FREEDOM: f64 = histogram::FREEDOM;
        let samples = bytes.len();
        let uniform = samples as f64 / 256.0;
        let counts = histogram::counts(bytes).into_iter().filter(|&count| count > 0).map(|count| count as f64);
        let found: f64 = counts.map(|count| count * (count / uniform).ln()).sum();
        let surprise = if found > FREEDOM { found - FREEDOM - FREEDOM * (found / FREEDOM).ln() } else { 0.0 };
        // Twice of it is nearly chi-square, if there are some samples of each value.
        Evidence { statistic: "histogram", found, expected: FREEDOM / 2.0, samples, surprise }
    }

    fn of_blocks(repeated: bool, blocks: usize) -> Evidence {
        let pairs = (blocks * (blocks + 1) / 2) as f64;
        let surprise = if repeated { 128.0 * std::f64::consts::LN_2 - pairs.ln() } else { 0.0 };
        let (found, expected) = (f64::from(u8::from(repeated)), 0.0);
        Evidence { statistic: "repeated-blocks", found, expected, samples: blocks, surprise }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evidence { statistic, found, expected, samples, surprise } = self;
        let power = surprise / std::f64::consts::LN_10;
        write!(f, "{statistic} {found:.0} where ciphertext has {expected:.0}, of {samples}; ")?;
        write!(f, "ciphertext shows that with a chance of at most 10^-{:.0}", power.floor())
    }
}

/// Looks at frames. Its memory is kept from frame to frame.
#[derive(Clone)]
pub struct Inspector {
    clear: Vec<u8>,
    sealed: Vec<u8>,
    /// Blocks by a hash of their bytes.
    slots: Box<[u128]>,
}

impl Default for Inspector {
    fn default() -> Inspector {
        let sample = || Vec::with_capacity(SAMPLE_BYTES);
        Inspector { clear: sample(), sealed: sample(), slots: vec![0; 4 * SAMPLE_BYTES / BLOCK].into() }
    }
}

impl Inspector {
    /// Compares a frame's payload with what is to leave in its place. `number` moves the sample from frame to frame.
    ///
    /// Frames of fewer than six bytes show no statistic that would be suspicious, whatever is in them.
    ///
    /// # Errors
    /// [`Error::Geometry`] where one is longer than the other, or than what holds it.
    pub fn inspect(&mut self, number: u64, clear: View, sealed: View) -> Result<[Evidence; STATISTICS]> {
        if clear.payload_bytes() != sealed.payload_bytes() {
            return Err(Error::Geometry("the payload is not as long as the frame".into()));
        }
        let sample = Sample::new(number, sealed.payload_bytes());
        sample.copy(clear, &mut self.clear)?;
        sample.copy(sealed, &mut self.sealed)?;
        let samples = self.sealed.len();
        let equal = |mask: u8| count_pairs(&self.clear, &self.sealed, |clear, sealed| (clear ^ sealed) & mask == 0);
        let counts = [equal(0xff), equal(0xf0), equal(0x0f)];
        let runs = self.sealed.chunks(sample.run_bytes.max(1)).filter(|run| run.len() > LAG);
        let (mut near, mut pairs) = (0, 0);
        for run in runs {
            near += count_pairs(run, &run[LAG..], |a, b| b.wrapping_sub(a).wrapping_add(8) < 16);
            pairs += run.len() - LAG;
        }
        Ok([
            Evidence::of_count("equal-bytes", counts[0], samples, 1.0 / 256.0),
            Evidence::of_count("equal-high-bits", counts[1], samples, 1.0 / 16.0),
            Evidence::of_count("equal-low-bits", counts[2], samples, 1.0 / 16.0),
            Evidence::of_histogram(&self.sealed),
            Evidence::of_count("neighbours", near, pairs, 1.0 / 16.0),
            Evidence::of_blocks(self.repeats(), samples / BLOCK),
        ])
    }

    /// Whether a block of the sample comes twice, or is all zeros.
    fn repeats(&mut self) -> bool {
        self.slots.fill(0);
        let (blocks, _) = self.sealed.as_chunks::<BLOCK>();
        blocks.iter().any(|block| {
            let block = u128::from_le_bytes(*block);
            // Fibonacci hashing (Knuth, volume 3, section 6.4); blocks of ciphertext are spread already.
            let hash = ((block ^ (block >> 64)) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let mut slot = hash as usize % self.slots.len();
            while self.slots[slot] != 0 && self.slots[slot] != block {
                slot = (slot + 1) % self.slots.len();
            }
            std::mem::replace(&mut self.slots[slot], block) == block
        })
    }
}

/// How many pairs fulfil a condition: in steps whose counts fit into a byte, so that it is done many at a time.
fn count_pairs(left: &[u8], right: &[u8], condition: impl Fn(u8, u8) -> bool) -> usize {
    const STEP: usize = 128;
    let steps = left.chunks(STEP).zip(right.chunks(STEP));
    let count =
        |(left, right): (&[u8], &[u8])| left.iter().zip(right).map(|(&a, &b)| u8::from(condition(a, b))).sum::<u8>();
    steps.map(|step| usize::from(count(step))).sum()
}

/// Where the looked-at bytes of a frame are.
struct Sample {
    runs: usize,
    run_bytes: usize,
    frame_bytes: usize,
    shift: usize,
}

impl Sample {
    fn new(number: u64, frame_bytes: usize) -> Sample {
        if frame_bytes <= SAMPLE_BYTES {
            return Sample { runs: 1, run_bytes: frame_bytes, frame_bytes, shift: 0 };
        }
        let room = frame_bytes / RUNS - RUN_BYTES + 1;
        // The fractional parts of multiples of the golden ratio lie evenly.
        let shift = (u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * room as u128) >> 64;
        Sample { runs: RUNS, run_bytes: RUN_BYTES, frame_bytes, shift: shift as usize }
    }

    /// Where a run begins: at a block's beginning. Runs do not overlap, and the last ends in the frame.
    fn start(&self, run: usize) -> usize {
        (self.frame_bytes * run / self.runs + self.shift) / BLOCK * BLOCK
    }

    fn copy(&self, from: View, to: &mut Vec<u8>) -> Result<()> {
        to.resize(self.runs * self.run_bytes, 0);
        let mut runs = to.chunks_exact_mut(self.run_bytes.max(1)).enumerate();
        runs.try_for_each(|(run, to)| from.copy(self.start(run), to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::random::Random;

    fn noise(seed: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        Random::new(&[seed; 32], "noise").fill(&mut bytes);
        bytes
    }

    /// A smooth picture of bytes, with all values.
    fn picture(len: usize) -> Vec<u8> {
        (0..len).map(|at| ((at as f64 / 300.0).sin() * 100.0 + 128.0 + (at / 640 % 20) as f64) as u8).collect()
    }

    fn alarms(clear: &[u8], sealed: &[u8]) -> Vec<&'static str> {
        let evidence = Inspector::default().inspect(3, View::Together(clear), View::Together(sealed)).expect("as long");
        evidence.iter().filter(|one| one.alarms()).map(|one| one.statistic).collect()
    }

    /// The last column is `binom.sf(count - 1, samples, chance)` of scipy.stats: below the bound, and not by much.
    #[test]
    fn bounds_hold_of_the_exact_tail() {
        for (count, samples, chance, exact) in [
            (145, 16384, 1.0 / 256.0, 2.276e-18_f64),
            (1300, 16384, 1.0 / 16.0, 5.586e-18),
            (6, 6, 1.0 / 256.0, 256f64.powi(-6)),
        ] {
            let evidence = Evidence::of_count("equal-bytes", count, samples, chance);
            let bound = (-evidence.surprise).exp();
            assert!(bound > exact * 0.999 && bound < exact * 100.0, "{count} of {samples}: {bound:e}, {exact:e}");
        }
        let few = Evidence::of_count("equal-bytes", 3, 16384, 1.0 / 256.0);
        assert_eq!((few.surprise, few.expected), (0.0, 64.0));
    }

    #[test]
    fn noise_is_not_suspicious() {
        for len in [0, 1, 5, 16, 25, 300, 4096, SAMPLE_BYTES, SAMPLE_BYTES + 1, 100_003, 3 << 20] {
            for seed in 0..20 {
                let sealed = noise(seed, len);
                assert_eq!(alarms(&picture(len), &sealed), Vec::<&str>::new(), "{len} bytes, seed {seed}");
                assert_eq!(alarms(&noise(seed + 100, len), &sealed), Vec::<&str>::new(), "{len} bytes, seed {seed}");
            }
        }
    }

    #[test]
    fn every_size_from_six_bytes_on_is_caught_clear() {
        for len in (0..400).chain([5000, SAMPLE_BYTES, SAMPLE_BYTES + 7, 100_003]) {
            for clear in [vec![0x80; len], picture(len), noise(7, len)] {
                assert_eq!(alarms(&clear, &clear).contains(&"equal-bytes"), len >= 6, "{len} bytes");
            }
        }
    }

    #[test]
    fn each_weakness_is_caught_by_its_statistic() {
        let len = 640 * 480 * 3 / 2;
        let (clear, key) = (picture(len), noise(5, len));
        let xor = |mask: u8| clear.iter().zip(&key).map(|(byte, key)| byte ^ key & mask).collect::<Vec<u8>>();
        assert_eq!(alarms(&clear, &xor(0xff)), Vec::<&str>::new());
        assert!(alarms(&clear, &xor(0x0f)).contains(&"equal-high-bits"));
        assert!(alarms(&clear, &xor(0xf0)).contains(&"equal-low-bits"));
        let sealed = xor(0xff);
        let half: Vec<u8> = clear[..len / 2].iter().chain(&sealed[len / 2..]).copied().collect();
        assert!(alarms(&clear, &half).contains(&"equal-bytes"));
        // Two percent of the frame, wherever they are.
        for at in (0..len - len / 50).step_by(len / 37) {
            let mut leaking = sealed.clone();
            leaking[at..at + len / 50].copy_from_slice(&clear[at..at + len / 50]);
            assert!(alarms(&clear, &leaking).contains(&"equal-bytes"), "at {at}");
        }
        let mut permuted = clear.clone();
        permuted.reverse();
        permuted.rotate_left(12_345);
        assert!(alarms(&clear, &permuted).contains(&"histogram"));
        // Every value as often as any other.
        let ramp: Vec<u8> = (0..len).map(|at| (at / 8) as u8).collect();
        let elsewhere: Vec<u8> = ramp.iter().map(|byte| byte.wrapping_add(77)).collect();
        assert!(alarms(&ramp, &elsewhere).contains(&"neighbours"));
        let flat = vec![16; len];
        let ecb = noise(6, BLOCK).repeat(len / BLOCK);
        assert!(alarms(&flat, &ecb).contains(&"repeated-blocks"));
    }

    #[test]
    fn runs_lie_in_the_frame_and_do_not_overlap() {
        for frame_bytes in (SAMPLE_BYTES + 1..SAMPLE_BYTES + 3000).step_by(13).chain([3 << 20, 100_003]) {
            for number in 0..50 {
                let sample = Sample::new(number, frame_bytes);
                let starts: Vec<usize> = (0..RUNS).map(|run| sample.start(run)).collect();
                assert!(starts.windows(2).all(|two| two[0] + RUN_BYTES <= two[1]), "{frame_bytes}: {starts:?}");
                assert!(starts[RUNS - 1] + RUN_BYTES <= frame_bytes, "{frame_bytes}: {starts:?}");
            }
        }
        let moved: std::collections::BTreeSet<_> =
            (0..100).map(|number| Sample::new(number, 3 << 20).start(5)).collect();
        assert!(moved.len() > 90);
    }

    #[test]
    fn fail_payloads_of_another_length() {
        for len in [1, 1000, 100_000] {
            let bytes = noise(1, len);
            let (whole, shorter) = (View::Together(&bytes), View::Together(&bytes[..len - 1]));
            for (clear, sealed) in [(whole, shorter), (shorter, whole)] {
                let refused = Inspector::default().inspect(0, clear, sealed);
                assert!(matches!(refused, Err(Error::Geometry(_))), "{len}");
            }
        }
    }
}
