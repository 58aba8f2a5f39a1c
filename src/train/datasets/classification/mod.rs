//! Classification and regression of a text or a pair of texts.

mod glue;
mod names;
mod tsv;

use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;
use serde_json::Value;

use super::examples::Examples;
use super::features::{Features, InputSequence, shortened, unlabelled};
use super::json::json_examples;
use super::labels::LabelNames;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::text::AlbertTokenizer;
use crate::train::Targets;

pub use glue::GlueTask;
pub use names::class_names;
pub use tsv::{Column, TsvLayout, read_tsv};

/// One or two texts.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationExample {
    /// The text, or the first of two.
    pub text: String,
    /// The second text, where the task is about pairs.
    pub text_pair: Option<String>,
    /// Its label; absent in test sets.
    pub label: Option<RawLabel>,
}

/// A label in a file, interpreted by the [`ClassificationTask`].
#[derive(Clone, Debug, PartialEq)]
pub enum RawLabel {
    /// A JSON string, or a field of a table (which may be a number).
    Text(String),
    /// A JSON number.
    Number(f64),
    /// A JSON truth value.
    Bool(bool),
    /// A JSON list of strings.
    Texts(Vec<String>),
    /// A JSON list of numbers or truth values, which are 0 and 1.
    Numbers(Vec<f64>),
}

/// The meaning of labels, which determines the loss: `problem_type` of the model's config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassificationTask {
    /// Each example has one class. A label is the name of a class, as text or number, or else its id; if names are numbers, ids are not accepted, because a 1 would be ambiguous. `true` and `false` are classes of these names, or the second and the first of two.
    SingleLabel(LabelNames),
    /// Each example has any number of classes. A list of texts contains their names; a list of numbers contains 0 or 1 (or a probability) for each class, as in transformers.
    MultiLabel(LabelNames),
    /// Each example has a number, or a list of this many numbers.
    Regression(usize),
}

/// A line of [`read_classification`].
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "sentence1", alias = "sentence", alias = "premise")]
    text: String,
    #[serde(alias = "sentence2", alias = "hypothesis")]
    text_pair: Option<String>,
    label: Option<Value>,
    gold_label: Option<Value>,
}

/// Reads JSON lines `{"text": …, "text_pair": …, "label": …}`, or a list of such objects; `sentence`, `sentence1` or `premise`, and
/// `sentence2` or `hypothesis` are accepted, too. The label is a class's name, its id, a number, `true` or `false`, or a list; it may be
/// absent or `null`, as may the second text. In its place there may be SNLI's and MNLI's `gold_label`, of which `-` is none. Other keys are ignored.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`], which name file and line.
pub fn read_classification(path: impl AsRef<Path>) -> Result<Examples<ClassificationExample>> {
    json_examples(path.as_ref(), |line: Line| {
        let Line { text, text_pair, label, gold_label } = line;
        let label = label.or(gold_label.filter(|label| label != names::NO_GOLD_LABEL));
        let label = label.as_ref().map(raw_label).transpose()?;
        Ok(ClassificationExample { text, text_pair, label })
    })
}

fn raw_label(value: &Value) -> Result<RawLabel, String> {
    let number = |value: &Value| value.as_f64().or(value.as_bool().map(f64::from));
    let label = match value {
        Value::String(text) => Some(RawLabel::Text(text.clone())),
        Value::Number(number) => number.as_f64().map(RawLabel::Number),
        Value::Bool(truth) => Some(RawLabel::Bool(*truth)),
        Value::Array(values) => {
            let numbers = || values.iter().map(number).collect::<Option<_>>();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let texts = values.iter().map(text).collect::<Option<_>>();
            texts.map(RawLabel::Texts).or_else(|| numbers().map(RawLabel::Numbers))
        }
        _ => None,
    };
    label.ok_or_else(|| {
        let found = shortened(&value.to_string());
        format!("`label`: expected a string, a number or a list of either, found {found}")
    })
}

impl ClassificationTask {
    /// C, the number of the model's outputs.
    pub fn num_labels(&self) -> usize {
        match self {
            Self::SingleLabel(names) | Self::MultiLabel(names) => names.len(),
            Self::Regression(outputs) => *outputs,
        }
    }

    /// What the model's outputs are compared with.
    fn target(&self, label: &RawLabel) -> Result<Target> {
        let wrong =
            |expected: &str| Err(Error::input("label", expected, shortened(&format!("{label:?}"))));
        match (self, label) {
            (Self::SingleLabel(names), RawLabel::Text(text)) => class(names, text),
            (Self::SingleLabel(names), RawLabel::Number(number)) => numbered(names, *number),
            (Self::SingleLabel(names), RawLabel::Bool(truth)) => truth_class(names, *truth),
            (Self::SingleLabel(_), _) => wrong("one class"),
            (Self::MultiLabel(names), RawLabel::Texts(texts)) => marked(names, texts),
            (Self::MultiLabel(names), RawLabel::Numbers(numbers)) => {
                match numbers.iter().all(|number| (0.0..=1.0).contains(number)) {
                    true => values(numbers, names.len()),
                    false => wrong("numbers from 0 to 1"),
                }
            }
            (Self::MultiLabel(_), _) => wrong("a list"),
            (Self::Regression(outputs), RawLabel::Number(number)) => values(&[*number], *outputs),
            (Self::Regression(outputs), RawLabel::Numbers(numbers)) => values(numbers, *outputs),
            (Self::Regression(outputs), RawLabel::Text(text)) => match text.trim().parse() {
                Ok(number) => values(&[number], *outputs),
                Err(_) => wrong("a number"),
            },
            (Self::Regression(_), RawLabel::Texts(_) | RawLabel::Bool(_)) => wrong("numbers"),
        }
    }
}

