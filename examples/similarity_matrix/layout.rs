//! Where everything of a matrix of similarities stands.

use ndalbert::ndarray::Array2;

use super::cli::Failure;
use super::drawing::Drawing;
use super::heat::Scale;
use super::labels::shortened;
use super::matrix::{self, HEADER, LEAST_WIDTH, MARGIN, Names, WIDTH};

/// What is drawn.
pub struct Matrix<'a> {
    pub subtitle: String,
    pub texts: &'a [String],
    /// `[N, N]`.
    pub cosines: &'a Array2<f32>,
}

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
        let names = Names::new((1..).zip(self.texts).map(number).collect(), LETTERS);
        let left = (MARGIN + names.widest + 8.0).round();
        let cell = ((WIDTH - left - MARGIN) / count as f64).floor().clamp(SMALLEST, LARGEST);
        let side = cell * count as f64;
        let width = (left + side + MARGIN).max(LEAST_WIDTH);
        let mut drawing = Drawing::new(width, HEADER + side + MARGIN, "How alike texts are");

        let scale = Scale { low: self.lowest(), high: 1.0 };
        matrix::header(&mut drawing, &self.subtitle, ("cosine", scale));
        let at = [left, HEADER];
        drawing.row_names(at, cell, &names.names, LETTERS);
        let numbers = (1..=count).map(|number| number.to_string()).collect();
        let numbers = Names::new(numbers, LETTERS.min(cell - 4.0));
        matrix::field(&mut drawing, (at, cell), &numbers, self.cosines.view(), scale);
        Ok(drawing)
    }

    /// The least cosine, rounded down to a tenth, so that colours are not spent on values that
    /// there are none of.
    fn lowest(&self) -> f32 {
        let least = self.cosines.iter().copied().fold(1.0, f32::min);
        ((least * 10.0).floor() / 10.0).clamp(-1.0, 0.9)
    }
}
