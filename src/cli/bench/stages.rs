//! What is measured: each stage does the work of one frame when it is told to.

use std::{hint::black_box, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rayon::prelude::*;

use super::{input::Picture, on_device};
use crate::{
    Error,
    backend::{Backend, memory},
    chaos::{FrameKey, FramePlan},
    cli::error::Failure,
    seal::{
        Aead, Description, Engine, FRAME_HEADER_BYTES, FrameHeader, FrameOpener, FrameSealer, Profile, Recipients,
        Record, SEGMENT_BYTES, Secret, StreamSecrets, StreamWriter,
    },
};

/// One size and format, and how it is worked on.
#[derive(Clone)]
pub struct Case<'a> {
    /// The frames.
    pub picture: &'a Picture,
    /// Profile of what is sealed.
    pub profile: Profile,
    /// Who runs the chaotic stage.
    pub backend: Arc<dyn Backend>,
    /// Threads that share a frame.
    pub threads: usize,
}

impl Case<'_> {
    fn engine(&self) -> Result<Engine, Failure> {
        let pool = match self.threads {
            1 => None,
            threads => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Some(Arc::new(pool.map_err(|error| Failure::io("threads", std::io::Error::other(error)))?))
            }
        };
        Ok(Engine { backend: self.backend.clone(), pool })
    }
}

/// A stage.
pub trait Stage {
    /// Name of the row.
    fn name(&self) -> &'static str;
    /// Who does the work, where there is a choice.
    fn backend(&self) -> Option<&'static str>;
    /// Profile, where it makes a difference.
    fn profile(&self) -> Option<Profile> {
        None
    }
    /// Which transfers to a device are in its figures: `none`, `device` (between pinned memory and the device), `host`
    /// (also from a frame's own memory to pinned memory and back: the library as it is used).
    fn transfers(&self) -> &'static str {
        if self.backend() == Some("cuda") { "host" } else { "none" }
    }
    /// Does the work of one frame.
    ///
    /// # Errors
    /// If it cannot be done.
    fn run(&mut self) -> Result<(), Failure>;
    /// Waits for frames that are still on their way.
    ///
    /// # Errors
    /// If one of them cannot be done.
    fn drain(&mut self) -> Result<(), Failure> {
        Ok(())
    }
    /// Whether several frames are worked on at once.
    fn in_parallel(&self) -> bool {
        false
    }
    /// Times between frames, in nanoseconds, where they do not come one for each run; since the last call.
    fn intervals_ns(&mut self) -> Option<Vec<u64>> {
        None
    }
}

/// Every stage of the library, in the order of the rows.
///
/// # Errors
/// If threads, keys or random bytes cannot be had.
pub fn all(case: &Case) -> Result<Vec<Box<dyn Stage>>, Failure> {
    let engine = case.engine()?;
    let name = engine.backend.name();
    let (pool, backend) = (engine.pool.clone(), engine.backend.clone());
    let mut frames = Frames::of(case.picture);
    let copy = move || frames.next(|src, dst| copy(src, dst, pool.as_deref()));
    let (mut frames, pool) = (Frames::of(case.picture), engine.pool.clone());
    let key = aes_key();
    let gcm = move || frames.next(|_, dst| gcm(&key, dst, pool.as_deref()));
    let (mut frames, pool, mut plan, keys) =
        (Frames::of(case.picture), engine.pool.clone(), plan(case), backend.clone());
    let keystream = move || frames.next(|_, dst| keys.keystream(plan.same(), dst, pool.as_deref()));
    let (mut frames, pool, mut plan, mover) =
        (Frames::of(case.picture), engine.pool.clone(), self::plan(case), backend.clone());
    let permutation = move || frames.next(|src, dst| mover.permute(plan.next(), src, dst, pool.as_deref()));
    let (mut frames, pool, mut plan) = (Frames::of(case.picture), engine.pool.clone(), self::plan(case));
    let both = move || frames.next(|src, dst| backend.encrypt(plan.next(), src, dst, pool.as_deref()));
    let mut stages: Vec<Box<dyn Stage>> = vec![
        Box::new(Simple { name: "memcpy", backend: None, work: copy }),
        Box::new(Simple { name: "aes-256-gcm", backend: Some("aws-lc"), work: gcm }),
    ];
    if let Some(device) = case.backend.device() {
        stages.extend(on_device::stages(case, device)?);
    }
    stages.push(Box::new(Simple { name: "keystream", backend: Some(name), work: keystream }));
    stages.push(Box::new(Simple { name: "permutation", backend: Some(name), work: permutation }));
    stages.push(Box::new(Simple { name: "keystream+permutation", backend: Some(name), work: both }));
    stages.push(Box::new(Encrypt(Sealing::new(case, engine.clone())?)));
    stages.push(Box::new(Decrypt::new(Sealing::new(case, engine.clone())?, engine)?));
    Ok(stages)
}

/// A stage that cannot fail.
struct Simple<W> {
    name: &'static str,
    backend: Option<&'static str>,
    work: W,
}

impl<W: FnMut()> Stage for Simple<W> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn backend(&self) -> Option<&'static str> {
        self.backend
    }

    fn run(&mut self) -> Result<(), Failure> {
        (self.work)();
        Ok(())
    }
}

/// Frames in and frames out, taking turns.
struct Frames {
    src: Vec<Vec<u8>>,
    dst: Vec<Vec<u8>>,
    turn: usize,
}

impl Frames {
    fn of(picture: &Picture) -> Frames {
        let copied = |frame: &Vec<u8>| {
            let mut copy = Vec::new();
            memory::resize(&mut copy, frame.len());
            copy.copy_from_slice(frame);
            copy
        };
        let copies = || picture.frames.iter().map(copied).collect::<Vec<_>>();
        Frames { src: copies(), dst: copies(), turn: 0 }
    }

