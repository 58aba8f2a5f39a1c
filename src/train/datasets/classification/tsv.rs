//! Tab-separated values.

use std::path::Path;

use super::{ClassificationExample, RawLabel};
use crate::error::Result;
use crate::train::datasets::examples::Examples;
use crate::train::datasets::header::{Header, field};
use crate::train::datasets::lines::{Lines, each_line};
use crate::train::datasets::record::Fault;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The one of that name in the first line.
    Name(String),
    /// The one of that number, from 0.
    Index(usize),
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<usize> for Column {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Which columns of a table are what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsvLayout {
    /// Whether the first line has the columns' names; needed where a column is given by name.
    pub has_header: bool,
    /// The text, or the first of two.
    pub text: Column,
    /// The second text.
    pub text_pair: Option<Column>,
    /// The label; none in test files.
    pub label: Option<Column>,
    /// Whether lines that have too few columns are skipped and counted in any case, not refused.
    pub skip_short_lines: bool,
}

/// [`TsvLayout`] with numbers.
struct Places {
    text: usize,
    text_pair: Option<usize>,
    label: Option<usize>,
}

impl Places {
    fn find(layout: &TsvLayout, lines: &mut Lines) -> Result<Self> {
        let mut header = Header::new::<&str>([]);
        if layout.has_header {
            let line = lines.next_line().map_err(Fault::into_error)?.map_or("", |(_, line)| line);
            header = Header::new(line.split('\t'));
        }
        let line = lines.place();
        let place = |column: &Column| match column {
            Column::Name(name) => header.column(name, &line),
            Column::Index(index) => Ok(*index),
        };
        Ok(Self {
            text: place(&layout.text)?,
            text_pair: layout.text_pair.as_ref().map(place).transpose()?,
            label: layout.label.as_ref().map(place).transpose()?,
        })
    }

    /// The greatest of the numbers.
    fn last(&self) -> usize {
        [Some(self.text), self.text_pair, self.label].into_iter().flatten().max().unwrap_or(0)
    }

    fn example(&self, record: &[&str]) -> Result<ClassificationExample, String> {
        let text = |column| field(record, column).map(str::to_owned);
        let label = self.label.map(text).transpose()?;
        if label.as_ref().is_some_and(|label| label.trim().is_empty()) {
            return Err("expected a label, found an empty field".to_owned());
        }
        Ok(ClassificationExample {
            text: text(self.text)?,
            text_pair: self.text_pair.map(text).transpose()?,
            label: label.map(RawLabel::Text),
        })
    }
}

/// Reads a table of tab-separated fields with one record per line, in which quotes have no meaning, as in GLUE. Columns that are not in the layout and empty lines are ignored.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format), which name file and line.
pub fn read_tsv(
    path: impl AsRef<Path>,
    layout: &TsvLayout,
) -> Result<Examples<ClassificationExample>> {
    let mut lines = Lines::open(path.as_ref())?;
    let places = Places::find(layout, &mut lines)?;
    let skip_short_lines = layout.skip_short_lines;
    Ok(Examples::from_reader(each_line(lines, move |line, place, queue| {
        if line.is_empty() {
            return Ok(());
        }
        let record: Vec<&str> = line.split('\t').collect();
        match places.example(&record) {
            Err(reason) if skip_short_lines && record.len() <= places.last() => {
                queue.pass_over(place.error(reason));
            }
            example => queue.add(place, example),
        }
        Ok(())
    })))
}
