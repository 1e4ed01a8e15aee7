//! The model that frames are shown to: the network of this program, one that `chaosveil train classifier` has made, or a
//! classifier of the user's in ONNX.

use std::{fs::File, io::Read, path::Path};

use super::{Classifier, Label, network};
use crate::{Error, Result, analysis::picture::Picture, seal::limits::LABEL_BYTES};

/// Bytes of a model file. Networks that keep up with video are far smaller.
const MOST_FILE: u64 = 128 << 20;
/// Bytes of a file of labels.
const MOST_LABELS: u64 = 1 << 20;

/// What a model looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The first channel of all of a picture, of at least so many samples a side.
    FirstChannel {
        /// Of the width and of the height.
        side: usize,
    },
    /// The middle of a picture, never resized.
    Centre {
        /// Pixels of a row.
        width: usize,
        /// Rows.
        height: usize,
        /// 1 for gray, 3 for RGB.
        channels: usize,
    },
}

/// What a picture is taken for.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<'a> {
    /// The label of the highest probability.
    pub label: &'a str,
    /// What the model gives for it, 0 to 1; no calibrated chance of being right.
    pub confidence: f32,
}

/// Who computes. It is given pictures of 1 or 3 channels and at least the size of its view.
pub(super) trait Engine: Send {
    /// How many labels it tells apart.
    fn outputs(&self) -> usize;
    /// What it looks at.
    fn view(&self) -> View;
    /// What it gives for each label: numbers between 0 and 1 that sum up to 1.
    fn probabilities(&mut self, picture: &Picture) -> Result<Vec<f32>>;
    /// From now on a GPU computes.
    fn use_cuda(&mut self) -> Result<()> {
        Err(Error::Model("only networks of this program run on CUDA".into()))
    }
    /// Why the GPU does not, which was to.
    fn trouble(&self) -> Option<&str> {
        None
    }
}

/// A classifier, whoever has made it.
pub struct Model {
    engine: Box<dyn Engine>,
    labels: Vec<String>,
    digest: String,
}

impl Model {
    /// The model of a file, or without one the network that comes with the program. `threads` is for networks of ours;
    /// others take one. `labels` is a text file with one label a line, in the order of the outputs: an ONNX model needs it,
    /// in ours they stand in the file.
    ///
    /// # Errors
    /// [`Error::Model`] with what is wrong with the model or its labels, [`Error::Io`] if a file cannot be read.
    pub fn open(file: Option<&Path>, labels: Option<&Path>, threads: usize) -> Result<Model> {
        let Some(path) = file else {
            return Model::ours(network::EMBEDDED, labels, threads);
        };
        let bytes = read(path, MOST_FILE)?;
        let about = |error| match error {
            Error::Model(reason) => Error::Model(format!("{}: {reason}", path.display())),
            error => error,
        };
        match Classifier::is_model(&bytes) {
            true => Model::ours(&bytes, labels, threads),
            false => Model::theirs(&bytes, labels),
        }
        .map_err(about)
    }

    fn ours(file: &[u8], labels: Option<&Path>, threads: usize) -> Result<Model> {
        if labels.is_some() {
            return Err(Error::Model("its labels are those of this program; leave out those of a file".into()));
        }
        let engine = Box::new(Classifier::from_bytes(file, threads)?);
        let labels = Label::ALL.map(|label| label.name().to_owned()).to_vec();
        Ok(Model { engine, labels, digest: blake3::hash(file).to_hex().to_string() })
    }

    #[cfg(feature = "onnx")]
    fn theirs(file: &[u8], labels: Option<&Path>) -> Result<Model> {
        let engine = Box::new(super::onnx::Onnx::load(file)?);
        let path = labels.ok_or_else(|| {
            Error::Model(format!("it tells {} labels apart; name a file with one label a line", engine.outputs()))
        })?;
        let labels = read_labels(path, engine.outputs())?;
        Ok(Model { engine, labels, digest: blake3::hash(file).to_hex().to_string() })
    }

    #[cfg(not(feature = "onnx"))]
    fn theirs(_: &[u8], _: Option<&Path>) -> Result<Model> {
        Err(Error::Model(
            "it is no model of this program, and others take the feature `onnx`, which this has not".into(),
        ))
    }

    /// What it tells apart, in the order of its outputs.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// BLAKE3 of the model file, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What it looks at.
    pub fn view(&self) -> View {
        self.engine.view()
    }

    /// Has a GPU compute, see [`Classifier::use_cuda`].
    ///
    /// # Errors
    /// [`Error::Model`] with the reason if it cannot: the processor does.
    pub fn use_cuda(&mut self) -> Result<()> {
        self.engine.use_cuda()
    }

    /// Why the processor took over from a GPU.
    pub fn trouble(&self) -> Option<&str> {
        self.engine.trouble()
    }

    /// Classifies a picture.
    ///
    /// # Errors
    /// [`Error::Geometry`] if it is smaller than what the model looks at, [`Error::Model`] if the model fails.
    pub fn classify(&mut self, picture: &Picture) -> Result<Told<'_>> {
        self.view().check(picture.width, picture.height)?;
        let probabilities = self.engine.probabilities(picture)?;
        if !probabilities.iter().all(|probability| probability.is_finite()) {
            return Err(Error::Model("it gives numbers that are none".into()));
        }
        let best = probabilities.iter().zip(&self.labels).max_by(|(a, _), (b, _)| a.total_cmp(b));
        let (&confidence, label) = best.ok_or_else(|| Error::Model("it gives no output".into()))?;
        Ok(Told { label, confidence })
    }
}

