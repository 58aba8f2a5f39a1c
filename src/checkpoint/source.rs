//! One opened file: its path, its length, and reads at a place.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::files::open_regular;
use crate::memory::{Origin, Shared};
use crate::{Error, Result};

/// What a git-lfs pointer file begins with.
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// An opened file.
///
/// It stays open, so that a save that replaces the file (see [`write_atomically`](super::write_atomically)) between
/// two reads cannot make the offsets of the old one point into the new one.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    len: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    File(Mutex<File>),
    /// A file that was given as bytes, or what a format leaves out and its reader knows.
    Memory(Shared),
}

impl Bytes {
    /// Calls `read` with a reader that is at `offset`.
    fn at<T>(
        &self,
        offset: u64,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                read(&mut *file)
            }
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                read(&mut bytes.get(start..).unwrap_or_default())
            }
        }
    }
}

impl Source {
    /// Opens the regular file at `path`.
    ///
    /// # Errors
    ///
    /// `Error::Io` if it cannot be opened or is a directory; `Error::Format` if it is not a regular file (reading a pipe would never
    /// end), is empty, or is what one often finds in place of weights: a git-lfs pointer or a web page.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_regular(path)?;
        let len = file.metadata().map_err(|error| Error::io(path, error))?.len();
        let source = Self { path: path.to_owned(), len, bytes: Bytes::File(Mutex::new(file)) };
        source.refuse_placeholders()?;
        Ok(source)
    }

    /// Opens the file at `path`, wherever that is.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_in(origin: Origin<'_>, path: &Path) -> Result<Self> {
        match origin {
            Origin::Disk => Self::open(path),
            Origin::Memory(files) => {
                let bytes = Arc::clone(files.bytes(path)?);
                let source = Self::of_shared(path, bytes);
                source.refuse_placeholders()?;
                Ok(source)
            }
        }
    }

    /// Bytes that the file at `path` stands for without having them.
    pub fn of_memory(path: &Path, bytes: Vec<u8>) -> Self {
        Self::of_shared(path, Arc::new(bytes.into()))
    }

    fn of_shared(path: &Path, bytes: Shared) -> Self {
        Self { path: path.to_owned(), len: bytes.len() as u64, bytes: Bytes::Memory(bytes) }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// An error about the file as a whole.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::format(&self.path, reason)
    }

    /// An error about one of its tensors.
    pub fn tensor_error(
        &self,
        tensor: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        Error::tensor(&self.path, tensor, expected, found)
    }

    /// Fills `buffer` with the bytes from `offset`.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = self.bytes.at(offset, |reader| reader.read_exact(buffer));
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.error(format!(
                "truncated: expected {} bytes from byte {offset}, the file ends before",
                buffer.len()
            )),
            _ => Error::io(&self.path, error),
        })
    }

    /// The first bytes, at most `N`.
    pub fn head<const N: usize>(&self) -> Result<Vec<u8>> {
        let len = usize::try_from(self.len).unwrap_or(N).min(N);
        let mut head = vec![0; len];
        self.read_exact_at(0, &mut head)?;
        Ok(head)
    }

    /// A reader of the bytes from `start` up to `end`.
    pub fn section(&self, start: u64, end: u64) -> Section<'_> {
        Section { source: self, position: start, end: end.min(self.len) }
    }

    fn refuse_placeholders(&self) -> Result<()> {
        if self.len == 0 {
            return Err(self.error("the file is empty"));
        }
        let head = self.head::<64>()?;
        if head.starts_with(LFS_POINTER) {
            return Err(self.error(
                "this is a git-lfs pointer, not the weights themselves: run `git lfs pull` in the repository, or \
                 download the file from its web page",
            ));
        }
        let text = head.trim_ascii_start().to_ascii_lowercase();
        if text.starts_with(b"<!doctype") || text.starts_with(b"<html") {
            return Err(self.error(
                "this is a web page, not weights: the download followed a link to the page about the file",
            ));
        }
        Ok(())
    }
}

/// A part of a [`Source`], read from its start to its end.
#[derive(Debug)]
pub(super) struct Section<'a> {
    source: &'a Source,
    position: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.position);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..len) else { return Ok(0) };
        let read = self.source.bytes.at(self.position, |reader| reader.read(buffer))?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}

/// The apparent kind of a file by its first bytes, for error messages.
pub(super) fn describe(head: &[u8]) -> String {
    let known = match head {
        [b'P', b'K', 3, 4, ..] => "a zip archive, as torch.save writes (name it `….bin`)",
        [0x80, 2, 0x8a, 10, 0x6c, 0xfc, ..] => "an old torch.save file (name it `….bin`)",
        [0x80, 1..=5, ..] => "a Python pickle",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file, as TensorFlow writes",
        [0x1f, 0x8b, ..] => "a gzip file",
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => "a safetensors file (name it `….safetensors`)",
        [b'{', ..] => "JSON text",
        _ => "",
    };
    if known.is_empty() {
        let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("unknown bytes {}", bytes.join(" "))
    } else {
        known.to_owned()
    }
}
