//! The file or pipe at the end of a pipeline.

use std::path::{Path, PathBuf};

use gst::prelude::*;

use super::{endpoint::Output, error::Failure, graph::Graph, output::PartialFile};

/// Where a pipeline writes.
pub struct VideoFile {
    sink: gst::Element,
    file: Option<PartialFile>,
}

impl VideoFile {
    /// Adds a sink that writes to `OUTPUT.partial`, or to stdout.
    ///
    /// # Errors
    /// If the name is taken, or nothing can be written there.
    pub fn create(graph: &Graph, output: &Output, force: bool) -> Result<VideoFile, Failure> {
        let Output::Path(path) = output else {
            let sink = graph.add("fdsink")?;
            sink.set_property("fd", 1);
            sink.set_property("sync", false);
            return Ok(VideoFile { sink, file: None });
        };
        let file = PartialFile::create(path, force)?;
        let sink = graph.add("filesink")?;
        sink.set_property("location", file.partial());
        // Every packet that is told as written is in the kernel's hands: killing this program does not take it back.
        sink.set_property_from_str("buffer-mode", "unbuffered");
        Ok(VideoFile { sink, file: Some(file) })
    }

    /// The sink.
    pub fn sink(&self) -> &gst::Element {
        &self.sink
    }

    /// The file before it has its name; `None` for stdout.
    pub fn partial(&self) -> Option<&Path> {
        self.file.as_ref().map(PartialFile::partial)
    }

    /// A name for what waits on the disk meanwhile: beside the file, where there is room for it.
    pub fn backlog(&self) -> PathBuf {
        match &self.file {
            Some(file) => file.partial().with_added_extension("waiting"),
            None => std::env::temp_dir().join(format!("chaosveil-{}.waiting", std::process::id())),
        }
    }

    /// Whether a muxer may go back in it.
    pub fn is_seekable(&self) -> bool {
        self.file.is_some()
    }

    /// Gives the file its name if all went well; else keeps what is in it, and says so.
    ///
    /// # Errors
    /// The failure that came in, or one of the disk.
    pub fn settle(self, done: Result<(), Failure>) -> Result<(), Failure> {
        match done {
            Ok(()) => self.finish(),
            Err(failure) => Err(match self.keep() {
                Some(kept) => failure.note(format!("what was written by then is in {}", kept.display())),
                None => failure,
            }),
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn finish(self) -> Result<(), Failure> {
        self.file.map_or(Ok(()), PartialFile::finish)
    }

    /// Leaves what is in the file under its partial name; a file without anything in it goes.
    pub fn keep(self) -> Option<PathBuf> {
        self.file.filter(|file| file.partial().metadata().is_ok_and(|file| file.len() > 0)).map(PartialFile::keep)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_written_stays_whatever_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let graph = Graph::new().expect("GStreamer starts");
        let partial = folder.path().join("x.cveil.partial");
        for (content, kept) in [("", false), ("packets", true)] {
            let output = Output::Path(folder.path().join("x.cveil"));
            let file = VideoFile::create(&graph, &output, true).expect("the name is free");
            fs::write(&partial, content).expect("there");
            let failure = file.settle(Err(Failure::usage("other caps in the middle"))).expect_err("a failure");
            assert_eq!((partial.exists(), failure.text().contains("x.cveil.partial")), (kept, kept));
        }
    }
}
