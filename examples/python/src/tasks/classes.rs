//! Classes of texts: a model's own, or any.

use std::path::PathBuf;

use ndalbert::pipelines::{
    Classification, Function, TextClassification, TextInput, ZeroShotClassification, ZeroShotInput,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::{Loaded, Task, dictionaries, field, optional, pair, text as text_of};
use crate::failure::exception;
use crate::options::{Options, labels_of};

const FUNCTIONS: [(&str, Function); 3] =
    [("softmax", Function::Softmax), ("sigmoid", Function::Sigmoid), ("none", Function::None)];

struct Text {
    pipeline: TextClassification,
    leaves: bool,
}

pub fn text(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let (load, exit) = (options.load()?, options.exit()?);
    let top_k = options.take::<Option<usize>>("top_k")?;
    let function = options.choice("function_to_apply", &FUNCTIONS)?;
    options.end()?;
    let leaves = exit.is_some();
    let build = || {
        let mut pipeline = TextClassification::from_pretrained_with(model, &load)?;
        if let Some(policy) = exit {
            pipeline = pipeline.exit(policy)?;
        }
        if let Some(top_k) = top_k {
            pipeline = pipeline.top_k(top_k);
        }
        Ok(match function {
            Some(function) => pipeline.function(function),
            None => pipeline,
        })
    };
    let pipeline = py.detach(build).map_err(exception)?;
    Ok(Box::new(Text { pipeline, leaves }))
}

impl Task for Text {
    type Pipeline = TextClassification;

    fn pipeline(&self) -> &TextClassification {
        &self.pipeline
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<TextInput> {
        if item.is_instance_of::<PyString>() {
            return Ok(text_of(item)?.into());
        }
        if let Ok(dictionary) = item.cast::<PyDict>()
            && optional(dictionary, "text_pair")?.is_none()
        {
            return Ok(text_of(item)?.into());
        }
        Ok(pair(item, ["text", "text_pair"])?.into())
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        classes: Vec<Classification>,
    ) -> PyResult<Bound<'py, PyAny>> {
        dictionaries(item.py(), classes, |dictionary, class| {
            dictionary.set_item("label", class.label)?;
            dictionary.set_item("score", class.score)?;
            if self.leaves { dictionary.set_item("layers", class.layers) } else { Ok(()) }
        })
    }
}

struct ZeroShot {
    pipeline: ZeroShotClassification,
    leaves: bool,
}

pub fn zero_shot(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let (load, exit) = (options.load()?, options.exit()?);
    let (labels, template) = (options.labels()?, options.take::<String>("hypothesis_template")?);
    let multi_label = options.take::<bool>("multi_label")?.unwrap_or_default();
    let entailment = options.take::<usize>("entailment_id")?;
    options.end()?;
    let leaves = exit.is_some();
    let build = || {
        let mut pipeline = ZeroShotClassification::from_pretrained_with(model, &load)?
            .labels(labels)
            .multi_label(multi_label);
        if let Some(policy) = exit {
            pipeline = pipeline.exit(policy)?;
        }
        if let Some(template) = template {
            pipeline = pipeline.hypothesis_template(template)?;
        }
        match entailment {
            Some(class) => pipeline.entailment_id(class),
            None => Ok(pipeline),
        }
    };
    let pipeline = py.detach(build).map_err(exception)?;
    Ok(Box::new(ZeroShot { pipeline, leaves }))
}

impl Task for ZeroShot {
    type Pipeline = ZeroShotClassification;

    fn pipeline(&self) -> &ZeroShotClassification {
        &self.pipeline
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<ZeroShotInput> {
        if item.is_instance_of::<PyString>() {
            return Ok(text_of(item)?.into());
        }
        let labels = optional(item, "candidate_labels")?;
        let labels = labels.map_or(Ok(Vec::new()), |labels| labels_of(&labels))?;
        Ok(ZeroShotInput { text: field(item, "sequence")?, labels })
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        classes: Vec<Classification>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let dictionary = PyDict::new(item.py());
        let text =
            if item.is_instance_of::<PyString>() { item.clone() } else { field(item, "sequence")? };
        dictionary.set_item("sequence", text)?;

        let scores: Vec<f32> = classes.iter().map(|class| class.score).collect();
        let layers: Vec<usize> = classes.iter().map(|class| class.layers).collect();
        let labels: Vec<String> = classes.into_iter().map(|class| class.label).collect();
        dictionary.set_item("labels", labels)?;
        dictionary.set_item("scores", scores)?;
        if self.leaves {
            dictionary.set_item("layers", layers)?;
        }
        Ok(dictionary.into_any())
    }
}
