//! Padded inputs, for the crate and for the reference alike.

use ndalbert::Batch;
use ndarray::{Array2, Array3, Axis};

use super::golden::Run;
use super::random::numbers;

/// Padded inputs of B sequences, `[B, S]`.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub ids: Array2<i64>,
    pub mask: Array2<i64>,
    pub types: Array2<i64>,
    pub positions: Array2<i64>,
    /// What stands for the embeddings of `ids`, `[B, S, E]`.
    pub embeds: Option<Array3<f32>>,
}

/// What the mask leaves of four sequences: five tokens, one, all but a hole, and some whose first
/// is masked.
const MASKS: [[i64; 9]; 4] = [
    [1, 1, 1, 1, 1, 0, 0, 0, 0],
    [1, 0, 0, 0, 0, 0, 0, 0, 0],
    [1, 1, 1, 0, 1, 1, 1, 1, 1],
    [0, 1, 0, 1, 1, 1, 1, 0, 0],
];

impl Inputs {
    /// Ids, a mask, and types; positions counted from 0.
    pub fn new(ids: Array2<i64>, mask: Array2<i64>, types: Array2<i64>) -> Self {
        let positions = Array2::from_shape_fn(ids.dim(), |(_, column)| column as i64);
        Self { ids, mask, types, positions, embeds: None }
    }

    /// Four sequences of up to nine tokens, of two types, with every kind of padding. No id is 0,
    /// which stands for padding.
    pub fn masked(seed: u64, vocab_size: usize) -> Self {
        let mask = Array2::from(MASKS.to_vec());
        let mut ids = numbers(seed, vocab_size as u32 - 1).map(|id| i64::from(id) + 1);
        let ids = Array2::from_shape_simple_fn(mask.dim(), || ids.next().unwrap());
        let types = Array2::from_shape_fn(mask.dim(), |(row, column)| i64::from(column > row + 1));
        Self::new(ids, mask, types)
    }

    /// Sequences of one length without padding, all of type 0 up to their middle.
    pub fn full(seed: u64, sequences: usize, length: usize, vocab_size: usize) -> Self {
        let mut ids = numbers(seed, vocab_size as u32 - 1).map(|id| i64::from(id) + 1);
        let ids = Array2::from_shape_simple_fn((sequences, length), || ids.next().unwrap());
        let types = Array2::from_shape_fn(ids.dim(), |(_, column)| i64::from(2 * column > length));
        Self::new(ids, Array2::ones((sequences, length)), types)
    }

    /// What a golden file has.
    pub fn of_run(run: &Run) -> Self {
        let ids = run.rows("input_ids").unwrap();
        let types = run.rows("token_type_ids").unwrap_or_else(|| Array2::zeros(ids.dim()));
        Self::new(ids, run.mask(), types)
    }

    /// B.
    pub fn sequences(&self) -> usize {
        self.ids.nrows()
    }

    /// S.
    pub fn length(&self) -> usize {
        self.ids.ncols()
    }

    /// Some of the sequences.
    pub fn select(&self, sequences: &[usize]) -> Self {
        let rows = |array: &Array2<i64>| array.select(Axis(0), sequences);
        Self {
            ids: rows(&self.ids),
            mask: rows(&self.mask),
            types: rows(&self.types),
            positions: rows(&self.positions),
            embeds: self.embeds.as_ref().map(|words| words.select(Axis(0), sequences)),
        }
    }

    /// As the crate takes them.
    pub fn batch(&self) -> Batch {
        let builder = match &self.embeds {
            Some(words) => Batch::padded_embeddings(words.view()),
            None => Batch::padded(self.ids.view()),
        };
        builder
            .attention_mask(self.mask.view())
            .token_type_ids(self.types.view())
            .position_ids(self.positions.view())
            .build()
            .unwrap()
    }
}
