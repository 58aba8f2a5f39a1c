//! Answers: exact match and F1, as the official scorer of SQuAD 2.0 computes them.

use std::collections::HashMap;

use super::chinese;
use crate::error::{Error, Result};

/// How an answer is compared with right ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerScorer {
    /// By words, without case, punctuation (of ASCII) and the articles `a`, `an`, `the`: SQuAD's scorer.
    #[default]
    Squad,
    /// By characters of Chinese and words of anything else, without case and punctuation, F1 of the longest common stretch: the scorer
    /// of CMRC 2018, also used for DRCD. That one splits what is not Chinese by NLTK, this one only at
    /// white space.
    Cmrc,
}

impl AnswerScorer {
    /// Whether the answer is one of these, 0 or 1. An empty list means "no answer".
    pub fn exact_match<T: AsRef<str>>(self, prediction: &str, answers: &[T]) -> f64 {
        self.best(answers, |answer| match self {
            Self::Squad => f64::from(normalized(prediction) == normalized(answer)),
            Self::Cmrc => chinese::exact_match(prediction, answer),
        })
    }

    /// The best F1 with one of these answers. An empty list means "no answer".
    pub fn f1<T: AsRef<str>>(self, prediction: &str, answers: &[T]) -> f64 {
        self.best(answers, |answer| match self {
            Self::Squad => word_f1(prediction, answer),
            Self::Cmrc => chinese::f1(prediction, answer),
        })
    }

    /// The best score among answers that are more than punctuation.
    fn best<T: AsRef<str>>(self, answers: &[T], score: impl Fn(&str) -> f64) -> f64 {
        let answers = answers.iter().map(|answer| answer.as_ref());
        let mut answers = answers.filter(|answer| self.says(answer)).peekable();
        match answers.peek() {
            None => score(""),
            Some(_) => answers.map(score).fold(0.0, f64::max),
        }
    }

    /// Whether there is anything to an answer: SQuAD's scorer leaves the others out.
    fn says(self, answer: &str) -> bool {
        match self {
            Self::Squad => !normalized(answer).is_empty(),
            Self::Cmrc => true,
        }
    }
}

/// Mean scores of the answers to questions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnswerScores {
    /// The fraction of exact matches.
    pub exact_match: f64,
    /// The mean F1.
    pub f1: f64,
    /// The number of questions.
    pub count: usize,
}

impl AnswerScores {
    /// Compares each prediction with its right answers.
    ///
    /// # Errors
    /// [`Error::Input`] if there are no predictions.
    pub fn new<'a, T: AsRef<str> + 'a>(
        scorer: AnswerScorer,
        predictions: impl IntoIterator<Item = (&'a str, &'a [T])>,
    ) -> Result<Self> {
        let mut sum = Self::default();
        for (prediction, answers) in predictions {
            sum.exact_match += scorer.exact_match(prediction, answers);
            sum.f1 += scorer.f1(prediction, answers);
            sum.count += 1;
        }
        if sum.count == 0 {
            return Err(Error::input("predictions", "at least one", "none"));
        }
        let count = sum.count as f64;
        Ok(Self { exact_match: sum.exact_match / count, f1: sum.f1 / count, ..sum })
    }
}

/// `normalize_answer`: small letters, without ASCII punctuation, articles, and more than one space.
fn normalized(answer: &str) -> String {
    let lower = answer.to_lowercase();
    let kept: String = lower.chars().filter(|char| !char.is_ascii_punctuation()).collect();
    let spaced = without_articles(&kept);
    spaced.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// White space as Python's `str.split` has it.
fn is_space(char: char) -> bool {
    char.is_whitespace() || ('\x1c'..='\x1f').contains(&char)
}

/// Puts a space in place of `\b(a|an|the)\b`: of each stretch of letters and digits that is an article.
fn without_articles(text: &str) -> String {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut kept = String::with_capacity(text.len());
    for stretch in text.chars().collect::<Vec<_>>().chunk_by(|&a, &b| is_word(a) == is_word(b)) {
        match stretch {
            ['a'] | ['a', 'n'] | ['t', 'h', 'e'] => kept.push(' '),
            _ => kept.extend(stretch),
        }
    }
    kept
}

/// F1 of the words that both have, each as often as both have it.
fn word_f1(prediction: &str, answer: &str) -> f64 {
    let (prediction, answer) = (normalized(prediction), normalized(answer));
    let predicted: Vec<&str> = prediction.split(' ').filter(|word| !word.is_empty()).collect();
    let right: Vec<&str> = answer.split(' ').filter(|word| !word.is_empty()).collect();
    if predicted.is_empty() || right.is_empty() {
        return f64::from(predicted == right);
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    right.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let is_common = |word: &&&str| match left.get_mut(**word) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    let common = predicted.iter().filter(is_common).count();
    f1_of(common, predicted.len(), right.len())
}

/// The harmonic mean of precision and recall; 0 if nothing is common.
pub(super) fn f1_of(common: usize, predicted: usize, right: usize) -> f64 {
    if common == 0 {
        return 0.0;
    }
    let (precision, recall) = (common as f64 / predicted as f64, common as f64 / right as f64);
    2.0 * precision * recall / (precision + recall)
}
