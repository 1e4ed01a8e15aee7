//! The page itself.

use std::fmt::{Result, Write};

use super::{Chapter, PICTURES_SHOWN, Part, Report, charts, published};
use crate::analysis::{
    correlation::Direction,
    finding::figure as number,
    picture::Picture,
    suite::{Mode, Row},
    summary,
};

/// The whole page.
pub fn of(report: &Report) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut page, report);
    page
}

const STYLE: &str = include_str!("page.css");

fn write(page: &mut String, report: &Report) -> Result {
    writeln!(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    writeln!(page, "<meta name=\"viewport\" content=\"width=device-width\"><title>Cipher analysis</title>")?;
    writeln!(page, "<style>{STYLE}</style></head><body>\n<h1>Cipher analysis</h1>")?;
    introduction(page, report)?;
    if report.chapters.len() > 1 {
        summary_of(page, report)?;
    }
    for (number, chapter) in report.chapters.iter().take(PICTURES_SHOWN).enumerate() {
        chapter_of(page, number, chapter)?;
    }
    if report.chapters.len() > PICTURES_SHOWN {
        let more = report.chapters.len() - PICTURES_SHOWN;
        writeln!(
            page,
            "<p>{more} more pictures are in the summary, and with every figure in <code>--json</code>.</p>"
        )?;
    }
    published_figures(page)?;
    writeln!(page, "</body></html>")
}

fn introduction(page: &mut String, report: &Report) -> Result {
    let parts = report.chapters.iter().flat_map(|chapter| &chapter.parts);
    let rows = parts.flat_map(|part| &part.judgement.rows);
    let tests = rows.filter(|row| row.is_test()).count();
    writeln!(
        page,
        "<p>Made by chaosveil {version}. Each value stands with its sample size, what is ideal, and the critical values at \
         alpha&nbsp;=&nbsp;{alpha} for each test by itself: of the {tests} tests here, {expected:.1} would lie outside if \
         everything were ideal, so a single one outside says little, and many say much. NPCR and UACI are over {trials} \
         changed pixels.</p><p>Good values are necessary for a cipher and prove nothing: ciphers with all of these values \
         have been broken. The columns <em>plain</em> and <em>aes-256-ctr</em> are controls: of frames as they are encrypted, \
         a test that the plain picture passes, or AES fails, tells nothing. Under the same key and counter AES fails, like \
         every cipher that is never used so.</p>",
        version = env!("CARGO_PKG_VERSION"),
        alpha = report.alpha,
        expected = tests as f64 * report.alpha,
        trials = report.trials,
    )
}

fn chapter_of(page: &mut String, number: usize, chapter: &Chapter) -> Result {
    let (width, height, channels) = chapter.plain.shape();
    let kind = if channels == 1 { "gray" } else { "RGB" };
    writeln!(page, "<section><h2>{} <small>{width} x {height} {kind}</small></h2>", escape(chapter.name))?;
    // Once in the file, shown wherever a decrypted picture is equal to it.
    let plain = charts::picture(chapter.plain);
    writeln!(
        page,
        "<svg width=\"0\" height=\"0\"><symbol id=\"plain-{number}\" viewBox=\"0 0 {width} {height}\"><image \
         href=\"{plain}\" width=\"{width}\" height=\"{height}\"/></symbol></svg>\n<h3>plain</h3><div class=\"row\">"
    )?;
    same_as_plain(page, number, "plain")?;
    statistics_of(page, chapter.plain)?;
    writeln!(page, "</div>")?;
    for part in chapter.parts.iter().filter(|part| part.judgement.cipher != *chapter.plain) {
        part_pictures(page, number, chapter, part)?;
    }
    damage_pictures(page, chapter)?;
    values(page, chapter)?;
    writeln!(page, "</section>")
}

fn part_pictures(page: &mut String, number: usize, chapter: &Chapter, part: &Part) -> Result {
    let judgement = part.judgement;
    let note = part.note.map_or(String::new(), |note| format!(" <small>{}</small>", escape(note)));
    writeln!(page, "<h3>{}{note}</h3><div class=\"row\">", escape(part.cipher))?;
    figure(page, &charts::picture(&judgement.cipher), "cipher")?;
    if let Some(decrypted) = &judgement.decrypted {
        match decrypted == chapter.plain {
            true => same_as_plain(page, number, "decrypted")?,
            false => figure(page, &charts::picture(decrypted), "decrypted")?,
        }
        figure(page, &charts::difference(chapter.plain, decrypted), "plain minus decrypted")?;
    }
    statistics_of(page, &judgement.cipher)?;
    writeln!(page, "</div>")
}

fn statistics_of(page: &mut String, picture: &Picture) -> Result {
    figure(page, &charts::histograms(picture), "histogram")?;
    for direction in Direction::ALL {
        let word = direction.name().trim_start_matches("correlation_");
        figure(page, &charts::neighbours(picture, direction), &format!("{word} neighbours"))?;
    }
    Ok(())
}

fn same_as_plain(page: &mut String, number: usize, caption: &str) -> Result {
    writeln!(
        page,
        "<figure><svg role=\"img\" aria-label=\"{caption}\"><use href=\"#plain-{number}\"/></svg><figcaption>{caption}\
         </figcaption></figure>"
    )
}

/// Of the first cipher only: the others spread errors in the same way.
fn damage_pictures(page: &mut String, chapter: &Chapter) -> Result {
    let Some(part) = chapter.parts.iter().find(|part| !part.judgement.damaged.is_empty()) else { return Ok(()) };
    writeln!(
        page,
        "<h3>Damaged ciphertext of {}, opened without verifying</h3><p>This exists in the analysis alone. The product \
         refuses such a frame as a whole, and its neighbours come out unharmed. Shown is the middle.</p><div class=\"row\">",
        escape(part.cipher)
    )?;
    for (damage, picture) in &part.judgement.damaged {
        figure(page, &charts::picture(&charts::middle(picture)), &damage.name())?;
    }
    writeln!(page, "</div>")
}

fn figure(page: &mut String, source: &str, caption: &str) -> Result {
    let caption = escape(caption);
    writeln!(page, "<figure><img src=\"{source}\" alt=\"{caption}\"><figcaption>{caption}</figcaption></figure>")
}

fn values(page: &mut String, chapter: &Chapter) -> Result {
    for same in [false, true] {
        let is_here = |row: &&Row| (row.mode == Mode::SameCounter) == same;
        let mut keys: Vec<&Row> = Vec::new();
        for row in chapter.parts.iter().flat_map(|part| &part.judgement.rows).filter(is_here) {
            if !keys.iter().any(|key| key.is_beside(row)) {
                keys.push(row);
            }
        }
        if keys.is_empty() {
            continue;
        }
        let title = match same {
            false => "As frames are encrypted",
            true => "Twice under the same key (and counter, which ours never does), as the papers compare",
        };
        writeln!(page, "<h3>{title}</h3><table><thead><tr><th>metric<th>channel<th>samples<th>ideal<th>critical")?;
        for part in &chapter.parts {
            write!(page, "<th>{}", escape(part.cipher))?;
        }
        writeln!(page, "</thead><tbody>")?;
        for key in keys {
            value_row(page, chapter, key)?;
        }
        writeln!(page, "</tbody></table>")?;
    }
    Ok(())
}

fn value_row(page: &mut String, chapter: &Chapter, key: &Row) -> Result {
    let finding = &key.finding;
    let bound = |bound: Option<f64>| bound.map_or("-".to_owned(), number);
    let critical = match finding.critical {
        [None, None] => String::new(),
        [low, high] => format!("{} to {}", bound(low), bound(high)),
    };
    let ideal = finding.ideal.map_or(String::new(), number);
    write!(page, "<tr><th>{}<td>{}<td>{}<td>{ideal}<td>{critical}", finding.name, finding.channel, finding.samples)?;
    for part in &chapter.parts {
        match part.judgement.rows.iter().find(|row| row.is_beside(key)) {
            None => write!(page, "<td>")?,
            Some(row) => write!(page, "<td{}>{}", class_of(row.finding.pass()), number(row.finding.value))?,
        }
    }
    writeln!(page)
}

fn class_of(pass: Option<bool>) -> &'static str {
    match pass {
        None => "",
        Some(true) => " class=\"inside\"",
        Some(false) => " class=\"outside\" title=\"outside the critical values\"",
    }
}

