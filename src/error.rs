//! One error type for the whole library: one variant per cause. No variant ever carries key material.

use std::path::PathBuf;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // -- frames ------------------------------------------------------------------------------------------------
    /// A raw video format that this version does not know.
    #[error("raw video format `{0}` is not known")]
    UnknownFormat(String),
    /// A width, height or plane that does not fit the format.
    #[error("frame geometry: {0}")]
    Geometry(String),
    /// The format cannot be carried as a cipher picture.
    #[error("format {format} cannot be carried as a cipher picture: {reason}")]
    NotCarriable {
        /// Name of the raw format.
        format: String,
        /// What a transport would do to it, and what to use instead.
        reason: &'static str,
    },

    // -- keys --------------------------------------------------------------------------------------------------
    /// A key, recipient, identity or passphrase file that cannot be read or understood.
    #[error("key file {}: {reason}", path.display())]
    KeyFile {
        /// The file as the user named it.
        path: PathBuf,
        /// What is wrong with it, without its content.
        reason: String,
    },
    /// A pre-shared key of another length than 32 bytes.
    #[error("`key` takes 32 bytes, not {0}")]
    KeyLength(usize),
    /// A pre-shared key that others can read in the list of processes.
    #[error("`key` stands on the command line, where others read it: take a new one, in a file that key-file names")]
    KeyOnCommandLine,
    /// A recipient string that is not understood.
    #[error("recipient: {0}")]
    Recipient(String),
    /// Nothing to encrypt to, or nothing to decrypt with.
    #[error("no key given: {0}")]
    NoKey(&'static str),
    /// None of the keys at hand opens the stream.
    #[error("none of the given keys opens this stream")]
    WrongKey,
    /// A camera that cannot be read, or is not the one that the reader was told to accept.
    #[error("camera: {0}")]
    Camera(&'static str),
    /// Passphrases that do not fit are tried so many times a minute and no more, for each takes seconds.
    #[error("too many streams in a minute that this passphrase does not open; the rest is not tried")]
    TooManyPassphrases,

    /// Stream headers of far epochs that do not open are tried so many times a minute and no more, for each takes a second.
    #[error("too many stream headers of far epochs in a minute that do not open; the rest is not tried")]
    TooManyFarEpochs,

    // -- streams -----------------------------------------------------------------------------------------------
    /// The bytes are not a Chaosveil stream.
    #[error("this is not a Chaosveil stream")]
    NotOurs,
    /// A field of the format that this version refuses: unknown version, reserved bits, contradicting lengths.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// A MAC, tag or digest that does not match.
    #[error("authentication failed: {0}")]
    Forged(&'static str),
    /// A frame of another stream than the pinned one.
    #[error("a frame of another stream")]
    OtherStream,
    /// A frame before any stream header: the reader joined in the middle and waits.
    #[error("a frame before its stream header")]
    NoHeaderYet,
    /// A profile that the reader was not told to accept.
    #[error("the stream uses profile `{0}`, which is not among the accepted profiles")]
    ProfileNotAccepted(&'static str),
    /// Something larger than the limits of the format.
    #[error("{what} of {size} is over the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// The size met.
        size: u64,
        /// The largest size allowed.
        limit: u64,
    },
    /// The writer has reached a limit of its keys and refuses to seal more.
    #[error("the stream has reached {0}; start a new stream")]
    KeyExhausted(&'static str),
    /// The guard takes what was to leave for plain.
    #[error("frame {frame} looks plain although it was sealed, and nothing more is sent: {evidence}")]
    LooksPlain {
        /// Counter of the frame.
        frame: u64,
        /// Which statistic, and how far it is from that of ciphertext.
        evidence: String,
    },
    /// The process forked after the writer was made: sealing on would repeat nonces.
    #[error("the process was forked; a writer seals only in the process that made it")]
    Forked,

    // -- surroundings ------------------------------------------------------------------------------------------
    /// A backend that this machine does not offer.
    #[error("backend `{name}` is not available here: {reason}")]
    BackendUnavailable {
        /// The backend asked for.
        name: String,
        /// Why it is not available.
        reason: String,
    },
    /// A classifier's model file, or a checkpoint, that cannot be used.
    #[error("model: {0}")]
    Model(String),
    /// Metrics cannot be shown where they were asked for.
    #[error("no metrics at {address}: {reason}")]
    Metrics {
        /// Where they were asked for.
        address: std::net::SocketAddr,
        /// Why not.
        reason: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// A program of the user's that failed.
    #[error("{0}")]
    Command(String),
    /// Reading or writing failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being read or written.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}
