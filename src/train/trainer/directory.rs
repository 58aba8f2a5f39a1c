//! A directory of checkpoints.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{self, Path, PathBuf};

use super::state::TrainerState;
use crate::checkpoint::Checkpoint;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::files::{remove_directory, remove_leftovers};

/// The file of moments in a checkpoint. Their names are `<moment>.<name of the parameter>`.
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// What checkpoints' names begin with; the number of the step follows.
const PREFIX: &str = "checkpoint-";

/// The newest checkpoint of a directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct LatestCheckpoint {
    /// Its path, if there is any that is whole.
    pub path: Option<PathBuf>,
    /// What is wrong with those that are newer, the newest first.
    pub passed_over: Vec<Error>,
}

/// Finds the newest checkpoint in a trainer's output directory that is whole: one with all files, none of which is cut
/// short. Without the directory, there is none.
///
/// A trainer that is killed leaves whole checkpoints only, so what is passed over was damaged by someone else.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be read.
pub fn latest_checkpoint(output_dir: impl AsRef<Path>) -> Result<LatestCheckpoint> {
    let mut passed_over = Vec::new();
    for (_, path) in checkpoints(output_dir.as_ref())?.into_iter().rev() {
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

/// All checkpoints, whole or not, by step.
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
        // Not `checkpoint-007`, nor a file.
        if path.file_name() == Some(&name) && path.is_dir() {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes all checkpoints up to `step` but the last `limit` and the best.
pub(super) fn remove_old(
    output_dir: &Path,
    step: u64,
    limit: usize,
    best: Option<u64>,
) -> Result<()> {
    let mut old = checkpoints(output_dir)?;
    old.retain(|&(other, _)| other <= step);
    old.truncate(old.len().saturating_sub(limit));
    old.iter()
        .filter(|(step, _)| Some(*step) != best)
        .try_for_each(|(_, path)| remove_directory(path))
}

/// Makes a directory ready for a run's checkpoints, and keeps it for this run until what is returned is dropped.
///
/// # Errors
/// If another run has it, or if it has a checkpoint that this run would write again or remove without having made it: one
/// of a later step than `step`, or, unless the one that this run goes on from (`origin`) is there, any.
pub(super) fn prepare(output_dir: &Path, step: u64, origin: Option<&Path>) -> Result<File> {
    fs::create_dir_all(output_dir).map_err(|error| Error::io(output_dir, error))?;
    let lock = lock(output_dir)?;
    remove_leftovers(output_dir)?;
    let goes_on_here = origin.is_some_and(|origin| is_in(output_dir, origin));
    let mut foreign = checkpoints(output_dir)?;
    foreign.retain(|&(other, _)| other > step || !goes_on_here);
    let whole = foreign.into_iter().rev().find(|(_, path)| check_whole(path).is_ok());
    let Some((other, path)) = whole else { return Ok(lock) };
    let expected = match other > step {
        true => format!("no checkpoint after step {step}, where this run begins"),
        false => "no checkpoint of another run, which this one might remove".to_owned(),
    };
    let found = format!("{}: resume, or choose another directory", path.display());
    Err(Error::input("output_dir", expected, found))
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
