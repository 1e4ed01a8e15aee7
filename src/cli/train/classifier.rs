//! `train classifier`: the weights that `classify` uses.
//!
//! Out: a model file, beside it `.json` (what it was trained on, and how well it does on pictures that it has not seen) and
//! `.svg` (its learning curve).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Pictures, checkpoint, curve, progress, record};
use crate::{
    cli::{bench::report::commit, error::Failure, output, sealing::BackendArgument},
    nn::{
        Architecture,
        training::{Settings, Training},
    },
};

/// Train the frame classifier
///
/// It learns from crops of the photographs, plain and encrypted in known ways. All crops of a photograph are used for the
/// same: to learn, to watch learning, or to judge the result. The same seed, pictures and number of threads give the same
/// model on the same machine, bit by bit.
#[derive(clap::Args)]
pub struct Classifier {
    #[command(flatten)]
    pictures: Pictures,
    /// Model to make; a JSON and an SVG of the same name stand beside it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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

impl Classifier {
    /// Trains.
    ///
    /// # Errors
    /// What goes wrong with pictures, lists and files.
    pub fn run(self) -> Result<(), Failure> {
        let beside = |extension| self.out.with_extension(extension);
        let results = [self.out.clone(), beside("json"), beside("svg")];
        if results[1..].iter().chain([&beside("checkpoint")]).any(|path| *path == self.out) {
            return Err(Failure::usage(format!("{} is what a file beside the model is called", self.out.display()))
                .advise("name the model otherwise: NAME.onnx"));
        }
        results.iter().try_for_each(|path| output::check_writable(path, self.force))?;
        let mut training = self.begin(&beside("checkpoint"))?;
        while !training.is_done() {
            progress::run_epoch(&mut training, "")?;
            checkpoint::write(&training, &beside("checkpoint"))?;
        }
        let evaluation = training.test(self.test_turns.into())?;
        let (settings, model) = (training.settings(), training.model(commit()));
        let record = record::json(settings, &training.history, &evaluation, &model);
        let contents = [model, record.into_bytes(), curve::draw(&training.history)?.into_bytes()];
        for (path, content) in results.iter().zip(contents) {
            output::write_file(path, &content, self.force)?;
        }
        // What is finished is not resumed.
        let _ = fs::remove_file(beside("checkpoint"));
        output::print(&record::table(&evaluation))
    }

    fn begin(&self, checkpoint: &Path) -> Result<Training, Failure> {
        let sources = Arc::new(self.pictures.read()?);
        let settings = Settings {
            network: Architecture::default(),
            seed: self.seed,
            epochs: self.epochs as usize,
            data_digest: sources.digest(),
        };
        let (backend, threads) = (self.backend.choose()?, self.threads.into());
        if !self.resume {
            if checkpoint.exists() && !self.force {
                return Err(Failure::usage(format!("{} is there: a training was not finished", checkpoint.display()))
                    .advise("go on with --resume, or begin anew with --force"));
            }
            return Ok(Training::new(settings, sources, backend, threads)?);
        }
        checkpoint::resume(settings, sources, backend, threads, checkpoint)
    }
}
