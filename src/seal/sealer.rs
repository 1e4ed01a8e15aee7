//! Seals and opens single frames. One of each per worker; buffers and tables are kept from frame to frame.
//!
//! Sealing: source -> segments sealed into a private buffer -> chaotic stage -> destination. Opening is the mirror image,
//! and not one byte stays in the destination unless every segment, or the digest, and the record have verified.
//!
//! A source that stands together is read where it stands, once: what a tag covers is the ciphertext in our own buffer, so
//! that a source that changed meanwhile could not make it lie.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use rayon::prelude::*;
use zeroize::Zeroize;

use super::{
    frame_header::{FRAME_HEADER_BYTES, FrameHeader},
    keys::{EpochKeys, RECORD_INDEX, StreamKeys},
    record::Record,
    suite::{Aead, Profile, SEGMENT_BYTES, TAG_BYTES},
    writer::{Ticket, check_process},
};
use crate::{
    Error, Result,
    backend::{Backend, memory},
    chaos::FramePlan,
};

/// How a worker runs the chaotic stage, and over how many threads it spreads a frame.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Who runs the chaotic stage.
    pub backend: Arc<dyn Backend>,
    /// Threads to spread one frame over; `None` keeps it on the worker's own.
    pub pool: Option<Arc<rayon::ThreadPool>>,
}

/// What sealer and opener share.
struct Worker {
    keys: Arc<StreamKeys>,
    engine: Engine,
    plan: FramePlan,
    /// The frame between seal and stage.
    between: Vec<u8>,
}

impl Worker {
    fn new(keys: Arc<StreamKeys>, engine: Engine) -> Worker {
        Worker { keys, engine, plan: FramePlan::default(), between: Vec::new() }
    }

    fn prepare(&mut self, keys: &EpochKeys, header: &FrameHeader, authenticator: &[u8]) {
        let segments = if header.profile == Profile::Chaos { 0 } else { header.segments() };
        let key = keys.frame_key(header.counter, segments, authenticator);
        self.plan.prepare(&key, header.payload_len);
    }
}

/// AAD of a segment or record: the frame header, its index, the number of segments.
fn segment_aad(header: &[u8; FRAME_HEADER_BYTES], index: u32, segments: u32) -> [u8; FRAME_HEADER_BYTES + 8] {
    let mut aad = [0; FRAME_HEADER_BYTES + 8];
    aad[..FRAME_HEADER_BYTES].copy_from_slice(header);
    aad[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + 4].copy_from_slice(&index.to_le_bytes());
    aad[FRAME_HEADER_BYTES + 4..].copy_from_slice(&segments.to_le_bytes());
    aad
}

/// The bytes of a frame: a slice, or whatever writes them into a private buffer of their length.
pub trait Plaintext {
    /// Writes them.
    ///
    /// # Errors
    /// Its own.
    fn write(self, out: &mut [u8]) -> Result<()>;
    /// The bytes themselves, where they stand together: they are then sealed from there, without a copy of them.
    fn slice(&self) -> Option<&[u8]> {
        None
    }
}

impl<F: FnOnce(&mut [u8]) -> Result<()>> Plaintext for F {
    fn write(self, out: &mut [u8]) -> Result<()> {
        self(out)
    }
}

impl Plaintext for &[u8] {
    fn write(self, out: &mut [u8]) -> Result<()> {
        out.copy_from_slice(self);
        Ok(())
    }

    fn slice(&self) -> Option<&[u8]> {
        Some(self)
    }
}

/// Seals frames of one stream.
pub struct FrameSealer {
    worker: Worker,
    record: Vec<u8>,
}

impl FrameSealer {
    /// A sealer for the stream that `keys` belong to.
    pub fn new(keys: Arc<StreamKeys>, engine: Engine) -> FrameSealer {
        FrameSealer { worker: Worker::new(keys, engine), record: Vec::new() }
    }

    /// Seals one frame. `source` has as many bytes as the ticket says. `prefix` becomes
    /// header, authenticator and sealed record; `payload` the frame after seal and stage. Both are resized as needed.
    ///
    /// # Errors
    /// What `source` returns, or [`Error::TooLarge`] for a record over its limit.
    pub fn seal(
        &mut self,
        ticket: Ticket,
        record: &Record,
        source: impl Plaintext,
        prefix: &mut Vec<u8>,
        payload: &mut Vec<u8>,
    ) -> Result<()> {
        let header = self.header_for(&ticket, record)?;
        prefix.resize(header.prefix_len(), 0);
        memory::resize(payload, header.payload_len + TAG_BYTES);
        let sealed = self.seal_into(&ticket.keys, &header, source, prefix, payload);
        if sealed.is_err() {
            // Profile aead may seal in place: what is left may be clear.
            payload.fill(0);
        }
        payload.truncate(header.payload_len);
        sealed
    }

