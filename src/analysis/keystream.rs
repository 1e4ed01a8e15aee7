//! The chaotic stage's keystream without end, for external suites (PractRand, dieharder, TestU01): whole, or what one map
//! gives of it.
//!
//! It is that of successive frames of 64 tiles, 3,145,728 bytes, each under a key of its own, as in a stream of video:
//! `K_frame(i) = keyed BLAKE3(seed; "keystream" | u64 i)`, little-endian.

use std::sync::Arc;

use crate::{
    backend::Backend,
    chaos::{FrameKey, FramePlan, LANES, TILE_BLOCKS, TILE_BYTES},
};

/// Bytes of one frame.
pub const FRAME_BYTES: usize = 64 * TILE_BYTES;

/// What is taken of the keystream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stream {
    /// All of it.
    Combined,
    /// The low four bits of each byte: the logistic-sine system, 32 bits of each state.
    Lss,
    /// The high four bits of each byte: the Lorenz system, 32 bits of each coordinate.
    Lorenz,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// As frames are masked with it: the 32 lanes of a group take turns.
    Interleaved,
    /// One lane after another: 192 words of each.
    Lane,
}

/// Makes keystream, frame after frame.
pub struct Keystream {
    seed: [u8; 32],
    backend: Arc<dyn Backend>,
    stream: Stream,
    layout: Layout,
    plan: FramePlan,
    frame: u64,
    bytes: Vec<u8>,
}

impl Keystream {
    /// Starts at the first frame.
    pub fn new(seed: [u8; 32], stream: Stream, layout: Layout, backend: Arc<dyn Backend>) -> Keystream {
        let bytes = vec![0; FRAME_BYTES];
        Keystream { seed, backend, stream, layout, plan: FramePlan::default(), frame: 0, bytes }
    }

    /// The next frame's: [`FRAME_BYTES`], or half of that for one map.
    pub fn next_frame(&mut self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        let key = hasher.update(b"keystream").update(&self.frame.to_le_bytes()).finalize();
        self.frame += 1;
        self.plan.prepare(&FrameKey::new(*key.as_bytes()), FRAME_BYTES);
        self.bytes.fill(0);
        self.backend.keystream(&self.plan, &mut self.bytes, None);
        let words = self.bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let words: Vec<u64> = match self.layout {
            Layout::Interleaved => words.collect(),
            Layout::Lane => by_lane(&words.collect::<Vec<_>>()),
        };
        words.into_iter().flat_map(|word| part(word, self.stream)).collect()
    }
}

/// The states of one frame of [`Layout::Lane`], by lane: those that follow one another in one map's sequence. The
/// logistic-sine system has 192 of a lane, each Lorenz coordinate 64; of the whole keystream, each half of its words is
/// taken for one.
pub fn states(frame: &[u8], stream: Stream) -> Vec<Vec<u32>> {
    let words: Vec<u32> = frame.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (lane_words, taking_turns) = match stream {
        Stream::Combined => (2 * TILE_BLOCKS, 2),
        Stream::Lss => (TILE_BLOCKS, 1),
        Stream::Lorenz => (TILE_BLOCKS, 3),
    };
    let of_lane = |lane: &[u32]| {
        (0..taking_turns)
            .map(|turn| lane.iter().skip(turn).step_by(taking_turns).copied().collect())
            .collect::<Vec<_>>()
    };
    words.chunks(lane_words).flat_map(of_lane).collect()
}

/// From rows of 32 lanes to 192 words of each lane, group by group.
fn by_lane(words: &[u64]) -> Vec<u64> {
    let groups = words.chunks_exact(LANES * TILE_BLOCKS);
    let lane_of = |group: &[u64], lane: usize| group.iter().skip(lane).step_by(LANES).copied().collect::<Vec<_>>();
    groups.flat_map(|group| (0..LANES).flat_map(move |lane| lane_of(group, lane))).collect()
}

/// What of a word belongs to a map.
fn part(word: u64, stream: Stream) -> impl Iterator<Item = u8> {
    let [lss, lorenz] = mantissas(word).map(u64::from);
    let (bytes, len) = match stream {
        Stream::Combined => (word, 8),
        Stream::Lss => (lss, 4),
        Stream::Lorenz => (lorenz, 4),
    };
    bytes.to_le_bytes().into_iter().take(len)
}

/// The low mantissa bits of the logistic-sine state and of the Lorenz coordinate that made a word: the inverse of
/// [`lane::word`](crate::chaos::lane::word).
pub fn mantissas(word: u64) -> [u32; 2] {
    const LOW: u32 = 0x0F0F_0F0F;
    let (a, b) = (word as u32, (word >> 32) as u32);
    [(a & LOW) | ((b & LOW) << 4), (a & !LOW) | ((b & !LOW) >> 4)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Choice, choose},
        chaos::{lane, reference},
    };

    fn first_frame(stream: Stream, layout: Layout) -> Vec<u8> {
        Keystream::new([9; 32], stream, layout, choose(Choice::Auto).expect("a backend")).next_frame()
    }

    /// The key that the documentation gives for frame 0.
    fn key() -> FrameKey {
        let input = [&b"keystream"[..], &[0; 8]].concat();
        FrameKey::new(*blake3::keyed_hash(&[9; 32], &input).as_bytes())
    }

    #[test]
    fn combined_is_what_masks_a_frame() {
        let found = first_frame(Stream::Combined, Layout::Interleaved);
        assert!(found == reference::keystream(&key(), FRAME_BYTES));
    }

    #[test]
    fn a_lane_is_told_from_its_seed() {
        let found = first_frame(Stream::Combined, Layout::Lane);
        let mut seeds = key().output("lanes");
        for lane_bytes in found.chunks_exact(192 * 8).take(40) {
            let mut seed = [0; 64];
            seeds.fill(&mut seed);
            let words = lane::words(&seed);
            assert!(lane_bytes.iter().copied().eq(words.iter().flat_map(|word| word.to_le_bytes())));
        }
    }

    #[test]
    fn states_follow_one_another() {
        // The lane's states as `chaos::lane` steps them: three of t for one of each coordinate.
        let mut seed = [0; 64];
        key().output("lanes").fill(&mut seed);
        let words = lane::words(&seed);
        let lss = states(&first_frame(Stream::Lss, Layout::Lane), Stream::Lss);
        let expected: Vec<u8> = words.iter().flat_map(|word| part(*word, Stream::Lss)).collect();
        assert!(lss[0].iter().flat_map(|state| state.to_le_bytes()).eq(expected));
        let lorenz = states(&first_frame(Stream::Lorenz, Layout::Lane), Stream::Lorenz);
        for (coordinate, sequence) in lorenz[..3].iter().enumerate() {
            let expected: Vec<u8> =
                words.iter().skip(coordinate).step_by(3).flat_map(|word| part(*word, Stream::Lorenz)).collect();
            assert!(sequence.iter().flat_map(|state| state.to_le_bytes()).eq(expected), "{coordinate}");
        }
        assert_eq!((lss.len(), lorenz.len()), (64 * 32, 3 * 64 * 32));
    }

    #[test]
    fn parts_are_the_states_bits() {
        let (t, s) = (0x0123_4567_89AB_CDEF, 0x0FED_CBA9_7654_3210);
        let word = lane::word(f64::from_bits(t), f64::from_bits(s));
        assert!(part(word, Stream::Lss).eq((t as u32).to_le_bytes()));
        assert!(part(word, Stream::Lorenz).eq((s as u32).to_le_bytes()));
    }
}
