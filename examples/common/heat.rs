//! Matrices as fields of colour.

use ndalbert::ndarray::ArrayView2;

use super::drawing::{Anchor, Color, Drawing, GRAY, Text};
use super::labels::text_width;

/// Which values the colours stand for, from the lightest to the darkest.
#[derive(Clone, Copy)]
pub struct Scale {
    pub low: f32,
    pub high: f32,
}

/// From light to dark, in steps distinguishable with any colour vision (ColorBrewer's YlGnBu, from near white).
const STOPS: [Color; 9] = [
    Color(250, 252, 240),
    Color(237, 248, 200),
    Color(199, 233, 180),
    Color(127, 205, 187),
    Color(65, 182, 196),
    Color(29, 145, 192),
    Color(34, 94, 168),
    Color(37, 52, 148),
    Color(8, 29, 88),
];

/// How many colours there are: each is one element of the SVG.
const LEVELS: usize = 33;

/// From this level on, what is written on a colour is white.
const DARK: usize = 22;

/// There is room for numbers in cells of this size.
const FOR_NUMBERS: f64 = 34.0;

const BORDER: Color = Color(170, 176, 184);

impl Scale {
    fn level(self, value: f32) -> usize {
        let share = (value - self.low) / (self.high - self.low);
        // What is not a number becomes 0.
        (share * (LEVELS - 1) as f32).round().clamp(0.0, (LEVELS - 1) as f32) as usize
    }

    /// What is readable on a value's colour.
    fn ink(self, value: f32) -> Color {
        if self.level(value) < DARK { Color::default() } else { Color(255, 255, 255) }
    }
}

fn color(level: usize) -> Color {
    let place = level as f64 / (LEVELS - 1) as f64 * (STOPS.len() - 1) as f64;
    let stop = (place as usize).min(STOPS.len() - 2);
    let (from, to, share) = (STOPS[stop], STOPS[stop + 1], place - stop as f64);
    let mix =
        |from: u8, to: u8| (f64::from(from) + share * (f64::from(to) - f64::from(from))) as u8;
    Color(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

impl Drawing {
    /// A square of `size` per value.
    pub fn cells(
        &mut self,
        [x, y]: [f64; 2],
        size: f64,
        values: ArrayView2<'_, f32>,
        scale: Scale,
    ) {
        let (rows, columns) = values.dim();
        let whole = [x, y, size * columns as f64, size * rows as f64];
        self.rectangles(color(0), vec![whole]);
        let mut levels: [Vec<[f64; 4]>; LEVELS] = std::array::from_fn(|_| Vec::new());
        for (row, values) in values.outer_iter().enumerate() {
            // Neighbours of one level are one rectangle.
            let row_levels: Vec<usize> = values.iter().map(|&value| scale.level(value)).collect();
            let mut column = 0;
            for run in row_levels.chunk_by(|a, b| a == b) {
                let place = [x + size * column as f64, y + size * row as f64];
                levels[run[0]].push([place[0], place[1], size * run.len() as f64, size]);
                column += run.len();
            }
        }
        for (level, cells) in levels.into_iter().enumerate().skip(1) {
            if !cells.is_empty() {
                self.rectangles(color(level), cells);
            }
        }
        let [_, _, width, height] = whole;
        let corners = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height], [0.0, 0.0]];
        self.line(BORDER, 1.0, corners.map(|[dx, dy]| [x + dx, y + dy]).to_vec());
        if size >= FOR_NUMBERS {
            self.numbers([x, y], size, values, scale);
        }
    }

    /// The values, in their cells.
    fn numbers(&mut self, [x, y]: [f64; 2], size: f64, values: ArrayView2<'_, f32>, scale: Scale) {
        for ((row, column), &value) in values.indexed_iter() {
            let middle = [column, row].map(|index| size * (index as f64 + 0.5));
            self.text(Text {
                text: format!("{value:.2}"),
                at: [x + middle[0], y + middle[1] + 4.0],
                anchor: Anchor::Middle,
                size: 11.0,
                color: scale.ink(value),
                is_turned: false,
            });
        }
    }

    /// What the colours stand for: a strip with its name before it and the ends of the scale at its sides.
    pub fn color_bar(&mut self, [x, y]: [f64; 2], name: &str, scale: Scale) {
        const STEP: f64 = 4.0;
        let text = |text: String, x| Text { text, at: [x, y], color: GRAY, ..Text::default() };
        let low = format!("{name}  {}", scale.low);
        let mut left = (x + text_width(&low, 12.0)).round();
        self.text(text(low, x));
        for level in 0..LEVELS {
            self.rectangles(color(level), vec![[left, y - 10.0, STEP, 12.0]]);
            left += STEP;
        }
        self.text(text(scale.high.to_string(), left + 6.0));
    }

    /// Names of rows that are `size` high, left of `x`, from `y` downwards.
    pub fn row_names<T: AsRef<str>>(
        &mut self,
        [x, y]: [f64; 2],
        size: f64,
        names: &[T],
        letters: f64,
    ) {
        for (row, name) in names.iter().enumerate() {
            let at = [x - 5.0, y + size * (row as f64 + 0.5) + 0.36 * letters];
            let (text, anchor) = (name.as_ref().to_owned(), Anchor::End);
            self.text(Text { text, at, anchor, size: letters, ..Text::default() });
        }
    }

    /// Names of columns that are `size` wide, above `y`, from `x` on. What does not fit is turned.
    pub fn column_names<T: AsRef<str>>(
        &mut self,
        [x, y]: [f64; 2],
        size: f64,
        names: &[T],
        letters: f64,
    ) {
        for (column, name) in names.iter().enumerate() {
            let text = name.as_ref().to_owned();
            let middle = x + size * (column as f64 + 0.5);
            let is_turned = text_width(&text, letters) > size + 1.0;
            let (at, anchor) = if is_turned {
                ([middle + 0.36 * letters, y - 5.0], Anchor::Start)
            } else {
                ([middle, y - 5.0], Anchor::Middle)
            };
            self.text(Text { text, at, anchor, size: letters, is_turned, ..Text::default() });
        }
    }
}
