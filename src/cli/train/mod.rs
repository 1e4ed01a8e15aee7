//! `train`: makes the weights that `classify` uses, from a folder of photographs.
//!
//! In: photographs, a seed. Out: a model file, beside it `.json` (what it was trained on, and how well it does on pictures
//! that it has not seen) and `.svg` (its learning curve). Read next: `curve`, `record`; what is learned is in `nn`.

mod curve;
mod evaluate;
mod record;
mod splits;

use std::{
    fs,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    bench::report::commit,
    error::Failure,
    output::{self, PartialFile},
    sealing::BackendArgument,
};
use crate::nn::training::{Settings, Training};

/// Train a network
#[derive(clap::Args)]
pub struct Train {
    #[command(subcommand)]
    network: Network,
}

#[derive(clap::Subcommand)]
enum Network {
    Classifier(Classifier),
    Evaluate(evaluate::Evaluate),
}

/// Train the frame classifier
///
/// It learns from crops of the photographs, plain and encrypted in known ways. All crops of a photograph are used for the
/// same: to learn, to watch learning, or to judge the result. The same seed, pictures and number of threads give the same
/// model on the same machine, bit by bit.
#[derive(clap::Args)]
struct Classifier {
    /// Folders of photographs of at least 128 x 128 pixels
    #[arg(long, value_name = "DIR", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Model to make; a JSON and an SVG of the same name stand beside it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Folder of lists of file names that end in train.txt, val.txt and test.txt; photographs on none of them are left out.
    /// Without it their names decide: 70, 15 and 15 of a hundred
    #[arg(long, value_name = "DIR")]
    splits: Option<PathBuf>,
    /// How often every photograph is seen with every label
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: u32,
    /// Of all that is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads that it takes, and no more
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Crops of each test photograph with each label, for the result
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    test_turns: u16,
    /// Go on from the checkpoint that an unfinished training has left beside the model
    #[arg(long)]
    resume: bool,
    /// Overwrite what was made before
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    backend: BackendArgument,
}

impl Train {
    /// Trains.
    ///
    /// # Errors
    /// What goes wrong with pictures, lists and files.
    pub fn run(self) -> Result<(), Failure> {
        match self.network {
            Network::Classifier(command) => command.run(),
            Network::Evaluate(command) => command.run(),
        }
    }
}

impl Classifier {
    fn run(self) -> Result<(), Failure> {
        let beside = |extension| self.out.with_extension(extension);
        let results = [self.out.clone(), beside("json"), beside("svg")];
        results.iter().try_for_each(|path| output::check_free(path, self.force))?;
        let mut training = self.begin(&beside("checkpoint"))?;
        while !training.is_done() {
            self.run_epoch(&mut training)?;
            replace(&beside("checkpoint"), &training.checkpoint()?)?;
        }
        let evaluation = training.test(self.test_turns.into())?;
        let (settings, model) = (training.settings(), training.model(commit()));
        let record = record::json(settings, &training.history, &evaluation, &model);
        let contents = [model, record.into_bytes(), curve::draw(&training.history)?.into_bytes()];
        for (path, content) in results.iter().zip(contents) {
            let file = PartialFile::create(path, self.force)?;
            file.write(&content)?;
            file.finish()?;
        }
        // What is finished is not resumed.
        let _ = fs::remove_file(beside("checkpoint"));
        output::print(&record::table(&evaluation))
    }

    fn begin(&self, checkpoint: &Path) -> Result<Training, Failure> {
        let sources = splits::read(&self.data, self.splits.as_deref())?;
        let settings = Settings { seed: self.seed, epochs: self.epochs as usize, data_digest: sources.digest() };
        let (backend, threads) = (self.backend.choose()?, self.threads.into());
        if !self.resume {
            if checkpoint.exists() && !self.force {
                return Err(Failure::usage(format!("{} is there: a training was not finished", checkpoint.display()))
                    .advise("go on with --resume, or begin anew with --force"));
            }
            return Ok(Training::new(settings, sources, backend, threads)?);
        }
        let state = fs::read(checkpoint).map_err(|error| Failure::io(checkpoint.display(), error))?;
        Training::resume(settings, sources, backend, threads, &state)
            .map_err(|error| Failure::from(error).about(checkpoint.display()))
    }

    fn run_epoch(&self, training: &mut Training) -> Result<(), Failure> {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}, {eta} left: loss {msg}");
        let progress = ProgressBar::new(training.steps() as u64).with_style(style.expect("a valid template"));
        let number = training.history.len() + 1;
        progress.set_prefix(format!("epoch {number}/{}", self.epochs));
        let epoch = training.run_epoch(|loss| {
            progress.set_message(format!("{loss:.3}"));
            progress.inc(1);
        })?;
        progress.finish_and_clear();
        eprintln!(
            "epoch {number}: loss {:.4}, validation accuracy {:.4}, macro-F1 {:.4}",
            epoch.loss, epoch.validation_accuracy, epoch.validation_macro_f1
        );
        Ok(())
    }
}

/// Writes a file that may be there already, so that one or the other is whole at any time.
fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let file = PartialFile::create(path, true)?;
    file.write(content)?;
    file.finish()
}
