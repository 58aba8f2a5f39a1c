//! Text files, one line at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::record::{Fault, Place, Queue, Reader};
use crate::error::{Error, Result};
use crate::files::open_regular;

/// The longest line. Those of real data sets, with a whole article in them, have a few tens of thousands of bytes.
pub(super) const MAX_LINE: usize = 16 << 20;

/// What some editors put before UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What they put before UTF-16.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// The lines of a file, of which one is in memory.
pub(super) struct Lines {
    path: Arc<Path>,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    number: usize,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self> {
        let reader = BufReader::new(open_regular(path)?);
        Ok(Self { path: path.into(), reader, buffer: Vec::new(), number: 0 })
    }

    /// The next line without its end (`\n` or `\r\n`), or nothing after the last. A line that cannot be read is passed, so
    /// that the call after it gives the next.
    pub fn next_line(&mut self) -> Result<Option<(Place, &str)>, Fault> {
        self.buffer.clear();
        let limit = MAX_LINE as u64 + 2;
        let io = |error| Error::io(&self.path, error);
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.buffer);
        if read.map_err(io)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_cut = self.buffer.len() as u64 == limit && self.buffer.last() != Some(&b'\n');
        if is_cut {
            self.reader.skip_until(b'\n').map_err(io)?;
        }
        let place = self.place();
        let mut line = self.buffer.as_slice();
        if self.number == 1 {
            if UTF_16.iter().any(|mark| line.starts_with(mark)) {
                return Err(Fault::File(place.error("expected UTF-8, found UTF-16")));
            }
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if let Some(ended) = line.strip_suffix(b"\n") {
            line = ended.strip_suffix(b"\r").unwrap_or(ended);
        }
        if is_cut || line.len() > MAX_LINE {
            let reason = format!("expected at most {MAX_LINE} bytes, found more");
            return Err(Fault::Record(place.error(reason)));
        }
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some((place, line))),
            Err(error) => {
                let byte = error.valid_up_to() + 1;
                let reason = format!("expected UTF-8, found something else at byte {byte}");
                Err(Fault::Record(place.error(reason)))
            }
        }
    }

    /// How many lines were read.
    pub fn number(&self) -> usize {
        self.number
    }

    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// The line that was read last, or the first, which is missing.
    pub fn place(&self) -> Place {
        Place::line(&self.path, self.number.max(1))
    }
}

/// Reads the remaining lines one by one.
pub(super) fn each_line<T: 'static>(
    mut lines: Lines,
    mut read: impl FnMut(&str, Place, &mut Queue<T>) -> Result<(), Fault> + Send + 'static,
) -> Reader<T> {
    Box::new(move |queue| {
        let Some((place, line)) = lines.next_line()? else { return Ok(false) };
        read(line, place, queue)?;
        Ok(true)
    })
}
