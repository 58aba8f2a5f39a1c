//! Pictures: shapes that know their places. `svg.rs` makes SVG of them, `../png` pixels.
//!
mod svg;

use std::fmt;

/// A picture of so many pixels (at scale 1), on white.
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    /// What is read to those who do not see it.
    pub title: String,
    pub shapes: Vec<Shape>,
}

pub enum Shape {
    /// Rectangles of one colour, each as x, y, width and height.
    Rectangles {
        color: Color,
        rectangles: Vec<[f64; 4]>,
    },
    /// A line through points, with round ends: two equal points are a dot.
    Line {
        color: Color,
        width: f64,
        points: Vec<[f64; 2]>,
    },
    Text(Text),
}

/// A line of text.
#[derive(Clone, Default)]
pub struct Text {
    pub text: String,
    /// Where it is anchored, on the line that letters stand on.
    pub at: [f64; 2],
    pub anchor: Anchor,
    /// How high letters are, about; it is [`SIZE`] if it is 0.
    pub size: f64,
    pub color: Color,
    /// Whether it is read upwards.
    pub is_turned: bool,
}

/// Which part of a text is where it is put.
#[derive(Clone, Copy, Default, PartialEq)]
pub enum Anchor {
    #[default]
    Start,
    Middle,
    End,
}

/// Red, green and blue; black by default.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

/// What says less than black.
pub const GRAY: Color = Color(90, 96, 105);

/// The size of text that says nothing of it.
pub const SIZE: f64 = 12.0;

/// What letters are looked for in, best first: what there is on Linux, macOS and Windows, with
/// simplified Chinese before other ways to write the same characters.
pub const FONTS: [&str; 14] = [
    "Helvetica",
    "Arial",
    "Liberation Sans",
    "DejaVu Sans",
    "Noto Sans",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
];

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(red, green, blue) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Drawing {
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut drawing = Self { width, height, title: printable(title), shapes: Vec::new() };
        drawing.rectangles(Color(255, 255, 255), vec![[0.0, 0.0, width, height]]);
        drawing
    }

    pub fn rectangles(&mut self, color: Color, rectangles: Vec<[f64; 4]>) {
        self.shapes.push(Shape::Rectangles { color, rectangles });
    }

    pub fn line(&mut self, color: Color, width: f64, points: Vec<[f64; 2]>) {
        self.shapes.push(Shape::Line { color, width, points });
    }

    pub fn text(&mut self, text: Text) {
        let size = if text.size == 0.0 { SIZE } else { text.size };
        let printable = printable(&text.text);
        self.shapes.push(Shape::Text(Text { text: printable, size, ..text }));
    }
}

/// What XML cannot hold, and what would turn the text around it, replaced by a sign that says so.
fn printable(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
