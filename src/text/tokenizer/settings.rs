//! The options in `tokenizer_config.json`.

use serde_json::{Map, Value};

use super::config_files::JsonFile;
use crate::error::{Error, Result};
use crate::text::TruncationSide;

/// What a config may set, with the defaults of `AlbertTokenizer` and `BertTokenizer`.
#[derive(Debug, Clone)]
pub(in crate::text) struct Settings {
    pub do_lower_case: bool,
    /// SentencePiece only.
    pub keep_accents: bool,
    /// SentencePiece only: whether `▁` goes before every word, or only where there was a space.
    pub add_prefix_space: bool,
    /// WordPiece only; unset, accents go if letters are lower-cased.
    pub strip_accents: Option<bool>,
    /// WordPiece only.
    pub tokenize_chinese_chars: bool,
    /// Special tokens written in a text are split like any other text.
    pub split_special_tokens: bool,
    pub clean_up_spaces: bool,
    pub truncation_side: Option<TruncationSide>,
    pub model_max_length: Option<usize>,
    /// Whether the model is given type ids: `model_input_names` has them, or is not there.
    pub gives_type_ids: bool,
    /// What `tokenizer_class` names, unless it is ALBERT's or BERT's class, whose rules are known
    /// here.
    pub other_class: Option<String>,
}

impl Settings {
    /// The options in entries that are yet to be written.
    pub fn of_entries(entries: Map<String, Value>) -> Result<Self> {
        Self::read(&JsonFile { path: "tokenizer_config.json".into(), entries })
    }

    /// The options in `tokenizer_config.json` and in a `special_tokens_map.json`, any key of which
    /// wins in `transformers`.
    pub(super) fn read_both(config: &JsonFile, map: Option<&JsonFile>) -> Result<Self> {
        let settings = Self::read(config)?;
        let Some(map) = map.filter(|map| !map.entries.is_empty()) else { return Ok(settings) };
        let mut both = JsonFile { path: map.path.clone(), ..config.clone() };
        both.entries.extend(map.entries.clone());
        // Only the config's name is asked for the class.
        Ok(Self { other_class: settings.other_class, ..Self::read(&both)? })
    }

    fn read(config: &JsonFile) -> Result<Self> {
        // A null is false, whatever the default: that is how Python takes it.
        let switch = |key: &str, default| match config.entries.get(key) {
            Some(Value::Null) => Ok::<_, Error>(false),
            _ => Ok(config.boolean(key)?.unwrap_or(default)),
        };
        Ok(Self {
            do_lower_case: switch("do_lower_case", true)?,
            keep_accents: switch("keep_accents", false)?,
            add_prefix_space: switch("add_prefix_space", true)?,
            strip_accents: config.boolean("strip_accents")?,
            tokenize_chinese_chars: switch("tokenize_chinese_chars", true)?,
            split_special_tokens: switch("split_special_tokens", false)?,
            clean_up_spaces: switch("clean_up_tokenization_spaces", false)?,
            truncation_side: truncation_side(config)?,
            model_max_length: model_max_length(config)?,
            gives_type_ids: gives_type_ids(config)?,
            other_class: other_class(config)?,
        })
    }
}

fn truncation_side(config: &JsonFile) -> Result<Option<TruncationSide>> {
    let key = "truncation_side";
    match config.get(key) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some("right") => Ok(Some(TruncationSide::Right)),
            Some("left") => Ok(Some(TruncationSide::Left)),
            _ => Err(config.wrong(key, "\"right\" or \"left\"", value)),
        },
    }
}

/// The longest input. Before it was called `model_max_length` it was `max_len`, which counts where
/// the newer key is not there.
fn model_max_length(config: &JsonFile) -> Result<Option<usize>> {
    let keys = ["model_max_length", "max_len"];
    let key = keys.into_iter().find(|key| config.entries.contains_key(*key));
    key.map_or(Ok(None), |key| config.length(key))
}

fn gives_type_ids(config: &JsonFile) -> Result<bool> {
    let names = config.list("model_input_names")?;
    Ok(names.is_none_or(|names| names.iter().any(|name| name == "token_type_ids")))
}

fn other_class(config: &JsonFile) -> Result<Option<String>> {
    let name = config.string("tokenizer_class")?;
    let is_known = |name: &str| {
        let name = name.strip_suffix("Fast").unwrap_or(name);
        name == "AlbertTokenizer" || name == "BertTokenizer"
    };
    Ok(name.filter(|name| !is_known(name)).map(str::to_owned))
}
