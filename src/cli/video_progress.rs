//! How far a video has come, on a terminal only.

use std::{
    io::{self, Read},
    time::Duration,
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::graph::Graph;

/// A bar where the length is known, a clock where it is not.
pub struct VideoProgress(ProgressBar);

impl VideoProgress {
    /// Nothing has been done.
    pub fn new() -> VideoProgress {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("a valid template");
        VideoProgress(ProgressBar::new_spinner().with_style(style))
    }

    /// Shows nothing, where something else shows how far all is.
    pub fn hidden() -> VideoProgress {
        VideoProgress(ProgressBar::hidden())
    }

    /// Tells how far `source` has been read, which is `all` bytes long.
    pub fn reading<'a, R: Read + 'a>(&'a self, source: R, all: Option<u64>) -> impl Read + use<'a, R> {
        Watched { progress: self, source, read: 0, all }
    }

    /// Asks the pipeline.
    pub fn show(&self, graph: &Graph) {
        let bar = &self.0;
        if bar.is_hidden() {
            return;
        }
        if let Some((position, duration)) = graph.progress() {
            bar.set_message(format!("{} of {}", clock(position), clock(duration)));
        }
        bar.tick();
    }

    /// Tells how many bytes of INPUT have been read, and of how many, where that is known.
    pub fn show_bytes(&self, read: u64, all: Option<u64>) {
        let bar = &self.0;
        if bar.is_hidden() {
            return;
        }
        bar.set_message(match all {
            Some(all) => format!("{} of {}", HumanBytes(read), HumanBytes(all)),
            None => HumanBytes(read).to_string(),
        });
        bar.tick();
    }
}

impl Drop for VideoProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A source, and how far it has been read.
struct Watched<'a, R> {
    progress: &'a VideoProgress,
    source: R,
    read: u64,
    all: Option<u64>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(buffer)?;
        self.read += len as u64;
        self.progress.show_bytes(self.read, self.all);
        Ok(len)
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_minutes_seconds() {
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 61)), "3:01:01");
    }
}
