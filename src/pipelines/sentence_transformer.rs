//! Directories of sentence-transformers: `modules.json`, and a directory for each module that it names.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::sentence_embedding::Pooling;
use crate::error::{Error, Result};
use crate::files::{MAX_JSON, read_text};

/// What such a directory says.
#[derive(Debug)]
pub(super) struct SentenceTransformer {
    /// Where the checkpoint and its tokenizer are.
    pub checkpoint: PathBuf,
    pub max_length: Option<usize>,
    pub lower_case: bool,
    pub poolings: Vec<Pooling>,
    pub normalize: bool,
    /// What is put before every text.
    pub prompt: String,
}

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: PathBuf,
    #[serde(rename = "type")]
    class: String,
}

/// `sentence_bert_config.json`, as files before version 6 have it; later ones say the same in `tokenizer_config.json`.
#[derive(Default, Deserialize)]
struct TransformerConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// `config_sentence_transformers.json`.
#[derive(Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: Map<String, Value>,
    default_prompt_name: Option<String>,
}

/// Names of [`Pooling`]s in `pooling_mode`, and as flags in older files, in the order in which these are concatenated.
const POOLINGS: [(Pooling, &str, &str); 6] = [
    (Pooling::Cls, "cls", "pooling_mode_cls_token"),
    (Pooling::Max, "max", "pooling_mode_max_tokens"),
    (Pooling::Mean, "mean", "pooling_mode_mean_tokens"),
    (Pooling::MeanSqrtLength, "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
    (Pooling::WeightedMean, "weightedmean", "pooling_mode_weightedmean_tokens"),
    (Pooling::LastToken, "lasttoken", "pooling_mode_lasttoken"),
];

impl SentenceTransformer {
    /// Reads a directory; `None` if there is no `modules.json` in it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] for files that cannot be read or say something that this crate cannot do.
    pub fn open(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("modules.json");
        let Some(modules) = read_if_there::<Vec<Module>>(&path)? else { return Ok(None) };
        // What a module is, is the last part of its class's name; what is before it changed with versions.
        let class = |module: &Module| module.class.rsplit('.').next().unwrap_or("").to_owned();
        let classes: Vec<String> = modules.iter().map(class).collect();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let normalize = match classes.as_slice() {
            ["Transformer", "Pooling"] => false,
            ["Transformer", "Pooling", "Normalize"] => true,
            other => {
                let expected = "expected the modules Transformer, Pooling and at most Normalize";
                return Err(Error::format(path, format!("{expected}, found {other:?}")));
            }
        };
        let place = |module: &Module| inside(directory, &module.path, &path);
        let (checkpoint, pooling) = (place(&modules[0])?, place(&modules[1])?);
        let TransformerConfig { max_seq_length, do_lower_case } = transformer_config(&checkpoint)?;
        let (poolings, include_prompt) = poolings(&pooling.join("config.json"))?;
        let prompt = prompt(&directory.join("config_sentence_transformers.json"))?;
        if !include_prompt && !prompt.is_empty() {
            let reason =
                "expected a pooling that includes the prompt, found `include_prompt` false";
            return Err(Error::format(pooling.join("config.json"), reason));
        }
        Ok(Some(Self {
            checkpoint,
            max_length: max_seq_length,
            lower_case: do_lower_case,
            poolings,
            normalize,
            prompt,
        }))
    }
}

/// A module's directory, which has to be inside of the whole.
fn inside(directory: &Path, module: &Path, modules: &Path) -> Result<PathBuf> {
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !module.components().all(is_inside) {
        let reason = format!("expected paths inside of the directory, found {module:?}");
        return Err(Error::format(modules, reason));
    }
    Ok(directory.join(module))
}

fn transformer_config(checkpoint: &Path) -> Result<TransformerConfig> {
    for name in ["sentence_bert_config.json", "sentence_albert_config.json"] {
        if let Some(config) = read_if_there(&checkpoint.join(name))? {
            return Ok(config);
        }
    }
    Ok(TransformerConfig::default())
}

/// The poolings, and whether what is put before a text is pooled, too.
fn poolings(path: &Path) -> Result<(Vec<Pooling>, bool)> {
    let config: Map<String, Value> = read(path)?;
    let wrong = |key: &str, value: &Value| {
        let known = POOLINGS.map(|(_, name, _)| name);
        Error::format(path, format!("`{key}`: expected some of {known:?}, found {value}"))
    };
    let named = |value: &Value| {
        let name = value.as_str();
        let found = POOLINGS.iter().find(|(_, known, _)| Some(*known) == name);
        found.map(|&(pooling, ..)| pooling).ok_or_else(|| wrong("pooling_mode", value))
    };
    let poolings = match config.get("pooling_mode") {
        Some(Value::Array(names)) if !names.is_empty() => {
            names.iter().map(named).collect::<Result<_>>()?
        }
        Some(name) => vec![named(name)?],
        None => {
            let is_set = |key: &str| config.get(key) == Some(&Value::Bool(true));
            let known = |key: &str| POOLINGS.iter().any(|(.., flag)| *flag == key);
            if let Some((key, value)) = config
                .iter()
                .find(|(key, _)| key.starts_with("pooling_mode_") && is_set(key) && !known(key))
            {
                return Err(wrong(key, value));
            }
            let set = POOLINGS.iter().filter(|(.., flag)| is_set(flag));
            let set: Vec<Pooling> = set.map(|&(pooling, ..)| pooling).collect();
            // As sentence-transformers does.
            if set.is_empty() { vec![Pooling::Mean] } else { set }
        }
    };
    Ok((poolings, config.get("include_prompt") != Some(&Value::Bool(false))))
}

/// The prompt that is put before texts if nothing else is said.
fn prompt(path: &Path) -> Result<String> {
    let Prompts { prompts, default_prompt_name } = read_if_there(path)?.unwrap_or_default();
    let prompt =
        default_prompt_name.and_then(|name| prompts.get(&name)?.as_str().map(str::to_owned));
    Ok(prompt.unwrap_or_default())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read_text(path, MAX_JSON)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::format(path, error.to_string()))
}

fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match read(path) {
        Err(Error::Io { error, .. }) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