impl View {
    /// Whether a picture is large enough.
    ///
    /// # Errors
    /// [`Error::Geometry`] if it is not: pictures are never resized.
    pub fn check(self, width: usize, height: usize) -> Result<()> {
        let (least_width, least_height) = match self {
            View::FirstChannel { side } => (side, side),
            View::Centre { width, height, .. } => (width, height),
        };
        match width >= least_width && height >= least_height {
            true => Ok(()),
            false => Err(Error::Geometry(format!(
                "{width} x {height} is too small to be classified; it takes {least_width} x {least_height}"
            ))),
        }
    }
}

impl Engine for Classifier {
    fn outputs(&self) -> usize {
        Label::ALL.len()
    }

    fn view(&self) -> View {
        View::FirstChannel { side: super::preprocessing::CROP }
    }

    fn probabilities(&mut self, picture: &Picture) -> Result<Vec<f32>> {
        Ok(Classifier::classify(self, picture)?.probabilities.to_vec())
    }

    fn use_cuda(&mut self) -> Result<()> {
        Classifier::use_cuda(self)
    }

    fn trouble(&self) -> Option<&str> {
        Classifier::trouble(self)
    }
}

/// Reads a file that is not longer than it may be.
fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let failed = |source| Error::Io { what: path.display().to_string(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    match bytes.len() as u64 > most {
        true => Err(Error::Model(format!("{}: it is longer than {most} bytes", path.display()))),
        false => Ok(bytes),
    }
}

/// Labels of a file: one a line, as many as the model has outputs.
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "ours have theirs in the file"))]
fn read_labels(path: &Path, outputs: usize) -> Result<Vec<String>> {
    let wrong = |reason: String| Error::Model(format!("labels {}: {reason}", path.display()));
    let text = String::from_utf8(read(path, MOST_LABELS)?).map_err(|_| wrong("no text in UTF-8".into()))?;
    let labels: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    let is_bad = |label: &String| label.is_empty() || label.len() > LABEL_BYTES || label.contains(char::is_control);
    if let Some(number) = labels.iter().position(is_bad) {
        return Err(wrong(format!("line {} is no label of 1 to {LABEL_BYTES} bytes", number + 1)));
    }
    match labels.len() == outputs {
        true => Ok(labels),
        false => Err(wrong(format!("{} labels for a model that tells {outputs} apart", labels.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(bytes: &[u8], labels: Option<&Path>) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("some.model");
        std::fs::write(&path, bytes).expect("written");
        Model::open(Some(&path), labels, 1).err().expect("refused").to_string()
    }

    #[test]
    fn the_built_in_one() {
        let mut model = Model::open(None, None, 1).expect("it comes with the program");
        assert_eq!(model.labels(), ["plain", "permuted", "low-planes", "high-planes", "ecb-like", "encrypted"]);
        assert_eq!(model.digest().len(), 64);
        let flat = Picture { width: 200, height: 130, channels: 1, bytes: vec![90; 200 * 130] };
        assert_eq!(model.classify(&flat).expect("large enough").label, "plain");
        let small = Picture { width: 200, height: 127, channels: 1, bytes: vec![90; 200 * 127] };
        assert!(matches!(model.classify(&small), Err(Error::Geometry(_))));
        assert!(Model::open(None, Some(Path::new("labels.txt")), 1).is_err(), "it has labels of its own");
    }

    #[test]
    fn fail_files_that_are_no_model_or_damaged() {
        assert!(failure(b"", None).contains("no model"));
        assert!(failure(b"no model at all", None).contains("some.model"));
        let missing = Model::open(Some(Path::new("/nowhere/some.model")), None, 1).err().expect("refused");
        assert!(matches!(missing, Error::Io { .. }));
        // One bit of each part: first line, description, first and last number.
        let file = network::EMBEDDED;
        let description = 30;
        let numbers = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).expect("two lines").0 + 1;
        for at in (description..numbers - 1).step_by(7).chain([3, numbers, file.len() - 1]) {
            let mut damaged = file.to_vec();
            damaged[at] ^= 1;
            assert!(failure(&damaged, None).contains("model"), "{at}");
        }
        assert!(failure(&file[..file.len() - 1], None).contains("digest"));
    }

    #[test]
    fn labels_one_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("labels.txt");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).expect("written");
            read_labels(&path, 2)
        };
        assert_eq!(read(b" cat \r\nred dog\n\n").expect("two"), ["cat", "red dog"]);
        for (text, message) in [
            (&b"cat\n"[..], "1 labels for a model that tells 2 apart"),
            (b"a\nb\nc", "3 labels"),
            (b"", "0 labels"),
            (b"a\n\nb\n", "line 2"),
            (b"a\nb\0c\n", "line 2"),
            (b"a\n\xff\n", "UTF-8"),
        ] {
            let error = read(text).expect_err("refused").to_string();
            assert!(error.contains(message), "{error}");
        }
        let long = [&[b'x'; 256][..], b"\nb"].concat();
        assert!(read(&long).is_err());
    }
}
