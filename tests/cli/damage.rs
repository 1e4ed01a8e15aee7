//! Videos that come back damaged: what is intact is kept, nothing else is, and the user is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use crate::{
    clips::{self, CLIP, Kind, Packet, Track},
    workplace::{Workplace, code},
};

/// A clip, its cipher, and what is in both.
struct Sealed {
    place: Workplace,
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    tracks: Vec<Track>,
    /// Tracks by the streams that carry them.
    streams: BTreeMap<[u8; 16], usize>,
}

impl Sealed {
    fn new() -> Sealed {
        let place = Workplace::new();
        let (clip, cipher) = (place.path("clip.mkv"), place.path("clip.cveil"));
        clips::make(&clip, CLIP);
        place.done(place.encrypt(&clip, &cipher));
        let (bytes, tracks) = (clips::take_index(&cipher), clips::tracks(&clip));
        let packets = clips::packets(&bytes);
        assert_eq!(packets.iter().filter(|packet| packet.kind == Kind::End).count(), 2);
        let mut frames = BTreeMap::<_, usize>::new();
        for packet in &packets {
            *frames.entry(packet.stream).or_default() += usize::from(packet.kind == Kind::Frame);
        }
        let track_of =
            |frames| tracks.iter().position(|track| track.frames.len() == frames).expect("one of the tracks");
        let streams = frames.into_iter().map(|(stream, frames)| (stream, track_of(frames))).collect();
        Sealed { place, bytes, packets, tracks, streams }
    }

    /// Numbers of the packets of one kind, of the track that is video or the one that is not.
    fn packets_of(&self, kind: Kind, video: bool) -> Vec<usize> {
        let is_meant = |packet: &Packet| {
            packet.kind == kind && self.tracks[self.streams[&packet.stream]].media.starts_with("image/") == video
        };
        (0..self.packets.len()).filter(|&number| is_meant(&self.packets[number])).collect()
    }

    /// The tracks as they are if only the frames in `intact` packets come back, and only those after an intact header.
    fn expected(&self, intact: impl Fn(usize) -> bool) -> Vec<Track> {
        let empty = |track: &Track| Track { media: track.media.clone(), frames: Vec::new() };
        let mut tracks: Vec<_> = self.tracks.iter().map(empty).collect();
        let mut opened = BTreeSet::new();
        let mut counts = vec![0; tracks.len()];
        for (number, packet) in self.packets.iter().enumerate() {
            let track = self.streams[&packet.stream];
            match packet.kind {
                Kind::Header if intact(number) => drop(opened.insert(track)),
                Kind::Frame => {
                    if intact(number) && opened.contains(&track) {
                        tracks[track].frames.push(self.tracks[track].frames[counts[track]].clone());
                    }
                    counts[track] += 1;
                }
                _ => {}
            }
        }
        if tracks.iter().all(|track| track.frames.is_empty()) {
            return Vec::new();
        }
        // A track that is known stays, though it has no frame.
        let known = tracks.into_iter().enumerate().filter(|(track, _)| opened.contains(track));
        known.map(|(_, track)| track).collect()
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let file = self.place.path("damaged.cveil");
        fs::write(&file, bytes).expect("written");
        file
    }

    /// Decrypts `bytes`, which are damaged: only `expected` is kept, and that under the partial name.
    #[track_caller]
    fn is_damaged(&self, what: &str, bytes: &[u8], expected: &[Track]) -> String {
        let (output, partial) = (self.place.path("back.mkv"), self.place.path("back.mkv.partial"));
        let said = self.place.failed(self.place.decrypt(&self.file(bytes), &output), code::CONTENT, "damaged");
        assert!(!output.exists(), "{what}");
        if expected.is_empty() {
            assert!(!partial.exists(), "{what}: {said}");
            return said;
        }
        assert!(said.contains("back.mkv.partial") && said.contains("--salvage"), "{what}: {said}");
        assert_same(what, &clips::tracks(&partial), expected);
        fs::remove_file(partial).expect("there");
        said
    }

    /// The same with `--salvage`: under the final name, and still a failure.
    #[track_caller]
    fn is_salvaged(&self, what: &str, bytes: &[u8], expected: &[Track]) {
        let (output, partial) = (self.place.path("salvaged.mkv"), self.place.path("salvaged.mkv.partial"));
        let decrypt = self.place.decrypt(&self.file(bytes), &output).arg("--salvage");
        self.place.failed(decrypt, code::CONTENT, "damaged");
        assert!(!partial.exists(), "{what}");
        assert_same(what, &clips::tracks(&output), expected);
        fs::remove_file(output).expect("there");
    }

