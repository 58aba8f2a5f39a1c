//! The checkpoints that ship with the crate.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The directory of a checkpoint that ships with this crate, for first steps, examples and tests.
///
/// `albert-chinese-demo` is a small Chinese model, pre-trained (masked words, order of sentences);
/// `albert-chinese-next-sentence` is the same one, fine-tuned to choose the sentence that comes next.
///
/// ```
/// let directory = ndalbert::shipped_checkpoint("albert-chinese-demo")?;
/// assert!(directory.join("config.json").is_file());
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// They are in the source directory from which the crate was compiled. A program that runs elsewhere must bring its own checkpoint.
///
/// # Errors
/// [`Error::Io`] if there is no such directory.
pub fn shipped_checkpoint(name: &str) -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name);
    let found = directory.join("config.json").metadata();
    found.map_err(|error| Error::io(&directory, error))?;
    Ok(directory)
}
