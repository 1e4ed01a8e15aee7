//! Chance with a seed: positions, noise and keys of an analysis can be had again.

use std::f64::consts::TAU;

/// An endless supply of numbers, from BLAKE3's output under a key.
pub struct Random {
    output: blake3::OutputReader,
    /// What was drawn in advance, and how much of it is used.
    drawn: Box<[u8; DRAWN]>,
    used: usize,
}

/// Bytes drawn at a time: one by one, each would cost a whole block.
const DRAWN: usize = 4096;

impl Random {
    /// The supply for one purpose.
    pub fn new(seed: &[u8; 32], purpose: &str) -> Random {
        let output = blake3::Hasher::new_keyed(seed).update(purpose.as_bytes()).finalize_xof();
        Random { output, drawn: Box::new([0; DRAWN]), used: DRAWN }
    }

    /// Bytes.
    pub fn fill(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.used == DRAWN {
                self.output.fill(&mut self.drawn[..]);
                self.used = 0;
            }
            let count = bytes.len().min(DRAWN - self.used);
            let (now, later) = bytes.split_at_mut(count);
            now.copy_from_slice(&self.drawn[self.used..][..count]);
            self.used += count;
            bytes = later;
        }
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number below `end`, all of them equally likely to within 2^-32 of each other's chance.
    ///
    /// # Panics
    /// If `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "there is no number below 0");
        ((u128::from(u64::from_le_bytes(self.array())) * end as u128) >> 64) as usize
    }

    /// A number between 0 and 1, never 0.
    pub fn unit(&mut self) -> f64 {
        ((u64::from_le_bytes(self.array()) >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (TAU * self.unit()).cos()
    }

    /// Puts `count` of the items in front, in random order.
    pub fn draw<T>(&mut self, items: &mut [T], count: usize) {
        for at in 0..count.min(items.len()) {
            let other = at + self.below(items.len() - at);
            items.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same() {
        let drawn = |purpose: &str| Random::new(&[3; 32], purpose).array::<16>();
        assert_eq!(drawn("noise"), drawn("noise"));
        assert_ne!(drawn("noise"), drawn("pixels"));
        let (mut at_once, mut random) = ([0; 10_000], Random::new(&[3; 32], "noise"));
        Random::new(&[3; 32], "noise").fill(&mut at_once);
        assert!(at_once.chunks(7).all(|piece| (0..piece.len()).all(|i| random.array::<1>() == [piece[i]])));
    }

    #[test]
    fn numbers_are_where_they_should_be() {
        let mut random = Random::new(&[1; 32], "test");
        let mut counts = [0; 7];
        (0..7000).for_each(|_| counts[random.below(7)] += 1);
        assert!(counts.iter().all(|&count| (850..1150).contains(&count)), "{counts:?}");
        let normals: Vec<f64> = (0..10_000).map(|_| random.normal()).collect();
        let mean = normals.iter().sum::<f64>() / 1e4;
        let variance = normals.iter().map(|x| x * x).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.06, "{mean} {variance}");
    }
}