    /// Decrypts `bytes`, with which nothing is wrong.
    #[track_caller]
    fn is_whole(&self, what: &str, bytes: &[u8]) {
        let output = self.place.path("whole.mkv");
        self.place.done(self.place.decrypt(&self.file(bytes), &output));
        assert_same(what, &clips::tracks(&output), &self.tracks);
        fs::remove_file(output).expect("there");
    }

    /// The file's bytes in the order of these packets.
    fn concatenated(&self, packets: impl IntoIterator<Item = usize>) -> Vec<u8> {
        packets.into_iter().flat_map(|number| self.bytes[self.packets[number].range.clone()].to_vec()).collect()
    }
}

/// Compares tracks whatever their order, and names what differs rather than showing its bytes.
#[track_caller]
fn assert_same(what: &str, found: &[Track], expected: &[Track]) {
    let media = |tracks: &[Track]| tracks.iter().map(|track| track.media.clone()).collect::<BTreeSet<_>>();
    assert_eq!(media(found), media(expected), "{what}");
    for track in expected {
        let found = found.iter().find(|found| found.media == track.media).expect("just seen");
        assert_eq!(found.frames.len(), track.frames.len(), "{what}: frames of {}", track.media);
        let differs = found.frames.iter().zip(&track.frames).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{what}: frame of {}", track.media);
    }
}

#[test]
fn fail_on_flipped_bits_wherever_they_are() {
    let sealed = Sealed::new();
    sealed.is_whole("untouched", &sealed.bytes);
    let mut hit = Vec::new();
    for video in [true, false] {
        for kind in [Kind::Header, Kind::Frame, Kind::End] {
            let packets = sealed.packets_of(kind, video);
            hit.extend([packets[0], packets[packets.len() / 2], packets[packets.len() - 1]]);
        }
    }
    hit.sort();
    hit.dedup();
    for (round, number) in hit.into_iter().enumerate() {
        let range = sealed.packets[number].range.clone();
        let len = range.len();
        // Magic, the lengths, the MAC or the key groups, tags or record, the middle, the last byte.
        for at in [3, 41, 50, 70, len / 2, len - 1] {
            let mut bytes = sealed.bytes.clone();
            bytes[range.start + at] ^= 1 << (at % 8);
            let what = format!("bit flipped in byte {at} of {:?}", sealed.packets[number]);
            let expected = sealed.expected(|packet| packet != number);
            sealed.is_damaged(&what, &bytes, &expected);
            if at == 50 && round % 4 == 0 {
                sealed.is_salvaged(&what, &bytes, &expected);
            }
        }
    }
}

#[test]
fn fail_on_files_that_are_cut_off() {
    let sealed = Sealed::new();
    let count = sealed.packets.len();
    // Every boundary of the first packets, some of the others.
    for number in (0..6).chain([count / 3, count / 2, count - 3, count - 2, count - 1]) {
        let range = sealed.packets[number].range.clone();
        for cut in [range.start, range.start + 1, range.start + range.len() / 2, range.end - 1] {
            let expected = sealed.expected(|packet| sealed.packets[packet].range.end <= cut);
            let what = format!("cut off at byte {cut}");
            if number == 0 {
                let decrypt = sealed.place.decrypt(&sealed.file(&sealed.bytes[..cut]), &sealed.place.path("x.mkv"));
                sealed.place.failed(decrypt, code::CONTENT, "not a Chaosveil stream");
                continue;
            }
            let said = sealed.is_damaged(&what, &sealed.bytes[..cut], &expected);
            assert!(said.contains("truncated"), "{what}: {said}");
        }
    }
    let half = sealed.bytes.len() / 2;
    let expected = sealed.expected(|packet| sealed.packets[packet].range.end <= half);
    sealed.is_salvaged("cut in the middle", &sealed.bytes[..half], &expected);
}

