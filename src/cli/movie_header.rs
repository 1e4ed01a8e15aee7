//! The header of an MP4 or QuickTime file: which tracks it tells of, and how they are to be turned (ISO/IEC 14496-12,
//! sections 4.2, 8.2, 8.3, 8.4.3).
//!
//! A file is a row of boxes, `u32 length | type | content`; a length of 1 is followed by the true one in 64 bits, 0
//! stands for the rest of the file. The header is the box `moov`, each track a box `trak` in it.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use gst::prelude::*;

use super::error::{Exit, Failure};

/// Most bytes of a header that are read: hours of video have a few million.
pub const MOST_BYTES: u64 = 256 << 20;

/// A track that the header tells of.
#[derive(Debug, PartialEq, Eq)]
pub struct TrackBox {
    /// What its samples are: `vide`, `soun`, `tmcd`, ...
    pub handler: [u8; 4],
    /// Number of the track in the file.
    id: u32,
    /// Tracks that are this one's chapters.
    chapters: Vec<u32>,
    /// Where the box `tkhd` stands in the header, and its content.
    head: (usize, Vec<u8>),
}

/// Type and place of a box's content.
type Place = ([u8; 4], std::ops::Range<usize>);

/// The boxes in `bytes`, up to the first that does not end in them.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = Place> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (kind, header, length) = box_header(bytes.get(at..)?)?;
        let end = match length {
            Some(length) => at.checked_add(usize::try_from(length).ok()?)?,
            None => bytes.len(),
        };
        let content = at + header..end;
        at = end;
        (end <= bytes.len()).then_some((kind, content))
    })
}

/// Type of the box that `bytes` begin with, length of its header, and its own length where it is told.
pub fn box_header(bytes: &[u8]) -> Option<([u8; 4], usize, Option<u64>)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (header, length) = match u32::from_be_bytes(*length) {
        0 => return Some((*kind, 8, None)),
        1 => (16, u64::from_be_bytes(*rest.first_chunk()?)),
        length => (8, length.into()),
    };
    (length >= header).then_some((*kind, header as usize, Some(length)))
}

/// The tracks that the content of a box `moov` tells of.
pub fn tracks(moov: &[u8]) -> Vec<TrackBox> {
    let traks = boxes(moov).filter(|(kind, _)| kind == b"trak");
    traks.filter_map(|(_, content)| TrackBox::read(&moov[content.clone()], content.start)).collect()
}

/// The tracks without those that only hold chapters.
pub fn without_chapters(tracks: &[TrackBox]) -> impl Iterator<Item = &TrackBox> {
    tracks.iter().filter(|track| !tracks.iter().any(|other| other.chapters.contains(&track.id)))
}

impl TrackBox {
    /// Reads the content of a box `trak`, which begins at `start` of the header.
    fn read(trak: &[u8], start: usize) -> Option<TrackBox> {
        let head = find(trak, &[b"tkhd"])?;
        let content = trak[head.clone()].to_vec();
        // u8 version | flags | times of creation and change, in 32 or 64 bits | u32 id
        let id = if content.first() == Some(&1) { 20 } else { 12 };
        let handler = find(trak, &[b"mdia", b"hdlr"])?;
        let chapters = find(trak, &[b"tref", b"chap"]).map_or(&[][..], |chapters| &trak[chapters]);
        Some(TrackBox {
            handler: *trak[handler].get(8..)?.first_chunk()?,
            id: u32_at(&content, id)?,
            chapters: chapters.chunks_exact(4).filter_map(|id| u32_at(id, 0)).collect(),
            head: (start + head.start, content),
        })
    }

