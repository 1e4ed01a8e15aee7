//! What INPUT and OUTPUT name: a stream, an address, a folder, a file; and what OUTPUT is to become.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Chain, Cursor, Read},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use gst::glib;

use super::{
    error::{Exit, Failure},
    output,
};

/// What a cipher is carried in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Packets: anything, bit for bit
    Cveil,
    /// A cipher video in a Matroska file
    Mkv,
    /// A cipher picture
    Png,
}

impl Form {
    /// The form that a file's extension stands for.
    pub fn of_path(path: &Path) -> Option<Form> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "cveil" => Some(Form::Cveil),
            "mkv" => Some(Form::Mkv),
            "png" => Some(Form::Png),
            _ => None,
        }
    }

    /// The form that content begins like; packets where nothing else is recognised, for they may begin damaged.
    pub fn of_content(start: &[u8]) -> Form {
        match start {
            [0x89, b'P', b'N', b'G', ..] => Form::Png,
            [0x1A, 0x45, 0xDF, 0xA3, ..] => Form::Mkv,
            _ => Form::Cveil,
        }
    }
}

/// Major number of video devices (Linux, `Documentation/admin-guide/devices.txt`).
const VIDEO4LINUX: u32 = 81;

/// Where content comes from.
#[derive(Debug)]
pub enum Input {
    /// `-`
    Stdin,
    /// Something with `://` in it.
    Uri(String),
    /// A folder.
    Folder(PathBuf),
    /// A file, or a device that reads like one.
    File(PathBuf),
}

impl Input {
    /// Tells what an argument names.
    ///
    /// # Errors
    /// If nothing of that name is there, or a camera that is not named as one.
    pub fn parse(argument: &OsStr) -> Result<Input, Failure> {
        if argument == "-" {
            return Ok(Input::Stdin);
        }
        if let Some(uri) = argument.to_str().filter(|text| is_uri(text)) {
            return Ok(Input::Uri(uri.to_owned()));
        }
        let path = PathBuf::from(argument);
        let metadata = path.metadata().map_err(|error| Failure::io(path.display(), error))?;
        if metadata.file_type().is_char_device() && libc::major(metadata.rdev()) == VIDEO4LINUX {
            return Err(Failure::usage(format!("{} is a camera, and does not read like a file", path.display()))
                .advise(format!("name it as an address: v4l2://{}", path.display())));
        }
        Ok(if metadata.is_dir() { Input::Folder(path) } else { Input::File(path) })
    }

    /// The file that can be read again, from any place; not a pipe that has a name.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Input::File(path) if path.is_file() => Some(path),
            _ => None,
        }
    }

    /// How to name it to the user.
    pub fn name(&self) -> String {
        match self {
            Input::Stdin => "stdin".into(),
            Input::Uri(uri) => uri.clone(),
            Input::Folder(path) | Input::File(path) => path.display().to_string(),
        }
    }

    /// Refuses an OUTPUT whose writing would destroy INPUT.
    ///
    /// # Errors
    /// As [`refuse_overlap`].
    pub fn refuse_as_output(&self, output: &Path) -> Result<(), Failure> {
        match self {
            Input::Folder(path) | Input::File(path) => refuse_overlap(path, output),
            // A redirected file is a file.
            Input::Stdin => refuse_overlap(Path::new("/dev/stdin"), output),
            Input::Uri(uri) => match glib::filename_from_uri(uri) {
                Ok((path, _)) => refuse_overlap(&path, output),
                Err(_) => Ok(()),
            },
        }
    }
}

