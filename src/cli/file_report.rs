//! What is told of a file: its streams, what a key shows of them, and what is wrong. For `inspect` and `verify`.

use std::fmt::Write;

use serde::Serialize;

use super::{
    claims::{Claim, KeyGroupClaim},
    index_file::Indexes,
    labels::Labels,
    output,
    packets::Extent,
    streams::{Stream, Tally},
    troubles::Troubles,
};
use crate::{
    frame::FrameLayout,
    seal::{Description, Record},
};

/// What is in a file.
#[derive(Serialize)]
pub struct Report {
    pub file: String,
    pub form: &'static str,
    pub bytes: u64,
    /// Whether a key has verified all that is told; what has not verified is left out then.
    pub verified: bool,
    /// First and last byte of each damaged range.
    pub damaged_bytes: Vec<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoReport>,
    /// The index, where there is one: a file is whole without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexReport>,
    pub streams: Vec<StreamReport>,
}

/// The picture in a cipher picture.
#[derive(Serialize)]
pub struct PictureReport {
    pub format: &'static str,
    pub width: u32,
    pub height: u32,
}

/// The index at the end of a file.
#[derive(Serialize)]
pub struct IndexReport {
    pub points: usize,
    /// Why it cannot be used; absent where all that it points to is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

impl IndexReport {
    /// Of indexes that have been checked. `None` where there are none, nor anything that begins like one.
    pub fn of(indexes: &Indexes, extent: &Extent) -> Option<IndexReport> {
        let is_bad = !extent.bad_index.is_empty() || extent.indexes != indexes.streams.len();
        let bad = is_bad.then(|| "its bytes are damaged".to_owned());
        let wrong = indexes.wrong.clone().or(bad);
        (!indexes.are_absent() || wrong.is_some()).then(|| IndexReport { points: indexes.points(), wrong })
    }

    pub fn text(&self) -> String {
        match &self.wrong {
            None => format!("{} points, in order", self.points),
            Some(wrong) => format!("cannot be used: {wrong}"),
        }
    }
}

/// The stream in a cipher video.
#[derive(Serialize)]
pub struct VideoReport {
    pub profile: String,
    #[serde(flatten)]
    pub counts: Counts,
}

/// What a stream claims to be, and what a key shows of it.
#[derive(Serialize)]
pub struct StreamReport {
    pub id: String,
    pub profile: &'static str,
    pub aead: &'static str,
    pub key_groups: Vec<KeyGroupClaim>,
    pub headers: u64,
    pub frames: u64,
    pub end_records: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<OpenedReport>,
}

/// What a key shows of a stream.
#[derive(Serialize)]
pub struct OpenedReport {
    /// From 1.
    pub track: u32,
    pub tracks: u16,
    pub recording: String,
    /// The camera that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    pub caps: String,
    #[serde(flatten)]
    pub counts: Counts,
    pub first_pts_ns: Option<u64>,
    pub last_pts_ns: Option<u64>,
    /// What the frames were taken for, where that was sealed with them.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// Frames that a key has verified, and those that it has not.
#[derive(Default, Serialize)]
pub struct Counts {
    pub intact_frames: u64,
    /// What the end record says; absent where the stream is truncated. A cipher video has none: up to its last picture.
    pub sealed_frames: Option<u64>,
    pub lost: u64,
    pub rejected: u64,
    pub replayed: u64,
    pub reordered: u64,
    /// Where the others are.
    #[serde(skip_serializing_if = "Troubles::is_empty")]
    pub troubles: Troubles,
}

impl Counts {
    /// What was counted of a stream, and where its troubles are.
    pub fn of(tally: &Tally, troubles: Troubles) -> Counts {
        // What is missing in a whole stream never left its writer.
        let troubles = if tally.is_whole() { Troubles::default() } else { troubles };
        Counts {
            intact_frames: tally.frames,
            sealed_frames: tally.sealed_frames,
            lost: tally.lost(),
            rejected: tally.rejected,
            replayed: tally.replayed,
            reordered: tally.reordered,
            troubles,
        }
    }
}

impl PictureReport {
    pub fn of(layout: &FrameLayout) -> PictureReport {
        PictureReport { format: layout.format().name(), width: layout.width(), height: layout.height() }
    }
}

impl StreamReport {
    pub fn new(id: &[u8; 16], claim: Claim) -> StreamReport {
        StreamReport {
            id: hex(id),
            profile: claim.profile.name(),
            aead: claim.aead.name(),
            key_groups: claim.key_groups,
            headers: claim.headers,
            frames: claim.frames,
            end_records: claim.end_records,
            bytes: claim.bytes,
            opened: None,
        }
    }
}

impl OpenedReport {
    pub fn of_stream(stream: &Stream) -> OpenedReport {
        let tally = &stream.tally;
        OpenedReport {
            camera: stream.camera().map(|camera| camera.to_string()),
            counts: Counts::of(tally, stream.trail.troubles.clone()),
            first_pts_ns: tally.first_pts,
            last_pts_ns: tally.last_pts,
            ..OpenedReport::of_description(&stream.description())
        }
    }

