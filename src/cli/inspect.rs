//! `inspect`: what is in a file.

use std::{
    collections::BTreeMap,
    fmt::Write,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    cipher_picture,
    claims::{Claim, Claims, KeyGroupClaim},
    endpoint::{self, Form},
    error::{Exit, Failure},
    key_files::IdentityArguments,
    labels::Labels,
    output,
    packets::{Extent, read_packets},
    sealing::{BackendArgument, Opening, warn_of_trouble},
    streams::{Damage, FrameSink, Open, Stream, StreamHandler, Streams},
};
use crate::{
    Error,
    frame::FrameLayout,
    seal::{Description, FrameHeader, Offset, Record},
};

/// Tell what is in a sealed file or a cipher picture
///
/// Without a key: streams, profiles, who can open them, packets; none of it verified. With a key: what the key verifies,
/// and whether that is all.
#[derive(clap::Args)]
pub struct Inspect {
    #[command(flatten)]
    identities: IdentityArguments,
    #[command(flatten)]
    backend: BackendArgument,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// File to inspect
    file: PathBuf,
}

impl Inspect {
    /// Prints the report. Damage is a failure after it.
    pub fn run(self) -> Result<(), Failure> {
        let opening = match self.identities.is_empty() {
            true => None,
            false => Some(Opening::new(self.identities.read()?, self.backend.engine()?, true)),
        };
        let inspected = inspect(&self.file, opening.as_ref());
        if let Some(opening) = &opening {
            warn_of_trouble(&*opening.engine.backend);
        }
        let (report, damage) = inspected?;
        let text = match self.json {
            true => serde_json::to_string_pretty(&report).map(|json| json + "\n").unwrap_or_default(),
            false => report.text(),
        };
        output::print(&text)?;
        match damage {
            None => Ok(()),
            Some(damage) => Err(Failure::new(Exit::Content, format!("{} is damaged: {damage}", self.file.display()))),
        }
    }
}

/// What is in a file.
#[derive(Serialize)]
struct Report {
    file: String,
    form: &'static str,
    bytes: u64,
    /// Whether a key has verified all that is told; what has not verified is left out then.
    verified: bool,
    /// First and last byte of each damaged range.
    damaged_bytes: Vec<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<PictureReport>,
    streams: Vec<StreamReport>,
}

/// The picture in a cipher picture.
#[derive(Serialize)]
struct PictureReport {
    format: &'static str,
    width: u32,
    height: u32,
}

/// What a stream claims to be, and what a key shows of it.
#[derive(Serialize)]
struct StreamReport {
    id: String,
    profile: &'static str,
    aead: &'static str,
    key_groups: Vec<KeyGroupClaim>,
    headers: u64,
    frames: u64,
    end_records: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<OpenedReport>,
}

/// What a key shows of a stream.
#[derive(Serialize)]
struct OpenedReport {
    /// From 1.
    track: u32,
    tracks: u16,
    recording: String,
    caps: String,
    intact_frames: u64,
    /// What the end record says; absent where the stream is truncated.
    sealed_frames: Option<u64>,
    lost: u64,
    rejected: u64,
    replayed: u64,
    reordered: u64,
    first_pts_ns: Option<u64>,
    last_pts_ns: Option<u64>,
    /// What the frames were taken for, where that was sealed with them.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
}

fn inspect(file: &Path, opening: Option<&Opening>) -> Result<(Report, Option<Damage>), Failure> {
    let name = file.display().to_string();
    let (start, source) = endpoint::peek(&name, endpoint::open(file)?)?;
    match (Form::of_content(&start), opening) {
        (Form::Cveil, None) => inspect_claims(&name, source),
        (Form::Cveil, Some(opening)) => inspect_packets(&name, source, opening),
        (Form::Png, _) => {
            let bytes = endpoint::read_frame(&name, source)?;
            inspect_picture(&name, &bytes, opening).map(|report| (report, None)).map_err(|failure| failure.about(&name))
        }
        (Form::Mkv, _) => {
            Err(Failure::usage(format!("{name} is a Matroska file, which does not tell what is in its frames"))
                .advise("decrypt it to see, or play it through chaosdec"))
        }
    }
}

/// What packets say of themselves.
fn inspect_claims(name: &str, source: impl Read) -> Result<(Report, Option<Damage>), Failure> {
    let mut claims = Claims::default();
    let (extent, read) = read_packets(source, &mut claims);
    read.map_err(|error| Failure::io(name, error))?;
    if claims.streams.is_empty() {
        return Err(Failure::from(Error::NotOurs).about(name));
    }
    let streams = claims.streams.into_iter().map(|(id, claim)| StreamReport::new(&id, claim)).collect();
    Ok((Report::new(name, "packets", &extent, false, streams), Damage::of(&extent, [].iter())))
}

