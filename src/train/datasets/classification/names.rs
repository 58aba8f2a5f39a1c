//! The classes of examples.

use std::collections::BTreeSet;

use super::{ClassificationExample, RawLabel, number_in, truth_name};
use crate::error::{Error, Result};
use crate::train::datasets::labels::LabelNames;
use crate::train::datasets::loaded::LoadedExamples;

/// What natural language inference has for a label where annotators did not agree.
const NO_GOLD_LABEL: &str = "-";

/// What `datasets` has for a label in test sets.
const NO_CLASS: f64 = -1.0;

/// The classes of examples: texts and lists of texts in the order of [`LabelNames::collect`]; or `false` and `true`; or whole
/// numbers in their order (`1.0` is 1). So has transformers' `run_glue` them.
///
/// What stands for a missing label is no class: the number −1, and `-` beside `entailment`.
///
/// # Errors
/// [`Error::Format`] or [`Error::Input`], which names the file and the line, if a number is not whole, labels differ in kind
/// or are lists of numbers; [`Error::Input`] if there are none.
pub fn class_names(examples: &LoadedExamples<ClassificationExample>) -> Result<LabelNames> {
    let mut classes = Classes::default();
    for (i, example) in examples.iter().enumerate() {
        if let Some(label) = &example.label {
            classes.add(label).map_err(|error| examples.error(i, error))?;
        }
    }
    let Classes { mut texts, mut numbers, truths, .. } = classes;
    if texts.contains("entailment") {
        texts.remove(NO_GOLD_LABEL);
    }
    if numbers.is_empty() {
        return LabelNames::collect(texts.into_iter().chain(truths));
    }
    numbers.extend(texts.into_iter().filter_map(number_in));
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    LabelNames::new(numbers.iter().map(f64::to_string))
}

#[derive(Default)]
struct Classes<'a> {
    texts: BTreeSet<&'a str>,
    numbers: Vec<f64>,
    truths: BTreeSet<&'static str>,
    /// Whether a text is no number.
    has_words: bool,
    /// Whether a text is neither `true` nor `false`.
    has_others: bool,
}

impl<'a> Classes<'a> {
    fn add(&mut self, label: &'a RawLabel) -> Result<()> {
        let wrong = |expected: &str, found: String| Err(Error::input("label", expected, found));
        match label {
            RawLabel::Text(text) => self.add_text(text),
            RawLabel::Texts(texts) => texts.iter().for_each(|text| self.add_text(text)),
            RawLabel::Bool(truth) => drop(self.truths.insert(truth_name(*truth))),
            RawLabel::Number(NO_CLASS) => {}
            // Zero has two signs.
            RawLabel::Number(number) if number.fract() == 0.0 => self.numbers.push(number + 0.0),
            RawLabel::Number(number) => {
                let expected = "the name of a class, or a whole number for one";
                return wrong(expected, number.to_string());
            }
            RawLabel::Numbers(_) => return wrong("names of classes", "numbers".to_owned()),
        }
        let (numbers, truths) = (!self.numbers.is_empty(), !self.truths.is_empty());
        if numbers && (self.has_words || truths) || truths && self.has_others {
            return wrong("one of the kind that the others are of", format!("{label:?}"));
        }
        Ok(())
    }

    fn add_text(&mut self, text: &'a str) {
        self.has_words |= number_in(text).is_none();
        self.has_others |= ![truth_name(true), truth_name(false)].contains(&text);
        self.texts.insert(text);
    }
}
