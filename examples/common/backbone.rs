//! The backbone of a checkpoint, whatever heads it has.

use std::path::Path;

use ndalbert::{Albert, AlbertConfig, AlbertParameters, LoadOptions, PreTrainedModel};

use super::checkpoint;
use super::cli::Failure;

/// Loads configuration and parameters. That heads are not used is no news.
pub fn load(directory: &Path) -> Result<(AlbertConfig, AlbertParameters), Failure> {
    let (config, parameters, mut report) = Albert::load_parameters(directory, &LoadOptions::new())?;
    report.unexpected.retain(|name| name.contains("encoder.") || name.contains("embeddings."));
    checkpoint::warn(&report);
    Ok((config, parameters))
}
