//! Scores → answers, as transformers' `run_qa` chooses them.

use std::cmp::Ordering;
use std::path::Path;

use ndarray::{Array2, ArrayView1};
use serde_json::{Map, Value};

use super::{QuestionAnsweringExample, QuestionAnsweringFeatures};
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::train::datasets::features::Features;

/// How answers are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnswerOptions {
    /// The number of best first tokens, last tokens and answers that are considered.
    pub n_best_size: usize,
    /// The maximum number of tokens in an answer.
    pub max_answer_length: usize,
    /// If there may be no answer (SQuAD 2), the threshold of its score difference: `null_score_diff_threshold` of `run_qa`.
    pub null_threshold: Option<f32>,
}

impl Default for AnswerOptions {
    /// 20, 30, and there is an answer, as in `run_qa`.
    fn default() -> Self {
        Self { n_best_size: 20, max_answer_length: 30, null_threshold: None }
    }
}

/// A predicted answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerPrediction {
    /// The question's.
    pub id: String,
    /// The answer; empty for "no answer".
    pub text: String,
    /// The score difference of "no answer" and the best answer, if there may be none.
    pub null_score_diff: Option<f32>,
    /// The best answers, best first; with none among them (at the end, if it is not one of the best) where there may be none.
    pub candidates: Vec<AnswerCandidate>,
}

/// A possible answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerCandidate {
    /// The span of the paragraph; empty for "no answer".
    pub text: String,
    /// The sum of its first token's score as first and its last token's score as last.
    pub score: f32,
    /// Its share among the candidates.
    pub probability: f64,
}

/// Chooses an answer to each example from the scores `[S, 2]` (as first and as last token) of each of its windows' tokens:
/// `postprocess_qa_predictions` of transformers.
///
/// Two cases, which do not occur with a useful model, differ from transformers: equal scores are ordered from left to right, where NumPy's order is undefined, and a question without a possible answer gets an empty answer, not the word `empty`.
///
/// # Errors
/// [`Error::Input`] if the number of scores does not match windows or tokens, a score is not finite, or a window belongs to no example.
pub fn predict_answers(
    examples: &[QuestionAnsweringExample],
    features: &[QuestionAnsweringFeatures],
    scores: &[Array2<f32>],
    options: AnswerOptions,
) -> Result<Vec<AnswerPrediction>> {
    if scores.len() != features.len() {
        let (expected, found) = (features.len().to_string(), scores.len().to_string());
        return Err(Error::input("windows with scores", expected, found));
    }
    let mut found: Vec<Found> = examples.iter().map(|_| Found::default()).collect();
    let count = examples.len();
    for (i, (window, scores)) in features.iter().zip(scores).enumerate() {
        check_scores(i, window, scores)?;
        let of_example = found.get_mut(window.example()).ok_or_else(|| {
            let expected = format!("one of {count}");
            Error::input(format!("example of window {i}"), expected, window.example().to_string())
        })?;
        of_example.add(window, scores, options);
    }
    let both = examples.iter().zip(found);
    Ok(both.map(|(example, found)| found.choose(example, options)).collect())
}

fn check_scores(
    index: usize,
    window: &QuestionAnsweringFeatures,
    scores: &Array2<f32>,
) -> Result<()> {
    let expected = [window.inputs()[0].ids.len(), 2];
    if scores.shape() != expected {
        let (expected, found) = (format!("{expected:?}"), format!("{:?}", scores.shape()));
        return Err(Error::input(
            format!("shape of the scores of window {index}"),
            expected,
            found,
        ));
    }
    match scores.iter().find(|score| !score.is_finite()) {
        Some(score) => {
            let what = format!("scores of window {index}");
            Err(Error::input(what, "finite numbers", score.to_string()))
        }
        None => Ok(()),
    }
}

/// A stretch of a paragraph, in bytes, and its score.
#[derive(Clone, Copy)]
struct Span {
    bytes: (usize, usize),
    score: f32,
}

