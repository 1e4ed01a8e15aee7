//! Throughput as a picture: one group of bars for each size and format, one bar for each stage.

use plotters::prelude::*;

use super::report::{Report, Row};
use crate::cli::error::{Exit, Failure};

/// Height of a bar and of the space around it, in pixels.
const BAR: u32 = 26;
/// Width of the picture.
const WIDTH: u32 = 960;
const INKS: [RGBColor; 8] = [
    RGBColor(160, 160, 160),
    RGBColor(90, 90, 90),
    RGBColor(86, 180, 233),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
];

/// Draws a report as SVG.
///
/// # Errors
/// If the drawing library fails.
pub fn draw(report: &Report) -> Result<String, Failure> {
    let mut svg = String::new();
    draw_into(report, &mut svg).map_err(|error| Failure::new(Exit::Other, format!("drawing: {error}")))?;
    Ok(svg)
}

fn draw_into(report: &Report, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let rows: Vec<&Row> = report.rows.iter().collect();
    let most = rows.iter().map(|row| row.gb_per_s).fold(0.1, f64::max);
    let root = SVGBackend::with_string(svg, (WIDTH, 120 + BAR * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("{}; commit {}", report.machine, report.commit.as_deref().unwrap_or("unknown"));
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(330)
        .build_cartesian_2d(0.0..1.08 * most, (0..rows.len() as i32).into_segmented())?;
    let label = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => rows.get(rows.len() - 1 - *at as usize).map_or(String::new(), |row| name(row)),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc("GB/s of payload (10^9 bytes)")
        .y_labels(rows.len())
        .y_label_formatter(&label)
        .draw()?;
    let bars = rows.iter().rev().zip(0..).map(|(row, at)| {
        let ends = [(0.0, SegmentValue::Exact(at)), (row.gb_per_s, SegmentValue::Exact(at + 1))];
        let mut bar = Rectangle::new(ends, ink(row).filled());
        bar.set_margin(3, 3, 0, 0);
        bar
    });
    chart.draw_series(bars)?;
    let figures = rows.iter().rev().zip(0..).map(|(row, at)| {
        let place = (row.gb_per_s + most / 100.0, SegmentValue::CenterOf(at));
        Text::new(format!("{:.2}", row.gb_per_s), place, ("sans-serif", 12))
    });
    chart.draw_series(figures)?;
    root.present()?;
    Ok(())
}

fn name(row: &Row) -> String {
    format!("{}: {}", row.picture(), row.name())
}

fn ink(row: &Row) -> RGBColor {
    const STAGES: [&str; 8] =
        ["memcpy", "aes-256-gcm", "keystream", "permutation", "keystream+permutation", "encrypt", "decrypt", "element"];
    STAGES.iter().position(|stage| *stage == row.stage).map_or(BLACK, |at| INKS[at])
}

#[cfg(test)]
mod tests {
    use super::{super::report::tests::row, *};

    #[test]
    fn every_row_has_its_bar() {
        let rows = vec![row("memcpy", 12.34), row("encrypt", 4.56)];
        let svg = draw(&Report { machine: "a machine".into(), commit: None, device: None, rows }).expect("draws");
        for figure in ["12.34", "4.56", "memcpy", "I420 64x48"] {
            assert!(svg.contains(figure), "{figure}");
        }
    }
}
