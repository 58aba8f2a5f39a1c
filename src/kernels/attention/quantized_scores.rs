//! Scores of int8 models: products of keys and queries as bytes.
//!
//! Keys are rows of activations, and a block of queries is packed as weights are; each key and each
//! query of a head has a scale of its own, found as it comes. What softmax gets are scores in
//! `f32`, as from any other product.
//!
//! The mean of a head's keys is taken off each key before. That changes all scores of a query by
//! the same amount, which softmax does not see, and leaves finer steps: biases of keys alone are up
//! to twelve in trained models. (Smoothing of keys, SageAttention, ICLR 2025.)

use crate::kernels::attention::columns::{self, Dequantization};
use crate::kernels::isa::{Isa, multiversion};
use crate::kernels::product::blocking::MAX_PANEL;
use crate::kernels::product::convert::{Strided, encode_rows};
use crate::kernels::product::multiplicand::{Destination, EncodedRows, Panel, multiply_panel};
use crate::kernels::product::packed::pack_panel;
use crate::kernels::product::precision::{Encoding, Precision};
use crate::kernels::product::tiles::tile;
use crate::kernels::threads::split::split;

/// One head's keys as bytes, and room for a block of its queries.
pub(in crate::kernels) struct QuantizedScores<'a> {
    isa: Isa,
    keys: &'a [u32],
    /// Words from key to key.
    stride: usize,
    key_scales: &'a [f32],
    /// Lines of the panel of queries.
    depth: usize,
    /// Queries before they are packed, and then.
    rows: &'a mut [u32],
    panel: &'a mut [u32],
    query_scales: &'a mut [f32],
    corrections: &'a mut [u32],
}

impl<'a> QuantizedScores<'a> {
    /// How many floats are needed for `keys` keys of `size` values and blocks of at most `width`
    /// queries: their scales, the keys' mean, and what is left of the keys.
    pub(in crate::kernels) fn floats_len(keys: usize, size: usize, width: usize) -> usize {
        keys + width + (keys + 1) * size
    }

    /// Encodes keys, to be multiplied with at most `width` queries at a time.
    pub(in crate::kernels) fn new(
        isa: Isa,
        keys: Strided<'_>,
        width: usize,
        words: &'a mut Vec<u32>,
        floats: &'a mut [f32],
    ) -> Self {
        let encoding = Encoding::of(Precision::Int8, isa);
        let depth = keys.width.div_ceil(Precision::Int8.inputs_per_word());
        let stride = depth * encoding.words();
        let [encoded, rows, panel, corrections] =
            split(words, [keys.count * stride, width * depth, width * depth, width]);
        let (centered, floats) = floats.split_at_mut(keys.count * keys.width);
        let (mean, scales) = floats.split_at_mut(keys.width);
        let (key_scales, query_scales) = scales.split_at_mut(keys.count);
        center(isa, keys, mean, centered);
        let centered = Strided::dense(centered, keys.width);
        encode_rows(isa, encoding, centered, encoded, key_scales);
        Self {
            isa,
            keys: encoded,
            stride,
            key_scales,
            depth,
            rows,
            panel,
            query_scales,
            corrections,
        }
    }

    /// Packs queries as the columns of a panel of that width, which is filled up with zeros.
    pub(in crate::kernels) fn pack(&mut self, queries: Strided<'_>, width: usize) {
        let Self { isa, depth, .. } = *self;
        let rows = &mut self.rows[..queries.count * depth];
        self.query_scales.fill(0.0);
        encode_rows(isa, Encoding::Signed8, queries, rows, self.query_scales);
        let mut sources: [&[u32]; MAX_PANEL] = [&[]; MAX_PANEL];
        for (source, row) in sources.iter_mut().zip(rows.chunks_exact(depth)) {
            *source = row;
        }
        let panel = &mut self.panel[..width * depth];
        pack_panel(isa, &sources[..queries.count], depth, panel);
        let zero = Encoding::of(Precision::Int8, isa).symmetric_zero();
        columns::byte_sums(isa, panel, zero, &mut self.corrections[..width]);
    }

    /// The scores of some keys, from the one with that number on, with the queries that were
    /// packed; raises `largest` to what is largest of each query. `before_tile` is called for every
    /// tile.
    pub(in crate::kernels) fn score(
        &self,
        first: usize,
        scores: &mut [f32],
        largest: &mut [f32],
        before_tile: impl FnMut(),
    ) {
        let width = largest.len();
        let (keys, scales) = (&self.keys[first * self.stride..], &self.key_scales[first..]);
        let panel = Panel { words: &self.panel[..width * self.depth], width };
        let (isa, inputs) = (self.isa, EncodedRows { words: keys, stride: self.stride });
        let to = Destination { out: &mut *scores, accumulate: false };
        multiply_panel(isa, tile::int8, inputs, panel, to, before_tile);
        let dequantization = Dequantization {
            line_scales: scales,
            scales: &self.query_scales[..width],
            corrections: &self.corrections[..width],
        };
        columns::dequantize(isa, scores, dequantization, largest);
    }
}

multiversion! {
    /// Takes the mean of all rows off each.
    fn center<'a>(rows: Strided<'a>, mean: &mut [f32], centered: &mut [f32]) {
        let Strided { values, stride, width, count } = rows;
        let row = |index: usize| &values[index * stride..][..width];
        mean.fill(0.0);
        for index in 0..count {
            mean.iter_mut().zip(row(index)).for_each(|(sum, x)| *sum += x);
        }
        mean.iter_mut().for_each(|x| *x /= count as f32);
        for (index, centered) in centered.chunks_exact_mut(width).enumerate() {
            for ((to, x), mean) in centered.iter_mut().zip(row(index)).zip(&*mean) {
                *to = x - mean;
            }
        }
    }
}
