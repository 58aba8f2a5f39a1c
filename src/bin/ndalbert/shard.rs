//! Parts of a file of lines, for jobs that do not know of each other.
//!
//! The file's bytes are cut into N stretches of the same length, and a line belongs to the stretch in which it begins. So
//! every job finds its part by itself, each line is in exactly one of them, whatever the lengths are, and what the jobs
//! write can be concatenated. Standard input cannot be cut so: nobody knows how much is to come.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::str::FromStr;

/// One of several parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

/// What comes before a part, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub lines_before: u64,
    /// From the beginning of the part's first line: its lines begin within so many bytes.
    pub bytes: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected I/N, I counted from 0 and less than N, as in 0/4".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let shard = Self { index: number(index)?, count: number(count)? };
        if shard.index < shard.count { Ok(shard) } else { Err(wrong()) }
    }
}

impl Shard {
    /// Goes to the first line that begins in this part.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if this is no regular file, whose length is known.
    pub fn seek(self, file: &mut File) -> io::Result<Part> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let message = "--shard needs a regular file, whose length is known";
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        let [start, end] =
            [self.index, self.index + 1].map(|index| self.cut(metadata.len(), index));
        let (lines_before, first) = first_line(file, start)?;
        file.seek(SeekFrom::Start(first))?;
        Ok(Part { lines_before, bytes: end.saturating_sub(first) })
    }

    /// Where the part of an index begins in so many bytes.
    fn cut(self, length: u64, index: u64) -> u64 {
        (u128::from(length) * u128::from(index) / u128::from(self.count)) as u64
    }
}

/// How many lines begin before `start`, and where the first one after them begins.
fn first_line(file: &File, start: u64) -> io::Result<(u64, u64)> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut lines, mut place, mut last) = (0, 0, b'\n');
    while place < start {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        let count = buffer.len().min(usize::try_from(start - place).unwrap_or(usize::MAX));
        lines += buffer[..count].iter().filter(|&&byte| byte == b'\n').count() as u64;
        last = buffer[count - 1];
        reader.consume(count);
        place += count as u64;
    }
    if last != b'\n' {
        place += reader.skip_until(b'\n')? as u64;
        lines += 1;
    }
    Ok((lines, place))
}
