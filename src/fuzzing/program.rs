//! A fuzzer's bytes read as a program that damages genuine packets.

/// Bytes read from the front. After the last one come zeros, so that every input is a program.
pub struct Program<'a>(pub &'a [u8]);

/// A program ends when it has made so many; twice as many it never makes.
const MOST_BYTES: usize = 1 << 13;

impl<'a> Program<'a> {
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    pub fn u16(&mut self) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()]))
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.u16() % end
    }

    /// Literal bytes after their number.
    pub fn literal(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// Puts packets together, of which `mine` are the reader's and `others` are not, and damages them. `forge` makes a
    /// packet as only somebody with the key of its headers can.
    pub fn packets(&mut self, mine: &[Vec<u8>], others: &[Vec<u8>], forge: impl Fn(&mut Self, &mut [u8])) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        while !self.is_over() && out.len() < MOST_BYTES {
            match self.byte() % 10 {
                0 | 1 => out.extend_from_slice(&mine[usize::from(self.byte()) % mine.len()]),
                2 => mine.iter().for_each(|packet| out.extend_from_slice(packet)),
                3 => {
                    let packet = &mine[usize::from(self.byte()) % mine.len()];
                    let start = self.below(packet.len());
                    out.extend_from_slice(&packet[start..start + self.below(packet.len() - start + 1)]);
                }
                4 => out.extend_from_slice(self.literal()),
                5 if !out.is_empty() => {
                    let at = self.below(out.len());
                    out[at] ^= 1 << (self.byte() % 8);
                }
                6 => out.truncate(out.len().saturating_sub(self.u16())),
                7 => out.extend_from_slice(&others[usize::from(self.byte()) % others.len()]),
                8 => {
                    let start = self.below(out.len() + 1);
                    let end = start + self.below(out.len() - start + 1);
                    out.extend_from_within(start..end);
                }
                _ => {
                    let mut packet = mine[usize::from(self.byte()) % mine.len()].clone();
                    forge(self, &mut packet);
                    out.extend_from_slice(&packet);
                }
            }
        }
        out.truncate(2 * MOST_BYTES);
        out
    }
}
