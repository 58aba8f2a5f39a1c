//! Where everything of an attention map stands: a row of fields per layer, a column per head.

use ndalbert::ndarray::{Array3, Axis};

use super::cli::Failure;
use super::drawing::{Anchor, Drawing, GRAY, Text};
use super::heat::Scale;
use super::labels::{shortened, text_width};

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

/// The width of a picture if cells can be made to fit.
const WIDTH: f64 = 860.0;
/// Tokens are readable beside cells of this size.
const SMALLEST: f64 = 11.0;
const LARGEST: f64 = 40.0;
const MARGIN: f64 = 20.0;
/// Above the fields.
const HEADER: f64 = 112.0;
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
        let names: Vec<String> =
            self.tokens.iter().map(|token| shortened(token, letters, LONGEST)).collect();
        let widest = names.iter().map(|name| text_width(name, letters)).fold(0.0, f64::max);
        let place = Place { cell, letters, widest, field: cell * count as f64 };

        let left = (MARGIN + 32.0 + widest).round();
        let width = left + (place.field + GAP) * heads as f64 - GAP + MARGIN;
        let row = place.above(&names) + place.field + GAP;
        let mut drawing =
            Drawing::new(width.max(560.0), HEADER + row * layers as f64 + 4.0, &self.title);
        self.header(&mut drawing, left, &place);
        for (index, &layer) in self.layers.iter().enumerate() {
            let y = HEADER + row * index as f64 + place.above(&names);
            self.layer(&mut drawing, [left, y], layer, &names, &place);
        }
        Ok(drawing)
    }

    /// Title, legend, and the heads' names.
    fn header(&self, drawing: &mut Drawing, left: f64, place: &Place) {
        let room = drawing.width - 2.0 * MARGIN;
        let text = |text: &str, size, at| Text {
            text: shortened(text, size, room),
            size,
            at,
            ..Text::default()
        };
        drawing.text(text(&self.title, 17.0, [MARGIN, 28.0]));
        let model = format!("{}: how much a row's token attends to a column's", self.model);
        drawing.text(Text { color: GRAY, ..text(&model, 12.0, [MARGIN, 48.0]) });
        drawing.color_bar([MARGIN, 70.0], "attention", SCALE);
        for (index, head) in self.heads.iter().enumerate() {
            let x = left + (place.field + GAP) * index as f64 + place.field / 2.0;
            let name = format!("head {}", head + 1);
            drawing.text(Text { anchor: Anchor::Middle, ..text(&name, 13.0, [x, HEADER - 8.0]) });
        }
    }

    fn layer(
        &self,
        drawing: &mut Drawing,
        [left, y]: [f64; 2],
        layer: usize,
        names: &[String],
        place: &Place,
    ) {
        let Place { cell, letters, field, .. } = *place;
        drawing.text(Text {
            text: format!("layer {}", layer + 1),
            at: [MARGIN + 10.0, y + field / 2.0],
            anchor: Anchor::Middle,
            size: 13.0,
            is_turned: true,
            ..Text::default()
        });
        drawing.row_names([left, y], cell, names, letters);
        for (index, &head) in self.heads.iter().enumerate() {
            let x = left + (field + GAP) * index as f64;
            drawing.column_names([x, y], cell, names, letters);
            let values = self.attentions[layer].index_axis(Axis(0), head);
            drawing.cells([x, y], cell, values, SCALE);
        }
    }
}

/// Sizes of what is repeated.
struct Place {
    cell: f64,
    letters: f64,
    /// The widest name of a token.
    widest: f64,
    field: f64,
}

impl Place {
    /// How high the names above a field are.
    fn above(&self, names: &[String]) -> f64 {
        let fits = names.iter().all(|name| text_width(name, self.letters) <= self.cell + 1.0);
        if fits { self.letters + 8.0 } else { self.widest + 8.0 }
    }
}
