//! Known-plaintext recovery of an equivalent key: the difference of two ciphers under one keystream is the permuted
//! difference of their pictures, and pixels are told apart by their values in all differences.
//!
//! Li and Lo, "Optimal quantitative cryptanalysis of permutation-only multimedia ciphers against plaintext attacks",
//! Signal Processing 91 (2011), section 3, applied to the differences, which no keystream masks.

use std::time::Instant;

use super::{
    Subject,
    equivalent_key::EquivalentKey,
    report::{Outcome, Panel, Row, share_right},
    scene::scene,
};
use crate::Result;

/// Name of the attack.
pub const NAME: &str = "known-plaintext";
/// Numbers of known pictures that are told for bare schemes.
const KNOWN: [usize; 5] = [2, 3, 4, 6, MOST_PICTURES];

/// Runs it on every target: scenes and their ciphers are known, the subject's picture is to be read.
///
/// # Errors
/// What the targets return.
pub fn run(subject: &Subject) -> Result<Outcome> {
    let plain = &subject.picture;
    let mut outcome = Outcome::default();
    for mut target in subject.permuting_targets() {
        let mut known = Vec::new();
        for number in 0..MOST_PICTURES as u64 {
            let plain = scene(plain, number).bytes;
            known.push(Known { cipher: target.encrypt(&plain)?, plain });
        }
        let cipher = target.encrypt(&plain.bytes)?;
        let counts = if target.defence().is_none() { &KNOWN[..] } else { &KNOWN[KNOWN.len() - 1..] };
        for &count in counts {
            let started = Instant::now();
            let read = recover(&known[..count]).decrypt(&cipher);
            let row = Row::judged(NAME, target.name(), vec![share_right(&read, &plain.bytes)], started.elapsed());
            // Of the first target, whatever came last: most pictures.
            if outcome.rows.len() < KNOWN.len() {
                let title = "recovered";
                let caption = format!("{count} known: {:.1} % right", row.findings[0].value);
                outcome.panels.push(Panel { title, picture: plain.with_bytes(read), caption });
            }
            outcome.rows.push(Row {
                needs: format!("{count} known pictures and their ciphers"),
                work: format!("two sorts of {}, {:.1} ms", plain.bytes.len(), row.seconds * 1e3),
                reason: target.defence().unwrap_or(BROKEN).into(),
                ..row
            });
        }
    }
    let plain = Panel { title: "plain", picture: plain.clone(), caption: String::new() };
    outcome.panels = [vec![plain], outcome.panels].concat();
    Ok(outcome)
}

const BROKEN: &str = "one key for all pictures: differences of ciphers are the permuted differences of pictures";

/// Most pictures that are made use of: seven differences, one byte of each in a number.
pub const MOST_PICTURES: usize = 8;

/// A picture and its cipher.
pub struct Known {
    /// The picture.
    pub plain: Vec<u8>,
    /// What was made of it.
    pub cipher: Vec<u8>,
}

/// The key that explains up to [`MOST_PICTURES`] pictures of equal size; pixels that are equal in all differences are
/// matched in the order in which they stand.
pub fn recover(known: &[Known]) -> EquivalentKey {
    let Some(first) = known.first() else { return EquivalentKey { source: Vec::new(), keystream: Vec::new() } };
    let plain = order(known.iter().map(|known| &known.plain[..]));
    let cipher = order(known.iter().map(|known| &known.cipher[..]));
    // A permutation moves differences and does not change them: in the order of their values, both sides are the same.
    let mut source = vec![0; plain.len()];
    for (&to, &from) in cipher.iter().zip(&plain) {
        source[to as usize] = from;
    }
    let keystream = source.iter().zip(&first.cipher).map(|(&from, byte)| byte ^ first.plain[from as usize]).collect();
    EquivalentKey { source, keystream }
}

/// The pixels in the order of their values in all differences to the first picture.
fn order<'a>(mut pictures: impl Iterator<Item = &'a [u8]>) -> Vec<u32> {
    let first = pictures.next().unwrap_or_default();
    let mut values = vec![0u64; first.len()];
    for picture in pictures.take(MOST_PICTURES - 1) {
        for (value, (a, b)) in values.iter_mut().zip(first.iter().zip(picture)) {
            *value = *value << 8 | u64::from(a ^ b);
        }
    }
    let mut order: Vec<u32> = (0..first.len() as u32).collect();
    order.sort_by_key(|&place| values[place as usize]);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_with_differences_of_their_own_are_found() {
        let key = EquivalentKey { source: vec![2, 0, 3, 1], keystream: vec![5, 6, 7, 250] };
        let known = [[0u8, 0, 0, 0], [1, 2, 3, 4]].map(|plain| Known {
            plain: plain.to_vec(),
            cipher: key.source.iter().zip(&key.keystream).map(|(&from, mask)| plain[from as usize] ^ mask).collect(),
        });
        assert_eq!(recover(&known), key);
    }

    #[test]
    fn equal_pixels_are_matched_in_their_order() {
        // Places 0 and 2 have the same difference; behind a turn by one they are swapped.
        let turned = |plain: [u8; 3]| Known { plain: plain.to_vec(), cipher: vec![plain[1], plain[2], plain[0]] };
        assert_eq!(recover(&[turned([0, 0, 0]), turned([1, 9, 1])]).source, [1, 0, 2]);
    }

    #[test]
    fn nothing_known_is_nothing_found() {
        assert!(recover(&[]).source.is_empty());
    }
}
