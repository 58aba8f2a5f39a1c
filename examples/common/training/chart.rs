//! A line chart as SVG, without a library: axes, grid, one line per series, a legend.

use std::fmt::Write;

/// A line and its name.
pub struct Series {
    pub name: String,
    /// By x, ascending.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 860.0;
const PANEL: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 30.0;
const COLORS: [&str; 6] = ["#1f6fb4", "#d1495b", "#3a8f5c", "#8a5fbf", "#c77f1b", "#4f5d75"];

/// Panels above each other with one x axis, each with a title and its series.
pub fn chart(title: &str, x_label: &str, panels: &[(&str, &[Series])]) -> String {
    let height = TOP + PANEL * panels.len() as f64 + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"16\">{}</text>\n",
        escape(title)
    );
    let xs = panels.iter().flat_map(|(_, series)| *series).flat_map(|s| &s.points).map(|p| p.0);
    let x_range = range(xs);
    for (index, (name, series)) in panels.iter().enumerate() {
        panel(&mut svg, TOP + PANEL * index as f64, name, series, x_range);
    }
    let x = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n</svg>",
        height - 6.0,
        escape(x_label)
    );
    svg
}

fn panel(svg: &mut String, top: f64, name: &str, series: &[Series], x_range: (f64, f64)) {
    let values = series.iter().flat_map(|s| &s.points).map(|p| p.1);
    let y_range = range(values);
    let (right, upper, lower) = (WIDTH - RIGHT, top + 16.0, top + PANEL - 24.0);
    let x_of = |x: f64| LEFT + (x - x_range.0) / (x_range.1 - x_range.0) * (right - LEFT);
    let y_of = |y: f64| lower - (y - y_range.0) / (y_range.1 - y_range.0) * (lower - upper);
    let _ =
        writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", right + 14.0, top + 16.0, escape(name));
    for tick in ticks(y_range) {
        let y = y_of(tick);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            shown(tick)
        );
    }
    for tick in ticks(x_range) {
        let x = x_of(tick);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{upper}\" y2=\"{lower}\" stroke=\"#eee\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            lower + 15.0,
            shown(tick)
        );
    }
    for (index, Series { name, points }) in series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let finite = points.iter().filter(|(_, y)| y.is_finite());
        let line: Vec<String> =
            finite.map(|&(x, y)| format!("{:.1},{:.1}", x_of(x), y_of(y))).collect();
        let y = top + 36.0 + 18.0 * index as f64;
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\" points=\"{}\"/>\n\
             <rect x=\"{}\" y=\"{}\" width=\"12\" height=\"3\" fill=\"{color}\"/>\
             <text x=\"{}\" y=\"{y}\">{}</text>",
            line.join(" "),
            right + 14.0,
            y - 5.0,
            right + 32.0,
            escape(name)
        );
    }
}

/// The least and the largest finite value, somewhat apart.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    match (low, high) {
        (low, high) if low < high => (low, high),
        (low, high) if low == high => (low - 0.5, high + 0.5),
        _ => (0.0, 1.0),
    }
}

/// Four to eight round numbers within a range.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let step = 10f64.powf(((high - low) / 4.0).log10().floor());
    let step = [5.0, 2.0, 1.0]
        .into_iter()
        .map(|factor| factor * step)
        .find(|step| (high - low) / step >= 4.0)
        .unwrap_or(step);
    let first = (low / step).ceil() as i64;
    (first..=(high / step).floor() as i64).map(|i| i as f64 * step).collect()
}

fn shown(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
