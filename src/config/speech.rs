//! Configurations of PL-BERT, the ALBERT that reads phonemes in the speech models Kokoro and StyleTTS2.
//!
//! Both pass one part of their own file to transformers' `AlbertConfig`. Its key `dropout` is unknown to `AlbertConfig` and ignored.

use std::path::Path;

use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};
use crate::files::{MAX_JSON, read_small};

/// The part of Kokoro's `config.json`, and what it calls the number of phonemes.
const PLBERT: &str = "plbert";
const N_TOKEN: &str = "n_token";

/// The part of StyleTTS2's `config.yml`.
const MODEL_PARAMS: &str = "model_params";

/// What transformers' `AlbertConfig` makes nothing of.
const DROPOUT: &str = "dropout";

/// The keys of a `config.json` as transformers has them, also of Kokoro's, whose other keys stay as they are.
pub(super) fn flattened(mut map: Map<String, Value>) -> Result<Map<String, Value>> {
    let plbert = match map.remove(PLBERT) {
        None => return Ok(map),
        Some(Value::Object(plbert)) => plbert,
        Some(other) => {
            return Err(Error::config(PLBERT, "an object", super::json::shown(&other)));
        }
    };
    let Some(count) = map.remove(N_TOKEN) else {
        return Err(Error::config(N_TOKEN, "the number of phonemes", "none"));
    };
    map.insert("vocab_size".into(), count);
    map.extend(plbert.into_iter().filter(|(key, _)| key != DROPOUT));
    Ok(map)
}

/// The keys that StyleTTS2's `config.yml` has for transformers' `AlbertConfig`.
///
/// Reads only the subset of YAML in such files (keys with plain or quoted values on one line, one level of indentation), and rejects any line that might mean something else.
pub(super) fn read_yaml(path: &Path) -> Result<Value> {
    let refuse = |reason: String| {
        let keys = r#"{"vocab_size": 178, "hidden_size": 768, "num_hidden_layers": 12, …}"#;
        let what = format!("write its `{MODEL_PARAMS}` to a config.json next to it: {keys}");
        Error::format(path, format!("{reason}; {what}"))
    };
    let bytes = read_small(path, MAX_JSON)?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("expected UTF-8".into()))?;
    let mut keys = Map::new();
    let (mut section, mut depth) = (None, None);
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |expected: &str| refuse(format!("line {number}: expected {expected}"));
        let Some(Line { indent, key, value }) =
            parse(line).ok_or_else(|| wrong("a key and at most one plain value"))?
        else {
            continue;
        };
        if indent == 0 {
            if key == MODEL_PARAMS && (value.is_some() || !keys.is_empty()) {
                return Err(wrong("one list of keys under `model_params`"));
            }
            (section, depth) = (Some(key).filter(|_| value.is_none()), None);
            continue;
        }
        // All keys of a section stand below each other.
        if section.is_none() || *depth.get_or_insert(indent) != indent {
            return Err(wrong("keys of one level of indentation"));
        }
        if section != Some(MODEL_PARAMS) || key == DROPOUT {
            continue;
        }
        let value = value.ok_or_else(|| wrong("a value"))?;
        let value = scalar(value).ok_or_else(|| wrong("a number or a word"))?;
        if keys.insert(key.to_owned(), value).is_some() {
            return Err(wrong("each key once"));
        }
    }
    if keys.is_empty() {
        return Err(refuse(format!("expected `{MODEL_PARAMS}`, found none")));
    }
    Ok(Value::Object(keys))
}

struct Line<'a> {
    indent: usize,
    key: &'a str,
    value: Option<&'a str>,
}

/// A line; nothing of one that is empty or a comment; `None` for what this does not read.
fn parse(line: &str) -> Option<Option<Line<'_>>> {
    let rest = line.trim_start_matches(' ');
    let indent = line.len() - rest.len();
    let rest = rest.trim_end_matches([' ', '\r']);
    if rest.is_empty() || rest.starts_with('#') {
        return Some(None);
    }
    let (key, value) = rest.split_once(':')?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if key.is_empty() || !key.bytes().all(is_word) || !(value.is_empty() || value.starts_with(' '))
    {
        return None;
    }
    let value = value.trim_start_matches(' ');
    let (value, after) = match value.strip_prefix('"') {
        Some(quoted) => {
            let (inside, after) =
                quoted.split_once('"').filter(|(text, _)| !text.contains('\\'))?;
            (value.get(..inside.len() + 2)?, after)
        }
        None => {
            let end =
                if value.starts_with('#') { 0 } else { value.find(" #").unwrap_or(value.len()) };
            value.split_at(end)
        }
    };
    let after = after.trim_start_matches(' ');
    let value = value.trim_end_matches(' ');
    // Whatever begins a list, a map, a block of text, a reference or a type.
    let is_plain =
        !value.starts_with(['{', '[', '|', '>', '&', '*', '!', '\'', '%', '@', '`', '-', '?']);
    let is_whole = after.is_empty() || after.starts_with('#');
    let value = Some(value).filter(|value| !value.is_empty());
    (is_plain
        && is_whole
        && !value.is_some_and(|value| value.contains(": ") || value.contains('\t')))
    .then_some(Some(Line { indent, key, value }))
}

