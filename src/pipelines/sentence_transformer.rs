//! Directories of sentence-transformers: `modules.json`, and a directory for each module that it
//! names.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::sentence_embedding::Pooling;
use crate::error::{Error, Result};
use crate::files::MAX_JSON;
use crate::memory::Origin;

/// What such a directory says.
#[derive(Debug)]
pub(super) struct SentenceTransformer {
    /// Where the checkpoint and its tokenizer are.
    pub checkpoint: PathBuf,
    pub max_length: Option<usize>,
    pub modules: Modules,
}

/// What is done before and after the model.
#[derive(Debug)]
pub(super) struct Modules {
    /// Whether letters are lower-cased before the tokenizer sees them.
    pub lower_case: bool,
    pub poolings: Vec<Pooling>,
    /// Whether the tokens of the prompt are pooled, too.
    pub include_prompt: bool,
    /// Whether vectors are normalised, before they are cut.
    pub normalize: bool,
    /// `config_sentence_transformers.json`: prompts by name, and what is kept for others.
    pub config: Map<String, Value>,
    /// What is put before every text.
    pub prompt: String,
    /// How many values of a vector are kept.
    pub truncate_dim: Option<usize>,
}

impl Default for Modules {
    /// What sentence-transformers makes of a directory without modules.
    fn default() -> Self {
        Self {
            lower_case: false,
            poolings: vec![Pooling::default()],
            include_prompt: true,
            normalize: false,
            config: Map::new(),
            prompt: String::new(),
            truncate_dim: None,
        }
    }
}

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: PathBuf,
    #[serde(rename = "type")]
    class: String,
}

/// `sentence_bert_config.json`, as files before version 6 have it; later ones say the same in
/// `tokenizer_config.json`.
#[derive(Default, Deserialize)]
struct TransformerConfig {
    max_seq_length: Option<usize>,
    do_lower_case: Option<bool>,
    transformer_task: Option<String>,
    processing_kwargs: Option<Map<String, Value>>,
}

/// Prompts, and what is done with vectors.
pub(super) const CONFIG: &str = "config_sentence_transformers.json";

/// Names of [`Pooling`]s in `pooling_mode`, and as flags in older files, in the order in which
/// these are concatenated.
pub(super) const POOLINGS: [(Pooling, &str, &str); 6] = [
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
    /// [`Error::Io`], [`Error::Format`] for files that cannot be read or say something that this
    /// crate cannot do.
    pub fn open(origin: Origin<'_>, directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("modules.json");
        let Some(modules) = read_if_there::<Vec<Module>>(origin, &path)? else { return Ok(None) };
        // What a module is, is the last part of its class's name; what is before it changed with
        // versions.
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
        let TransformerConfig { max_seq_length, do_lower_case, .. } =
            transformer_config(origin, &checkpoint)?;
        let (poolings, include_prompt) = poolings(origin, &pooling.join("config.json"))?;
        let path = directory.join(CONFIG);
        let config: Map<String, Value> = read_if_there(origin, &path)?.unwrap_or_default();
        if let Some(found) = config.get("prompts").filter(|prompts| !prompts.is_object()) {
            let reason = format!("`prompts`: expected an object, found {found}");
            return Err(Error::format(path, reason));
        }
        let modules = Modules {
            lower_case: do_lower_case.unwrap_or_default(),
            poolings,
            include_prompt,
            normalize,
            prompt: default_prompt(&path, &config)?,
            truncate_dim: truncate_dim(&path, &config)?,
            config,
        };
        Ok(Some(Self { checkpoint, max_length: max_seq_length, modules }))
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

fn transformer_config(origin: Origin<'_>, checkpoint: &Path) -> Result<TransformerConfig> {
    for name in ["sentence_bert_config.json", "sentence_albert_config.json"] {
        let path = checkpoint.join(name);
        let Some(config) = read_if_there::<TransformerConfig>(origin, &path)? else { continue };
        let wrong = |what: &str| Err(Error::format(&path, what));
        let task = config.transformer_task.as_deref();
        if task.is_some_and(|task| task != "feature-extraction") {
            return wrong(&format!(
                "`transformer_task`: expected \"feature-extraction\", found {task:?}"
            ));
        }
        if config.processing_kwargs.as_ref().is_some_and(|given| !given.is_empty()) {
            return wrong("`processing_kwargs`: expected none, found some");
        }
        return Ok(config);
    }
    Ok(TransformerConfig::default())
}

/// The poolings, and whether what is put before a text is pooled, too.
fn poolings(origin: Origin<'_>, path: &Path) -> Result<(Vec<Pooling>, bool)> {
    let config: Map<String, Value> = read(origin, path)?;
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
fn default_prompt(path: &Path, config: &Map<String, Value>) -> Result<String> {
    let name = match config.get("default_prompt_name") {
        None | Some(Value::Null) => return Ok(String::new()),
        Some(Value::String(name)) => name,
        Some(other) => {
            let reason = format!("`default_prompt_name`: expected a name, found {other}");
            return Err(Error::format(path, reason));
        }
    };
    named_prompt(config, name).map_err(|expected| {
        let reason = format!("`default_prompt_name`: expected {expected}, found {name:?}");
        Error::format(path, reason)
    })
}

/// The prompt that `prompts` has under a name (a null is an empty one), or what was expected.
pub(super) fn named_prompt(config: &Map<String, Value>, name: &str) -> Result<String, String> {
    let prompts = config.get("prompts").and_then(Value::as_object);
    match prompts.and_then(|prompts| prompts.get(name)) {
        Some(Value::String(prompt)) => Ok(prompt.clone()),
        Some(Value::Null) => Ok(String::new()),
        _ => {
            let names: Vec<&String> = prompts.into_iter().flat_map(Map::keys).collect();
            Err(format!("a name of {names:?}"))
        }
    }
}

/// How many values of each vector are kept. (sentence-transformers also takes 0, and counts
/// negative numbers from the end.)
fn truncate_dim(path: &Path, config: &Map<String, Value>) -> Result<Option<usize>> {
    let Some(value) = config.get("truncate_dim").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let count = value.as_u64().filter(|&count| count > 0);
    let count = count.and_then(|count| usize::try_from(count).ok());
    count.map(Some).ok_or_else(|| {
        let expected = "expected a number of values, at least 1, or null";
        Error::format(path, format!("`truncate_dim`: {expected}, found {value}"))
    })
}

fn read<T: DeserializeOwned>(origin: Origin<'_>, path: &Path) -> Result<T> {
    let bytes = origin.read_text(path, MAX_JSON)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::format(path, error.to_string()))
}

fn read_if_there<T: DeserializeOwned>(origin: Origin<'_>, path: &Path) -> Result<Option<T>> {
    match read(origin, path) {
        Err(Error::Io { error, .. }) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
