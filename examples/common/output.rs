//! Where an example leaves what it makes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ndalbert::checkpoint::DType;
use ndalbert::train::latest_checkpoint;

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

    /// Creates the directory; empties the example's own default directory, unless the run is resumed.
    /// Whether there is a run to resume. The user's own directories are left alone.
    pub fn make(&self, resume: bool) -> Result<bool, Failure> {
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
        fs::create_dir_all(path).map_err(failed)?;
        let checkpoint = latest_checkpoint(path)?.path;
        let model = Some(path.join("model.safetensors")).filter(|model| model.exists());
        match checkpoint.as_ref().or(model.as_ref()) {
            Some(there) if !resume => {
                let there = there.display();
                Err(format!("{there} already exists: --resume continues from a checkpoint").into())
            }
            _ => Ok(checkpoint.is_some()),
        }
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
