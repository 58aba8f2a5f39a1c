//! The crate's errors as Python's exceptions.

use std::io;

use ndalbert::Error;
use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

/// An exception with the crate's message: a subclass of `OSError` for what the system says of files
/// (`FileNotFoundError`, …), else `ValueError`.
pub fn exception(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Io { error, .. } => io::Error::new(error.kind(), message).into(),
        _ => PyValueError::new_err(message),
    }
}
