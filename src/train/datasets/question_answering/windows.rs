//! Questions with as many windows of their paragraph as it takes, as transformers' `run_qa` prepares them.

use std::ops::Range;

use rayon::prelude::*;

use super::{Answer, QuestionAnsweringExample};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::text::{AlbertTokenizer, Encoding};
use crate::train::AnswerPositions;
use crate::train::datasets::features::{Features, InputSequence, shortened, unlabelled};

/// How paragraphs are split into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowOptions {
    /// The maximum number of tokens: question, part of the paragraph and special tokens.
    pub max_length: usize,
    /// The overlap of consecutive windows in tokens: `doc_stride` of `run_qa`. (In google-research's code, `doc_stride` is the distance of their beginnings.)
    pub doc_stride: usize,
}

impl Default for WindowOptions {
    /// 384 and 128, as in `run_qa`.
    fn default() -> Self {
        Self { max_length: 384, doc_stride: 128 }
    }
}

/// A question with one window of its paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionAnsweringFeatures {
    input: InputSequence,
    /// The number of the example that it is of.
    example: usize,
    /// The columns of the paragraph's tokens.
    context: Range<usize>,
    /// Where in the paragraph each of them stands, in bytes.
    offsets: Vec<(usize, usize)>,
    /// The columns of the answer's first and last token; those of `[CLS]` if the window does not have it all.
    answer: Option<(usize, usize)>,
}

impl QuestionAnsweringFeatures {
    /// The number of the example that this is a window of.
    pub fn example(&self) -> usize {
        self.example
    }

    /// The columns of the paragraph's tokens: those that can be of an answer.
    pub fn context_columns(&self) -> Range<usize> {
        self.context.clone()
    }

    /// Where in the paragraph the token of a column stands, in bytes, if it is one of the paragraph's.
    pub fn context_bytes(&self, column: usize) -> Option<(usize, usize)> {
        self.offsets.get(column.checked_sub(self.context.start)?).copied()
    }

    /// The columns of the answer's first and last token, those of `[CLS]` if this window does not have it all; none in
    /// features that were not made for training.
    pub fn answer(&self) -> Option<(usize, usize)> {
        self.answer
    }

    /// A window of the first example.
    fn new(encoding: Encoding) -> Self {
        let context = encoding.columns_of(1);
        let offsets = encoding.byte_offsets[context.clone()].to_vec();
        Self { input: encoding.into(), example: 0, context, offsets, answer: None }
    }

    /// The columns of the first and last token of what stands at these bytes of the paragraph.
    ///
    /// As in `run_qa`: the last token that begins at or before the answer, and the first that ends at or after its end. Where the answer's
    /// first token is the window's last, `run_qa` goes one too far, to `[SEP]`; here it is that token.
    fn columns_of(&self, answer: &Range<usize>) -> Option<(usize, usize)> {
        let (first, last) = (self.offsets.first()?, self.offsets.last()?);
        if first.0 > answer.start || last.1 < answer.end {
            return None;
        }
        let start = self.offsets.iter().take_while(|token| token.0 <= answer.start).count() - 1;
        let after = self.offsets.iter().rev().take_while(|token| token.1 >= answer.end).count();
        Some((self.context.start + start, self.context.end - after))
    }
}

impl Features for QuestionAnsweringFeatures {
    type Labels = AnswerPositions;

    fn inputs(&self) -> &[InputSequence] {
        std::slice::from_ref(&self.input)
    }

    fn labels(features: &[&Self], _batch: &Batch) -> Result<AnswerPositions> {
        let answers = features.iter().enumerate().map(|(i, features)| {
            let (start, end) = features.answer.ok_or_else(|| unlabelled(i))?;
            Ok((start as i64, end as i64))
        });
        let (start, end) = answers.collect::<Result<(Vec<_>, Vec<_>)>>()?;
        Ok(AnswerPositions { start, end })
    }

    fn is_labelled(&self) -> bool {
        self.answer.is_some()
    }

    fn label_text(&self) -> String {
        format!("{:?}", self.answer)
    }
}

