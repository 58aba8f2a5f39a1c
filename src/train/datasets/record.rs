//! Records of a file: where they are, and what may be wrong with them.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::skipped::MAX_REASONS;
use crate::error::Error;

/// How many bytes of text all examples of a file may have in all. A paragraph is copied for each of its questions; so a file of a
/// few megabytes could ask for terabytes.
const MAX_COPIES: u64 = 8 << 30;

/// Where a record is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: Arc<Path>,
    within: Within,
}

#[derive(Clone, Debug)]
enum Within {
    Line(usize),
    Lines(usize, usize),
    /// As one would write it in a program: `data[0].paragraphs[1]`.
    Item(Box<str>),
}

impl Place {
    pub fn line(path: &Arc<Path>, line: usize) -> Self {
        Self { path: path.clone(), within: Within::Line(line) }
    }

    pub fn lines(path: &Arc<Path>, first: usize, last: usize) -> Self {
        let within = if first == last { Within::Line(first) } else { Within::Lines(first, last) };
        Self { path: path.clone(), within }
    }

    pub fn item(path: &Arc<Path>, item: impl Into<Box<str>>) -> Self {
        Self { path: path.clone(), within: Within::Item(item.into()) }
    }

    /// A part of it: `[0]`, or `.name`.
    pub fn part(&self, part: impl fmt::Display) -> Self {
        let part = part.to_string();
        let item = match &self.within {
            Within::Item(item) => format!("{item}{part}"),
            _ => format!("{self}: {}", part.trim_start_matches('.')),
        };
        Self::item(&self.path, item)
    }

    /// A record there that cannot be used.
    pub fn bad(&self, reason: impl fmt::Display) -> Fault {
        Fault::Record(self.error(reason))
    }

    /// What is wrong there.
    pub fn error(&self, reason: impl fmt::Display) -> Error {
        Error::format(&self.path, format!("{self}: {reason}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.within {
            Within::Line(line) => write!(f, "line {line}"),
            Within::Lines(first, last) => write!(f, "lines {first} to {last}"),
            Within::Item(item) => f.write_str(item),
        }
    }
}

/// Why a reader gives no record.
#[derive(Debug)]
pub(super) enum Fault {
    /// This one cannot be used; those after it may.
    Record(Error),
    /// Nothing more can be read.
    File(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

impl Fault {
    /// The error of either kind.
    pub fn into_error(self) -> Error {
        match self {
            Self::Record(error) | Self::File(error) => error,
        }
    }
}

/// A record as it was read.
#[derive(Debug)]
pub(super) enum Entry<T> {
    Example(Option<Place>, T),
    /// It is refused, or skipped if the user wants that.
    Bad(Error),
    /// Files of this format are known to have such; it is skipped in any case.
    PassedOver(Error),
}

/// What was read and not yet asked for.
#[derive(Debug)]
pub(super) struct Queue<T> {
    entries: VecDeque<Entry<T>>,
    bad: usize,
}

impl<T> Queue<T> {
    pub fn new() -> Self {
        Self { entries: VecDeque::new(), bad: 0 }
    }

    /// Adds what became of the record at this place.
    pub fn add(&mut self, place: Place, example: Result<T, String>) {
        match example {
            Ok(example) => self.entries.push_back(Entry::Example(Some(place), example)),
            Err(reason) => self.add_bad(place.error(reason)),
        }
    }

    pub fn add_placeless(&mut self, example: T) {
        self.entries.push_back(Entry::Example(None, example));
    }

    /// Adds an error. After ten pending errors, further ones are only counted, since they will not be shown.
    pub fn add_bad(&mut self, error: Error) {
        self.bad += 1;
        if self.bad <= MAX_REASONS {
            self.entries.push_back(Entry::Bad(error));
        }
    }

    /// Adds the record that is wrong, if one is.
    pub fn absorb(&mut self, read: Result<(), Fault>) -> Result<(), Fault> {
        match read {
            Err(Fault::Record(error)) => self.add_bad(error),
            other => return other,
        }
        Ok(())
    }

    pub fn pass_over(&mut self, error: Error) {
        self.entries.push_back(Entry::PassedOver(error));
    }

    pub fn pop(&mut self) -> Option<Entry<T>> {
        self.entries.pop_front()
    }

    /// How many errors were only counted since the last call.
    pub fn take_uncounted(&mut self) -> usize {
        std::mem::take(&mut self.bad).saturating_sub(MAX_REASONS)
    }
}

/// Reads on: adds records to the queue, or none for a line that has none. False after the last.
pub(super) type Reader<T> = Box<dyn FnMut(&mut Queue<T>) -> Result<bool, Fault> + Send>;

/// What texts of examples may still take.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Budget {
    pub fn new() -> Self {
        Self(MAX_COPIES)
    }

    /// Takes as much as texts of this length need, `copies` times.
    pub fn take(&mut self, place: &Place, length: usize, copies: usize) -> Result<(), Fault> {
        let needed = (length as u64).saturating_mul(copies as u64);
        match self.0.checked_sub(needed) {
            Some(left) => self.0 = left,
            None => {
                let expected = format!("expected at most {MAX_COPIES} bytes in all examples");
                return Err(Fault::File(place.error(format!("{expected}, found more"))));
            }
        }
        Ok(())
    }
}
