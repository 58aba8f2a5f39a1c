//! Records that a reader skipped.

use std::fmt;

use super::features::shortened_to;
use crate::error::{Error, Result};

/// How many of the reasons are kept.
pub(super) const MAX_REASONS: usize = 10;

/// The longest reason, in characters.
const MAX_LENGTH: usize = 400;

/// Skipped records: their number, and the reasons of the first ten.
///
/// A record is what becomes an example: a line, a record of several lines, a sentence, a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    count: usize,
    reasons: Vec<String>,
}

impl Skipped {
    /// Their number.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The reasons of the first ten. Each names the file and the line or position.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    pub(super) fn add(&mut self, error: &Error) {
        self.count += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(shortened_to(&error.to_string(), MAX_LENGTH));
        }
    }

    /// Adds records whose reasons will not be shown.
    pub(super) fn add_more(&mut self, count: usize) {
        self.count += count;
    }

    /// What became of a record: if it is bad, that is an error, or it is skipped.
    pub(super) fn sift<T>(&mut self, result: Result<T>, skip_bad: bool) -> Result<Option<T>> {
        match result {
            Err(error) if skip_bad => {
                self.add(&error);
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

/// `2 records skipped:`, and a line for each reason that was kept.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, reasons } = self;
        write!(f, "{count} record{} skipped", if *count == 1 { "" } else { "s" })?;
        for (i, reason) in reasons.iter().enumerate() {
            write!(f, "{}\n  {reason}", if i == 0 { ":" } else { "" })?;
        }
        match count - reasons.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
