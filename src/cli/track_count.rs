//! How many tracks a file tells of, to hold against those that GStreamer gives: its demuxers leave out what they do not
//! know without a word.
//!
//! Read are the headers of MP4 and QuickTime (`moov`), Matroska (`Tracks`) and AVI (`avih`), as their bytes come by. Where
//! they come too late, in too many bytes or not at all, nothing is known, and nothing is said.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::movie_header;

/// What a header tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What each track holds, as the container calls it.
    pub tracks: Vec<String>,
    /// How many of them are video.
    pub videos: usize,
}

/// Reads a file from its beginning.
#[derive(Debug, Default)]
pub struct TrackCount {
    /// Bytes that have not been understood yet.
    pending: Vec<u8>,
    /// Bytes to come that are none of ours.
    skip: u64,
    /// Bytes that have come.
    position: u64,
    format: Option<Format>,
    told: Option<Told>,
    over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Movie,
    Matroska,
    Avi,
}

/// What to do with the next bytes.
enum Step {
    /// There are too few to say.
    Wait,
    /// That many have been dealt with.
    Skip(u64),
    /// There is no more to learn.
    End(Option<Told>),
}

/// Length of an AVI file's header up to the number of its streams, and where that stands.
const AVI_STREAMS: std::ops::Range<usize> = 56..60;

impl TrackCount {
    /// Reads a file; what cannot be read tells nothing.
    pub fn of_file(path: &Path) -> TrackCount {
        let mut count = TrackCount::default();
        let Ok(mut file) = File::open(path) else { return count };
        let mut chunk = vec![0; 1 << 16];
        while !count.over {
            if count.skip > 0 {
                let Ok(skip) = i64::try_from(std::mem::take(&mut count.skip)) else { break };
                if file.seek(SeekFrom::Current(skip)).is_err() {
                    break;
                }
            }
            match file.read(&mut chunk) {
                Ok(len) if len > 0 => count.push(&chunk[..len]),
                _ => break,
            }
        }
        count
    }

    /// Takes the next bytes, which stand at `offset` where that is known.
    pub fn push_at(&mut self, offset: Option<u64>, bytes: &[u8]) {
        // Whoever jumps about in the file does not show all of it.
        self.over |= offset.is_some_and(|offset| offset != self.position);
        self.push(bytes);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        if self.over {
            return;
        }
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        self.pending.extend_from_slice(&bytes[skipped as usize..]);
        while !self.over && self.skip == 0 {
            match self.step() {
                Step::Wait => return,
                Step::Skip(length) => {
                    let at_hand = length.min(self.pending.len() as u64);
                    self.pending.drain(..at_hand as usize);
                    self.skip = length - at_hand;
                }
                Step::End(told) => (self.told, self.over, self.pending) = (told, true, Vec::new()),
            }
        }
    }

    /// What the header tells, if it has come.
    pub fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    fn step(&mut self) -> Step {
        let Some(format) = self.format.or_else(|| format_of(&self.pending)) else {
            return if self.pending.len() < 12 { Step::Wait } else { Step::End(None) };
        };
        self.format = Some(format);
        match format {
            Format::Movie => movie_step(&self.pending),
            Format::Matroska => matroska_step(&self.pending),
            Format::Avi => avi_step(&self.pending),
        }
    }
}

fn format_of(start: &[u8]) -> Option<Format> {
    /// Boxes that MP4 and QuickTime files begin with.
    const FIRST: [&[u8; 4]; 7] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"];
    match start {
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Some(Format::Matroska),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', ..] => Some(Format::Avi),
        // What kind of RIFF file it is stands behind its length, which may look like a box.
        [b'R', b'I', b'F', b'F', ..] => None,
        _ => FIRST.iter().any(|kind| start.get(4..8) == Some(&kind[..])).then_some(Format::Movie),
    }
}

