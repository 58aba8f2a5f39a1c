//! Answers: lines of JSON, or a table.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde_json::{Map, Value};

use crate::arguments::To;
use crate::table::{Align, Table};

/// How many rows a table has before it is printed: the width of its columns is that of all of them.
const ROWS_AT_ONCE: usize = 2000;

/// The answer to an input: a JSON object, and rows of a table.
pub struct Answer<const COLUMNS: usize> {
    pub json: Map<String, Value>,
    pub rows: Vec<[String; COLUMNS]>,
}

/// A column's name, and where its text stands.
pub type Column = (&'static str, Align);

/// Standard output.
pub struct Output<const COLUMNS: usize> {
    out: BufWriter<StdoutLock<'static>>,
    to: To,
    header: [Column; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Output<COLUMNS> {
    pub fn new(to: Option<To>, header: [Column; COLUMNS]) -> Self {
        let out = io::stdout().lock();
        let default = if out.is_terminal() { To::Table } else { To::Jsonl };
        Self { out: BufWriter::new(out), to: to.unwrap_or(default), header, rows: Vec::new() }
    }

    /// Writes the answer to the input of a line; at once if somebody waits for it.
    pub fn write(&mut self, line: u64, answer: Answer<COLUMNS>, at_once: bool) -> io::Result<()> {
        match self.to {
            To::Jsonl => {
                let mut json = Map::from_iter([("line".to_owned(), line.into())]);
                json.extend(answer.json);
                serde_json::to_writer(&mut self.out, &json)?;
                self.out.write_all(b"\n")?;
            }
            To::Table => self.rows.extend(answer.rows),
        }
        if at_once || self.rows.len() >= ROWS_AT_ONCE {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what was kept back.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.rows.is_empty() {
            let mut table = Table::new(self.header);
            self.rows.drain(..).for_each(|row| table.row(row));
            write!(self.out, "{table}")?;
        }
        self.out.flush()
    }
}

/// A number in JSON, with the digits of single precision, not of double.
pub fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// A score as tables have it.
pub fn score(score: f32) -> String {
    format!("{score:.4}")
}

/// A text as tables have it: on one line, and not too long.
pub fn shown(text: &str) -> String {
    const MAX: usize = 40;
    let mut shown: String = text
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(MAX)
        .collect();
    if text.chars().count() > MAX {
        shown.pop();
        shown.push('…');
    }
    shown
}
