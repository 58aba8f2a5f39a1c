//! What all lines of a CoNLL file say about each of them: how columns are separated, how many there
//! are, and which tags there are.

use std::collections::HashSet;
use std::path::Path;

use super::ConllColumns;
use crate::error::Result;
use crate::train::datasets::lines::Lines;
use crate::train::datasets::record::Fault;

/// What CoNLL-2003 has between documents, in place of a word.
const DOCUMENT_START: &str = "-DOCSTART-";

/// Columns of CoNLL-U, whose first is the word's number.
const CONLL_U: usize = 10;

/// How many different values are remembered, the longest in bytes, and how many columns and numbers
/// of columns are looked at.
const MAX_VALUES: usize = 1 << 16;
const MAX_VALUE: usize = 256;
const MAX_WIDTHS: usize = 64;

/// What a line is.
#[derive(Debug, PartialEq)]
pub(super) enum Row<'a> {
    /// It is blank, or begins a document.
    End,
    /// It says nothing about words.
    Comment,
    Word {
        word: &'a str,
        tag: &'a str,
    },
}

/// What was found out about a file by reading it once.
pub(super) struct Survey {
    columns: ConllColumns,
    is_tabbed: bool,
    width: Option<usize>,
    /// Those of lines that cannot be comments.
    tags: HashSet<String>,
    /// What these have in columns that are neither word nor tag.
    others: HashSet<(usize, String)>,
    /// Whether all of them are such as name spans have.
    are_spans: bool,
}

impl Survey {
    /// Reads a file. Lines that are wrong are none of its business.
    pub fn new(path: &Path, columns: ConllColumns) -> Result<Self> {
        let (mut tabbed, mut spaced) = (Widths::default(), Widths::default());
        let (mut tags, mut others) = (HashSet::new(), HashSet::new());
        let mut lines = Lines::open(path)?;
        loop {
            let line = match lines.next_line() {
                Ok(Some((_, line))) => line,
                Ok(None) => break,
                Err(Fault::Record(_)) => continue,
                Err(Fault::File(error)) => return Err(error),
            };
            if ends_sentence(line) || line.trim_start().starts_with('#') {
                continue;
            }
            let by_space = between_spaces(line, None);
            spaced.add(&by_space);
            let mut cells = by_space;
            if line.contains('\t') {
                cells = line.split('\t').map(str::trim).collect();
                tabbed.add(&cells);
            }
            let last = cells.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
            let tag = columns.tag.unwrap_or(last);
            for (i, cell) in cells.into_iter().enumerate().take(MAX_WIDTHS) {
                if i == columns.word || cell.len() > MAX_VALUE {
                    continue;
                }
                if i == tag && tags.len() < MAX_VALUES {
                    tags.insert(cell.to_owned());
                } else if i != tag && others.len() < MAX_VALUES {
                    others.insert((i, cell.to_owned()));
                }
            }
        }
        let is_tabbed = 2 * tabbed.lines > spaced.lines;
        let width = if is_tabbed { tabbed.usual() } else { spaced.usual() };
        let are_spans = !tags.is_empty() && tags.iter().all(|tag| is_span_tag(tag));
        Ok(Self { columns, is_tabbed, width, tags, others, are_spans })
    }

