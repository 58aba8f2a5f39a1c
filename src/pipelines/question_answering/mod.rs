//! Extractive question answering: where in a text is the answer?

mod answers;

use std::fmt;
use std::ops::Range;

use self::answers::{Choice, Found};
use super::base::{Base, impl_construction};
use super::pipeline::{Group, Pipeline, Prepared};
use super::windows::in_batches;
use crate::error::{Error, Result};
use crate::model::heads::AlbertForQuestionAnswering;
use serde::Serialize;

/// The default maximum length of a question with a part of its context.
const MAX_SEQ_LEN: usize = 384;

/// The default overlap of consecutive parts, in tokens.
const DOC_STRIDE: usize = 128;

/// Extracts answers to questions from a context (`question-answering` in transformers up to 4.57; removed in 5).
///
/// ```
/// use ndalbert::pipelines::{Pipeline, QuestionAnswering};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/answerer");
/// let ask = QuestionAnswering::from_pretrained(directory)?.top_k(3);
/// let context = "Anna lives in Uppsala.";
/// let answers = ask.run(("Where does Anna live?", context))?;
/// assert_eq!((&*answers[0].answer, answers[0].start, answers[0].end), ("Uppsala", 14, 21));
/// for answer in answers {
///     println!("{:.3} {}", answer.score, answer.answer);
/// }
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// A context longer than the model's input is read in overlapping parts, each after the question. Each part yields the probabilities of tokens to be the first or the last of the answer (among the context's tokens and `[CLS]`); the score of a span is the product of both. If the same text is found twice, ignoring case, the scores are added, so the sum can exceed 1; the position is that of the first occurrence.
///
/// Two things differ from transformers. If there are fewer answers than requested, it adds impossible ones of score 0, whereas this pipeline returns fewer. And its answers from SentencePiece tokens begin with the space before the word, because its tokenizer at that time included it.
#[derive(Debug)]
pub struct QuestionAnswering {
    base: Base<AlbertForQuestionAnswering>,
    choice: Choice,
    max_seq_len: usize,
    doc_stride: Option<usize>,
}

impl_construction!(QuestionAnswering, AlbertForQuestionAnswering, |base| {
    let choice = Choice {
        top_k: 1,
        max_answer_len: 15,
        handle_impossible_answer: false,
        align_to_words: true,
    };
    Ok(Self { base, choice, max_seq_len: MAX_SEQ_LEN, doc_stride: None })
});

/// A question and its context.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuestionAnsweringInput {
    /// The question.
    pub question: String,
    /// The text in which to look for the answer.
    pub context: String,
}

impl<Q: Into<String>, C: Into<String>> From<(Q, C)> for QuestionAnsweringInput {
    fn from((question, context): (Q, C)) -> Self {
        Self { question: question.into(), context: context.into() }
    }
}

/// A possible answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// Its probability: the sum over all spans with this text.
    pub score: f32,
    /// Its beginning in the context, in characters (Unicode scalar values, as in Python).
    pub start: usize,
    /// Its end.
    pub end: usize,
    /// Its range in bytes.
    pub bytes: Range<usize>,
    /// The text of the answer; empty if there is none.
    pub answer: String,
}

/// The answer and its probability; `no answer` where there is none.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.answer.as_str() {
            "" => write!(f, "no answer {:.3}", self.score),
            answer => write!(f, "{answer} {:.3}", self.score),
        }
    }
}

impl QuestionAnswering {
    /// The maximum number of answers, best first; by default 1.
    #[must_use]
    pub fn top_k(mut self, count: usize) -> Self {
        self.choice.top_k = count;
        self
    }

    /// The maximum length of an answer in tokens; by default 15.
    #[must_use]
    pub fn max_answer_len(mut self, tokens: usize) -> Self {
        self.choice.max_answer_len = tokens;
        self
    }

    /// Whether the empty answer is possible, as in SQuAD 2, with the probability of `[CLS]` (the minimum over all windows); by default not.
    #[must_use]
    pub fn handle_impossible_answer(mut self, handle: bool) -> Self {
        self.choice.handle_impossible_answer = handle;
        self
    }

    /// Whether answers consist of whole words; by default they do. Words are those of the tokenizer's pre-tokenization: **with SentencePiece, they are separated by spaces. Turn this off for a language without spaces.**
    #[must_use]
    pub fn align_to_words(mut self, align: bool) -> Self {
        self.choice.align_to_words = align;
        self
    }

    /// The maximum number of tokens of the question, a part of the context and special tokens together; by default 384, or the model's input length if that is less.
    #[must_use]
    pub fn max_seq_len(mut self, tokens: usize) -> Self {
        self.max_seq_len = tokens;
        self
    }

    /// The overlap of consecutive parts of the context in tokens; by default 128, or half of
    /// [`max_seq_len`](Self::max_seq_len) if that is less.
    #[must_use]
    pub fn doc_stride(mut self, tokens: impl Into<Option<usize>>) -> Self {
        self.doc_stride = tokens.into();
        self
    }
}

impl Pipeline for QuestionAnswering {
    type Input = QuestionAnsweringInput;
    type Output = Vec<Answer>;
    /// The context.
    type Kept = String;

    /// # Errors
    /// [`Error::Input`] if the question or its context is empty, or if the question leaves no room for more than `doc_stride` tokens of the context.
    fn prepare(&self, input: QuestionAnsweringInput) -> Result<Prepared<String>> {
        let QuestionAnsweringInput { question, context } = input;
        for (what, text) in [("question", &question), ("context", &context)] {
            if text.is_empty() {
                return Err(Error::input(what, "a text", "an empty one"));
            }
        }
        let max_length = self.max_seq_len.min(self.base.max_length());
        let stride = self.doc_stride.unwrap_or(DOC_STRIDE.min(max_length / 2));
        let tokenizer = &self.base.tokenizer;
        let encodings = tokenizer.encode_windows(&question, &context, max_length, stride)?;
        Ok(Prepared { encodings, kept: context })
    }

    fn infer(&self, group: Group<'_, String>) -> Result<Vec<Result<Vec<Answer>>>> {
        let cls = self.base.tokenizer.cls_token_id();
        let items = group.items().map(|(_, prepared)| prepared);
        let mut found: Vec<_> = items.map(|item| Ok(Found::new(&item.kept, self.choice))).collect();
        let mut windows = group.items().enumerate().flat_map(|(item, (_, prepared))| {
            prepared.encodings.iter().map(move |window| (item, window))
        });
        in_batches(group, self.base.tokens_per_batch, |batch| {
            let output = self.base.model.forward(&batch)?;
            for (sequence, (item, window)) in (0..batch.num_sequences()).zip(windows.by_ref()) {
                if let Ok(answers) = &mut found[item]
                    && let Err(error) = answers.add(window, cls, &output, sequence)
                {
                    found[item] = Err(error);
                }
            }
            Ok(())
        })?;
        Ok(found.into_iter().map(|found| found.map(Found::choose)).collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
