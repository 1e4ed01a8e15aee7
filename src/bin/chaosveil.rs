//! The `chaosveil` command: parses its arguments and calls `cli`.

fn main() -> std::process::ExitCode {
    gstchaosveil::cli::run(std::env::args_os())
}