/// What the windows of a question were found to hold.
#[derive(Default)]
struct Found {
    spans: Vec<Span>,
    /// The least score of no answer: all windows must find none.
    null_score: Option<f32>,
}

impl Found {
    fn add(
        &mut self,
        window: &QuestionAnsweringFeatures,
        scores: &Array2<f32>,
        options: AnswerOptions,
    ) {
        let null_score = scores[[0, 0]] + scores[[0, 1]];
        self.null_score = Some(self.null_score.map_or(null_score, |least| least.min(null_score)));
        let ends = best(scores.column(1), options.n_best_size);
        for start in best(scores.column(0), options.n_best_size) {
            for &end in &ends {
                let bytes = (window.context_bytes(start), window.context_bytes(end));
                let (Some((begin, _)), Some((_, finish))) = bytes else { continue };
                if end >= start && end - start < options.max_answer_length {
                    let score = scores[[start, 0]] + scores[[end, 1]];
                    self.spans.push(Span { bytes: (begin, finish), score });
                }
            }
        }
        // No more than these can be among the best of all windows.
        self.keep(options.n_best_size);
    }

    fn keep(&mut self, count: usize) {
        self.spans.sort_by(|a, b| descending(a.score, b.score));
        self.spans.truncate(count);
    }

    fn choose(
        mut self,
        example: &QuestionAnsweringExample,
        options: AnswerOptions,
    ) -> AnswerPrediction {
        let null_score = options.null_threshold.and(self.null_score);
        if let Some(score) = null_score {
            let none = Span { bytes: (0, 0), score };
            self.spans.push(none);
            self.keep(options.n_best_size);
            if !self.spans.iter().any(|span| span.bytes == none.bytes) {
                self.spans.push(none);
            }
        }
        let candidates = self.candidates(&example.context);
        let best = candidates.iter().find(|candidate| !candidate.text.is_empty());
        let null_score_diff = null_score.zip(best).map(|(none, best)| none - best.score);
        let is_none = match (null_score_diff, options.null_threshold) {
            (Some(difference), Some(threshold)) => difference > threshold,
            _ => false,
        };
        // Without the choice of none, the very best, even if it has no text.
        let chosen = if null_score.is_some() { best } else { candidates.first() };
        let text = chosen.filter(|_| !is_none).map(|best| best.text.clone()).unwrap_or_default();
        AnswerPrediction { id: example.id.clone(), text, null_score_diff, candidates }
    }

    fn candidates(&self, context: &str) -> Vec<AnswerCandidate> {
        let best = self.spans.first().map_or(0.0, |span| f64::from(span.score));
        let share = |span: &Span| (f64::from(span.score) - best).exp();
        let sum: f64 = self.spans.iter().map(share).sum();
        let candidate = |span: &Span| AnswerCandidate {
            text: context.get(span.bytes.0..span.bytes.1).unwrap_or_default().to_owned(),
            score: span.score,
            probability: share(span) / sum,
        };
        self.spans.iter().map(candidate).collect()
    }
}

/// The places of the `count` greatest values, greatest first.
fn best(values: ArrayView1<'_, f32>, count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| descending(values[a], values[b]));
    places.truncate(count);
    places
}

fn descending(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

/// Writes `{id: answer}`, which the official scorers of SQuAD take, atomically.
///
/// # Errors
/// [`Error::Input`] if two predictions have the same id, [`Error::Io`] if the file cannot be written.
pub fn write_predictions(path: impl AsRef<Path>, predictions: &[AnswerPrediction]) -> Result<()> {
    let mut answers = Map::new();
    for AnswerPrediction { id, text, .. } in predictions {
        if answers.insert(id.clone(), Value::String(text.clone())).is_some() {
            return Err(Error::input("ids of predictions", "each once", format!("{id} again")));
        }
    }
    write_atomically(path, |file| Ok(serde_json::to_writer_pretty(file, &answers)?))
}
