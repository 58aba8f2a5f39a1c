//! Where in a text is the answer to a question?

mod answers;

use std::ops::Range;

use self::answers::{Choice, Found};
use super::base::{Base, impl_construction};
use super::pipeline::{Group, Pipeline, Prepared};
use super::windows::in_batches;
use crate::error::{Error, Result};
use crate::model::heads::AlbertForQuestionAnswering;

/// The longest input that is made of a question and a part of its context, where nothing else is said.
const MAX_SEQ_LEN: usize = 384;

/// How many tokens a part has in common with the one before it, where nothing else is said.
const DOC_STRIDE: usize = 128;

/// Answers to questions, cut from a context (`question-answering` in transformers up to 4.57; 5 has it no more).
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
/// A context that is longer than the model's input is read in parts that overlap, each after the question. In each, tokens
/// have probabilities to be the first or the last of the answer (among the context's tokens and `[CLS]`), and a span's
/// score is the product of two. The same text found twice, whatever its case, is one answer with the sum of the scores,
/// which so can be greater than 1; it stands where it was found first.
///
/// Two things differ from transformers: where it cannot find as many answers as it is asked for, it fills up with impossible
/// ones of score 0, and here there are fewer; and its answers of SentencePiece tokens begin with the space before the word,
/// because its tokenizer of that time counts it in.
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

/// A question, and the text that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuestionAnsweringInput {
    /// The question.
    pub question: String,
    /// The text that has the answer, if there is one.
    pub context: String,
}

impl<Q: Into<String>, C: Into<String>> From<(Q, C)> for QuestionAnsweringInput {
    fn from((question, context): (Q, C)) -> Self {
        Self { question: question.into(), context: context.into() }
    }
}

/// A possible answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Its probability, the sum of those of all spans that read so.
    pub score: f32,
    /// Where it begins in the context, in characters (Unicode scalar values, as Python counts).
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// From where to where it goes in bytes.
    pub bytes: Range<usize>,
    /// The text of the answer; empty if there is none.
    pub answer: String,
}

impl QuestionAnswering {
    /// How many answers are returned at most, best first; by default 1.
    #[must_use]
    pub fn top_k(mut self, count: usize) -> Self {
        self.choice.top_k = count;
        self
    }

    /// The greatest number of tokens in an answer; by default 15.
    #[must_use]
    pub fn max_answer_len(mut self, tokens: usize) -> Self {
        self.choice.max_answer_len = tokens;
        self
    }

    /// Whether "none" can be among the answers, as in SQuAD 2: an empty one, with the probability of `[CLS]` (the least of
    /// all windows). By default it cannot.
    #[must_use]
    pub fn handle_impossible_answer(mut self, handle: bool) -> Self {
        self.choice.handle_impossible_answer = handle;
        self
    }

    /// Whether answers are made of whole words, as they are by default. Words are what the tokenizer has split its text into before
    /// it looked for pieces: **with SentencePiece, what stands between spaces. In a language without spaces, turn it off.**
    #[must_use]
    pub fn align_to_words(mut self, align: bool) -> Self {
        self.choice.align_to_words = align;
        self
    }

    /// The greatest number of tokens that the model reads at a time, of the question, of a part of the context and special
    /// ones; by default 384. It is less if the model takes less.
    #[must_use]
    pub fn max_seq_len(mut self, tokens: usize) -> Self {
        self.max_seq_len = tokens;
        self
    }

    /// How many tokens a part of the context has in common with the one before it; by default 128, or half of
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
    /// [`Error::Input`] if the question or its context is empty, or the question so long that it leaves no room for more than
    /// `doc_stride` tokens of the context.
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
