//! The labels that were sealed with frames, counted by what they say.

use serde::Serialize;

use crate::seal::{Meta, Record};

/// Kinds of labels that are told apart in a stream: whoever seals it may make up any number of them.
const MOST_KINDS: usize = 32;

/// What the frames of a stream were taken for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Labels {
    kinds: Vec<Kind>,
    /// Frames whose label came after [`MOST_KINDS`] others.
    #[serde(skip_serializing_if = "is_zero")]
    other_frames: u64,
}

/// The frames that one model took for the same.
#[derive(Clone, Debug, Serialize)]
struct Kind {
    label: String,
    /// BLAKE3 of the model file.
    model_digest: String,
    frames: u64,
    lowest_confidence: f64,
    highest_confidence: f64,
}

impl Labels {
    /// Whether no frame had one.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Counts what is sealed with a frame.
    pub fn count(&mut self, record: &Record) {
        for meta in &record.metas {
            if let Meta::Classification { confidence, model_digest, label, .. } = meta {
                self.add(label, blake3::Hash::from_bytes(*model_digest).to_hex().as_str(), *confidence);
            }
        }
    }

    fn add(&mut self, label: &str, model_digest: &str, confidence: f64) {
        let is_it = |kind: &Kind| kind.label == label && kind.model_digest == model_digest;
        if let Some(kind) = self.kinds.iter_mut().find(|kind| is_it(kind)) {
            kind.frames += 1;
            kind.lowest_confidence = kind.lowest_confidence.min(confidence);
            kind.highest_confidence = kind.highest_confidence.max(confidence);
        } else if self.kinds.len() == MOST_KINDS {
            self.other_frames += 1;
        } else {
            self.kinds.push(Kind {
                label: label.to_owned(),
                model_digest: model_digest.to_owned(),
                frames: 1,
                lowest_confidence: confidence,
                highest_confidence: confidence,
            });
        }
    }

    /// A line for each kind. Labels are texts of whoever sealed them: nothing in them reaches the terminal as it is.
    pub fn lines(&self) -> Vec<String> {
        let line = |kind: &Kind| {
            let Kind { label, model_digest, frames, lowest_confidence, highest_confidence } = kind;
            let (label, model) = (label.escape_debug(), &model_digest[..SHOWN_DIGITS]);
            format!(
                "{label}: {frames} frames, confidence {lowest_confidence:.2} to {highest_confidence:.2}, model {model}"
            )
        };
        let others = (self.other_frames > 0).then(|| format!("others: {} frames", self.other_frames));
        self.kinds.iter().map(line).chain(others).collect()
    }
}

/// Digits of a model's digest that are printed; JSON has all of them.
const SHOWN_DIGITS: usize = 16;

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(told: impl IntoIterator<Item = (String, f64)>) -> Labels {
        let mut labels = Labels::default();
        for (label, confidence) in told {
            let meta = Meta::classification(1, confidence, [0xab; 32], label).expect("in bounds");
            labels.count(&Record { metas: vec![meta], ..Record::default() });
        }
        labels
    }

    #[test]
    fn counted_by_label() {
        let told = [("plain", 0.5), ("a\u{1b}[2J\n", 1.0), ("plain", 0.25)];
        let lines = labels(told.map(|(label, confidence)| (label.to_owned(), confidence))).lines();
        assert_eq!(
            lines,
            [
                "plain: 2 frames, confidence 0.25 to 0.50, model abababababababab",
                "a\\u{1b}[2J\\n: 1 frames, confidence 1.00 to 1.00, model abababababababab"
            ]
        );
    }

    #[test]
    fn any_number_of_labels_takes_bounded_memory() {
        let labels = labels((0..1000).map(|number| (format!("label {number}"), 0.5)));
        assert_eq!((labels.kinds.len(), labels.other_frames), (MOST_KINDS, 1000 - MOST_KINDS as u64));
    }
}
