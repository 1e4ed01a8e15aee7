//! What fuzzers run: one file per target, each a function over bytes that panics where a promise is broken. Compiled for
//! `cargo fuzz` and for tests, never into the product.
//!
//! In: bytes that a fuzzer makes up. Where all that is not authentic would be turned away at the door, they are a program
//! that damages genuine packets, or plaintexts that somebody with the key has sealed. What is genuine comes from
//! `tests/vectors/format.json`, whose writer shares no code with ours. Read next: `judge`, which says what a reader may
//! release; `fuzz/README.md` says how to run them. The test at the end runs the kept inputs without a fuzzer.

mod cipher_picture;
mod containers;
mod frame_header;
mod genuine;
mod index;
mod judge;
mod key_files;
#[cfg(test)]
mod mutants;
mod program;
mod record;
mod resynchronisation;
mod sealed_texts;
mod stream_header;
mod track_counts;

/// A target: the name of its program and of its folder of kept inputs, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 10] = [
    ("cipher_picture", cipher_picture::run),
    ("containers", containers::run),
    ("frame_header", frame_header::run),
    ("index", index::run),
    ("key_files", key_files::run),
    ("record", record::run),
    ("resynchronisation", resynchronisation::run),
    ("sealed_texts", sealed_texts::run),
    ("stream_header", stream_header::run),
    ("track_counts", track_counts::run),
];

/// Runs the target of this name.
///
/// # Panics
/// Where `bytes` break a promise, and for a name that no target has.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("the name of a target");
    target(bytes);
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// A kept input that breaks a promise again says so by a panic, and its name is the last one told.
    #[test]
    fn every_kept_input_keeps_the_promises() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let mut inputs: Vec<_> = fs::read_dir(corpus.join(name))
                .unwrap_or_else(|error| panic!("fuzz/corpus/{name}: {error}"))
                .map(|entry| entry.expect("readable").path())
                .collect();
            inputs.sort();
            assert!(!inputs.is_empty(), "{name} has no kept inputs");
            for input in &inputs {
                let bytes = fs::read(input).expect("readable");
                println!("{}, {} bytes", input.display(), bytes.len());
                target(&bytes);
                // Nor may the end of a short input hide what a longer one would show.
                (0..bytes.len().min(64)).for_each(|len| target(&bytes[..len]));
            }
        }
    }
}
