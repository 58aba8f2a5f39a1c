//! The cache's layout, which is `huggingface_hub`'s:
//!
//! ```text
//! models--owner--model/blobs/ETAG                the files' contents
//! models--owner--model/snapshots/COMMIT/FILE     links to them
//! models--owner--model/refs/REVISION             the commit that a branch or tag was when it was asked for last
//! models--owner--model/.no_exist/COMMIT/FILE     empty: the commit has no such file
//! .locks/models--owner--model/ETAG.lock          held while a blob is written
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::name::{Repository, is_commit};
use super::wanted::{Lack, Wanted};
use crate::files::{read_small, write_atomically};

/// The longest file of `refs`: a commit, perhaps with a newline.
const MAX_REF: u64 = 256;

/// The part of the cache that is one model's.
#[derive(Debug)]
pub(super) struct Cache {
    model: PathBuf,
    locks: PathBuf,
}

impl Cache {
    pub fn new(root: &Path, repository: &Repository) -> Self {
        let name = format!("models--{}", repository.name().replace('/', "--"));
        Self { model: root.join(&name), locks: root.join(".locks").join(&name) }
    }

    /// The commit that a revision was when it was asked for last.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let bytes = read_small(&self.model.join("refs").join(revision), MAX_REF).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        Some(text.trim().to_owned()).filter(|text| is_commit(text))
    }

    /// Remembers what a revision is now, if it can: a cache that cannot be written to may have all
    /// that is needed.
    pub fn record(&self, revision: &str, commit: &str) {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return;
        }
        let path = self.model.join("refs").join(revision);
        if make_directory_of(&path).is_ok() {
            let _ = write_atomically(path, |file| file.write_all(commit.as_bytes()));
        }
    }

    /// The directory of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.model.join("snapshots").join(commit)
    }

    /// A file of a commit, if it is here.
    pub fn find(&self, commit: &str, file: &str) -> Option<PathBuf> {
        Some(self.snapshot(commit).join(file)).filter(|path| path.is_file())
    }

    /// Whether all that is wanted of a commit is here, and all the rest is known not to exist.
    pub fn is_complete(&self, commit: &str, files: &impl Wanted) -> bool {
        let found = files.find_all::<Failure>(&mut |file| match self.find(commit, file) {
            None if !self.absence(commit, file).exists() => {
                Err(Failure::NotCached(file.to_owned()))
            }
            found => Ok(found),
        });
        found.is_ok()
    }

    /// The directory of a commit, if what is needed of it is here.
    pub fn needed(&self, commit: Option<&str>, files: &impl Wanted) -> Result<PathBuf, Failure> {
        let commit = commit.ok_or_else(|| Failure::NotCached("it".to_owned()))?;
        match files.find_all::<Lack>(&mut |file| Ok(self.find(commit, file))) {
            Ok(()) => Ok(self.snapshot(commit)),
            Err(Lack::Unreadable(error)) => Err(Failure::Local(error)),
            Err(Lack::File(name) | Lack::Part { name, .. } | Lack::Reference { name, .. }) => {
                Err(Failure::NotCached(name.to_owned()))
            }
        }
    }

    fn absence(&self, commit: &str, file: &str) -> PathBuf {
        self.model.join(".no_exist").join(commit).join(file)
    }

    /// Remembers that a commit has no such file, if it can.
    pub fn note_absence(&self, commit: &str, file: &str) {
        let path = self.absence(commit, file);
        if make_directory_of(&path).is_ok() {
            let _ = OpenOptions::new().create(true).append(true).open(path);
        }
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.model.join("blobs").join(etag)
    }

    /// Locks a blob for writing, waiting for other writers; `None` where that cannot
    /// be.
    pub fn lock(&self, etag: &str) -> Option<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        make_directory_of(&path).ok()?;
        let file = OpenOptions::new().create(true).append(true).open(path).ok()?;
        file.lock().is_ok().then_some(file)
    }

    /// Has a commit's file be this blob.
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf, Failure> {
        let path = self.snapshot(commit).join(file);
        make_directory_of(&path)?;
        let target = relative_blob(file, etag);
        match symlink(&target, &path) {
            Ok(()) => Ok(path),
            // Somebody else was faster, or the blob it led to is gone.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_file() => Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&path)?;
                symlink(&target, &path)?;
                Ok(path)
            }
            // A file system without links, or Windows without the right to make them.
            Err(_) => {
                let mut blob = File::open(self.blob(etag))?;
                write_atomically(&path, |copy| io::copy(&mut blob, copy).map(drop))
                    .map_err(Failure::Local)?;
                Ok(path)
            }
        }
    }
}

/// A blob's path, seen from where a file's link is.
fn relative_blob(file: &str, etag: &str) -> PathBuf {
    let up = (0..2 + file.matches('/').count()).map(|_| "..");
    up.chain(["blobs", etag]).collect()
}

#[cfg(unix)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _path: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Creates the directory of a file.
pub(super) fn make_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
