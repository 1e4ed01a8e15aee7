//! Chosen-plaintext recovery of an equivalent key: an all-zero picture shows the keystream, and pictures that spell out
//! each pixel's place show the permutation.
//!
//! Li and Lo, "Optimal quantitative cryptanalysis of permutation-only multimedia ciphers against plaintext attacks",
//! Signal Processing 91 (2011), section 4: `ceil(log_256 n)` chosen pictures of `n` pixels tell a permutation.

use std::time::Instant;

use super::{
    Subject,
    equivalent_key::EquivalentKey,
    report::{Outcome, Panel, Row, share_right},
    target::Target,
};
use crate::Result;

/// Name of the attack.
pub const NAME: &str = "chosen-plaintext";

/// Runs it on every target: each encrypts the chosen pictures, and then the subject's, which is to be read.
///
/// # Errors
/// What the targets return.
pub fn run(subject: &Subject) -> Result<Outcome> {
    let plain = &subject.picture;
    let mut outcome = Outcome::default();
    for mut target in subject.permuting_targets() {
        let started = Instant::now();
        let key = recover(&mut *target, plain.bytes.len())?;
        let cipher = target.encrypt(&plain.bytes)?;
        let read = key.decrypt(&cipher);
        let time = started.elapsed();
        let pictures = chosen_pictures(plain.bytes.len());
        let row = Row::judged(NAME, target.name(), vec![share_right(&read, &plain.bytes)], time);
        if outcome.panels.is_empty() {
            let caption = format!("{:.2} % right", row.findings[0].value);
            outcome.panels = vec![
                Panel { title: "plain", picture: plain.clone(), caption: String::new() },
                Panel { title: "cipher", picture: plain.with_bytes(cipher), caption: String::new() },
                Panel { title: "recovered", picture: plain.with_bytes(read), caption },
            ];
        }
        outcome.rows.push(Row {
            needs: format!("{pictures} chosen pictures and their ciphers"),
            work: format!("{} XORs, {:.1} ms", pictures * plain.bytes.len(), row.seconds * 1e3),
            reason: target.defence().unwrap_or(BROKEN).into(),
            ..row
        });
    }
    Ok(outcome)
}

const BROKEN: &str = "one key for all pictures: the all-zero one shows the keystream, digits show the permutation";

/// Base of the places' digits: the values of a pixel.
const VALUES: usize = 256;

/// Pictures that the attack has encrypted: the all-zero one and `ceil(log_256 n)` others.
pub fn chosen_pictures(pixels: usize) -> usize {
    1 + digits(pixels)
}

fn digits(pixels: usize) -> usize {
    let mut digits = 0;
    let mut told = 1;
    while told < pixels {
        told = told.saturating_mul(VALUES);
        digits += 1;
    }
    digits
}

/// The key that explains what `target` made of [`chosen_pictures`] pictures: that of a bare scheme if it is one.
///
/// # Errors
/// What the target returns.
pub fn recover(target: &mut dyn Target, pixels: usize) -> Result<EquivalentKey> {
    let keystream = target.encrypt(&vec![0; pixels])?;
    let mut source = vec![0usize; pixels];
    for digit in (0..digits(pixels)).rev() {
        let weight = VALUES.pow(digit as u32);
        let spelled: Vec<u8> = (0..pixels).map(|place| (place / weight) as u8).collect();
        let cipher = target.encrypt(&spelled)?;
        for (place, (byte, mask)) in source.iter_mut().zip(cipher.iter().zip(&keystream)) {
            *place = *place * VALUES + usize::from(byte ^ mask);
        }
    }
    // Where the target is no bare scheme, the digits spell places that do not exist.
    Ok(EquivalentKey { source: source.into_iter().map(|place| (place % pixels) as u32).collect(), keystream })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::attack::bare::Logistic;

    /// A scheme whose key is known.
    struct ByHand(EquivalentKey);

    impl Target for ByHand {
        fn name(&self) -> &'static str {
            "by hand"
        }

        fn defence(&self) -> Option<&'static str> {
            None
        }

        fn encrypt(&mut self, picture: &[u8]) -> Result<Vec<u8>> {
            let EquivalentKey { source, keystream } = &self.0;
            Ok(source.iter().zip(keystream).map(|(&from, mask)| picture[from as usize] ^ mask).collect())
        }
    }

    #[test]
    fn pictures_needed() {
        // log_256 of 65536 is 2; one pixel more needs a third digit.
        for (pixels, pictures) in [(1, 1), (2, 2), (256, 2), (257, 3), (65_536, 3), (65_537, 4), (3_110_400, 4)] {
            assert_eq!(chosen_pictures(pixels), pictures, "{pixels}");
        }
    }

    #[test]
    fn a_key_known_by_hand_is_found() {
        let key = EquivalentKey { source: vec![3, 0, 4, 1, 2], keystream: vec![9, 200, 0, 255, 7] };
        assert_eq!(recover(&mut ByHand(key.clone()), 5).expect("encrypts"), key);
        // 600 pixels need two digits: a turn by 77 places.
        let source = (0..600).map(|place| (place + 77) % 600).collect();
        let key = EquivalentKey { source, keystream: (0..600).map(|place| (place * place) as u8).collect() };
        assert_eq!(recover(&mut ByHand(key.clone()), 600).expect("encrypts"), key);
    }

    #[test]
    fn an_unseen_picture_is_read() {
        let mut target = Logistic::new(&[4; 32]);
        let picture: Vec<u8> = (0..3000u32).map(|place| (place * place / 7) as u8).collect();
        let key = recover(&mut target, picture.len()).expect("encrypts");
        assert_eq!(key.decrypt(&target.encrypt(&picture).expect("encrypts")), picture);
    }
}
