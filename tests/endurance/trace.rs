//! What befalls the packets of a stream on its way, drawn here from a seed and not by the product's `chaosfault`.

use gstchaosveil::analysis::random::Random;

use super::model::{Packet, Piece};

/// How often each fault befalls a packet, 0 to 1.
#[derive(Clone, Copy, Default)]
pub struct Rates {
    pub loss: f64,
    pub reorder: f64,
    pub replay: f64,
    pub duplication: f64,
    pub truncation: f64,
    pub flip: f64,
}

/// Packets that pass one that is held back, at most.
const FARTHEST: usize = 8;
/// Packets that somebody has recorded and may send again: more than the reader's window is wide.
const RECORDED: usize = 3000;

/// Packets on their way.
pub struct Trace {
    rates: Rates,
    random: Random,
    recorded: Vec<(Packet, Vec<u8>)>,
    sent: usize,
    /// What is held back, and for how many more.
    held: Vec<(usize, Piece, Vec<u8>)>,
    /// All that has arrived.
    pub arrived: Vec<Piece>,
}

impl Trace {
    pub fn new(seed: u8, rates: Rates) -> Trace {
        let random = Random::new(&[seed; 32], "trace");
        Trace { rates, random, recorded: Vec::new(), sent: 0, held: Vec::new(), arrived: Vec::new() }
    }

    /// A packet is sent; `arrive` gets the bytes of everything that arrives by that, one call for each piece.
    pub fn send(&mut self, packet: Packet, bytes: &[u8], mut arrive: impl FnMut(&[u8])) {
        let mut befalls = |rate: f64| self.random.unit() <= rate;
        let Rates { loss, reorder, replay, duplication, truncation, flip } = self.rates;
        let [lost, held, again, doubled, torn, flipped] =
            [loss, reorder, replay, duplication, truncation, flip].map(&mut befalls);
        self.record(packet, bytes);
        self.held.iter_mut().for_each(|held| held.0 -= 1);
        // The header with which the reader joins arrives whole.
        let is_first = self.sent == 0;
        self.sent += 1;
        if is_first || !lost {
            let (piece, bytes) = self.harm(packet, bytes, torn && !is_first, flipped && !is_first);
            match held && !is_first {
                true => {
                    let wait = 1 + self.random.below(FARTHEST);
                    self.held.push((wait, piece, bytes.clone()));
                }
                false => self.arrives(piece, &bytes, &mut arrive),
            }
            if doubled {
                self.arrives(piece, &bytes, &mut arrive);
            }
        }
        while let Some(at) = self.held.iter().position(|held| held.0 == 0) {
            let (_, piece, bytes) = self.held.remove(at);
            self.arrives(piece, &bytes, &mut arrive);
        }
        if again {
            let at = self.random.below(self.recorded.len());
            let (packet, bytes) = self.recorded[at].clone();
            self.arrives(Piece::of(packet, &bytes, &bytes), &bytes, &mut arrive);
        }
    }

    /// What is held back arrives: nothing comes any more.
    pub fn end(&mut self, mut arrive: impl FnMut(&[u8])) {
        for (_, piece, bytes) in std::mem::take(&mut self.held) {
            self.arrives(piece, &bytes, &mut arrive);
        }
    }

    fn record(&mut self, packet: Packet, bytes: &[u8]) {
        match self.recorded.len() < RECORDED {
            true => self.recorded.push((packet, bytes.to_vec())),
            false => self.recorded[self.sent % RECORDED] = (packet, bytes.to_vec()),
        }
    }

    fn harm(&mut self, packet: Packet, bytes: &[u8], torn: bool, flipped: bool) -> (Piece, Vec<u8>) {
        let left = if torn { self.random.below(bytes.len()) } else { bytes.len() };
        let mut harmed = bytes[..left].to_vec();
        if flipped && left > 0 {
            let bit = self.random.below(8 * left);
            harmed[bit / 8] ^= 1 << (bit % 8);
        }
        (Piece::of(packet, bytes, &harmed), harmed)
    }

    fn arrives(&mut self, piece: Piece, bytes: &[u8], arrive: &mut impl FnMut(&[u8])) {
        self.arrived.push(piece);
        arrive(bytes);
    }
}
