//! What is told while a network learns.

use indicatif::{ProgressBar, ProgressStyle};

use crate::{cli::error::Failure, nn::training::Training};

/// Learns for an epoch under a bar, and leaves a line; `whose` stands in front of both.
///
/// # Errors
/// Those of [`Training::run_epoch`].
pub fn run_epoch(training: &mut Training, whose: &str) -> Result<(), Failure> {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}, {eta} left: loss {msg}");
    let progress = ProgressBar::new(training.steps() as u64).with_style(style.expect("a valid template"));
    let (number, epochs) = (training.history.len() + 1, training.settings().epochs);
    progress.set_prefix(format!("{whose}epoch {number}/{epochs}"));
    let epoch = training.run_epoch(|loss| {
        progress.set_message(format!("{loss:.3}"));
        progress.inc(1);
    })?;
    progress.finish_and_clear();
    tell!(
        "{whose}epoch {number}: loss {:.4}, validation accuracy {:.4}, macro-F1 {:.4}",
        epoch.loss,
        epoch.validation_accuracy,
        epoch.validation_macro_f1
    );
    Ok(())
}
