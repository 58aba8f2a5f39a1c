//! A picture as pixels, with the fonts of this machine.

mod fonts;

use std::collections::BTreeSet;
use std::path::Path;

use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path as Outline, PathBuilder, Pixmap, Rect, Stroke,
    Transform,
};

use super::cli::Failure;
use super::drawing::{Anchor, Color, Drawing, Shape, Text};
use fonts::Fonts;

/// Some 256 MB in memory. A larger picture is painted smaller.
const MOST_PIXELS: f64 = 64e6;

/// A PNG file.
pub struct Png {
    pub bytes: Vec<u8>,
    pub width: u32,
    pub height: u32,
    /// The characters that no font has. There is a box for each.
    pub missing: BTreeSet<char>,
}

struct Painter {
    pixels: Pixmap,
    scale: Transform,
    fonts: Fonts,
}

/// Paints a picture at `scale` pixels per pixel, with the fonts of a file or directory, or else the
/// system's.
pub fn pixels(drawing: &Drawing, scale: f32, fonts: Option<&Path>) -> Result<Png, Failure> {
    let most = (MOST_PIXELS / (drawing.width * drawing.height)).sqrt();
    let scale = f64::from(scale).min(most);
    let [width, height] = [drawing.width, drawing.height].map(|size| (size * scale).ceil() as u32);
    let Some(pixels) = Pixmap::new(width, height) else {
        return Err(format!("a PNG of {width} × {height} pixels cannot be made").into());
    };
    let scale = Transform::from_scale(scale as f32, scale as f32);
    let mut painter = Painter { pixels, scale, fonts: Fonts::load(fonts)? };
    drawing.shapes.iter().for_each(|shape| painter.shape(shape));
    let Painter { pixels, fonts, .. } = painter;
    Ok(Png { bytes: pixels.encode_png()?, width, height, missing: fonts.missing() })
}

impl Painter {
    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Rectangles { color, rectangles } => {
                // Cells that touch show no seams.
                let paint = Paint { anti_alias: false, ..ink(*color) };
                for [x, y, width, height] in rectangles.iter().map(|r| r.map(|n| n as f32)) {
                    if let Some(rect) = Rect::from_xywh(x, y, width, height) {
                        self.pixels.fill_rect(rect, &paint, self.scale, None);
                    }
                }
            }
            Shape::Line { color, width, points } => {
                let mut path = PathBuilder::new();
                for (index, [x, y]) in points.iter().map(|p| p.map(|n| n as f32)).enumerate() {
                    if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
                }
                let (width, line_cap, line_join) = (*width as f32, LineCap::Round, LineJoin::Round);
                let stroke = Stroke { width, line_cap, line_join, ..Stroke::default() };
                if let Some(path) = path.finish() {
                    self.pixels.stroke_path(&path, &ink(*color), &stroke, self.scale, None);
                }
            }
            Shape::Text(text) => self.text(text),
        }
    }

    /// One letter after the other: nothing is shaped, as scripts such as Arabic would need.
    fn text(&mut self, text: &Text) {
        let glyphs: Vec<(Option<Outline>, f32)> =
            text.text.chars().map(|c| self.fonts.glyph(c)).collect();
        let width: f32 = glyphs.iter().map(|(_, advance)| advance).sum();
        let mut pen = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -width / 2.0,
            Anchor::End => -width,
        };
        let (size, [x, y]) = (text.size as f32, text.at.map(|n| n as f32));
        let turn = Transform::from_rotate(if text.is_turned { -90.0 } else { 0.0 });
        let place = turn.pre_scale(size, size).post_translate(x, y).post_concat(self.scale);
        for (outline, advance) in glyphs {
            if let Some(outline) = outline {
                let place = place.pre_translate(pen, 0.0);
                let (color, rule) = (ink(text.color), FillRule::Winding);
                self.pixels.fill_path(&outline, &color, rule, place, None);
            }
            pen += advance;
        }
    }
}

fn ink(color: Color) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(color.0, color.1, color.2, 255);
    paint
}
