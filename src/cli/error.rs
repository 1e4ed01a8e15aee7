//! What the user is told when a command fails: the library's error, advice on top, and an exit code.

use std::{
    fmt::{self, Display},
    io,
    process::ExitCode,
};

use crate::Error;

/// Exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  anything that has no code of its own
  2  usage: arguments that do not go together, an OUTPUT that exists, a profile that is not accepted
  3  a key file that is absent, unreadable or wrong, or a camera that is not accepted
  4  content or a model that is not ours, or damaged
  5  a missing file, plugin, device or GPU, no permission, a port that is taken, or no space left";

/// Why a command ends, in the order of its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Anything that has no code of its own.
    Other = 1,
    /// Arguments that do not go together.
    Usage = 2,
    /// A key file that is absent, unreadable or wrong.
    Key = 3,
    /// Content that is not ours, or damaged.
    Content = 4,
    /// A missing file, plugin, device or GPU, or no space left.
    Missing = 5,
}

/// Why a command failed, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    advice: Option<String>,
    full_disk: bool,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), advice: None, full_disk: false }
    }

    /// Arguments that do not go together.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// A failure of reading or writing `what`, be it the system's or one that a reader has handed on.
    pub fn io(what: impl Display, source: io::Error) -> Failure {
        match source.downcast::<Failure>() {
            Ok(failure) => failure.about(what),
            Err(source) => Failure::from(Error::Io { what: what.to_string(), source }),
        }
    }

    /// Says what to do.
    pub fn advise(self, advice: impl Into<String>) -> Failure {
        Failure { advice: Some(advice.into()), ..self }
    }

    /// Says something more, after the advice that is there.
    pub fn note(self, more: impl Into<String>) -> Failure {
        let more = more.into();
        let advice = self.advice.map_or(more.clone(), |advice| format!("{advice}; {more}"));
        Failure { advice: Some(advice), ..self }
    }

    /// Says which file is meant.
    pub fn about(self, what: impl Display) -> Failure {
        Failure { message: format!("{what}: {}", self.message), ..self }
    }

    /// Which kind of failure this is.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether it is of the disk or of the arguments. Any other may come of damage to what is read.
    pub fn stands_alone(&self) -> bool {
        !matches!(self.exit, Exit::Other | Exit::Content)
    }

    /// Whether there is no space left: what else is to be written fails too.
    pub fn is_full_disk(&self) -> bool {
        self.full_disk
    }

    /// The code to exit with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// Tells the user on stderr.
    pub fn report(&self) {
        tell!("{}", self.text());
    }

    /// What [`Failure::report`] says.
    pub fn text(&self) -> String {
        match &self.advice {
            Some(advice) => format!("chaosveil: {}\n  {advice}", self.message),
            None => format!("chaosveil: {}", self.message),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Readers hand it on in an [`io::Error`].
impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (exit, advice) = judge(&error);
        let full_disk = matches!(&error, Error::Io { source, .. } if is_full_disk(source.kind()));
        Failure { exit, message: error.to_string(), advice: advice.map(str::to_owned), full_disk }
    }
}

/// The one place that gives the library's errors their codes and advice.
fn judge(error: &Error) -> (Exit, Option<&'static str>) {
    match error {
        Error::KeyFile { .. } => (Exit::Key, Some("check its name and who may read it; `chaosveil keygen` makes keys")),
        Error::WrongKey => (
            Exit::Key,
            Some(
                "give the key of a recipient (`chaosveil inspect FILE` tells their kinds); if it is right, the header is damaged",
            ),
        ),
        Error::TooManyPassphrases => (Exit::Key, None),
        Error::TooManyFarEpochs => (Exit::Content, None),
        Error::NoKey(_) | Error::Recipient(_) | Error::KeyLength(_) | Error::KeyOnCommandLine => (Exit::Usage, None),
        Error::Camera(_) => (Exit::Key, Some("`chaosveil inspect` with a key tells which camera signed a stream")),
        Error::ProfileNotAccepted(_) => {
            (Exit::Usage, Some("profile `chaos` is research without confidentiality; --insecure-research accepts it"))
        }
        Error::NotCarriable { .. } => (Exit::Usage, Some("name an OUTPUT that ends in .cveil")),
        Error::NotOurs | Error::Refused(_) | Error::Forged(_) | Error::OtherStream | Error::NoHeaderYet => {
            (Exit::Content, None)
        }
        Error::TooLarge { .. } | Error::Geometry(_) | Error::UnknownFormat(_) => (Exit::Content, None),
        Error::Model(_) => (
            Exit::Content,
            Some(
                "`chaosveil train classifier` makes models; each version reads its own, and ONNX classifiers with --labels",
            ),
        ),
        Error::BackendUnavailable { .. } => (Exit::Missing, Some("`chaosveil doctor` tells what this machine offers")),
        Error::Metrics { .. } => (Exit::Missing, Some("name a free port of this machine: --metrics 127.0.0.1:9464")),
        Error::Io { source, .. } => judge_io(source.kind()),
        Error::Command(_) => {
            (Exit::Other, Some("run the command by itself, with real names in place of {in}, {out} and {key}"))
        }
        Error::KeyExhausted(_) | Error::LooksPlain { .. } | Error::Forked | Error::Random => (Exit::Other, None),
    }
}

fn is_full_disk(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn judge_io(kind: io::ErrorKind) -> (Exit, Option<&'static str>) {
    match kind {
        io::ErrorKind::NotFound => (Exit::Missing, Some("check the name")),
        io::ErrorKind::PermissionDenied => (Exit::Missing, Some("check who may read and write there")),
        kind if is_full_disk(kind) => (Exit::Missing, Some("make space, or name an OUTPUT on another disk")),
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::ReadOnlyFilesystem => {
            (Exit::Missing, None)
        }
        _ => (Exit::Other, None),
    }
}
