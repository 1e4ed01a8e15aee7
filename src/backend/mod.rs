//! Who runs the chaotic stage: one interface, chosen once.
//!
//! In: a [`FramePlan`] and the bytes of a frame. Out: the bytes after the stage, bit for bit those of
//! [`chaos::reference`](crate::chaos::reference). `tiles` walks a frame tile by tile, alone or over a thread pool, `kernel`
//! runs one tile on any instruction set, and `portable`, `avx2` and `avx512` hold nothing but the instructions; `cuda` is
//! a GPU, `auto` who takes it where `calibration` has found it faster. Read next: [`choose`], `tiles`, `kernel`.

#[cfg(feature = "cuda")]
mod auto;
#[allow(
    clippy::needless_range_loop,
    reason = "iterator adapters are not inlined into functions with instructions enabled"
)]
#[cfg(target_arch = "x86_64")]
mod avx2;
#[allow(
    clippy::needless_range_loop,
    reason = "iterator adapters are not inlined into functions with instructions enabled"
)]
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod calibration;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
#[allow(
    clippy::needless_range_loop,
    reason = "iterator adapters are not inlined into functions with instructions enabled"
)]
mod kernel;
pub mod memory;
#[allow(
    clippy::needless_range_loop,
    reason = "iterator adapters are not inlined into functions with instructions enabled"
)]
mod portable;
mod tiles;

use std::{fmt, sync::Arc};

use self::{calibration::Verdict, device::Device};
use crate::{Error, Result, chaos::FramePlan};

/// Runs the chaotic stage over whole frames. `src` and `dst` are as long as the plan's frame and do not overlap.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Name by which a user forces this backend.
    fn name(&self) -> &'static str;
    /// `dst[i] = src[p[i]] ^ keystream[i]`. With `pool`, tiles are spread over its threads.
    fn encrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>);
    /// `dst[p[i]] = src[i] ^ keystream[i]`. With `pool`, tiles are spread over its threads.
    fn decrypt(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>);
    /// As `decrypt`, and hands each segment of `segment_bytes` (whole tiles; the last may be shorter) on to `open`, whose
    /// output is the segment of `dst`: what lies between stays in the cache. With `pool`, segments are spread over its
    /// threads.
    ///
    /// # Errors
    /// The first of `open`; other segments may have been opened or not.
    fn decrypt_segments(
        &self,
        plan: &FramePlan,
        src: &[u8],
        dst: &mut [u8],
        segment_bytes: usize,
        pool: Option<&rayon::ThreadPool>,
        open: Open,
    ) -> Result<()>;
    /// `dst[i] ^= keystream[i]`: one half of the stage, to be measured and studied.
    fn keystream(&self, plan: &FramePlan, dst: &mut [u8], pool: Option<&rayon::ThreadPool>);
    /// `dst[i] = src[p[i]]`: the other half.
    fn permute(&self, plan: &FramePlan, src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>);
    /// A stream of frames of `frame_bytes` bytes begins: who chooses by measuring does it now. That takes up to a second,
    /// once for a size on a machine: nothing to be called for single frames.
    fn expect_frames(&self, frame_bytes: usize) {
        let _ = frame_bytes;
    }
    /// Why another backend has taken this one's place, if it has, told once. Its frames were done all the same.
    fn take_trouble(&self) -> Option<String> {
        None
    }
    /// The device that does the work, if it is another than the processor.
    fn device(&self) -> Option<&dyn Device> {
        None
    }
}

/// Opens a segment: its number, what was sealed, where it goes.
pub type Open<'a> = &'a (dyn Fn(usize, &[u8], &mut [u8]) -> Result<()> + Sync);

/// How the frames of a stream are worked on.
#[derive(Clone, Debug)]
pub struct Parallel {
    /// Frames worked on at once, at least one.
    pub workers: usize,
    /// Threads that share a frame.
    pub pool: Option<Arc<rayon::ThreadPool>>,
}

impl Parallel {
    /// Workers of a stream whose user names no number: as many as there are processors, at most four.
    pub fn usual_workers() -> usize {
        std::thread::available_parallelism().map_or(1, |processors| processors.get().min(4))
    }
}

/// What a user may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The fastest that this machine offers; a GPU only for streams, and where it has been measured to be faster.
    #[default]
    Auto,
    /// Plain Rust, any processor.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL, DQ and VBMI.
    Avx512,
    /// An NVIDIA GPU.
    Cuda,
}

