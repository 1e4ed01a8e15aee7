//! `index`: writes the index of a packet file that has none, or a damaged one.

use std::path::{Path, PathBuf};

use clap::ArgGroup;

use super::{
    error::{Exit, Failure},
    index_file::{self, Indexes},
    key_files::IdentityArguments,
    output,
    packet_file::PacketFile,
    sealing::{BackendArgument, Opening},
    video_progress::VideoProgress,
};
use crate::seal::{INDEX_MAGIC, IndexDraft, limits};

/// Give a sealed video the index that lets `decrypt --from` and players read only what they need
///
/// `encrypt` writes one at the end of every .cveil video. This is for those that have none (GStreamer's filesink wrote
/// them, or their writing was interrupted) and where it is damaged: every header and record in FILE is read, and the
/// index is written at its end; nothing else in it is changed. An index that is in order stays as it is, and a file that
/// is still being written is left alone. Where a track has more than 4,096 descriptions (each new key has one) there is
/// no index; `decrypt --from` looks through all of the file then.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("keys").required(true).multiple(true).args(IdentityArguments::IDS))]
pub struct Index {
    #[command(flatten)]
    identities: IdentityArguments,
    /// Accept profile `chaos`
    #[arg(long)]
    insecure_research: bool,
    #[command(flatten)]
    backend: BackendArgument,
    /// Sealed videos
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Index {
    /// Writes the indexes of all files, and tells of each what was done.
    pub fn run(self) -> Result<(), Failure> {
        let opening = Opening::new(&self.identities, self.backend.engine()?, self.insecure_research)?;
        self.files.iter().try_for_each(|path| {
            let told = index(path, &opening)?;
            output::print(&format!("{}: {told}\n", path.display()))
        })
    }
}

fn index(path: &Path, opening: &Opening) -> Result<String, Failure> {
    let mut file = PacketFile::open(path, opening)?;
    let mut indexes = Indexes::read(&mut file)?;
    indexes.check(&mut file)?;
    if !indexes.are_absent() && indexes.wrong.is_none() {
        return Ok(format!("its index of {} points is in order", indexes.points()));
    }
    let (drafts, end) = file.draft_indexes(indexes.start, &VideoProgress::new())?;
    if drafts.is_empty() {
        return Err(file.refusal());
    }
    // What begins like an index behind the last packet is a damaged one.
    let at = if file.bytes(end, INDEX_MAGIC.len())? == INDEX_MAGIC { end } else { indexes.start };
    if file.goes_on_after(at)? {
        let what = format!(
            "{}: packets that these keys do not open, or another recording, stand behind byte {at}",
            path.display()
        );
        return Err(Failure::new(Exit::Content, what).advise("an index stands at the end: divide the file there first"));
    }
    if drafts.values().any(IndexDraft::is_too_long) {
        let what = format!(
            "{}: a track has more descriptions than an index holds ({})",
            path.display(),
            limits::INDEX_DESCRIPTIONS
        );
        return Err(Failure::new(Exit::Content, what).advise("it is read without: `--from` looks through all of it"));
    }
    let bytes = index_file::replace(path, file.len(), at, drafts.values())?;
    let points: usize = drafts.values().filter_map(|draft| draft.finish()).map(|index| index.points.len()).sum();
    Ok(format!("an index of {points} points in {bytes} bytes has been written at byte {at}"))
}
