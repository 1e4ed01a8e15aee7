//! Moments of a recording as users write them: `90`, `1:30`, `00:01:30.500`.

use std::fmt;

/// Nanoseconds from the beginning of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

const NS: u64 = 1_000_000_000;

impl Moment {
    /// Reads `[[HH:]MM:]SS[.fff]`.
    ///
    /// # Errors
    /// What is not understood, for `clap` to tell.
    pub fn parse(text: &str) -> Result<Moment, String> {
        Moment::read(text).ok_or_else(|| "a time is written as 90, 1:30 or 00:01:30.500".to_owned())
    }

    fn read(text: &str) -> Option<Moment> {
        let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = clock.split(':').collect();
        if parts.len() > 3 || !parts.iter().all(|part| digits(part)) || !digits(fraction) || fraction.len() > 9 {
            return None;
        }
        let mut seconds: u64 = 0;
        for (number, part) in parts.iter().enumerate() {
            let value = part.parse().ok().filter(|value| number == 0 || *value < 60)?;
            seconds = seconds.checked_mul(60)?.checked_add(value)?;
        }
        let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
        Some(Moment(seconds.checked_mul(NS)?.checked_add(fraction)?))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / NS, self.0 % NS / 1_000_000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_shown() {
        for (text, ns, shown) in [
            ("90", 90 * NS, "00:01:30.000"),
            ("0.04", NS / 25, "00:00:00.040"),
            ("1:30", 90 * NS, "00:01:30.000"),
            ("75:00", 4500 * NS, "01:15:00.000"),
            ("00:01:30.500", 90 * NS + NS / 2, "00:01:30.500"),
            ("100:00:00", 360_000 * NS, "100:00:00.000"),
        ] {
            let moment = Moment::parse(text).expect(text);
            assert_eq!((moment, moment.to_string().as_str()), (Moment(ns), shown), "{text}");
        }
    }

    #[test]
    fn fail_what_is_no_moment() {
        for text in [
            "",
            ":",
            "1:",
            "1:60",
            "1:2:3:4",
            "-1",
            "1.",
            ".5",
            "1,5",
            "1s",
            "1e3",
            "0.1234567891",
            "99999999999999999999",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