    /// What a line is, within a sentence or before one.
    pub fn row<'a>(&self, line: &'a str, within_sentence: bool) -> Result<Row<'a>, String> {
        if ends_sentence(line) {
            return Ok(Row::End);
        }
        let cells = self.cells(line);
        let width = self.width.unwrap_or(cells.len());
        let tag_column = self.columns.tag.unwrap_or(width - 1);
        let found = cells.len();
        let (first, tag) = (cells[0], cells.get(tag_column).copied());
        if first.starts_with('#') && self.is_comment(line, &cells, tag_column, within_sentence) {
            return Ok(Row::Comment);
        }
        if found != width {
            return Err(format!("expected {width} columns, as before, found {found}"));
        }
        if self.is_no_word(first) {
            return Ok(Row::Comment);
        }
        let word = cells.get(self.columns.word).copied();
        let (Some(word), Some(tag), true) = (word, tag, tag_column != self.columns.word) else {
            return Err(format!("expected a word and a tag, found {found} columns"));
        };
        let tag = tag.trim();
        for (what, cell) in [("word", word), ("tag", tag)] {
            if cell.is_empty() {
                return Err(format!("expected a {what}, found an empty cell"));
            }
        }
        Ok(Row::Word { word, tag })
    }

    /// The cells of a line that is not blank; at least one.
    fn cells<'a>(&self, line: &'a str) -> Vec<&'a str> {
        if !(self.is_tabbed && line.contains('\t')) {
            return between_spaces(line, self.width);
        }
        let mut cells: Vec<&str> = line.split('\t').map(|cell| cell.trim_matches(' ')).collect();
        while self.width.is_some_and(|width| cells.len() > width) && cells.last() == Some(&"") {
            cells.pop();
        }
        cells
    }

    /// Whether a line that begins with `#` is one.
    fn is_comment(&self, line: &str, cells: &[&str], tag: usize, within_sentence: bool) -> bool {
        let mut words = line.split_whitespace();
        if words.next() == Some("#") && words.nth(1) == Some("=") {
            return true;
        }
        let (first, last) = (cells[0], cells[cells.len() - 1]);
        let fits = self.width.is_none_or(|width| cells.len() == width);
        let tag = if fits { cells.get(tag).map_or(last, |tag| tag.trim()) } else { last };
        let is_known = self.tags.contains(tag);
        match (within_sentence, fits) {
            (false, true) => !match cells.len() {
                0..=2 => is_known || is_span_tag(tag),
                3 => is_known || is_span_tag(tag) && self.has_others(cells),
                _ => (is_known || is_span_tag(tag)) && self.has_others(cells),
            },
            (false, false) => true,
            (true, true) => self.are_spans && !is_span_tag(tag) && tag.contains('='),
            // A lone `#` may have lost its tag.
            (true, false) => {
                first == "#" && tag != "#" && !(is_known || is_span_tag(tag))
                    || first.starts_with("#begin")
                    || first.starts_with("#end")
            }
        }
    }

    /// Whether a column that is neither word nor tag has what other lines have there, or the word
    /// again.
    fn has_others(&self, cells: &[&str]) -> bool {
        let has = |(i, cell): (usize, &&str)| {
            i > 0 && (*cell == cells[0] || self.others.contains(&(i, (*cell).to_owned())))
        };
        self.width.is_none() || cells.iter().enumerate().any(has)
    }

    /// Whether the line is one of CoNLL-U for several words (`1-2`) or one that is not there
    /// (`8.1`).
    fn is_no_word(&self, first: &str) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let parts = first.split_once(['-', '.']);
        self.width == Some(CONLL_U)
            && self.columns.word != 0
            && parts.is_some_and(|(begin, end)| is_number(begin) && is_number(end))
    }
}

fn ends_sentence(line: &str) -> bool {
    line.split_whitespace().next().is_none_or(|first| first == DOCUMENT_START)
}

/// What is between spaces and tabs; or, if that are not as many as there should be, and at least
/// two, between white space of any kind.
fn between_spaces(line: &str, width: Option<usize>) -> Vec<&str> {
    let fields = line.split([' ', '\t']).filter(|field| !field.is_empty());
    let fields: Vec<&str> = fields.collect();
    if width.map_or(fields.len() < 2, |width| fields.len() != width) {
        let others: Vec<&str> = line.split_whitespace().collect();
        if width.is_none_or(|width| others.len() == width) {
            return others;
        }
    }
    fields
}

/// Whether it is one of a tag set for spans: `O`, `B-PER`, `S-LOC`, …
fn is_span_tag(tag: &str) -> bool {
    tag == "O"
        || tag.split_once('-').is_some_and(|(place, kind)| {
            matches!(place, "B" | "I" | "E" | "S" | "L" | "U" | "M") && !kind.is_empty()
        })
}

/// How many lines have how many columns.
#[derive(Default)]
struct Widths {
    lines: usize,
    /// The number of columns, how many of them are not empty in all lines of that number, and how
    /// many lines these are.
    counts: Vec<(usize, usize, usize)>,
}

impl Widths {
    fn add(&mut self, cells: &[&str]) {
        self.lines += 1;
        let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let is_new = self.counts.iter().all(|(width, ..)| *width != cells.len());
        if is_new && self.counts.len() < MAX_WIDTHS {
            self.counts.push((cells.len(), 0, 0));
        }
        if let Some((_, most, lines)) = self.counts.iter_mut().find(|c| c.0 == cells.len()) {
            (*most, *lines) = (filled.max(*most), *lines + 1);
        }
    }

    /// What most lines have; of equals, what comes first. Columns at the end that are always empty
    /// are none.
    fn usual(&self) -> Option<usize> {
        let most = self.counts.iter().map(|(.., lines)| *lines).max()?;
        self.counts.iter().find(|(.., lines)| *lines == most).map(|(_, filled, _)| *filled)
    }
}
