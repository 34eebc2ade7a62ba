//! Pictures of results.

use std::error::Error;

use plotters::prelude::*;

use super::report::folder;

const SIZE: (u32, u32) = (900, 520);
const COLOURS: [RGBColor; 4] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 96, 20),
    RGBColor(44, 140, 60),
    RGBColor(120, 120, 120),
];

/// A line for each series, over a logarithmic axis.
///
/// # Panics
///
/// If the picture cannot be written.
pub fn lines(file: &str, title: &str, x: &str, y: &str, series: &[(&str, Vec<(f64, f64)>)]) {
    let path = folder().join(file);
    let draw = || -> Result<(), Box<dyn Error>> {
        let points = || series.iter().flat_map(|(_, points)| points);
        let (left, right) = (
            points().map(|p| p.0).fold(f64::MAX, f64::min),
            points().map(|p| p.0).fold(0.0, f64::max),
        );
        let top = points().map(|p| p.1).fold(0.0, f64::max) * 1.1;
        let area = SVGBackend::new(&path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((left..right * 1.01).log_scale(), 0.0..top)?;
        chart.configure_mesh().x_desc(x).y_desc(y).draw()?;
        for ((name, points), colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart
                .draw_series(line)?
                .label(*name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], *colour));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .position(SeriesLabelPosition::UpperLeft)
            .draw()?;
        area.present()?;
        Ok(())
    };
    draw().expect("a picture can be written");
    println!("written: {}", path.display());
}

/// A bar for each value, the longest at the bottom.
///
/// # Panics
///
/// If the picture cannot be written.
pub fn bars(file: &str, title: &str, unit: &str, values: &[(&str, f64)]) {
    let path = folder().join(file);
    let draw = || -> Result<(), Box<dyn Error>> {
        let mut values = values.to_vec();
        values.sort_by(|a, b| a.1.total_cmp(&b.1));
        let longest = values.last().map_or(1.0, |value| value.1).max(1.0);
        let height = 24 * values.len() as u32 + 56;
        let area = SVGBackend::new(&path, (SIZE.0, height)).into_drawing_area();
        area.fill(&WHITE)?;
        area.draw(&Text::new(title, (16, 16), ("sans-serif", 20)))?;
        for (number, (name, value)) in values.iter().enumerate() {
            let top = 48 + 24 * number as i32;
            let right = 240 + (value.max(0.0) / longest * 540.0) as i32;
            let colour = if name.starts_with("ours") {
                COLOURS[0]
            } else {
                COLOURS[3]
            };
            area.draw(&Text::new(*name, (16, top + 2), ("sans-serif", 14)))?;
            let bar = [(240, top), (right, top + 18)];
            area.draw(&Rectangle::new(bar, colour.filled()))?;
            let label = format!("{value:.0} {unit}");
            area.draw(&Text::new(label, (right + 8, top + 2), ("sans-serif", 14)))?;
        }
        area.present()?;
        Ok(())
    };
    draw().expect("a picture can be written");
    println!("written: {}", path.display());
}