impl Choice {
    /// Every choice, in the order in which they are listed to users.
    pub const ALL: [Choice; 5] = [Choice::Auto, Choice::Portable, Choice::Avx2, Choice::Avx512, Choice::Cuda];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Choice::Auto => "auto",
            Choice::Portable => "portable",
            Choice::Avx2 => "avx2",
            Choice::Avx512 => "avx512",
            Choice::Cuda => "cuda",
        }
    }

    /// The choice that a word stands for.
    ///
    /// # Errors
    /// [`Error::BackendUnavailable`] for any other word.
    pub fn from_name(name: &str) -> Result<Choice> {
        Choice::ALL.into_iter().find(|choice| choice.name() == name).ok_or_else(|| Error::BackendUnavailable {
            name: name.to_owned(),
            reason: format!("known are {}", Choice::ALL.map(Choice::name).join(", ")),
        })
    }
}

/// Environment variable that forces a backend where the user has left the choice open.
pub const ENVIRONMENT: &str = "CHAOSVEIL_BACKEND";

/// Makes the backend that `choice` asks for, for single frames; `Auto` follows [`ENVIRONMENT`] where that is set, and is
/// otherwise the fastest of the processor's: to start a GPU takes longer than a frame does.
///
/// # Errors
/// [`Error::BackendUnavailable`] where this machine does not offer it.
pub fn choose(choice: Choice) -> Result<Arc<dyn Backend>> {
    make(asked(choice)?, 0)
}

/// As [`choose`], for a stream: `Auto` becomes the GPU with the number `device` if that has been measured to be faster
/// with its frames, which [`Backend::expect_frames`] announces.
///
/// # Errors
/// As [`choose`].
pub fn choose_for_stream(choice: Choice, device: usize, parallel: Parallel) -> Result<Arc<dyn Backend>> {
    let choice = asked(choice)?;
    let backend = make(choice, device)?;
    #[cfg(feature = "cuda")]
    if choice == Choice::Auto {
        return Ok(Arc::new(auto::Auto::new(backend, device, parallel)));
    }
    let _ = parallel;
    Ok(backend)
}

/// How fast the GPU with the number `device` and the processor are with frames of `frame_bytes` bytes, measured unless
/// that is known.
///
/// # Errors
/// [`Error::BackendUnavailable`] if there is no such GPU, or it fails.
pub fn calibrate(device: usize, frame_bytes: usize, parallel: &Parallel) -> Result<Verdict> {
    #[cfg(feature = "cuda")]
    return auto::calibrate(device, &make(Choice::Auto, 0)?, frame_bytes, parallel);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = (device, frame_bytes, parallel);
        Err(no_cuda())
    }
}

/// Whether kernels that are compiled when they are needed can be run on the GPU with the number `device`.
///
/// # Errors
/// What is missing, in words.
#[cfg(feature = "nn-cuda")]
pub(crate) fn can_compile_for_cuda(device: usize) -> std::result::Result<(), String> {
    cuda::can_compile(device)
}

/// What the user asks for, here or in the environment.
fn asked(choice: Choice) -> Result<Choice> {
    match (choice, std::env::var(ENVIRONMENT)) {
        (Choice::Auto, Ok(name)) if !name.is_empty() => Choice::from_name(&name),
        (choice, _) => Ok(choice),
    }
}

fn make(choice: Choice, device: usize) -> Result<Arc<dyn Backend>> {
    let mut available = available();
    let found = match choice {
        Choice::Auto => Some(0),
        Choice::Cuda => return cuda_device(device, available.swap_remove(0)),
        choice => available.iter().position(|backend| backend.name() == choice.name()),
    };
    match found {
        Some(index) => Ok(available.swap_remove(index)),
        None => Err(Error::BackendUnavailable {
            name: choice.name().to_owned(),
            reason: "this processor lacks its instructions; use `auto`".to_owned(),
        }),
    }
}

#[cfg(feature = "cuda")]
fn cuda_device(device: usize, stand_in: Arc<dyn Backend>) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(cuda::Cuda::open(device, stand_in)?))
}

#[cfg(not(feature = "cuda"))]
fn cuda_device(_: usize, _: Arc<dyn Backend>) -> Result<Arc<dyn Backend>> {
    Err(no_cuda())
}

#[cfg(not(feature = "cuda"))]
fn no_cuda() -> Error {
    let reason = "this build has no CUDA: build it with --features cuda".into();
    Error::BackendUnavailable { name: "cuda".into(), reason }
}

/// The CPU backends that this machine offers, fastest first: the first is what `Auto` takes. `portable` is always among them.
pub fn available() -> Vec<Arc<dyn Backend>> {
    let mut available: Vec<Arc<dyn Backend>> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        available.extend(avx512::Avx512::detect().map(|kernel| Arc::new(tiles::Cpu(kernel)) as Arc<dyn Backend>));
        available.extend(avx2::Avx2::detect().map(|kernel| Arc::new(tiles::Cpu(kernel)) as Arc<dyn Backend>));
    }
    available.push(Arc::new(tiles::Cpu(portable::Portable::detect())));
    available
}

#[cfg(test)]
mod tests;
