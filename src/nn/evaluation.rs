//! How well the classifier does: the confusion matrix, and what is said of it.

use serde::{Deserialize, Serialize};

use super::Label;

/// How often a sample of one label was taken for another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// `counts[truth][told]`, both by [`Label::index`].
    pub counts: [[u64; Label::ALL.len()]; Label::ALL.len()],
}

impl Confusion {
    /// Counts one sample.
    pub fn add(&mut self, truth: Label, told: Label) {
        self.counts[truth.index()][told.index()] += 1;
    }

    /// Counts what another has counted.
    pub fn add_all(&mut self, other: &Confusion) {
        for (ours, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *ours += theirs;
        }
    }

    /// Samples.
    pub fn samples(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Share of samples that were told right.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = Label::ALL.iter().map(|label| self.counts[label.index()][label.index()]).sum();
        right as f64 / self.samples().max(1) as f64
    }

    /// Share of a label's samples that were told right.
    pub fn recall(&self, label: Label) -> f64 {
        let row: u64 = self.counts[label.index()].iter().sum();
        self.counts[label.index()][label.index()] as f64 / row.max(1) as f64
    }

    /// Share of what was told to be of a label that is.
    pub fn precision(&self, label: Label) -> f64 {
        let column: u64 = self.counts.iter().map(|row| row[label.index()]).sum();
        self.counts[label.index()][label.index()] as f64 / column.max(1) as f64
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self, label: Label) -> f64 {
        let (precision, recall) = (self.precision(label), self.recall(label));
        match precision + recall > 0.0 {
            true => 2.0 * precision * recall / (precision + recall),
            false => 0.0,
        }
    }

    /// Mean of the labels' F1.
    pub fn macro_f1(&self) -> f64 {
        self.mean(Confusion::f1)
    }

    /// Mean of the labels' precision; a label that is never told counts 0.
    pub fn macro_precision(&self) -> f64 {
        self.mean(Confusion::precision)
    }

    /// Mean of the labels' recall.
    pub fn macro_recall(&self) -> f64 {
        self.mean(Confusion::recall)
    }

    fn mean(&self, of: fn(&Confusion, Label) -> f64) -> f64 {
        Label::ALL.iter().map(|&label| of(self, label)).sum::<f64>() / Label::ALL.len() as f64
    }

    /// The matrix for people: a row for each truth.
    pub fn table(&self) -> String {
        let mut text = format!("{:12}", "");
        Label::ALL.iter().for_each(|label| text += &format!(" {:>11}", label.name()));
        text += &format!(" {:>7} {:>9} {:>7}\n", "recall", "precision", "F1");
        for truth in Label::ALL {
            text += &format!("{:12}", truth.name());
            self.counts[truth.index()].iter().for_each(|count| text += &format!(" {count:>11}"));
            let figures = (self.recall(truth), self.precision(truth), self.f1(truth));
            text += &format!(" {:>7.4} {:>9.4} {:>7.4}\n", figures.0, figures.1, figures.2);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: of 4 plain ones 3 are told right, of 2 permuted ones 2, and one plain one is called permuted. Precision of
    /// permuted is 2/3, its F1 4/5; precision of plain 1, its F1 6/7.
    #[test]
    fn figures_by_hand() {
        let mut confusion = Confusion::default();
        let told = [(Label::Plain, Label::Plain), (Label::Permuted, Label::Permuted), (Label::Plain, Label::Permuted)];
        for ((truth, told), times) in told.into_iter().zip([3, 2, 1]) {
            (0..times).for_each(|_| confusion.add(truth, told));
        }
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert_eq!(confusion.samples(), 6);
        assert!(near(confusion.accuracy(), 5.0 / 6.0) && near(confusion.recall(Label::Plain), 0.75));
        assert!(near(confusion.precision(Label::Permuted), 2.0 / 3.0) && near(confusion.f1(Label::Permuted), 0.8));
        assert!(near(confusion.macro_f1(), (0.8 + 6.0 / 7.0) / 6.0), "labels without samples count 0");
        assert!(near(confusion.macro_recall(), 1.75 / 6.0) && near(confusion.macro_precision(), (5.0 / 3.0) / 6.0));
        assert!(confusion.table().contains("permuted"));
    }
}
