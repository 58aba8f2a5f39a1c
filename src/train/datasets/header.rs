//! The columns of a table.

use super::lines::Lines;
use crate::error::Result;

/// The names in a table's first line.
pub(super) struct Header {
    names: Vec<String>,
}

impl Header {
    pub fn new<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }

    /// The column of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }

    /// The column of that name. `lines` have read the header.
    pub fn column(&self, name: &str, lines: &Lines) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            let found = super::features::shortened(&self.names.join(", "));
            lines.error(format!("expected a column `{name}`, found {found}"))
        })
    }
}

/// The field of a record. `lines` have read the record.
pub(super) fn field<'a, T: AsRef<str>>(
    record: &'a [T],
    column: usize,
    lines: &Lines,
) -> Result<&'a str> {
    record.get(column).map(AsRef::as_ref).ok_or_else(|| {
        let found = record.len();
        lines.error(format!("expected at least {} columns, found {found}", column + 1))
    })
}
