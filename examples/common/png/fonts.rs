//! Which font has a character, and what it looks like there.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use fontdb::{Database, Family, ID, Query, Style, Weight};
use tiny_skia::{Path as Outline, PathBuilder, Rect};
use ttf_parser::{Face, OutlineBuilder};

use crate::cli::Failure;
use crate::drawing::FONTS;

/// How wide the box is that stands for a character without a font.
const BOX: f32 = 0.6;

pub struct Fonts {
    database: Database,
    /// The fonts, best first.
    order: Vec<ID>,
    /// What has been looked for.
    glyphs: HashMap<char, Option<Glyph>>,
}

/// An outline, if there is anything to see, and how far it is to the next letter; for a size of 1,
/// and y downwards.
type Glyph = (Option<Outline>, f32);

impl Fonts {
    /// The fonts of a file or directory, or else the system's. There may be none.
    pub fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let mut database = Database::new();
        match path {
            Some(path) if path.is_dir() => database.load_fonts_dir(path),
            Some(path) => database
                .load_font_file(path)
                .map_err(|error| format!("--fonts {}: {error}", path.display()))?,
            None => database.load_system_fonts(),
        }
        let order = order(&database);
        Ok(Self { database, order, glyphs: HashMap::new() })
    }

    /// How to draw a character: as the first font does that has it, or as a box.
    pub fn glyph(&mut self, c: char) -> Glyph {
        let Self { database, order, glyphs } = self;
        let glyph = glyphs.entry(c).or_insert_with(|| {
            order.iter().find_map(|&id| {
                database.with_face_data(id, |data, index| find(data, index, c)).flatten()
            })
        });
        let is_space = c.is_whitespace();
        glyph.clone().unwrap_or_else(|| (if is_space { None } else { missing_box() }, BOX))
    }

    /// The characters that were looked for and are in no font.
    pub fn missing(&self) -> BTreeSet<char> {
        let missing = self.glyphs.iter().filter(|(c, glyph)| glyph.is_none() && !c.is_whitespace());
        missing.map(|(&c, _)| c).collect()
    }
}

/// The preferred fonts, then the upright ones of ordinary weight, then the others.
fn order(database: &Database) -> Vec<ID> {
    let by_name = |name| {
        let families = &[Family::Name(name)];
        database.query(&Query { families, ..Query::default() })
    };
    let mut order: Vec<ID> = FONTS.iter().filter_map(|name| by_name(name)).collect();
    let mut others: Vec<_> = database.faces().filter(|face| !order.contains(&face.id)).collect();
    others.sort_by_key(|face| (face.style != Style::Normal, face.weight != Weight::NORMAL));
    order.extend(others.iter().map(|face| face.id));
    order
}

/// A character in one font. One that leaves ink elsewhere but has no outline here, such as a
/// colourful emoji, is not in it.
fn find(data: &[u8], index: u32, c: char) -> Option<Glyph> {
    let face = Face::parse(data, index).ok()?;
    let id = face.glyph_index(c)?;
    let size = f32::from(face.units_per_em());
    let mut pen = Pen { path: PathBuilder::new(), size };
    let is_drawn = face.outline_glyph(id, &mut pen).is_some();
    let outline = if is_drawn { pen.path.finish() } else { None };
    let advance = f32::from(face.glyph_hor_advance(id)?) / size;
    (outline.is_some() || c.is_whitespace()).then_some((outline, advance))
}

/// The outline of an empty box.
fn missing_box() -> Option<Outline> {
    let mut path = PathBuilder::new();
    path.push_rect(Rect::from_ltrb(0.06, -0.7, BOX - 0.06, 0.0)?);
    // The hole runs the other way round.
    let (left, top, right, bottom) = (0.11, -0.65, BOX - 0.11, -0.05);
    path.move_to(left, top);
    for (x, y) in [(left, bottom), (right, bottom), (right, top)] {
        path.line_to(x, y);
    }
    path.close();
    path.finish()
}

/// Draws what a font says, whose y points upwards.
struct Pen {
    path: PathBuilder,
    size: f32,
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(x / self.size, -y / self.size);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(x / self.size, -y / self.size);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let [x1, y1, x, y] = [x1, -y1, x, -y].map(|n| n / self.size);
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let [x1, y1, x2, y2, x, y] = [x1, -y1, x2, -y2, x, -y].map(|n| n / self.size);
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