    /// Seals one frame as a packet over `packet`.
    ///
    /// # Errors
    /// As [`FrameSealer::seal`].
    pub fn seal_packet(
        &mut self,
        ticket: Ticket,
        record: &Record,
        source: impl Plaintext,
        packet: &mut Vec<u8>,
    ) -> Result<()> {
        let header = self.header_for(&ticket, record)?;
        memory::resize(packet, header.packet_len() + TAG_BYTES);
        let (prefix, payload) = packet.split_at_mut(header.prefix_len());
        let sealed = self.seal_into(&ticket.keys, &header, source, prefix, payload);
        if sealed.is_err() {
            // As above.
            packet.fill(0);
        }
        packet.truncate(header.packet_len());
        sealed
    }

    /// Encodes the record and makes the frame header.
    fn header_for(&mut self, ticket: &Ticket, record: &Record) -> Result<FrameHeader> {
        if ticket.stream_id != self.worker.keys.stream_id {
            return Err(Error::Refused("a ticket of another stream"));
        }
        check_process(ticket.process)?;
        record.encode(&mut self.record)?;
        Ok(ticket.header(&self.worker.keys, self.record.len()))
    }

    /// `payload` has room for a tag more than the frame.
    fn seal_into(
        &mut self,
        keys: &EpochKeys,
        header: &FrameHeader,
        source: impl Plaintext,
        prefix: &mut [u8],
        payload: &mut [u8],
    ) -> Result<()> {
        if source.slice().is_some_and(|bytes| bytes.len() != header.payload_len) {
            return Err(Error::Geometry("a frame of another length than its ticket's".into()));
        }
        let header_bytes = header.encode(&self.worker.keys);
        let (head, envelope) = prefix.split_at_mut(FRAME_HEADER_BYTES);
        head.copy_from_slice(&header_bytes);
        let (authenticator, sealed_record) = envelope.split_at_mut(header.authenticator_len());
        let sealed = self.seal_record(keys, header, &header_bytes, sealed_record);
        self.record.zeroize();
        sealed?;
        if !header.profile.runs_stage() {
            return self.seal_source(keys, header, &header_bytes, source, authenticator, payload);
        }
        let payload = &mut payload[..header.payload_len];
        let mut between = std::mem::take(&mut self.worker.between);
        memory::resize(&mut between, header.payload_len + TAG_BYTES);
        let sealed = self.seal_before_stage(keys, header, &header_bytes, source, authenticator, &mut between);
        if sealed.is_ok() {
            self.worker.prepare(keys, header, authenticator);
            let Engine { backend, pool } = &self.worker.engine;
            backend.encrypt(&self.worker.plan, &between[..header.payload_len], payload, pool.as_deref());
        } else {
            between.fill(0);
        }
        self.worker.between = between;
        sealed
    }

    /// What the stage runs over stands at the front of `out` afterwards.
    fn seal_before_stage(
        &self,
        keys: &EpochKeys,
        header: &FrameHeader,
        header_bytes: &[u8; FRAME_HEADER_BYTES],
        source: impl Plaintext,
        authenticator: &mut [u8],
        out: &mut [u8],
    ) -> Result<()> {
        if header.profile == Profile::Chaos {
            let out = &mut out[..header.payload_len];
            source.write(out)?;
            authenticator.copy_from_slice(&keys.digest(header_bytes, out));
            return Ok(());
        }
        self.seal_source(keys, header, header_bytes, source, authenticator, out)
    }

    /// Seals into `out`, from where the source stands if its bytes stand together. A segment's tag is written behind it
    /// first: the last one's needs room.
    fn seal_source(
        &self,
        keys: &EpochKeys,
        header: &FrameHeader,
        header_bytes: &[u8; FRAME_HEADER_BYTES],
        source: impl Plaintext,
        tags: &mut [u8],
        out: &mut [u8],
    ) -> Result<()> {
        let pool = self.worker.engine.pool.as_deref();
        if let (Some(bytes), Aead::Aes256Gcm, None) = (source.slice(), self.worker.keys.aead, pool) {
            return seal_segments_from(keys, header, header_bytes, bytes, tags, out);
        }
        let out = &mut out[..header.payload_len];
        if let Some(bytes) = source.slice() {
            let copy = |index: usize, out: &mut [u8]| out.copy_from_slice(&bytes[index * SEGMENT_BYTES..][..out.len()]);
            return seal_segments(keys, pool, header, header_bytes, out, tags, copy);
        }
        source.write(out)?;
        seal_segments(keys, pool, header, header_bytes, out, tags, |_, _| {})
    }

