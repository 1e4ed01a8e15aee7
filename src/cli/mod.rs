//! The command line: one file per subcommand.
//!
//! In: arguments, files, and keys in files. Out: files that stand whole under their name or not at all, a line of
//! figures on stderr, and an exit code that means something. Nothing here seals or opens by itself: that is `seal`.
//!
//! Read next: `encrypt` and `decrypt` (which road an INPUT takes); for pictures `picture_file` and `cipher_picture` (the
//! two ways of sealing one); for video `video_encrypt`, `video_decrypt` and `cipher_video` over `graph` (a pipeline run to
//! its end); for both `streams` (a packet file with all its tracks), for a part of one `excerpt` over `packet_file` (read
//! where it is needed) and `index_file`; `output` (how a file gets its name), `error` (exit codes and advice).

/// Tells the user on stderr. Where nobody listens any more, the work goes on.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod analyze;
mod attack;
mod backlog;
mod bench;
mod branch;
mod byte_source;
mod cipher_picture;
mod cipher_video;
mod claims;
#[cfg(feature = "nn")]
mod classify;
mod compare;
mod container;
mod core_dumps;
mod decrypt;
mod doctor;
mod elements;
mod encrypt;
mod endpoint;
mod error;
mod excerpt;
mod file_report;
mod folder;
mod graph;
mod index;
mod index_file;
mod inspect;
mod key_files;
mod keygen;
mod labels;
pub(crate) mod matroska;
mod moment;
pub(crate) mod movie_header;
mod output;
mod packet_file;
mod packets;
mod picture_file;
mod picture_type;
mod pixels;
mod randomness;
mod raw_forms;
mod sealing;
mod sheet;
mod silence;
mod streams;
mod subtitles;
mod summary;
pub(crate) mod track_count;
mod track_times;
mod track_way;
#[cfg(feature = "nn")]
mod train;
mod troubles;
mod verify;
mod video_arguments;
mod video_decrypt;
mod video_encrypt;
mod video_file;
#[cfg(feature = "nn")]
mod video_frames;
mod video_progress;
mod video_source;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::pipeline::exporter;

/// Encrypts and decrypts pictures and live video.
#[derive(Parser)]
#[command(name = "chaosveil", version, disable_help_subcommand = true, after_help = error::EXIT_CODES)]
struct Arguments {
    /// Show metrics for Prometheus at http://ADDR/metrics while this runs
    #[arg(long, global = true, value_name = "ADDR", help_heading = "Metrics")]
    metrics: Option<std::net::SocketAddr>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Keygen(keygen::Keygen),
    Encrypt(encrypt::Encrypt),
    Decrypt(decrypt::Decrypt),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Index(index::Index),
    Analyze(analyze::Analyze),
    Attack(attack::Attack),
    Randomness(randomness::Randomness),
    #[cfg(feature = "nn")]
    Classify(classify::Classify),
    #[cfg(feature = "nn")]
    Train(train::Train),
    Bench(bench::Bench),
    Compare(compare::Compare),
    Doctor(doctor::Doctor),
}

/// Runs the command that `arguments` name, the first being the program's own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    core_dumps::forbid();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too; that a closed pipe does not show them is no failure.
            let _ = error.print();
            return ExitCode::from(error.exit_code().clamp(0, u8::MAX.into()) as u8);
        }
    };
    if let Some(address) = arguments.metrics
        && let Err(error) = exporter::serve(address)
    {
        let failure = error::Failure::from(error);
        failure.report();
        return failure.exit_code();
    }
    let done = match arguments.command {
        Command::Keygen(command) => command.run(),
        Command::Encrypt(command) => command.run(),
        Command::Decrypt(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Index(command) => command.run(),
        Command::Analyze(command) => command.run(),
        Command::Attack(command) => command.run(),
        Command::Randomness(command) => command.run(),
        #[cfg(feature = "nn")]
        Command::Classify(command) => command.run(),
        #[cfg(feature = "nn")]
        Command::Train(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Compare(command) => command.run(),
        Command::Doctor(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}
