//! What is told to people: of one picture every value, of several their means and how many passed.

use std::fmt::Write;

use super::{Judged, JudgedCipher};
use crate::analysis::{
    finding::figure,
    suite::{Mode, Row},
    summary::{self, Summary},
};

/// The table.
pub fn of(judged: &[Judged], alpha: f64) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match judged {
        [one] => write_one(&mut text, one, alpha),
        several => write_summary(&mut text, several, alpha),
    };
    text
}

fn write_one(text: &mut String, judged: &Judged, alpha: f64) -> std::fmt::Result {
    let (width, height, channels) = judged.input.picture.shape();
    let kind = if channels == 1 { "gray" } else { "RGB" };
    writeln!(text, "{}: {width} x {height} {kind}; alpha {alpha} for each test", judged.input.name)?;
    let names = judged.ciphers.iter().map(|cipher| cipher.name);
    write!(text, "\n{:28} {:4} {:>9} {:>9} {:>19}", "", "", "samples", "ideal", "critical")?;
    names.clone().try_for_each(|name| write!(text, " {name:>14}"))?;
    writeln!(text)?;
    let mut mode = None;
    for row in keys(judged) {
        if mode != Some(row.mode) {
            mode = Some(row.mode);
            writeln!(text, "{}", heading(row.mode))?;
        }
        let finding = &row.finding;
        let ideal = finding.ideal.map_or(String::new(), figure);
        let bound = |bound: Option<f64>| bound.map_or("-".to_owned(), figure);
        let critical = match finding.critical {
            [None, None] => String::new(),
            [low, high] => format!("{} {}", bound(low), bound(high)),
        };
        write!(text, "{:28} {:4} {:>9} {ideal:>9} {critical:>19}", finding.name, finding.channel, finding.samples)?;
        for cipher in &judged.ciphers {
            write!(text, " {:>14}", cell(cipher, row))?;
        }
        writeln!(text)?;
    }
    writeln!(text)?;
    write_notes(text, &judged.ciphers)?;
    let verdicts = judged.ciphers.iter().flat_map(|cipher| &cipher.judgement.rows);
    let tests = verdicts.filter(|row| row.is_test()).count();
    writeln!(
        text,
        "* outside the critical values. Of {tests} tests at alpha {alpha}, {:.1} would be outside if all were ideal.",
        tests as f64 * alpha
    )
}

/// The rows of all ciphers, each once, those of single pictures first.
fn keys(judged: &Judged) -> Vec<&Row> {
    let mut keys: Vec<&Row> = Vec::new();
    for row in judged.ciphers.iter().flat_map(|cipher| &cipher.judgement.rows) {
        if !keys.iter().any(|known| known.is_beside(row)) {
            keys.push(row);
        }
    }
    keys.sort_by_key(|row| row.mode == Mode::SameCounter);
    keys
}

fn heading(mode: Mode) -> &'static str {
    match mode {
        Mode::SameCounter => "twice under the same key (and counter, which ours never does)",
        Mode::FreshCounter => "as frames are encrypted",
    }
}

fn cell(cipher: &JudgedCipher, key: &Row) -> String {
    let Some(row) = cipher.judgement.rows.iter().find(|row| row.is_beside(key)) else { return "-".into() };
    let mark = if row.finding.pass() == Some(false) { "*" } else { " " };
    format!("{}{mark}", figure(row.finding.value))
}

fn write_notes(text: &mut String, ciphers: &[JudgedCipher]) -> std::fmt::Result {
    for cipher in ciphers {
        for mode in [Mode::FreshCounter, Mode::SameCounter] {
            let mut rows = cipher.judgement.rows.iter();
            match cipher.note(mode).filter(|_| rows.any(|row| row.mode == mode)) {
                Some(note) if mode == Mode::SameCounter && cipher.note(Mode::FreshCounter) == Some(note) => {}
                Some(note) => writeln!(text, "{}, {}: {note}", cipher.name, mode.name())?,
                None => {}
            }
        }
    }
    Ok(())
}

fn write_summary(text: &mut String, judged: &[Judged], alpha: f64) -> std::fmt::Result {
    writeln!(text, "{} pictures; alpha {alpha} for each test", judged.len())?;
    let rows = judged.iter().flat_map(|judged| &judged.ciphers);
    let rows = rows.flat_map(|cipher| cipher.judgement.rows.iter().map(|row| (cipher.name, row)));
    let mut heading = None;
    for summary in summary::summaries(rows, alpha) {
        let here = Some((summary.profile, summary.mode));
        if heading != here {
            heading = here;
            let mode = summary.mode.name();
            writeln!(
                text,
                "\n{:40} {:>9} {:>11} {:>10} {:>11} {:>11} {:>9} {:>8} {:>8}",
                format!("{}, {mode}", summary.profile),
                "pictures",
                "mean",
                "+-",
                "lowest",
                "highest",
                "passed",
                "share",
                "at least"
            )?;
        }
        write_line(text, &summary, alpha)?;
    }
    writeln!(text)?;
    write_notes(text, &judged[0].ciphers)?;
    writeln!(
        text,
        "+-: half the interval of the mean at {} %. at least: what the share of ideal pictures stays above but for three\n\
         standard deviations; * is below.",
        100.0 * (1.0 - alpha)
    )
}

fn write_line(text: &mut String, summary: &Summary, alpha: f64) -> std::fmt::Result {
    let name = format!("{} {}", summary.name, summary.channel);
    let [lowest, highest] = summary.range.map(figure);
    write!(
        text,
        "  {name:38} {:>9} {:>11} {:>10} {lowest:>11} {highest:>11}",
        summary.pictures,
        figure(summary.mean),
        figure(summary.half_width)
    )?;
    if let (Some([passed, judged]), Some(share)) = (summary.passed, summary.pass_proportion()) {
        let least = summary.least_proportion(alpha);
        let mark = if least.is_some_and(|least| share < least) { "*" } else { " " };
        let least = least.map_or(String::new(), |least| format!("{least:.3}"));
        write!(text, " {:>9} {share:>7.3}{mark} {least:>8}", format!("{passed}/{judged}"))?;
    }
    writeln!(text)
}
