//! What goes with what: choices for a prompt, and the order of two sentences.

use std::path::PathBuf;

use ndalbert::pipelines::{
    MultipleChoice, MultipleChoiceInput, RankedChoice, SentenceOrder, SentenceOrderPrediction,
    SentencePair,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::{Loaded, Task, dictionaries, field, pair};
use crate::failure::exception;
use crate::options::Options;

struct Choices {
    pipeline: MultipleChoice,
    leaves: bool,
}

pub fn choices(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let (load, exit) = (options.load()?, options.exit()?);
    options.end()?;
    let leaves = exit.is_some();
    let build = || {
        let pipeline = MultipleChoice::from_pretrained_with(model, &load)?;
        if let Some(policy) = exit { pipeline.exit(policy) } else { Ok(pipeline) }
    };
    let pipeline = py.detach(build).map_err(exception)?;
    Ok(Box::new(Choices { pipeline, leaves }))
}

impl Task for Choices {
    type Pipeline = MultipleChoice;

    fn pipeline(&self) -> &MultipleChoice {
        &self.pipeline
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<MultipleChoiceInput> {
        let (prompt, choices) = match item.cast::<PyTuple>() {
            Ok(pair) => pair.extract::<(String, Vec<String>)>()?,
            Err(_) => (field(item, "prompt")?, field(item, "choices")?),
        };
        Ok(MultipleChoiceInput { prompt, choices })
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        choices: Vec<RankedChoice>,
    ) -> PyResult<Bound<'py, PyAny>> {
        dictionaries(item.py(), choices, |dictionary, choice| {
            dictionary.set_item("index", choice.index)?;
            dictionary.set_item("choice", choice.choice)?;
            dictionary.set_item("score", choice.score)?;
            dictionary.set_item("logit", choice.logit)?;
            if self.leaves { dictionary.set_item("layers", choice.layers) } else { Ok(()) }
        })
    }
}

struct Order {
    pipeline: SentenceOrder,
    leaves: bool,
}

pub fn order(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let (load, exit) = (options.load()?, options.exit()?);
    options.end()?;
    let leaves = exit.is_some();
    let build = || {
        let pipeline = SentenceOrder::from_pretrained_with(model, &load)?;
        if let Some(policy) = exit { pipeline.exit(policy) } else { Ok(pipeline) }
    };
    let pipeline = py.detach(build).map_err(exception)?;
    Ok(Box::new(Order { pipeline, leaves }))
}

impl Task for Order {
    type Pipeline = SentenceOrder;

    fn pipeline(&self) -> &SentenceOrder {
        &self.pipeline
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<SentencePair> {
        Ok(pair(item, ["first", "second"])?.into())
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        prediction: SentenceOrderPrediction,
    ) -> PyResult<Bound<'py, PyAny>> {
        let dictionary = PyDict::new(item.py());
        dictionary.set_item("in_order", prediction.in_order)?;
        dictionary.set_item("logits", prediction.logits.to_vec())?;
        if self.leaves {
            dictionary.set_item("layers", prediction.layers)?;
        }
        Ok(dictionary.into_any())
    }
}
