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
use crate::error::{Error, Result};
use crate::files::{MAX_VOCABULARY, check_path, read_small, read_text};
use crate::hub::{self, Files};
use crate::layout;

pub(super) const CONFIG: &str = layout::TOKENIZER[0];

type Reader = fn(&Path, &[u8], &Settings, &Declarations) -> Result<Draft>;

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
    let path = hub::locate(directory, None, Files::Tokenizer)?;
    let directory = &layout::model_directory(&path);
    let Some(Found { path, name, read }) = find(directory)? else { return phonemes(directory) };
    let mut config = JsonFile::read_if_there(&directory.join(CONFIG))?;
    let mut declared = Declarations::read(directory, &config)?;
    let settings = Settings::read_both(&config, declared.files.first())?;
    check_class(&path, &config, &settings)?;
    let is_binary = path.extension().is_some_and(|extension| extension == "model");
    let read_whole = if is_binary { read_small } else { read_text };
    let bytes = read_whole(&path, MAX_VOCABULARY)?;
    let mut draft = read(&path, &bytes, &settings, &declared)?;
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
    for (name, read) in VOCABULARIES {
        let path = directory.join(name);
        if path.exists() {
            return Ok(Some(Found { path, name, read }));
        }
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

/// The vocabulary of a speech model, where there is no other.
fn phonemes(directory: &Path) -> Result<AlbertTokenizer> {
    let config = JsonFile::read_if_there(&directory.join(phonemes::CONFIG))?;
    phonemes::read(&config)?.ok_or_else(|| {
        let expected = VOCABULARIES.map(|(name, _)| name).join(", ");
        let reason = format!(
            "expected one of {expected}, found none of them; nor has config.json a `vocab` of phonemes"
        );
        Error::format(directory, reason)
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