    fn seal_record(
        &self,
        keys: &EpochKeys,
        header: &FrameHeader,
        header_bytes: &[u8; FRAME_HEADER_BYTES],
        sealed: &mut [u8],
    ) -> Result<()> {
        let (text, tag) = sealed.split_at_mut(header.record_len);
        text.copy_from_slice(&self.record);
        let aad = segment_aad(header_bytes, RECORD_INDEX, header.segments());
        tag.copy_from_slice(&keys.seal(header.counter, RECORD_INDEX, &aad, text)?);
        Ok(())
    }
}

/// Seals in place; `fill` brings each segment's text there before.
fn seal_segments(
    keys: &EpochKeys,
    pool: Option<&rayon::ThreadPool>,
    header: &FrameHeader,
    header_bytes: &[u8; FRAME_HEADER_BYTES],
    bytes: &mut [u8],
    tags: &mut [u8],
    fill: impl Fn(usize, &mut [u8]) + Sync,
) -> Result<()> {
    let segments = header.segments();
    let seal = |(index, (segment, tag)): (usize, (&mut [u8], &mut [u8]))| {
        fill(index, segment);
        let aad = segment_aad(header_bytes, index as u32, segments);
        tag.copy_from_slice(&keys.seal(header.counter, index as u32, &aad, segment)?);
        Ok(())
    };
    if bytes.is_empty() {
        return seal((0, (bytes, tags)));
    }
    match pool {
        None => bytes.chunks_mut(SEGMENT_BYTES).zip(tags.chunks_mut(TAG_BYTES)).enumerate().try_for_each(seal),
        Some(pool) => pool.install(|| {
            bytes.par_chunks_mut(SEGMENT_BYTES).zip(tags.par_chunks_mut(TAG_BYTES)).enumerate().try_for_each(seal)
        }),
    }
}

/// Seals from `bytes` into `out` without a copy between, which AES-256-GCM does at full speed (ChaCha20-Poly1305 does not),
/// one segment after another: `out` has room for one tag more, and each segment's tag lies where the next one begins,
/// and is taken away before.
fn seal_segments_from(
    keys: &EpochKeys,
    header: &FrameHeader,
    header_bytes: &[u8; FRAME_HEADER_BYTES],
    bytes: &[u8],
    tags: &mut [u8],
    out: &mut [u8],
) -> Result<()> {
    let segments = header.segments();
    for (index, tag) in tags.chunks_mut(TAG_BYTES).enumerate() {
        let range = index * SEGMENT_BYTES..bytes.len().min((index + 1) * SEGMENT_BYTES);
        let out = &mut out[range.start..range.end + TAG_BYTES];
        let aad = segment_aad(header_bytes, index as u32, segments);
        tag.copy_from_slice(&keys.seal_from(header.counter, index as u32, &aad, &bytes[range], out)?);
    }
    Ok(())
}

/// Opens frames of one stream.
pub struct FrameOpener {
    worker: Worker,
    record: Vec<u8>,
}

impl FrameOpener {
    /// An opener for the stream that `keys` belong to.
    pub fn new(keys: Arc<StreamKeys>, engine: Engine) -> FrameOpener {
        FrameOpener { worker: Worker::new(keys, engine), record: Vec::new() }
    }

    /// Opens one frame into `out`, which is resized to the payload's length. `prefix` is header, authenticator and sealed
    /// record; `payload` the frame as it came. On failure `out` is wiped.
    ///
    /// # Errors
    /// [`Error::Forged`] if anything does not verify, [`Error::Refused`] for lengths that contradict the header.
    pub fn open(&mut self, prefix: &[u8], payload: &[u8], out: &mut Vec<u8>) -> Result<(FrameHeader, Record)> {
        let opened = self.open_unwiped(prefix, payload, out);
        if opened.is_err() {
            out.fill(0);
        }
        opened
    }

