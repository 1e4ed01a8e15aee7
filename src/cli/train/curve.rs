//! The learning curve: loss and validation figures, epoch by epoch.

use plotters::prelude::*;

use crate::{
    cli::error::{Exit, Failure},
    nn::training::Epoch,
};

const LOSS: RGBColor = RGBColor(213, 94, 0);
const ACCURACY: RGBColor = RGBColor(0, 114, 178);
const MACRO_F1: RGBColor = RGBColor(0, 158, 115);

/// Draws it as SVG.
///
/// # Errors
/// If the drawing library fails.
pub fn draw(history: &[Epoch]) -> Result<String, Failure> {
    let mut svg = String::new();
    draw_into(history, &mut svg).map_err(|error| Failure::new(Exit::Other, format!("drawing: {error}")))?;
    Ok(svg)
}

fn draw_into(history: &[Epoch], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let most = history.iter().map(|epoch| epoch.loss).fold(0.1, f64::max);
    let root = SVGBackend::with_string(svg, (760, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    let epochs = 1..history.len().max(2);
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .right_y_label_area_size(52)
        .build_cartesian_2d(epochs.clone(), 0.0..1.05 * most)?
        .set_secondary_coord(epochs, 0.0..1.0);
    chart.configure_mesh().x_desc("epoch").y_desc("loss, nats").draw()?;
    chart.configure_secondary_axes().y_desc("share").draw()?;
    let line = |of: fn(&Epoch) -> f64, ink: RGBColor| {
        let points: Vec<(usize, f64)> = (1..).zip(history.iter().map(of)).collect();
        std::iter::once(PathElement::new(points, ink.stroke_width(2)))
    };
    let legend = |ink: RGBColor| move |(x, y)| PathElement::new([(x, y), (x + 16, y)], ink.stroke_width(2));
    chart.draw_series(line(|epoch| epoch.loss, LOSS))?.label("training loss").legend(legend(LOSS));
    chart
        .draw_secondary_series(line(|epoch| epoch.validation_accuracy, ACCURACY))?
        .label("validation accuracy")
        .legend(legend(ACCURACY));
    chart
        .draw_secondary_series(line(|epoch| epoch.validation_macro_f1, MACRO_F1))?
        .label("validation macro-F1")
        .legend(legend(MACRO_F1));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn() {
        let epoch = |loss| Epoch { loss, validation_accuracy: 0.5, validation_macro_f1: 0.4 };
        let svg = draw(&[epoch(1.8), epoch(0.9)]).expect("draws");
        assert!(svg.matches("<polyline").count() >= 3, "{svg}");
        for word in ["training loss", "validation accuracy", "validation macro-F1"] {
            assert!(svg.contains(word), "{word}");
        }
        draw(&[epoch(1.0)]).expect("one epoch is a curve, too");
    }
}
