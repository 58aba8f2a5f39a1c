//! The examples of a file.

use rayon::prelude::*;

use super::loaded::LoadedExamples;
use super::record::{Entry, Fault, Place, Queue, Reader};
use super::skipped::Skipped;
use crate::error::{Error, Result};

/// How many examples are turned into features at a time.
const CHUNK: usize = 1024;

/// The examples of a file, read lazily unless the file is a whole JSON document.
///
/// Errors name the file and the line or the position in it. An unusable record is an error, which ends the iteration; [`load`](Self::load) and [`Dataset::read`](super::Dataset::read) can skip it instead.
pub struct Examples<T> {
    read: Reader<T>,
    queue: Queue<T>,
    skip_bad: bool,
    skipped: Skipped,
    is_over: bool,
}

/// An example, and where it is from.
pub(super) type Placed<T> = (Option<Place>, T);

impl<T> Examples<T> {
    pub(super) fn from_reader(read: Reader<T>) -> Self {
        let (queue, skipped) = (Queue::new(), Skipped::default());
        Self { read, queue, skip_bad: false, skipped, is_over: false }
    }

    /// Reads all examples. Unusable records are skipped and counted if `skip_bad`, otherwise an error.
    ///
    /// # Errors
    /// Those of the reader; with `skip_bad`, only if nothing more can be read: [`Error::Io`], and [`Error::Format`] for invalid JSON or unclosed quotes.
    pub fn load(mut self, skip_bad: bool) -> Result<LoadedExamples<T>> {
        self.skip_bad = skip_bad;
        let (mut places, mut examples) = (Vec::new(), Vec::new());
        while let Some((place, example)) = self.next_record()? {
            places.push(place);
            examples.push(example);
        }
        Ok(LoadedExamples::new(examples, places, skip_bad, self.skipped))
    }

    /// Maps each example, usually to features, in parallel and in order. At most about a thousand texts are in memory at a time.
    ///
    /// # Errors
    /// The first of reading or of `encode`. The latter names the file and the example's place in it.
    pub fn encode<F: Send>(self, encode: impl Fn(&T) -> Result<F> + Sync) -> Result<Vec<F>>
    where
        T: Send + Sync,
    {
        Ok(self.encode_or_skip(false, encode)?.0)
    }

    pub(super) fn encode_or_skip<F: Send>(
        mut self,
        skip_bad: bool,
        encode: impl Fn(&T) -> Result<F> + Sync,
    ) -> Result<(Vec<F>, Skipped)>
    where
        T: Send + Sync,
    {
        self.skip_bad = skip_bad;
        let (mut encoded, mut is_over) = (Vec::new(), false);
        while !is_over {
            let mut chunk = Vec::new();
            while chunk.len() < CHUNK && !is_over {
                let record = self.next_record()?;
                is_over = record.is_none();
                chunk.extend(record);
            }
            let one = |(place, example): &Placed<T>| {
                encode(example).map_err(|error| placed_error(place.as_ref(), error))
            };
            let results: Vec<Result<F>> = chunk.par_iter().map(one).collect();
            for result in results {
                encoded.extend(self.skipped.sift(result, skip_bad)?);
            }
        }
        Ok((encoded, self.skipped))
    }

    /// The next that can be used, or nothing after the last.
    fn next_record(&mut self) -> Result<Option<Placed<T>>> {
        loop {
            match self.queue.pop() {
                Some(Entry::Example(place, example)) => return Ok(Some((place, example))),
                Some(Entry::PassedOver(error)) => self.skipped.add(&error),
                Some(Entry::Bad(error)) => {
                    self.skipped.sift::<T>(Err(error), self.skip_bad)?;
                }
                None if self.is_over => return Ok(None),
                None => {
                    self.skipped.add_more(self.queue.take_uncounted());
                    self.read_on()?;
                }
            }
        }
    }

    fn read_on(&mut self) -> Result<()> {
        match (self.read)(&mut self.queue) {
            Ok(has_more) => self.is_over = !has_more,
            Err(Fault::Record(error)) => self.queue.add_bad(error),
            Err(Fault::File(error)) => return Err(error),
        }
        Ok(())
    }
}

/// What is wrong with an example, and where it is from.
pub(super) fn placed_error(place: Option<&Place>, error: Error) -> Error {
    match place {
        Some(place) => place.error(error),
        None => error,
    }
}

impl<T> Iterator for Examples<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let record = self.next_record().transpose()?;
        if record.is_err() {
            (self.queue, self.is_over) = (Queue::new(), true);
        }
        Some(record.map(|(_, example)| example))
    }
}

impl<T> std::fmt::Debug for Examples<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examples").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Examples of no file.
impl<T: Send + 'static> From<Vec<T>> for Examples<T> {
    fn from(examples: Vec<T>) -> Self {
        let mut examples = examples.into_iter();
        Self::from_reader(Box::new(move |queue| {
            let next = examples.next();
            let has_more = next.is_some();
            next.into_iter().for_each(|example| queue.add_placeless(example));
            Ok(has_more)
        }))
    }
}
