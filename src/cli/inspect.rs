//! `inspect`: what is in a file.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    cipher_picture,
    claims::{Claim, Claims},
    endpoint::{self, Form},
    error::Failure,
    file_report::{IndexReport, OpenedReport, PictureReport, Report, StreamReport},
    index_file::Indexes,
    key_files::IdentityArguments,
    labels::Labels,
    output,
    packet_file::PacketFile,
    packets::{Extent, read_packets},
    sealing::{BackendArgument, Opening, warn_of_trouble},
    streams::{Damage, FrameSink, Open, Stream, StreamHandler, Streams},
    video_progress::VideoProgress,
};
use crate::{
    Error,
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
            false => Some(Opening::new(&self.identities, self.backend.engine()?, true)?),
        };
        let inspected = inspect(&self.file, opening.as_ref(), &VideoProgress::new());
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
            Some(damage) => Err(damage.failure(self.file.display())),
        }
    }
}

/// What is in a file, and what is wrong with it as far as a key shows that.
///
/// # Errors
/// If no key opens it, it is not ours, or it is a cipher video.
pub fn inspect(
    file: &Path,
    opening: Option<&Opening>,
    progress: &VideoProgress,
) -> Result<(Report, Option<Damage>), Failure> {
    let name = file.display().to_string();
    let bytes = file.metadata().ok().filter(|file| file.is_file()).map(|file| file.len());
    let (start, source) = endpoint::peek(&name, progress.reading(endpoint::open(file)?, bytes))?;
    match (Form::of_content(&start), opening) {
        (Form::Cveil, None) => inspect_claims(&name, source),
        (Form::Cveil, Some(opening)) => {
            let (mut report, damage, extent) = inspect_packets(&name, source, opening)?;
            if file.is_file() {
                report.index = inspect_index(file, opening, &extent)?;
            }
            Ok((report, damage))
        }
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
    let (extent, read) = read_packets(source, 0, &mut claims);
    read.map_err(|error| Failure::io(name, error))?;
    if claims.streams.is_empty() {
        return Err(Failure::from(Error::NotOurs).about(name));
    }
    let streams = claims.streams.into_iter().map(|(id, claim)| StreamReport::new(&id, claim)).collect();
    Ok((Report::new(name, "packets", &extent, false, streams), Damage::of(&extent, [].iter())))
}

/// What a key shows of packets, and nothing that it does not: who has changed a length has not changed these figures.
fn inspect_packets(
    name: &str,
    source: impl Read,
    opening: &Opening,
) -> Result<(Report, Option<Damage>, Extent), Failure> {
    let mut streams = Streams::new(opening, Survey::default());
    let (extent, read) = read_packets(source, 0, &mut streams);
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
    Ok((Report::new(name, "packets", &extent, true, reports), damage, extent))
}

/// Whether the index leads to what it says.
fn inspect_index(file: &Path, opening: &Opening, extent: &Extent) -> Result<Option<IndexReport>, Failure> {
    let mut file = PacketFile::open(file, opening)?;
    let mut indexes = Indexes::read(&mut file)?;
    indexes.check(&mut file)?;
    Ok(IndexReport::of(&indexes, extent))
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
    let extent = Extent::of_bytes(bytes.len() as u64);
    let mut report = Report::new(name, "cipher picture", &extent, opening.is_some(), vec![stream]);
    report.picture = Some(PictureReport::of(&layout));
    Ok(report)
}
