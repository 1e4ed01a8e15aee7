//! Chance with a seed: positions, noise and keys of an analysis can be had again.

use std::f64::consts::TAU;

/// An endless supply of numbers, from BLAKE3's output under a key.
pub struct Random(blake3::OutputReader);

impl Random {
    /// The supply for one purpose.
    pub fn new(seed: &[u8; 32], purpose: &str) -> Random {
        Random(blake3::Hasher::new_keyed(seed).update(purpose.as_bytes()).finalize_xof())
    }

    /// Bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
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