/// The windows of all examples, with the columns of each one's first answer, to train on: `prepare_train_features` of `run_qa`.
///
/// # Errors
/// [`Error::Input`], which names the question, if it has no list of answers, its answer is empty or does not stand in the
/// paragraph where it says it does (`run_qa` would learn any text at that position); as [`evaluation_windows`].
pub fn training_windows(
    tokenizer: &AlbertTokenizer,
    examples: &[QuestionAnsweringExample],
    options: WindowOptions,
) -> Result<Vec<QuestionAnsweringFeatures>> {
    all_windows(examples, |example| {
        let answer = first_answer(example)?;
        let mut windows = windows(tokenizer, example, options)?;
        let cls = tokenizer.cls_token_id();
        for window in &mut windows {
            let cls = window.input.ids.iter().position(|&id| id == cls).unwrap_or(0);
            let columns = answer.as_ref().and_then(|answer| window.columns_of(answer));
            window.answer = Some(columns.unwrap_or((cls, cls)));
        }
        Ok(windows)
    })
}

/// The windows of all examples, without answers, to predict: `prepare_validation_features` of `run_qa`.
///
/// # Errors
/// [`Error::Input`], which names the question, if it is so long that no more than `doc_stride` tokens of the paragraph have room.
pub fn evaluation_windows(
    tokenizer: &AlbertTokenizer,
    examples: &[QuestionAnsweringExample],
    options: WindowOptions,
) -> Result<Vec<QuestionAnsweringFeatures>> {
    all_windows(examples, |example| windows(tokenizer, example, options))
}

type Windows = Vec<QuestionAnsweringFeatures>;

/// In parallel and in order.
fn all_windows(
    examples: &[QuestionAnsweringExample],
    windows: impl Fn(&QuestionAnsweringExample) -> Result<Windows> + Sync + Send,
) -> Result<Windows> {
    Ok(joined_windows(examples.par_iter().map(windows).collect::<Result<_>>()?))
}

/// The windows of examples that were prepared one by one, in the order of the examples: the result of the functions that prepare all of them at once.
pub fn joined_windows(
    examples: Vec<Vec<QuestionAnsweringFeatures>>,
) -> Vec<QuestionAnsweringFeatures> {
    let mut all = Vec::with_capacity(examples.len());
    for (example, windows) in examples.into_iter().enumerate() {
        all.extend(
            windows.into_iter().map(|window| QuestionAnsweringFeatures { example, ..window }),
        );
    }
    all
}

fn windows(
    tokenizer: &AlbertTokenizer,
    example: &QuestionAnsweringExample,
    options: WindowOptions,
) -> Result<Windows> {
    let WindowOptions { max_length, doc_stride } = options;
    // As in `run_qa`: white space before a question makes some tokenizers cut where there is nothing to cut.
    let question = example.question.trim_start();
    let encodings = tokenizer
        .encode_windows(question, &example.context, max_length, doc_stride)
        .map_err(|error| match error {
            Error::Input { what, expected, found } => {
                Error::Input { what: format!("{}: {what}", question_of(example)), expected, found }
            }
            other => other,
        })?;
    Ok(encodings.into_iter().map(QuestionAnsweringFeatures::new).collect())
}

/// Where in the paragraph the first answer stands, in bytes.
fn first_answer(example: &QuestionAnsweringExample) -> Result<Option<Range<usize>>> {
    let what = || format!("{}: answer", question_of(example));
    let Some(answers) = &example.answers else {
        return Err(Error::input(what(), "a list of answers", "none"));
    };
    let Some(Answer { text, start }) = answers.first() else { return Ok(None) };
    let context = &example.context;
    let begin = usize::try_from(*start).ok().and_then(|start| byte_of(context, start));
    let rest = begin.map_or("", |begin| &context[begin..]);
    match begin {
        Some(begin) if !text.is_empty() && rest.starts_with(text.as_str()) => {
            Ok(Some(begin..begin + text.len()))
        }
        _ => {
            let text = shortened(text);
            let expected = format!("{text:?} at character {start} of the paragraph");
            let found: String = rest.chars().take(text.chars().count()).collect();
            Err(Error::input(what(), expected, format!("{found:?}")))
        }
    }
}

/// The byte at which a character begins; the text's length for the place after the last.
fn byte_of(text: &str, character: usize) -> Option<usize> {
    let places = text.char_indices().map(|(byte, _)| byte);
    places.chain([text.len()]).nth(character)
}

fn question_of(example: &QuestionAnsweringExample) -> String {
    format!("question {}", shortened(&example.id))
}
