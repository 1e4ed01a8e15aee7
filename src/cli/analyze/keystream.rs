//! The keystream itself, for suites of others.
//!
//! `chaosveil analyze --keystream-stdout | RNG_test stdin64`. It is that of successive frames, each under a key of its own,
//! as in a video. A closed pipe ends it.

use std::{io::Write, sync::Arc};

use crate::{
    analysis::keystream::{Keystream, Layout, Stream},
    backend::Backend,
    cli::error::Failure,
};

/// The keystream
#[derive(clap::Args)]
pub struct KeystreamArguments {
    /// Write the chaotic stage's keystream to stdout instead, for PractRand, dieharder or TestU01
    #[arg(long, help_heading = "Keystream", conflicts_with_all = ["inputs", "plain", "encrypt_command", "report", "json"])]
    keystream_stdout: bool,
    /// All of the keystream, or the bits that one map gives
    #[arg(long, help_heading = "Keystream", value_enum, default_value_t = Stream::Combined)]
    stream: Stream,
    /// As frames are masked with it, or lane by lane
    #[arg(long, help_heading = "Keystream", value_enum, default_value_t = Layout::Interleaved)]
    layout: Layout,
    /// End after so many bytes
    #[arg(long, help_heading = "Keystream", value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    bytes: u64,
}

/// Clap would take an array for a list.
pub type Seed = Arc<[u8; 32]>;

impl KeystreamArguments {
    /// Whether nothing else is wanted.
    pub fn is_asked_for(&self) -> bool {
        self.keystream_stdout
    }

    /// Writes until enough is written, or nobody reads any more.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub fn run(&self, seed: [u8; 32], backend: Arc<dyn Backend>) -> Result<(), Failure> {
        let mut keystream = Keystream::new(seed, self.stream, self.layout, backend);
        let mut stdout = std::io::stdout().lock();
        let mut left = self.bytes;
        while left > 0 {
            let frame = keystream.next_frame();
            let len = left.min(frame.len() as u64);
            match stdout.write_all(&frame[..len as usize]).and_then(|()| stdout.flush()) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(|error| Failure::io("stdout", error))?,
            }
            left -= len;
        }
        Ok(())
    }
}

/// Digits for the first bytes; the rest are zero.
pub fn parse_seed(text: &str) -> Result<Seed, String> {
    let wrong = || "a seed is up to 64 hexadecimal digits, two for each byte".to_owned();
    let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !digits || text.len() > 64 || !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let mut seed = [0; 32];
    for (byte, at) in seed.iter_mut().zip((0..text.len()).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(seed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_digits() {
        assert_eq!(parse_seed("0aFF").expect("two bytes")[..3], [10, 255, 0]);
        for bad in ["0", "zz", "+f", &"00".repeat(33)] {
            assert!(parse_seed(bad).is_err(), "{bad}");
        }
    }
}
