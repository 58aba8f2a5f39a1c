//! Building a batch from padded arrays.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, ArrayView, ArrayView2, Dimension};

use super::{Batch, Layout, Words};
use crate::error::{Error, Result};
use crate::kernels::attention::Sequence;

/// Integer types of ids and masks.
pub trait Id: Copy + std::fmt::Display + sealed::Sealed {
    /// The id, if it is not negative and not above `u32::MAX`.
    fn to_id(self) -> Option<u32>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! id {
    ($($integer:ty),*) => {$(
        impl sealed::Sealed for $integer {}
        impl Id for $integer {
            fn to_id(self) -> Option<u32> {
                // Some of these conversions cannot fail.
                #[allow(clippy::unnecessary_fallible_conversions)]
                u32::try_from(self).ok()
            }
        }
    )*};
}
id!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

impl sealed::Sealed for bool {}

/// Masks are often of this type.
impl Id for bool {
    fn to_id(self) -> Option<u32> {
        Some(u32::from(self))
    }
}

/// Collects sequences into a layout.
#[derive(Default)]
pub(super) struct Packer {
    sequences: Vec<Sequence>,
    columns: Vec<u32>,
    padded_length: usize,
}

impl Packer {
    /// Adds a sequence of `length` columns, of which those selected by `is_real` are tokens.
    pub(super) fn push(&mut self, length: usize, is_real: impl Fn(usize) -> bool) -> Result<()> {
        if length == 0 {
            let what = format!("length of sequence {}", self.sequences.len());
            return Err(Error::input(what, "at least 1 token", "0"));
        }
        let last = u32::try_from(length - 1).map_err(|_| {
            Error::input("length of a sequence", "at most 2³² tokens", length.to_string())
        })?;
        let start = self.columns.len();
        let columns = (0..=last).filter(|&column| column == 0 || is_real(column as usize));
        self.columns.extend(columns);
        let tokens = self.columns.len() - start;
        let keys = usize::from(!is_real(0))..tokens;
        self.sequences.push(Sequence { start, tokens, keys: keys.collect() });
        self.padded_length = self.padded_length.max(length);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Layout> {
        let Self { sequences, columns, padded_length } = self;
        if sequences.is_empty() {
            return Err(Error::input("number of sequences in a batch", "at least 1", "0"));
        }
        Ok(Layout { sequences, columns, padded_length })
    }
}

/// Builds a batch from padded arrays whose last axis is the sequence. The axes before it are flattened, so `[B, N, S]` of multiple choice gives B·N sequences.
///
/// Created by [`Batch::padded`] and [`Batch::padded_embeddings`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct BatchBuilder {
    words: Result<PaddedWords>,
    shape: (usize, usize),
    attention_mask: Option<Result<Array2<u32>>>,
    token_type_ids: Option<Result<Array2<u32>>>,
    position_ids: Option<Result<Array2<u32>>>,
}

enum PaddedWords {
    Ids(Array2<u32>),
    Embeddings(Array2<f32>),
}

impl Batch {
    /// Starts a batch of padded ids `[…, S]`. Without a mask, every position is a token.
    pub fn padded<I: Id, D: Dimension>(input_ids: ArrayView<'_, I, D>) -> BatchBuilder {
        let ids = flatten("input_ids", input_ids);
        let shape = ids.as_ref().map_or((0, 0), Array2::dim);
        BatchBuilder::new(ids.map(PaddedWords::Ids), shape)
    }

    /// Starts a batch of padded word embeddings `[…, S, E]`, instead of ids (`inputs_embeds` in transformers).
    pub fn padded_embeddings<D: Dimension>(inputs_embeds: ArrayView<'_, f32, D>) -> BatchBuilder {
        let axes = inputs_embeds.shape().to_vec();
        let [outer @ .., length, width] = axes.as_slice() else {
            let error = Error::input("inputs_embeds axes", "at least 2", axes.len().to_string());
            return BatchBuilder::new(Err(error), (0, 0));
        };
        let batch: usize = outer.iter().product();
        let rows = Array2::from_shape_vec(
            (batch * length, *width),
            inputs_embeds.iter().copied().collect(),
        )
        .map_err(|error| Error::input("inputs_embeds", "[…, S, E]", error.to_string()));
        BatchBuilder::new(rows.map(PaddedWords::Embeddings), (batch, *length))
    }
}

impl fmt::Debug for BatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder")
            .field("shape", &self.shape)
            .field("attention_mask", &self.attention_mask.is_some())
            .field("token_type_ids", &self.token_type_ids.is_some())
            .field("position_ids", &self.position_ids.is_some())
            .finish_non_exhaustive()
    }
}

impl BatchBuilder {
    fn new(words: Result<PaddedWords>, shape: (usize, usize)) -> Self {
        Self { words, shape, attention_mask: None, token_type_ids: None, position_ids: None }
    }