fn movie_step(bytes: &[u8]) -> Step {
    let Some((kind, header, length)) = movie_header::box_header(bytes) else {
        return if bytes.len() < 16 { Step::Wait } else { Step::End(None) };
    };
    match (kind == *b"moov", length) {
        (false, Some(length)) => Step::Skip(length),
        (true, Some(length)) if length > bytes.len() as u64 && length <= movie_header::MOST_BYTES => Step::Wait,
        (true, Some(length)) if length <= bytes.len() as u64 => {
            Step::End(movie_tracks(&bytes[header..length as usize]))
        }
        _ => Step::End(None),
    }
}

/// A compressed header, say, tells of none.
fn movie_tracks(moov: &[u8]) -> Option<Told> {
    let tracks = movie_header::tracks(moov);
    let tracks: Vec<_> = movie_header::without_chapters(&tracks).map(|track| track.handler).collect();
    let videos = tracks.iter().filter(|handler| *handler == b"vide").count();
    let tracks: Vec<_> = tracks.iter().map(|handler| handler.escape_ascii().to_string()).collect();
    (!tracks.is_empty()).then_some(Told { tracks, videos })
}

/// EBML ids (RFC 9559, section 5).
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const TRACK_ENTRY: u32 = 0xAE;
const TRACK_TYPE: u32 = 0x83;

fn matroska_step(bytes: &[u8]) -> Step {
    let Some((id, header, length)) = element_header(bytes) else {
        return if bytes.len() < 12 { Step::Wait } else { Step::End(None) };
    };
    match (id, length) {
        // What is in it comes next.
        (SEGMENT, _) => Step::Skip(header as u64),
        (CLUSTER, _) | (_, None) => Step::End(None),
        (TRACKS, Some(length)) => match bytes.get(header..).filter(|content| content.len() as u64 >= length) {
            Some(content) => Step::End(matroska_tracks(&content[..length as usize])),
            None if length <= movie_header::MOST_BYTES => Step::Wait,
            None => Step::End(None),
        },
        (_, Some(length)) => Step::Skip(length.saturating_add(header as u64)),
    }
}

fn matroska_tracks(bytes: &[u8]) -> Option<Told> {
    let types: Vec<_> = elements(bytes)
        .filter(|(id, _)| *id == TRACK_ENTRY)
        .map(|(_, entry)| elements(entry).find(|(id, _)| *id == TRACK_TYPE).and_then(|(_, kind)| kind.last().copied()))
        .collect();
    let videos = types.iter().filter(|kind| **kind == Some(1)).count();
    let name = |kind: &Option<u8>| match kind {
        Some(1) => "video".to_owned(),
        Some(2) => "audio".to_owned(),
        Some(17) => "subtitles".to_owned(),
        Some(33) => "metadata".to_owned(),
        Some(kind) => format!("type {kind}"),
        None => "no type".to_owned(),
    };
    (!types.is_empty()).then(|| Told { tracks: types.iter().map(name).collect(), videos })
}

/// The elements in `bytes`, up to the first that does not end in them.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (id, header, length) = element_header(bytes)?;
        let (content, rest) = bytes.get(header..)?.split_at_checked(usize::try_from(length?).ok()?)?;
        bytes = rest;
        Some((id, content))
    })
}

/// Id of the element that `bytes` begin with, length of its header, and of its content where it is told.
fn element_header(bytes: &[u8]) -> Option<(u32, usize, Option<u64>)> {
    let id_bytes = bytes.first()?.leading_zeros() as usize + 1;
    let id = bytes.get(..id_bytes).filter(|id| id.len() <= 4)?;
    let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    let length_bytes = bytes.get(id_bytes)?.leading_zeros() as usize + 1;
    let length = bytes.get(id_bytes..id_bytes + length_bytes).filter(|length| length.len() <= 8)?;
    let all_ones = u64::MAX >> (64 - 7 * length_bytes);
    let length = length.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte)) & all_ones;
    Some((id, id_bytes + length_bytes, Some(length).filter(|length| *length != all_ones)))
}

