//! Examples in memory.

use std::ops::Deref;

use rayon::prelude::*;

use super::examples::placed_error;
use super::record::Place;
use super::skipped::Skipped;
use crate::error::{Error, Result};

/// The examples of a file in memory: a slice of them that knows where each is from.
#[derive(Clone, Debug)]
pub struct LoadedExamples<T> {
    examples: Vec<T>,
    places: Vec<Option<Place>>,
    skip_bad: bool,
    skipped: Skipped,
}

impl<T> LoadedExamples<T> {
    pub(super) fn new(
        examples: Vec<T>,
        places: Vec<Option<Place>>,
        skip_bad: bool,
        skipped: Skipped,
    ) -> Self {
        Self { examples, places, skip_bad, skipped }
    }

    /// What was skipped so far.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Maps each example, usually to features, in parallel and in order. Examples for which `encode` returns an error are removed and counted if bad records are skipped, so that as many remain as are returned.
    ///
    /// # Errors
    /// Otherwise the first of `encode`, with the file and the example's place in it.
    pub fn encode<F: Send>(&mut self, encode: impl Fn(&T) -> Result<F> + Sync) -> Result<Vec<F>>
    where
        T: Sync,
    {
        let results: Vec<Result<F>> = self
            .examples
            .par_iter()
            .zip(&self.places)
            .map(|(example, place)| encode(example).map_err(|e| placed_error(place.as_ref(), e)))
            .collect();
        let (mut encoded, mut is_good) = (Vec::with_capacity(results.len()), Vec::new());
        for result in results {
            let features = self.skipped.sift(result, self.skip_bad)?;
            is_good.push(features.is_some());
            encoded.extend(features);
        }
        keep(&mut self.examples, &is_good);
        keep(&mut self.places, &is_good);
        Ok(encoded)
    }

    /// An error in an example, named by its file and its place there.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn error(&self, example: usize, error: Error) -> Error {
        placed_error(self.places[example].as_ref(), error)
    }
}

fn keep<T>(list: &mut Vec<T>, is_good: &[bool]) {
    let mut is_good = is_good.iter();
    list.retain(|_| is_good.next() == Some(&true));
}

impl<T> Deref for LoadedExamples<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.examples
    }
}

/// None at all.
impl<T> Default for LoadedExamples<T> {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new(), false, Skipped::default())
    }
}
