//! A directory of checkpoints.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{self, Path, PathBuf};

use super::manifest::Listed;
use super::state::{STATE, TrainerState};
use crate::checkpoint::Checkpoint;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::files::{ASIDE, is_temporary, leftovers};
use crate::layout::{TOKENIZER, VOCABULARIES};

/// The file of moments in a checkpoint. Their names are `<moment>.<name of the parameter>`.
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// What checkpoints' names begin with; the number of the step follows.
const PREFIX: &str = "checkpoint-";

/// The newest checkpoint of a directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct LatestCheckpoint {
    /// Its path, if there is a complete one.
    pub path: Option<PathBuf>,
    /// The errors of newer checkpoints, newest first.
    pub passed_over: Vec<Error>,
}

/// Finds the newest complete checkpoint in a trainer's output directory: one with all files, none of them truncated. A missing directory contains none.
///
/// A killed trainer leaves complete checkpoints only, so those that are skipped were damaged otherwise.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be read.
pub fn latest_checkpoint(output_dir: impl AsRef<Path>) -> Result<LatestCheckpoint> {
    let mut passed_over = Vec::new();
    let found = checkpoints(output_dir.as_ref())?;
    for (_, path) in found.into_iter().rev().filter(|(_, path)| path.is_dir()) {
        match check_whole(&path) {
            Ok(()) => return Ok(LatestCheckpoint { path: Some(path), passed_over }),
            Err(error) => passed_over.push(error),
        }
    }
    Ok(LatestCheckpoint { path: None, passed_over })
}

/// Opening a file of tensors compares the length of each with that of the file.
fn check_whole(checkpoint: &Path) -> Result<()> {
    TrainerState::read(checkpoint)?;
    AlbertConfig::from_pretrained(checkpoint)?;
    Checkpoint::open(checkpoint.join("model.safetensors"))?;
    Checkpoint::open(checkpoint.join(OPTIMIZER))?;
    Ok(())
}

/// Where the checkpoint of a step is.
pub(super) fn checkpoint_path(output_dir: &Path, step: u64) -> PathBuf {
    output_dir.join(format!("{PREFIX}{step}"))
}

/// All that has a checkpoint's name, whatever it is, by step.
fn checkpoints(output_dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let failed = |error| Error::io(output_dir, error);
    let entries = match fs::read_dir(output_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let step = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).map(str::parse);
        let Some(Ok(step)) = step else { continue };
        let path = checkpoint_path(output_dir, step);
        // Not `checkpoint-007`.
        if path.file_name() == Some(&name) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes all checkpoints up to `step` but the last `limit` and the best, of those that a trainer
/// has written and that were not changed since.
pub(super) fn remove_old(
    output_dir: &Path,
    step: u64,
    limit: usize,
    best: Option<u64>,
) -> Result<()> {
    let mut found = checkpoints(output_dir)?;
    found.retain(|&(other, _)| other <= step);
    let mut old = Vec::new();
    for (step, path) in &found {
        old.extend(Listed::open(path, *step).ok().map(|checkpoint| (*step, checkpoint)));
    }
    old.truncate(old.len().saturating_sub(limit));
    let mut old = old.into_iter().filter(|(step, _)| Some(*step) != best);
    old.try_for_each(|(_, checkpoint)| checkpoint.remove())
}

/// Makes a directory ready for a run's checkpoints, and keeps it for this run until what is returned is dropped.
///
/// # Errors
/// If another run has it; if it has a checkpoint that this run would remove without having made it:
/// one of a later step than `step`, or, unless the one from which this run resumes (`origin`) is there, any; or if anything else occupies the name of a future checkpoint (`may_save`).
pub(super) fn prepare(
    output_dir: &Path,
    step: u64,
    origin: Option<&Path>,
    may_save: impl Fn(u64) -> bool,
) -> Result<File> {
    fs::create_dir_all(output_dir).map_err(|error| Error::io(output_dir, error))?;
    let lock = lock(output_dir)?;
    remove_leftovers(output_dir)?;
    let goes_on_here = origin.is_some_and(|origin| is_in(output_dir, origin));
    for (other, path) in checkpoints(output_dir)?.into_iter().rev() {
        let is_later = other > step;
        let found = path.display();
        let refuse =
            |expected: String, found: String| Err(Error::input("output_dir", expected, found));
        match check_whole(&path) {
            Ok(()) if is_later => {
                return refuse(
                    format!("no checkpoint after step {step}, where this run begins"),
                    format!("{found}: resume, or choose another directory"),
                );
            }
            Ok(()) if !goes_on_here => {
                return refuse(
                    "no checkpoint of another run, which this one might remove".to_owned(),
                    format!("{found}: resume, or choose another directory"),
                );
            }
            Err(why) if is_later && may_save(other) => {
                return refuse(
                    "nothing where this run will save, unless it is a whole checkpoint of it"
                        .to_owned(),
                    format!("{found} ({why}): move it away, or choose another directory"),
                );
            }
            _ => {}
        }
    }
    Ok(lock)
}

/// Whether a trainer writes a file of this name into a checkpoint.
fn is_written(name: &OsStr) -> bool {
    const OWN: [&str; 4] = ["config.json", "model.safetensors", OPTIMIZER, STATE];
    OWN.into_iter().chain(VOCABULARIES).chain(TOKENIZER).any(|file| name == file)
}

/// Removes what a killed run has begun to save or to remove. A directory with other contents is not its own and stays.
fn remove_leftovers(output_dir: &Path) -> Result<()> {
    for path in leftovers(output_dir)? {
        let failed = |error| Error::io(&path, error);
        let kind = fs::symlink_metadata(&path).map_err(failed)?;
        if kind.is_file() {
            fs::remove_file(&path).map_err(failed)?;
        } else if kind.is_dir() && is_unfinished(&path, true)? {
            fs::remove_dir_all(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// Whether a directory has nothing in it but files of a checkpoint, or (`is_outer`) a directory of
/// such.
fn is_unfinished(directory: &Path, is_outer: bool) -> Result<bool> {
    let failed = |error| Error::io(directory, error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(failed)?);
        let is_known = is_written(&name) || is_temporary(&name);
        let is_aside = is_outer && kind.is_dir() && name == ASIDE;
        if !(kind.is_file() && is_known || is_aside && is_unfinished(&entry.path(), false)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a checkpoint stands in a directory, by whatever path.
fn is_in(directory: &Path, checkpoint: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    let parent = path::absolute(checkpoint).ok().and_then(|path| real(path.parent()?));
    parent.is_some() && parent == real(directory)
}

/// A lock that ends with the process, however that ends.
fn lock(output_dir: &Path) -> Result<File> {
    let path = output_dir.join(".lock");
    let failed = |error| Error::io(&path, error);
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(failed(io::Error::new(io::ErrorKind::ResourceBusy, "another run is writing here")))
        }
        // File systems without locks are none the worse.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error)),
        Ok(()) => Ok(file),
    }
}
