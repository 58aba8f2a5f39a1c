//! Tables for a terminal.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// Where the text of a column stands.
#[derive(Clone, Copy, PartialEq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of text under a header, aligned by what they take up in a terminal: a Chinese character is
/// two columns wide.
pub struct Table<const COLUMNS: usize> {
    align: [Align; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub fn new(header: [(&str, Align); COLUMNS]) -> Self {
        let names = header.map(|(name, _)| name.to_owned());
        Self { align: header.map(|(_, align)| align), rows: vec![names] }
    }

    pub fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }

    fn widths(&self) -> [usize; COLUMNS] {
        std::array::from_fn(|column| {
            self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0)
        })
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (i, row) in self.rows.iter().enumerate() {
            writeln!(f, "{}", line(row, &widths, &self.align))?;
            if i == 0 {
                let rules = widths.map(|width| "-".repeat(width));
                writeln!(f, "{}", line(&rules, &widths, &self.align))?;
            }
        }
        Ok(())
    }
}

/// One row, indented by two spaces and without spaces at its end.
fn line(cells: &[String], widths: &[usize], align: &[Align]) -> String {
    let mut line = String::new();
    for ((cell, width), align) in cells.iter().zip(widths).zip(align) {
        let space = " ".repeat(width.saturating_sub(cell.width()));
        line.push_str("  ");
        match align {
            Align::Left => line.extend([cell, space.as_str()]),
            Align::Right => line.extend([space.as_str(), cell]),
        }
    }
    line.truncate(line.trim_end().len());
    line
}