    /// Where the matrix stands in the header, and the track's width and height in 1/65536 pixels.
    fn matrix(&self) -> Option<(usize, [u32; 2])> {
        let (start, content) = &self.head;
        // After the id: reserved, duration in 32 or 64 bits, 8 bytes reserved, layer, group, volume, reserved.
        let at = if content.first() == Some(&1) { 52 } else { 40 };
        Some((start + at, [u32_at(content, at + MATRIX_BYTES)?, u32_at(content, at + MATRIX_BYTES + 4)?]))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Where the content of a box stands that lies in others.
fn find(bytes: &[u8], path: &[&[u8; 4]]) -> Option<std::ops::Range<usize>> {
    path.iter().try_fold(0..bytes.len(), |outer, kind| {
        let (_, inner) = boxes(&bytes[outer.clone()]).find(|(found, _)| found == *kind)?;
        Some(outer.start + inner.start..outer.start + inner.end)
    })
}

/// How a picture is to be turned to be seen upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation(usize);

/// Names as GStreamer's tags have them, and the first two columns of the first two rows of the matrix.
static ORIENTATIONS: [(&str, [i32; 4]); 8] = [
    ("rotate-0", [1, 0, 0, 1]),
    ("rotate-90", [0, 1, -1, 0]),
    ("rotate-180", [-1, 0, 0, -1]),
    ("rotate-270", [0, -1, 1, 0]),
    ("flip-rotate-0", [-1, 0, 0, 1]),
    ("flip-rotate-90", [0, -1, -1, 0]),
    ("flip-rotate-180", [1, 0, 0, -1]),
    ("flip-rotate-270", [0, 1, 1, 0]),
];

/// Bytes of a matrix: `a b u | c d v | x y w`, in 1/65536, but u, v and w in 1/2^30.
const MATRIX_BYTES: usize = 36;

impl Orientation {
    /// What the tags say that have passed a pad.
    pub fn of_pad(pad: &gst::Pad) -> Option<Orientation> {
        let tags = (0..).map_while(|index| pad.sticky_event::<gst::event::Tag>(index));
        let mut names =
            tags.filter_map(|event| Some(event.tag().get::<gst::tags::ImageOrientation>()?.get().to_owned()));
        names.find_map(|name| ORIENTATIONS.iter().position(|(known, _)| *known == name)).map(Orientation)
    }

    /// Whether it is not to be turned at all.
    pub fn is_upright(self) -> bool {
        self.0 == 0
    }

    /// The matrix for a picture of this width and height; it moves the turned picture to where the upright one would be.
    fn matrix(self, [width, height]: [u32; 2]) -> [u8; MATRIX_BYTES] {
        let [a, b, c, d] = ORIENTATIONS[self.0].1;
        let moved = |of_width: i32, of_height: i32| {
            let side = |factor: i32, side: u32| if factor < 0 { side } else { 0 };
            side(of_width, width).wrapping_add(side(of_height, height))
        };
        let fixed = |number: i32| (number << 16) as u32;
        let rows = [fixed(a), fixed(b), 0, fixed(c), fixed(d), 0, moved(a, c), moved(b, d), 1 << 30];
        let mut bytes = [0; MATRIX_BYTES];
        bytes.chunks_exact_mut(4).zip(rows).for_each(|(bytes, number)| bytes.copy_from_slice(&number.to_be_bytes()));
        bytes
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ORIENTATIONS[self.0].0)
    }
}

/// Writes into a finished file how its tracks, in this order, are to be turned.
///
/// # Errors
/// If the header does not tell of such tracks, or the disk refuses.
pub fn turn(path: &Path, orientations: &[Option<Orientation>]) -> Result<(), Failure> {
    let failed = |error| Failure::io(path.display(), error);
    let strange = || Failure::new(Exit::Other, format!("{}: a header without the tracks written", path.display()));
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let (start, header) = header(&mut file).map_err(failed)?.ok_or_else(strange)?;
    let tracks = tracks(&header);
    for (number, orientation) in orientations.iter().enumerate() {
        let Some(orientation) = orientation else { continue };
        let track = tracks.get(number).filter(|track| track.handler == *b"vide").ok_or_else(strange)?;
        let (at, size) = track.matrix().ok_or_else(strange)?;
        file.seek(SeekFrom::Start(start + at as u64)).map_err(failed)?;
        file.write_all(&orientation.matrix(size)).map_err(failed)?;
    }
    Ok(())
}

/// The content of a file's box `moov`, and where it stands.
fn header(file: &mut (impl Read + Seek)) -> io::Result<Option<(u64, Vec<u8>)>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut at = 0;
    while at < length {
        let mut start = Vec::new();
        file.seek(SeekFrom::Start(at))?;
        file.by_ref().take(16).read_to_end(&mut start)?;
        let Some((kind, header, told)) = box_header(&start) else { return Ok(None) };
        let end = told.and_then(|told| at.checked_add(told)).unwrap_or(length).min(length);
        let content = at + header as u64..end;
        if kind == *b"moov" && end - at <= MOST_BYTES {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(content.start))?;
            file.by_ref().take(content.end.saturating_sub(content.start)).read_to_end(&mut bytes)?;
            return Ok(Some((content.start, bytes)));
        }
        at = end;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes(), &kind[..], content].concat()
    }

    fn trak(id: u32, handler: &[u8; 4], chapters: Option<u32>) -> Vec<u8> {
        let mut head = vec![0; 84];
        head[12..16].copy_from_slice(&id.to_be_bytes());
        head[76..80].copy_from_slice(&(640_u32 << 16).to_be_bytes());
        head[80..84].copy_from_slice(&(480_u32 << 16).to_be_bytes());
        let handler = boxed(b"hdlr", &[&[0; 8], &handler[..], &[0; 12]].concat());
        let reference = chapters.map(|id| boxed(b"tref", &boxed(b"chap", &id.to_be_bytes()))).unwrap_or_default();
        boxed(b"trak", &[boxed(b"tkhd", &head), reference, boxed(b"mdia", &handler)].concat())
    }

    #[test]
    fn tracks_without_their_chapters() {
        let moov =
            [boxed(b"mvhd", &[0; 100]), trak(1, b"vide", Some(3)), trak(2, b"tmcd", None), trak(3, b"text", None)];
        let moov = moov.concat();
        let tracks = tracks(&moov);
        assert_eq!(tracks.len(), 3);
        let handlers: Vec<_> = without_chapters(&tracks).map(|track| track.handler).collect();
        assert_eq!(handlers, [*b"vide", *b"tmcd"]);
    }

    #[test]
    fn fail_on_boxes_that_end_too_early_or_too_late() {
        let moov = trak(7, b"vide", Some(1));
        for length in 0..moov.len() {
            assert!(tracks(&moov[..length]).is_empty(), "{length}");
        }
        for at in 0..moov.len() {
            for value in [0, 1, 7, 0xFF] {
                let mut spoiled = moov.clone();
                spoiled[at] = value;
                // Nothing but that it comes back is asked.
                tracks(&spoiled).iter().for_each(|track| assert!(track.matrix().is_none_or(|(at, _)| at > 0)));
            }
        }
    }

    #[test]
    fn turned_pictures_lie_where_upright_ones_would() {
        let size = [640 << 16, 480 << 16];
        for (number, (name, [a, b, c, d])) in ORIENTATIONS.iter().enumerate() {
            let matrix = Orientation(number).matrix(size);
            let entry =
                |at: usize| i64::from(i32::from_be_bytes(*matrix[4 * at..].first_chunk().expect("36 bytes")) >> 16);
            assert_eq!([entry(0), entry(1), entry(3), entry(4)].map(|number| number as i32), [*a, *b, *c, *d]);
            let corners = [(0, 0), (640, 0), (0, 480), (640, 480)]
                .map(|(x, y)| (entry(0) * x + entry(3) * y + entry(6), entry(1) * x + entry(4) * y + entry(7)));
            let least = corners
                .iter()
                .fold((i64::MAX, i64::MAX), |least, corner| (least.0.min(corner.0), least.1.min(corner.1)));
            assert_eq!(least, (0, 0), "{name}");
        }
    }
}
