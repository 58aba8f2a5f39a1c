//! The labels of classifiers: `id2label`, `label2id` and `num_labels`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::json::{Keys, shown};
use crate::error::{Error, Result};

/// The labels of `id2label` in the order of their ids; made-up ones where it is absent, or where `num_labels` says
/// another number than it has, as in transformers.
pub(super) fn read(keys: &mut Keys) -> Result<Vec<String>> {
    let count = match keys.0.get("num_labels") {
        None | Some(Value::Null) => None,
        Some(_) => Some(keys.size("num_labels", 2)?),
    };
    keys.0.remove("num_labels");
    let id2label = match keys.0.get("id2label") {
        None | Some(Value::Null) => return made_up(count.unwrap_or(2)),
        Some(Value::Object(map)) => map,
        Some(value) => return Err(Error::config("id2label", "an object", shown(value))),
    };
    if count.is_some_and(|count| count != id2label.len()) {
        let labels = made_up(count.unwrap_or(2));
        keys.0.remove("id2label");
        keys.0.remove("label2id");
        return labels;
    }
    let labels = in_order(id2label)?;
    if (0..labels.len()).all(|id| id2label.contains_key(&id.to_string())) {
        // The usual ids say nothing that the labels do not; others are kept.
        keys.0.remove("id2label");
        keys.0.remove("label2id");
    }
    Ok(labels)
}

/// Writes the labels, unless those that the file had are still the same: its ids need not begin at 0.
pub(super) fn write(labels: &[String], map: &mut Map<String, Value>) {
    let old = map.get("id2label").and_then(Value::as_object).map(in_order);
    if matches!(old, Some(Ok(old)) if old == labels) {
        return;
    }
    let ids = || (0u64..).zip(labels);
    let id2label: Map<_, _> = ids().map(|(id, label)| (id.to_string(), json!(label))).collect();
    let label2id: Map<_, _> = ids().map(|(id, label)| (label.clone(), json!(id))).collect();
    map.insert("id2label".into(), Value::Object(id2label));
    map.insert("label2id".into(), Value::Object(label2id));
}

/// Labels by ids, which are whole numbers but need not begin at 0.
fn in_order(id2label: &Map<String, Value>) -> Result<Vec<String>> {
    let entry = |(id, label): (&String, &Value)| match (id.parse::<i64>(), label.as_str()) {
        (Ok(id), Some(label)) => Ok((id, label.to_owned())),
        _ => {
            let found = format!("{id:?}: {}", shown(label));
            Err(Error::config("id2label", "whole numbers with a string each", found))
        }
    };
    let labels: BTreeMap<i64, String> = id2label.iter().map(entry).collect::<Result<_>>()?;
    if labels.len() != id2label.len() {
        let found = format!("{} for {} ids", id2label.len(), labels.len());
        return Err(Error::config("id2label", "one label for each id", found));
    }
    Ok(labels.into_values().collect())
}

/// The labels that transformers makes up for `count` classes, of which there may be a million.
///
/// # Errors
/// [`Error::Config`] for more than that: they are made here, so their number is bounded before they are.
pub(crate) fn made_up(count: usize) -> Result<Vec<String>> {
    const MAX_LABELS: usize = 1 << 20;
    if count > MAX_LABELS {
        let expected = format!("at most {MAX_LABELS}");
        return Err(Error::config("num_labels", expected, count.to_string()));
    }
    Ok((0..count).map(|id| format!("LABEL_{id}")).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{AlbertConfig, ConfigFields};
    use super::*;

    fn read(text: &str) -> Result<AlbertConfig> {
        AlbertConfig::from_json(serde_json::from_str(text).unwrap())
    }

    /// As transformers 5.23 reads the same JSON.
    #[test]
    fn labels_are_as_many_as_either_key_says() {
        let labels = |text| read(text).unwrap().labels.clone();
        assert_eq!(labels("{}"), ["LABEL_0", "LABEL_1"]);
        assert_eq!(labels(r#"{"num_labels": 1}"#), ["LABEL_0"]);
        let differing = r#"{"num_labels": 3, "id2label": {"0": "a", "1": "b"}}"#;
        assert_eq!(labels(differing), ["LABEL_0", "LABEL_1", "LABEL_2"]);
        let later = r#"{"id2label": {"2": "b", "1": "a"}, "label2id": {"b": 2, "a": 1}}"#;
        assert_eq!(labels(later), ["a", "b"]);
        assert_eq!(read(later).unwrap().to_json()["id2label"], json!({"2": "b", "1": "a"}));
        let renamed = ConfigFields { labels: vec!["x".into()], ..read(later).unwrap().to_fields() };
        let written = AlbertConfig::new(renamed).unwrap().to_json();
        assert_eq!(
            (&written["id2label"], &written["label2id"]),
            (&json!({"0": "x"}), &json!({"x": 0}))
        );
    }
}
