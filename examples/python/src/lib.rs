//! ndalbert's pipelines for Python: the native half of the package `ndalbert`.
//!
//! It turns lists of Python objects into lists of Python objects. What a caller may pass otherwise
//! (a single text, an Arrow array) is converted in `python/ndalbert/`.

mod failure;
mod options;
mod tasks;

use pyo3::prelude::*;

#[pymodule(name = "_native")]
mod native {
    use std::path::PathBuf;

    use pyo3::exceptions::PyRuntimeError;
    use pyo3::prelude::*;
    use pyo3::types::{PyDict, PyList};
    use rayon::ThreadPoolBuilder;

    use crate::failure::exception;
    use crate::tasks::{self, Runner};

    /// A loaded pipeline. Immutable, and so safe to call from several threads.
    #[pyclass(frozen, module = "ndalbert._native")]
    struct Pipeline(Box<dyn Runner>);

    #[pymethods]
    impl Pipeline {
        #[new]
        fn new(
            py: Python<'_>,
            task: &str,
            model: PathBuf,
            options: Bound<'_, PyDict>,
        ) -> PyResult<Self> {
            tasks::load(py, task, model, options).map(Self)
        }

        /// The answers to many inputs, in order: a list, or for embeddings an array of NumPy.
        fn run<'py>(&self, inputs: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
            self.0.run(inputs)
        }
    }

    /// The instruction set that the pipelines use.
    #[pyfunction]
    fn instruction_set() -> PyResult<&'static str> {
        ndalbert::instruction_set().map_err(exception)
    }

    /// Sets the number of threads that compute.
    #[pyfunction]
    fn set_num_threads(count: usize) -> PyResult<()> {
        let built = ThreadPoolBuilder::new().num_threads(count).build_global();
        built.map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }
}
