//! Keyword arguments of `pipeline(…)`.

use std::sync::Arc;

use ndalbert::exits::{self, ExitPolicy};
use ndalbert::pipelines::PipelineOptions;
use ndalbert::{Error, Precision};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::failure::exception;

/// Keyword arguments, each of which is taken once.
pub struct Options<'py> {
    task: String,
    left: Bound<'py, PyDict>,
}

impl<'py> Options<'py> {
    /// Takes a copy of the dictionary.
    pub fn new(task: &str, options: &Bound<'py, PyDict>) -> PyResult<Self> {
        Ok(Self { task: task.to_owned(), left: options.copy()? })
    }

    /// The value of an option, if it was given.
    ///
    /// # Errors
    /// `TypeError`, which names the option, if it is of another type.
    pub fn take<T: FromPyObjectOwned<'py>>(&self, name: &str) -> PyResult<Option<T>> {
        let Some(value) = self.left.get_item(name)? else { return Ok(None) };
        self.left.del_item(name)?;
        match value.extract() {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let error: PyErr = error.into();
                Err(PyTypeError::new_err(format!("{name}: {}", error.value(value.py()))))
            }
        }
    }

    /// The value of an option that is one of some names.
    pub fn choice<T: Copy>(&self, name: &str, values: &[(&str, T)]) -> PyResult<Option<T>> {
        let Some(found) = self.take::<String>(name)? else { return Ok(None) };
        match values.iter().find(|(value, _)| *value == found) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<&str> = values.iter().map(|(value, _)| *value).collect();
                let expected = format!("one of {}", names.join(", "));
                Err(exception(Error::Input { what: name.to_owned(), expected, found }))
            }
        }
    }

    /// The labels of `candidate_labels`: a list, or a string with commas.
    pub fn labels(&self) -> PyResult<Vec<String>> {
        self.take("candidate_labels")?.map_or(Ok(Vec::new()), |labels| labels_of(&labels))
    }

    /// The policy by which inputs leave early.
    pub fn exit(&self) -> PyResult<Option<Arc<dyn ExitPolicy>>> {
        let text = self.take::<String>("exit")?;
        text.map(|text| exits::parse(&text).map_err(exception)).transpose()
    }

    /// What all pipelines are loaded with.
    pub fn load(&self) -> PyResult<PipelineOptions> {
        let mut options = PipelineOptions::new();
        if let Some(name) = self.take::<String>("precision")? {
            options = options.precision(name.parse::<Precision>().map_err(exception)?);
        }
        if let Some(tokens) = self.take("max_length")? {
            options = options.max_length(tokens);
        }
        if let Some(tokens) = self.take("tokens_per_batch")? {
            options = options.tokens_per_batch(tokens);
        }
        Ok(options)
    }

    /// # Errors
    /// `TypeError` if an option was not taken.
    pub fn end(self) -> PyResult<()> {
        match self.left.keys().iter().next() {
            None => Ok(()),
            Some(name) => {
                let task = &self.task;
                Err(PyTypeError::new_err(format!("{task}: unexpected option `{name}`")))
            }
        }
    }
}

/// Labels: a list of strings, or one string in which they are separated by commas.
pub fn labels_of(labels: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    match labels.cast::<PyString>() {
        Ok(text) => Ok(ndalbert::pipelines::ZeroShotClassification::split_labels(&text.to_cow()?)),
        Err(_) => labels.extract(),
    }
}
