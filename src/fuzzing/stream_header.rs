//! A stream header, as it comes and as somebody makes it who may encrypt to the reader.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::{
    genuine::{HEADERS, STREAMS, age_identity},
    program::Program,
};
use crate::{
    Error,
    seal::{CameraId, Identities, Profile, RawStreamHeader, ReaderPolicy, Secret, StreamKeys, StreamReader, limits},
};

/// `u8 which | ...`: the bytes of a header where `which` is even, else parts of one that the key is known of.
pub fn run(bytes: &[u8]) {
    let mut program = Program(bytes);
    let as_it_comes = program.byte().is_multiple_of(2);
    match as_it_comes {
        true => as_it_came(program.0),
        false => drop(opens_sealed(&mut program)),
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
    if reader(false).header(header).is_ok() {
        assert!(HEADERS.iter().any(|known| known == header), "a stream header that nobody wrote");
    }
}

/// `u8 number of groups | for each u8 type, u8 length, bytes | u8 how | u8 epoch | 12 bytes of TAIL if told so | description`:
/// after a key group of the reader's own come those, and the description is sealed in that epoch, signed or not. Tells
/// whether the reader opens it.
fn opens_sealed(program: &mut Program) -> bool {
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
    let (how, epoch) = (program.byte(), EPOCHS[usize::from(program.byte()) % EPOCHS.len()]);
    let [is_signed, claims_otherwise, is_to_be_signed] = [1, 2, 4].map(|bit| how & bit != 0);
    let signature_len = if is_signed { SIGNATURE_BYTES as u32 } else { 0 };
    let truth: [u8; 12] = [epoch, signature_len, 0].map(u32::to_le_bytes).concat().try_into().expect("12 bytes");
    let mut claims = if claims_otherwise { truth.map(|_| program.byte()) } else { truth };
    let claimed = u32::from_le_bytes(*claims.first_chunk().expect("four of them"));
    if claimed <= limits::EPOCHS && !EPOCHS.contains(&claimed) {
        claims[..4].copy_from_slice(&EPOCHS[claimed as usize % EPOCHS.len()].to_le_bytes());
    }
    let plaintext = program.rest();
    let (profile, aead) = (own.profile().expect("genuine"), own.aead().expect("genuine"));
    let keys = StreamKeys::derive(&Secret::new(genuine.root), &head, own.stream_id(), profile, aead);
    let header = seal(&keys, &head, (epoch, is_signed), &claims, plaintext);
    let mut reader = reader(is_to_be_signed);
    match reader.header(&header) {
        Err(Error::WrongKey) => panic!("its own key group opens it, whatever the others are"),
        Err(_) => false,
        Ok(_) => {
            let session = reader.session().expect("open");
            assert!(claims == truth, "numbers that the packet does not bear out");
            assert!(is_signed || session.camera().is_none(), "a signature that the camera did not make");
            assert!(session.camera().is_some() || !is_to_be_signed, "an unsigned stream where a camera was named");
            let opened = session.description(0, epoch).expect("told, in its epoch");
            assert!(opened.encode() == plaintext, "another description than was sealed");
            true
        }
    }
}

/// HEAD and TAIL as a writer makes them, of any plaintext, with any last numbers.
fn seal(
    keys: &StreamKeys,
    head: &[u8],
    (epoch, is_signed): (u32, bool),
    claims: &[u8; 12],
    plaintext: &[u8],
) -> Vec<u8> {
    let sealed_len = plaintext.len() + if is_signed { SIGNATURE_BYTES } else { 0 };
    let mut fixed = [&keys.commitment[..], &0u64.to_le_bytes(), &(sealed_len as u32).to_le_bytes(), claims].concat();
    let mac = keys.header_mac(&[b"tail", &keys.head_hash, &fixed]);
    let mut sealed = plaintext.to_vec();
    if is_signed {
        let message = [b"chaosveil v1 camera", &keys.head_hash[..], &fixed, plaintext].concat();
        sealed.extend_from_slice(CAMERA.public_key().as_ref());
        sealed.extend_from_slice(CAMERA.sign(&message).as_ref());
    }
    let aad = [&b"description"[..], &keys.head_hash, &fixed].concat();
    let tag = keys.epoch(epoch).expect("near").seal(0, DESCRIPTION_INDEX, &aad, &mut sealed).expect("seals");
    fixed.extend_from_slice(&mac);
    [head, &fixed, &sealed, &tag].concat()
}

/// Some of the first; some where a reader remembers what is on the way; and one beyond those that it goes to at any time. All
/// that it may go to would take seconds under a sanitizer.
const EPOCHS: [u32; 8] = [0, 1, 2, 3, 1023, 1024, 1025, 4097];

/// Public key and signature.
const SIGNATURE_BYTES: usize = 32 + 64;

static CAMERA: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed"));

/// Section 1 of the format.
const DESCRIPTION_INDEX: u32 = 0xFFFF_FFFE;

fn packed(groups: &[(u8, &[u8])]) -> Vec<u8> {
    let pack = |(kind, bytes): &(u8, &[u8])| [&[*kind, 0][..], &(bytes.len() as u16).to_le_bytes(), bytes].concat();
    groups.iter().flat_map(pack).collect()
}

/// A pre-shared key and an age identity. No passphrase: one input could take a gigabyte and seconds, which is allowed.
fn reader(is_to_be_signed: bool) -> StreamReader {
    let named = || {
        let digits: String = CAMERA.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        CameraId::parse(&format!("camera-1:{digits}")).expect("a camera")
    };
    static IDENTITIES: LazyLock<Arc<Identities>> = LazyLock::new(|| {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(file, "{}", age_identity()).expect("room for it");
        let mut identities = Identities::default();
        identities.set_preshared(Secret::new(STREAMS[0].psk));
        identities.add_file(file.path()).expect("an identity");
        Arc::new(identities)
    });
    let cameras = is_to_be_signed.then(named).into_iter().collect();
    let policy = ReaderPolicy { profiles: Profile::ALL.to_vec(), cameras, ..ReaderPolicy::default() };
    StreamReader::new(IDENTITIES.clone(), policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Description;

    /// Nor would the promises be tried if none did.
    #[test]
    fn what_is_signed_and_sealed_so_opens() {
        let description = Description { tracks: 1, caps: "x/y".into(), ..Description::default() }.encode();
        let opens = |how: u8, epoch: u8, claims: &[u8]| {
            let program = [&[0, how, epoch][..], claims, &description].concat();
            opens_sealed(&mut Program(&program))
        };
        let claims =
            |epoch: u32, signature_len: u32, zero: u32| [epoch, signature_len, zero].map(u32::to_le_bytes).concat();
        for epoch in [0, 3] {
            assert!([0, 1, 5].into_iter().all(|how| opens(how, epoch, &[])));
            assert!(!opens(4, epoch, &[]), "not signed, and it was to be");
            assert!(opens(3, epoch, &claims(epoch.into(), 96, 0)));
        }
        for wrong in [claims(4, 96, 0), claims(3, 0, 0), claims(3, 95, 0), claims(3, 96, 1), claims(u32::MAX, 96, 0)] {
            assert!(!opens(3, 3, &wrong));
        }
    }
}
