//! One body for every backend: equality with the reference and with the independent vectors.

use super::*;
use crate::chaos::{FrameKey, TILE_BYTES, reference};

fn key(number: u8) -> [u8; 32] {
    std::array::from_fn(|i| number.wrapping_mul(91).wrapping_add(13 * i as u8).wrapping_add(5))
}

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 197 + (i >> 8) * 31 + 7) as u8).collect()
}

fn run(backend: &dyn Backend, key: &FrameKey, src: &[u8], pool: Option<&rayon::ThreadPool>) -> Vec<u8> {
    let mut plan = FramePlan::default();
    plan.prepare(key, src.len());
    let mut cipher = vec![0xA5; src.len()];
    backend.encrypt(&plan, src, &mut cipher, pool);
    let mut back = vec![0x5A; src.len()];
    backend.decrypt(&plan, &cipher, &mut back, pool);
    assert!(back == src, "{}: decryption of {} bytes", backend.name(), src.len());
    check_segments(backend, &plan, &cipher, src, pool);
    cipher
}

/// Segment by segment comes out what comes out at once.
fn check_segments(
    backend: &dyn Backend,
    plan: &FramePlan,
    cipher: &[u8],
    src: &[u8],
    pool: Option<&rayon::ThreadPool>,
) {
    for segment_bytes in [TILE_BYTES, 2 * TILE_BYTES] {
        let mut dst = vec![0x5A; src.len()];
        let open = |segment: usize, sealed: &[u8], out: &mut [u8]| {
            assert!(src[segment * segment_bytes..].starts_with(sealed), "{}: segment {segment}", backend.name());
            out.copy_from_slice(sealed);
            Ok(())
        };
        backend.decrypt_segments(plan, cipher, &mut dst, segment_bytes, pool, &open).expect("opens");
        assert!(dst == src, "{}: {} bytes by segments", backend.name(), src.len());
        let refuse = |_: usize, _: &[u8], _: &mut [u8]| Err(Error::NotOurs);
        backend.decrypt_segments(plan, cipher, &mut dst, segment_bytes, pool, &refuse).expect_err("refused");
    }
}

#[test]
fn every_backend_equals_the_reference() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    let edges =
        [0, 1, 255, 256, 257, TILE_BYTES - 257, TILE_BYTES - 1, TILE_BYTES, TILE_BYTES + 1, 3 * TILE_BYTES + 300];
    for (number, len) in edges.into_iter().enumerate() {
        let key = FrameKey::new(key(number as u8));
        let src = message(len);
        let expected = reference::encrypt(&key, &src);
        assert!(reference::decrypt(&key, &expected) == src, "reference: decryption of {len} bytes");
        for backend in available() {
            assert!(run(&*backend, &key, &src, None) == expected, "{}: {len} bytes", backend.name());
            assert!(run(&*backend, &key, &src, Some(&pool)) == expected, "{}: {len} bytes, pool", backend.name());
        }
    }
}

#[test]
fn the_halves_of_the_stage_are_those_of_the_reference() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    for len in [0, 1, 257, TILE_BYTES - 1, 2 * TILE_BYTES + 1000] {
        let key = FrameKey::new(key(77));
        let src = message(len);
        let keystream = reference::keystream(&key, len);
        let permuted: Vec<u8> = reference::permutation(&key, len).iter().map(|&from| src[from as usize]).collect();
        let mut plan = FramePlan::default();
        plan.prepare(&key, len);
        for (backend, pool) in available().iter().flat_map(|backend| [(backend, None), (backend, Some(&pool))]) {
            let mut masked = src.clone();
            backend.keystream(&plan, &mut masked, pool);
            assert!(masked.iter().zip(&src).map(|(m, s)| m ^ s).eq(keystream.iter().copied()), "{}", backend.name());
            let mut moved = vec![0xA5; len];
            backend.permute(&plan, &src, &mut moved, pool);
            assert!(moved == permuted, "{}: permutation of {len}", backend.name());
        }
    }
}

#[test]
fn every_backend_equals_the_independent_vectors() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/chaotic_stage.json")).expect("vectors are JSON");
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let vectors = vectors["vectors"].as_array().expect("a list of vectors");
    assert_eq!(vectors.len(), 26);
    for vector in vectors {
        let bytes = blake3::Hash::from_hex(vector["k_frame"].as_str().expect("hex")).expect("32 bytes in hex");
        let key = FrameKey::new(*bytes.as_bytes());
        let len = vector["length"].as_u64().expect("a number") as usize;
        let src = message(len);
        assert_eq!(hash(&reference::keystream(&key, len)), vector["keystream_blake3"], "keystream of {len}");
        let p: Vec<u8> = reference::permutation(&key, len).iter().flat_map(|i| i.to_le_bytes()).collect();
        assert_eq!(hash(&p), vector["permutation_blake3_u32le"], "permutation of {len}");
        assert_eq!(hash(&reference::encrypt(&key, &src)), vector["output_blake3"], "reference, {len} bytes");
        for backend in available() {
            assert_eq!(hash(&run(&*backend, &key, &src, None)), vector["output_blake3"], "{}, {len}", backend.name());
        }
    }
}

#[test]
fn an_unknown_backend_is_named_in_the_error() {
    let error = Choice::from_name("abacus").expect_err("no such backend").to_string();
    assert!(error.contains("abacus") && error.contains("portable"), "{error}");
}
