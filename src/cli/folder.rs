//! Does the same to every file of a folder. One that fails is named and does not stop the others.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::error::{Exit, Failure};

/// Every file of a folder and of the folders in it, by names relative to it. Names that start with a dot are left out.
///
/// # Errors
/// If a folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    collect(folder, Path::new(""), &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let folder = root.join(below);
    let unreadable = |error| Failure::io(folder.display(), error);
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let name = below.join(entry.file_name());
        // A link to a folder counts as a file, one that cannot be read: following it might never end.
        match entry.file_type().map_err(unreadable)?.is_dir() {
            true => collect(root, &name, files)?,
            false => files.push(name),
        }
    }
    Ok(())
}

/// Does `work` to each of `files`, names relative to some folder.
///
/// # Errors
/// If any failed: how many, with the code of the worst. At once if there is no space left, which the others would not
/// find either.
pub fn for_each(files: &[PathBuf], mut work: impl FnMut(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let progress = progress_bar(files.len());
    let (mut failed, mut left) = (0, 0);
    let mut worst: Option<Exit> = None;
    for (number, file) in files.iter().enumerate() {
        if let Err(failure) = work(file) {
            progress.suspend(|| failure.report());
            failed += 1;
            worst = worst.max(Some(failure.exit()));
            if failure.is_full_disk() {
                left = files.len() - number - 1;
                break;
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let Some(exit) = worst else { return Ok(()) };
    let failure = Failure::new(exit, format!("{failed} of {} files failed", files.len()));
    match left {
        0 => Err(failure),
        left => Err(failure.advise(format!("{left} were not tried: there is no space left"))),
    }
}

/// The names given to a folder's results.
#[derive(Debug, Default)]
pub struct Targets(BTreeSet<PathBuf>);

impl Targets {
    /// Claims a name; it is never given twice, not even with `--force`.
    ///
    /// # Errors
    /// If another file of the folder has it.
    pub fn claim(&mut self, target: PathBuf) -> Result<PathBuf, Failure> {
        match self.0.insert(target.clone()) {
            true => Ok(target),
            false => Err(Failure::usage(format!("{} is already made from another file", target.display()))
                .advise("rename one of the two, or encrypt it by itself")),
        }
    }
}

/// Drawn on a terminal only.
fn progress_bar(files: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left").expect("a valid template");
    ProgressBar::new(files as u64).with_style(style)
}
