//! The column format of CoNLL's shared tasks.

use std::path::Path;

use super::TokenClassificationExample;
use super::survey::{Row, Survey};
use crate::error::{Error, Result};
use crate::train::datasets::examples::Examples;
use crate::train::datasets::lines::Lines;
use crate::train::datasets::record::{Fault, Place, Queue};

/// The greatest number of words in a sentence.
const MAX_WORDS: usize = 1 << 16;

/// The columns, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConllColumns {
    /// The column of words; by default the first.
    pub word: usize,
    /// The column of tags; by default the last.
    pub tag: Option<usize>,
}

/// Reads a word per line, with its tag in a column after it; a blank line ends a sentence, and so does a line that begins with
/// `-DOCSTART-`, as CoNLL-2003 has it. All lines must have as many columns as most have.
///
/// Columns are separated by tabs if most lines have any, and may then be empty; else by spaces or tabs, however many.
///
/// A line that begins with `#` is a comment or the word `#…`. Before a sentence, it is a word if it has as many columns as the others
/// and a tag that others have or that is of the form `O`, `B-…`, `I-…`; with four columns or more, another one must have what
/// others have there. Else it is a comment, and so is `# key = value` anywhere. Within a sentence, it is a word if it has as many columns,
/// a comment if it has others and no known tag at its end, and an error otherwise.
///
/// Lines of CoNLL-U for multiword tokens and empty nodes (`1-2`, `8.1`) are skipped if its columns are read, that is, if there are ten columns and the word is not the first.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format), which name file and line.
pub fn read_conll(
    path: impl AsRef<Path>,
    columns: ConllColumns,
) -> Result<Examples<TokenClassificationExample>> {
    let path = path.as_ref();
    let survey = Survey::new(path, columns)?;
    let mut lines = Lines::open(path)?;
    Ok(Examples::from_reader(Box::new(move |queue| {
        let mut sentence = Sentence::default();
        let has_more = sentence.read(&mut lines, &survey)?;
        sentence.finish(&lines, queue);
        Ok(has_more)
    })))
}

/// A sentence that is being read.
#[derive(Default)]
struct Sentence {
    example: TokenClassificationExample,
    /// The first line of words and the last, from 1.
    lines: Option<(usize, usize)>,
    /// The first mistake in it.
    wrong: Option<Error>,
}

impl Sentence {
    /// Reads up to its end. False if that is the file's.
    fn read(&mut self, lines: &mut Lines, survey: &Survey) -> Result<bool, Fault> {
        loop {
            let number = lines.number() + 1;
            match lines.next_line() {
                Ok(None) => return Ok(false),
                Ok(Some((place, line))) => match survey.row(line, self.lines.is_some()) {
                    Ok(Row::Comment) => continue,
                    Ok(Row::End) if self.lines.is_some() => return Ok(true),
                    Ok(Row::End) => continue,
                    Ok(Row::Word { word, tag }) => self.add(word, tag, &place),
                    Err(reason) => self.refuse(place.error(reason)),
                },
                Err(Fault::Record(error)) => self.refuse(error),
                Err(fault) => return Err(fault),
            }
            let first = self.lines.map_or(number, |(first, _)| first);
            self.lines = Some((first, number));
        }
    }

    fn add(&mut self, word: &str, tag: &str, place: &Place) {
        if self.wrong.is_some() {
            return;
        }
        if self.example.words.len() == MAX_WORDS {
            let expected = format!("expected a sentence of at most {MAX_WORDS} words");
            return self.refuse(place.error(format!("{expected}, found no end of it")));
        }
        self.example.words.push(word.to_owned());
        self.example.tags.push(tag.to_owned());
    }

    fn refuse(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }

    fn finish(self, lines: &Lines, queue: &mut Queue<TokenClassificationExample>) {
        match (self.wrong, self.lines) {
            (Some(error), _) => queue.add_bad(error),
            (None, Some((first, last))) => {
                queue.add(Place::lines(lines.path(), first, last), Ok(self.example));
            }
            (None, None) => {}
        }
    }
}
