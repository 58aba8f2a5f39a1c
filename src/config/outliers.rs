//! `int8_outliers`: which channels a model in int8 computes in single precision.

use serde_json::{Map, Value, json};

use super::json::{Keys, shown, whole};
use super::{AlbertConfig, ConfigFields};
use crate::error::{Error, Result};

const KEY: &str = "int8_outliers";

/// Input channels of a model's matrices that are much larger than the others in every token, and would leave the others only a few quantisation steps. A model in int8 multiplies them in single precision.
///
/// Each list is in ascending order. There is one for each distinct attention or feed-forward block: a single one if all layers share parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Int8Outliers {
    /// Inputs of query, key and value, of H.
    pub attention: Vec<Vec<usize>>,
    /// Inputs of the attention's output projection, of H.
    pub attention_dense: Vec<Vec<usize>>,
    /// Inputs of `ffn`, of H.
    pub ffn: Vec<Vec<usize>>,
    /// Inputs of `ffn_output`, of I.
    pub ffn_output: Vec<Vec<usize>>,
    /// Inputs of the pooler, of H. Only its weights are rounded to bytes.
    pub pooler: Vec<usize>,
}

impl Int8Outliers {
    /// No channel of any block.
    pub(crate) fn none(config: &AlbertConfig) -> Self {
        let attention = vec![Vec::new(); config.attention_blocks()];
        let feed_forward = vec![Vec::new(); config.feed_forward_blocks()];
        Self {
            attention_dense: attention.clone(),
            attention,
            ffn_output: feed_forward.clone(),
            ffn: feed_forward,
            pooler: Vec::new(),
        }
    }

    /// The lists of every block by their names, and how many blocks and channels there are.
    fn lists<'a>(
        &'a self,
        fields: &ConfigFields,
    ) -> [(&'static str, &'a [Vec<usize>], usize, usize); 5] {
        let (hidden, intermediate) = (fields.hidden_size, fields.intermediate_size);
        let (attention, feed_forward) = (fields.attention_blocks(), fields.feed_forward_blocks());
        [
            ("attention", &self.attention, attention, hidden),
            ("attention_dense", &self.attention_dense, attention, hidden),
            ("ffn", &self.ffn, feed_forward, hidden),
            ("ffn_output", &self.ffn_output, feed_forward, intermediate),
            ("pooler", std::slice::from_ref(&self.pooler), 1, hidden),
        ]
    }

    /// Checks that there is a list for every block, and that its channels exist.
    pub(super) fn check(&self, fields: &ConfigFields) -> Result<()> {
        for (name, lists, blocks, width) in self.lists(fields) {
            if lists.len() != blocks {
                let expected = format!("{blocks} lists under `{name}`");
                return Err(Error::config(KEY, expected, lists.len().to_string()));
            }
            let is_right = |list: &&Vec<usize>| {
                list.is_sorted_by(|a, b| a < b) && list.last().is_none_or(|&last| last < width)
            };
            if let Some(list) = lists.iter().find(|list| !is_right(list)) {
                let expected = format!("channels below {width} in ascending order under `{name}`");
                return Err(Error::config(KEY, expected, shown(&json!(list))));
            }
        }
        Ok(())
    }

    pub(super) fn read(keys: &mut Keys) -> Result<Option<Self>> {
        let value = match keys.0.remove(KEY) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        let wrong = |expected: String| Error::config(KEY, expected, shown(&value));
        let list = |name: &str, list: &Value| {
            let channel = |x: &Value| whole(x).and_then(|x| usize::try_from(x).ok());
            let channels = list.as_array().and_then(|list| list.iter().map(channel).collect());
            channels.ok_or_else(|| wrong(format!("lists of channels under `{name}`")))
        };
        let lists = |name: &str| -> Result<Vec<Vec<usize>>> {
            let found = value.get(name).and_then(Value::as_array);
            let found =
                found.ok_or_else(|| wrong(format!("an object with lists under `{name}`")))?;
            found.iter().map(|found| list(name, found)).collect()
        };
        Ok(Some(Self {
            attention: lists("attention")?,
            attention_dense: lists("attention_dense")?,
            ffn: lists("ffn")?,
            ffn_output: lists("ffn_output")?,
            pooler: list("pooler", value.get("pooler").unwrap_or(&Value::Null))?,
        }))
    }

    pub(super) fn write(&self, map: &mut Map<String, Value>) {
        let Self { attention, attention_dense, ffn, ffn_output, pooler } = self;
        let value = json!({
            "attention": attention,
            "attention_dense": attention_dense,
            "ffn": ffn,
            "ffn_output": ffn_output,
            "pooler": pooler,
        });
        map.insert(KEY.into(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(outliers: &Value) -> Result<AlbertConfig> {
        AlbertConfig::from_json(json!({
            "hidden_size": 60, "num_attention_heads": 5, "intermediate_size": 90,
            "num_hidden_layers": 4, "num_hidden_groups": 2, "parameter_sharing": "attention",
            "int8_outliers": outliers,
        }))
    }

    fn outliers() -> Value {
        json!({
            "attention": [[3, 59], []], "attention_dense": [[], [0]],
            "ffn": [[], [1], [], [2]], "ffn_output": [[89], [], [], []], "pooler": [7],
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let config = read(&outliers()).unwrap();
        assert_eq!(config.int8_outliers.as_ref().unwrap().ffn_output[0], [89]);
        assert_eq!(config.to_json()["int8_outliers"], outliers());
        assert_eq!(AlbertConfig::from_json(config.to_json()).unwrap(), config);
        assert_eq!(read(&Value::Null).unwrap().int8_outliers, None);
        let none = Int8Outliers::none(&config);
        let fields = ConfigFields { int8_outliers: Some(none), ..config.to_fields() };
        assert!(AlbertConfig::new(fields).is_ok());
    }

    #[test]
    fn lists_that_fit_no_model_are_refused() {
        for (name, value, expected) in [
            ("attention", json!([[1]]), "2 lists under `attention`"),
            ("ffn_output", json!([[1], [1], [1], [90]]), "below 90"),
            ("ffn", json!([[1], [1], [5, 4], [6]]), "ascending"),
            ("ffn", json!([[1], [1], [5, 5], [6]]), "ascending"),
            ("pooler", json!([-1]), "channels under `pooler`"),
            ("pooler", json!(1), "channels under `pooler`"),
            ("attention_dense", json!("x"), "lists under `attention_dense`"),
        ] {
            let mut outliers = outliers();
            outliers[name] = value;
            let error = read(&outliers).unwrap_err().to_string();
            assert!(error.contains("int8_outliers") && error.contains(expected), "{error}");
        }
        assert!(read(&json!([1])).is_err());
    }
}