#[test]
fn fail_on_packets_lost_doubled_and_swapped() {
    let sealed = Sealed::new();
    let all = 0..sealed.packets.len();
    for video in [true, false] {
        let frames = sealed.packets_of(Kind::Frame, video);
        for number in [frames[0], frames[7], frames[frames.len() - 1]] {
            let lost = sealed.concatenated(all.clone().filter(|&packet| packet != number));
            let expected = sealed.expected(|packet| packet != number);
            let said = sealed.is_damaged(&format!("packet {number} lost"), &lost, &expected);
            assert!(said.contains("1 frames lost"), "{said}");
            let doubled = sealed.concatenated(all.clone().flat_map(|n| vec![n; if n == number { 2 } else { 1 }]));
            let said = sealed.is_damaged(&format!("packet {number} doubled"), &doubled, &sealed.tracks);
            assert!(said.contains("1 frames replayed"), "{said}");
        }
        let (first, second) = (frames[4], frames[5]);
        let swapped = sealed.concatenated(all.clone().map(|n| match n {
            n if n == first => second,
            n if n == second => first,
            n => n,
        }));
        let said = sealed.is_damaged("two frames swapped", &swapped, &sealed.expected(|packet| packet != first));
        assert!(said.contains("1 frames out of order"), "{said}");
        // A header that is repeated may get lost, but not the first one.
        let headers = sealed.packets_of(Kind::Header, video);
        sealed.is_whole("a header lost", &sealed.concatenated(all.clone().filter(|&n| n != headers[1])));
        let lost = sealed.concatenated(all.clone().filter(|&n| n != headers[0]));
        sealed.is_damaged("the first header lost", &lost, &sealed.expected(|packet| packet != headers[0]));
    }
    // How the tracks lie between each other is no part of any.
    let by_tracks = all.clone().partition::<Vec<_>, _>(|&n| sealed.streams[&sealed.packets[n].stream] == 0);
    sealed.is_whole("one track after the other", &sealed.concatenated(by_tracks.0.into_iter().chain(by_tracks.1)));
    let only = sealed.concatenated(
        sealed
            .packets_of(Kind::Frame, true)
            .into_iter()
            .chain(all)
            .filter(|&n| sealed.tracks[sealed.streams[&sealed.packets[n].stream]].media.starts_with("audio/")),
    );
    let audio: Vec<_> = sealed.tracks.iter().filter(|track| track.media.starts_with("audio/")).cloned().collect();
    let said = sealed.is_damaged("a track lost", &only, &audio);
    assert!(said.contains("1 tracks missing"), "{said}");
}

/// Anyone can copy an end record's header to where nothing ends.
#[test]
fn an_end_that_does_not_verify_ends_nothing() {
    let sealed = Sealed::new();
    for video in [true, false] {
        let (end, frame) = (sealed.packets_of(Kind::End, video)[0], sealed.packets_of(Kind::Frame, video)[4]);
        let mut copy = sealed.concatenated([end]);
        copy[64..].fill(0);
        let (before, after) = (sealed.concatenated(0..frame), sealed.concatenated(frame..sealed.packets.len()));
        let said = sealed.is_damaged("an end among the frames", &[before, copy, after].concat(), &sealed.tracks);
        assert!(said.contains("1 frames rejected"), "{said}");
    }
}

/// Nor can the two ends of an index make a reader pass over the frames that stand between them.
#[test]
fn an_index_that_does_not_verify_hides_nothing() {
    let sealed = Sealed::new();
    let whole = sealed.place.path("indexed.cveil");
    // Many epochs make a long index.
    let encrypt = sealed.place.encrypt(&sealed.place.path("clip.mkv"), &whole).args(["--rekey-frames", "2"]);
    sealed.place.done(encrypt);
    let bytes = fs::read(&whole).expect("written");
    let packets = clips::packets(&bytes);
    let at = packets.last().expect("packets").range.end;
    let (frames, indexes) = bytes.split_at(at);
    let second = indexes[8..].windows(8).position(|magic| magic == b"CVEILIDX").expect("two streams") + 8;
    let (first, second) = indexes.split_at(second);
    let index = if first.len() > second.len() { first } else { second };
    let (len, start, end) = (index.len(), &index[..88], &index[index.len() - 16..]);
    let fits = |packet: &&Packet| packet.kind == Kind::Frame && packet.range.len() <= len - 104;
    let hidden = packets[packets.len() / 2..].iter().find(fits).expect("a frame shorter than an index").range.clone();
    let rest = vec![0; len - 104 - hidden.len()];
    let (before, after) = (&frames[..hidden.start], &frames[hidden.end..]);
    let copied = [before, start, &frames[hidden], &rest, end, after].concat();
    let output = sealed.place.path("hidden.mkv");
    let ran = sealed.place.decrypt(&sealed.file(&copied), &output).arg("--salvage").output();
    assert!(output.exists(), "{ran:?}");
    assert_same("an index among the frames", &clips::tracks(&output), &sealed.tracks);
}