    /// Which positions are tokens (1) and which are padding (0), `[…, S]`, in any pattern.
    ///
    /// As in transformers, masked tokens count as positions, and a masked first token still feeds the pooler. Outputs *for* masked positions are not computed, unlike in transformers.
    pub fn attention_mask<I: Id, D: Dimension>(mut self, mask: ArrayView<'_, I, D>) -> Self {
        self.attention_mask = Some(flatten("attention_mask", mask));
        self
    }

    /// The type (segment) of each token, `[…, S]`, or `[1, S]` for all sequences; 0 by default.
    pub fn token_type_ids<I: Id, D: Dimension>(mut self, ids: ArrayView<'_, I, D>) -> Self {
        self.token_type_ids = Some(flatten("token_type_ids", ids));
        self
    }

    /// The position of each token, `[…, S]`, or `[1, S]` for all sequences; the column by default.
    pub fn position_ids<I: Id, D: Dimension>(mut self, ids: ArrayView<'_, I, D>) -> Self {
        self.position_ids = Some(flatten("position_ids", ids));
        self
    }

    /// Packs the tokens.
    ///
    /// # Errors
    /// [`Error::Input`] for shapes that differ, masks that are not 0 or 1, negative ids, an empty batch, or S = 0.
    pub fn build(self) -> Result<Batch> {
        let Self { words, shape, attention_mask, token_type_ids, position_ids } = self;
        let words = words?;
        let (batch, length) = shape;
        let mask = attention_mask.map(|mask| check_mask(mask?, shape)).transpose()?;
        let mut packer = Packer::default();
        for sequence in 0..batch {
            let is_real = |column| mask.as_ref().is_none_or(|mask| mask[[sequence, column]] == 1);
            packer.push(length, is_real)?;
        }
        let layout = packer.finish()?;
        let rows: Vec<(usize, usize)> = layout
            .sequences
            .iter()
            .enumerate()
            .flat_map(|(i, s)| {
                layout.columns[s.start..][..s.tokens].iter().map(move |&c| (i, c as usize))
            })
            .collect();
        let gather = |name: &str, ids: Option<Result<Array2<u32>>>| -> Result<Option<Vec<u32>>> {
            let Some(ids) = ids.transpose()? else { return Ok(None) };
            let ids = broadcast(name, &ids, shape)?;
            Ok(Some(rows.iter().map(|&row| ids[row]).collect()))
        };
        let type_ids = gather("token_type_ids", token_type_ids)?;
        let position_ids = gather("position_ids", position_ids)?;
        let words = match words {
            PaddedWords::Ids(ids) => Words::Ids(rows.iter().map(|&row| ids[row]).collect()),
            PaddedWords::Embeddings(table) => {
                let rows: Vec<usize> = rows.iter().map(|(i, c)| i * length + c).collect();
                Words::Embeddings(table.select(ndarray::Axis(0), &rows))
            }
        };
        Ok(Batch {
            words,
            type_ids: type_ids.unwrap_or_else(|| vec![0; rows.len()]),
            position_ids: position_ids.unwrap_or_else(|| layout.columns.clone()),
            layout: Arc::new(layout),
        })
    }
}

/// `[…, S]` as `[B, S]` of ids.
fn flatten<I: Id, D: Dimension>(name: &str, array: ArrayView<'_, I, D>) -> Result<Array2<u32>> {
    let shape = array.shape().to_vec();
    let Some((&length, outer)) = shape.split_last() else {
        return Err(Error::input(format!("{name} axes"), "at least 1", "0"));
    };
    let ids = array.iter().enumerate().map(|(i, &id)| {
        id.to_id().ok_or_else(|| {
            let what = format!("{name}[{}, {}]", i / length, i % length);
            Error::input(what, "an id from 0 to 2³² − 1", id.to_string())
        })
    });
    let ids: Vec<u32> = ids.collect::<Result<_>>()?;
    Array2::from_shape_vec((outer.iter().product(), length), ids)
        .map_err(|error| Error::input(name, "[…, S]", error.to_string()))
}

fn check_mask(mask: Array2<u32>, shape: (usize, usize)) -> Result<Array2<u32>> {
    if mask.dim() != shape {
        let (expected, found) = (format!("{shape:?}"), format!("{:?}", mask.dim()));
        return Err(Error::input("attention_mask shape", expected, found));
    }
    match mask.indexed_iter().find(|(_, value)| **value > 1) {
        Some((at, value)) => Err(Error::input(
            format!("attention_mask{:?}", [at.0, at.1]),
            "0 or 1",
            value.to_string(),
        )),
        None => Ok(mask),
    }
}

/// Ids `[1, S]` serve every sequence.
fn broadcast<'a>(
    name: &str,
    ids: &'a Array2<u32>,
    shape: (usize, usize),
) -> Result<ArrayView2<'a, u32>> {
    ids.broadcast(shape).ok_or_else(|| {
        Error::input(format!("{name} shape"), format!("{shape:?}"), format!("{:?}", ids.dim()))
    })
}
