//! What a reader gives.

use rayon::prelude::*;

use crate::error::Result;

/// How many examples are turned into features at a time.
const CHUNK: usize = 1024;

/// The examples of a file, read as they are asked for where its format allows (all but whole JSON documents).
///
/// After an error there is nothing more.
pub struct Examples<T> {
    next: Box<dyn FnMut() -> Result<Option<T>> + Send>,
    is_over: bool,
}

impl<T> Examples<T> {
    /// From what gives the next example, or nothing after the last.
    pub(super) fn from_reader(next: impl FnMut() -> Result<Option<T>> + Send + 'static) -> Self {
        Self { next: Box::new(next), is_over: false }
    }

    /// Turns each example into something else, usually features, in parallel and in order. The texts are given up on the
    /// way: no more than about a thousand of them are in memory at a time.
    ///
    /// # Errors
    /// The first of reading or of `encode`.
    pub fn encode<F: Send>(mut self, encode: impl Fn(&T) -> Result<F> + Sync) -> Result<Vec<F>>
    where
        T: Send + Sync,
    {
        let mut encoded = Vec::new();
        loop {
            let chunk: Vec<T> = self.by_ref().take(CHUNK).collect::<Result<_>>()?;
            if chunk.is_empty() {
                return Ok(encoded);
            }
            let features: Vec<F> = chunk.par_iter().map(&encode).collect::<Result<_>>()?;
            encoded.extend(features);
        }
    }
}

impl<T> Iterator for Examples<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.is_over {
            return None;
        }
        let example = (self.next)().transpose();
        self.is_over = !matches!(example, Some(Ok(_)));
        example
    }
}

impl<T> std::fmt::Debug for Examples<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examples").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Those that a document holds.
impl<T: Send + 'static> From<Vec<T>> for Examples<T> {
    fn from(examples: Vec<T>) -> Self {
        let mut examples = examples.into_iter();
        Self::from_reader(move || Ok(examples.next()))
    }
}
