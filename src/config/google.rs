//! `albert_config.json`: the configuration of google-research/albert.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::files::CONFIG;
use crate::error::{Error, Result};
use crate::layout::only_file;
use crate::nn::Activation;

/// The name in releases; albert_zh's have more before the extension (`albert_config_tiny_google.json`).
const NAME: (&str, &str) = ("albert_config", ".json");

/// The configuration of the model in a directory: transformers' before Google's. If there is neither, transformers' path, which an
/// error then names.
pub(super) fn find(directory: &Path) -> Result<PathBuf> {
    let usual = directory.join(CONFIG);
    if usual.symlink_metadata().is_ok() || !directory.is_dir() {
        return Ok(usual);
    }
    let exact = |name: &str| name.strip_prefix(NAME.0) == Some(NAME.1);
    let expected = "one configuration";
    let found = match only_file(directory, expected, &exact)? {
        None => only_file(directory, expected, &is_google)?,
        found => found,
    };
    Ok(found.unwrap_or(usual))
}

fn is_google(name: &str) -> bool {
    name.starts_with(NAME.0) && name.ends_with(NAME.1)
}

/// The object of a configuration in transformers' words.
///
/// # Errors
/// [`Error::Config`] for a model of albert_zh's that is computed otherwise than an ALBERT.
pub(super) fn translated(path: &Path, mut value: Value) -> Result<Value> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if !is_google(&name) || value.get("model_type").is_some() {
        return Ok(value);
    }
    if let Some(norms) = value.get("ln_type").and_then(Value::as_str).filter(|&at| at != "postln") {
        return Err(Error::config("ln_type", "\"postln\"", format!("{norms:?}")));
    }
    // The code there lower-cases it.
    if let Some(name) = value.get("hidden_act").and_then(Value::as_str) {
        let activation = match name.to_lowercase().as_str() {
            "gelu" => Activation::GeluNew,
            "" => Activation::Linear,
            name => Activation::from_name(name)?,
        };
        value["hidden_act"] = json!(activation.name());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::AlbertConfig;
    use super::*;

    fn write(directory: &Path, name: &str, act: &str) {
        fs::write(
            directory.join(name),
            format!("{{\"hidden_act\": {act:?}, \"ln_type\": \"postln\"}}"),
        )
        .unwrap();
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn gelu_is_the_tanh_form_in_a_file_of_google_s_only() {
        let directory = tempfile::tempdir().unwrap();
        for (name, act, expected) in [
            ("albert_config.json", "gelu", Activation::GeluNew),
            ("albert_config_tiny_google.json", "GELU", Activation::GeluNew),
            ("albert_config.json", "relu", Activation::Relu),
            ("albert_config.json", "", Activation::Linear),
            ("config.json", "gelu", Activation::Gelu),
        ] {
            write(directory.path(), name, act);
            let config = AlbertConfig::from_file(directory.path().join(name)).unwrap();
            assert_eq!(config.hidden_act, expected, "{name} {act}");
        }
        let path = directory.path().join("albert_config.json");
        fs::write(&path, "{\"hidden_act\": \"gelu\", \"model_type\": \"albert\"}").unwrap();
        assert_eq!(AlbertConfig::from_file(&path).unwrap().hidden_act, Activation::Gelu);
        fs::write(&path, "{\"ln_type\": \"preln\"}").unwrap();
        let error = AlbertConfig::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("ln_type") && error.contains("preln"), "{error}");
    }

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn transformers_file_comes_first_then_the_exact_name_then_the_only_one() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let error = AlbertConfig::from_pretrained(directory).unwrap_err().to_string();
        assert!(error.contains("config.json"), "{error}");
        for (name, act) in [
            ("albert_config_tiny.json", "tanh"),
            ("albert_config.json", "relu"),
            ("config.json", "silu"),
        ] {
            write(directory, name, act);
            let config = AlbertConfig::from_pretrained(directory).unwrap();
            assert_eq!(config.hidden_act.name(), act, "{name}");
        }
        fs::remove_file(directory.join("config.json")).unwrap();
        fs::rename(directory.join("albert_config.json"), directory.join("albert_config_base.json"))
            .unwrap();
        let error = AlbertConfig::from_pretrained(directory).unwrap_err().to_string();
        assert!(error.contains("albert_config_base.json, albert_config_tiny.json"), "{error}");
    }
}
