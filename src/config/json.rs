//! Reads and writes `config.json` key by key, so that errors can name the key and its value.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{
    AlbertConfig, ConfigFields, Int8Outliers, ParameterSharing, ProblemType, google, labels, speech,
};
use crate::error::{Error, Result};
use crate::files::{MAX_JSON, check_path, write_atomically};
use crate::memory::{MemoryFiles, Origin};
use crate::nn::Activation;

/// The usual name of the file.
const CONFIG: &str = "config.json";

const TIE_WORD_EMBEDDINGS: &str = "tie_word_embeddings";
const TIE_DECODER_BIAS: &str = "tie_decoder_bias";
const EXIT_LAYERS: &str = "exit_layers";

impl AlbertConfig {
    /// Reads a `config.json`, or an `albert_config*.json` of google-research/albert.
    ///
    /// In the latter, the activation "gelu" is transformers' `gelu_new`. A file is taken for
    /// Google's if it has such a name and no `model_type`, which every transformers configuration
    /// has, whatever the format of the weights.
    ///
    /// # Errors
    /// As [`from_pretrained`](Self::from_pretrained).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        check_path(path, "a config.json")?;
        Self::read(Origin::Disk, path)
    }

    /// Reads what is in a `config.json`.
    ///
    /// # Errors
    /// As [`from_pretrained`](Self::from_pretrained), of a file `config.json`.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::read_files(&MemoryFiles::new().with(CONFIG, bytes))
    }

    /// Reads the `config.json` among files in memory.
    pub(crate) fn read_files(files: &MemoryFiles) -> Result<Self> {
        Self::read(Origin::Memory(files), Path::new(CONFIG))
    }

    fn read(origin: Origin<'_>, path: &Path) -> Result<Self> {
        let bytes = origin.read_text(path, MAX_JSON)?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::format(path, format!("not valid JSON: {error}")))?;
        google::translated(path, value)
            .and_then(Self::from_json)
            .map_err(|error| error.in_config(path))
    }

    /// Reads the JSON object of a `config.json`.
    ///
    /// # Errors
    /// [`Error::Config`] for the first key with a value of the wrong type or range.
    pub fn from_json(value: Value) -> Result<Self> {
        let Value::Object(map) = value else {
            return Err(Error::config("config", "a JSON object", shown(&value)));
        };
        let mut keys = Keys(speech::flattened(map)?);
        keys.check_kind()?;
        let default = ConfigFields::default();
        let fields = ConfigFields {
            vocab_size: keys.size("vocab_size", default.vocab_size)?,
            embedding_size: keys.size("embedding_size", default.embedding_size)?,
            hidden_size: keys.size("hidden_size", default.hidden_size)?,
            num_hidden_layers: keys.size("num_hidden_layers", default.num_hidden_layers)?,
            num_hidden_groups: keys.size("num_hidden_groups", default.num_hidden_groups)?,
            num_attention_heads: keys.size("num_attention_heads", default.num_attention_heads)?,
            intermediate_size: keys.size("intermediate_size", default.intermediate_size)?,
            inner_group_num: keys.size("inner_group_num", default.inner_group_num)?,
            hidden_act: match keys.string("hidden_act")? {
                Some(name) => Activation::from_name(&name)?,
                None => default.hidden_act,
            },
            hidden_dropout_prob: keys.number("hidden_dropout_prob", default.hidden_dropout_prob)?,
            attention_probs_dropout_prob: keys
                .number("attention_probs_dropout_prob", default.attention_probs_dropout_prob)?,
            max_position_embeddings: keys
                .size("max_position_embeddings", default.max_position_embeddings)?,
            type_vocab_size: keys.size("type_vocab_size", default.type_vocab_size)?,
            initializer_range: keys.number("initializer_range", default.initializer_range)?,
            layer_norm_eps: keys.number("layer_norm_eps", default.layer_norm_eps)?,
            classifier_dropout_prob: keys
                .nullable_number("classifier_dropout_prob", default.classifier_dropout_prob)?,
            pad_token_id: keys.token("pad_token_id", default.pad_token_id)?,
            bos_token_id: keys.token("bos_token_id", default.bos_token_id)?,
            eos_token_id: keys.token("eos_token_id", default.eos_token_id)?,
            tie_word_embeddings: keys.flag(TIE_WORD_EMBEDDINGS, default.tie_word_embeddings)?,
            tie_decoder_bias: keys.flag(TIE_DECODER_BIAS, default.tie_decoder_bias)?,
            parameter_sharing: match keys.string("parameter_sharing")? {
                Some(name) => ParameterSharing::from_name(&name)?,
                None => default.parameter_sharing,
            },
            labels: labels::read(&mut keys)?,
            problem_type: keys.problem_type()?,
            exit_layers: keys.sizes(EXIT_LAYERS)?,
            int8_outliers: Int8Outliers::read(&mut keys)?,
            other: keys.0,
        };
        Self::new(fields)
    }

    /// The JSON object that [`from_json`](Self::from_json) reads, unknown keys included.
    pub fn to_json(&self) -> Value {
        let mut map = self.other.clone();
        labels::write(&self.labels, &mut map);
        map.insert("model_type".into(), json!("albert"));
        let known = [
            ("vocab_size", json!(self.vocab_size)),
            ("embedding_size", json!(self.embedding_size)),
            ("hidden_size", json!(self.hidden_size)),
            ("num_hidden_layers", json!(self.num_hidden_layers)),
            ("num_hidden_groups", json!(self.num_hidden_groups)),
            ("num_attention_heads", json!(self.num_attention_heads)),
            ("intermediate_size", json!(self.intermediate_size)),
            ("inner_group_num", json!(self.inner_group_num)),
            ("hidden_act", json!(self.hidden_act.name())),
            ("hidden_dropout_prob", json!(self.hidden_dropout_prob)),
            ("attention_probs_dropout_prob", json!(self.attention_probs_dropout_prob)),
            ("max_position_embeddings", json!(self.max_position_embeddings)),
            ("type_vocab_size", json!(self.type_vocab_size)),
            ("initializer_range", json!(self.initializer_range)),
            ("layer_norm_eps", json!(self.layer_norm_eps)),
            ("classifier_dropout_prob", json!(self.classifier_dropout_prob)),
            ("pad_token_id", json!(self.pad_token_id)),
            ("bos_token_id", json!(self.bos_token_id)),
            ("eos_token_id", json!(self.eos_token_id)),
            (TIE_WORD_EMBEDDINGS, json!(self.tie_word_embeddings)),
            ("parameter_sharing", json!(self.parameter_sharing.name())),
        ];
        for (key, value) in known {
            // A list of end tokens is kept as long as its first is still the one.
            let is_first =
                map.get(key).and_then(|list| list.get(0)).is_some_and(|first| *first == value);
            if !is_first {
                map.insert(key.into(), value);
            }
        }
        if !self.tie_decoder_bias {
            map.insert(TIE_DECODER_BIAS.into(), json!(false));
        }
        if let Some(problem) = self.problem_type {
            let name = ProblemType::NAMES.iter().find(|(_, known)| *known == problem);
            map.insert("problem_type".into(), json!(name.map(|(name, _)| name)));
        }
        if !self.exit_layers.is_empty() {
            map.insert(EXIT_LAYERS.into(), json!(self.exit_layers));
        }
        if let Some(outliers) = &self.int8_outliers {
            outliers.write(&mut map);
        }
        Value::Object(map)
    }

    /// Writes a `config.json`, atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, |file| writeln!(file, "{:#}", self.to_json()))
    }
}

