//! The same statistic over many pictures: mean, interval, and how many passed.

use super::{
    quantile,
    suite::{Mode, Row},
};

/// A statistic over several pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// What was judged.
    pub profile: &'static str,
    /// As in [`Row`].
    pub mode: Mode,
    /// Name of the statistic.
    pub name: &'static str,
    /// Channel.
    pub channel: &'static str,
    /// Pictures with a finite value.
    pub pictures: usize,
    /// Mean of the values.
    pub mean: f64,
    /// Half the width of the mean's interval of confidence `1 - alpha`, by the normal distribution.
    pub half_width: f64,
    /// Lowest and highest value.
    pub range: [f64; 2],
    /// How many passed, of how many with a verdict.
    pub passed: Option<[usize; 2]>,
    /// See [`Row::is_test`].
    pub is_test: bool,
}

impl Summary {
    /// The share that passed.
    pub fn pass_proportion(&self) -> Option<f64> {
        self.passed.map(|[passed, judged]| passed as f64 / judged as f64)
    }

    /// What the share of ideal pictures stays above in a test, but for three standard deviations: `1 - alpha - 3 sqrt(alpha (1 -
    /// alpha) / n)` (NIST SP 800-22 rev. 1a, section 4.2.1).
    pub fn least_proportion(&self, alpha: f64) -> Option<f64> {
        self.passed
            .filter(|_| self.is_test)
            .map(|[_, judged]| (1.0 - alpha - 3.0 * (alpha * (1.0 - alpha) / judged as f64).sqrt()).max(0.0))
    }
}

/// Summaries of rows of several pictures, each with its profile, in the order in which they first come.
pub fn summaries<'a>(rows: impl IntoIterator<Item = (&'static str, &'a Row)>, alpha: f64) -> Vec<Summary> {
    let mut groups: Vec<(&'static str, Vec<&Row>)> = Vec::new();
    for (profile, row) in rows {
        let same = |group: &&mut (&'static str, Vec<&Row>)| group.0 == profile && is_alike(group.1[0], row);
        match groups.iter_mut().find(same) {
            Some(group) => group.1.push(row),
            None => groups.push((profile, vec![row])),
        }
    }
    groups.into_iter().map(|(profile, rows)| of_group(profile, &rows, alpha)).collect()
}

fn is_alike(one: &Row, other: &Row) -> bool {
    let key = |row: &Row| (row.mode, row.finding.name, row.finding.channel);
    key(one) == key(other)
}

fn of_group(profile: &'static str, rows: &[&Row], alpha: f64) -> Summary {
    let values: Vec<f64> = rows.iter().map(|row| row.finding.value).filter(|value| value.is_finite()).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let verdicts: Vec<bool> = rows.iter().filter_map(|row| row.finding.pass()).collect();
    let passed = verdicts.iter().filter(|&&pass| pass).count();
    let Row { mode, finding } = rows[0];
    Summary {
        profile,
        mode: *mode,
        name: finding.name,
        channel: finding.channel,
        pictures: values.len(),
        mean,
        half_width: quantile::normal(1.0 - alpha / 2.0) * (variance / n).sqrt(),
        range: [values.iter().copied().fold(f64::NAN, f64::min), values.iter().copied().fold(f64::NAN, f64::max)],
        passed: (!verdicts.is_empty()).then_some([passed, verdicts.len()]),
        is_test: rows.iter().any(|row| row.is_test()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::finding::Finding;

    /// By hand: 1, 2, 3, 6 have mean 3 and variance 14/3; 1.96 sqrt(14/12) = 2.117.
    #[test]
    fn a_group_by_hand() {
        let row = |value, highest| Row {
            mode: Mode::FreshCounter,
            finding: Finding::plain("x", "gray", value, 10).against(0.0, [None, Some(highest)]),
        };
        let other = Row { mode: Mode::FreshCounter, finding: Finding::plain("y", "gray", 1.0, 10) };
        let rows = [row(1.0, 5.0), other, row(2.0, 5.0), row(3.0, 5.0), row(6.0, 5.0)];
        let summaries = summaries(rows.iter().map(|row| ("ours", row)), 0.05);
        assert_eq!(summaries.len(), 2);
        let x = &summaries[0];
        assert_eq!((x.mean, x.pictures, x.range, x.passed), (3.0, 4, [1.0, 6.0], Some([3, 4])));
        assert!((x.half_width - 2.117).abs() < 1e-3, "{x:?}");
        assert_eq!((x.pass_proportion(), summaries[1].passed), (Some(0.75), None));
        // 0.95 - 3 sqrt(0.0475 / 4)
        assert!((x.least_proportion(0.05).expect("judged") - 0.6231).abs() < 1e-4, "{x:?}");
    }
}
