//! `classify`: what pictures are, as the network sees them: plain, encrypted, or something between.

use std::{fs, path::PathBuf};

use serde_json::json;

use super::{
    analyze::inputs,
    error::{Exit, Failure},
    folder, output,
};
use crate::nn::{Classifier, Prediction};

/// Tell what pictures are: plain, encrypted, or encrypted badly
///
/// One line for each picture: the label, what the network gives for it between 0 and 1, and the file. Labels: plain,
/// permuted, low-planes, high-planes, ecb-like, encrypted. `encrypted` means that it looks like uniform noise, which proves
/// nothing; no network tells a good cipher from another. Of cipher pictures of ours only the picture itself counts, not the
/// headers below it.
#[derive(clap::Args)]
pub struct Classify {
    /// Pictures of at least 128 x 128 pixels, or folders of pictures
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Print an object for each picture: {path, frame, label, confidence, probabilities}
    #[arg(long)]
    json: bool,
    /// A model that `train classifier` has made, in place of the one that comes with the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Threads that the network takes, and no more
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Who runs the network; cuda takes a build with the feature nn-cuda, a GPU and the CUDA toolkit
    #[arg(long, value_name = "D", default_value = "cpu", value_parser = ["cpu", "cuda"])]
    device: String,
}

impl Classify {
    /// Classifies one picture after the other; one that cannot be read does not stop the others.
    ///
    /// # Errors
    /// If the model or a picture cannot be used.
    pub fn run(self) -> Result<(), Failure> {
        let mut classifier = self.classifier()?;
        if self.device == "cuda"
            && let Err(error) = classifier.use_cuda()
        {
            eprintln!("chaosveil: warning: {error}; the processor runs the network");
        }
        let paths = inputs::collect(&self.inputs)?;
        if let [path] = &paths[..] {
            return output::print(&self.told(&classifier, path)?);
        }
        let done = folder::for_each(&paths, |path| output::print(&self.told(&classifier, path)?));
        if let Some(trouble) = classifier.trouble() {
            eprintln!("chaosveil: warning: {trouble}; the processor ran the network from then on");
        }
        done
    }

    fn classifier(&self) -> Result<Classifier, Failure> {
        let threads = self.threads.into();
        let Some(path) = &self.model else { return Ok(Classifier::embedded(threads)?) };
        let file = fs::read(path).map_err(|error| Failure::io(path.display(), error))?;
        Classifier::from_bytes(&file, threads).map_err(|error| Failure::from(error).about(path.display()))
    }

    /// The line that tells what a picture is.
    fn told(&self, classifier: &Classifier, path: &std::path::Path) -> Result<String, Failure> {
        let input = inputs::read_shown(path)?;
        let told = classifier
            .classify(&input.picture)
            .map_err(|error| Failure::new(Exit::Content, format!("{}: {error}", input.name)))?;
        Ok(match self.json {
            true => json_line(&input.name, &told),
            false => format!("{:11} {:.4} {}\n", told.label().name(), told.confidence(), input.name),
        })
    }
}

/// A picture is frame 0 of its file.
fn json_line(path: &str, told: &Prediction) -> String {
    let probabilities: serde_json::Map<_, _> = crate::nn::Label::ALL
        .map(|label| (label.name().to_owned(), told.probability(label).into()))
        .into_iter()
        .collect();
    let line = json!({
        "path": path, "frame": 0, "label": told.label().name(), "confidence": told.confidence(),
        "probabilities": probabilities,
    });
    format!("{line}\n")
}