/// What a key shows of packets, and nothing that it does not: who has changed a length has not changed these figures.
fn inspect_packets(name: &str, source: impl Read, opening: &Opening) -> Result<(Report, Option<Damage>), Failure> {
    let mut streams = Streams::new(opening, Survey::default());
    let (extent, read) = read_packets(source, &mut streams);
    read.map_err(|error| Failure::io(name, error))?;
    let (streams, mut survey) = streams.finish().map_err(|failure| failure.about(name))?;
    let damage = Damage::of(&extent, streams.values());
    let report = |(id, stream): (&[u8; 16], &Stream)| {
        let packets = survey.packets.remove(id)?;
        let labels = survey.open.0.0.remove(&stream.description().track).unwrap_or_default();
        let opened = OpenedReport { labels, ..OpenedReport::of_stream(stream) };
        Some(StreamReport { opened: Some(opened), ..StreamReport::new(id, packets) })
    };
    let reports = streams.iter().filter_map(report).collect();
    Ok((Report::new(name, "packets", &extent, true, reports), damage))
}

/// Counts the packets that verify, and the labels in them.
#[derive(Default)]
struct Survey {
    open: Open<LabelsByTrack>,
    packets: BTreeMap<[u8; 16], Claim>,
}

impl StreamHandler for Survey {
    fn header(&mut self, stream: &mut Stream, bytes: &[u8]) {
        // It has verified, so nothing in it contradicts the format.
        let Ok(claim) = Claim::of_header(bytes) else { return };
        self.packets.entry(stream.id()).or_insert(claim).count_header(bytes);
    }

    fn frame(&mut self, stream: &mut Stream, offset: Offset, header: &FrameHeader, packet: &[u8]) -> bool {
        let intact = self.open.frame(stream, offset, header, packet);
        if intact && let Some(packets) = self.packets.get_mut(&stream.id()) {
            packets.count(header.kind, packet);
        }
        intact
    }
}

/// All that is wanted of the frames. There is one stream for each track.
#[derive(Default)]
struct LabelsByTrack(BTreeMap<u16, Labels>);

impl FrameSink for LabelsByTrack {
    fn frame(&mut self, description: &Description, record: &Record, _: &[u8]) {
        self.0.entry(description.track).or_default().count(record);
    }
}

fn inspect_picture(name: &str, bytes: &[u8], opening: Option<&Opening>) -> Result<Report, Failure> {
    let (layout, picture) = cipher_picture::read(bytes)?;
    let mut claim = Claim::of_header(picture.header())?;
    (claim.headers, claim.frames) = (1, 1);
    claim.bytes = (picture.header().len() + picture.prefix().len() + picture.payload.len()) as u64;
    let id = crate::seal::RawStreamHeader::split(picture.header())?.stream_id();
    let mut stream = StreamReport::new(&id, claim);
    if let Some(opening) = opening {
        let (_, description, record) = cipher_picture::open_pixels(opening, bytes)?;
        stream.opened = Some(OpenedReport::of_picture(&description, &record));
    }
    let extent = Extent { bytes: bytes.len() as u64, damaged: Vec::new() };
    let mut report = Report::new(name, "cipher picture", &extent, opening.is_some(), vec![stream]);
    report.picture = Some(PictureReport::of(&layout));
    Ok(report)
}

impl PictureReport {
    fn of(layout: &FrameLayout) -> PictureReport {
        PictureReport { format: layout.format().name(), width: layout.width(), height: layout.height() }
    }
}

impl StreamReport {
    fn new(id: &[u8; 16], claim: Claim) -> StreamReport {
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
    fn of_stream(stream: &Stream) -> OpenedReport {
        let tally = &stream.tally;
        OpenedReport {
            intact_frames: tally.frames,
            sealed_frames: tally.sealed_frames,
            lost: tally.lost(),
            rejected: tally.rejected,
            replayed: tally.replayed,
            reordered: tally.reordered,
            first_pts_ns: tally.first_pts,
            last_pts_ns: tally.last_pts,
            ..OpenedReport::of_description(&stream.description())
        }
    }

    /// A cipher picture is whole or refused.
    fn of_picture(description: &Description, record: &Record) -> OpenedReport {
        let mut report = OpenedReport { intact_frames: 1, ..OpenedReport::of_description(description) };
        report.labels.count(record);
        report
    }

    fn of_description(description: &Description) -> OpenedReport {
        OpenedReport {
            track: u32::from(description.track) + 1,
            tracks: description.tracks,
            recording: hex(&description.recording),
            caps: description.caps.clone(),
            intact_frames: 0,
            sealed_frames: None,
            lost: 0,
            rejected: 0,
            replayed: 0,
            reordered: 0,
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
    fn new(name: &str, form: &'static str, extent: &Extent, verified: bool, streams: Vec<StreamReport>) -> Report {
        let damaged_bytes = extent.damaged.iter().map(|range| (range.start, range.end - 1)).collect();
        Report { file: name.to_owned(), form, bytes: extent.bytes, verified, damaged_bytes, picture: None, streams }
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {}, {} bytes\n", self.file, self.form, self.bytes);
        if let Some(PictureReport { format, width, height }) = &self.picture {
            text += &format!("  picture      {width}x{height} {format}\n");
        }
        for stream in &self.streams {
            // Writing to a string does not fail.
            let _ = stream.write(&mut text);
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
        writeln!(text, "  caps         {}", self.caps)?;
        let sealed = self.sealed_frames.map_or(String::new(), |sealed| format!(" of {sealed}"));
        writeln!(text, "  frames       {}{sealed} intact", self.intact_frames)?;
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
