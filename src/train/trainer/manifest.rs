//! The files that a trainer has written into a checkpoint, and their contents.
//!
//! A trainer removes checkpoints, and may share its directory with others' files. Therefore each checkpoint lists its files with lengths and hashes, and is removed only if it still matches exactly: a checkpoint that was changed, truncated, extended or linked stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::state::{STATE, TrainerState};
use crate::error::{Error, Result};
use crate::files::move_aside;
use crate::hash::Hash;

/// The files of a checkpoint by name.
pub(super) type Manifest = BTreeMap<String, FileRecord>;

/// Identifies a file's contents, without protection against forgery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    bytes: u64,
    /// FNV-1a, in hexadecimal digits: not all readers of JSON have numbers of 64 bits.
    hash: String,
}

impl FileRecord {
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, hash: format!("{:016x}", Hash::of(bytes)) }
    }

    fn of_file(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let (mut bytes, mut hash, mut buffer) = (0, Hash::new(), vec![0; 256 << 10]);
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => return Ok(Self { bytes, hash: format!("{:016x}", hash.finish()) }),
                read => {
                    bytes += read as u64;
                    hash.add(&buffer[..read]);
                }
            }
        }
    }
}

/// Records all files of a directory.
pub(super) fn record(directory: &Path) -> Result<Manifest> {
    let names = regular_files(directory)?.into_keys();
    let record = |name: String| Ok((name.clone(), FileRecord::of_file(&directory.join(name))?));
    names.map(record).collect()
}

/// The lengths of a directory's files.
///
/// # Errors
/// If there is anything else in it.
fn regular_files(directory: &Path) -> Result<BTreeMap<String, u64>> {
    let failed = |error| Error::io(directory, error);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Of a link, the link's own.
        let metadata = entry.metadata().map_err(failed)?;
        match entry.file_name().into_string() {
            Ok(name) if metadata.is_file() => files.insert(name, metadata.len()),
            _ => return Err(Error::format(entry.path(), "no file that a trainer has written")),
        };
    }
    Ok(files)
}

/// A checkpoint whose files have the names and lengths that they were written with.
pub(super) struct Listed<'a> {
    directory: &'a Path,
    files: Manifest,
}

impl<'a> Listed<'a> {
    /// Reads the list of a step's checkpoint.
    ///
    /// # Errors
    /// If there is none, as in checkpoints of others and of earlier versions; if it is another
    /// step's, a copy under another name; and if it is not a list of what is there.
    pub(super) fn open(directory: &'a Path, step: u64) -> Result<Self> {
        let link = fs::symlink_metadata(directory).map_err(|error| Error::io(directory, error))?;
        if !link.is_dir() {
            return Err(Error::format(directory, "expected a directory"));
        }
        let state = TrainerState::read(directory)?;
        if state.progress.step != step {
            let reason = format!("expected step {step}, found {}", state.progress.step);
            return Err(Error::format(directory.join(STATE), reason));
        }
        if !state.is_as_written(directory)? {
            return Err(Error::format(directory.join(STATE), "not as a trainer has written it"));
        }
        // The file that it was read from is listed, too, but its length says less than its seal.
        let mut found = regular_files(directory)?;
        found.remove(STATE);
        let listed: BTreeMap<_, _> =
            state.files.iter().map(|(name, file)| (name, file.bytes)).collect();
        let names: BTreeSet<_> = listed.keys().copied().chain(found.keys()).collect();
        for name in names.into_iter().filter(|name| *name != STATE) {
            let (expected, found) = (listed.get(name), found.get(name));
            if expected != found {
                let shown = |bytes: Option<&u64>| {
                    bytes.map_or("no file".to_owned(), |bytes| format!("{bytes} bytes"))
                };
                let reason = format!("expected {}, found {}", shown(expected), shown(found));
                return Err(Error::format(directory.join(name), reason));
            }
        }
        Ok(Self { directory, files: state.files })
    }

    /// # Errors
    /// [`Error::Format`] if what is in a file is not what was written.
    fn check_contents(&self) -> Result<()> {
        for (name, expected) in self.files.iter().filter(|(name, _)| *name != STATE) {
            let path = self.directory.join(name);
            if FileRecord::of_file(&path)? != *expected {
                return Err(Error::format(path, "not what a trainer has written"));
            }
        }
        Ok(())
    }

    /// Removes the checkpoint, unless its files were changed or cannot be read. The removal is atomic; files that are added meanwhile are not removed.
    pub(super) fn remove(self) -> Result<()> {
        if self.check_contents().is_err() {
            return Ok(());
        }
        let aside = move_aside(self.directory)?;
        let failed = |error| Error::io(&aside, error);
        for name in self.files.keys() {
            fs::remove_file(aside.join(name)).map_err(failed)?;
        }
        fs::remove_dir(&aside).map_err(failed)?;
        aside.parent().map_or(Ok(()), fs::remove_dir).map_err(failed)
    }
}
