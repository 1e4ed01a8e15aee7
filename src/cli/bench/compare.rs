//! A run beside an older one.

use std::{fmt::Write, path::Path};

use super::report::Report;
use crate::cli::error::{Exit, Failure};

/// Reads what `--json` printed.
///
/// # Errors
/// If the file cannot be read or holds something else.
pub fn read(path: &Path) -> Result<Report, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::io(path.display(), error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::new(Exit::Content, format!("{}: {error}", path.display()))
            .advise("--compare takes what `chaosveil bench --json` printed")
    })
}

/// Each row that both have, as the ratio of throughputs, and of throughputs over AES-256-GCM in the same run: the latter
/// holds across machines that are busy in different ways.
pub fn table(old: &Report, new: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, old, new);
    text
}

fn write(text: &mut String, old: &Report, new: &Report) -> std::fmt::Result {
    writeln!(text, "\nbefore: {}; commit {}", old.machine, old.commit.as_deref().unwrap_or("unknown"))?;
    if !new.rows.iter().any(|row| old.rows.iter().any(|before| before.key() == row.key())) {
        return writeln!(text, "nothing that was measured then was measured now");
    }
    let mut picture = String::new();
    for row in &new.rows {
        let Some(before) = old.rows.iter().find(|before| before.key() == row.key()) else { continue };
        if row.picture() != picture {
            picture = row.picture();
            writeln!(text, "\n{picture:40} {:>9} {:>9} {:>7} {:>12}", "before", "now GB/s", "ratio", "GCM's aside")?;
        }
        let ratio = row.gb_per_s / before.gb_per_s;
        let aside = old.gcm_gb_per_s(before).zip(new.gcm_gb_per_s(row)).map(|(was, is)| ratio * was / is);
        let aside = aside.map_or(String::new(), |aside| format!("{aside:.2}"));
        writeln!(text, "  {:38} {:>9.2} {:>9.2} {ratio:>7.2} {aside:>12}", row.name(), before.gb_per_s, row.gb_per_s)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::report::tests::row, *};

    #[test]
    fn a_busier_machine_is_told_from_slower_code() {
        let report = |gcm, encrypt| Report {
            machine: "a machine".into(),
            commit: None,
            device: None,
            rows: vec![row("aes-256-gcm", gcm), row("encrypt", encrypt)],
        };
        let text = table(&report(8.0, 4.0), &report(4.0, 2.0));
        let last = text.lines().last().unwrap_or_default();
        assert_eq!(last.split_whitespace().collect::<Vec<_>>(), ["encrypt", "4.00", "2.00", "0.50", "1.00"]);
    }
}
