//! The column format of CoNLL's shared tasks.

use std::path::Path;

use super::TokenClassificationExample;
use crate::error::Result;
use crate::train::datasets::examples::Examples;
use crate::train::datasets::lines::Lines;

/// What CoNLL-2003 has between documents, in place of a word.
const DOCUMENT_START: &str = "-DOCSTART-";

/// The greatest number of words in a sentence.
const MAX_WORDS: usize = 1 << 16;

/// Which columns are what, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConllColumns {
    /// The word; by default the first.
    pub word: usize,
    /// The tag; by default the last, whichever that is.
    pub tag: Option<usize>,
}

/// Reads a word per line, with its tag in a column after it, columns separated by spaces or tabs; a blank line ends a sentence,
/// and so does a line that begins with `-DOCSTART-`, as CoNLL-2003 has it. All lines must have as many columns.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format), which name file and line.
pub fn read_conll(
    path: impl AsRef<Path>,
    columns: ConllColumns,
) -> Result<Examples<TokenClassificationExample>> {
    let mut lines = Lines::open(path.as_ref())?;
    let mut width = None;
    Ok(Examples::from_reader(move || sentence(&mut lines, columns, &mut width)))
}

fn sentence(
    lines: &mut Lines,
    columns: ConllColumns,
    width: &mut Option<usize>,
) -> Result<Option<TokenClassificationExample>> {
    let mut example = TokenClassificationExample::default();
    while let Some(line) = lines.next_line()? {
        let fields: Vec<&str> = line.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
        if fields.first().is_none_or(|first| *first == DOCUMENT_START) {
            if example.words.is_empty() {
                continue;
            }
            break;
        }
        let parsed = word_and_tag(&fields, columns, width);
        let parsed = parsed.map(|(word, tag)| (word.to_owned(), tag.to_owned()));
        let (word, tag) = parsed.map_err(|reason| lines.error(reason))?;
        example.words.push(word);
        example.tags.push(tag);
        if example.words.len() > MAX_WORDS {
            let expected = format!("expected a sentence of at most {MAX_WORDS} words");
            return Err(lines.error(format!("{expected}, found no end of it")));
        }
    }
    Ok((!example.words.is_empty()).then_some(example))
}

fn word_and_tag<'a>(
    fields: &[&'a str],
    columns: ConllColumns,
    width: &mut Option<usize>,
) -> Result<(&'a str, &'a str), String> {
    let expected = *width.get_or_insert(fields.len());
    if fields.len() != expected {
        return Err(format!("expected {expected} columns, as before, found {}", fields.len()));
    }
    let tag = columns.tag.unwrap_or(fields.len() - 1);
    match (fields.get(columns.word), fields.get(tag)) {
        (Some(word), Some(found)) if tag != columns.word => Ok((word, found)),
        _ => Err(format!("expected a word and a tag, found {} columns", fields.len())),
    }
}
