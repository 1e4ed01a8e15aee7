//! What the workers of `chaosdec` do: open one frame at a time and make the buffer that was encrypted.

use std::{sync::Arc, time::Instant};

use super::{
    described::{Described, Descriptions},
    job::{DecryptJob, Decrypted, Input, OpenedFrame},
};
use crate::{
    Error, Result,
    backend::memory,
    frame::{FrameLayout, pack, unpack},
    gst::{
        metas,
        video::{self, Content, RawVideo},
    },
    pipeline::{BufferPool, PooledBuffer, Stage, Stats},
    seal::{EndRecord, Engine, FrameHeader, FrameOpener, Kind, Record, Session, StreamKeys},
};

/// The parallel side of a run: one for each worker.
pub struct DecryptWorker {
    descriptions: Descriptions,
    engine: Engine,
    opener: Option<(Arc<StreamKeys>, FrameOpener)>,
    /// A frame between opening and its place, or a cipher picture's rows.
    payload: Vec<u8>,
    pool: Arc<BufferPool>,
    stats: Arc<Stats>,
}

impl DecryptWorker {
    /// A worker of a run.
    pub fn new(descriptions: Descriptions, engine: Engine, pool: Arc<BufferPool>, stats: Arc<Stats>) -> DecryptWorker {
        DecryptWorker { descriptions, engine, opener: None, payload: Vec::new(), pool, stats }
    }

    /// Opens one frame.
    pub fn run(&mut self, job: DecryptJob) -> Decrypted {
        let begun = Instant::now();
        self.stats.add_stage(Stage::Wait, begun - job.entered);
        let DecryptJob { header, input, session, arrival, entered } = job;
        let opened = match input {
            Input::Packet { bytes } => self.open_packet(&session, &bytes, &header),
            Input::Picture { buffer, cipher, frame, prefix } => {
                self.open_picture(&session, &buffer, &cipher, &frame, &prefix)
            }
        };
        let finished = Instant::now();
        let work = finished - begun;
        self.stats.add_stage(Stage::Work, work);
        match opened {
            Ok(Opened::Frame { counter, described, buffer, tags }) => {
                let epoch = header.epoch;
                let frame =
                    OpenedFrame { session, counter, epoch, described, buffer, tags, arrival, entered, finished, work };
                Decrypted::Frame(Box::new(frame))
            }
            Ok(Opened::End { counter, frames }) => Decrypted::End { session, counter, frames },
            Err(error) => Decrypted::rejected(Some(header.counter), error),
        }
    }

    fn open_packet(&mut self, session: &Session, packet: &[u8], header: &FrameHeader) -> Result<Opened> {
        let (prefix, payload) = packet.split_at(header.prefix_len());
        let mut out = self.pool.take();
        let opener = opener(&mut self.opener, &self.engine, session.keys());
        let (header, record) = opener.open(prefix, payload, &mut out)?;
        match header.kind {
            Kind::End => {
                let end = EndRecord::decode(&header, &record, &out)?;
                Ok(Opened::End { counter: header.counter, frames: end.frames })
            }
            Kind::Frame => {
                let described = self.described(session, &header, &record, out.len())?;
                self.finish(&header, &record, described, out)
            }
        }
    }

    fn open_picture(
        &mut self,
        session: &Session,
        buffer: &gst::BufferRef,
        cipher: &RawVideo,
        frame: &FrameLayout,
        prefix: &[u8],
    ) -> Result<Opened> {
        let payload = &mut self.payload;
        memory::resize(payload, frame.payload_bytes());
        video::read_planes(buffer, cipher, |planes| pack(frame, planes, payload))?;
        let mut out = self.pool.take();
        let opener = opener(&mut self.opener, &self.engine, session.keys());
        let (header, record) = opener.open(prefix, payload, &mut out)?;
        let described = self.described(session, &header, &record, out.len())?;
        match &described.content {
            Content::Raw(raw) if raw.layout == *frame => {}
            _ => return Err(Error::Refused("a cipher picture whose caps are not those sealed in it")),
        }
        self.finish(&header, &record, described, out)
    }

    /// What the frame says it belongs to.
    fn described(
        &self,
        session: &Session,
        header: &FrameHeader,
        record: &Record,
        payload_len: usize,
    ) -> Result<Arc<Described>> {
        self.descriptions.described(session, (record.description, header.epoch), payload_len, &*self.engine.backend)
    }

    /// Makes the buffer that was encrypted.
    fn finish(
        &mut self,
        header: &FrameHeader,
        record: &Record,
        described: Arc<Described>,
        mut bytes: PooledBuffer,
    ) -> Result<Opened> {
        if let Content::Raw(raw) = &described.content {
            if raw.layout.payload_bytes() != bytes.len() {
                return Err(Error::Refused("a frame whose size is not that of its caps"));
            }
            if !video::is_packed(raw) {
                std::mem::swap(&mut self.payload, &mut bytes);
                let payload = &self.payload;
                video::write_planes(raw, &mut bytes, |planes| unpack(&raw.layout, payload, planes))?;
            }
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let tags = metas::restore(record, buffer.get_mut().expect("a new buffer has one owner"));
        Ok(Opened::Frame { counter: header.counter, described, buffer, tags })
    }
}

enum Opened {
    Frame { counter: u64, described: Arc<Described>, buffer: gst::Buffer, tags: Option<gst::TagList> },
    End { counter: u64, frames: u64 },
}

/// The opener for a stream, made anew only when the stream changes.
fn opener<'a>(
    slot: &'a mut Option<(Arc<StreamKeys>, FrameOpener)>,
    engine: &Engine,
    keys: Arc<StreamKeys>,
) -> &'a mut FrameOpener {
    if slot.as_ref().is_none_or(|(old, _)| !Arc::ptr_eq(old, &keys)) {
        *slot = None;
    }
    let (_, opener) = slot.get_or_insert_with(|| (keys.clone(), FrameOpener::new(keys, engine.clone())));
    opener
}