    /// A cipher picture is whole or refused.
    pub fn of_picture(description: &Description, record: &Record) -> OpenedReport {
        let mut report = OpenedReport::of_description(description);
        report.counts.intact_frames = 1;
        report.labels.count(record);
        report
    }

    fn of_description(description: &Description) -> OpenedReport {
        OpenedReport {
            track: u32::from(description.track) + 1,
            tracks: description.tracks,
            recording: hex(&description.recording),
            camera: None,
            caps: description.caps.clone(),
            counts: Counts::default(),
            first_pts_ns: None,
            last_pts_ns: None,
            labels: Labels::default(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

impl Report {
    pub fn new(name: &str, form: &'static str, extent: &Extent, verified: bool, streams: Vec<StreamReport>) -> Report {
        let damaged_bytes = extent.damaged.iter().map(|range| (range.start, range.end - 1)).collect();
        Report {
            file: name.to_owned(),
            form,
            bytes: extent.bytes,
            verified,
            damaged_bytes,
            picture: None,
            video: None,
            index: None,
            streams,
        }
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}: {}, {} bytes\n", self.file, self.form, self.bytes);
        if let Some(PictureReport { format, width, height }) = &self.picture {
            text += &format!("  picture      {width}x{height} {format}\n");
        }
        for stream in &self.streams {
            // Writing to a string does not fail.
            let _ = stream.write(&mut text);
        }
        if let Some(index) = &self.index {
            text += &format!("index          {}\n", index.text());
        }
        text += match self.verified {
            true => "Everything above is verified; what does not verify is not counted.\n",
            false => "Nothing above is verified: give a key (-i, -k or --passphrase-file).\n",
        };
        text
    }
}

impl StreamReport {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "stream {}", self.id)?;
        writeln!(text, "  profile      {}, {}", self.profile, self.aead)?;
        let groups: Vec<_> = self.key_groups.iter().map(KeyGroupClaim::text).collect();
        writeln!(text, "  opened by    {}", groups.join(", or "))?;
        let end = if self.end_records > 0 { ", end record" } else { "" };
        writeln!(text, "  packets      {} headers, {} frames{end}, {} bytes", self.headers, self.frames, self.bytes)?;
        match &self.opened {
            Some(opened) => opened.write(text),
            None => Ok(()),
        }
    }
}

impl OpenedReport {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "  track        {} of {} of recording {}", self.track, self.tracks, self.recording)?;
        if let Some(camera) = &self.camera {
            writeln!(text, "  signed by    {camera}")?;
        }
        writeln!(text, "  caps         {}", output::printable(&self.caps))?;
        let sealed = self.counts.sealed_frames.map_or(String::new(), |sealed| format!(" of {sealed}"));
        writeln!(text, "  frames       {}{sealed} intact", self.counts.intact_frames)?;
        if let (Some(first), Some(last)) = (self.first_pts_ns, self.last_pts_ns) {
            writeln!(text, "  times        {:.3} s to {:.3} s", seconds(first), seconds(last))?;
        }
        for line in self.labels.lines() {
            writeln!(text, "  label        {line}")?;
        }
        Ok(())
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl KeyGroupClaim {
    fn text(&self) -> String {
        let recipients: Vec<_> = self.recipients.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        match recipients.is_empty() {
            true => self.kind.clone(),
            false => format!("{} ({})", self.kind, recipients.join(", ")),
        }
    }
}
