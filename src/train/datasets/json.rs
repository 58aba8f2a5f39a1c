//! JSON: one value per line, or one document per file.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::examples::Examples;
use super::features::shortened;
use super::lines::{BYTE_ORDER_MARK, Lines, each_line};
use super::record::{Fault, Place, Queue, Reader};
use crate::error::{Error, Result};
use crate::files::read_small;

/// The longest document. SQuAD 2 has 42 MB.
const MAX_DOCUMENT: u64 = 1 << 30;

/// What JSON allows between values.
const WHITE: [char; 4] = [' ', '\n', '\r', '\t'];

/// How the records of a file are laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// One per line.
    Lines,
    /// A list of them, the same under the key `data` of an object, or one alone.
    Document,
}

/// Reads records, a value each, by `read`: it gets the value, and where that is, and adds examples to the queue.
///
/// Files with an object per line are distinguished from documents by their first line; if that is ambiguous, `usual` applies.
pub(super) fn json_records<T: 'static>(
    path: &Path,
    usual: Layout,
    mut read: impl FnMut(Json<'_>, Place, &mut Queue<T>) -> Result<(), Fault> + Send + 'static,
) -> Result<Reader<T>> {
    match layout(path, usual)? {
        Layout::Document => Document::open(path)?.records(read),
        Layout::Lines => Ok(each_line(Lines::open(path)?, move |text, place, queue| {
            if text.trim().is_empty() {
                return Ok(());
            }
            match serde_json::from_str(text) {
                Ok(value) => read(Json { text, value, is_line: true }, place, queue),
                Err(error) => Err(Fault::Record(place.error(in_line(&error)))),
            }
        })),
    }
}

/// Reads records that are an example each, usually one per line.
///
/// What `example` says is wrong is put behind the file and the line.
pub(super) fn json_examples<V: DeserializeOwned + 'static, T: 'static>(
    path: &Path,
    example: impl Fn(V) -> Result<T, String> + Send + 'static,
) -> Result<Examples<T>> {
    let reader = json_records(path, Layout::Lines, move |record, place, queue| {
        queue.add(place, record.parse().and_then(&example));
        Ok(())
    });
    Ok(Examples::from_reader(reader?))
}

/// An object with a list of records.
#[derive(Deserialize)]
struct WithData<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

fn layout(path: &Path, usual: Layout) -> Result<Layout> {
    if path.extension().is_some_and(|end| end == "jsonl" || end == "ndjson") {
        return Ok(Layout::Lines);
    }
    let mut lines = Lines::open(path)?;
    let first = loop {
        match lines.next_line() {
            Ok(Some((_, line))) if line.trim().is_empty() => {}
            Ok(Some((_, line))) => break line.trim().to_owned(),
            Err(Fault::File(error)) => return Err(error),
            Ok(None) | Err(Fault::Record(_)) => return Ok(usual),
        }
    };
    let begins = |list: &str, with: &[char]| {
        let rest = list.strip_prefix('[').map(|rest| rest.trim_start_matches(WHITE));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(with))
    };
    if first == "{" || begins(&first, &['{', '[']) {
        return Ok(Layout::Document);
    }
    Ok(match serde_json::from_str(&first) {
        Ok(WithData { data: Some(list) }) if begins(list.get(), &['{', ']']) => Layout::Document,
        Ok(WithData { .. }) if first.starts_with('{') => Layout::Lines,
        _ => usual,
    })
}

/// A value, and the text that it is part of.
#[derive(Clone, Copy)]
pub(super) struct Json<'a> {
    text: &'a str,
    value: &'a RawValue,
    /// Whether the text is a line, whose number is known from elsewhere.
    is_line: bool,
}

