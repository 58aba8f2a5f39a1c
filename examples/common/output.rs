//! Where an example leaves what it makes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ndalbert::checkpoint::DType;

use super::cli::Failure;

/// A directory for what comes of training.
pub enum Output {
    /// The user's.
    Given(PathBuf),
    /// The example's own, for what it makes of the data that comes with this crate.
    Own(PathBuf),
}

impl Output {
    /// The directory of an example's own: `target/` and its name.
    pub fn of(example: &str) -> Self {
        Self::Own(Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(example))
    }

    pub fn path(&self) -> &Path {
        let (Self::Given(path) | Self::Own(path)) = self;
        path
    }

    /// Whether it is the user's.
    #[allow(dead_code)] // Not every example asks.
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// Makes the directory: the example's own without what an earlier run has left there, unless that is to be gone on with.
    pub fn make(&self, resume: bool) -> Result<(), Failure> {
        let path = self.path();
        let failed = |error| format!("{}: {error}", path.display());
        if matches!(self, Self::Own(_)) && !resume {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(failed(error).into());
                }
                _ => {}
            }
        }
        Ok(fs::create_dir_all(path).map_err(failed)?)
    }
}

/// The type of the weights that are saved, by its name.
pub fn dtype(name: &str) -> Result<DType, &'static str> {
    match name {
        "f32" => Ok(DType::F32),
        "f16" => Ok(DType::F16),
        "bf16" => Ok(DType::BF16),
        _ => Err("expected f32, f16 or bf16"),
    }
}
