//! The columns of a table.

use super::features::shortened;
use super::record::Place;
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

    /// The column of that name. The header is at `place`.
    pub fn column(&self, name: &str, place: &Place) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            let found = shortened(&self.names.join(", "));
            place.error(format!("expected a column `{name}`, found {found}"))
        })
    }
}

/// The field of a record.
pub(super) fn field<T: AsRef<str>>(record: &[T], column: usize) -> Result<&str, String> {
    record.get(column).map(AsRef::as_ref).ok_or_else(|| {
        format!("expected at least {} columns, found {}", column.saturating_add(1), record.len())
    })
}
