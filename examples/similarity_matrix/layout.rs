//! Where everything of a matrix of similarities stands.

use ndalbert::ndarray::Array2;

use super::cli::Failure;
use super::drawing::{Drawing, GRAY, Text};
use super::heat::Scale;
use super::labels::{shortened, text_width};

/// What is drawn.
pub struct Matrix<'a> {
    pub subtitle: String,
    pub texts: &'a [String],
    /// `[N, N]`.
    pub cosines: &'a Array2<f32>,
}

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 20.0;
/// Above the matrix.
const HEADER: f64 = 112.0;
const LETTERS: f64 = 13.0;
/// The width of a text next to its row.
const LONGEST: f64 = 340.0;
const SMALLEST: f64 = 16.0;
const LARGEST: f64 = 48.0;
const MOST_TEXTS: usize = 400;

impl Matrix<'_> {
    pub fn draw(&self) -> Result<Drawing, Failure> {
        let count = self.texts.len();
        if count > MOST_TEXTS {
            return Err(format!("{count} texts are too many to draw: at most {MOST_TEXTS}").into());
        }
        let number = |(index, text): (usize, &String)| {
            format!("{}  {index}", shortened(text, LETTERS, LONGEST))
        };
        let names: Vec<String> = (1..).zip(self.texts).map(number).collect();
        let widest = names.iter().map(|name| text_width(name, LETTERS)).fold(0.0, f64::max);
        let left = (MARGIN + widest + 8.0).round();
        let cell = ((WIDTH - left - MARGIN) / count as f64).floor().clamp(SMALLEST, LARGEST);
        let field = cell * count as f64;
        let width = (left + field + MARGIN).max(560.0);
        let mut drawing = Drawing::new(width, HEADER + field + MARGIN, "How alike texts are");

        let scale = Scale { low: self.lowest(), high: 1.0 };
        self.header(&mut drawing, scale);
        drawing.row_names([left, HEADER], cell, &names, LETTERS);
        let numbers: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
        drawing.column_names([left, HEADER], cell, &numbers, LETTERS.min(cell - 4.0));
        drawing.cells([left, HEADER], cell, self.cosines.view(), scale);
        Ok(drawing)
    }

    fn header(&self, drawing: &mut Drawing, scale: Scale) {
        let text = shortened(&self.subtitle, 12.0, drawing.width - 2.0 * MARGIN);
        let (title, size) = (drawing.title.clone(), 17.0);
        drawing.text(Text { text: title, at: [MARGIN, 28.0], size, ..Text::default() });
        drawing.text(Text { text, at: [MARGIN, 48.0], color: GRAY, ..Text::default() });
        drawing.color_bar([MARGIN, 72.0], "cosine", scale);
    }

    /// The least cosine, rounded down to a tenth, so that all colours are used.
    fn lowest(&self) -> f32 {
        let least = self.cosines.iter().copied().fold(1.0, f32::min);
        ((least * 10.0).floor() / 10.0).clamp(-1.0, 0.9)
    }
}