/// The keys of the file that have not been used yet.
pub(super) struct Keys(pub(super) Map<String, Value>);

impl Keys {
    /// Rejects configurations that are not ALBERT's, and variants that this crate does not
    /// implement.
    fn check_kind(&mut self) -> Result<()> {
        if let Some(kind) = self.string("model_type")?.filter(|kind| kind != "albert") {
            return Err(Error::config("model_type", "\"albert\"", format!("{kind:?}")));
        }
        // transformers 4 had relative positions for ALBERT; 5 dropped them.
        let positions = self.0.get("position_embedding_type").and_then(Value::as_str);
        if let Some(kind) = positions.filter(|kind| *kind != "absolute") {
            return Err(Error::config(
                "position_embedding_type",
                "\"absolute\"",
                format!("{kind:?}"),
            ));
        }
        Ok(())
    }

    pub(super) fn size(&mut self, key: &str, default: usize) -> Result<usize> {
        match self.0.remove(key) {
            None => Ok(default),
            Some(value) => whole(&value)
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(|| Error::config(key, "a whole number", shown(&value))),
        }
    }

    /// A list of whole numbers; empty where there is none.
    fn sizes(&mut self, key: &str) -> Result<Vec<usize>> {
        let value = match self.0.remove(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(value) => value,
        };
        let size = |value: &Value| whole(value).and_then(|number| usize::try_from(number).ok());
        let sizes = value.as_array().and_then(|list| list.iter().map(size).collect());
        sizes.ok_or_else(|| Error::config(key, "a list of whole numbers", shown(&value)))
    }

    fn number(&mut self, key: &str, default: f64) -> Result<f64> {
        match self.0.remove(key) {
            None => Ok(default),
            Some(value) => {
                value.as_f64().ok_or_else(|| Error::config(key, "a number", shown(&value)))
            }
        }
    }

    fn nullable_number(&mut self, key: &str, default: Option<f64>) -> Result<Option<f64>> {
        match self.0.get(key) {
            None => Ok(default),
            Some(Value::Null) => {
                self.0.remove(key);
                Ok(None)
            }
            Some(_) => self.number(key, 0.0).map(Some),
        }
    }

    /// A token id; of a list of end tokens, which transformers allows, the first.
    fn token(&mut self, key: &str, default: Option<u32>) -> Result<Option<u32>> {
        let value = match self.0.remove(key) {
            None => return Ok(default),
            Some(Value::Null) => return Ok(None),
            Some(Value::Array(list)) => {
                let Some(first) = list.first().cloned() else { return Ok(None) };
                self.0.insert(key.to_owned(), Value::Array(list));
                first
            }
            Some(value) => value,
        };
        // -1 is an old way of saying "none".
        if value.as_i64() == Some(-1) {
            return Ok(None);
        }
        let id = whole(&value).and_then(|number| u32::try_from(number).ok());
        id.map(Some).ok_or_else(|| Error::config(key, "a token id or null", shown(&value)))
    }

    fn flag(&mut self, key: &str, default: bool) -> Result<bool> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(value) => Err(Error::config(key, "true or false", shown(&value))),
        }
    }

    fn string(&mut self, key: &str) -> Result<Option<String>> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => Err(Error::config(key, "a string", shown(&value))),
        }
    }

    fn problem_type(&mut self) -> Result<Option<ProblemType>> {
        let Some(name) = self.string("problem_type")? else { return Ok(None) };
        match ProblemType::NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, problem)) => Ok(Some(*problem)),
            None => {
                let expected = "\"regression\", \"single_label_classification\" or \"multi_label_classification\"";
                Err(Error::config("problem_type", expected, format!("{name:?}")))
            }
        }
    }
}

/// A whole number, also one that was written as `768.0`.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..9e15).contains(x));
    value.as_u64().or_else(|| float().map(|x| x as u64))
}

/// A value as error messages show it, shortened.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
