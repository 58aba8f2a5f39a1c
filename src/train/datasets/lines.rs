//! Text files, one line at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::open_regular;

/// The longest line. Those of real data sets, with a whole article in them, have a few tens of thousands of bytes.
pub(super) const MAX_LINE: usize = 16 << 20;

/// What some editors put before UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a file, of which one is in memory.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    number: usize,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self> {
        let reader = BufReader::new(open_regular(path)?);
        Ok(Self { path: path.to_owned(), reader, buffer: Vec::new(), number: 0 })
    }

    /// The next line without its end (`\n` or `\r\n`), or nothing after the last.
    pub fn next_line(&mut self) -> Result<Option<&str>> {
        self.buffer.clear();
        let limit = MAX_LINE as u64 + 2;
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.buffer);
        if read.map_err(|error| Error::io(&self.path, error))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut line = self.buffer.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if let Some(ended) = line.strip_suffix(b"\n") {
            line = ended.strip_suffix(b"\r").unwrap_or(ended);
        }
        if line.len() > MAX_LINE {
            return Err(self.error(format!("expected at most {MAX_LINE} bytes, found more")));
        }
        std::str::from_utf8(line).map(Some).map_err(|error| {
            let place = error.valid_up_to() + 1;
            self.error(format!("expected UTF-8, found something else at byte {place}"))
        })
    }

    /// How many lines were read.
    pub fn number(&self) -> usize {
        self.number
    }

    /// An error in the line that was read last, or in the first, which is missing.
    pub fn error(&self, reason: impl std::fmt::Display) -> Error {
        self.error_at(self.number.max(1), reason)
    }

    /// An error in a line.
    pub fn error_at(&self, number: usize, reason: impl std::fmt::Display) -> Error {
        Error::format(&self.path, format!("line {number}: {reason}"))
    }
}