#[test]
fn fail_on_streams_joined_in_the_middle() {
    let sealed = Sealed::new();
    let header = sealed.packets_of(Kind::Header, true)[1];
    let start = sealed.packets[header].range.start;
    for from in [sealed.packets[1].range.start, sealed.packets[20].range.start + 7, start - 1, start] {
        let expected = sealed.expected(|packet| sealed.packets[packet].range.start >= from);
        sealed.is_damaged(&format!("joined at byte {from}"), &sealed.bytes[from..], &expected);
    }
}

#[test]
fn fail_on_what_is_not_ours_and_on_other_keys() {
    let sealed = Sealed::new();
    let place = &sealed.place;
    let output = place.path("x.mkv");
    let noise: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for foreign in [&noise[..], b"", b"CVEILHDR", &[0; 5000]] {
        place.failed(place.decrypt(&sealed.file(foreign), &output), code::CONTENT, "not a Chaosveil stream");
    }
    place.failed(place.decrypt(&place.path("clip.mkv"), &output), code::CONTENT, "clip.mkv");
    place.done(place.chaosveil("keygen").arg("-o").arg(place.path("other.key")));
    for container in ["x.mkv", "x.mp4"] {
        let other = place.chaosveil("decrypt").arg("-i").arg(place.path("other.key"));
        let other = other.arg(place.path("clip.cveil")).arg("-o").arg(place.path(container));
        place.failed(other, code::KEY, "none of the given keys opens");
    }
    // Another recording in between is not taken for part of this one.
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("other.cveil")));
    let other = fs::read(place.path("other.cveil")).expect("written");
    let (before, after) = sealed.bytes.split_at(sealed.packets[30].range.start);
    let said = sealed.is_damaged("another recording within", &[before, &other, after].concat(), &sealed.tracks);
    assert!(said.contains("damaged bytes"), "{said}");
    let left: Vec<_> = place.names(&place.path("")).into_iter().filter(|name| name.starts_with("x.")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn fail_on_a_cipher_video_whose_end_is_cut_off() {
    let place = Workplace::new();
    let (clip, cipher, output) = (place.path("clip.mkv"), place.path("cipher.mkv"), place.path("back.mkv"));
    clips::make(&clip, CLIP);
    place.done(place.encrypt(&clip, &cipher).arg("--video-only"));
    place.done(place.decrypt(&cipher, &output));
    let (frames, bytes) = (clips::tracks(&output).remove(0).frames, fs::read(&cipher).expect("written"));
    let short = place.path("short.mkv");
    for keep in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&short, &bytes[..keep]).expect("written");
        let kept = place.path("back.mkv.partial");
        for pipe in [false, true] {
            let decrypt = place.decrypt(if pipe { "-".as_ref() } else { &short }, &output).arg("--force");
            let decrypt = decrypt.stdin(fs::File::open(&short).expect("there"));
            place.failed(decrypt, code::CONTENT, "truncated");
            let found = clips::tracks(&kept).remove(0).frames;
            assert!(!found.is_empty() && frames.starts_with(&found), "{keep} bytes");
        }
        assert!(keep == bytes.len() - 1 || clips::tracks(&kept)[0].frames.len() < frames.len());
        place.failed(place.decrypt(&short, &output).args(["--force", "--salvage"]), code::CONTENT, "truncated");
        assert!(output.exists() && !kept.exists());
    }
    // Written to a pipe, a file does not tell how long it is.
    let piped = place.piped(place.encrypt(&clip, "-".as_ref()).args(["--output-form", "mkv", "--video-only"]), b"");
    fs::write(&short, &piped).expect("written");
    let ran = place.done(place.decrypt(&short, &output).arg("--force"));
    let said = crate::workplace::stderr(&ran);
    assert!(said.contains("warning") && said.contains("cut off"), "{said}");
    fs::write(&short, &piped[..piped.len() * 2 / 3]).expect("written");
    place.failed(place.decrypt(&short, &output).arg("--force"), code::CONTENT, "truncated");
}
