//! What all pipelines can do.

use std::ops::Range;

use super::options::TOKENS_PER_BATCH;
use super::stream::Stream;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::text::Encoding;

/// What all pipelines can do: take inputs, and give an output for each.
///
/// A custom pipeline defines how an input is tokenized and how the model processes a group of them; the rest
/// comes with it:
///
/// ```
/// use ndalbert::pipelines::{Group, Pipeline, Prepared};
/// use ndalbert::{Albert, AlbertTokenizer, PreTrainedModel, Result};
///
/// /// How long the vector is that the pooler makes of a text.
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
    /// What goes in.
    type Input: Send;

    /// What comes out.
    type Output;

    /// What an output is made of besides the model's numbers.
    type Kept: Send;

    /// Tokenizes an input. Those of a stream are tokenized in parallel.
    ///
    /// # Errors
    /// What is wrong with this input.
    fn prepare(&self, input: Self::Input) -> Result<Prepared<Self::Kept>>;

    /// Runs the model over the sequences of several inputs, and makes an output for each, in order.
    ///
    /// # Errors
    /// What is wrong with one of them is its result; an error of the whole has each of them tried alone.
    fn infer(&self, group: Group<'_, Self::Kept>) -> Result<Vec<Result<Self::Output>>>;

    /// About how many tokens go through the model together.
    fn tokens_per_batch(&self) -> usize {
        TOKENS_PER_BATCH
    }

    /// The output of one input.
    ///
    /// # Errors
    /// If it cannot be tokenized, or the model's numbers for it are not finite.
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
    /// Each result has its own: an [`Error::Item`] with the input's place.
    fn run_many<I>(&self, inputs: I) -> Vec<Result<Self::Output>>
    where
        Self: Sized,
        I: IntoIterator<Item: Into<Self::Input>>,
    {
        self.stream(inputs).collect()
    }

    /// An iterator over the outputs of many inputs, in order.
    ///
    /// Inputs are taken as they are needed: enough of them for a group of
    /// [`tokens_per_batch`](Self::tokens_per_batch) tokens, 256 at a time at most. So memory stays the same however many
    /// there are. Each error is an [`Error::Item`] with the input's place, and is followed by the outputs of the inputs
    /// after it.
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
    /// The sequences that the model reads for it; at least one.
    pub encodings: Vec<Encoding>,
    /// What the output is made of besides the model's numbers.
    pub kept: K,
}

impl<K> Prepared<K> {
    /// How many tokens its sequences have.
    pub fn num_tokens(&self) -> usize {
        self.encodings.iter().map(Encoding::len).sum()
    }
}

/// Inputs that go through the model together.
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

    /// The inputs, each with its sequences' places in the [`batch`](Self::batch).
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

/// The outputs of a group, as many as it has inputs. If it fails as a whole, its inputs are tried alone, so that only
/// those fail that have to.
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
