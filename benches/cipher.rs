//! The stages of `chaosveil bench` under criterion, for whoever works on one of them: `cargo bench --bench cipher`, with
//! `--save-baseline before` and `--baseline before` to compare. Throughput counts bytes of payload.

use std::{hint::black_box, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gstchaosveil::{
    backend::{self, Backend, memory},
    chaos::{FrameKey, FramePlan},
    seal::{
        Aead, Description, Engine, FRAME_HEADER_BYTES, FrameHeader, FrameOpener, FrameSealer, Profile, Recipients,
        Record, Secret, StreamSecrets, StreamWriter,
    },
};

/// Bytes of a 1080p I420 and of a 4K RGB frame.
const SIZES: [(&str, usize); 2] = [("1080p I420", 1920 * 1080 * 3 / 2), ("4K RGB", 3840 * 2160 * 3)];

fn frame(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    memory::resize(&mut bytes, len);
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn controls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("control");
    for (name, len) in SIZES {
        let (src, mut dst) = (frame(len), frame(len));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("memcpy", name), |bench| {
            bench.iter(|| dst.copy_from_slice(black_box(&src)));
        });
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("its key length"));
        group.bench_function(BenchmarkId::new("aes-256-gcm", name), |bench| {
            bench.iter(|| {
                let nonce = Nonce::assume_unique_for_key([0; 12]);
                black_box(key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut dst).is_ok())
            });
        });
    }
    group.finish();
}

fn stage(criterion: &mut Criterion) {
    for backend in backend::available() {
        let mut group = criterion.benchmark_group(backend.name());
        for (name, len) in SIZES {
            let (src, mut dst) = (frame(len), frame(len));
            let mut plan = FramePlan::default();
            let mut number = 0u64;
            let mut next = |plan: &mut FramePlan| {
                number += 1;
                plan.prepare(&FrameKey::new(*blake3::hash(&number.to_le_bytes()).as_bytes()), len);
            };
            next(&mut plan);
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::new("keystream", name), |bench| {
                bench.iter(|| backend.keystream(&plan, &mut dst, None));
            });
            group.bench_function(BenchmarkId::new("permutation", name), |bench| {
                bench.iter(|| {
                    next(&mut plan);
                    backend.permute(&plan, &src, &mut dst, None);
                });
            });
            group.bench_function(BenchmarkId::new("keystream+permutation", name), |bench| {
                bench.iter(|| {
                    next(&mut plan);
                    backend.encrypt(&plan, &src, &mut dst, None);
                });
            });
        }
        group.finish();
    }
}

fn writer() -> StreamWriter {
    let mut recipients = Recipients::default();
    recipients.set_preshared(Secret::new([7; 32]));
    let secrets = StreamSecrets::random().expect("random bytes");
    let mut writer =
        StreamWriter::new(Profile::Hardened, Aead::Aes256Gcm, &recipients, secrets).expect("a recipient is set");
    writer.describe(&Description { tracks: 1, ..Description::default() }).expect("within limits");
    writer
}

fn seal(criterion: &mut Criterion) {
    let backend: Arc<dyn Backend> = backend::choose(backend::Choice::Auto).expect("a backend");
    let engine = Engine { backend: backend.clone(), pool: None };
    let mut group = criterion.benchmark_group(format!("hardened, {}", backend.name()));
    for (name, len) in SIZES {
        let (src, mut packet, mut out, mut writer) = (frame(len), Vec::new(), Vec::new(), writer());
        let keys = writer.keys();
        let mut sealer = FrameSealer::new(keys.clone(), engine.clone());
        let mut seal = |packet: &mut Vec<u8>| {
            let ticket = writer.frame(len).expect("within limits");
            sealer.seal_packet(ticket, &Record::default(), &src[..], packet).expect("seals");
        };
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("encrypt", name), |bench| bench.iter(|| seal(&mut packet)));
        seal(&mut packet);
        let header: &[u8; FRAME_HEADER_BYTES] = packet.first_chunk().expect("a packet has a header");
        let header = FrameHeader::decode(header, &keys).expect("its own");
        let (prefix, payload) = packet.split_at(header.prefix_len());
        let mut opener = FrameOpener::new(keys, engine.clone());
        group.bench_function(BenchmarkId::new("decrypt", name), |bench| {
            bench.iter(|| opener.open(prefix, payload, &mut out).expect("opens"));
        });
    }
    group.finish();
}

criterion_group!(benches, controls, stage, seal);
criterion_main!(benches);
