//! How a file gets its name: everything is written to `OUTPUT.partial`, which is renamed when it is whole and on the
//! disk. What stands under OUTPUT is therefore complete, whatever happened.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::error::Failure;

/// Prints a report or a recipient on stdout. A reader that has seen enough and closed the pipe is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("stdout", error)),
        _ => Ok(()),
    }
}

/// Text that somebody else has written, for a line on a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Writes content to stdout: it has to arrive as a whole.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::io("stdout", error))
}

/// Refuses a name that is taken, before any work is done.
pub fn check_free(path: &Path, force: bool) -> Result<(), Failure> {
    let partial = partial_name(path);
    let Ok(metadata) = path.symlink_metadata() else {
        return match partial.symlink_metadata() {
            Ok(_) if !force => Err(taken(&partial, "an unfinished run left it, and it may hold the only copy")),
            _ => Ok(()),
        };
    };
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display())).advise("name a file in it"));
    }
    if !metadata.is_file() {
        return Err(Failure::usage(format!("{} is no regular file", path.display())).advise("write to stdout: -o -"));
    }
    if !force {
        return Err(taken(path, "it is not overwritten"));
    }
    Ok(())
}

/// Refuses a name under which a result could not be written at the end of the work. It is not kept meanwhile, so that work
/// that is broken off leaves nothing.
pub fn check_writable(path: &Path, force: bool) -> Result<(), Failure> {
    PartialFile::create(path, force).map(drop)
}

/// Writes a whole result under its name.
///
/// # Errors
/// If the name is taken and not `force`, or nothing can be written there.
pub fn write_file(path: &Path, content: &[u8], force: bool) -> Result<(), Failure> {
    let file = PartialFile::create(path, force)?;
    file.write(content)?;
    file.finish()
}

fn taken(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{} exists; {why}", path.display()))
        .advise("name another OUTPUT, move the file away, or give --force")
}

/// Where a file stands until it is whole.
pub fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// A file on its way to its name. Dropped before it is whole, it leaves nothing behind.
#[derive(Debug)]
pub struct PartialFile {
    path: PathBuf,
    partial: PathBuf,
    force: bool,
    settled: bool,
}

impl PartialFile {
    /// Makes an empty `path.partial`.
    ///
    /// # Errors
    /// If either name is taken and not `force`, or nothing can be written there.
    pub fn create(path: &Path, force: bool) -> Result<PartialFile, Failure> {
        check_free(path, force)?;
        let partial = partial_name(path);
        if force {
            // A link of that name would lead the writing elsewhere.
            let _ = fs::remove_file(&partial);
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial)
            .map_err(|e| Failure::io(partial.display(), e))?;
        Ok(PartialFile { path: path.to_owned(), partial, force, settled: false })
    }

    /// Where to write.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Writes the whole content.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = OpenOptions::new().write(true).open(&self.partial).and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| self.failed(error))
    }

    /// Gives the file its name. It has been written to its end: where that fails, the partial file stays.
    ///
    /// # Errors
    /// If the disk refuses, or somebody else has taken the name.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.settled = true;
        let named = self.sync().and_then(|()| self.rename());
        named.map_err(|failure| failure.note(format!("everything is in {}", self.partial.display())))
    }

    /// Leaves what has been written under the partial name, and tells that name.
    pub fn keep(mut self) -> PathBuf {
        self.settled = true;
        // The user is told of another failure already, and there is no better place for what is there.
        let _ = self.sync();
        self.partial.clone()
    }

    fn rename(&self) -> Result<(), Failure> {
        if !self.force && self.path.symlink_metadata().is_ok() {
            return Err(taken(&self.path, "it has appeared meanwhile"));
        }
        fs::rename(&self.partial, &self.path).map_err(|error| Failure::io(self.path.display(), error))?;
        sync_folder_of(&self.path);
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        File::open(&self.partial).and_then(|file| file.sync_all()).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Failure {
        Failure::io(self.partial.display(), error)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.settled {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// The new name reaches the disk with its folder. Not every file system can; the file itself is safe by then.
fn sync_folder_of(path: &Path) {
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
}

/// Makes the folder that a file will stand in.
pub fn make_folder_of(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(|error| Failure::io(folder.display(), error))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