    /// Opens the record alone, to tell what a frame is for without reading it: whether the frame itself verifies is not
    /// known by that. `prefix` is as above.
    ///
    /// # Errors
    /// As [`FrameOpener::open`].
    pub fn record(&mut self, prefix: &[u8]) -> Result<Record> {
        let header_bytes: &[u8; FRAME_HEADER_BYTES] =
            prefix.first_chunk().ok_or(Error::Refused("a frame ends too early"))?;
        let header = FrameHeader::decode(header_bytes, &self.worker.keys)?;
        if prefix.len() != header.prefix_len() {
            return Err(Error::Refused("a frame's length differs from its header's"));
        }
        let sealed = &prefix[FRAME_HEADER_BYTES + header.authenticator_len()..];
        let keys = self.worker.keys.epoch(header.epoch)?;
        self.open_record(&keys, &header, header_bytes, sealed)
    }

    fn open_unwiped(&mut self, prefix: &[u8], payload: &[u8], out: &mut Vec<u8>) -> Result<(FrameHeader, Record)> {
        let header_bytes: &[u8; FRAME_HEADER_BYTES] =
            prefix.first_chunk().ok_or(Error::Refused("a frame ends too early"))?;
        let header = FrameHeader::decode(header_bytes, &self.worker.keys)?;
        if prefix.len() != header.prefix_len() || payload.len() != header.payload_len {
            return Err(Error::Refused("a frame's length differs from its header's"));
        }
        let keys = self.worker.keys.epoch(header.epoch)?;
        let (authenticator, sealed_record) = prefix[FRAME_HEADER_BYTES..].split_at(header.authenticator_len());
        let record = self.open_record(&keys, &header, header_bytes, sealed_record)?;
        memory::resize(out, header.payload_len);
        self.open_payload(&keys, &header, header_bytes, authenticator, payload, out)?;
        Ok((header, record))
    }

    fn open_record(
        &mut self,
        keys: &EpochKeys,
        header: &FrameHeader,
        header_bytes: &[u8; FRAME_HEADER_BYTES],
        sealed: &[u8],
    ) -> Result<Record> {
        let (text, tag) = sealed.split_at(header.record_len);
        self.record.resize(text.len(), 0);
        let aad = segment_aad(header_bytes, RECORD_INDEX, header.segments());
        keys.open(header.counter, RECORD_INDEX, &aad, text, tag, &mut self.record)?;
        Record::decode(&self.record)
    }

    fn open_payload(
        &mut self,
        keys: &EpochKeys,
        header: &FrameHeader,
        header_bytes: &[u8; FRAME_HEADER_BYTES],
        authenticator: &[u8],
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        if !header.profile.runs_stage() {
            let pool = self.worker.engine.pool.as_deref();
            return open_segments(keys, pool, header, header_bytes, authenticator, payload, out);
        }
        self.worker.prepare(keys, header, authenticator);
        let Engine { backend, pool } = &self.worker.engine;
        if header.profile == Profile::Chaos {
            backend.decrypt(&self.worker.plan, payload, out, pool.as_deref());
            let digest = keys.digest(header_bytes, out);
            return verify_slices_are_equal(&digest, authenticator)
                .map_err(|_| Error::Forged("a frame does not match its digest"));
        }
        let segments = header.segments();
        let open = |index: usize, sealed: &[u8], out: &mut [u8]| {
            let tag = &authenticator[index * TAG_BYTES..][..TAG_BYTES];
            let aad = segment_aad(header_bytes, index as u32, segments);
            keys.open(header.counter, index as u32, &aad, sealed, tag, out)
        };
        backend.decrypt_segments(&self.worker.plan, payload, out, SEGMENT_BYTES, pool.as_deref(), &open)
    }
}

fn open_segments(
    keys: &EpochKeys,
    pool: Option<&rayon::ThreadPool>,
    header: &FrameHeader,
    header_bytes: &[u8; FRAME_HEADER_BYTES],
    tags: &[u8],
    sealed: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let segments = header.segments();
    type Piece<'a> = ((&'a [u8], &'a [u8]), &'a mut [u8]);
    let open = |(index, ((sealed, tag), out)): (usize, Piece)| {
        let aad = segment_aad(header_bytes, index as u32, segments);
        keys.open(header.counter, index as u32, &aad, sealed, tag, out)
    };
    if sealed.is_empty() {
        return open((0, ((sealed, tags), out)));
    }
    match pool {
        None => {
            let sealed = sealed.chunks(SEGMENT_BYTES).zip(tags.chunks(TAG_BYTES));
            sealed.zip(out.chunks_mut(SEGMENT_BYTES)).enumerate().try_for_each(open)
        }
        Some(pool) => pool.install(|| {
            let sealed = sealed.par_chunks(SEGMENT_BYTES).zip(tags.par_chunks(TAG_BYTES));
            sealed.zip(out.par_chunks_mut(SEGMENT_BYTES)).enumerate().try_for_each(open)
        }),
    }
}
