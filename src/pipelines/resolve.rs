//! Where a checkpoint is.

use std::path::{Path, PathBuf};

use super::options::PipelineOptions;
use crate::error::Result;
use crate::hub::{self, Files};

pub use crate::hub::resolve;

/// As [`resolve`], at the revision that the options name.
pub(super) fn directory(name: &Path, options: &PipelineOptions) -> Result<PathBuf> {
    hub::locate(name, options.load.chosen_revision(), Files::All)
}
