//! Bytes of a pickle, one after the other, with a limit.

use std::io::{BufReader, Read};

use super::super::source::{Section, Source};
use super::Fault;

/// The longest pickle. That of ALBERT-xxlarge has some ten KB.
pub(super) const MAX_PICKLE: u64 = 8 << 20;

/// The longest line of text, the name of a module or of a class.
pub(super) const MAX_LINE: usize = 256;

/// The unread rest of a part of a file.
pub(super) struct Input<'a> {
    reader: BufReader<Section<'a>>,
    position: u64,
    end: u64,
    /// Where the pickle that is being read must have ended.
    limit: u64,
}

impl<'a> Input<'a> {
    /// The bytes of `source` from `start` up to `end`.
    pub fn new(source: &'a Source, start: u64, end: u64) -> Self {
        let reader = BufReader::new(source.section(start, end));
        Self { reader, position: start, end, limit: end }
    }

    /// Where the next byte is in the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Begins a pickle: at most [`MAX_PICKLE`] bytes may be read until the next call.
    pub fn begin_pickle(&mut self) {
        self.limit = self.position.saturating_add(MAX_PICKLE).min(self.end);
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next `len` bytes; allocates nothing if there are not so many.
    pub fn bytes(&mut self, len: u64) -> Result<Vec<u8>, Fault> {
        self.claim(len)?;
        let len = usize::try_from(len).map_err(|_| "a length that does not fit in memory")?;
        let mut bytes = vec![0; len];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The text up to the next line feed, without it.
    pub fn line(&mut self) -> Result<String, Fault> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                byte if line.len() < MAX_LINE => line.push(byte),
                _ => return Err(format!("a name of more than {MAX_LINE} bytes").into()),
            }
        }
        String::from_utf8(line).map_err(|_| "a name that is not UTF-8".into())
    }

    /// Checks that `len` more bytes may be read, and counts them as read.
    fn claim(&mut self, len: u64) -> Result<(), Fault> {
        let left = self.limit.saturating_sub(self.position);
        if len <= left {
            self.position += len;
            return Ok(());
        }
        Err(if self.limit < self.end {
            format!("the pickle is longer than {MAX_PICKLE} bytes").into()
        } else {
            format!("truncated: expected {len} more bytes, found {left}").into()
        })
    }
}
