//! Scores of int8 models: products of keys and queries as bytes.
//!
//! Keys are encoded as activations are, and a block of queries is packed as weights are; each key and each query of a head
//! has a scale of its own, found as it comes. What softmax gets are scores in `f32`, as from any other product.

use super::columns::{self, Dequantization};
use super::convert::{Strided, encode_rows};
use super::isa::Isa;
use super::multiplicand::multiply_panel;
use super::packed::{MAX_PANEL, pack_panel};
use super::precision::{Encoding, Precision};
use super::split::split;
use super::tile;

/// One head's keys as bytes, and room for a block of its queries.
pub(super) struct QuantizedScores<'a> {
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
    /// How many scales there are of `keys` keys and blocks of at most `width` queries.
    pub(super) fn scales_len(keys: usize, width: usize) -> usize {
        keys + width
    }

    /// Encodes keys, to be multiplied with at most `width` queries at a time.
    pub(super) fn new(
        isa: Isa,
        keys: Strided<'_>,
        width: usize,
        words: &'a mut Vec<u32>,
        scales: &'a mut [f32],
    ) -> Self {
        let encoding = Encoding::of(Precision::Int8, isa);
        let depth = keys.width.div_ceil(Precision::Int8.inputs_per_word());
        let stride = depth * encoding.words();
        let [encoded, rows, panel, corrections] =
            split(words, [keys.count * stride, width * depth, width * depth, width]);
        let (key_scales, query_scales) = scales.split_at_mut(keys.count);
        encode_rows(isa, encoding, keys, encoded, key_scales);
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
    pub(super) fn pack(&mut self, queries: Strided<'_>, width: usize) {
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

    /// The scores of some keys, from the one with that number on, with the queries that were packed; raises `largest` to
    /// what is largest of each query. `before_tile` is called for every tile.
    pub(super) fn score(
        &self,
        first: usize,
        scores: &mut [f32],
        largest: &mut [f32],
        before_tile: impl FnMut(),
    ) {
        let width = largest.len();
        let (keys, scales) = (&self.keys[first * self.stride..], &self.key_scales[first..]);
        let panel = (&self.panel[..width * self.depth], width);
        let (isa, inputs) = (self.isa, (keys, self.stride));
        multiply_panel(isa, tile::int8, inputs, panel, (&mut *scores, false), before_tile);
        let dequantization = Dequantization {
            line_scales: scales,
            scales: &self.query_scales[..width],
            corrections: &self.corrections[..width],
        };
        columns::dequantize(isa, scores, dequantization, largest);
    }
}
