//! `train`: makes the weights that `classify` uses, and compares the network with its peers, from a folder of photographs.
//!
//! Read next: `classifier`, `compare` and `evaluate` (the commands), `splits` (the photographs), `curve` and `record` (what is
//! told of a training); what is learned is in `nn`.

mod checkpoint;
mod classifier;
mod compare;
mod curve;
mod evaluate;
mod progress;
mod record;
mod splits;

use std::path::PathBuf;

use self::{classifier::Classifier, compare::Compare, evaluate::Evaluate};
use super::error::Failure;
use crate::nn::training::Sources;

/// Train a network
#[derive(clap::Args)]
pub struct Train {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Classifier(Classifier),
    Compare(Compare),
    Evaluate(Evaluate),
}

/// Of what is learned
#[derive(clap::Args)]
struct Pictures {
    /// Folders of photographs of at least 128 x 128 pixels
    #[arg(long, value_name = "DIR", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Folder of lists of file names that end in train.txt, val.txt and test.txt; photographs on none of them are left out.
    /// Without it their names decide: 70, 15 and 15 of a hundred
    #[arg(long, value_name = "DIR")]
    splits: Option<PathBuf>,
}

impl Pictures {
    fn read(&self) -> Result<Sources, Failure> {
        splits::read(&self.data, self.splits.as_deref())
    }
}

impl Train {
    /// Trains.
    ///
    /// # Errors
    /// What goes wrong with pictures, lists and files.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Classifier(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Evaluate(command) => command.run(),
        }
    }
}
