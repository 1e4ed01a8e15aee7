//! The indexes of a packet file: written when it is made, found when it is read, made anew when they are missing.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use gst::prelude::*;

use super::{
    error::{Exit, Failure},
    packet_file::{Met, Packet, PacketFile, StreamId},
};
use crate::{
    Error,
    seal::{INDEX_HEADER_BYTES, INDEX_TRAILER_BYTES, Index, IndexDraft, IndexHeader, limits},
};

type SharedDraft = Arc<Mutex<IndexDraft>>;

/// Sees the packets of a file on their way to the disk, and notes for the indexes where they come to stand.
#[derive(Clone, Default)]
pub struct IndexWriter(Arc<Mutex<BTreeMap<StreamId, SharedDraft>>>);

impl IndexWriter {
    /// Watches the element that writes the file, before it writes anything.
    pub fn watch(sink: &gst::Element) -> IndexWriter {
        let writer = IndexWriter::default();
        let (watching, written) = (writer.clone(), AtomicU64::new(0));
        sink.static_pad("sink").expect("a sink has a sink pad").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer() {
                watching.place(buffer, written.fetch_add(buffer.size() as u64, Relaxed));
            }
            gst::PadProbeReturn::Ok
        });
        writer
    }

    /// A stream begins. What its encrypter notes comes into the file's index.
    pub fn add(&self, draft: Option<SharedDraft>) {
        if let Some(draft) = draft {
            let stream = lock(&draft).stream_id();
            lock(&self.0).insert(stream, draft);
        }
    }

    fn place(&self, packet: &gst::BufferRef, offset: u64) {
        let Ok(bytes) = packet.map_readable() else { return };
        // Both stream header and frame header have the id there (FORMAT.md, sections 2 and 5).
        let draft = bytes.get(16..32).and_then(|id| lock(&self.0).get(id).cloned());
        if let Some(draft) = draft {
            lock(&draft).place(&bytes, offset);
        }
    }

    /// Writes the indexes behind the last packet.
    ///
    /// # Errors
    /// If the disk does not take them.
    pub fn append_to(&self, path: &Path) -> Result<(), Failure> {
        let drafts = lock(&self.0);
        let packets = seal_all(drafts.values().map(|draft| lock(draft)))?;
        let file = OpenOptions::new().append(true).open(path);
        file.and_then(|mut file| file.write_all(&packets)).map_err(|error| Failure::io(path.display(), error))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic half-way changes what is in it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// None at all where a track does not fit into one: an index is used only if every track has one.
fn seal_all(drafts: impl Iterator<Item = impl std::ops::Deref<Target = IndexDraft>>) -> crate::Result<Vec<u8>> {
    let mut packets = Vec::new();
    for draft in drafts {
        if draft.is_too_long() {
            return Ok(Vec::new());
        }
        packets.extend(draft.seal()?.unwrap_or_default());
    }
    Ok(packets)
}

/// The indexes that stand at the end of a file.
pub struct Indexes {
    /// Of each stream.
    pub streams: BTreeMap<StreamId, Index>,
    /// Where the first of them begins; the end of the file where there is none.
    pub start: u64,
    /// What is wrong with them; they are not to be used then.
    pub wrong: Option<String>,
}

impl Indexes {
    /// Reads them from the end of a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(file: &mut PacketFile) -> Result<Indexes, Failure> {
        let mut indexes = Indexes { streams: BTreeMap::new(), start: file.len(), wrong: None };
        let mut packets = 0;
        while packets < limits::STREAMS
            && let Some((start, len)) = last_packet(file, indexes.start)?
            && file.len() - start <= limits::INDEX_BYTES
        {
            // What cannot be used is only stepped over: to open all would cost whatever their writer wants.
            if indexes.wrong.is_none()
                && let Err(error) = indexes.take(file, start, len)?
            {
                indexes.wrong = Some(error.to_string());
            }
            (indexes.start, packets) = (start, packets + 1);
        }
        if indexes.wrong.is_none() && !indexes.streams.is_empty() && indexes.streams.len() < file.tracks() {
            indexes.wrong = Some("not every track has one".into());
        }
        Ok(indexes)
    }

    fn take(&mut self, file: &mut PacketFile, start: u64, len: usize) -> Result<crate::Result<()>, Failure> {
        let Some(header) = claimed_header(file, start)? else { return Ok(Err(Error::NotOurs)) };
        // It opens the stream, if it is there.
        file.packet_at(header.header_offset)?;
        let Ok(keys) = file.keys(header.stream_id) else { return Ok(Err(Error::OtherStream)) };
        let opened = Index::open(file.bytes(start, len)?, &keys);
        Ok(opened.and_then(|index| match self.streams.insert(header.stream_id, index) {
            None => Ok(()),
            Some(_) => Err(Error::Refused("two indexes of one stream")),
        }))
    }

    /// Whether there is none.
    pub fn are_absent(&self) -> bool {
        self.streams.is_empty() && self.wrong.is_none()
    }

    /// How many points they have.
    pub fn points(&self) -> usize {
        self.streams.values().map(|index| index.points.len()).sum()
    }

    /// Looks whether there is what they point to.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn check(&mut self, file: &mut PacketFile) -> Result<(), Failure> {
        for (stream, index) in &self.streams {
            let descriptions = index.descriptions.iter().map(|told| (told.counter, told.offset, true));
            let points = index.points.iter().map(|point| (point.counter, point.offset, false));
            for (counter, offset, is_header) in descriptions.chain(points) {
                let met = file.packet_at(offset)?;
                if !met.is_some_and(|met| met.stream == *stream && counter_of(&met) == Some((counter, is_header))) {
                    self.wrong = Some(format!("what it points to at byte {offset} is not there"));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Counter of a packet, and whether it is that of a description.
pub fn counter_of(met: &Met) -> Option<(u64, bool)> {
    match &met.packet {
        Packet::Header(counter) => Some((*counter, true)),
        Packet::Frame(header, _) => Some((header.counter, false)),
        Packet::End => None,
    }
}

/// Start and length of the index packet that ends at some place, as it claims.
fn last_packet(file: &mut PacketFile, end: u64) -> Result<Option<(u64, usize)>, Failure> {
    let Some(at) = end.checked_sub(INDEX_TRAILER_BYTES as u64) else { return Ok(None) };
    let len = file.bytes(at, INDEX_TRAILER_BYTES)?.first_chunk().and_then(IndexHeader::claimed_packet_len);
    let Some(start) = len.and_then(|len| end.checked_sub(len)) else { return Ok(None) };
    let header = claimed_header(file, start)?;
    Ok(header.map(|header| header.packet_len()).filter(|len| start + *len as u64 == end).map(|len| (start, len)))
}

fn claimed_header(file: &mut PacketFile, start: u64) -> Result<Option<IndexHeader>, Failure> {
    let bytes = file.bytes(start, INDEX_HEADER_BYTES)?;
    Ok(bytes.first_chunk().and_then(|header| IndexHeader::claimed(header).ok()))
}

/// Writes the indexes of `drafts` at some place of a file that is `len` bytes long, and nothing stands behind them. Where
/// it is interrupted the file has none, and is read without.
///
/// # Errors
/// If the file has another length by now, or the disk does not take them.
pub fn replace<'a>(
    path: &Path,
    len: u64,
    at: u64,
    drafts: impl Iterator<Item = &'a IndexDraft>,
) -> Result<u64, Failure> {
    let packets = seal_all(drafts)?;
    let file = OpenOptions::new().write(true).open(path);
    let (mut file, now) = file
        .and_then(|file| file.metadata().map(|metadata| (file, metadata.len())))
        .map_err(|error| Failure::io(path.display(), error))?;
    if now != len {
        let what = format!("{} has changed while it was read; nothing was written", path.display());
        return Err(Failure::new(Exit::Content, what).advise("wait until its recording has ended"));
    }
    let written = file.set_len(at).and_then(|()| {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&packets)?;
        file.sync_all()
    });
    written.map_err(|error| Failure::io(path.display(), error))?;
    Ok(packets.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever records goes on writing while the index is made.
    #[test]
    fn fail_to_cut_a_file_that_has_grown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("growing.cveil");
        std::fs::write(&path, [7; 100]).expect("written");
        let none = std::iter::empty::<&IndexDraft>;
        let failure = replace(&path, 90, 80, none()).expect_err("ten bytes more have come");
        assert!(failure.to_string().contains("has changed"), "{failure}");
        assert_eq!(std::fs::read(&path).expect("there"), [7; 100]);
        replace(&path, 100, 80, none()).expect("nothing has come");
        assert_eq!(std::fs::read(&path).expect("there"), [7; 80]);
    }
}
