//! The interface of all pipelines.

use std::ops::Range;

use super::options::TOKENS_PER_BATCH;
use super::stream::Stream;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::text::Encoding;

/// The interface of all pipelines: an output for each input.
///
/// A custom pipeline defines how an input is tokenized and how the model processes a group of them; everything else is provided:
///
/// ```
/// use ndalbert::pipelines::{Group, Pipeline, Prepared};
/// use ndalbert::{Albert, AlbertTokenizer, PreTrainedModel, Result};
///
/// /// The norm of a text's pooled output.
/// struct Norm(Albert, AlbertTokenizer);
///
/// impl Pipeline for Norm {
///     type Input = String;
///     type Output = f32;
///     type Kept = ();
///
///     fn prepare(&self, text: String) -> Result<Prepared<()>> {
///         Ok(Prepared { encodings: vec![self.1.encode(&text)?], kept: () })
///     }
///
///     fn infer(&self, group: Group<'_, ()>) -> Result<Vec<Result<f32>>> {
///         let pooled = self.0.pooler_output(&group.batch()?)?;
///         Ok(pooled.rows().into_iter().map(|row| Ok(row.dot(&row).sqrt())).collect())
///     }
/// }
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
/// let norm = Norm(
///     Albert::from_pretrained(directory)?.0,
///     AlbertTokenizer::from_pretrained(directory)?,
/// );
/// for norm in norm.stream(["今天天气很好.", "算法", ""]) {
///     println!("{}", norm?);
/// }
/// # Ok::<(), ndalbert::Error>(())
/// ```
pub trait Pipeline: Send + Sync {
    /// The input.
    type Input: Send;

    /// The output.
    type Output;

    /// What is kept of an input to create its output, apart from the model's results.
    type Kept: Send;

    /// Tokenizes an input. A stream tokenizes several in parallel.
    ///
    /// # Errors
    /// Any error of this input.
    fn prepare(&self, input: Self::Input) -> Result<Prepared<Self::Kept>>;

    /// Runs the model on the sequences of several inputs, and returns an output for each, in order.
    ///
    /// # Errors
    /// An error of one input is its own result. If the whole group fails, each input is tried alone.
    fn infer(&self, group: Group<'_, Self::Kept>) -> Result<Vec<Result<Self::Output>>>;

    /// The approximate number of tokens that the model processes together.
    fn tokens_per_batch(&self) -> usize {
        TOKENS_PER_BATCH
    }

    /// The output of one input.
    ///
    /// # Errors
    /// If it cannot be tokenized, or if the model's results are not finite.
    fn run(&self, input: impl Into<Self::Input>) -> Result<Self::Output>
    where
        Self: Sized,
    {
        let prepared = [self.prepare(input.into())?];
        one(self.infer(Group(&prepared))?)
    }

    /// The outputs of many inputs, in order.
    ///
    /// # Errors
    /// Each result has its own: an [`Error::Item`] with the index of the input.
    fn run_many<I>(&self, inputs: I) -> Vec<Result<Self::Output>>
    where
        Self: Sized,
        I: IntoIterator<Item: Into<Self::Input>>,
    {
        self.stream(inputs).collect()
    }

    /// An iterator over the outputs of many inputs, in order.
    ///
    /// Inputs are read as needed: enough for a group of
    /// [`tokens_per_batch`](Self::tokens_per_batch) tokens, at most 256 at a time, so memory is constant. An error is an [`Error::Item`] with the index of the input; the outputs of later inputs follow.
    fn stream<I>(&self, inputs: I) -> Stream<'_, Self, I::IntoIter>
    where
        Self: Sized,
        I: IntoIterator<Item: Into<Self::Input>>,
    {
        Stream::new(self, inputs.into_iter())
    }
}

/// An input, tokenized.
#[derive(Clone, Debug)]
pub struct Prepared<K> {
    /// Its sequences for the model; at least one.
    pub encodings: Vec<Encoding>,
    /// What is kept of it to create its output, apart from the model's results.
    pub kept: K,
}

impl<K> Prepared<K> {
    /// The number of tokens in its sequences.
    pub fn num_tokens(&self) -> usize {
        self.encodings.iter().map(Encoding::len).sum()
    }
}

/// Inputs that the model processes together.
#[derive(Debug)]
pub struct Group<'a, K>(pub &'a [Prepared<K>]);

impl<'a, K> Group<'a, K> {
    /// The sequences of all inputs, one after the other.
    ///
    /// # Errors
    /// [`Error::Input`] if there are none.
    pub fn batch(self) -> Result<Batch> {
        Batch::from_encodings(self.0.iter().flat_map(|prepared| &prepared.encodings))
    }

    /// The inputs, each with the range of its sequences in the [`batch`](Self::batch).
    pub fn items(self) -> impl Iterator<Item = (Range<usize>, &'a Prepared<K>)> {
        let mut end = 0;
        self.0.iter().map(move |prepared| {
            let start = end;
            end += prepared.encodings.len();
            (start..end, prepared)
        })
    }
}

impl<K> Clone for Group<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Group<'_, K> {}

/// The outputs of a group, one per input. If the group fails as a whole, its inputs are tried alone, so that only invalid ones fail.
pub(super) fn infer_all<P: Pipeline>(
    pipeline: &P,
    group: &[Prepared<P::Kept>],
) -> Vec<Result<P::Output>> {
    match pipeline.infer(Group(group)) {
        Ok(outputs) if outputs.len() == group.len() => outputs,
        Err(error) if group.len() == 1 => vec![Err(error)],
        _ => group
            .iter()
            .map(|prepared| one(pipeline.infer(Group(std::slice::from_ref(prepared)))?))
            .collect(),
    }
}

/// The only one of a group's outputs.
fn one<T>(mut outputs: Vec<Result<T>>) -> Result<T> {
    let count = outputs.len();
    match (outputs.pop(), count) {
        (Some(output), 1) => output,
        _ => Err(Error::input("outputs of a group of 1 input", "1", count.to_string())),
    }
}
