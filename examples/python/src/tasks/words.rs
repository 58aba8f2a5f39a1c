//! Words for masks.

use std::path::PathBuf;

use ndalbert::pipelines::{FillMask, MaskPrediction};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::{Loaded, Task, dictionaries, text};
use crate::failure::exception;
use crate::options::Options;

struct Words(FillMask);

pub fn fill_mask(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let load = options.load()?;
    let (top_k, targets) = (options.take("top_k")?, options.take::<Vec<String>>("targets")?);
    options.end()?;
    let build = || {
        let mut pipeline = FillMask::from_pretrained_with(model, &load)?;
        if let Some(count) = top_k {
            pipeline = pipeline.top_k(count);
        }
        match targets {
            Some(targets) => pipeline.targets(&targets),
            None => Ok(pipeline),
        }
    };
    Ok(Box::new(Words(py.detach(build).map_err(exception)?)))
}

impl Task for Words {
    type Pipeline = FillMask;

    fn pipeline(&self) -> &FillMask {
        &self.0
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<String> {
        text(item)
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        masks: Vec<Vec<MaskPrediction>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = item.py();
        let words = |words: Vec<MaskPrediction>| {
            dictionaries(py, words, |dictionary, word| {
                dictionary.set_item("score", word.score)?;
                dictionary.set_item("token", word.token)?;
                dictionary.set_item("token_str", word.token_str)?;
                dictionary.set_item("sequence", word.sequence)
            })
        };
        let masks: Vec<_> = masks.into_iter().map(words).collect::<PyResult<_>>()?;
        Ok(PyList::new(py, masks)?.into_any())
    }
}
