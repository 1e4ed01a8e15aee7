//! `verify`: whether recordings are whole. Nothing is written, and no frame leaves the process.

use std::path::{Path, PathBuf};

use clap::ArgGroup;
use gst::prelude::*;
use serde::Serialize;

use super::{
    branch,
    cipher_video::{PictureRun, damage, tally_of_pictures, warn_of_unseen_ends},
    elements,
    endpoint::{self, Form},
    error::Failure,
    file_report::{Counts, Report, VideoReport},
    folder,
    graph::Graph,
    inspect,
    key_files::IdentityArguments,
    matroska, output,
    packets::Extent,
    sealing::{BackendArgument, Opening, warn_of_trouble},
    streams::Damage,
    troubles::Trouble,
    video_progress::VideoProgress,
    video_source::{self, Split, Tracks, VideoSource},
};
use crate::gst::chaosdec::ChaosDec;

/// Check sealed files, cipher pictures and cipher videos whole, and write nothing
///
/// Every frame is opened and authenticated, as `decrypt` does it. Told of each file: frames that are intact, lost,
/// rejected, replayed and out of order, and where; whether the end is there.
///
/// A folder stands for every file in it. A file that is not whole does not stop the others. The exit code is that of
/// `decrypt`: 3 where no key opens a file, 4 where one is damaged or not ours.
///
/// What `whole` does not say: a cipher video has no end record. That its last pictures are there only its container
/// tells, and that is not authenticated. One that begins in the middle of its stream, as a recording of a camera that ran
/// before, is warned of.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("keys").required(true).multiple(true).args(IdentityArguments::IDS))]
pub struct Verify {
    #[command(flatten)]
    identities: IdentityArguments,
    /// Accept profile `chaos`
    #[arg(long)]
    insecure_research: bool,
    #[command(flatten)]
    backend: BackendArgument,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Files and folders
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What became of a file.
#[derive(Serialize)]
struct Checked {
    file: String,
    whole: bool,
    /// What is wrong, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
    /// What is in it; absent where nothing could be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Report>,
}

impl Verify {
    /// Prints what became of every file. One that is not whole is a failure after it.
    pub fn run(self) -> Result<(), Failure> {
        let opening = Opening::new(&self.identities, self.backend.engine()?, self.insecure_research)?;
        let files = self.all_files()?;
        let mut checked = Vec::new();
        let done = match &files[..] {
            [file] => self.check(&opening, file, &VideoProgress::new(), &mut checked),
            files => folder::for_each(files, |file| self.check(&opening, file, &VideoProgress::hidden(), &mut checked)),
        };
        warn_of_trouble(&*opening.engine.backend);
        let text = match self.json {
            true => serde_json::to_string_pretty(&checked).map(|json| json + "\n").unwrap_or_default(),
            false => checked.iter().map(Checked::text).collect(),
        };
        output::print(&text)?;
        done
    }

    /// Every file that is named, and those of the folders. What cannot be read fails when its turn comes.
    fn all_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for file in &self.files {
            match file.is_dir() {
                true => files.extend(folder::files(file)?.iter().map(|name| file.join(name))),
                false => files.push(file.clone()),
            }
        }
        match files.is_empty() {
            true => Err(Failure::usage("there is no file to verify")),
            false => Ok(files),
        }
    }

    fn check(
        &self,
        opening: &Opening,
        file: &Path,
        progress: &VideoProgress,
        checked: &mut Vec<Checked>,
    ) -> Result<(), Failure> {
        let name = file.display().to_string();
        let (content, done) = match self.open(opening, file, &name, progress) {
            Ok((report, damage)) => (Some(report), damage.map_or(Ok(()), |damage| Err(damage.failure(&name)))),
            Err(failure) => (None, Err(failure)),
        };
        let wrong = done.as_ref().err().map(Failure::to_string);
        checked.push(Checked { file: name, whole: done.is_ok(), wrong, content });
        done
    }

