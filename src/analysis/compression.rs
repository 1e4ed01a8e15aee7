//! How far a general compressor gets: ciphertext does not shrink.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

use super::finding::Finding;

/// Bytes over bytes after zlib at its best: 1 or just below for what has no redundancy.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn compression_ratio(channel: &'static str, bytes: &[u8]) -> Finding {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len()), Compression::best());
    encoder.write_all(bytes).expect("memory takes everything");
    let compressed = encoder.finish().expect("memory takes everything").len();
    Finding {
        ideal: Some(1.0),
        ..Finding::plain("compression_ratio", channel, bytes.len() as f64 / compressed as f64, bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_redundancy_shrinks() {
        assert!(compression_ratio("gray", &[9; 10_000]).value > 100.0);
        let mut noise = vec![0; 10_000];
        super::super::random::Random::new(&[2; 32], "noise").fill(&mut noise);
        let ratio = compression_ratio("gray", &noise).value;
        assert!(ratio < 1.0 && ratio > 0.99, "{ratio}");
    }
}
