//! A stream header, as it comes and as somebody makes it who may encrypt to the reader.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
};

use super::{
    genuine::{Genuine, HEADERS, STREAMS, age_identity},
    program::Program,
};
use crate::{
    Error,
    seal::{Description, Identities, Profile, RawStreamHeader, ReaderPolicy, Secret, StreamKeys, StreamReader, limits},
};

/// `u8 which | ...`: the bytes of a header where `which` is even, else parts of one that the key is known of.
pub fn run(bytes: &[u8]) {
    let mut program = Program(bytes);
    let as_it_comes = program.byte().is_multiple_of(2);
    match as_it_comes {
        true => as_it_came(program.0),
        false => sealed(&mut program),
    }
}

fn as_it_came(bytes: &[u8]) {
    let Ok(Some(len)) = RawStreamHeader::total_len(bytes) else { return };
    assert!(len <= limits::STREAM_HEADER_BYTES);
    for shorter in 0..bytes.len().min(200) {
        let told = RawStreamHeader::total_len(&bytes[..shorter]).expect("more bytes make no better header");
        assert!(told.is_none_or(|told| told == len), "a length that changes with what follows");
    }
    let Some(header) = bytes.get(..len) else { return };
    let raw = RawStreamHeader::split(header).expect("a header of its length");
    if let Ok(groups) = raw.key_groups() {
        assert!((1..=limits::KEY_GROUPS).contains(&groups.len()));
        assert!(packed(&groups) == raw.head()[40..], "key groups that are written otherwise than they were read");
    }
    if reader().header(header).is_ok() {
        assert!(HEADERS.iter().any(|known| known == header), "a stream header that nobody wrote");
    }
}

/// `u8 number of groups | for each u8 type, u8 length, bytes | description`: after a key group of the reader's own come
/// those, and the description is sealed.
fn sealed(program: &mut Program) {
    let genuine = &STREAMS[0];
    let own = RawStreamHeader::split(&genuine.packets[0]).expect("genuine");
    let own_groups = own.key_groups().expect("genuine");
    let mut groups: Vec<_> = (0..program.byte() % 8).map(|_| (program.byte(), program.literal())).collect();
    groups.extend(own_groups);
    let packed = packed(&groups);
    let mut head = own.head()[..40].to_vec();
    head[12..16].copy_from_slice(&(40 + packed.len() as u32).to_le_bytes());
    head[36..38].copy_from_slice(&(groups.len() as u16).to_le_bytes());
    head.extend_from_slice(&packed);
    let plaintext = program.rest();
    let header = seal(genuine, &head, &own, plaintext);
    match reader().header(&header) {
        Err(Error::WrongKey) => panic!("its own key group opens it, whatever the others are"),
        Err(_) => {}
        Ok(_) => {
            let description = Description::decode(plaintext).expect("it was taken");
            assert!(description.encode() == plaintext, "another description than was sealed");
        }
    }
}

/// HEAD and TAIL as a writer makes them, of any plaintext.
fn seal(genuine: &Genuine, head: &[u8], own: &RawStreamHeader, plaintext: &[u8]) -> Vec<u8> {
    let (profile, aead) = (own.profile().expect("genuine"), own.aead().expect("genuine"));
    let keys = StreamKeys::derive(&Secret::new(genuine.root), head, own.stream_id(), profile, aead);
    let mut fixed =
        [&keys.commitment[..], &0u64.to_le_bytes(), &(plaintext.len() as u32).to_le_bytes(), &[0; 12]].concat();
    let mac = keys.header_mac(&[b"tail", &keys.head_hash, &fixed]);
    let aad = [&b"description"[..], &keys.head_hash, &fixed].concat();
    let mut sealed = plaintext.to_vec();
    let epoch = keys.epoch(0).expect("the first");
    let tag = epoch.seal(0, DESCRIPTION_INDEX, &aad, &mut sealed).expect("seals");
    fixed.extend_from_slice(&mac);
    [head, &fixed, &sealed, &tag].concat()
}

/// Section 1 of the format.
const DESCRIPTION_INDEX: u32 = 0xFFFF_FFFE;

fn packed(groups: &[(u8, &[u8])]) -> Vec<u8> {
    let pack = |(kind, bytes): &(u8, &[u8])| [&[*kind, 0][..], &(bytes.len() as u16).to_le_bytes(), bytes].concat();
    groups.iter().flat_map(pack).collect()
}

/// A pre-shared key and an age identity. No passphrase: one input could take a gigabyte and seconds, which is allowed.
fn reader() -> StreamReader {
    static IDENTITIES: LazyLock<Arc<Identities>> = LazyLock::new(|| {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(file, "{}", age_identity()).expect("room for it");
        let mut identities = Identities::default();
        identities.set_preshared(Secret::new(STREAMS[0].psk));
        identities.add_file(file.path()).expect("an identity");
        Arc::new(identities)
    });
    let policy = ReaderPolicy { profiles: Profile::ALL.to_vec(), ..ReaderPolicy::default() };
    StreamReader::new(IDENTITIES.clone(), policy)
}
