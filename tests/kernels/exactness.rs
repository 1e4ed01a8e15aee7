//! A GPU against every backend of the processor, over random frames of random lengths, several at once: what
//! `tests/gpu.sh` runs where there is one, and `driver` on the stand-in driver.
//!
//! CHAOSVEIL_FRAMES is the number of frames. Without a GPU nothing is compared, and that is told; with REQUIRE_CUDA it is a
//! failure.

use std::env;

use gstchaosveil::{
    backend::{Backend, Choice, available, choose},
    chaos::{FrameKey, FramePlan, TILE_BYTES},
};

/// Lengths that come before the random ones: around lanes, blocks, tiles, and groups of tiles that share a thread block.
const EDGES: [usize; 16] = [
    0,
    1,
    7,
    8,
    9,
    255,
    256,
    257,
    TILE_BYTES - 257,
    TILE_BYTES - 1,
    TILE_BYTES,
    TILE_BYTES + 1,
    3 * TILE_BYTES + 255,
    4 * TILE_BYTES - 1,
    4 * TILE_BYTES,
    5 * TILE_BYTES + 1,
];
/// Frames compared where nobody says how many.
const USUAL_FRAMES: usize = 40;
/// Frames on their way at once.
const AT_ONCE: usize = 4;

#[test]
fn device_equals_the_processor() {
    let cuda = match choose(Choice::Cuda) {
        Ok(cuda) => cuda,
        Err(error) if env::var_os("REQUIRE_CUDA").is_none() => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let frames = env::var("CHAOSVEIL_FRAMES").map_or(USUAL_FRAMES, |frames| frames.parse().expect("a number"));
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let cuda = &*cuda;
            scope.spawn(move || (first..frames).step_by(AT_ONCE).for_each(|number| compare(cuda, number)));
        }
    });
    // A CPU backend that has taken over would equal itself.
    assert_eq!(cuda.take_trouble(), None);
    println!("{frames} frames: equal on {cuda:?} and {:?}", available());
}

/// Every step over one frame, on the device and on every backend of the processor.
fn compare(cuda: &dyn Backend, number: usize) {
    let mut random = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    let (mut key, mut words) = ([0; 32], [0; 8]);
    random.fill(&mut key);
    random.fill(&mut words);
    let [.., exponent] = words;
    // As many small frames as large ones.
    let len = u64::from_le_bytes(words) as usize % (1 << (4 + exponent % 18));
    let len = EDGES.get(number).copied().unwrap_or(len);
    let mut src = vec![0; len];
    random.fill(&mut src);
    let mut plan = FramePlan::default();
    plan.prepare(&FrameKey::new(key), len);
    let steps = |backend: &dyn Backend| {
        let [mut encrypted, mut decrypted, mut permuted] = [(); 3].map(|()| vec![0xA5; len]);
        let mut masked = src.clone();
        backend.encrypt(&plan, &src, &mut encrypted, None);
        backend.decrypt(&plan, &src, &mut decrypted, None);
        backend.keystream(&plan, &mut masked, None);
        backend.permute(&plan, &src, &mut permuted, None);
        [encrypted, decrypted, masked, permuted]
    };
    let found = steps(cuda);
    for backend in available() {
        let same = steps(&*backend) == found;
        assert!(same, "frame {number} of {len} bytes differs on the device from {}", backend.name());
    }
}
