//! Stretches of a text: entities, and answers to a question.

use std::path::PathBuf;

use ndalbert::pipelines::{
    Aggregation, Answer, Entity, QuestionAnswering, QuestionAnsweringInput, TokenClassification,
};
use pyo3::prelude::*;

use super::{Loaded, Task, dictionaries, pair, text};
use crate::failure::exception;
use crate::options::Options;

const AGGREGATIONS: [(&str, Aggregation); 5] = [
    ("none", Aggregation::None),
    ("simple", Aggregation::Simple),
    ("first", Aggregation::First),
    ("average", Aggregation::Average),
    ("max", Aggregation::Max),
];

struct Tokens(TokenClassification);

pub fn tokens(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let load = options.load()?;
    let aggregation = options.choice("aggregation_strategy", &AGGREGATIONS)?.unwrap_or_default();
    let ignored = options.take::<Vec<String>>("ignore_labels")?;
    let stride = options.take::<usize>("stride")?;
    options.end()?;
    let build = || TokenClassification::from_pretrained_with(model, &load);
    let pipeline = py.detach(build).map_err(exception)?.aggregation(aggregation).stride(stride);
    Ok(Box::new(Tokens(match ignored {
        Some(labels) => pipeline.ignore_labels(labels),
        None => pipeline,
    })))
}

impl Task for Tokens {
    type Pipeline = TokenClassification;

    fn pipeline(&self) -> &TokenClassification {
        &self.0
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<String> {
        text(item)
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        entities: Vec<Entity>,
    ) -> PyResult<Bound<'py, PyAny>> {
        dictionaries(item.py(), entities, |dictionary, entity| {
            let label = if entity.index.is_some() { "entity" } else { "entity_group" };
            dictionary.set_item(label, entity.label)?;
            dictionary.set_item("score", entity.score)?;
            if let Some(index) = entity.index {
                dictionary.set_item("index", index)?;
            }
            dictionary.set_item("word", entity.word)?;
            dictionary.set_item("start", entity.start)?;
            dictionary.set_item("end", entity.end)
        })
    }
}

struct Questions(QuestionAnswering);

pub fn questions(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let load = options.load()?;
    let (top_k, longest) = (options.take("top_k")?, options.take("max_answer_len")?);
    let impossible = options.take("handle_impossible_answer")?;
    let align = options.take("align_to_words")?;
    let (length, stride) = (options.take("max_seq_len")?, options.take::<usize>("doc_stride")?);
    options.end()?;
    let build = || QuestionAnswering::from_pretrained_with(model, &load);
    let mut pipeline = py.detach(build).map_err(exception)?.doc_stride(stride);
    if let Some(count) = top_k {
        pipeline = pipeline.top_k(count);
    }
    if let Some(tokens) = longest {
        pipeline = pipeline.max_answer_len(tokens);
    }
    if let Some(handle) = impossible {
        pipeline = pipeline.handle_impossible_answer(handle);
    }
    if let Some(align) = align {
        pipeline = pipeline.align_to_words(align);
    }
    if let Some(tokens) = length {
        pipeline = pipeline.max_seq_len(tokens);
    }
    Ok(Box::new(Questions(pipeline)))
}

impl Task for Questions {
    type Pipeline = QuestionAnswering;

    fn pipeline(&self) -> &QuestionAnswering {
        &self.0
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<QuestionAnsweringInput> {
        Ok(pair(item, ["question", "context"])?.into())
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        answers: Vec<Answer>,
    ) -> PyResult<Bound<'py, PyAny>> {
        dictionaries(item.py(), answers, |dictionary, answer| {
            dictionary.set_item("score", answer.score)?;
            dictionary.set_item("start", answer.start)?;
            dictionary.set_item("end", answer.end)?;
            dictionary.set_item("answer", answer.answer)
        })
    }
}
