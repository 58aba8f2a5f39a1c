//! Where a checkpoint is, and which of its files are needed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::options::PipelineOptions;
use crate::checkpoint::ModelFiles;
use crate::config::{CONFIG, ConfigFile};
use crate::error::{Error, Result};
use crate::files::{MAX_JSON, read_text};
use crate::hub::{self, Find, Lack, Wanted, is_relative};
use crate::layout;
use crate::text::TokenizerFiles;

/// What a sentence-transformers model has beside its first module, which is a checkpoint like any
/// other.
const MODULES: &str = "modules.json";
const SENTENCES: [&str; 2] = ["sentence_bert_config.json", "config_sentence_transformers.json"];

/// Which files of a checkpoint are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Files {
    /// `config.json`.
    Config,
    /// The tokenizer's.
    Tokenizer,
    /// `config.json` and the weights: safetensors where there are such, else PyTorch's.
    Model,
    /// All of these, and the modules of a sentence-transformers model.
    All,
}

impl Wanted for Files {
    fn find_all<E: From<Lack>>(&self, find: &mut Find<'_, E>) -> Result<(), E> {
        match self {
            Self::Config => ConfigFile.find_all(find),
            Self::Tokenizer => TokenizerFiles.find_all(find),
            Self::Model => ModelFiles.find_all(find),
            Self::All => {
                ConfigFile.find_all(find)?;
                TokenizerFiles::find_vocabulary(find)?;
                find_modules(find)?;
                ModelFiles::find_weights(find)
            }
        }
    }

    fn is_here(&self, name: &Path) -> bool {
        layout::is_here(name)
    }
}

/// The directory of a checkpoint: `name` itself if it exists. Otherwise, with the feature `hub`,
/// the model of that name (`owner/model` or `owner/model@revision`) in the cache, into which its
/// files are downloaded if need be.
///
/// Every `from_pretrained` does this for the files that it reads. Done once beforehand, it spares
/// the others their questions to the Hub, and makes sure that all of them see the same commit.
///
/// ```no_run
/// use ndalbert::{AlbertForMaskedLM, AlbertTokenizer, PreTrainedModel};
///
/// let directory = ndalbert::pipelines::resolve("voidful/albert_chinese_small")?;
/// let tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
/// let (model, report) = AlbertForMaskedLM::from_pretrained(&directory)?;
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`] if there is no such directory and the name cannot be one of a model, or the
/// feature is missing; with the feature, `Error::Hub`, which says what to do, if the model cannot
/// be had.
pub fn resolve(name: impl AsRef<Path>) -> Result<PathBuf> {
    let directory = hub::locate(name.as_ref(), None, &Files::All)?;
    let found = fs::metadata(&directory).map_err(|error| Error::io(&directory, error))?;
    if !found.is_dir() {
        let reason = "expected a checkpoint's directory, found a file";
        let error = std::io::Error::new(ErrorKind::NotADirectory, reason);
        return Err(Error::io(directory, error));
    }
    Ok(directory)
}

/// As [`resolve`], at the revision that the options name.
pub(super) fn directory(name: &Path, options: &PipelineOptions) -> Result<PathBuf> {
    hub::locate(name, options.load.chosen_revision(), &Files::All)
}

/// Finds the modules' configurations, of which pooling has one.
fn find_modules<E: From<Lack>>(find: &mut Find<'_, E>) -> Result<(), E> {
    for file in SENTENCES {
        find(file)?;
    }
    let Some(path) = find(MODULES)? else { return Ok(()) };
    for module in module_directories(&path).map_err(Lack::from)? {
        find(&format!("{module}/{CONFIG}"))?;
    }
    Ok(())
}

/// The directories that `modules.json` names. What it says otherwise is for whoever loads it to
/// judge.
fn module_directories(path: &Path) -> Result<Vec<String>> {
    let bytes = read_text(path, MAX_JSON)?;
    let modules: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let directories =
        modules.as_array().into_iter().flatten().filter_map(|module| module["path"].as_str());
    Ok(directories.filter(|path| is_relative(path)).map(str::to_owned).collect())
}
