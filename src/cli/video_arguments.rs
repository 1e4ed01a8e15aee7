//! The arguments that only video has.

use std::time::Duration;

use gst::prelude::*;

use super::{error::Failure, video_source::Camera};

/// What to take of a video
#[derive(clap::Args)]
pub struct VideoArguments {
    /// Seal raw frames instead of the encoded ones
    #[arg(long, help_heading = "Video")]
    pub decode: bool,
    /// Leave out every track that is no video; without this a track that cannot be taken is an error
    #[arg(long, help_heading = "Video")]
    pub video_only: bool,
    /// Ask a camera for this size
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size, help_heading = "Video")]
    size: Option<(i32, i32)>,
    /// Ask a camera for this rate, such as 30 or 30000/1001
    #[arg(long, value_name = "RATE", value_parser = parse_fps, help_heading = "Video")]
    fps: Option<(i32, i32)>,
    /// End after so many seconds of a camera or an address; so does Ctrl-C at any time
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, help_heading = "Video")]
    pub duration: Option<Duration>,
    #[command(flatten)]
    pub rekey: RekeyArguments,
}

/// When a new key is taken. Without these: after 64 GiB of a track, and every hour
#[derive(clap::Args, Clone)]
pub struct RekeyArguments {
    /// Take a new key after so many bytes of a track, and wipe the old one (0 = not because of bytes)
    #[arg(long, value_name = "BYTES", help_heading = "Video")]
    rekey_bytes: Option<u64>,
    /// Take a new key after so many frames of a track (0 = not because of frames)
    #[arg(long, value_name = "FRAMES", help_heading = "Video")]
    rekey_frames: Option<u64>,
    /// Take a new key after so many seconds (0 = not because of time)
    #[arg(long, value_name = "SECONDS", value_parser = parse_interval, help_heading = "Video")]
    rekey_interval: Option<Duration>,
}

impl RekeyArguments {
    /// Tells an encrypter.
    pub fn apply(&self, encrypter: &gst::Element) {
        let interval = self.rekey_interval.map(|interval| interval.as_nanos() as u64);
        let properties =
            [("rekey-bytes", self.rekey_bytes), ("rekey-frames", self.rekey_frames), ("rekey-interval", interval)];
        for (name, value) in properties {
            if let Some(value) = value {
                encrypter.set_property(name, value);
            }
        }
    }

    fn are_given(&self) -> bool {
        self.rekey_bytes.is_some() || self.rekey_frames.is_some() || self.rekey_interval.is_some()
    }
}

impl VideoArguments {
    /// Refuses what only a camera or an address understands.
    pub fn refuse_live(&self, name: &str) -> Result<(), Failure> {
        match self.size.is_some() || self.fps.is_some() || self.duration.is_some() {
            true => {
                Err(Failure::usage(format!("{name} is no camera: --size, --fps and --duration mean nothing to it")))
            }
            false => Ok(()),
        }
    }

    /// Refuses everything: pictures have no tracks.
    pub fn refuse_all(&self, name: &str) -> Result<(), Failure> {
        if self.decode || self.video_only {
            return Err(Failure::usage(format!("{name} is no video: --decode and --video-only mean nothing to it")));
        }
        match self.rekey.are_given() {
            true => Err(Failure::usage(format!("{name} is no video: its one frame needs one key, no --rekey-..."))),
            false => self.refuse_live(name),
        }
    }

    /// The camera that an address names; `None` for other addresses.
    ///
    /// # Errors
    /// If a size or rate is asked of something else.
    pub fn camera(&self, uri: &str) -> Result<Option<Camera>, Failure> {
        match uri.strip_prefix("v4l2://") {
            Some(device) => {
                Ok(Some(Camera { device: device.to_owned(), size: self.size, fps: self.fps.map(gst::Fraction::from) }))
            }
            None if self.size.is_some() || self.fps.is_some() => {
                Err(Failure::usage(format!("{uri} is no camera: --size and --fps mean nothing to it")))
            }
            None => Ok(None),
        }
    }
}

/// Reads a size such as `1280x720`.
///
/// # Errors
/// What a size looks like.
pub fn parse_size(text: &str) -> Result<(i32, i32), String> {
    let size = text.split_once('x').and_then(|(width, height)| Some((positive(width)?, positive(height)?)));
    size.ok_or_else(|| "a size is written as 1280x720".to_owned())
}

fn parse_fps(text: &str) -> Result<(i32, i32), String> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let fps = positive(numerator).zip(positive(denominator));
    fps.ok_or_else(|| "a rate is written as 30 or 30000/1001".to_owned())
}

fn positive(text: &str) -> Option<i32> {
    text.parse().ok().filter(|&number| number > 0)
}

/// Reads a time in seconds.
///
/// # Errors
/// What a time looks like.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| "a duration is written in seconds, as 10 or 0.5".to_owned())
}

/// As [`parse_seconds`], and 0 for never.
fn parse_interval(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        _ => parse_seconds(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_rates_and_times() {
        assert_eq!(parse_size("1280x720"), Ok((1280, 720)));
        assert_eq!(parse_fps("30000/1001"), Ok((30000, 1001)));
        assert_eq!(parse_fps("25"), Ok((25, 1)));
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "0x1", "-1x5", "5", "ax5"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "30/0", "-1", "1/2/3"] {
            assert!(parse_fps(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "-1", "inf", "nan", "1e40", "10s"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }
}