    fn open(
        &self,
        opening: &Opening,
        file: &Path,
        name: &str,
        progress: &VideoProgress,
    ) -> Result<(Report, Option<Damage>), Failure> {
        // A pipe in a folder would be waited for in vain; one that is named brings its bytes.
        if !self.files.iter().any(|named| named == file) {
            endpoint::open_file(file)?;
        }
        // Only a regular file can be looked at twice; a pipe is no video.
        let is_video = file.is_file() && Form::of_content(&endpoint::peek(name, endpoint::open(file)?)?.0) == Form::Mkv;
        match is_video {
            true => self.open_video(opening, file, name, progress).map_err(|failure| failure.about(name)),
            false => inspect::inspect(file, Some(opening), progress),
        }
    }

    /// The way of `decrypt`, with nothing behind the decrypter.
    fn open_video(
        &self,
        opening: &Opening,
        file: &Path,
        name: &str,
        progress: &VideoProgress,
    ) -> Result<(Report, Option<Damage>), Failure> {
        let graph = Graph::new()?;
        let decrypter = graph.add("chaosdec")?;
        opening.apply(&decrypter, &self.backend)?;
        elements::own::<ChaosDec>(&decrypter)?.say_all();
        let tracks = Tracks::of_source(&graph, VideoSource::File(file.to_owned()), Split::Decode)?;
        let source = decrypter.static_pad("src").expect("chaosdec has a source pad");
        let mut run = PictureRun::new(&graph, &decrypter);
        let done = run.until_end(&tracks, progress, |_| video_source::leave_out(&graph, &source), || false);
        let (opened, mut troubles) = (run.has_opened(), std::mem::take(&mut run.troubles));
        graph.stop();
        let (tally, end) = (tally_of_pictures(&decrypter), matroska::Extent::File(file.to_owned()).end(done.is_ok())?);
        let damage = damage(&tally, end, opened);
        match done {
            Err(failure) if damage.is_none() || failure.stands_alone() => return Err(failure),
            Err(failure) => troubles.note(Trouble { what: failure.to_string(), ..Trouble::default() }),
            Ok(()) => {}
        }
        warn_of_unseen_ends(name, &decrypter, end);
        let bytes = file.metadata().map_err(|error| Failure::io(name, error))?.len();
        let mut report = Report::new(name, "cipher video", &Extent::of_bytes(bytes), true, Vec::new());
        let profile = branch::profile_of(&decrypter);
        report.video = Some(VideoReport { profile, counts: Counts::of(&tally, troubles) });
        Ok((report, damage))
    }
}

impl Checked {
    fn text(&self) -> String {
        let verdict = if self.whole { "whole" } else { "not whole" };
        let Some(report) = &self.content else { return format!("{}\n", self.wrong.as_deref().unwrap_or(verdict)) };
        let mut text = format!("{}: {verdict}, {}, {} bytes\n", self.file, report.form, report.bytes);
        for stream in &report.streams {
            let Some(opened) = &stream.opened else { continue };
            let track = format!("track {} of {}", opened.track, opened.tracks);
            text += &line(&track, &format!("{}, {}", stream.profile, stream.aead), &opened.counts);
        }
        if let Some(video) = &report.video {
            text += &line("video", &video.profile, &video.counts);
        }
        if let Some(index) = &report.index {
            text += &format!("  index: {}\n", index.text());
        }
        for (first, last) in &report.damaged_bytes {
            text += &format!("    damaged: bytes {first} to {last}\n");
        }
        text
    }
}

/// What was counted of a stream, and a line for each of its troubles.
fn line(what: &str, profile: &str, counts: &Counts) -> String {
    let Counts { intact_frames, sealed_frames, lost, rejected, replayed, reordered, troubles } = counts;
    let sealed = sealed_frames.map_or(String::new(), |sealed| format!(" of {sealed}"));
    let mut text = format!(
        "  {what} ({profile}): {intact_frames}{sealed} frames authenticated, {lost} lost, {rejected} rejected, \
         {replayed} replayed, {reordered} out of order\n"
    );
    for trouble in troubles.lines() {
        text += &format!("    {trouble}\n");
    }
    text
}
