//! Where everything of an attention map stands: a row of fields per layer, a column per head.

use ndalbert::ndarray::{Array3, Axis};

use super::cli::Failure;
use super::drawing::{Anchor, Drawing, Text};
use super::heat::Scale;
use super::labels::{shortened, text_width};
use super::matrix::{self, HEADER, LEAST_WIDTH, MARGIN, Names, WIDTH};

/// What is drawn.
pub struct Map<'a> {
    pub title: String,
    pub model: String,
    pub tokens: &'a [String],
    /// Per layer, `[A, S, S]`.
    pub attentions: &'a [Array3<f32>],
    /// Which to draw, counted from 0.
    pub layers: Vec<usize>,
    pub heads: Vec<usize>,
}

/// Tokens are readable beside cells of this size.
const SMALLEST: f64 = 11.0;
const LARGEST: f64 = 40.0;
const GAP: f64 = 16.0;
/// What a token's name may take.
const LONGEST: f64 = 84.0;
const SCALE: Scale = Scale { low: 0.0, high: 1.0 };
/// More rectangles than this make an SVG that nothing can show.
const MOST_CELLS: usize = 2_000_000;

impl Map<'_> {
    pub fn draw(&self) -> Result<Drawing, Failure> {
        let (count, heads, layers) = (self.tokens.len(), self.heads.len(), self.layers.len());
        if count * count * heads * layers > MOST_CELLS {
            return Err(format!(
                "{count} tokens in {heads} heads of {layers} layers are too many to draw: --heads and --layers \
                 choose some, or a shorter text"
            )
            .into());
        }
        let room = WIDTH - 2.0 * MARGIN - 90.0 - GAP * (heads - 1) as f64;
        let cell = (room / (heads * count) as f64).floor().clamp(SMALLEST, LARGEST);
        let letters = (cell - 1.0).min(13.0);
        let names = self.tokens.iter().map(|token| shortened(token, letters, LONGEST)).collect();
        let place = Place { cell, field: cell * count as f64, names: Names::new(names, letters) };

        let left = (MARGIN + 32.0 + place.names.widest).round();
        let width = left + (place.field + GAP) * heads as f64 - GAP + MARGIN;
        let row = place.above() + place.field + GAP;
        let height = HEADER + row * layers as f64 + 4.0;
        let mut drawing = Drawing::new(width.max(LEAST_WIDTH), height, &self.title);
        self.header(&mut drawing, left, &place);
        for (index, &layer) in self.layers.iter().enumerate() {
            let y = HEADER + row * index as f64 + place.above();
            self.layer(&mut drawing, [left, y], layer, &place);
        }
        Ok(drawing)
    }

    /// Title, legend, and the heads' names.
    fn header(&self, drawing: &mut Drawing, left: f64, place: &Place) {
        let subtitle = format!("{}: how much a row's token attends to a column's", self.model);
        matrix::header(drawing, &subtitle, ("attention", SCALE));
        for (index, head) in self.heads.iter().enumerate() {
            let x = left + (place.field + GAP) * index as f64 + place.field / 2.0;
            drawing.text(Text {
                text: format!("head {}", head + 1),
                at: [x, HEADER - 8.0],
                anchor: Anchor::Middle,
                size: 13.0,
                ..Text::default()
            });
        }
    }

    fn layer(&self, drawing: &mut Drawing, [left, y]: [f64; 2], layer: usize, place: &Place) {
        let Place { cell, field, names } = place;
        drawing.text(Text {
            text: format!("layer {}", layer + 1),
            at: [MARGIN + 10.0, y + field / 2.0],
            anchor: Anchor::Middle,
            size: 13.0,
            is_turned: true,
            ..Text::default()
        });
        drawing.row_names([left, y], *cell, &names.names, names.letters);
        for (index, &head) in self.heads.iter().enumerate() {
            let x = left + (field + GAP) * index as f64;
            let values = self.attentions[layer].index_axis(Axis(0), head);
            matrix::field(drawing, ([x, y], *cell), names, values, SCALE);
        }
    }
}

/// What is repeated for every layer and head.
struct Place {
    cell: f64,
    field: f64,
    /// Of tokens.
    names: Names,
}

impl Place {
    /// How high the names above a field are.
    fn above(&self) -> f64 {
        let Names { names, letters, widest } = &self.names;
        let fits = names.iter().all(|name| text_width(name, *letters) <= self.cell + 1.0);
        if fits { letters + 8.0 } else { widest + 8.0 }
    }
}
