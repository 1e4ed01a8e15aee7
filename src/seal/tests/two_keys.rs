//! A key group that opens with two pre-shared keys, to two roots: ChaCha20-Poly1305 does not commit to its key. The
//! commitment in the stream header does: one of the two opens the stream, and the other is told so.

use num_bigint::BigInt;

use super::*;

/// The words of ChaCha20's block 0 under the nonce zero (RFC 8439, section 2.3), of which the first 32 bytes key Poly1305.
fn chacha20_block(key: &[u8; 32]) -> [u32; 16] {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let mut start = [0; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    start[4..12].iter_mut().zip(key.chunks(4)).for_each(|(out, bytes)| *out = word(bytes));
    let mut state = start;
    let mut quarter = |[a, b, c, d]: [usize; 4]| {
        for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[x] = state[x].wrapping_add(state[y]);
            state[z] = (state[z] ^ state[x]).rotate_left(turn);
        }
    };
    for _ in 0..10 {
        (0..4).for_each(|i| quarter([i, 4 + i, 8 + i, 12 + i]));
        (0..4).for_each(|i| quarter([i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4]));
    }
    std::array::from_fn(|i| state[i].wrapping_add(start[i]))
}

fn number(bytes: &[u8]) -> BigInt {
    BigInt::from_bytes_le(num_bigint::Sign::Plus, bytes)
}

/// `r` and `s` of Poly1305 (RFC 8439, sections 2.5 and 2.6).
fn poly1305_key(key: &[u8; 32]) -> (BigInt, BigInt) {
    let mut bytes: Vec<u8> = chacha20_block(key).iter().take(8).flat_map(|word| word.to_le_bytes()).collect();
    [3, 7, 11, 15].into_iter().for_each(|at| bytes[at] &= 15);
    [4, 8, 12].into_iter().for_each(|at| bytes[at] &= 252);
    (number(&bytes[..16]), number(&bytes[16..]))
}

/// 32 bytes of ciphertext and a tag that open under two keys with nonce zero and 16 bytes of AAD.
fn sealed_for_both(keys: [&[u8; 32]; 2], aad: &[u8; 16]) -> Vec<u8> {
    let one = BigInt::from(1);
    let (p, top) = ((&one << 130) - 5, &one << 128);
    let reduced = |value: BigInt| -> BigInt { ((value % &p) + &p) % &p };
    let [(r1, s1), (r2, s2)] = keys.map(poly1305_key);
    let block = |bytes: &[u8]| number(bytes) + &top;
    let lengths = block(&[16_u64.to_le_bytes(), 32_u64.to_le_bytes()].concat());
    for turn in 0_u128.. {
        let first = (turn * 0x9E37_79B9_7F4A_7C15).to_le_bytes();
        // All of the polynomial but the second block of ciphertext.
        let rest = |r: &BigInt| block(aad) * r.pow(4) + block(&first) * r.pow(3) + &lengths * r;
        for carry in -3..=3 {
            let wanted = &s2 - &s1 + carry * &top - rest(&r1) + rest(&r2);
            let slope = reduced(r1.pow(2) - r2.pow(2));
            let second = reduced(wanted * slope.modpow(&(&p - 2), &p));
            if second < top || second >= &top * 2 {
                continue;
            }
            let tag = |r: &BigInt, s: &BigInt| (reduced(rest(r) + &second * r.pow(2)) + s) % &top;
            if tag(&r1, &s1) == tag(&r2, &s2) {
                let bytes = |value: BigInt| {
                    let mut bytes = value.to_bytes_le().1;
                    bytes.resize(16, 0);
                    bytes
                };
                return [first.to_vec(), bytes(&second - &top), bytes(tag(&r1, &s1))].concat();
            }
        }
    }
    unreachable!("one in four works")
}

#[test]
fn fail_a_group_that_opens_with_two_keys() {
    let (psks, salt, stream_id) = ([[7; 32], [8; 32]], [4; 32], [3; 16]);
    let keks = psks.map(|psk| keys::derived("chaosveil v1 psk", &[&psk, &salt]));
    let sealed = sealed_for_both([keks[0].bytes(), keks[1].bytes()], &stream_id);
    let group = [&salt[..], &sealed].concat();
    let roots = psks.map(|psk| {
        recipients::unwrap_preshared(&Secret::new(psk), &group, &stream_id).expect("it opens with both keys")
    });
    assert_ne!(roots[0].bytes(), roots[1].bytes());
    let groups = [KeyGroup { kind: GROUP_PRESHARED, bytes: group }];
    let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &stream_id, &groups).expect("fits");
    for (own, root) in roots.iter().enumerate() {
        let keys = StreamKeys::derive(root, &head, stream_id, Profile::Aead, Aead::Aes256Gcm);
        let epoch = keys.epoch(0).expect("the first");
        let header = stream_header::encode(&head, &keys, &epoch, 0, &description(), None).expect("fits");
        for (number, psk) in psks.into_iter().enumerate() {
            let mut identities = Identities::default();
            identities.set_preshared(Secret::new(psk));
            let read = StreamReader::new(Arc::new(identities), ReaderPolicy::default()).header(&header);
            match number == own {
                true => assert_eq!(read.expect("its root"), HeaderNews::NewStream),
                false => assert!(matches!(read, Err(Error::WrongKey)), "the other root does not match the commitment"),
            }
        }
    }
}
