//! A picture as SVG.

use std::fmt::Write;

use super::{Anchor, Color, Drawing, FONTS, SIZE, Shape, Text};

impl Drawing {
    /// The picture as an SVG file. Letters are the viewer's.
    pub fn to_svg(&self) -> String {
        let Self { width, height, title, shapes } = self;
        let (width, height, size) = (Number(*width), Number(*height), Number(SIZE));
        let families = FONTS.map(|font| format!("'{font}'")).join(", ");
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{families}, sans-serif\" \
             font-size=\"{size}\" stroke-linecap=\"round\" stroke-linejoin=\"round\">\n\
             <title>{}</title>\n",
            escape(title)
        );
        for shape in shapes {
            // Writing to a string cannot fail.
            let _ = match shape {
                Shape::Rectangles { color, rectangles } => rects(&mut svg, *color, rectangles),
                Shape::Line { color, width, points } => {
                    let points =
                        points.iter().map(|&[x, y]| format!("{},{}", Number(x), Number(y)));
                    let points = points.collect::<Vec<_>>().join(" ");
                    let width = Number(*width);
                    writeln!(
                        svg,
                        "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" points=\"{points}\"/>"
                    )
                }
                Shape::Text(shape) => text(&mut svg, shape),
            };
        }
        svg + "</svg>\n"
    }
}

/// One path for all, which takes less space than elements; what is filled needs not be closed.
fn rects(svg: &mut String, color: Color, rectangles: &[[f64; 4]]) -> std::fmt::Result {
    write!(svg, "<path shape-rendering=\"crispEdges\" fill=\"{color}\" d=\"")?;
    for [x, y, width, height] in rectangles.iter().map(|numbers| numbers.map(Number)) {
        write!(svg, "M{x} {y}h{width}v{height}h{}", Number(-width.0))?;
    }
    writeln!(svg, "\"/>")
}

fn text(svg: &mut String, text: &Text) -> std::fmt::Result {
    let [x, y] = text.at.map(Number);
    write!(svg, "<text x=\"{x}\" y=\"{y}\"")?;
    match text.anchor {
        Anchor::Start => {}
        Anchor::Middle => svg.push_str(" text-anchor=\"middle\""),
        Anchor::End => svg.push_str(" text-anchor=\"end\""),
    }
    if text.size != SIZE {
        write!(svg, " font-size=\"{}\"", Number(text.size))?;
    }
    if text.color != Color::default() {
        write!(svg, " fill=\"{}\"", text.color)?;
    }
    if text.is_turned {
        write!(svg, " transform=\"rotate(-90 {x} {y})\"")?;
    }
    writeln!(svg, ">{}</text>", escape(&text.text))
}

/// A number without invisible digits.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", (self.0 * 10.0).round() / 10.0)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