    fn next(&mut self, work: impl FnOnce(&[u8], &mut [u8])) {
        self.turn = (self.turn + 1) % self.src.len();
        work(&self.src[self.turn], &mut self.dst[self.turn]);
        black_box(&self.dst[self.turn]);
    }
}

fn copy(src: &[u8], dst: &mut [u8], pool: Option<&rayon::ThreadPool>) {
    match pool {
        None => dst.copy_from_slice(src),
        Some(pool) => pool.install(|| {
            let pieces = dst.par_chunks_mut(SEGMENT_BYTES).zip(src.par_chunks(SEGMENT_BYTES));
            pieces.for_each(|(dst, src)| dst.copy_from_slice(src));
        }),
    }
}

/// AES-256-GCM in place, segment by segment as the seal does it. The same nonces again and again: nothing is kept.
fn gcm(key: &LessSafeKey, bytes: &mut [u8], pool: Option<&rayon::ThreadPool>) {
    let seal = |(index, segment): (usize, &mut [u8])| {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&index.to_le_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        black_box(key.seal_in_place_separate_tag(nonce, Aad::empty(), segment).is_ok());
    };
    match pool {
        None => bytes.chunks_mut(SEGMENT_BYTES).enumerate().for_each(seal),
        Some(pool) => pool.install(|| bytes.par_chunks_mut(SEGMENT_BYTES).enumerate().for_each(seal)),
    }
}

fn aes_key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("AES-256 has keys of 32 bytes"))
}

/// Plans of successive frames under throw-away keys.
struct Plans {
    plan: FramePlan,
    len: usize,
    number: u64,
}

fn plan(case: &Case) -> Plans {
    let mut plans = Plans { plan: FramePlan::default(), len: case.picture.bytes(), number: 0 };
    plans.next();
    plans
}

impl Plans {
    /// The plan of the frame before: keystream alone needs no permutation drawn.
    fn same(&mut self) -> &FramePlan {
        &self.plan
    }

    fn next(&mut self) -> &FramePlan {
        self.number += 1;
        let key = FrameKey::new(*blake3::hash(&self.number.to_le_bytes()).as_bytes());
        self.plan.prepare(&key, self.len);
        &self.plan
    }
}

/// A stream under a throw-away key.
struct Sealing {
    writer: StreamWriter,
    sealer: FrameSealer,
    frames: Frames,
    profile: Profile,
    backend: &'static str,
    packet: Vec<u8>,
}

impl Sealing {
    fn new(case: &Case, engine: Engine) -> Result<Sealing, Failure> {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::random()?);
        let mut writer = StreamWriter::new(case.profile, Aead::default(), &recipients, StreamSecrets::random()?)?;
        writer.describe(&Description { tracks: 1, caps: "video/x-raw".into(), ..Description::default() })?;
        Ok(Sealing {
            sealer: FrameSealer::new(writer.keys(), engine),
            writer,
            frames: Frames::of(case.picture),
            profile: case.profile,
            backend: case.backend.name(),
            packet: Vec::new(),
        })
    }

    /// Seals one frame over `packet`.
    fn seal(&mut self) -> Result<(), Error> {
        let Sealing { writer, sealer, frames, packet, .. } = self;
        frames.turn = (frames.turn + 1) % frames.src.len();
        let src = &frames.src[frames.turn];
        let ticket = writer.frame(src.len())?;
        let record = Record { description: ticket.description(), ..Record::default() };
        sealer.seal_packet(ticket, &record, &src[..], packet)
    }
}

/// Complete sealing into a packet.
struct Encrypt(Sealing);

impl Stage for Encrypt {
    fn name(&self) -> &'static str {
        "encrypt"
    }

    fn backend(&self) -> Option<&'static str> {
        Some(self.0.backend)
    }

    fn profile(&self) -> Option<Profile> {
        Some(self.0.profile)
    }

    fn run(&mut self) -> Result<(), Failure> {
        self.0.seal()?;
        black_box(&self.0.packet);
        Ok(())
    }
}

/// Complete opening of packets.
struct Decrypt {
    sealing: Sealing,
    opener: FrameOpener,
    packets: Vec<Vec<u8>>,
    out: Vec<u8>,
    turn: usize,
}

impl Decrypt {
    fn new(mut sealing: Sealing, engine: Engine) -> Result<Decrypt, Failure> {
        let mut packets = Vec::new();
        for _ in 0..sealing.frames.src.len() {
            sealing.seal()?;
            packets.push(std::mem::take(&mut sealing.packet));
        }
        let opener = FrameOpener::new(sealing.writer.keys(), engine);
        Ok(Decrypt { sealing, opener, packets, out: Vec::new(), turn: 0 })
    }
}

impl Stage for Decrypt {
    fn name(&self) -> &'static str {
        "decrypt"
    }

    fn backend(&self) -> Option<&'static str> {
        Some(self.sealing.backend)
    }

    fn profile(&self) -> Option<Profile> {
        Some(self.sealing.profile)
    }

    fn run(&mut self) -> Result<(), Failure> {
        self.turn = (self.turn + 1) % self.packets.len();
        let packet = &self.packets[self.turn];
        let header: &[u8; FRAME_HEADER_BYTES] = packet.first_chunk().ok_or(Error::NotOurs)?;
        let header = FrameHeader::decode(header, &self.sealing.writer.keys())?;
        let (prefix, payload) = packet.split_at(header.prefix_len());
        self.opener.open(prefix, payload, &mut self.out)?;
        black_box(&self.out);
        Ok(())
    }
}
