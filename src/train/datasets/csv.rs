//! Comma-separated values (RFC 4180).
//!
//! Implemented here because it is short, and because errors must name file and line.

use std::path::Path;

use super::lines::{Lines, MAX_LINE};
use super::record::{Fault, Place};
use crate::error::Result;

/// The records of a file: fields between commas, in quotes where they hold commas, quotes (doubled) or line ends.
///
/// As Python's `csv` does, a quote inside a field that does not begin with one is taken literally, and empty lines are skipped. Line ends within quotes are read as `\n`.
pub(super) struct CsvRecords {
    lines: Lines,
}

/// Where in a field the reader is.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Begin,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end, or the first of two that stand for one.
    Quote,
}

impl CsvRecords {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { lines: Lines::open(path)? })
    }

    /// The line that was read last.
    pub fn place(&self) -> Place {
        self.lines.place()
    }

    /// The next record with the line that it begins in, or nothing after the last. Of a record that cannot be read, the line
    /// with the mistake is passed. Quotes that are not closed leave nothing to be read.
    pub fn next_record(&mut self) -> Result<Option<(Place, Vec<String>)>, Fault> {
        let (mut fields, mut field) = (Vec::new(), String::new());
        let (mut state, mut begin, mut bytes) = (State::Begin, self.lines.place(), 0);
        loop {
            let Some((place, line)) = self.lines.next_line()? else {
                return match state {
                    State::Quoted => {
                        let reason = "the file ends before the quotes of this record are closed";
                        Err(Fault::File(begin.error(reason)))
                    }
                    _ => Ok(None),
                };
            };
            if line.is_empty() && state == State::Begin {
                continue;
            }
            bytes += line.len();
            if state == State::Begin {
                begin = place.clone();
            }
            let scanned = scan(line, state, &mut fields, &mut field);
            state = scanned.map_err(|reason| Fault::Record(place.error(reason)))?;
            if state != State::Quoted {
                fields.push(field);
                return Ok(Some((begin, fields)));
            }
            field.push('\n');
            if bytes > MAX_LINE {
                let reason = format!("expected a record of at most {MAX_LINE} bytes, found more");
                return Err(Fault::File(begin.error(reason)));
            }
        }
    }
}

/// Reads one line, the last field of which stays in `field`.
fn scan(
    line: &str,
    mut state: State,
    fields: &mut Vec<String>,
    field: &mut String,
) -> Result<State, String> {
    for (byte, char) in line.char_indices() {
        state = match (state, char) {
            (State::Begin, '"') => State::Quoted,
            (State::Quoted, '"') => State::Quote,
            (State::Quote, '"') => {
                field.push('"');
                State::Quoted
            }
            (State::Begin | State::Plain | State::Quote, ',') => {
                fields.push(std::mem::take(field));
                State::Begin
            }
            (State::Quote, other) => {
                let place = byte + 1;
                let expected = "expected a comma or the line's end after closing quotes";
                return Err(format!("{expected}, found {other:?} at byte {place}"));
            }
            (State::Quoted, other) => {
                field.push(other);
                State::Quoted
            }
            (State::Begin | State::Plain, other) => {
                field.push(other);
                State::Plain
            }
        };
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Result<Vec<Vec<String>>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut records = CsvRecords::open(file.path())?;
        let next =
            || records.next_record().map(|record| record.map(|(_, fields)| fields)).transpose();
        std::iter::from_fn(next).map(|record| record.map_err(Fault::into_error)).collect()
    }

    /// As Python's `csv.reader` reads the same text.
    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn quotes_hold_commas_quotes_and_line_ends() {
        let text = "\u{feff}a,b,c\r\n\r\n\"1,2\",\"say \"\"hi\"\"\",\r\n\"two\r\nlines\n\n\",5\" tall,\"\"\n,,\nend";
        let expected: [&[&str]; 5] = [
            &["a", "b", "c"],
            &["1,2", "say \"hi\"", ""],
            &["two\nlines\n\n", "5\" tall", ""],
            &["", "", ""],
            &["end"],
        ];
        assert_eq!(records(text).unwrap(), expected);
        assert!(records("").unwrap().is_empty());
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn what_is_wrong_is_told_by_line() {
        let error = |text| records(text).unwrap_err().to_string();
        let open = error("a,b\n1,2\n\n3,\"four\nfive");
        assert!(open.contains("line 4: ") && open.contains("closed"), "{open}");
        let behind = error("a,b\n1,\"2\nx\" y,3");
        assert!(behind.contains("line 3: ") && behind.contains("found ' ' at byte 3"), "{behind}");
    }
}
