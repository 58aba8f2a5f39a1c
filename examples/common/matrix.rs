//! A picture of matrices: the title and the scale above, then fields of cells with names beside and
//! above them.

use ndalbert::ndarray::ArrayView2;

use super::drawing::{Drawing, GRAY, Text};
use super::heat::Scale;
use super::labels::{shortened, text_width};

/// How wide a picture is to be where cells can be made to fit, and how wide it is at least.
pub const WIDTH: f64 = 860.0;
pub const LEAST_WIDTH: f64 = 560.0;
pub const MARGIN: f64 = 20.0;
/// Above the first field.
pub const HEADER: f64 = 112.0;

/// Names of rows or columns as they are drawn.
pub struct Names {
    pub names: Vec<String>,
    /// The size of their letters.
    pub letters: f64,
    /// How wide the widest is.
    pub widest: f64,
}

impl Names {
    pub fn new(names: Vec<String>, letters: f64) -> Self {
        let widest = names.iter().map(|name| text_width(name, letters)).fold(0.0, f64::max);
        Self { names, letters, widest }
    }
}

/// Title, subtitle, and the scale by its name.
pub fn header(drawing: &mut Drawing, subtitle: &str, (name, scale): (&str, Scale)) {
    let room = drawing.width - 2.0 * MARGIN;
    let text = |text: &str, size, at| Text {
        text: shortened(text, size, room),
        size,
        at,
        ..Text::default()
    };
    let title = drawing.title.clone();
    drawing.text(text(&title, 17.0, [MARGIN, 28.0]));
    drawing.text(Text { color: GRAY, ..text(subtitle, 12.0, [MARGIN, 48.0]) });
    drawing.color_bar([MARGIN, 70.0], name, scale);
}

/// A field of cells whose upper left corner is at `at`, with the names of its columns.
pub fn field(
    drawing: &mut Drawing,
    (at, cell): ([f64; 2], f64),
    columns: &Names,
    values: ArrayView2<'_, f32>,
    scale: Scale,
) {
    drawing.column_names(at, cell, &columns.names, columns.letters);
    drawing.cells(at, cell, values, scale);
}
