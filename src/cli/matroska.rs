//! Whether a Matroska file has its end (EBML: RFC 8794, sections 4 to 6; Matroska: RFC 9559, section 5.1). A cipher
//! video has no end record, so its container is all that can tell.

use std::{
    io::{self, BufReader, Read, Seek},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{endpoint, error::Failure};

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;

/// What is known of a file's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is there.
    Here,
    /// At least so many bytes of it are missing.
    Missing(u64),
    /// The file does not tell how long it is, as where it was written to a pipe.
    Untold,
}

/// What a cipher video is read from, as far as its end goes.
pub enum Extent {
    /// It goes on until somebody ends it.
    Endless,
    /// A file.
    File(PathBuf),
    /// A pipe: the end of what its first bytes promise, and how many have come.
    Pipe(Option<u64>, Arc<AtomicU64>),
}

impl Extent {
    /// A pipe that begins with `start`, and what to read it through.
    pub fn of_pipe<R: Read>(start: &[u8], source: R) -> (Extent, Counted<R>) {
        let read = Arc::new(AtomicU64::new(0));
        (Extent::Pipe(promised_end(start), read.clone()), Counted { source, read })
    }

    /// What is known of the end, after what has been `read_through`. `None` where nobody waits for one.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn end(&self, read_through: bool) -> Result<Option<End>, Failure> {
        Ok(match self {
            Extent::Endless => None,
            Extent::File(path) => {
                let walked = walk(BufReader::new(endpoint::open(path)?));
                Some(walked.map_err(|error| Failure::io(path.display(), error))?)
            }
            Extent::Pipe(..) if !read_through => None,
            Extent::Pipe(None, _) => Some(End::Untold),
            Extent::Pipe(Some(promised), read) => Some(end_at(*promised, read.load(Relaxed))),
        })
    }
}

/// Counts what is read.
pub struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(buffer)?;
        self.read.fetch_add(len as u64, Relaxed);
        Ok(len)
    }
}

fn end_at(promised: u64, there: u64) -> End {
    match promised.saturating_sub(there) {
        0 => End::Here,
        missing => End::Missing(missing),
    }
}

/// Where the segment ends that a file's first bytes announce.
pub fn promised_end(mut start: &[u8]) -> Option<u64> {
    let len = start.len();
    loop {
        let element = Element::read(&mut start).ok()??;
        let at = (len - start.len()) as u64;
        match element.id {
            SEGMENT => return element.size.and_then(|size| at.checked_add(size)),
            // What may stand before it is short.
            _ => start = start.get(usize::try_from(element.size?).ok()?..)?,
        }
    }
}

/// Walks from element to element, for where the segment's size is not told that of some element in it may be.
pub fn walk(mut file: BufReader<impl Read + Seek>) -> io::Result<End> {
    let len = file.seek(io::SeekFrom::End(0))?;
    file.rewind()?;
    let (mut at, mut first) = (0, true);
    while at < len {
        let element = Element::read(&mut file)?;
        if std::mem::take(&mut first) && element.as_ref().is_none_or(|element| element.id != EBML) {
            return Ok(End::Untold);
        }
        let Some(element) = element else { return Ok(End::Missing(1)) };
        at += element.header_len;
        let end = element.size.and_then(|size| at.checked_add(size));
        match (element.id, end) {
            (SEGMENT, Some(end)) => return Ok(end_at(end, len)),
            // What is in it comes next.
            (SEGMENT | CLUSTER, None) => {}
            (_, Some(end)) if end > len => return Ok(end_at(end, len)),
            (_, Some(end)) => {
                file.seek_relative((end - at) as i64)?;
                at = end;
            }
            (_, None) => return Ok(End::Untold),
        }
    }
    Ok(End::Untold)
}

/// Id and size in front of an element.
struct Element {
    id: u32,
    /// `None`: it ends where its parent does, or where something begins that cannot be in it.
    size: Option<u64>,
    header_len: u64,
}

impl Element {
    /// `None` where the source ends within it, or what stands there is none.
    fn read(source: &mut impl Read) -> io::Result<Option<Element>> {
        let (Some((id, id_len)), Some((size, size_len))) = (number(source)?, number(source)?) else { return Ok(None) };
        let Ok(id) = u32::try_from(id) else { return Ok(None) };
        // The first one bit tells the length, and does not count; all others set: unknown.
        let marker = 1 << (7 * size_len);
        let size = Some(size - marker).filter(|&size| size != marker - 1);
        Ok(Some(Element { id, size, header_len: id_len + size_len }))
    }
}

/// A variable-length number with its marker bit, and its length.
fn number(source: &mut impl Read) -> io::Result<Option<(u64, u64)>> {
    let mut bytes = [0; 8];
    let read = |source: &mut dyn Read, bytes: &mut [u8]| match source.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    };
    if !read(source, &mut bytes[..1])? {
        return Ok(None);
    }
    let more = bytes[0].leading_zeros() as usize;
    if more >= bytes.len() || !read(source, &mut bytes[1..=more])? {
        return Ok(None);
    }
    let number = bytes[..=more].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    Ok(Some((number, more as u64 + 1)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// EBML header (empty), segment of `size`, a cluster of unknown size with a block of 4 bytes.
    fn file(size: &[u8]) -> Vec<u8> {
        let head = [&[0x1A, 0x45, 0xDF, 0xA3, 0x80, 0x18, 0x53, 0x80, 0x67], size].concat();
        [&head[..], &[0x1F, 0x43, 0xB6, 0x75, 0xFF, 0xA3, 0x84, 1, 2, 3, 4]].concat()
    }

    fn walked(bytes: &[u8]) -> End {
        walk(BufReader::new(Cursor::new(bytes))).expect("memory can be read")
    }

    #[test]
    fn a_told_size_tells_what_is_missing() {
        let whole = file(&[0x8B]);
        assert_eq!(promised_end(&whole[..12]), Some(whole.len() as u64));
        assert_eq!(walked(&whole), End::Here);
        assert_eq!(walked(&whole[..whole.len() - 3]), End::Missing(3));
    }

    #[test]
    fn without_one_a_cut_within_an_element_tells_it() {
        let whole = file(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(promised_end(&whole), None);
        assert_eq!(walked(&whole), End::Untold);
        assert_eq!(walked(&whole[..whole.len() - 1]), End::Missing(1));
        assert_eq!(walked(&whole[..whole.len() - 5]), End::Missing(1), "within the block's own size");
        assert_eq!(walked(&whole[..whole.len() - 6]), End::Untold, "between two elements");
    }

    #[test]
    fn a_cluster_of_known_size_is_stepped_over() {
        let mut sized = file(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        let size_at = sized.len() - 7;
        sized[size_at] = 0x86;
        assert_eq!(walked(&sized), End::Untold);
        assert_eq!(walked(&sized[..sized.len() - 6]), End::Missing(6), "also between two elements in it");
        // Before any segment, too, and whatever is in it.
        let stray =
            [&[0x1A, 0x45, 0xDF, 0xA3, 0x80, 0x1F, 0x43, 0xB6, 0x75, 0x85], &SEGMENT.to_be_bytes()[..], &[0x81]];
        let whole = [&stray.concat(), &file(&[0x8B])[5..]].concat();
        assert_eq!(promised_end(&whole), Some(whole.len() as u64));
        assert_eq!(walked(&whole), End::Here);
    }

    #[test]
    fn other_content_tells_nothing() {
        for content in ["", "text", "\0\0\0\0\0\0\0\0\0\0"] {
            assert_eq!(promised_end(content.as_bytes()), None);
            assert_eq!(walked(content.as_bytes()), End::Untold);
        }
    }
}
