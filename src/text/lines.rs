//! Lines of text files, read one at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{BYTE_ORDER_MARK, open_regular};

/// The longest line in bytes, its end included. A sentence has some hundred; a file with a longer line than this is none with a
/// sentence per line.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// How much is read at once.
const BUFFER: usize = 256 << 10;

/// The lines of a UTF-8 file. They end with LF or CR LF; a byte order mark before the first is skipped.
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Where in the file `line` begins.
    offset: u64,
    number: u64,
}

/// A line, and where it is.
pub(crate) struct Line<'a> {
    /// Without its end.
    pub(crate) text: &'a str,
    /// With its end.
    pub(crate) bytes: &'a [u8],
    /// Where `bytes` begin in the file.
    pub(crate) offset: u64,
}

impl Line<'_> {
    /// Whether it separates documents.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    /// Those of [`open_regular`].
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let reader = BufReader::with_capacity(BUFFER, open_regular(path)?);
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), offset: 0, number: 0 })
    }

    /// The next line, or none at the end.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Format`], which names the line, if it is longer than [`MAX_LINE`] or no UTF-8 text.
    pub(crate) fn read_line(&mut self) -> Result<Option<Line<'_>>> {
        self.offset += self.line.len() as u64;
        self.line.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        if read.map_err(|error| Error::io(&self.path, error))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.len() > MAX_LINE {
            let expected = format!("at most {MAX_LINE} bytes");
            return Err(self.wrong(&expected, "more (a sentence per line?)"));
        }
        if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
            self.offset += BYTE_ORDER_MARK.len() as u64;
        }
        let text = std::str::from_utf8(&self.line).map_err(|error| {
            let place = error.valid_up_to();
            self.wrong("UTF-8", &format!("{:#04x} as byte {place}", self.line[place]))
        })?;
        if let Some(place) = text.find('\0') {
            return Err(self.wrong("text", &format!("a NUL as byte {place} (UTF-16?)")));
        }
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Ok(Some(Line { text, bytes: &self.line, offset: self.offset }))
    }

    fn wrong(&self, expected: &str, found: &str) -> Error {
        let line = self.number;
        Error::format(&self.path, format!("line {line}: expected {expected}, found {found}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(String, u64)>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("text");
        std::fs::write(&path, bytes).unwrap();
        let mut lines = Lines::open(&path)?;
        let mut all = Vec::new();
        while let Some(line) = lines.read_line()? {
            let offset = usize::try_from(line.offset).unwrap();
            assert_eq!(&bytes[offset..offset + line.bytes.len()], line.bytes);
            all.push((line.text.to_owned(), line.offset));
        }
        Ok(all)
    }

    #[track_caller]
    fn refused(bytes: &[u8], expected: &str) {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn every_kind_of_line_end() {
        let lines = read("\u{FEFF}one\r\ntwo\n\nthr\u{E9}e\r\n last".as_bytes()).unwrap();
        let expected = [("one", 3), ("two", 8), ("", 12), ("thr\u{E9}e", 13), (" last", 21)];
        assert_eq!(lines, expected.map(|(text, offset)| (text.to_owned(), offset)));
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn what_is_no_text_is_refused_by_line() {
        refused(b"one\ntw\xffo\n", "text: line 2: expected UTF-8, found 0xff as byte 2");
        refused(b"a\n\xe6\xb7", "line 2: expected UTF-8, found 0xe6 as byte 0");
        refused(b"\xff\xfeo\0n\0", "line 1: expected UTF-8, found 0xff as byte 0");
        refused(b"o\0n\0e\0", "line 1: expected text, found a NUL as byte 1 (UTF-16?)");
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn the_longest_line_is_read_and_a_longer_one_refused() {
        let mut bytes = vec![b'a'; MAX_LINE];
        assert_eq!(read(&bytes).unwrap()[0].0.len(), MAX_LINE);
        bytes.push(b'\n');
        refused(
            &bytes,
            "line 1: expected at most 1048576 bytes, found more (a sentence per line?)",
        );
    }
}
