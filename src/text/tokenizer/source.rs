//! What a tokenizer was made of, and how that is written to a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::added::OTHERS;
use super::config_files::JsonFile;
use super::load::{CONFIG, VOCABULARIES};
use super::pipeline::Family;
use super::{AlbertTokenizer, phonemes};
use crate::error::{Error, Result};
use crate::files::{Staged, check_path, commit_all, stage, stage_json};
use crate::text::TruncationSide;

/// The files that a tokenizer was read from, as far as they had a say.
#[derive(Debug)]
pub(in crate::text) struct Source {
    /// The vocabulary's file, whose name is one of those that are looked for.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// `tokenizer_config.json`. It names the class even if the file did not, or was not there:
    /// `transformers` would otherwise decide by the model's `config.json`.
    pub(super) config: JsonFile,
    /// Files that `tokenizer_config.json` leaves something to say; empty ones were not there.
    pub(super) others: Vec<JsonFile>,
}

/// Settings that are written instead of those that were read.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub truncation_side: Option<TruncationSide>,
    pub model_max_length: Option<usize>,
}

impl Source {
    /// A vocabulary and its config, and no other files.
    pub fn new(name: &str, bytes: Vec<u8>, config: Map<String, Value>) -> Self {
        let file = |name: &str, entries| JsonFile { path: name.into(), entries };
        let others = OTHERS.map(|name| file(name, Map::new())).into();
        Self { path: name.into(), bytes, config: file(CONFIG, config), others }
    }

    /// Writes every file to a temporary one in `directory`.
    pub fn stage(&self, directory: &Path, changes: &Changes) -> Result<Vec<Staged>> {
        self.check_nothing_wins(directory)?;
        let config = self.config_with(changes);
        let others = self.others.iter().filter(|file| !file.entries.is_empty());
        let place = |path: &Path| directory.join(path.file_name().unwrap_or_default());
        let write = |file: &mut dyn io::Write| file.write_all(&self.bytes);
        let mut staged = vec![stage(&place(&self.path), write)?];
        for file in others.chain([&config]) {
            staged.push(stage_json(&place(&file.path), &Value::Object(file.entries.clone()))?);
        }
        Ok(staged)
    }

    fn config_with(&self, changes: &Changes) -> JsonFile {
        let mut config = self.config.clone();
        if let Some(side) = changes.truncation_side {
            config.entries.insert("truncation_side".into(), json!(side.name()));
        }
        if let Some(length) = changes.model_max_length {
            config.entries.insert("model_max_length".into(), json!(length));
        }
        config
    }

    /// Refuses a directory with another tokenizer's file that would not be replaced, and would be
    /// read nevertheless.
    fn check_nothing_wins(&self, directory: &Path) -> Result<()> {
        let earlier = VOCABULARIES.iter().map(|(name, _)| Path::new(name));
        let earlier = earlier.take_while(|name| !self.path.ends_with(name));
        let absent = self.others.iter().filter(|file| file.entries.is_empty());
        for path in earlier.chain(absent.map(|file| file.path.as_path())) {
            let path = directory.join(path.file_name().unwrap_or_default());
            if fs::symlink_metadata(&path).is_ok() {
                let name = self.path.file_name().unwrap_or_default().display();
                let reason = format!(
                    "expected no such file where a tokenizer with {name} is saved: it would be read as part of it"
                );
                return Err(Error::format(path, reason));
            }
        }
        Ok(())
    }
}

impl AlbertTokenizer {
    /// Writes the files from which this tokenizer was read to a directory, which is created if necessary: its vocabulary,
    /// `tokenizer_config.json` and, if they were read, `special_tokens_map.json` and `added_tokens.json`. A vocabulary of
    /// phonemes is put into the directory's `config.json`.
    ///
    /// [`from_pretrained`](Self::from_pretrained) and the `AutoTokenizer` of `transformers` read
    /// the same tokenizer from it. Every setting of the files keeps its effect; the current [truncation side](Self::with_truncation_side) is saved. As in `transformers`, a truncation length is not saved.
    ///
    /// All files are written to temporary files and synced before the first one is replaced, so a failed save leaves the old files intact.
    ///
    /// ```
    /// # fn main() -> ndalbert::Result<()> {
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizers/chinese");
    /// # let output = tempfile::tempdir().unwrap();
    /// # let output = output.path().join("tokenizer");
    /// use ndalbert::AlbertTokenizer;
    ///
    /// let tokenizer = AlbertTokenizer::from_pretrained(directory)?;
    /// tokenizer.save_pretrained(&output)?;
    /// let saved = AlbertTokenizer::from_pretrained(&output)?;
    /// assert_eq!(saved.encode("深度学习")?, tokenizer.encode("深度学习")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be written to; [`Error::Format`] if it contains a file of another tokenizer that would be read instead of or in addition to these (such as a `tokenizer.json` next to a `vocab.txt`).
    pub fn save_pretrained(&self, directory: impl AsRef<Path>) -> Result<()> {
        let directory = directory.as_ref();
        check_path(directory, "a directory to save to")?;
        fs::create_dir_all(directory).map_err(|error| Error::io(directory, error))?;
        if self.family == Family::Phonemes {
            return phonemes::save(&self.source, directory);
        }
        commit_all(self.stage(directory, None)?)
    }

    /// Writes the files to temporary ones (none for phonemes, whose vocabulary is in the model's `config.json`), with this `model_max_length`, if given.
    pub(crate) fn stage(
        &self,
        directory: &Path,
        model_max_length: Option<usize>,
    ) -> Result<Vec<Staged>> {
        if self.family == Family::Phonemes {
            return Ok(Vec::new());
        }
        let truncation_side = Some(self.truncation_side);
        self.source.stage(directory, &Changes { truncation_side, model_max_length })
    }
}
