//! The classes of examples.

use std::collections::BTreeSet;

use super::{ClassificationExample, RawLabel, truth_name};
use crate::error::{Error, Result};
use crate::train::datasets::labels::LabelNames;
use crate::train::datasets::loaded::LoadedExamples;

/// What natural language inference has for a label where annotators did not agree.
pub(super) const NO_GOLD_LABEL: &str = "-";

/// The classes of examples, in the order of [`LabelNames::collect`]: the texts that are labels, or
/// `false` and `true`. A `-` beside `entailment` is no class: SNLI and MNLI have it where
/// annotators did not agree.
///
/// # Errors
/// [`Error::Format`] or [`Error::Input`], which names the file and the line, if a label is a
/// number, which does not say how many classes there are, or of another kind than those before;
/// [`Error::Input`] if there are none.
pub fn class_names(examples: &LoadedExamples<ClassificationExample>) -> Result<LabelNames> {
    let (mut texts, mut truths) = (BTreeSet::new(), BTreeSet::new());
    for (i, example) in examples.iter().enumerate() {
        match &example.label {
            None => {}
            Some(RawLabel::Text(text)) => drop(texts.insert(text.as_str())),
            Some(RawLabel::Texts(list)) => texts.extend(list.iter().map(String::as_str)),
            Some(RawLabel::Bool(truth)) => drop(truths.insert(truth_name(*truth))),
            Some(label @ (RawLabel::Number(_) | RawLabel::Numbers(_))) => {
                let error = Error::input("label", "the name of a class", format!("{label:?}"));
                return Err(examples.error(i, error));
            }
        }
        if !texts.is_empty() && !truths.is_empty() {
            let found = format!("{:?}", example.label);
            let error = Error::input("label", "texts, or true and false, not both", found);
            return Err(examples.error(i, error));
        }
    }
    if texts.contains("entailment") {
        texts.remove(NO_GOLD_LABEL);
    }
    LabelNames::collect(texts.into_iter().chain(truths))
}
