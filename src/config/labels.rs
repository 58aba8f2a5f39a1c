//! The labels of classifiers: `id2label`, `label2id` and `num_labels`.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::AlbertConfig;
use super::json::{Keys, shown};
use crate::error::{Error, Result};

/// The labels of `id2label` in the order of their ids. If it is absent, those of a `label2id` numbered from 0; otherwise default names, also if `num_labels` is a different number, as in transformers.
pub(super) fn read(keys: &mut Keys) -> Result<Vec<String>> {
    let count = match keys.0.get("num_labels") {
        None | Some(Value::Null) => None,
        Some(_) => Some(keys.size("num_labels", 2)?),
    };
    keys.0.remove("num_labels");
    let is_count = |found: usize| count.is_none_or(|count| count == found);
    let labels = match keys.0.get("id2label") {
        None | Some(Value::Null) => {
            numbered(keys.0.get("label2id")).filter(|labels| is_count(labels.len()))
        }
        Some(Value::Object(map)) if !is_count(map.len()) => None,
        Some(Value::Object(map)) => {
            let labels = in_order(map)?;
            if !is_usual(map, &labels) || !is_redundant(keys.0.get("label2id"), &labels) {
                // They say something that the labels do not, and are kept.
                return Ok(labels);
            }
            Some(labels)
        }
        Some(value) => return Err(Error::config("id2label", "an object", shown(value))),
    };
    keys.0.remove("id2label");
    keys.0.remove("label2id");
    labels.map_or_else(|| made_up(count.unwrap_or(2)), Ok)
}

/// Whether ids are 0, 1, 2, …
fn is_usual(id2label: &Map<String, Value>, labels: &[String]) -> bool {
    (0..labels.len()).all(|id| id2label.contains_key(&id.to_string()))
}

/// Whether `label2id` is absent, agrees with the labels' order, or has default names.
fn is_redundant(label2id: Option<&Value>, labels: &[String]) -> bool {
    match label2id {
        None | Some(Value::Null) => true,
        Some(label2id) => {
            let generic =
                || made_up(labels.len()).is_ok_and(|made_up| *label2id == inverse(&made_up));
            *label2id == inverse(labels) || generic()
        }
    }
}

fn inverse(labels: &[String]) -> Value {
    (0u64..).zip(labels).map(|(id, label)| (label.clone(), json!(id))).collect()
}

/// The labels of a `label2id` in the order of their ids, if these are 0, 1, 2, …
fn numbered(label2id: Option<&Value>) -> Option<Vec<String>> {
    let map = label2id?.as_object()?;
    let mut labels = vec![None; map.len()];
    for (label, id) in map {
        *labels.get_mut(usize::try_from(id.as_u64()?).ok()?)? = Some(label.clone());
    }
    labels.into_iter().collect()
}

/// Writes the labels, unless those that the file had are still the same: its ids need not begin at
/// 0, and its `label2id` may have names of its own.
pub(super) fn write(labels: &[String], map: &mut Map<String, Value>) {
    if are_those_of(map, labels) {
        return;
    }
    let id2label = (0u64..).zip(labels).map(|(id, label)| (id.to_string(), json!(label)));
    map.insert("id2label".into(), Value::Object(id2label.collect()));
    map.insert("label2id".into(), inverse(labels));
}

/// Whether a file's `id2label` was kept, and its labels have not been changed since.
fn are_those_of(other: &Map<String, Value>, labels: &[String]) -> bool {
    let old = other.get("id2label").and_then(Value::as_object).map(in_order);
    matches!(old, Some(Ok(old)) if old == labels)
}

impl AlbertConfig {
    /// The class of the first label that is meant, by the names that `label2id` has where it
    /// differs from `id2label`, else by the labels.
    pub(crate) fn class_of(&self, is_meant: impl Fn(&str) -> bool) -> Option<usize> {
        let of_its_own = self.other.get("label2id").and_then(Value::as_object);
        let of_its_own = of_its_own.filter(|_| are_those_of(&self.other, &self.labels));
        let named = of_its_own.into_iter().flatten().find(|(label, _)| is_meant(label));
        match named {
            Some((_, id)) => self.place_of(id.as_u64()?),
            None => self.labels.iter().position(|label| is_meant(label)),
        }
    }

