//! A vector for each text.

use std::path::PathBuf;

use ndalbert::ndarray::{Array1, Array2, Axis};
use ndalbert::pipelines::{Pooling, SentenceEmbedding};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::{Loaded, Task, text};
use crate::failure::exception;
use crate::options::Options;

const POOLINGS: [(&str, Pooling); 6] = [
    ("cls", Pooling::Cls),
    ("max", Pooling::Max),
    ("mean", Pooling::Mean),
    ("mean_sqrt_len_tokens", Pooling::MeanSqrtLength),
    ("weightedmean", Pooling::WeightedMean),
    ("lasttoken", Pooling::LastToken),
];

struct Embedding(SentenceEmbedding);

pub fn embedding(py: Python<'_>, model: PathBuf, options: Options<'_>) -> Loaded {
    let load = options.load()?;
    let (pooling, normalize) = (options.choice("pooling", &POOLINGS)?, options.take("normalize")?);
    let count = options.take::<usize>("truncate_dim")?;
    let prompt = options.take::<String>("prompt")?;
    let prompt_name = options.take::<String>("prompt_name")?;
    options.end()?;
    let build = || {
        let mut pipeline = SentenceEmbedding::from_pretrained_with(model, &load)?;
        if let Some(pooling) = pooling {
            pipeline = pipeline.pooling(pooling);
        }
        if let Some(normalize) = normalize {
            pipeline = pipeline.normalize(normalize);
        }
        if let Some(count) = count {
            pipeline = pipeline.truncate_dim(count)?;
        }
        if let Some(prompt) = prompt {
            pipeline = pipeline.prompt(prompt);
        }
        match prompt_name {
            Some(name) => pipeline.prompt_name(&name),
            None => Ok(pipeline),
        }
    };
    Ok(Box::new(Embedding(py.detach(build).map_err(exception)?)))
}

impl Task for Embedding {
    type Pipeline = SentenceEmbedding;

    fn pipeline(&self) -> &SentenceEmbedding {
        &self.0
    }

    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<String> {
        text(item)
    }

    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        vector: Array1<f32>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Ok(vector.into_pyarray(item.py()).into_any())
    }

    /// One matrix `[N, H]`, whose memory NumPy takes over.
    fn outputs<'py>(
        &self,
        items: &Bound<'py, PyList>,
        vectors: Vec<Array1<f32>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let width = vectors.first().map_or(0, Array1::len);
        let mut matrix = Array2::zeros((vectors.len(), width));
        for (mut row, vector) in matrix.axis_iter_mut(Axis(0)).zip(&vectors) {
            row.assign(vector);
        }
        Ok(matrix.into_pyarray(items.py()).into_any())
    }
}
