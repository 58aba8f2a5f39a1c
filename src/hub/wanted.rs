//! Which of a repository's files are needed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Files;
use super::failure::Failure;
use super::name::is_relative;
use crate::checkpoint::{WEIGHTS, shards};
use crate::files::{MAX_JSON, read_text};
use crate::layout::{TOKENIZER, VOCABULARIES};

const CONFIG: &str = "config.json";

/// Weights of the speech model Kokoro, under the names that its own `KModel` knows, and keys of its
/// `config.json`: that of the ALBERT in it, and that of the phonemes.
const KOKORO: [&str; 2] = ["kokoro-v1_0.pth", "kokoro-v1_1-zh.pth"];
const PLBERT: &str = "plbert";
const PHONEMES: &str = "vocab";

/// The files of a sentence-transformers model in addition to its first module, which is an ordinary
/// checkpoint.
const MODULES: &str = "modules.json";
const SENTENCES: [&str; 2] = ["sentence_bert_config.json", "config_sentence_transformers.json"];

/// Where a file is, or `None` if the repository has none of this name.
pub(super) type Find<'a> = dyn FnMut(&str) -> Result<Option<PathBuf>, Failure> + 'a;

/// Finds all the files that are wanted, the small ones first.
///
/// # Errors
/// Those of `find`; [`Failure::Missing`] and [`Failure::NoWeights`] if it is none of a checkpoint's
/// repositories.
pub(super) fn find_all(files: Files, find: &mut Find<'_>) -> Result<(), Failure> {
    let all = files == Files::All;
    if files != Files::Tokenizer && find(CONFIG)?.is_none() {
        return Err(Failure::Missing(CONFIG));
    }
    if all || files == Files::Tokenizer {
        let has_vocabulary = find_tokenizer(find)?;
        if !all && !has_vocabulary && !has_key(PHONEMES, find)? {
            return Err(Failure::Missing("tokenizer.json, spiece.model and vocab.txt"));
        }
    }
    if all {
        find_modules(find)?;
    }
    if all || files == Files::Model {
        find_weights(find)?;
    }
    Ok(())
}

/// Whether the configuration has a key. Invalid JSON is reported when it is loaded.
fn has_key(key: &str, find: &mut Find<'_>) -> Result<bool, Failure> {
    let Some(path) = find(CONFIG)? else { return Ok(false) };
    let bytes = read_text(&path, MAX_JSON).map_err(Failure::Local)?;
    let config: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(config.get(key).is_some())
}

/// Whether there is a vocabulary. A model without one is a model.
fn find_tokenizer(find: &mut Find<'_>) -> Result<bool, Failure> {
    // All of them: they have some hundred KB, and a converted checkpoint should keep them.
    for file in TOKENIZER {
        find(file)?;
    }
    let mut has_vocabulary = false;
    for file in VOCABULARIES {
        has_vocabulary |= find(file)?.is_some();
    }
    Ok(has_vocabulary)
}

/// The first weights in transformers' order, and what an index refers to.
fn find_weights(find: &mut Find<'_>) -> Result<(), Failure> {
    for name in WEIGHTS {
        let Some(path) = find(name)? else { continue };
        if !name.ends_with(".index.json") {
            return Ok(());
        }
        for shard in shards(&path).map_err(Failure::Local)? {
            if find(&shard)?.is_none() {
                return Err(Failure::Answer(format!(
                    "{name} refers to {shard}, which is not there"
                )));
            }
        }
        return Ok(());
    }
    if has_key(PLBERT, find)? {
        for name in KOKORO {
            if find(name)?.is_some() {
                return Ok(());
            }
        }
    }
    Err(Failure::NoWeights)
}

/// The modules' configurations, of which pooling has one.
fn find_modules(find: &mut Find<'_>) -> Result<(), Failure> {
    for file in SENTENCES {
        find(file)?;
    }
    let Some(path) = find(MODULES)? else { return Ok(()) };
    for module in module_directories(&path)? {
        find(&format!("{module}/{CONFIG}"))?;
    }
    Ok(())
}

/// The directories that `modules.json` names. Other content is checked when it is loaded.
fn module_directories(path: &Path) -> Result<Vec<String>, Failure> {
    let bytes = read_text(path, MAX_JSON).map_err(Failure::Local)?;
    let modules: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let directories =
        modules.as_array().into_iter().flatten().filter_map(|module| module["path"].as_str());
    Ok(directories.filter(|path| is_relative(path)).map(str::to_owned).collect())
}
