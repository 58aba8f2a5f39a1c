//! The learning curve.

use super::axes::{Frame, Ranges, Series};
use super::drawing::{Anchor, Drawing, Text};

const WIDTH: f64 = 860.0;
const PANEL: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 30.0;

/// Panels above each other with one x axis, each with a title and its series.
pub fn chart(title: &str, x_label: &str, panels: &[(&str, &[Series])]) -> Drawing {
    let height = TOP + PANEL * panels.len() as f64 + BOTTOM;
    let mut drawing = Drawing::new(WIDTH, height, title);
    let text = |text: &str, at| Text { text: text.to_owned(), at, ..Text::default() };
    drawing.text(Text { size: 16.0, ..text(title, [LEFT, 22.0]) });
    let x = Ranges::of(panels.iter().flat_map(|(_, series)| *series)).x;
    for (index, (name, series)) in panels.iter().enumerate() {
        let top = TOP + PANEL * index as f64;
        let frame = Frame { left: LEFT, right: RIGHT, top: top + 16.0, bottom: top + PANEL - 24.0 };
        drawing.lines(&frame, &Ranges { x, ..Ranges::of(*series) }, series);
        drawing.text(text(name, [RIGHT + 14.0, top + 16.0]));
        drawing.legend([RIGHT + 14.0, top + 40.0], series);
    }
    let at = [(LEFT + RIGHT) / 2.0, height - 6.0];
    drawing.text(Text { anchor: Anchor::Middle, ..text(x_label, at) });
    drawing
}
