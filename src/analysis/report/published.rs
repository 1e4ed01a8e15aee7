//! What papers state of their ciphers, to stand beside ours.
//!
//! Three papers (the fourth, Subhashini et al. 2023, gives histograms and confusion matrices only), and tables 6, 8, 10 and
//! 12 of Singh et al., "Deep learning-based image encryption: a survey", Neurocomputing. Values are as printed there; pictures, sizes and machines differ.

/// Names of the columns, and the rows.
pub type Table = (Vec<&'static str>, Vec<Vec<&'static str>>);

/// What is stated of pictures.
pub fn pictures() -> Table {
    table(include_str!("published.csv"))
}

/// What Khazaal et al. 2024 state of a bit stream.
pub fn p_values() -> Table {
    table(include_str!("published_p_values.csv"))
}

fn table(file: &'static str) -> Table {
    let mut lines = file.lines().map(cells);
    (lines.next().unwrap_or_default(), lines.collect())
}

/// The cells of a line; the first may stand in quotes, and nothing in it.
fn cells(line: &'static str) -> Vec<&'static str> {
    match line.strip_prefix('"').and_then(|line| line.split_once("\",")) {
        Some((first, rest)) => std::iter::once(first).chain(rest.split(',')).collect(),
        None => line.split(',').collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_whole() {
        let (names, rows) = pictures();
        assert!(rows.len() > 40 && rows.iter().all(|row| row.len() == names.len()), "{rows:?}");
        let (tests, values) = p_values();
        assert!(values.len() == 9 && values.iter().all(|row| row.len() == tests.len()), "{values:?}");
        let dlednet = rows.iter().find(|row| row[0].contains("DLEDNet")).expect("in the table");
        assert_eq!((names[1], dlednet[1]), ("npcr", "94.21"));
    }
}
