//! Which checkpoint of a directory.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::table::MAGIC;
use crate::files::{open_regular, read_small};
use crate::layout::{INDEX, indices, names};
use crate::{Error, Result};

/// Where TensorFlow writes which checkpoint is the latest, and the key.
const STATE: (&str, &str) = ("checkpoint", "model_checkpoint_path:");

/// The longest such file, which also lists the checkpoints that were kept.
const MAX_STATE: u64 = 1 << 20;

/// The index of the checkpoint to load: the one named in the file `checkpoint`, as in `tf.train.latest_checkpoint`, or the
/// only one.
///
/// # Errors
///
/// `Error::Io` if the directory cannot be read, `Error::Format` that lists the checkpoints if it does not say which.
pub(in super::super) fn choose(directory: &Path) -> Result<Option<PathBuf>> {
    let mut found = indices(directory)?;
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let latest = latest(directory)?;
    let is_latest = |index: &PathBuf| {
        let name = index.file_name().and_then(|name| name.to_str()?.strip_suffix(INDEX));
        name.is_some() && name == latest.as_deref()
    };
    match found.iter().position(is_latest) {
        Some(place) => Ok(Some(found.swap_remove(place))),
        None => Err(Error::format(
            directory,
            format!(
                "expected one TensorFlow checkpoint, or a file `{}` that says which, found {}: open one by its path",
                STATE.0,
                names(&found)
            ),
        )),
    }
}

/// The name of the latest checkpoint. Its directory, often one of another machine, does not matter.
fn latest(directory: &Path) -> Result<Option<String>> {
    let path = directory.join(STATE.0);
    if !path.is_file() {
        return Ok(None);
    }
    let text = read_small(&path, MAX_STATE)?;
    let text = String::from_utf8_lossy(&text);
    let value = text.lines().find_map(|line| line.trim().strip_prefix(STATE.1));
    let value = value.map(|value| value.trim().trim_matches(['"', '\'']));
    Ok(value.and_then(|path| path.rsplit(['/', '\\']).next()).map(str::to_owned))
}

/// Whether a file is a table, which is what a whole checkpoint was in TensorFlow's first format.
pub(in super::super) fn is_table(path: &Path) -> bool {
    let end = || -> Result<[u8; 8]> {
        let failed = |error| Error::io(path, error);
        let mut file = open_regular(path)?;
        let mut end = [0; MAGIC.len()];
        file.seek(SeekFrom::End(-(end.len() as i64))).map_err(failed)?;
        file.read_exact(&mut end).map_err(failed)?;
        Ok(end)
    };
    end().is_ok_and(|end| end == MAGIC)
}
