//! JSON files next to the vocabulary: read whole, asked key by key, and every wrong type is an error that says where.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::error::{Error, Result};
use crate::files::MAX_JSON;
use crate::memory::Origin;

/// A JSON object and the file it came from.
#[derive(Debug, Clone)]
pub(super) struct JsonFile {
    pub path: PathBuf,
    pub entries: Map<String, Value>,
}

/// A token as a config names it.
///
/// `transformers` treats a mere string and a full description as different even where they say the same, and which of
/// two contradicting ones wins depends on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    pub token: AddedToken,
    pub plain: bool,
}

impl Declared {
    /// A special token of which only the text is known.
    pub fn plain(content: &str) -> Self {
        Self { token: AddedToken::from(content, true), plain: true }
    }

    pub fn full(token: AddedToken) -> Self {
        Self { token, plain: false }
    }

    pub fn content(&self) -> &str {
        &self.token.content
    }
}

impl JsonFile {
    /// The object in `path`, or an empty one if there is no such file.
    pub fn read_if_there(origin: Origin<'_>, path: &Path) -> Result<Self> {
        match origin.read_text(path, MAX_JSON) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(Error::Io { error, .. }) if error.kind() == ErrorKind::NotFound => {
                Ok(Self { path: path.to_owned(), entries: Map::new() })
            }
            Err(error) => Err(error),
        }
    }

    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(entries)) => Ok(Self { path: path.to_owned(), entries }),
            Ok(other) => {
                Err(Error::format(path, format!("expected a JSON object, found {}", brief(&other))))
            }
            Err(error) => Err(Error::format(path, format!("expected JSON, found {error}"))),
        }
    }

    /// The value of `key`; a null is no value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).filter(|value| !value.is_null())
    }

    pub fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub fn string(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    pub fn object(&self, key: &str) -> Result<Option<&Map<String, Value>>> {
        self.typed(key, "an object", Value::as_object)
    }

    pub fn list(&self, key: &str) -> Result<Option<&Vec<Value>>> {
        self.typed(key, "a list", Value::as_array)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let read = |value| read(value).ok_or_else(|| self.wrong(key, expected, value));
        self.get(key).map(read).transpose()
    }

    /// A number of tokens; `None` if it means "no limit": so large a number (`transformers` writes
    /// 1e30), or 0.
    pub fn length(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_f64() {
            Some(length) if length >= 1e18 || length == 0.0 => Ok(None),
            Some(length) if length > 0.0 && length.fract() == 0.0 => Ok(Some(length as usize)),
            _ => Err(self.wrong(key, "a whole number of tokens", value)),
        }
    }

    pub fn tokens(&self, key: &str, default_special: bool) -> Result<Option<Vec<Declared>>> {
        let Some(items) = self.list(key)? else { return Ok(None) };
        let tokens = items.iter().map(|item| self.as_token(key, item, default_special));
        tokens.collect::<Result<_>>().map(Some)
    }

    /// A string, or an object with `content` and flags. `normalized` is, unless said, what the token is not: special.
    pub fn as_token(&self, key: &str, value: &Value, default_special: bool) -> Result<Declared> {
        let expected = "a token: a string, or an object with `content` and true/false flags";
        let entries = match value {
            Value::String(content) => return Ok(Declared::plain(content)),
            Value::Object(entries) => entries,
            other => return Err(self.wrong(key, expected, other)),
        };
        let content = entries.get("content").and_then(Value::as_str);
        let content = content.ok_or_else(|| self.wrong(key, expected, value))?;
        let flag = |name: &str, default| match entries.get(name) {
            None => Ok(default),
            Some(flag) => flag.as_bool().ok_or_else(|| self.wrong(key, expected, value)),
        };
        let special = default_special || flag("special", false)?;
        Ok(Declared::full(AddedToken {
            content: content.to_owned(),
            single_word: flag("single_word", false)?,
            lstrip: flag("lstrip", false)?,
            rstrip: flag("rstrip", false)?,
            normalized: flag("normalized", !special)?,
            special,
        }))
    }

    /// The error for a value that is not what its key asks for.
    pub fn wrong(&self, key: &str, expected: &str, found: &Value) -> Error {
        Error::format(&self.path, format!("`{key}`: expected {expected}, found {}", brief(found)))
    }
}

/// A value short enough for an error message.
pub(super) fn brief(value: &Value) -> String {
    const LIMIT: usize = 60;
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(entries) if entries.len() > 4 => {
            format!("an object of {} keys", entries.len())
        }
        other => {
            let text = other.to_string();
            match text.char_indices().nth(LIMIT) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}
