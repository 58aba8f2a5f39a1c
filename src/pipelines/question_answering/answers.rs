//! Scores of windows → answers, as transformers' `QuestionAnsweringPipeline` chooses them.

use std::collections::HashMap;
use std::ops::Range;

use ndarray::ArrayView2;

use super::Answer;
use crate::error::Result;
use crate::model::heads::{AnswerSpan, QuestionAnsweringOutput};
use crate::pipelines::ranking::check_finite;
use crate::text::Encoding;

/// How answers are chosen; [`QuestionAnswering`](super::QuestionAnswering) says what each means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub top_k: usize,
    pub max_answer_len: usize,
    pub handle_impossible_answer: bool,
    pub align_to_words: bool,
}

impl Choice {
    /// How many spans of each window are looked at: more than are asked for, where several can
    /// become one.
    fn spans(self) -> usize {
        match self.align_to_words {
            true => self.top_k.saturating_mul(2).saturating_add(10),
            false => self.top_k,
        }
    }
}

/// What the windows of one question were found to hold.
pub(super) struct Found<'a> {
    context: &'a str,
    choice: Choice,
    answers: Vec<Answer>,
    /// Which of them has a text, in lower case.
    by_text: HashMap<String, usize>,
    /// The least probability of no answer: all windows must find none.
    none: f64,
}

impl<'a> Found<'a> {
    pub fn new(context: &'a str, choice: Choice) -> Self {
        Self { context, choice, answers: Vec::new(), by_text: HashMap::new(), none: f64::INFINITY }
    }

    /// Adds the answers of a window, which is the `sequence`-th of what a model was given.
    ///
    /// # Errors
    /// [`Error::Input`] if a score is not finite.
    pub fn add(
        &mut self,
        encoding: &Encoding,
        cls: u32,
        output: &QuestionAnsweringOutput,
        sequence: usize,
    ) -> Result<()> {
        let context = encoding.columns_of(1);
        let scores = output.logits.sequence(sequence);
        check_finite("logits", scores)?;
        let can_be_chosen =
            |&column: &usize| context.contains(&column) || encoding.ids[column] == cls;
        let columns: Vec<usize> = (0..encoding.len()).filter(can_be_chosen).collect();
        let shares = Shares::new(scores, &columns);
        self.none = self.none.min(shares.of(0, 0));
        let Choice { max_answer_len, .. } = self.choice;
        let spans = output.best_spans(sequence, context, max_answer_len, self.choice.spans());
        for AnswerSpan { start, end, .. } in spans {
            self.count(encoding, start..end + 1, shares.of(start, end));
        }
        Ok(())
    }

    /// One more span of tokens, which is the answer with this probability.
    fn count(&mut self, encoding: &Encoding, span: Range<usize>, score: f64) {
        let tokens = match self.choice.align_to_words {
            true => whole_words(encoding, span.clone()).unwrap_or(span),
            false => span,
        };
        let (first, last) = (tokens.start, tokens.end - 1);
        let bytes = encoding.byte_offsets[first].0..encoding.byte_offsets[last].1;
        let answer = self.context.get(bytes.clone()).unwrap_or_default().to_owned();
        let known = self.by_text.entry(answer.to_lowercase()).or_insert(self.answers.len());
        if let Some(known) = self.answers.get_mut(*known) {
            known.score += score as f32;
            return;
        }
        let (start, end) = (encoding.offsets[first].0, encoding.offsets[last].1);
        self.answers.push(Answer { score: score as f32, start, end, bytes, answer });
    }

    /// The best answers, best first.
    pub fn choose(mut self) -> Vec<Answer> {
        if self.choice.handle_impossible_answer {
            let (score, answer) = (self.none as f32, String::new());
            self.answers.push(Answer { score, start: 0, end: 0, bytes: 0..0, answer });
        }
        self.answers.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.answers.truncate(self.choice.top_k);
        self.answers
    }
}

/// Probabilities of tokens as the first and as the last of an answer, among those that can be.
struct Shares<'a> {
    scores: ArrayView2<'a, f32>,
    /// The logarithms of the sums of exponentials, of both columns.
    totals: [f64; 2],
}

impl<'a> Shares<'a> {
    fn new(scores: ArrayView2<'a, f32>, columns: &[usize]) -> Self {
        let total = |output: usize| {
            let values = || columns.iter().map(|&column| f64::from(scores[[column, output]]));
            let greatest = values().fold(f64::NEG_INFINITY, f64::max);
            greatest + values().map(|value| (value - greatest).exp()).sum::<f64>().ln()
        };
        Self { scores, totals: [total(0), total(1)] }
    }

    /// That the answer begins at one token and ends at another.
    fn of(&self, start: usize, end: usize) -> f64 {
        let begins = f64::from(self.scores[[start, 0]]) - self.totals[0];
        let ends = f64::from(self.scores[[end, 1]]) - self.totals[1];
        (begins + ends).exp()
    }
}

/// The tokens of all words that a span has part in, as far as they are in this window; none if it
/// begins or ends with a token of no word.
fn whole_words(encoding: &Encoding, span: Range<usize>) -> Option<Range<usize>> {
    let first = encoding.word_ids[span.start]?;
    let last = encoding.word_ids[span.end - 1]?;
    let context = encoding.columns_of(1);
    let words = &encoding.word_ids[context.clone()];
    let start = words.iter().position(|word| *word == Some(first))?;
    let end = words.iter().rposition(|word| *word == Some(last))?;
    Some(context.start + start..context.start + end + 1)
}
