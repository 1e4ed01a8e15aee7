//! `train evaluate`: how well a finished model does on the test pictures, on as many crops as are wanted.

use std::{fs, path::PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Pictures, record};
use crate::{
    cli::{error::Failure, output, sealing::BackendArgument},
    nn::{
        Architecture, Classifier, Label,
        training::{Settings, evaluate},
    },
};

/// Judge a model by photographs that it has not seen
///
/// Makes crops of the test photographs, plain and encrypted in known ways, and tells what the model takes them for. Whether it
/// has not seen them is up to the lists: give the same as for the training.
#[derive(clap::Args)]
pub struct Evaluate {
    #[command(flatten)]
    pictures: Pictures,
    /// Model that `train classifier` has made, in place of the one that comes with the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Of all that is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Crops of each test photograph with each label
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    test_turns: u16,
    /// Threads that the network takes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// JSON to write: everything that is counted
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Overwrite it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    backend: BackendArgument,
}

impl Evaluate {
    /// Judges, and tells.
    ///
    /// # Errors
    /// What goes wrong with model, pictures, lists and files.
    pub fn run(self) -> Result<(), Failure> {
        self.json.iter().try_for_each(|path| output::check_writable(path, self.force))?;
        let threads = self.threads.into();
        let classifier = match &self.model {
            None => Classifier::embedded(threads)?,
            Some(path) => {
                let file = fs::read(path).map_err(|error| Failure::io(path.display(), error))?;
                Classifier::from_bytes(&file, threads).map_err(|error| Failure::from(error).about(path.display()))?
            }
        };
        let sources = self.pictures.read()?;
        let settings =
            Settings { network: Architecture::default(), seed: self.seed, epochs: 0, data_digest: sources.digest() };
        let turns = self.test_turns.into();
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} crops, {eta} left").expect("a valid template");
        let progress = ProgressBar::new((sources.test.len() * turns * Label::ALL.len()) as u64).with_style(style);
        let told = |count| progress.inc(count as u64);
        let evaluation = evaluate(&classifier, &sources.test, &settings, "test", turns, &self.backend.choose()?, told)?;
        progress.finish_and_clear();
        if let Some(path) = &self.json {
            let record = record::evaluation_json(&classifier, &settings, &evaluation);
            output::write_file(path, record.as_bytes(), self.force)?;
        }
        output::print(&record::table(&evaluation))
    }
}