fn avi_step(bytes: &[u8]) -> Step {
    let Some(streams) = bytes.get(AVI_STREAMS) else { return Step::Wait };
    // RIFF, its length, AVI, LIST, its length, hdrl, avih: what stands elsewhere is not looked for.
    if &bytes[24..28] != b"avih" {
        return Step::End(None);
    }
    let streams = streams.first_chunk().map_or(0, |streams| u32::from_le_bytes(*streams));
    // The header has no room for more, and does not say what they are.
    const MOST: u32 = 100;
    let tracks = (0..streams.min(MOST)).map(|_| "stream".to_owned()).collect();
    Step::End((streams > 0).then_some(Told { tracks, videos: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes(), &kind[..], content].concat()
    }

    fn movie() -> Vec<u8> {
        let trak = |handler: &[u8; 4]| {
            let handler = boxed(b"hdlr", &[&[0; 8], &handler[..], &[0; 12]].concat());
            boxed(b"trak", &[boxed(b"tkhd", &[0; 84]), boxed(b"mdia", &handler)].concat())
        };
        let moov = boxed(b"moov", &[trak(b"vide"), trak(b"soun"), trak(b"tmcd")].concat());
        [boxed(b"ftyp", &[0; 12]), boxed(b"mdat", &[7; 5000]), moov].concat()
    }

    fn matroska() -> Vec<u8> {
        let entry = |kind: u8| [&[0xAE, 0x87, 0xD7, 0x81, 1, 0x83, 0x81][..], &[kind, 0x00]].concat()[..9].to_vec();
        let tracks: Vec<u8> = [1, 2, 33].into_iter().flat_map(entry).collect();
        let head = [&[0x1A, 0x45, 0xDF, 0xA3, 0x83, 1, 2, 3][..], &[0x18, 0x53, 0x80, 0x67, 0x01], &[0xFF; 7]].concat();
        let void = [&[0xEC, 0x84][..], &[0; 4]].concat();
        [head, void, vec![0x16, 0x54, 0xAE, 0x6B, 0x80 | tracks.len() as u8], tracks].concat()
    }

    fn told(bytes: &[u8], piece: usize) -> Option<Told> {
        let mut count = TrackCount::default();
        bytes.chunks(piece).for_each(|bytes| count.push(bytes));
        count.told().cloned()
    }

    #[test]
    fn headers_in_pieces_of_any_size() {
        for piece in [1, 7, 100, 10_000] {
            let movie = told(&movie(), piece).expect("a header");
            assert_eq!((movie.tracks.join(" "), movie.videos), ("vide soun tmcd".to_owned(), 1), "{piece}");
            let matroska = told(&matroska(), piece).expect("a header");
            assert_eq!((matroska.tracks.join(" "), matroska.videos), ("video audio metadata".to_owned(), 1), "{piece}");
        }
    }

    #[test]
    fn files_are_read_past_what_they_hold() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mdat = boxed(b"mdat", &vec![9; 300_000]);
        std::fs::write(file.path(), [mdat, movie()].concat()).expect("written");
        assert_eq!(TrackCount::of_file(file.path()).told().expect("a header").tracks.len(), 3);
    }

    #[test]
    fn fail_on_what_is_cut_off_or_spoiled() {
        for bytes in [movie(), matroska()] {
            for length in (0..bytes.len()).rev().take(300) {
                assert_eq!(told(&bytes[..length], 64), None);
            }
            for at in (0..bytes.len()).filter(|at| !(100..5000).contains(at)) {
                let mut spoiled = bytes.clone();
                spoiled[at] ^= 0xFF;
                // Nothing but that it comes back is asked.
                let _ = told(&spoiled, 64);
            }
        }
        assert_eq!(told(b"some text that is no video at all", 8), None);
        assert_eq!(told(b"", 8), None);
    }

    #[test]
    fn who_jumps_about_learns_nothing() {
        let (movie, mut count) = (movie(), TrackCount::default());
        count.push_at(Some(0), &movie[..100]);
        count.push_at(Some(200), &movie[100..]);
        assert_eq!(count.told(), None);
    }
}
