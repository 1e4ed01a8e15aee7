//! The comparison as a picture: a bar of accuracy for each network, with its interval, and the paper's own.

use plotters::prelude::*;

use crate::{
    cli::error::{Exit, Failure},
    nn::comparison::{Interval, PUBLISHED_ACCURACY, PUBLISHED_LEAD, Summary},
};

const WIDTH: u32 = 860;
/// Height of a bar and of the space around it, in pixels.
const BAR: u32 = 32;
const OURS: RGBColor = RGBColor(0, 114, 178);
const PUBLISHED: RGBColor = RGBColor(170, 170, 170);

struct Bar {
    name: String,
    accuracy: Interval,
    ink: RGBColor,
}

/// Draws it as SVG.
///
/// # Errors
/// If the drawing library fails.
pub fn draw(summaries: &[Summary]) -> Result<String, Failure> {
    let ours = summaries.iter().map(|summary| {
        let name = format!("{}, seeds: {}", summary.network.name(), summary.seeds);
        Bar { name, accuracy: summary.accuracy, ink: OURS }
    });
    let published = [("paper's network, its own data", 0.0), ("paper's next best, its own data", PUBLISHED_LEAD)];
    let published = published.map(|(name, behind)| Bar {
        name: name.into(),
        accuracy: Interval { mean: PUBLISHED_ACCURACY - behind, half_width: None },
        ink: PUBLISHED,
    });
    let mut svg = String::new();
    draw_into(&ours.chain(published).collect::<Vec<Bar>>(), &mut svg)
        .map_err(|error| Failure::new(Exit::Other, format!("drawing: {error}")))?;
    Ok(svg)
}

fn draw_into(bars: &[Bar], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (WIDTH, 70 + BAR * bars.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(230)
        .build_cartesian_2d(0.0..1.15, (0..bars.len() as i32).into_segmented())?;
    // From below to above, so the first bar is the last.
    let place = |number: usize| (bars.len() - 1 - number) as i32;
    let label = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => bars.iter().rev().nth(*at as usize).map_or(String::new(), |bar| bar.name.clone()),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc("accuracy, with the 95 % interval of the mean over the seeds")
        .y_labels(bars.len())
        .y_label_formatter(&label)
        .draw()?;
    chart.draw_series(bars.iter().enumerate().map(|(number, bar)| {
        let at = place(number);
        let ends = [(0.0, SegmentValue::Exact(at)), (bar.accuracy.mean, SegmentValue::Exact(at + 1))];
        let mut shape = Rectangle::new(ends, bar.ink.filled());
        shape.set_margin(4, 4, 0, 0);
        shape
    }))?;
    chart.draw_series(bars.iter().enumerate().filter_map(|(number, bar)| {
        let Interval { mean, half_width } = bar.accuracy;
        let half = half_width?;
        let centre = SegmentValue::CenterOf(place(number));
        Some(ErrorBar::new_horizontal(centre, (mean - half).max(0.0), mean, (mean + half).min(1.0), BLACK.filled(), 10))
    }))?;
    chart.draw_series(bars.iter().enumerate().map(|(number, bar)| {
        let end = (bar.accuracy.mean + bar.accuracy.half_width.unwrap_or_default()).min(1.0);
        let text = format!("{:.2} %", 100.0 * bar.accuracy.mean);
        Text::new(text, (end + 0.015, SegmentValue::CenterOf(place(number))), ("sans-serif", 13))
    }))?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Architecture, evaluation::Confusion};

    #[test]
    fn every_network_has_its_bar_and_the_paper_two() {
        let summary = |network, mean, half_width| {
            let accuracy = Interval { mean, half_width };
            Summary {
                network,
                seeds: 3,
                accuracy,
                precision: accuracy,
                recall: accuracy,
                f1: accuracy,
                behind_improved_alexnet: None,
                parameters: 1,
                ms_per_crop: 1.0,
                confusion: Confusion::default(),
            }
        };
        // An interval that is cut at 1, and none.
        let svg = draw(&[summary(Architecture::Lstm, 0.98, Some(0.1)), summary(Architecture::Cnn, 0.5, None)])
            .expect("draws");
        for text in ["98.00 %", "50.00 %", "94.37 %", "91.32 %", "lstm", "cnn", "its own data"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
