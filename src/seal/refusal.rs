//! Why something cannot be opened, in a form that is kept to be said again.

use crate::Error;

/// Why a key group or a HEAD cannot be opened.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    WrongKey,
    Profile(&'static str),
    Refused(&'static str),
    TooLarge { what: &'static str, size: u64, limit: u64 },
}

impl Refusal {
    /// The refusal that an error stands for; `None` if it may go differently another time.
    pub fn of(error: &Error) -> Option<Refusal> {
        match error {
            Error::WrongKey => Some(Refusal::WrongKey),
            Error::ProfileNotAccepted(profile) => Some(Refusal::Profile(profile)),
            Error::Refused(reason) => Some(Refusal::Refused(reason)),
            Error::TooLarge { what, size, limit } => Some(Refusal::TooLarge { what, size: *size, limit: *limit }),
            _ => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::WrongKey => Error::WrongKey,
            Refusal::Profile(profile) => Error::ProfileNotAccepted(profile),
            Refusal::Refused(reason) => Error::Refused(reason),
            Refusal::TooLarge { what, size, limit } => Error::TooLarge { what, size, limit },
        }
    }
}
