//! What the workers of `chaosenc` do: pack, seal, run the stage, one frame at a time.

use std::{sync::Arc, time::Instant};

use super::job::{EncryptJob, Encrypted, Finished, Form, Source};
use crate::{
    Result,
    frame::View,
    gst::{guard::Guard, video},
    pipeline::{BufferPool, Stage, Stats},
    seal::{Engine, FrameSealer, Plaintext, Record, StreamKeys, Ticket},
};

/// The parallel side of a run: one for each worker.
pub struct EncryptWorker {
    sealer: FrameSealer,
    prefix: Vec<u8>,
    payload: Vec<u8>,
    margin: Vec<u8>,
    guard: Option<Guard>,
    pool: Arc<BufferPool>,
    stats: Arc<Stats>,
}

impl EncryptWorker {
    /// A worker of the run that `keys` belong to. What `guard` takes for plain does not leave.
    pub fn new(
        keys: Arc<StreamKeys>,
        engine: Engine,
        guard: Option<Guard>,
        pool: Arc<BufferPool>,
        stats: Arc<Stats>,
    ) -> EncryptWorker {
        let sealer = FrameSealer::new(keys, engine);
        EncryptWorker { sealer, prefix: Vec::new(), payload: Vec::new(), margin: Vec::new(), guard, pool, stats }
    }

    /// Seals one frame.
    pub fn run(&mut self, mut job: EncryptJob) -> Encrypted {
        let (entered, begun, passage) = (job.entered, Instant::now(), job.passage.take());
        self.stats.add_stage(Stage::Wait, begun - entered);
        match self.seal(job) {
            Ok(buffer) => {
                let finished = Instant::now();
                let work = finished - begun;
                self.stats.add_stage(Stage::Work, work);
                Encrypted::Buffer(buffer, passage.map(|passage| Finished { entered, finished, work, passage }))
            }
            Err(error) => Encrypted::Failed(error),
        }
    }

    fn seal(&mut self, job: EncryptJob) -> Result<gst::Buffer> {
        let EncryptJob { ticket, record, source, form, header, .. } = job;
        let (mut bytes, counter) = (self.pool.take(), ticket.counter());
        match &source {
            Source::End(payload) => self.seal_into(ticket, &record, &payload[..], &form, &header, &mut bytes)?,
            Source::Frame { buffer, content, .. } => {
                let map = video::map(buffer)?;
                match content.slice(buffer, &map)? {
                    Some(slice) => self.seal_into(ticket, &record, slice, &form, &header, &mut bytes)?,
                    None => {
                        let pack = |out: &mut [u8]| content.pack(buffer, &map, out);
                        self.seal_into(ticket, &record, pack, &form, &header, &mut bytes)?;
                    }
                }
            }
        }
        let mut out = gst::Buffer::from_mut_slice(bytes);
        stamp(&source, out.get_mut().expect("a new buffer has one owner"));
        self.check(counter, &source, &form, &out)?;
        Ok(out)
    }

    /// Has the guard look at the very buffer that is to leave, beside the clear frame.
    fn check(&mut self, counter: u64, source: &Source, form: &Form, out: &gst::BufferRef) -> Result<()> {
        let Some(guard) = &mut self.guard else { return Ok(()) };
        source.view(|clear, raw| match form {
            Form::Packets => {
                // By the frame's length, not by what the packet says of itself.
                let packet = video::map(out)?;
                let payload = &packet[packet.len().saturating_sub(clear.payload_bytes())..];
                guard.check(counter, clear, View::Together(payload), raw)
            }
            Form::Pictures(layouts) => {
                let (layout, cipher) = &**layouts;
                video::read_planes(out, cipher, |planes| {
                    guard.check(counter, clear, View::Rows(&layout.frame, planes), raw)
                })
            }
        })
    }

    fn seal_into(
        &mut self,
        ticket: Ticket,
        record: &Record,
        plaintext: impl Plaintext,
        form: &Form,
        header: &[u8],
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let Form::Pictures(layouts) = form else {
            return self.sealer.seal_packet(ticket, record, plaintext, bytes);
        };
        let (layout, cipher) = &**layouts;
        let (prefix, payload, margin) = (&mut self.prefix, &mut self.payload, &mut self.margin);
        self.sealer.seal(ticket, record, plaintext, prefix, payload)?;
        video::write_planes(cipher, bytes, |planes| layout.fill(header, prefix, payload, planes, margin))
    }
}

/// The times of the frame stand on the outside too, so that live sinks and payloaders can work: they are visible on the
/// wire anyway. Flags and metas are sealed only.
fn stamp(source: &Source, out: &mut gst::BufferRef) {
    if let Source::Frame { buffer, timed, .. } = source {
        if *timed {
            out.set_pts(buffer.pts());
            out.set_dts(buffer.dts());
            out.set_duration(buffer.duration());
        }
        let kept = gst::BufferFlags::LIVE | gst::BufferFlags::DISCONT;
        out.set_flags(buffer.flags() & kept);
    }
}
