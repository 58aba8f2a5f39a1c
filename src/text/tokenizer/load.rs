//! From a directory to a tokenizer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenizers::processors::PostProcessorWrapper;

use super::added::Declarations;
use super::config_files::JsonFile;
use super::pipeline::{self, Draft};
use super::settings::Settings;
use super::source::Source;
use super::{
    AlbertTokenizer, SpecialIds, phonemes, refused, sentencepiece, tokenizer_json, wordpiece,
};
use crate::config;
use crate::error::{Error, Result};
use crate::files::{MAX_VOCABULARY, check_path};
use crate::hub;
use crate::layout;
use crate::memory::{MemoryFiles, Origin};
use crate::text::TokenizerFiles;

pub(super) const CONFIG: &str = layout::TOKENIZER[0];

/// A vocabulary's file, and what the files beside it say.
pub(super) struct VocabularyFile<'a> {
    /// Named in errors.
    pub path: &'a Path,
    pub bytes: &'a [u8],
    pub settings: &'a Settings,
    pub declared: &'a Declarations,
}

type Reader = fn(&VocabularyFile<'_>) -> Result<Draft>;

/// The files that hold a vocabulary; the first one there is read.
pub(super) const VOCABULARIES: [(&str, Reader); 3] = [
    (layout::VOCABULARIES[0], tokenizer_json::read),
    (layout::VOCABULARIES[1], sentencepiece::read),
    (layout::VOCABULARIES[2], wordpiece::read),
];

/// How names of vocabularies begin and end in Google's releases (`30k-clean.model`) and albert_zh's
/// (`vocab_chinese.txt`), and what they are elsewhere.
const OTHERS: [(&str, &str, &str); 2] =
    [("", ".model", "spiece.model"), ("vocab", ".txt", "vocab.txt")];

pub(super) fn load(directory: &Path) -> Result<AlbertTokenizer> {
    check_path(directory, "a tokenizer's directory")?;
    let path = hub::locate(directory, None, &TokenizerFiles)?;
    let directory = &layout::model_directory(&path);
    assemble(Origin::Disk, directory, find(directory)?)
}

impl AlbertTokenizer {
    /// Reads the same as [`from_pretrained`](Self::from_pretrained) from files in memory, whose
    /// vocabulary is called `tokenizer.json`, `spiece.model` or `vocab.txt`.
    ///
    /// # Errors
    /// As [`from_pretrained`](Self::from_pretrained).
    pub fn from_bytes(files: &MemoryFiles) -> Result<Self> {
        let origin = Origin::Memory(files);
        assemble(origin, Path::new(""), find_usual(origin, Path::new("")))
    }
}

/// Puts together what is found in a directory.
fn assemble(origin: Origin<'_>, directory: &Path, found: Option<Found>) -> Result<AlbertTokenizer> {
    let Some(Found { path, name, read }) = found else { return phonemes(origin, directory) };
    let mut config = JsonFile::read_if_there(origin, &directory.join(CONFIG))?;
    let mut declared = Declarations::read(origin, directory, &config)?;
    let settings = Settings::read_both(&config, declared.files.first())?;
    check_class(&path, &config, &settings)?;
    let is_binary = path.extension().is_some_and(|extension| extension == "model");
    let bytes = match is_binary {
        true => origin.read_small(&path, MAX_VOCABULARY)?,
        false => origin.read_text(&path, MAX_VOCABULARY)?,
    };
    let file =
        VocabularyFile { path: &path, bytes: &bytes, settings: &settings, declared: &declared };
    let mut draft = read(&file)?;
    declared.add_from_tokenizer_json(std::mem::take(&mut draft.file_tokens));
    if settings.other_class.is_none() {
        config.entries.insert("tokenizer_class".into(), draft.class().into());
    }
    let others = std::mem::take(&mut declared.files);
    let source = Source { path: path.with_file_name(name), bytes, config, others };
    finish(draft, source, &settings, &declared)
}

/// A vocabulary's file, the usual name of such a file, and what reads it.
struct Found {
    path: PathBuf,
    name: &'static str,
    read: Reader,
}

fn find(directory: &Path) -> Result<Option<Found>> {
    let metadata = std::fs::metadata(directory).map_err(|error| Error::io(directory, error))?;
    if !metadata.is_dir() {
        return Err(Error::format(directory, "expected a directory, found a file"));
    }
    if let Some(found) = find_usual(Origin::Disk, directory) {
        return Ok(Some(found));
    }
    for (begin, end, name) in OTHERS {
        let is_wanted = |file: &str| file.starts_with(begin) && file.ends_with(end);
        let path = layout::only_file(directory, &format!("one {begin}*{end}"), &is_wanted)?;
        let usual = VOCABULARIES.into_iter().find(|(usual, _)| *usual == name);
        if let Some((path, (name, read))) = path.zip(usual) {
            return Ok(Some(Found { path, name, read }));
        }
    }
    Ok(None)
}

/// The first vocabulary of the usual names.
fn find_usual(origin: Origin<'_>, directory: &Path) -> Option<Found> {
    VOCABULARIES.into_iter().find_map(|(name, read)| {
        let path = directory.join(name);
        origin.has(&path).then_some(Found { path, name, read })
    })
}

/// The vocabulary of a speech model, where there is no other.
fn phonemes(origin: Origin<'_>, directory: &Path) -> Result<AlbertTokenizer> {
    let config = JsonFile::read_if_there(origin, &directory.join(config::CONFIG))?;
    phonemes::read(&config)?.ok_or_else(|| {
        let expected = VOCABULARIES.map(|(name, _)| name).join(", ");
        let reason = format!(
            "expected one of {expected}, found none of them; nor has config.json a `vocab` of phonemes"
        );
        let place = match origin {
            Origin::Disk => directory,
            Origin::Memory(_) => Path::new(VOCABULARIES[0].0),
        };
        Error::format(place, reason)
    })
}

/// Only a `tokenizer.json` brings the rules of any class with it.
fn check_class(vocabulary: &Path, config: &JsonFile, settings: &Settings) -> Result<()> {
    match &settings.other_class {
        Some(class) if !vocabulary.ends_with("tokenizer.json") => {
            let expected = "AlbertTokenizer or BertTokenizer";
            let reason = format!("where {} is all there is", vocabulary.display());
            let what = format!("`tokenizer_class`: expected {expected} {reason}, found {class:?}");
            Err(Error::format(&config.path, what))
        }
        _ => Ok(()),
    }
}

/// Adds the special and added tokens, then the template that puts them around a text.
fn finish(
    mut draft: Draft,
    source: Source,
    settings: &Settings,
    declared: &Declarations,
) -> Result<AlbertTokenizer> {
    check_special(&draft, declared)?;
    let existing = draft.tokenizer.get_added_vocabulary().get_vocab().keys().cloned().collect();
    let defaults = (!draft.is_literal).then_some(draft.family);
    let tokens = declared.in_order(defaults, existing, draft.pieces.take());
    draft.tokenizer.add_tokens(tokens).map_err(refused)?;

    let cls = named(&draft, declared, "cls_token")?;
    let sep = named(&draft, declared, "sep_token")?;
    let special = SpecialIds {
        pad: named(&draft, declared, "pad_token")?.1,
        unk: named(&draft, declared, "unk_token")?.1,
        cls: cls.1,
        sep: sep.1,
        mask: named(&draft, declared, "mask_token")?.1,
    };
    let template = match draft.template.take() {
        Some(template) => template,
        None if draft.is_literal => pipeline::bare_template()?.into(),
        None => pipeline::template(cls, sep)?.into(),
    };
    draft.tokenizer.with_post_processor(None::<PostProcessorWrapper>);
    draft.tokenizer.set_encode_special_tokens(settings.split_special_tokens);
    Ok(AlbertTokenizer {
        tokenizer: Arc::new(draft.tokenizer),
        template: Arc::new(template),
        source: Arc::new(source),
        special,
        truncation: None,
        truncation_side: settings.truncation_side.or(draft.truncation_side).unwrap_or_default(),
        model_max_length: settings.model_max_length,
        clean_up_spaces: settings.clean_up_spaces,
        gives_type_ids: settings.gives_type_ids,
        family: draft.family,
    })
}

/// Before any token is added: one that is new would get an id past the end of the embedding table.
fn check_special(draft: &Draft, declared: &Declarations) -> Result<()> {
    for key in ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"] {
        let content = declared.content(key, draft.family);
        if draft.tokenizer.token_to_id(&content).is_none() && !declared.lists(&content) {
            return Err(missing(draft, key, &content));
        }
    }
    Ok(())
}

fn named(draft: &Draft, declared: &Declarations, key: &str) -> Result<(String, u32)> {
    let content = declared.content(key, draft.family);
    match draft.tokenizer.token_to_id(&content) {
        Some(id) => Ok((content, id)),
        None => Err(missing(draft, key, &content)),
    }
}

fn missing(draft: &Draft, key: &str, content: &str) -> Error {
    let size = draft.tokenizer.get_vocab_size(true);
    let found = format!("none such among {size} tokens");
    Error::format(&draft.path, format!("expected the {key} {content:?}, found {found}"))
}
