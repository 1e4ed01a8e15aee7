//! What is told of a statistic: its value, of how many samples, what is ideal, and between which bounds it passes.

use serde::Serialize;

/// A statistic of a picture or of a pair of pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its name, as in the tables.
    pub name: &'static str,
    /// Where it was taken: `gray`, `r`, `g`, `b`, or `all`.
    pub channel: &'static str,
    /// The statistic.
    pub value: f64,
    /// Samples that it was taken from.
    pub samples: u64,
    /// What it would be for ideal ciphertext, where there is such a thing.
    pub ideal: Option<f64>,
    /// Lower and upper critical value: one that is exceeded speaks against ideal ciphertext at the chosen alpha.
    pub critical: [Option<f64>; 2],
}

impl Finding {
    /// One without a verdict.
    pub fn plain(name: &'static str, channel: &'static str, value: f64, samples: u64) -> Finding {
        Finding { name, channel, value, samples, ideal: None, critical: [None, None] }
    }

    /// The same with what is ideal and critical.
    pub fn against(self, ideal: f64, critical: [Option<f64>; 2]) -> Finding {
        Finding { ideal: Some(ideal), critical, ..self }
    }

    /// The same without a verdict where there are fewer samples than its critical values hold for.
    pub fn from_samples(self, least: u64) -> Finding {
        match self.samples < least {
            true => Finding { critical: [None, None], ..self },
            false => self,
        }
    }

    /// Whether it lies between the critical values; `None` where there are none.
    pub fn pass(&self) -> Option<bool> {
        let [lowest, highest] = self.critical;
        if lowest.is_none() && highest.is_none() {
            return None;
        }
        let above = lowest.is_none_or(|lowest| self.value >= lowest);
        // Not a number passes nothing.
        Some(above && highest.is_none_or(|highest| self.value <= highest) && !self.value.is_nan())
    }
}

/// A figure in six digits that matter, for people.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let digits = 5 - (value.abs().max(1e-2).log10().floor() as i32).clamp(-2, 5);
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_six_digits() {
        let figures = [7.997193, 99.609375, 0.0123456, 0.0, 255.0, 1234567.8, f64::INFINITY].map(figure);
        assert_eq!(figures, ["7.99719", "99.6094", "0.0123456", "0.0000000", "255.000", "1234568", "inf"]);
    }

    #[test]
    fn bounds_decide() {
        let finding = |value, critical| Finding::plain("x", "all", value, 1).against(0.0, critical).pass();
        assert_eq!(finding(1.0, [None, None]), None);
        assert_eq!(finding(1.0, [Some(1.0), None]), Some(true));
        assert_eq!(finding(0.9, [Some(1.0), None]), Some(false));
        assert_eq!(finding(1.1, [Some(0.0), Some(1.0)]), Some(false));
        assert_eq!(finding(f64::NAN, [Some(0.0), Some(1.0)]), Some(false));
        let judged = Finding::plain("x", "all", 2.0, 99).against(0.0, [None, Some(1.0)]);
        assert_eq!((judged.clone().from_samples(99).pass(), judged.from_samples(100).pass()), (Some(false), None));
    }
}