/// A number or a word, as every version of YAML reads it.
fn scalar(text: &str) -> Option<Value> {
    if let Some(word) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Some(word.into());
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if is_number(whole) && is_number(fraction) && (whole == "0" || !whole.starts_with('0')) {
        return text.parse::<Number>().ok().map(Value::Number);
    }
    // Words that mean something else are among these: no key of ours has them.
    let is_word = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_literal =
        matches!(text, "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    (is_word && !is_literal).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AlbertConfig;

    const STYLE: &str = r#"log_dir: "Checkpoint"
mixed_precision: "fp16" # half
num_process: 1 # number of GPUs

dataset_params:
    token_separator: " " # token used for phoneme separator (space)
    token_maps: "token_maps.pkl"

model_params:
    vocab_size: 178
    hidden_size: 768
    num_attention_heads: 12
    # As in ALBERT-base, but for this one.
    intermediate_size: 2048
    max_position_embeddings: 512
    num_hidden_layers: 12
    dropout: 0.1
"#;

    fn read(text: &str) -> Result<AlbertConfig> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.yml"), text).unwrap();
        AlbertConfig::from_pretrained(directory.path())
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn the_configuration_of_styletts2_is_read() {
        for text in [STYLE.to_owned(), STYLE.replace('\n', "\r\n")] {
            let config = read(&text).unwrap();
            assert_eq!((config.vocab_size, config.embedding_size), (178, 128));
            assert_eq!((config.hidden_size, config.num_hidden_layers), (768, 12));
            assert_eq!((config.intermediate_size, config.max_position_embeddings), (2048, 512));
            assert_eq!((config.hidden_dropout_prob, config.other.len()), (0.0, 0));
        }
        assert!(
            read(&STYLE.replace("dropout: 0.1", "layer_norm_eps: 0.5")).unwrap().layer_norm_eps
                == 0.5
        );
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn yaml_that_may_mean_something_else_is_refused() {
        for (old, new, words) in [
            ("178", "0178", "line 10"),
            ("178", "1_78", "line 10"),
            ("178", "1e2", "line 10"),
            ("178", "&x 178", "line 10"),
            ("178", "[178]", "line 10"),
            ("178", "|", "line 10"),
            ("178", "", "line 10"),
            ("178", "yes", "line 10"),
            ("178", "1\t", "line 10"),
            ("    hidden", "      hidden", "line 11"),
            ("    hidden_size", "\thidden_size", "line 11"),
            ("hidden_size", "vocab_size", "line 11"),
            ("hidden_size: 768", "- 768", "line 11"),
            ("model_params:", "other:", "found none"),
            ("model_params:", "model_params: {}", "line 9"),
            ("    token_maps", "    - token_maps", "line 7"),
            ("\"fp16\"", "\"fp\\\"16\"", "line 2"),
            ("\"fp16\"", "\"fp16", "line 2"),
        ] {
            assert!(STYLE.contains(old));
            let error = read(&STYLE.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("config.json"), "{new:?}: {error}");
        }
    }

    #[test]
    fn the_configuration_of_kokoro_is_read() {
        let text = r#"{"n_token": 178, "hidden_dim": 512, "dropout": 0.2, "vocab": {"a": 1}, "plbert": {"hidden_size": 768,
            "num_attention_heads": 12, "intermediate_size": 2048, "max_position_embeddings": 512,
            "num_hidden_layers": 12, "dropout": 0.1}}"#;
        let read = |text: &str| AlbertConfig::from_json(serde_json::from_str(text).unwrap());
        let config = read(text).unwrap();
        assert_eq!((config.vocab_size, config.embedding_size), (178, 128));
        assert_eq!((config.hidden_size, config.intermediate_size), (768, 2048));
        // What is written is a config.json like any other, in which the vocabulary is kept.
        let written = config.to_json();
        assert_eq!((&written["vocab"]["a"], &written["plbert"]), (&1.into(), &Value::Null));
        assert_eq!(AlbertConfig::from_json(written).unwrap(), config);
        let error = read(&text.replace("n_token", "n")).unwrap_err().to_string();
        assert!(error.contains("n_token"), "{error}");
        let error = read(r#"{"plbert": 3, "n_token": 1}"#).unwrap_err().to_string();
        assert!(error.contains("plbert") && error.contains("found 3"), "{error}");
    }
}