/// A class by its name or, if none has that, its id.
fn class(names: &LabelNames, text: &str) -> Result<Target> {
    match (names.find(text), text.trim().parse()) {
        (Some(id), _) => Ok(Target::Class(id as i64)),
        (None, Ok(number)) => numbered(names, number),
        (None, Err(_)) => Ok(Target::Class(names.id(text)? as i64)),
    }
}

/// A class that has the number for a name or, if no name is a number, for an id.
fn numbered(names: &LabelNames, number: f64) -> Result<Target> {
    // Zero has two signs.
    let name = (number + 0.0).to_string();
    let id = match names.names().iter().any(|name| number_in(name).is_some()) {
        true => names.id(&name)?,
        false => names.check(number)?,
    };
    Ok(Target::Class(id as i64))
}

fn truth_class(names: &LabelNames, truth: bool) -> Result<Target> {
    let name = truth_name(truth);
    match names.names().iter().position(|known| known.eq_ignore_ascii_case(name)) {
        Some(id) => Ok(Target::Class(id as i64)),
        None if names.len() == 2 => numbered(names, f64::from(truth)),
        None => Ok(Target::Class(names.id(name)? as i64)),
    }
}

/// What a class is called that is a truth value.
fn truth_name(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// The number that a text is, if it is one.
fn number_in(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// 1 for each class that is named, 0 for the others.
fn marked(names: &LabelNames, texts: &[String]) -> Result<Target> {
    let mut values = vec![0.0; names.len()];
    for text in texts {
        values[names.id(text)?] = 1.0;
    }
    Ok(Target::Values(values))
}

fn values(numbers: &[f64], outputs: usize) -> Result<Target> {
    let values: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    if values.len() != outputs || !values.iter().all(|value| value.is_finite()) {
        let expected = format!("{outputs} finite numbers");
        return Err(Error::input("label", expected, shortened(&format!("{numbers:?}"))));
    }
    Ok(Target::Values(values))
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Class(i64),
    Values(Vec<f32>),
}

/// A text or pair, as ids.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationFeatures {
    input: InputSequence,
    target: Option<Target>,
}

impl ClassificationFeatures {
    /// Encodes text or pair, truncated as set in the tokenizer.
    ///
    /// # Errors
    /// As [`AlbertTokenizer::encode`], and [`Error::Input`] if the label is not one of the task's.
    pub fn new(
        tokenizer: &AlbertTokenizer,
        task: &ClassificationTask,
        example: &ClassificationExample,
    ) -> Result<Self> {
        let encoding = match &example.text_pair {
            Some(pair) => tokenizer.encode_pair(&example.text, pair)?,
            None => tokenizer.encode(&example.text)?,
        };
        let target = example.label.as_ref().map(|label| task.target(label)).transpose()?;
        Ok(Self { input: encoding.into(), target })
    }

    /// The id of the example's class, if it has one (and not values).
    pub fn class(&self) -> Option<i64> {
        match self.target {
            Some(Target::Class(class)) => Some(class),
            _ => None,
        }
    }

    /// The example's values, one for each output of the model, if it has these (and not a class).
    pub fn values(&self) -> Option<&[f32]> {
        match &self.target {
            Some(Target::Values(values)) => Some(values),
            _ => None,
        }
    }
}

impl Features for ClassificationFeatures {
    type Labels = Targets;

    fn inputs(&self) -> &[InputSequence] {
        std::slice::from_ref(&self.input)
    }

    /// Classes `[B]` or values `[B, C]`.
    fn labels(features: &[&Self], _batch: &Batch) -> Result<Targets> {
        if let Some(missing) = features.iter().position(|features| features.target.is_none()) {
            return Err(unlabelled(missing));
        }
        if let Some(classes) = features.iter().map(|features| features.class()).collect() {
            return Ok(Targets::Classes(classes));
        }
        let width = features.iter().find_map(|features| features.values()).map_or(0, <[f32]>::len);
        let rows = features.iter().map(|features| {
            features.values().filter(|values| values.len() == width).ok_or_else(|| {
                let expected = format!("{width} values, as others have");
                Error::input("labels of a batch", expected, format!("{:?}", features.target))
            })
        });
        let rows: Vec<&[f32]> = rows.collect::<Result<_>>()?;
        Array2::from_shape_vec((rows.len(), width), rows.concat())
            .map(Targets::Values)
            .map_err(|error| Error::input("labels", "[B, C]", error.to_string()))
    }

    fn is_labelled(&self) -> bool {
        self.target.is_some()
    }

    fn label_text(&self) -> String {
        format!("{:?}", self.target)
    }
}
