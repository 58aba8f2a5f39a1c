//! Multiple choice: a prompt, its continuations, and which one is right.

mod c3;
mod race;
mod swag;

use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;
use serde_json::Value;

use super::examples::Examples;
use super::features::{Features, InputSequence, shortened, unlabelled};
use super::json::json_examples;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::text::AlbertTokenizer;
use crate::train::Targets;

pub use c3::read_c3;
pub use race::read_race;
pub use swag::read_swag;

/// How far from 1 the sum of a distribution may be that was written with a few decimals.
const SUM_TOLERANCE: f32 = 1e-3;

/// A prompt and its choices.
#[derive(Clone, Debug, PartialEq)]
pub struct MultipleChoiceExample {
    /// The first text of each sequence.
    pub prompt: String,
    /// The second texts, at least one.
    pub choices: Vec<String>,
    /// The label; absent in test sets.
    pub label: Option<ChoiceLabel>,
}

/// The label of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum ChoiceLabel {
    /// The number of the right choice, from 0.
    Index(usize),
    /// A probability for each choice.
    Distribution(Vec<f32>),
}

impl ChoiceLabel {
    /// Checks a label against the number of choices.
    fn check(&self, choices: usize) -> Result<(), String> {
        match self {
            Self::Index(index) if *index >= choices => {
                Err(format!("`label`: expected an index below {choices}, found {index}"))
            }
            Self::Distribution(values) => check_distribution(values, choices),
            Self::Index(_) => Ok(()),
        }
    }
}

fn check_distribution(values: &[f32], choices: usize) -> Result<(), String> {
    let sum: f32 = values.iter().sum();
    if values.len() == choices
        && values.iter().all(|&value| value >= 0.0)
        && (sum - 1.0).abs() <= SUM_TOLERANCE
    {
        return Ok(());
    }
    let found = format!("{} of sum {sum}", values.len());
    Err(format!("`label`: expected {choices} numbers ≥ 0 of sum 1, one per choice, found {found}"))
}

/// A line of [`read_choices`].
#[derive(Deserialize)]
struct Line {
    prompt: String,
    choices: Vec<String>,
    label: Option<Value>,
}

/// Reads JSON lines `{"prompt": …, "choices": […], "label": …}`, or a list of such objects: the label is the right choice's number from 0, or a list of
/// probabilities, one per choice; it may be absent or `null`. Other keys are ignored.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`], which name file and line.
pub fn read_choices(path: impl AsRef<Path>) -> Result<Examples<MultipleChoiceExample>> {
    json_examples(path.as_ref(), |line: Line| {
        let Line { prompt, choices, label } = line;
        if choices.is_empty() {
            return Err("`choices`: expected at least one, found none".to_owned());
        }
        let label = label.as_ref().map(label_of).transpose()?;
        if let Some(label) = &label {
            label.check(choices.len())?;
        }
        Ok(MultipleChoiceExample { prompt, choices, label })
    })
}

fn label_of(value: &Value) -> Result<ChoiceLabel, String> {
    let index = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => whole(value),
    };
    let numbers = value.as_array().and_then(|values| {
        values.iter().map(|value| value.as_f64().map(|number| number as f32)).collect()
    });
    index.map(ChoiceLabel::Index).or(numbers.map(ChoiceLabel::Distribution)).ok_or_else(|| {
        let found = shortened(&value.to_string());
        format!("`label`: expected an index or a list of numbers, found {found}")
    })
}

/// An index, which some tools write as `1.0`.
fn whole(value: &Value) -> Option<usize> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
    Some(number as usize)
}

/// A prompt with each of its choices, as ids.
#[derive(Clone, Debug, PartialEq)]
pub struct MultipleChoiceFeatures {
    /// Prompt and choice, one sequence per choice.
    inputs: Vec<InputSequence>,
    label: Option<ChoiceLabel>,
}

impl MultipleChoiceFeatures {
    /// Encodes the prompt with each choice, truncated as set in the tokenizer.
    ///
    /// # Errors
    /// As [`AlbertTokenizer::encode_choices`], and [`Error::Input`] if the label is not of these choices.
    pub fn new(tokenizer: &AlbertTokenizer, example: &MultipleChoiceExample) -> Result<Self> {
        let MultipleChoiceExample { prompt, choices, label } = example;
        if let Some(Err(reason)) = label.as_ref().map(|label| label.check(choices.len())) {
            return Err(Error::input("example", "a label that fits its choices", reason));
        }
        let encodings = tokenizer.encode_choices(prompt, choices)?;
        let inputs = encodings.into_iter().map(InputSequence::from).collect();
        Ok(Self { inputs, label: label.clone() })
    }

    /// The label, if there is one.
    pub fn label(&self) -> Option<&ChoiceLabel> {
        self.label.as_ref()
    }
}

impl Features for MultipleChoiceFeatures {
    type Labels = Targets;

    fn inputs(&self) -> &[InputSequence] {
        &self.inputs
    }

    /// Indices `[B]` if all labels are, otherwise distributions `[B, N]`.
    fn labels(features: &[&Self], _batch: &Batch) -> Result<Targets> {
        let labels = features
            .iter()
            .enumerate()
            .map(|(i, features)| features.label.as_ref().ok_or_else(|| unlabelled(i)));
        let labels: Vec<&ChoiceLabel> = labels.collect::<Result<_>>()?;
        let index = |label: &&ChoiceLabel| match label {
            ChoiceLabel::Index(index) => Some(*index as i64),
            ChoiceLabel::Distribution(_) => None,
        };
        if let Some(classes) = labels.iter().map(index).collect() {
            return Ok(Targets::Classes(classes));
        }
        let choices = features.first().map_or(0, |features| features.inputs.len());
        let mut values = Array2::zeros((labels.len(), choices));
        for (mut row, label) in values.outer_iter_mut().zip(labels) {
            match label {
                ChoiceLabel::Index(index) => row[*index] = 1.0,
                ChoiceLabel::Distribution(numbers) => {
                    row.iter_mut().zip(numbers).for_each(|(value, &number)| *value = number);
                }
            }
        }
        Ok(Targets::Values(values))
    }

    fn is_labelled(&self) -> bool {
        self.label.is_some()
    }

    fn label_text(&self) -> String {
        format!("{:?}", self.label)
    }
}
