//! The files of a repository that a tokenizer is read from.

use std::path::Path;

use crate::config::ConfigFile;
use crate::hub::{Find, Lack, Wanted};
use crate::layout::{self, TOKENIZER, VOCABULARIES};

/// The key of `config.json` that has a vocabulary of phonemes.
const PHONEMES: &str = "vocab";

/// All files of a tokenizer.
pub(crate) struct TokenizerFiles;

impl Wanted for TokenizerFiles {
    fn find_all<E: From<Lack>>(&self, find: &mut Find<'_, E>) -> Result<(), E> {
        match Self::find_vocabulary(find)? || ConfigFile::has_key(PHONEMES, find)? {
            true => Ok(()),
            false => Err(Lack::File("tokenizer.json, spiece.model and vocab.txt").into()),
        }
    }

    fn is_here(&self, name: &Path) -> bool {
        layout::is_here(name)
    }
}

impl TokenizerFiles {
    /// Finds them, and whether there is a vocabulary among them. A model without one is a model.
    pub fn find_vocabulary<E>(find: &mut Find<'_, E>) -> Result<bool, E> {
        // All that there are: some hundred KB, and whoever converts a checkpoint wants to keep
        // them.
        for file in TOKENIZER {
            find(file)?;
        }
        let mut has_vocabulary = false;
        for file in VOCABULARIES {
            has_vocabulary |= find(file)?.is_some();
        }
        Ok(has_vocabulary)
    }
}