impl<'a> Json<'a> {
    /// As it is written.
    pub fn written(self) -> &'a str {
        self.value.get()
    }

    /// Another value of the same text.
    pub fn other(self, value: &'a RawValue) -> Self {
        Self { value, ..self }
    }

    /// What it means, or what is wrong with it, by line and column.
    pub fn parse<V: Deserialize<'a>>(self) -> Result<V, String> {
        serde_json::from_str(self.written()).map_err(|error| {
            let column = error.column();
            let (line, before) = position(self.text, self.written());
            let column = if error.line() == 1 { before + column } else { column };
            self.at(line + error.line(), column, &reason(&error))
        })
    }

    /// What is wrong with it, by line and column.
    pub fn wrong(self, reason: &str) -> String {
        let (line, before) = position(self.text, self.written());
        self.at(line + 1, before + 1, reason)
    }

    fn at(self, line: usize, column: usize, reason: &str) -> String {
        match self.is_line {
            true => format!("column {column}: {reason}"),
            false => format!("line {line}, column {column}: {reason}"),
        }
    }

    /// The elements of a list, none of which is kept.
    pub fn elements(self) -> Result<impl Iterator<Item = Json<'a>>, String> {
        let Some(mut rest) = self.written().strip_prefix('[') else {
            let found = shortened(self.written());
            return Err(self.wrong(&format!("expected a list, found {found}")));
        };
        Ok(std::iter::from_fn(move || {
            let (element, length) = next_element(rest)?;
            rest = &rest[length..];
            Some(self.other(element))
        }))
    }
}

/// The lines before a part of a text, and the bytes before it on its line.
fn position(text: &str, part: &str) -> (usize, usize) {
    let before = text.get(..offset(text, part)).unwrap_or_default();
    let on_line = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count(), on_line)
}

fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The first element of the rest of a list that is known to be JSON, and where it ends.
fn next_element(rest: &str) -> Option<(&RawValue, usize)> {
    let element = rest.trim_start_matches(WHITE).trim_start_matches(',');
    let begin = rest.len() - element.len();
    let mut values = serde_json::Deserializer::from_str(element).into_iter::<&RawValue>();
    let value = values.next()?.ok()?;
    Some((value, begin + values.byte_offset()))
}

/// A file that is one JSON value, in memory.
struct Document {
    path: Arc<Path>,
    text: String,
}

impl Document {
    fn open(path: &Path) -> Result<Self> {
        let mut bytes = read_small(path, MAX_DOCUMENT)?;
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
            let byte = 1 + good.iter().rev().take_while(|&&byte| byte != b'\n').count();
            let reason = format!("expected UTF-8, found something else at byte {byte}");
            Error::format(path, format!("line {line}: {reason}"))
        })?;
        Ok(Self { path: path.into(), text })
    }

    /// Its records, one after the other.
    fn records<T: 'static>(
        self,
        mut read: impl FnMut(Json<'_>, Place, &mut Queue<T>) -> Result<(), Fault> + Send + 'static,
    ) -> Result<Reader<T>> {
        let (mut begin, list) = self.list()?;
        let mut index = 0;
        Ok(Box::new(move |queue| {
            let Some((value, length)) = next_element(&self.text[begin..]) else { return Ok(false) };
            let place = match list {
                Some(name) => Place::item(&self.path, format!("{name}[{index}]")),
                None => Place::item(&self.path, "the document"),
            };
            (begin, index) = (begin + length, index + 1);
            read(Json { text: &self.text, value, is_line: false }, place, queue).map(|()| true)
        }))
    }

    /// Where the list of records begins, behind its bracket, and its name; the beginning, and no name, if the document is one record.
    fn list(&self) -> Result<(usize, Option<&'static str>)> {
        let wrong = |reason: String| Error::format(&self.path, reason);
        let value = serde_json::from_str(&self.text)
            .map_err(|error| wrong(format!("line {}, {}", error.line(), in_line(&error))))?;
        let root = Json { text: &self.text, value, is_line: false };
        let (list, name) = match root.written().starts_with('{') {
            true => match root.parse::<WithData<'_>>().map_err(wrong)?.data {
                Some(list) => (root.other(list), "data"),
                None => return Ok((0, None)),
            },
            false => (root, ""),
        };
        let is_empty = list.elements().map_err(wrong)?.next().is_none();
        if is_empty && name.is_empty() {
            return Err(wrong(list.wrong("expected at least one record, found an empty list")));
        }
        Ok((offset(&self.text, list.written()) + 1, Some(name)))
    }
}

/// `column 7: expected …`.
fn in_line(error: &serde_json::Error) -> String {
    format!("column {}: {}", error.column(), reason(error))
}

/// What the library says, but for the place.
fn reason(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    text.strip_suffix(&place).map_or_else(|| text.clone(), str::to_owned)
}
