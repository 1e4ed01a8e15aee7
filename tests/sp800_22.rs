//! The library's SP 800-22 beside another implementation, `sp800_22/reference.py`, on sequences for which nothing is
//! published: fair ones of several lengths, and one with too many ones.

#[path = "scripts/python.rs"]
mod python;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use gstchaosveil::analysis::sp800_22::{Bits, TESTS};

use python::python;

type PValues = BTreeMap<String, Option<f64>>;

#[test]
fn another_implementation_finds_the_same() {
    let Some(python) = python("numpy, scipy") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bits");
    // Blocks of 128 bits for the longest run; of 10,000, and no whole number of words; of 8 bits for the universal test.
    for (bytes, biased) in [(20_000, false), (125_001, false), (262_145, false), (131_072, true)] {
        let bytes = bytes_of(bytes, biased);
        fs::write(&path, &bytes).expect("written");
        let (found, expected) = (ours(&bytes), reference(&python, &path));
        let context = format!("{} bytes, biased: {biased}", bytes.len());
        assert!(found.keys().eq(expected.keys()), "{context}: {:?} and {:?}", found.keys(), expected.keys());
        for (name, found) in &found {
            let expected = expected[name];
            let close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-7,
                _ => found.is_none() && expected.is_none(),
            };
            assert!(close, "{context}: {name} is {found:?}, not {expected:?}");
        }
        let smallest = found.values().flatten().copied().fold(1.0, f64::min);
        assert_eq!(smallest < 1e-9, biased, "{context}: {smallest}");
    }
}

/// The extendable output of BLAKE3; biased, one bit of 256 is a one for certain.
fn bytes_of(len: usize, biased: bool) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"sp800-22").update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
    if biased {
        bytes.iter_mut().step_by(32).for_each(|byte| *byte |= 0x10);
    }
    bytes
}

fn ours(bytes: &[u8]) -> PValues {
    let bits = Bits::from_bytes(bytes);
    let named = |test: &str, label: &str| format!("{test} {label}").trim_end().to_owned();
    let of_test =
        TESTS.iter().flat_map(|test| test.run(&bits).into_iter().map(move |p| (named(test.name, &p.label), p.value)));
    of_test.collect()
}

fn reference(python: &Path, path: &Path) -> PValues {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sp800_22/reference.py");
    let output = Command::new(python).arg(script).arg(path).output().expect("Python runs");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
