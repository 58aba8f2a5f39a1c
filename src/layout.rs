//! How the files of a model are named where they are not named as on the Hugging Face Hub: Google's
//! releases, albert_zh's, and archives of TF Hub.
//!
//! ```text
//! albert_base/                 albert_tiny_zh_google/            archive of TF Hub/
//!   model.ckpt-best.index        albert_model.ckpt.index           variables/variables.index
//!   model.ckpt-best.data-…       albert_model.ckpt.data-…          variables/variables.data-…
//!   albert_config.json           albert_config_tiny_google.json    assets/albert_config.json
//!   30k-clean.model              vocab.txt                         assets/30k-clean.model
//! ```

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::directory_of;

/// The files that hold a tokenizer's vocabulary, in the order in which they are looked for.
pub(crate) const VOCABULARIES: [&str; 3] = ["tokenizer.json", "spiece.model", "vocab.txt"];

/// A tokenizer's other files.
pub(crate) const TOKENIZER: [&str; 3] =
    ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/// What the name of a TensorFlow checkpoint's index ends with.
pub(crate) const INDEX: &str = ".index";

/// The directory of an archive of TF Hub that has the checkpoint, and the one that has all else.
const ARCHIVE: (&str, &str) = ("variables", "assets");

/// The index of the TensorFlow checkpoint that `path` means: itself, or the one next to another
/// file of the checkpoint, or of which `path` is what their names begin with, as TensorFlow names
/// checkpoints.
pub(crate) fn index_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(INDEX) {
        return Some(path.to_owned());
    }
    let other = name.rsplit_once('.').filter(|(_, end)| *end == "meta" || end.starts_with("data-"));
    let prefix = match other {
        Some((prefix, _)) => prefix,
        None if path.exists() => return None,
        None => name,
    };
    let index = path.with_file_name(format!("{prefix}{INDEX}"));
    index.is_file().then_some(index)
}

/// Whether `name` is a path of this machine: something that exists, or what the names of a
/// TensorFlow checkpoint's files begin with. What cannot be looked at for another reason than that
/// it is not there is one, too, so that reading it reports that reason.
pub(crate) fn is_here(name: &Path) -> bool {
    let is_absent = |error: std::io::Error| error.kind() == ErrorKind::NotFound;
    index_of(name).is_some_and(|index| index.is_file())
        || !fs::symlink_metadata(name).is_err_and(is_absent)
}

/// What the names of other files of weights end with.
const WEIGHTS: [&str; 8] =
    [".safetensors", ".bin", ".pt", ".pth", ".pth.tar", ".t7", ".ckpt", ".index.json"];

/// Whether a file is one of weights, by its name.
pub(crate) fn is_weights(path: &Path) -> bool {
    is_named_as_weights(path) && !path.is_dir()
}

/// The same of what is not in a directory.
pub(crate) fn is_named_as_weights(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    WEIGHTS.iter().any(|end| name.ends_with(end))
}

/// The directory that has the configuration and the vocabulary of a model that is named by it, by
/// its file of weights, or by a TensorFlow checkpoint in it.
pub(crate) fn model_directory(path: &Path) -> PathBuf {
    let file = index_of(path).or_else(|| is_weights(path).then(|| path.to_owned()));
    let Some(file) = file.filter(|file| file.is_file()) else { return path.to_owned() };
    let directory = directory_of(&file);
    let archive = directory_of(directory);
    let is_archive = directory.ends_with(ARCHIVE.0) && archive.join(ARCHIVE.1).is_dir();
    if is_archive { archive } else { directory }.to_owned()
}

/// The indices in a directory, or in that of an archive's checkpoint.
pub(crate) fn indices(directory: &Path) -> Result<Vec<PathBuf>> {
    let here = files(directory, &|name| name.ends_with(INDEX))?;
    let variables = directory.join(ARCHIVE.0);
    match here.is_empty() && variables.is_dir() {
        true => files(&variables, &|name| name.ends_with(INDEX)),
        false => Ok(here),
    }
}

/// The only file of a directory, or of an archive's assets, whose name is as `is_wanted` says.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be read; [`Error::Format`] that lists them if there are
/// several.
pub(crate) fn only_file(
    directory: &Path,
    expected: &str,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<Option<PathBuf>> {
    let mut found = files(directory, is_wanted)?;
    let assets = directory.join(ARCHIVE.1);
    if found.is_empty() && assets.is_dir() {
        found = files(&assets, is_wanted)?;
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(Error::format(directory, format!("expected {expected}, found {}", names(&found)))),
    }
}

/// The names of files, at most eight of them.
pub(crate) fn names(files: &[PathBuf]) -> String {
    const SHOWN: usize = 8;
    let names = files.iter().take(SHOWN).filter_map(|path| path.file_name());
    let names: Vec<_> = names.map(OsStr::to_string_lossy).collect();
    let mut text = names.join(", ");
    if let Some(more) = files.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        text += &format!(" and {more} more");
    }
    text
}

/// The files of a directory whose names are wanted, sorted; a link that leads nowhere is one, so
/// that an error names it.
fn files(directory: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(directory, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_str().is_some_and(is_wanted) && !entry.path().is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
