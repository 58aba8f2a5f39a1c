//! Outputs by token, to be read per sequence or padded.

use std::sync::Arc;

use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, s};

use super::Layout;
use crate::error::{Error, Result};

/// Values `[T, F]` of the tokens of a batch, such as hidden states or logits.
#[derive(Clone, Debug)]
pub struct Packed {
    rows: Array2<f32>,
    layout: Arc<Layout>,
}

impl Packed {
    pub(crate) fn new(rows: Array2<f32>, layout: Arc<Layout>) -> Self {
        Self { rows, layout }
    }

    /// B, the number of sequences.
    pub fn num_sequences(&self) -> usize {
        self.layout.sequences.len()
    }

    /// F, the number of values per token.
    pub fn width(&self) -> usize {
        self.rows.ncols()
    }

    /// The values `[n, F]` of the n unmasked tokens of a sequence, in order.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn sequence(&self, index: usize) -> ArrayView2<'_, f32> {
        self.rows.slice(s![self.layout.real_rows(index), ..])
    }

    /// The columns that those tokens had in the padded arrays.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn columns(&self, index: usize) -> &[u32] {
        &self.layout.columns[self.layout.real_rows(index)]
    }

    /// The sequences, one after the other.
    pub fn sequences(&self) -> impl Iterator<Item = ArrayView2<'_, f32>> {
        (0..self.num_sequences()).map(|index| self.sequence(index))
    }

    /// All values as `[B, S, F]`, where S is the length of the padded arrays or of the longest sequence.
    ///
    /// **Rows of padding and other masked positions are zero**, whereas transformers computes values for them.
    pub fn to_padded(&self) -> Array3<f32> {
        let shape = (self.num_sequences(), self.layout.padded_length, self.width());
        let mut padded = Array3::zeros(shape);
        for (index, mut sequence) in padded.outer_iter_mut().enumerate() {
            for (row, &column) in self.sequence(index).outer_iter().zip(self.columns(index)) {
                sequence.row_mut(column as usize).assign(&row);
            }
        }
        padded
    }

    /// The values `[T, F]` of every token that was computed, one sequence after the other: the input of a custom head, whose outputs [`with_rows`](Self::with_rows) takes.
    ///
    /// T is [`Batch::num_tokens`](crate::Batch::num_tokens): **where a mask excludes a sequence's first token, that token
    /// has a row here, too**, because the pooler reads it; [`sequence`](Self::sequence) and
    /// [`to_padded`](Self::to_padded) omit it.
    pub fn rows(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// All values `[T, F]`, as [`rows`](Self::rows) shows them.
    pub fn into_rows(self) -> Array2<f32> {
        self.rows
    }

    /// Other values `[T, F']` for the same tokens, row by row those of [`rows`](Self::rows).
    ///
    /// # Errors
    /// [`Error::Input`] if there are not T rows.
    pub fn with_rows(&self, rows: Array2<f32>) -> Result<Self> {
        if rows.nrows() != self.rows.nrows() {
            let (expected, found) = (self.rows.nrows().to_string(), rows.nrows().to_string());
            return Err(Error::input("number of rows", expected, found));
        }
        Ok(Self::new(rows, self.layout.clone()))
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }
}

/// The attention probabilities of one layer: for every sequence and head, how much each token attends to each other.
#[derive(Clone, Debug)]
pub struct AttentionProbabilities {
    /// `[A, n, n]` per sequence, one after the other; n counts a masked first token too.
    values: Vec<f32>,
    /// Where each sequence's values begin.
    starts: Vec<usize>,
    heads: usize,
    layout: Arc<Layout>,
}

impl AttentionProbabilities {
    /// Zeros for every sequence of a layout.
    pub(crate) fn zeros(heads: usize, layout: Arc<Layout>) -> Self {
        let mut end = 0;
        let starts = layout.sequences.iter().map(|sequence| {
            let start = end;
            end += heads * sequence.tokens.pow(2);
            start
        });
        let starts = starts.collect();
        Self { values: vec![0.0; end], starts, heads, layout }
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The probabilities `[A, n, n]` of a sequence's n tokens; each row (query) sums to 1.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn sequence(&self, index: usize) -> Array3<f32> {
        let hidden = self.layout.sequences[index].tokens - self.layout.real_rows(index).len();
        self.square(index).slice(s![.., hidden.., hidden..]).to_owned()
    }

    /// All probabilities as `[B, A, S, S]`; rows and columns of masked positions are zero.
    pub fn to_padded(&self) -> Array4<f32> {
        let (batch, length) = (self.layout.sequences.len(), self.layout.padded_length);
        let mut padded = Array4::zeros((batch, self.heads, length, length));
        for (index, mut heads) in padded.outer_iter_mut().enumerate() {
            let columns = &self.layout.columns[self.layout.real_rows(index)];
            for ((head, query, key), &value) in self.sequence(index).indexed_iter() {
                heads[[head, columns[query] as usize, columns[key] as usize]] = value;
            }
        }
        padded
    }

    fn square(&self, index: usize) -> ArrayView3<'_, f32> {
        let n = self.layout.sequences[index].tokens;
        let size = self.heads * n * n;
        ArrayView3::from_shape((self.heads, n, n), &self.values[self.starts[index]..][..size])
            .expect("a square was allocated for every sequence")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    #[test]
    fn squares_of_different_sizes_follow_each_other() {
        let lengths = [3, 1, 4, 1, 2];
        let batch = Batch::from_sequences(&lengths.map(|length| vec![2; length])).unwrap();
        let mut attentions = AttentionProbabilities::zeros(2, batch.layout.clone());
        let values = attentions.values_mut();
        values.iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
        let mut next = 0.0;
        for (index, n) in lengths.into_iter().enumerate() {
            let square = attentions.sequence(index);
            assert_eq!((square.dim(), square[[0, 0, 0]]), ((2, n, n), next));
            next += (2 * n * n) as f32;
        }
        assert_eq!(next as usize, attentions.values.len());
    }
}
