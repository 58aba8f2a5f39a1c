//! Inputs: of the arguments, of a file, or of standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};

use serde_json::Value;

use crate::Failure;
use crate::arguments::{From, InOut};
use crate::shard::Part;

/// The longest line, in bytes. One that is longer is no text for a model.
const MAX_LINE: u64 = 64 << 20;

/// One input as it came in.
pub enum Raw {
    /// The texts of one line, or of the arguments.
    Fields(Vec<String>),
    /// A line of JSON.
    Json(Value),
}

/// What inputs a command takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text each.
    Text,
    /// Several texts each: of a line, separated by tabs.
    Fields,
}

/// An input with the number of its line, or an error.
pub type Line = (u64, Result<Raw, String>);

/// The inputs of a command.
pub struct Inputs {
    lines: Box<dyn Iterator<Item = io::Result<Line>>>,
    /// Whether somebody types them, and waits for each answer.
    pub is_interactive: bool,
    /// How many there are, if that is known.
    pub count: Option<usize>,
}

impl Inputs {
    /// Those of the arguments if there are any, or of the file or standard input.
    pub fn new(texts: &[String], options: &InOut, shape: Shape) -> Result<Self, Failure> {
        if !texts.is_empty() {
            return Ok(Self::of_arguments(texts, options.from, shape));
        }
        let whole = Part { lines_before: 0, bytes: u64::MAX };
        let (reader, part): (Box<dyn Read>, Part) = match &options.input {
            Some(path) => {
                let failed = |error| format!("{}: {error}", path.display());
                let mut file = File::open(path).map_err(failed)?;
                let part = match options.shard {
                    Some(shard) => shard.seek(&mut file).map_err(failed)?,
                    None => whole,
                };
                (Box::new(file), part)
            }
            None => (Box::new(io::stdin()), whole),
        };
        let is_interactive = options.input.is_none() && io::stdin().is_terminal();
        let lines = Lines {
            reader: BufReader::new(reader),
            number: part.lines_before,
            left: part.bytes,
            from: options.from,
            shape,
        };
        Ok(Self { lines: Box::new(lines), is_interactive, count: None })
    }

    fn of_arguments(texts: &[String], from: From, shape: Shape) -> Self {
        let inputs: Vec<_> = match (from, shape) {
            (From::Jsonl, _) => texts.iter().map(|text| json(text)).collect(),
            (From::Text, Shape::Text) => {
                texts.iter().map(|text| Ok(Raw::Fields(vec![text.clone()]))).collect()
            }
            (From::Text, Shape::Fields) => vec![Ok(Raw::Fields(texts.to_vec()))],
        };
        let count = Some(inputs.len());
        Self { lines: Box::new((1..).zip(inputs).map(Ok)), is_interactive: false, count }
    }
}

impl Iterator for Inputs {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next()
    }
}

/// Lines that are not empty.
struct Lines<R> {
    reader: BufReader<R>,
    number: u64,
    /// Of how many bytes lines are read. The last one may go on beyond them.
    left: u64,
    from: From,
    shape: Shape,
}

impl<R: Read> Lines<R> {
    /// The next line, of which no more is kept than a text may have. `None` at the end.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut line = Vec::new();
        let mut read = self.reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') && read as u64 > MAX_LINE {
            read += self.reader.skip_until(b'\n')?;
        }
        self.left = self.left.saturating_sub(read as u64);
        self.number += 1;
        Ok((read > 0).then_some(line))
    }

    fn parse(&self, line: &[u8]) -> Result<Raw, String> {
        if line.len() as u64 > MAX_LINE {
            return Err(format!("expected at most {MAX_LINE} bytes, found more"));
        }
        let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
        // Windows' line ends, and the mark that its editors begin a file with.
        let text = text.trim_end_matches(['\n', '\r']);
        let text = if self.number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        match (self.from, self.shape) {
            (From::Jsonl, _) => json(text),
            (From::Text, Shape::Text) => Ok(Raw::Fields(vec![text.to_owned()])),
            (From::Text, Shape::Fields) => {
                Ok(Raw::Fields(text.split('\t').map(str::to_owned).collect()))
            }
        }
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.read() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Ok((self.number, self.parse(&line))));
            }
        }
    }
}

fn json(text: &str) -> Result<Raw, String> {
    serde_json::from_str(text).map(Raw::Json).map_err(|error| format!("not JSON: {error}"))
}
