//! The pipelines by the names of their tasks.

mod classes;
mod embedding;
mod pairs;
mod spans;
mod words;

use std::path::PathBuf;

use ndalbert::pipelines::Pipeline;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::failure::exception;
use crate::options::Options;

/// After so many outputs it is asked whether Ctrl-C was pressed.
const SIGNALS: usize = 256;

/// A pipeline with Python's inputs and outputs.
pub trait Task: Send + Sync {
    type Pipeline: Pipeline<Output: Send>;

    fn pipeline(&self) -> &Self::Pipeline;

    /// What the pipeline reads of a Python object.
    ///
    /// # Errors
    /// If it is something else.
    fn input(&self, item: &Bound<'_, PyAny>) -> PyResult<<Self::Pipeline as Pipeline>::Input>;

    /// What Python sees of an output; `item` is its input.
    fn output<'py>(
        &self,
        item: &Bound<'py, PyAny>,
        output: <Self::Pipeline as Pipeline>::Output,
    ) -> PyResult<Bound<'py, PyAny>>;

    /// What Python sees of all outputs.
    fn outputs<'py>(
        &self,
        items: &Bound<'py, PyList>,
        outputs: Vec<<Self::Pipeline as Pipeline>::Output>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let pairs = items.iter().zip(outputs);
        let outputs: PyResult<Vec<_>> =
            pairs.map(|(item, output)| self.output(&item, output)).collect();
        Ok(PyList::new(items.py(), outputs?)?.into_any())
    }
}

/// A task of any kind.
pub trait Runner: Send + Sync {
    fn run<'py>(&self, items: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>>;
}

impl<T: Task> Runner for T {
    fn run<'py>(&self, items: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
        let py = items.py();
        let input = |(place, item): (usize, Bound<'py, PyAny>)| {
            self.input(&item).map_err(|error| of_item(py, place, error))
        };
        let inputs: Vec<_> = items.iter().enumerate().map(input).collect::<PyResult<_>>()?;
        // Other Python threads run meanwhile.
        let outputs = py.detach(|| {
            let mut outputs = Vec::with_capacity(inputs.len());
            for output in self.pipeline().stream(inputs) {
                if outputs.len() % SIGNALS == SIGNALS - 1 {
                    Python::attach(|py| py.check_signals())?;
                }
                outputs.push(output.map_err(exception)?);
            }
            PyResult::Ok(outputs)
        })?;
        self.outputs(items, outputs)
    }
}

/// The error of one input of many, with its place.
fn of_item(py: Python<'_>, place: usize, error: PyErr) -> PyErr {
    PyValueError::new_err(format!("input {place}: {}", error.value(py)))
}

/// A loader's answer.
type Loaded = PyResult<Box<dyn Runner>>;

/// Loads the pipeline of a task.
///
/// # Errors
/// `ValueError` for a task that there is not, `TypeError` for an option that it does not have, and
/// what loading the checkpoint says.
pub fn load(py: Python<'_>, task: &str, model: PathBuf, options: Bound<'_, PyDict>) -> Loaded {
    let options = Options::new(task, &options)?;
    match task {
        "text-classification" | "sentiment-analysis" => classes::text(py, model, options),
        "zero-shot-classification" => classes::zero_shot(py, model, options),
        "token-classification" | "ner" => spans::tokens(py, model, options),
        "question-answering" => spans::questions(py, model, options),
        "fill-mask" => words::fill_mask(py, model, options),
        "feature-extraction" | "sentence-embedding" => embedding::embedding(py, model, options),
        "multiple-choice" => pairs::choices(py, model, options),
        "sentence-order" => pairs::order(py, model, options),
        _ => Err(PyValueError::new_err(format!(
            "task: expected text-classification, zero-shot-classification, token-classification, \
             question-answering, fill-mask, feature-extraction, multiple-choice or sentence-order, \
             found {task:?}"
        ))),
    }
}

/// The text of an input that is one, or a dictionary with one under `text`.
fn text(item: &Bound<'_, PyAny>) -> PyResult<String> {
    match item.cast::<PyString>() {
        Ok(text) => Ok(text.to_cow()?.into_owned()),
        Err(_) => field(item, "text"),
    }
}

/// The strings of an input that consists of two: a tuple, or a dictionary that has them under these
/// names.
fn pair(item: &Bound<'_, PyAny>, names: [&str; 2]) -> PyResult<(String, String)> {
    match item.cast::<PyTuple>() {
        Ok(pair) => pair.extract(),
        Err(_) => Ok((field(item, names[0])?, field(item, names[1])?)),
    }
}

/// What a dictionary has under a name.
fn field<'py, T>(item: &Bound<'py, PyAny>, name: &str) -> PyResult<T>
where
    T: pyo3::conversion::FromPyObjectOwned<'py>,
{
    match optional(item, name)? {
        Some(value) => value.extract().map_err(|error: T::Error| {
            let error: PyErr = error.into();
            PyValueError::new_err(format!("`{name}`: {}", error.value(item.py())))
        }),
        None => Err(PyValueError::new_err(format!("expected `{name}`, found none"))),
    }
}

/// What a dictionary has under a name, if it is there and not `None`.
fn optional<'py>(item: &Bound<'py, PyAny>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(dictionary) = item.cast::<PyDict>() else {
        let found = item.get_type().name()?;
        let expected = format!("expected a string or a dictionary with `{name}`, found {found}");
        return Err(PyValueError::new_err(expected));
    };
    Ok(dictionary.get_item(name)?.filter(|value| !value.is_none()))
}

/// A list with a dictionary of each value.
fn dictionaries<'py, T>(
    py: Python<'py>,
    values: impl IntoIterator<Item = T>,
    fill: impl Fn(&Bound<'py, PyDict>, T) -> PyResult<()>,
) -> PyResult<Bound<'py, PyAny>> {
    let list = PyList::empty(py);
    for value in values {
        let dictionary = PyDict::new(py);
        fill(&dictionary, value)?;
        list.append(dictionary)?;
    }
    Ok(list.into_any())
}
