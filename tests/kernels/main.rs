//! The CUDA kernels, proved without a GPU: their sources run on the CPU, thread by thread in several orders, and must give
//! what the scalar reference gives, bit for bit; the PTX that is shipped must be that of these sources. `driver` runs the
//! host side on a stand-in driver; `ptx` runs the PTX itself; `exactness` is for a GPU too, and `classifier` for
//! a GPU alone, where `package` brings them.

#[cfg(feature = "nn-cuda")]
mod classifier;
mod driver;
mod exactness;
mod package;
#[path = "../scripts/process.rs"]
#[allow(dead_code, reason = "the scripts' tests need more of it")]
mod process;
mod ptx;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use aws_lc_rs::digest::{SHA256, digest};
use gstchaosveil::chaos::{
    FrameKey, FramePlan, TILE_BYTES,
    permutation::{Network, Shape},
    reference,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Compiles one of this folder's programs. Rounding is that of single IEEE operations: nothing is contracted.
fn compile(source: &str, program: &Path, more: &[&str]) {
    let source = Path::new(ROOT).join("tests/kernels").join(source);
    let exact =
        ["-std=c++17", "-O2", "-ffp-contract=off", "-fno-fast-math", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"];
    let compiled = Command::new("g++").args(exact).args(more).arg(source).arg("-o").arg(program).output();
    let compiled = compiled.expect("g++ of build-essential");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

/// The kernels as a program for the CPU.
fn emulator() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulate");
    compile("emulate.cpp", &program, &[]);
    program
}

/// What the host uploads of a frame, and the frame.
fn upload(key: &[u8; 32], frame: &[u8], inverse: bool) -> Vec<u8> {
    let mut plan = FramePlan::default();
    plan.prepare(&FrameKey::new(*key), frame.len());
    let (parts, shape) = (plan.permutation(), Shape::of(frame.len()));
    let table = |network: &Network| if inverse { network.inverse().table() } else { network.table() };
    let mut bytes = key.to_vec();
    for number in [shape.tiles, shape.last_blocks, shape.tail] {
        bytes.extend((number as u32).to_le_bytes());
    }
    bytes.extend(parts.networks.iter().flat_map(table));
    bytes.extend(parts.orders.as_flattened());
    bytes.extend(parts.tile_order.iter().flat_map(|tile| tile.to_le_bytes()));
    for part in [&parts.tile_choice, &parts.block_choice, &parts.last_order, &parts.tail_order] {
        bytes.extend(part);
    }
    bytes.extend(frame);
    bytes
}

fn run(program: &Path, kernel: &str, order: &str, input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command
        .args([kernel, order])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads all before it writes");
    let ran = child.wait_with_output().expect("ends");
    assert!(ran.status.success(), "{kernel} {order}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

#[test]
fn kernels_on_the_cpu_equal_the_reference() {
    let program = emulator();
    let edges = [0, 1, 7, 8, 9, 255, 256, 257, TILE_BYTES - 257, TILE_BYTES - 1, TILE_BYTES, TILE_BYTES + 1];
    for (number, len) in edges.into_iter().chain([5 * TILE_BYTES + 1300]).enumerate() {
        let key: [u8; 32] = *blake3::hash(&[number as u8]).as_bytes();
        let frame: Vec<u8> = (0..len).map(|i| (i * 197 + (i >> 8) * 31 + 7) as u8).collect();
        let expected = reference::encrypt(&FrameKey::new(key), &frame);
        let masked: Vec<u8> =
            reference::keystream(&FrameKey::new(key), len).iter().zip(&frame).map(|(k, byte)| k ^ byte).collect();
        let permuted = permuted(&key, &frame);
        for order in ["forward", "reverse", "shuffled"] {
            let found = run(&program, "keystream", order, &upload(&key, &frame, false));
            assert!(found == masked, "keystream of {len}, {order}");
            let found = run(&program, "encrypt", order, &upload(&key, &frame, false));
            assert!(found == expected, "encrypt {len}, {order}");
            let found = run(&program, "decrypt", order, &upload(&key, &expected, true));
            assert!(found == frame, "decrypt {len}, {order}");
            let found = run(&program, "permute", order, &upload(&key, &frame, false));
            assert!(found == permuted, "permute {len}, {order}");
        }
    }
}

/// One half of the stage, as the reference has it.
fn permuted(key: &[u8; 32], frame: &[u8]) -> Vec<u8> {
    reference::permutation(&FrameKey::new(*key), frame.len()).iter().map(|&from| frame[from as usize]).collect()
}

/// The plan and the frame as they lie in a device's memory: `struct Plan` of `kernels/common.cuh` and what it points to.
fn device_memory(key: &[u8; 32], frame: &[u8], inverse: bool) -> (Vec<u8>, u64, u64) {
    let upload = upload(key, frame, inverse);
    let shape = Shape::of(frame.len());
    let blocks = shape.tiles * 192 + shape.last_blocks;
    let mut tables = &upload[44..];
    let mut memory = upload[..44].to_vec();
    memory.resize(48 + 7 * 8, 0);
    for (pointer, len) in
        [1024, 8 * 192, 4 * shape.tiles, shape.tiles, blocks, shape.last_blocks, shape.tail].into_iter().enumerate()
    {
        memory.resize(memory.len().next_multiple_of(16), 0);
        let address = ptx::GLOBAL + memory.len() as u64;
        memory[48 + 8 * pointer..][..8].copy_from_slice(&address.to_le_bytes());
        memory.extend(&tables[..len]);
        tables = &tables[len..];
    }
    memory.resize(memory.len().next_multiple_of(16), 0);
    let src = memory.len();
    memory.extend(frame);
    memory.resize(memory.len().next_multiple_of(16), 0);
    let dst = memory.len();
    // Nothing stands behind the frame: a kernel that goes too far is found out.
    memory.resize(dst + frame.len(), 0xA5);
    (memory, src as u64, dst as u64)
}

#[test]
fn shipped_ptx_equals_the_reference() {
    let read = |name: &str| fs::read_to_string(Path::new(ROOT).join("kernels").join(name)).expect("a PTX");
    let (stage, keystream) = (read("permutation.ptx"), read("keystream.ptx"));
    let [encrypt, decrypt, permute] = ["encrypt", "decrypt", "permute"].map(|name| ptx::Kernel::decode(&stage, name));
    let masking = ptx::Kernel::decode(&keystream, "keystream");
    let edges = [1, 7, 8, 9, 255, 256, 257, TILE_BYTES - 1, TILE_BYTES, TILE_BYTES + 1, 4 * TILE_BYTES + 1300];
    for (number, len) in edges.into_iter().enumerate() {
        let key: [u8; 32] = *blake3::hash(&[number as u8, 1]).as_bytes();
        let frame: Vec<u8> = (0..len).map(|i| (i * 89 + (i >> 8) * 7 + 3) as u8).collect();
        let expected = reference::encrypt(&FrameKey::new(key), &frame);
        let warps = Shape::of(len).tiles as u32 + 1;
        let moved = permuted(&key, &frame);
        for (kernel, from, to, inverse) in [
            (&encrypt, &frame, &expected, false),
            (&decrypt, &expected, &frame, true),
            (&permute, &frame, &moved, false),
        ] {
            let (mut memory, src, dst) = device_memory(&key, from, inverse);
            let parameters = [0, src, dst].map(|address| ptx::GLOBAL + address);
            kernel.run(warps.div_ceil(4), 128, &parameters, &mut memory);
            assert!(memory[dst as usize..] == to[..], "{len} bytes");
        }
        let (mut memory, src, _) = device_memory(&key, &frame, false);
        masking.run(warps, 32, &[ptx::GLOBAL, ptx::GLOBAL + src, len as u64], &mut memory);
        let keystream = reference::keystream(&FrameKey::new(key), len);
        let masked = memory[src as usize..][..len].iter().zip(&frame).map(|(masked, byte)| masked ^ byte);
        assert!(masked.eq(keystream), "keystream of {len}");
    }
}

/// A checked-in PTX that belongs to other sources would be run all the same.
#[test]
fn shipped_ptx_is_that_of_the_sources() {
    let folder = Path::new(ROOT).join("kernels");
    let options = fs::read_to_string(folder.join("nvrtc_options.txt")).expect("options");
    let options: Vec<&str> = options.lines().collect();
    let named = |ending: &str| {
        let entries = fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("readable").path());
        let mut paths: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == ending)).collect();
        paths.sort();
        paths
    };
    let sources = named("cu");
    assert_eq!(sources.len(), named("ptx").len());
    for source in sources {
        let mut state = options.join("\0").into_bytes();
        for file in std::iter::once(source.clone()).chain(named("cuh")) {
            state.push(0);
            state.extend(file.file_name().expect("a file").as_encoded_bytes());
            state.push(0);
            state.extend(fs::read(&file).expect("readable"));
        }
        let digits: String = digest(&SHA256, &state).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let ptx = fs::read_to_string(source.with_extension("ptx")).expect("a PTX for each source");
        let told = ptx.lines().next().unwrap_or_default();
        assert!(told.ends_with(&digits), "{}: run kernels/build_ptx.sh", source.display());
    }
}
