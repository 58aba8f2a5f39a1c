//! The pipelines as commands: each with its options, inputs and output.

pub mod answer;
pub mod choose;
pub mod classify;
pub mod embed;
pub mod fill_mask;
pub mod order;
pub mod tag;

use serde_json::{Map, Value};

use crate::input::Raw;

/// The one text of an input: a line, a string, or an object's `text`.
pub fn text(raw: Raw) -> Result<String, String> {
    match raw {
        Raw::Fields(fields) => {
            fields.into_iter().next().ok_or_else(|| "expected a text".to_owned())
        }
        Raw::Json(Value::String(text)) => Ok(text),
        Raw::Json(value) => string(&value, "text"),
    }
}

/// The texts of an input that has several: those of a line, or of an object's `names`.
pub fn texts<const N: usize>(raw: Raw, names: [&str; N]) -> Result<[String; N], String> {
    match raw {
        Raw::Fields(fields) => <[String; N]>::try_from(fields).map_err(|found| {
            format!(
                "expected {}, separated by tabs, found {} texts",
                names.join(" and "),
                found.len()
            )
        }),
        Raw::Json(value) => {
            let found =
                names.iter().map(|name| string(&value, name)).collect::<Result<Vec<_>, _>>()?;
            <[String; N]>::try_from(found).map_err(|_| "expected other texts".to_owned())
        }
    }
}

/// The string that an object has under a name.
pub fn string(value: &Value, name: &str) -> Result<String, String> {
    let found = value.get(name).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("expected an object with a string {name:?}"))
}

/// The list of strings that an object has under a name.
pub fn strings(value: &Value, name: &str) -> Result<Vec<String>, String> {
    let error = || format!("expected an object with a list of strings {name:?}");
    let list = value.get(name).and_then(Value::as_array).ok_or_else(error)?;
    list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(error)).collect()
}

/// An object with one list.
pub fn listed(name: &str, items: impl Iterator<Item = Value>) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), items.collect())])
}
