//! Files in memory, and one way to read these and a disk's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::files::{check_length, read_small, without_mark};

/// Bytes that several readers share.
pub(crate) type Shared = Arc<Cow<'static, [u8]>>;

/// The files of a model in memory: what stands in a directory elsewhere, by the same names.
///
/// Everything that has a `from_pretrained` has a `from_bytes` that takes these. They are for
/// programs that have no files: in a browser, on a microcontroller, or with the model inside the
/// program. Nothing is copied: bytes are borrowed from the program itself or owned, and copies of
/// this share them.
///
/// ```
/// use ndalbert::MemoryFiles;
/// use ndalbert::pipelines::{FillMask, Pipeline};
///
/// # let directory = ndalbert::shipped_checkpoint("albert-chinese-demo")?;
/// // What is read or received while the program runs is owned; `include_bytes!("config.json")` is borrowed.
/// let read = |name| std::fs::read(directory.join(name));
/// let files = MemoryFiles::new()
///     .with("config.json", read("config.json")?)
///     .with("vocab.txt", read("vocab.txt")?)
///     .with("model.safetensors", read("model.safetensors")?);
/// let fill = FillMask::from_bytes(&files)?;
/// assert_eq!(fill.run("天[MASK]很好")?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryFiles(BTreeMap<String, Shared>);

impl MemoryFiles {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces that of the same name. What is in a directory of its own has its
    /// path as name, with `/` between the parts: `1_Pooling/config.json`.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        self.0.insert(name.into(), Arc::new(bytes.into()));
        self
    }

    /// The files' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those of a directory, by their names in it.
    pub(crate) fn under(&self, directory: &Path) -> Self {
        let inside = |(name, bytes): (&String, &Shared)| {
            let name = Path::new(name).strip_prefix(directory).ok()?.to_str()?;
            Some((name.to_owned(), Arc::clone(bytes)))
        };
        Self(self.0.iter().filter_map(inside).collect())
    }

    fn get(&self, path: &Path) -> Option<&Shared> {
        let part = |part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        };
        let parts: Vec<&str> = path.components().filter_map(part).collect();
        self.0.get(&parts.join("/"))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`Error::Io`] that names it if there is none.
    pub(crate) fn bytes(&self, path: &Path) -> Result<&Shared> {
        self.get(path).ok_or_else(|| {
            let reason = "no file of this name among those in memory";
            Error::io(path, io::Error::new(io::ErrorKind::NotFound, reason))
        })
    }
}

/// Names and lengths, not the bytes.
impl fmt::Debug for MemoryFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = self.0.iter().map(|(name, bytes)| (name, bytes.len()));
        f.debug_map().entries(lengths).finish()
    }
}

/// Where the files of a model are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    /// A path is that of a file.
    Disk,
    /// A path is the name of one of these.
    Memory(&'a MemoryFiles),
}

impl Origin<'_> {
    /// Whether there is something at a path.
    pub fn has(self, path: &Path) -> bool {
        match self {
            Self::Disk => path.exists(),
            Self::Memory(files) => files.get(path).is_some(),
        }
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Those of [`read_small`].
    pub fn read_small(self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        match self {
            Self::Disk => read_small(path, limit),
            Self::Memory(files) => {
                let bytes = files.bytes(path)?;
                check_length(path, bytes.len() as u64, limit)?;
                Ok(bytes.to_vec())
            }
        }
    }

    /// Reads a text file of at most `limit` bytes.
    ///
    /// # Errors
    /// Those of [`read_small`] and [`without_mark`].
    pub fn read_text(self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        without_mark(path, self.read_small(path, limit)?)
    }
}
