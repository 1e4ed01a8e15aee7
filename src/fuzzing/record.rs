//! The plaintexts beside a frame: what anybody who may encrypt to a reader can make it parse.

use super::program::Program;
use crate::seal::{Description, Record, limits};

/// `u8 which | plaintext`: a record where `which` is even, else a description.
pub fn run(bytes: &[u8]) {
    let mut program = Program(bytes);
    let is_record = program.byte().is_multiple_of(2);
    let plaintext = &program.0[..program.0.len().min(limits::RECORD_BYTES)];
    match is_record {
        true => record(plaintext),
        false => description(plaintext),
    }
}

/// Unknown metas are skipped, and a decoding time that equals the other need not be told twice: what is written again may
/// be shorter, and must be read as the same.
fn record(plaintext: &[u8]) {
    let Ok(record) = Record::decode(plaintext) else { return };
    let mut written = Vec::new();
    record.encode(&mut written).expect("it came in a record");
    assert!(written.len() <= plaintext.len(), "it has grown");
    assert_eq!(Record::decode(&written).expect("our own"), record);
    let mut again = Vec::new();
    Record::decode(&written).and_then(|record| record.encode(&mut again)).expect("our own");
    assert!(again == written);
}

fn description(plaintext: &[u8]) {
    let Ok(description) = Description::decode(plaintext) else { return };
    assert!(description.encode() == plaintext, "a description that is written otherwise than it was read");
}