    /// The place among the labels of a class with this id in the file.
    fn place_of(&self, id: u64) -> Option<usize> {
        let ids = self.other.get("id2label").and_then(Value::as_object)?.keys();
        let mut ids: Vec<i64> = ids.filter_map(|id| id.parse().ok()).collect();
        ids.sort_unstable();
        ids.into_iter().position(|known| u64::try_from(known) == Ok(id))
    }
}

/// Labels by ids, which are whole numbers but need not begin at 0. A number is a name, too.
fn in_order(id2label: &Map<String, Value>) -> Result<Vec<String>> {
    let name = |label: &Value| match label {
        Value::String(label) => Some(label.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let entry = |(id, label): (&String, &Value)| match (id.parse::<i64>(), name(label)) {
        (Ok(id), Some(label)) => Ok((id, label)),
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

/// These labels, of which no two may be the same: `label2id` could not tell their classes apart.
pub(crate) fn different(labels: &[String]) -> Result<Vec<String>> {
    let mut seen = HashSet::with_capacity(labels.len());
    match labels.iter().find(|label| !seen.insert(*label)) {
        None => Ok(labels.to_vec()),
        Some(label) => {
            let found = format!("{label:?} for the second time");
            Err(Error::config("labels", "a name of its own for each class", found))
        }
    }
}

/// transformers' default labels for `count` classes, at most a million.
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
    use super::super::ConfigFields;
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
    fn entailment(id2label: Value, label2id: Value) -> Option<usize> {
        let config = json!({ "id2label": id2label, "label2id": label2id });
        AlbertConfig::from_json(config).unwrap().class_of(|label| label.starts_with("entail"))
    }

    /// What transformers 5.24 takes for the entailment's class, but where it takes the last for
    /// want of a name.
    #[test]
    fn a_class_is_found_by_label2id_then_by_id2label() {
        let generic = || json!({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"});
        let telling = || json!({"0": "contradiction", "1": "neutral", "2": "entailment"});
        let first = || json!({"entailment": 0, "neutral": 1, "contradiction": 2});
        assert_eq!(entailment(generic(), first()), Some(0));
        assert_eq!(entailment(telling(), first()), Some(0));
        assert_eq!(entailment(generic(), json!({"c": 0, "entail_b": 1, "entailment": 2})), Some(1));
        assert_eq!(entailment(generic(), json!({"entailment": 1})), Some(1));
        assert_eq!(
            entailment(telling(), json!({"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2})),
            Some(2)
        );
        assert_eq!(entailment(telling(), Value::Null), Some(2));
        assert_eq!(entailment(generic(), json!({"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2})), None);
        assert_eq!(entailment(generic(), json!({"entailment": 7})), None);
        assert_eq!(entailment(generic(), json!({"entailment": -1})), None);
        assert_eq!(entailment(generic(), json!({"entailment": "x"})), None);
        assert_eq!(
            entailment(json!({"1": "no", "2": "entailment"}), json!({"no": 1, "entailment": 2})),
            Some(1)
        );
        assert_eq!(entailment(Value::Null, first()), Some(0));
    }

    #[test]
    fn names_of_label2id_stay_until_labels_change() {
        let text =
            r#"{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"no": 0, "entail": 1}}"#;
        let config = read(text).unwrap();
        assert_eq!(config.labels, ["LABEL_0", "LABEL_1"]);
        assert_eq!(config.to_json()["label2id"], json!({"no": 0, "entail": 1}));
        assert_eq!(AlbertConfig::from_json(config.to_json()).unwrap(), config);
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let renamed = AlbertConfig::new(ConfigFields { labels, ..config.to_fields() }).unwrap();
        assert_eq!(renamed.to_json()["label2id"], json!({"a": 0, "b": 1}));
        assert_eq!(renamed.class_of(|label| label == "entail"), None);
    }

    #[test]
    fn labels_of_label2id_alone_and_numbers_for_names() {
        let labels = |text| read(text).unwrap().labels.clone();
        assert_eq!(labels(r#"{"label2id": {"b": 1, "a": 0, "c": 2}}"#), ["a", "b", "c"]);
        assert_eq!(labels(r#"{"label2id": {"b": 1, "a": 0}, "id2label": null}"#), ["a", "b"]);
        assert_eq!(labels(r#"{"label2id": {"b": 2, "a": 0}}"#), ["LABEL_0", "LABEL_1"]);
        let three = r#"{"label2id": {"b": 1, "a": 0}, "num_labels": 3}"#;
        assert_eq!(labels(three), ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(labels(r#"{"id2label": {"0": 4, "1": 2.5}}"#), ["4", "2.5"]);
    }
}
