//! The file from which an unfinished training goes on.

use std::{fs, path::Path, sync::Arc};

use crate::{
    backend::Backend,
    cli::{error::Failure, output},
    nn::training::{Settings, Sources, Training},
};

/// Writes it anew, so that the old or the new one is whole at any time.
///
/// # Errors
/// If it cannot be written.
pub fn write(training: &Training, path: &Path) -> Result<(), Failure> {
    output::write_file(path, &training.checkpoint()?, true)
}

/// The training that goes on from it.
///
/// # Errors
/// If it cannot be read, or is of another training.
pub fn resume(
    settings: Settings,
    sources: Arc<Sources>,
    backend: Arc<dyn Backend>,
    threads: usize,
    path: &Path,
) -> Result<Training, Failure> {
    let state = fs::read(path).map_err(|error| Failure::io(path.display(), error))?;
    Training::resume(settings, sources, backend, threads, &state)
        .map_err(|error| Failure::from(error).about(path.display()))
}
