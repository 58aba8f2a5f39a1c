//! Lines over two axes.

use super::drawing::{Anchor, Color, Drawing, GRAY, Text};

/// A line and its name.
pub struct Series {
    pub name: String,
    /// By x, ascending.
    pub points: Vec<(f64, f64)>,
}

/// The area of lines, without the labels of axes.
pub struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// What x and y go through.
pub struct Ranges {
    pub x: (f64, f64),
    pub y: (f64, f64),
    /// How far apart the numbers of x are at least: 1 where there is nothing between whole ones.
    pub x_step: f64,
}

/// Distinguishable with any colour vision (Okabe and Ito).
const COLORS: [Color; 6] = [
    Color(0, 114, 178),
    Color(213, 94, 0),
    Color(0, 158, 115),
    Color(204, 121, 167),
    Color(230, 159, 0),
    Color(86, 180, 233),
];

const GRID: Color = Color(226, 228, 232);

/// How large numbers and names are.
const SIZE: f64 = 12.0;

/// Up to so many points of a line are marked by dots.
const DOTS: usize = 32;

impl Ranges {
    /// What holds all points.
    pub fn of<'a>(series: impl IntoIterator<Item = &'a Series>) -> Self {
        let points = series.into_iter().flat_map(|series| &series.points);
        let (x, y): (Vec<f64>, Vec<f64>) = points.copied().unzip();
        Self { x: range(x), y: range(y), x_step: 1.0 }
    }
}

impl Drawing {
    /// A grid with its numbers, and the lines.
    pub fn lines(&mut self, frame: &Frame, ranges: &Ranges, series: &[Series]) {
        let Frame { left, right, top, bottom } = *frame;
        let x_of = |x: f64| left + (x - ranges.x.0) / (ranges.x.1 - ranges.x.0) * (right - left);
        let y_of = |y: f64| bottom - (y - ranges.y.0) / (ranges.y.1 - ranges.y.0) * (bottom - top);
        let number = |tick: f64, at, anchor| {
            let text = shown(tick);
            Text { text, at, anchor, size: SIZE, color: GRAY, ..Text::default() }
        };
        for tick in ticks(ranges.y, 0.0) {
            let y = y_of(tick);
            self.line(GRID, 1.0, vec![[left, y], [right, y]]);
            self.text(number(tick, [left - 8.0, y + 4.0], Anchor::End));
        }
        for tick in ticks(ranges.x, ranges.x_step) {
            let x = x_of(tick);
            self.line(GRID, 1.0, vec![[x, top], [x, bottom]]);
            self.text(number(tick, [x, bottom + 18.0], Anchor::Middle));
        }
        for (series, color) in series.iter().zip(COLORS.into_iter().cycle()) {
            let finite = series.points.iter().filter(|(_, y)| y.is_finite());
            let points: Vec<[f64; 2]> = finite.map(|&(x, y)| [x_of(x), y_of(y)]).collect();
            if points.len() <= DOTS {
                points.iter().for_each(|&point| self.line(color, 6.0, vec![point, point]));
            }
            self.line(color, 1.8, points);
        }
    }

    /// The names of lines, below each other.
    pub fn legend(&mut self, [x, y]: [f64; 2], series: &[Series]) {
        for ((index, series), color) in series.iter().enumerate().zip(COLORS.into_iter().cycle()) {
            let y = y + 18.0 * index as f64;
            self.line(color, 3.0, vec![[x, y - 4.0], [x + 14.0, y - 4.0]]);
            let text = series.name.clone();
            self.text(Text { text, at: [x + 22.0, y], size: SIZE, ..Text::default() });
        }
    }
}

/// The least and the largest finite value, somewhat apart.
fn range(values: Vec<f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    match (low, high) {
        (low, high) if low < high => (low, high),
        (low, high) if low == high => (low - 0.5, high + 0.5),
        _ => (0.0, 1.0),
    }
}

/// Four to eight round numbers within a range, or fewer if they would be less than `least` apart.
fn ticks((low, high): (f64, f64), least: f64) -> Vec<f64> {
    let step = 10f64.powf(((high - low) / 4.0).log10().floor());
    let step = [5.0, 2.0, 1.0]
        .into_iter()
        .map(|factor| factor * step)
        .find(|step| (high - low) / step >= 4.0)
        .unwrap_or(step)
        .max(least);
    let first = (low / step).ceil() as i64;
    (first..=(high / step).floor() as i64).map(|i| i as f64 * step).collect()
}

fn shown(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