fn summary_of(page: &mut String, report: &Report) -> Result {
    let parts = report.chapters.iter().flat_map(|chapter| &chapter.parts);
    let rows = parts.flat_map(|part| part.judgement.rows.iter().map(|row| (part.cipher, row)));
    writeln!(
        page,
        "<section><h2>All {} pictures</h2><table><thead><tr><th>cipher<th>mode<th>metric<th>channel<th>pictures<th>mean\
         <th>+-<th>lowest<th>highest<th>passed<th>share<th>at least</thead><tbody>",
        report.chapters.len()
    )?;
    for summary in summary::summaries(rows, report.alpha) {
        let mode = summary.mode.name();
        let [lowest, highest] = summary.range.map(number);
        write!(
            page,
            "<tr><th>{}<td>{mode}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{lowest}<td>{highest}",
            escape(summary.profile),
            summary.name,
            summary.channel,
            summary.pictures,
            number(summary.mean),
            number(summary.half_width)
        )?;
        if let (Some([passed, judged]), Some(share)) = (summary.passed, summary.pass_proportion()) {
            let least = summary.least_proportion(report.alpha);
            let class = class_of(least.map(|least| share >= least));
            let least = least.map_or(String::new(), |least| format!("{least:.3}"));
            write!(page, "<td>{passed} of {judged}<td{class}>{share:.3}<td>{least}")?;
        }
        writeln!(page)?;
    }
    writeln!(
        page,
        "</tbody></table><p>+-: half the interval of the mean at {} %. At least: what the share of ideal pictures stays \
         above, but for three standard deviations.</p></section>",
        100.0 * (1.0 - report.alpha)
    )
}

