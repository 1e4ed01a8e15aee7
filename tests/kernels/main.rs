//! The CUDA kernels, proved without a GPU: their sources run on the CPU, thread by thread in several orders, and must give
//! what the scalar reference gives, bit for bit; the PTX that is shipped must be that of these sources. `driver` runs the
//! host side on a stand-in driver.

mod driver;
#[path = "../scripts/process.rs"]
#[allow(dead_code, reason = "the scripts' tests need more of it")]
mod process;

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
        for order in ["forward", "reverse", "shuffled"] {
            let found = run(&program, "keystream", order, &upload(&key, &frame, false));
            assert!(found == masked, "keystream of {len}, {order}");
            let found = run(&program, "encrypt", order, &upload(&key, &frame, false));
            assert!(found == expected, "encrypt {len}, {order}");
            let found = run(&program, "decrypt", order, &upload(&key, &expected, true));
            assert!(found == frame, "decrypt {len}, {order}");
        }
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
