//! Sequences of bits, packed: the first bit is the most significant one of the first byte, as NIST's own program reads
//! binary files.

use std::ops::Range;

/// A sequence of bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Bits {
    /// Bit `i` is `words[i / 64] >> (63 - i % 64) & 1`; those after the end are zero.
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// All bits of `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Bits {
        let word = |chunk: &[u8]| {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            u64::from_be_bytes(padded)
        };
        Bits { words: bytes.chunks(8).map(word).collect(), len: 8 * bytes.len() }
    }

    /// The first `len` bits, or all where there are fewer.
    pub fn first(mut self, len: usize) -> Bits {
        self.len = self.len.min(len);
        self.words.truncate(self.len.div_ceil(64));
        if let Some(last) = self.words.last_mut()
            && !self.len.is_multiple_of(64)
        {
            *last &= leading(self.len % 64);
        }
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The 64 bits from `at` on, the first being the most significant one; zeros after the end.
    pub fn word_at(&self, at: usize) -> u64 {
        let word = |index: usize| self.words.get(index).copied().unwrap_or(0);
        let (index, shift) = (at / 64, at % 64);
        match shift {
            0 => word(index),
            _ => word(index) << shift | word(index + 1) >> (64 - shift),
        }
    }

    /// Every bit, from the first to the last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = bool> {
        self.block(0..self.len)
    }

    /// The bits of `range`, which ends at [`Bits::len`] or before.
    pub fn block(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = bool> {
        range.map(|at| self.words[at / 64] >> (63 - at % 64) & 1 == 1)
    }

    /// How many of `range` are ones.
    pub fn ones(&self, range: Range<usize>) -> usize {
        self.count(range, |at| self.word_at(at))
    }

    /// How many of the pairs of neighbours differ.
    pub fn changes(&self) -> usize {
        self.count(0..self.len.saturating_sub(1), |at| self.word_at(at) ^ self.word_at(at + 1))
    }

    fn count(&self, range: Range<usize>, word_at: impl Fn(usize) -> u64) -> usize {
        let end = range.end;
        let ones = |at: usize| (word_at(at) & leading(end - at)).count_ones() as usize;
        range.step_by(64).map(ones).sum()
    }

    /// How often each pattern of `m` bits (at most 32) occurs at any of the places of `range`, by the pattern's value
    /// with its first bit as the most significant one. Patterns go on after the range.
    pub fn patterns(&self, m: u32, range: Range<usize>) -> Vec<u32> {
        let mut counts = vec![0; 1 << m];
        for at in range.clone().step_by(32) {
            let word = self.word_at(at);
            for shift in 0..(range.end - at).min(32) {
                counts[(word << shift >> (64 - m)) as usize] += 1;
            }
        }
        counts
    }

    /// How often each pattern of `m` bits occurs where the sequence is closed to a ring: `len` patterns.
    pub fn ring_patterns(&self, m: u32) -> Vec<u32> {
        let within = self.len.saturating_sub(m as usize - 1);
        let mut counts = self.patterns(m, 0..within);
        let again = (0..m as usize - 1).flat_map(|at| self.block(at % self.len..at % self.len + 1));
        let ring: Vec<bool> = self.block(within..self.len).chain(again).collect();
        for window in ring.windows(m as usize).take(self.len - within) {
            counts[window.iter().fold(0, |pattern, bit| pattern << 1 | usize::from(*bit))] += 1;
        }
        counts
    }
}

/// The `count` most significant bits; all of them from 64 on.
fn leading(count: usize) -> u64 {
    match count {
        0 => 0,
        1..64 => u64::MAX << (64 - count),
        _ => u64::MAX,
    }
}

#[cfg(test)]
impl Bits {
    /// From digits 0 and 1, as the publication's examples are printed; anything between them is left out.
    pub fn of_digits(digits: &str) -> Bits {
        let bits: Vec<u8> =
            digits.bytes().filter(|digit| matches!(digit, b'0' | b'1')).map(|digit| digit - b'0').collect();
        let byte = |chunk: &[u8]| chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at));
        Bits::from_bytes(&bits.chunks(8).map(byte).collect::<Vec<u8>>()).first(bits.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bit_is_the_most_significant_one() {
        let bits = Bits::from_bytes(&[0b1000_0011, 0b0100_0000]).first(10);
        assert_eq!(bits, Bits::of_digits("1000001101"));
        assert!(bits.iter().eq([1, 0, 0, 0, 0, 0, 1, 1, 0, 1].map(|bit| bit == 1)));
        assert_eq!(bits.word_at(6), 0b1101 << 60);
    }

    #[test]
    fn counts_cross_words() {
        let bytes: Vec<u8> = (0..40u8).map(|i| i.wrapping_mul(37) ^ 0x5A).collect();
        let bits = Bits::from_bytes(&bytes).first(317);
        let digits: Vec<bool> = bits.iter().collect();
        assert_eq!(digits.len(), 317);
        assert_eq!(bits.ones(3..200), digits[3..200].iter().filter(|bit| **bit).count());
        assert_eq!(bits.changes(), digits.windows(2).filter(|pair| pair[0] != pair[1]).count());
    }

    #[test]
    fn patterns_of_a_ring_by_hand() {
        // Section 2.11.4: 0011011101 and its first two digits again.
        assert_eq!(Bits::of_digits("0011011101").ring_patterns(3), [0, 1, 1, 2, 1, 2, 2, 1]);
        // Longer than the sequence: 110, 101, 011 each twice around.
        let around = Bits::of_digits("110").ring_patterns(5);
        assert_eq!([0b11011, 0b10110, 0b01101].map(|pattern: usize| around[pattern]), [1, 1, 1]);
        assert_eq!(around.iter().sum::<u32>(), 3);
    }

    #[test]
    fn patterns_of_a_range_by_hand() {
        // From places 1 to 3: 00, 01, 11.
        assert_eq!(Bits::of_digits("100111").patterns(2, 1..4), [1, 1, 0, 1]);
    }
}