fn published_figures(page: &mut String) -> Result {
    writeln!(
        page,
        "<section><h2>What papers state of their ciphers</h2><p>As printed there; pictures, sizes and machines differ. \
         Tables 6, 8, 10 and 12 of Singh et al., <cite>Deep learning-based image encryption: a survey</cite> \
         (Neurocomputing), and three papers by name; the fourth, Subhashini et al. 2023, gives histograms only. An NPCR or an \
         entropy above what is ideal for the picture's size is no better than one at it. DLEDNet's NPCR is with 1 % of the \
         pixels changed.</p>"
    )?;
    plain_table(page, published::pictures())?;
    writeln!(
        page,
        "<p>Khazaal et al. 2024 (hierarchical), P-values of NIST SP 800-22, as printed there. One of each says that the \
         stream did not fail; a value near 1 is no better than one near 1/2. <code>chaosveil randomness</code> runs all 15 \
         tests over many sequences and judges how the P-values are spread.</p>"
    )?;
    plain_table(page, published::p_values())?;
    writeln!(page, "</section>")
}

fn plain_table(page: &mut String, (names, rows): published::Table) -> Result {
    write!(page, "<table><thead><tr>")?;
    names.iter().try_for_each(|name| write!(page, "<th>{}", escape(name)))?;
    writeln!(page, "</thead><tbody>")?;
    for row in rows {
        write!(page, "<tr>")?;
        row.iter().try_for_each(|cell| write!(page, "<td>{}", escape(cell)))?;
        writeln!(page)?;
    }
    writeln!(page, "</tbody></table>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
