//! Writing a directory of sentence-transformers.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::sentence_embedding::{Pooling, SentenceEmbedding};
use super::sentence_transformer::{CONFIG, Modules, POOLINGS, named_prompt};
use crate::error::{Error, Result};
use crate::files::{commit_all, stage_json};
use crate::model::Model;

impl SentenceEmbedding {
    /// Writes model (in single precision, without the pooler, which no vector depends on),
    /// tokenizer and modules into a directory, which is made if need be. This pipeline,
    /// sentence-transformers and, but for the modules, transformers load them from it.
    ///
    /// Poolings, prompts, the length at which texts are cut, the number of values that are kept and
    /// whether vectors are normalised are saved as they are set now. All files are written beside
    /// the old ones before the first is replaced.
    ///
    /// # Errors
    /// As [`PreTrainedModel::save_pretrained`](crate::PreTrainedModel::save_pretrained) and
    /// [`AlbertTokenizer::save_pretrained`](crate::AlbertTokenizer::save_pretrained);
    /// [`Error::Input`] if vectors are [normalised](Self::normalize) after truncation, which sentence-transformers' files cannot express.
    pub fn save_pretrained(&self, directory: impl AsRef<Path>) -> Result<()> {
        let directory = directory.as_ref();
        let pooling = directory.join("1_Pooling");
        let normalize = self.normalize.unwrap_or(self.modules.normalize);
        let hidden = self.base.model.config().hidden_size;
        let width = hidden * self.modules.poolings.len();
        if self.normalize == Some(true) && self.modules.truncate_dim.is_some_and(|dim| dim < width)
        {
            let expected = "vectors that are not normalised after they are cut";
            return Err(Error::input("normalize", expected, "true, with truncate_dim"));
        }
        let mut staged = self.base.stage(directory)?;
        fs::create_dir_all(&pooling).map_err(|error| Error::io(&pooling, error))?;
        let mut add = |path: &Path, value: Value| -> Result<()> {
            staged.push(stage_json(path, &value)?);
            Ok(())
        };
        add(&pooling.join("config.json"), pooling_config(&self.modules, hidden))?;
        let transformer = json!({
            "max_seq_length": self.base.max_length(),
            "do_lower_case": self.modules.lower_case,
        });
        add(&directory.join("sentence_bert_config.json"), transformer)?;
        add(&directory.join(CONFIG), config(&self.modules).into())?;
        add(&directory.join("modules.json"), modules(normalize))?;
        commit_all(staged)
    }
}

/// As all versions of sentence-transformers read it; names without flags, where the order is not
/// that of the flags.
fn pooling_config(modules: &Modules, hidden: usize) -> Value {
    let Modules { poolings, include_prompt, .. } = modules;
    let flagged = POOLINGS.iter().filter(|(pooling, ..)| poolings.contains(pooling));
    if flagged.map(|(pooling, ..)| *pooling).eq(poolings.iter().copied()) {
        let flags = POOLINGS.iter().map(|(pooling, _, flag)| (*flag, poolings.contains(pooling)));
        let mut config: Map<String, Value> =
            flags.map(|(flag, is_set)| (flag.to_owned(), json!(is_set))).collect();
        config.insert("word_embedding_dimension".into(), json!(hidden));
        config.insert("include_prompt".into(), json!(include_prompt));
        return config.into();
    }
    let name = |wanted: &Pooling| POOLINGS.iter().find(|(known, ..)| known == wanted);
    let names: Vec<&str> = poolings.iter().filter_map(name).map(|(_, name, _)| *name).collect();
    json!({"embedding_dimension": hidden, "pooling_mode": names, "include_prompt": include_prompt})
}

/// The file that was read, with what is set now.
fn config(modules: &Modules) -> Map<String, Value> {
    let Modules { prompt, truncate_dim, .. } = modules;
    let mut config = modules.config.clone();
    let is_default = |name: &str| named_prompt(&config, name).as_ref() == Ok(prompt);
    let names = config.get("prompts").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let said = config.get("default_prompt_name").and_then(Value::as_str);
    let name = said.into_iter().chain(names.map(String::as_str)).find(|name| is_default(name));
    let name = name.map(str::to_owned);
    let prompts = config.entry("prompts").or_insert_with(|| json!({}));
    let name = match name {
        _ if prompt.is_empty() => None,
        None => {
            let name = "default".to_owned();
            if let Some(prompts) = prompts.as_object_mut() {
                prompts.insert(name.clone(), json!(prompt));
            }
            Some(name)
        }
        name => name,
    };
    config.insert("default_prompt_name".into(), json!(name));
    match truncate_dim {
        Some(count) => config.insert("truncate_dim".into(), json!(count)),
        None => config.remove("truncate_dim"),
    };
    config
}

fn modules(normalize: bool) -> Value {
    let all = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")];
    let module = |(index, (path, class)): (usize, &(&str, &str))| {
        let class = format!("sentence_transformers.models.{class}");
        json!({"idx": index, "name": index.to_string(), "path": path, "type": class})
    };
    let count = if normalize { 3 } else { 2 };
    all[..count].iter().enumerate().map(module).collect()
}