/// Refuses an OUTPUT that is INPUT itself, lies in an INPUT folder, or whose partial file is INPUT.
///
/// # Errors
/// What to do instead.
pub fn refuse_overlap(input: &Path, output: &Path) -> Result<(), Failure> {
    let Ok(input) = input.canonicalize() else { return Ok(()) };
    if existing_ancestor(output).is_some_and(|output| output.starts_with(&input)) {
        return Err(Failure::usage("OUTPUT is INPUT, or lies in it").advise("name another OUTPUT"));
    }
    let partial = output::partial_name(output);
    match partial.canonicalize() {
        Ok(partial) if partial == input => {
            Err(Failure::usage(format!("INPUT is {}, under which OUTPUT is written", partial.display()))
                .advise("name another OUTPUT, or move INPUT away"))
        }
        _ => Ok(()),
    }
}

/// Refuses outputs that are one of the files that are read, or one another.
///
/// # Errors
/// What to do instead.
pub fn refuse_clashes(inputs: &[&Path], outputs: &[Option<&Path>]) -> Result<(), Failure> {
    let outputs: Vec<&Path> = outputs.iter().copied().flatten().collect();
    for (number, output) in outputs.iter().enumerate() {
        inputs.iter().filter(|input| input.is_file()).try_for_each(|input| refuse_overlap(input, output))?;
        let name = |path: &Path| Some((existing_ancestor(path.parent()?)?, path.file_name()?.to_owned()));
        if outputs[..number].iter().any(|other| name(other).is_some_and(|other| Some(other) == name(output))) {
            return Err(Failure::usage(format!("two results would be written to {}", output.display()))
                .advise("name another file for one of them"));
        }
    }
    Ok(())
}

/// The real name of a path, or of the folder that it would be made in.
fn existing_ancestor(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|path| match path.as_os_str().is_empty() {
        true => Path::new(".").canonicalize().ok(),
        false => path.canonicalize().ok(),
    })
}

fn is_uri(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// Where content goes.
#[derive(Debug)]
pub enum Output {
    /// `-`
    Stdout,
    /// A file or folder.
    Path(PathBuf),
}

impl Output {
    /// Tells what an argument names.
    pub fn parse(argument: &OsStr) -> Output {
        if argument == "-" { Output::Stdout } else { Output::Path(argument.into()) }
    }
}

/// Reads a picture or another file that is sealed as one frame.
///
/// # Errors
/// If it cannot be read, or is longer than a frame may be.
pub fn read_frame(name: &str, source: impl Read) -> Result<Vec<u8>, Failure> {
    let limit = crate::seal::limits::FRAME_BYTES;
    let mut bytes = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| Failure::io(name, error))?;
    if bytes.len() > limit {
        return Err(Failure::new(
            Exit::Other,
            format!("{name} is longer than {limit} bytes, the most that a frame holds"),
        ));
    }
    Ok(bytes)
}

/// Opens INPUT for reading.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::io(path.display(), error))
}

/// Opens a file of a folder for reading: a pipe in it would be waited for in vain.
///
/// # Errors
/// If it cannot be opened, or is something else.
pub fn open_file(path: &Path) -> Result<File, Failure> {
    match is_special(path) {
        true => Err(Failure::usage(format!("{} is no regular file", path.display()))),
        false => open(path),
    }
}

/// Whether a name leads to what is neither a file nor missing.
pub fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

/// A source together with its first bytes, which tell what it is.
///
/// # Errors
/// If it cannot be read.
pub fn peek<R: Read>(name: &str, mut source: R) -> Result<(Vec<u8>, Peeked<R>), Failure> {
    let mut start = Vec::new();
    source.by_ref().take(PEEK_BYTES).read_to_end(&mut start).map_err(|error| Failure::io(name, error))?;
    Ok((start.clone(), Cursor::new(start).chain(source)))
}

/// A source whose first bytes have been looked at.
pub type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// Enough for the magic of every picture type, and for what stands before the length of a Matroska file.
const PEEK_BYTES: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        for uri in ["v4l2:///dev/video0", "rtsp://camera:554/live", "file:///a.mkv"] {
            assert!(is_uri(uri), "{uri}");
        }
        for name in ["a.png", "://a", "dir/a://b", "1://x", "/dev/video0"] {
            assert!(!is_uri(name), "{name}");
        }
    }
}
