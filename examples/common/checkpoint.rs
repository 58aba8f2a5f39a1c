//! The checkpoints that the examples run on when they are not given one, and what to say of any.

use std::env;
use std::path::{Path, PathBuf};

use ndalbert::LoadReport;

/// The directory of a checkpoint that comes with this crate.
pub fn shipped(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name);
    // The shorter path reads better in messages.
    match env::current_dir().map(|here| directory.strip_prefix(here).map(Path::to_owned)) {
        Ok(Ok(relative)) => relative,
        _ => directory,
    }
}

/// Prints what transformers warns about: weights that were not used, and weights that are newly initialised.
#[allow(dead_code)] // Not every example asks.
pub fn warn(report: &LoadReport) {
    if !report.is_clean() {
        eprintln!("{report}");
    }
}
