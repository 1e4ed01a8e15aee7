//! Two frames under one keystream: the XOR of their ciphers is that of their pictures, and who knows one picture reads
//! the other. Under keys of its own for each frame, two ciphers have nothing in common.

use std::time::Instant;

use super::{
    Subject,
    report::{ALPHA, Outcome, Panel, Row, share_right},
    scene::scene,
};
use crate::{
    Result,
    analysis::{npcr::npcr, uaci::uaci},
};

/// Name of the attack.
pub const NAME: &str = "keystream-reuse";

/// Runs it on every target: a scene is known, the subject's picture is to be read.
///
/// # Errors
/// What the targets return.
pub fn run(subject: &Subject) -> Result<Outcome> {
    let plain = &subject.picture;
    let known = scene(plain, 0).bytes;
    let mut outcome = Outcome::default();
    for mut target in subject.masking_targets() {
        let ciphers = [target.encrypt(&known)?, target.encrypt(&plain.bytes)?];
        let started = Instant::now();
        let both = xor(&ciphers[0], &ciphers[1]);
        let read = xor(&both, &known);
        let time = started.elapsed();
        let findings = vec![
            share_right(&read, &plain.bytes),
            npcr("all", &ciphers[0], &ciphers[1], ALPHA),
            uaci("all", &ciphers[0], &ciphers[1], ALPHA),
        ];
        let row = Row::judged(NAME, target.name(), findings, time);
        if outcome.panels.is_empty() {
            let caption = format!("{:.2} % right", row.findings[0].value);
            let [_, cipher] = ciphers;
            outcome.panels = vec![
                Panel { title: "plain", picture: plain.clone(), caption: String::new() },
                Panel { title: "cipher", picture: plain.with_bytes(cipher), caption: String::new() },
                Panel { title: "XOR of two ciphers", picture: plain.with_bytes(both), caption: String::new() },
                Panel { title: "recovered", picture: plain.with_bytes(read), caption },
            ];
        }
        outcome.rows.push(Row {
            needs: "two ciphers, one of a known picture".into(),
            work: format!("{} XORs, {:.1} ms", 2 * plain.bytes.len(), row.seconds * 1e3),
            reason: target.defence().unwrap_or(BROKEN).into(),
            ..row
        });
    }
    Ok(outcome)
}

const BROKEN: &str = "the keystream stands in both ciphers and falls out of their XOR";

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}
