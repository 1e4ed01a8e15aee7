//! What is told of a comparison: JSON for programs, a table for people.

use serde_json::json;

use super::Lessons;
use crate::{
    cli::bench::report::{self, commit},
    nn::{
        Label,
        comparison::{Interval, PUBLISHED_ACCURACY, PUBLISHED_LEAD, Run, Summary},
    },
};

/// All that was measured, and what is needed to do it again.
pub fn json(lessons: &Lessons, runs: &[Run], summaries: &[Summary]) -> String {
    let record = json!({
        "machine": report::machine(), "commit": commit(), "threads": lessons.threads, "data_digest": lessons.data_digest,
        "labels": Label::ALL.map(Label::name), "train_pictures": lessons.sources.train.len(),
        "test_pictures": lessons.sources.test.len(), "test_turns": lessons.test_turns, "confidence": 0.95,
        "published": {
            "source": "Liu et al. 2022 (RITEM-CF-AN), on its own pictures and labels",
            "accuracy": PUBLISHED_ACCURACY, "lead": PUBLISHED_LEAD,
        },
        "networks": summaries, "runs": runs,
    });
    serde_json::to_string_pretty(&record).map(|text| text + "\n").unwrap_or_default()
}

/// A row for each network.
pub fn table(lessons: &Lessons, runs: &[Run], summaries: &[Summary]) -> String {
    let most_seeds = summaries.iter().map(|summary| summary.seeds).max().unwrap_or_default();
    let crops = runs.first().map_or(0, |run| run.confusion.samples());
    let epochs = runs.first().map_or(0, |run| run.settings.epochs);
    let mut text = format!(
        "{crops} crops of {} pictures that none has seen; {epochs} epochs, seeds: {most_seeds}. Means over the labels and seeds, \
         with half of\nthe 95 % interval over the seeds (Student's t); behind: accuracy of the improved AlexNet less this one's\n\n",
        lessons.sources.test.len()
    );
    text += &format!(
        "{:16} {:>16} {:>16} {:>16} {:>16} {:>16} {:>10} {:>7}\n",
        "network", "accuracy", "precision", "recall", "F1", "behind", "parameters", "ms/crop"
    );
    for summary in summaries {
        let behind = summary.behind_improved_alexnet.map_or("-".into(), interval);
        text += &format!("{:16}", summary.network.name());
        for figure in [summary.accuracy, summary.precision, summary.recall, summary.f1] {
            text += &format!(" {:>16}", interval(figure));
        }
        text += &format!(" {behind:>16} {:>10} {:>7.2}\n", summary.parameters, summary.ms_per_crop);
    }
    text + &format!(
        "\nLiu et al. 2022 on their own pictures and labels: accuracy {PUBLISHED_ACCURACY:.4}, {PUBLISHED_LEAD:.4} ahead of the \
         next\n"
    )
}

fn interval(figure: Interval) -> String {
    match figure.half_width {
        Some(half) => format!("{:.4} +-{half:.4}", figure.mean),
        None => format!("{:.4}", figure.mean),
    }
}
