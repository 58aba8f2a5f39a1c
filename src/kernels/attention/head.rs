//! Attention of one head of one sequence: see [`attention`](crate::kernels::attention).

use std::ops::Range;

use crate::kernels::attention::columns;
use crate::kernels::attention::quantized_scores::QuantizedScores;
use crate::kernels::attention::{Heads, Sequence};
use crate::kernels::isa::Isa;
use crate::kernels::product::blocking::{LANES, MAX_PANEL};
use crate::kernels::product::convert::Strided;
use crate::kernels::product::fetch::{Evenly, fetch};
use crate::kernels::product::multiplicand::{
    Destination, EncodedRows, Multiplicand, Panel, multiply_panel,
};
use crate::kernels::product::output::Output;
use crate::kernels::product::panels::pack_output_panel;
use crate::kernels::product::tiles::tile::ROWS;
use crate::kernels::product::transpose::transpose;
use crate::kernels::rows::dropout::{Dropout, apply_columns};
use crate::kernels::threads::split::split;

/// Queries whose scores are held at a time.
const QUERIES_PER_BLOCK: usize = MAX_PANEL;

/// Keys whose scores are made weights and multiplied with values at a time: 64 KB of weights, which
/// stay in the second cache for all tiles (in parts that would stay in the first, tiles are so
/// short that they are slower). Even, for words of two inputs.
const KEYS_PER_PART: usize = 256;

/// One head of one sequence.
pub(in crate::kernels) struct HeadInput<'a> {
    /// From the head's first query value of the sequence's first token on; rows are 3·`hidden`
    /// apart.
    pub(in crate::kernels) qkv: &'a [f32],
    pub(in crate::kernels) hidden: usize,
    pub(in crate::kernels) heads: Heads,
    pub(in crate::kernels) sequence: &'a Sequence,
    /// How many of its tokens are queries, from the first on.
    pub(in crate::kernels) queries: usize,
    /// Dropout of the probabilities, with the stream of the first query and the distance to the
    /// next one's.
    pub(in crate::kernels) dropout: Option<(Dropout, (u64, u64))>,
}

impl HeadInput<'_> {
    /// Writes all to `output`, and has what the next task reads brought nearer meanwhile.
    pub(in crate::kernels) fn attend<W: Multiplicand>(
        &self,
        isa: Isa,
        (floats, words, bytes): (&mut Vec<f32>, &mut Vec<W>, &mut Vec<u32>),
        output: HeadOutput<'_>,
        next: Option<HeadInput<'_>>,
    ) {
        let (size, n) = (self.heads.size, self.sequence.keys.len());
        if n == 0 {
            let [zeros] = split(floats, [size]);
            zeros.fill(0.0);
            return (0..self.queries).for_each(|query| output.write(isa, query, zeros, &[], 0.0));
        }
        // Blocks of nearly the same number of registers: five are two and three, not four and one.
        let registers = self.queries.div_ceil(LANES);
        let blocks = (registers * LANES).div_ceil(QUERIES_PER_BLOCK);
        let width = registers.div_ceil(blocks.max(1)) * LANES;
        let (depth, padded) = (size.div_ceil(W::INPUTS), size.next_multiple_of(LANES));
        // Rows that do not all begin in the same set of a cache.
        let stride = (n.div_ceil(LANES) | 1) * LANES;
        let wanted = if output.probabilities.is_some() { width * n } else { 0 };
        let [gathered, values, largest, sums, scores, context, rows, scales, probabilities] = split(
            floats,
            [
                n * size,
                size * stride,
                width,
                width,
                n * width,
                padded * width,
                width * padded,
                QuantizedScores::floats_len(n, size, width),
                wanted,
            ],
        );
        let [encoded_keys, encoded_values, queries, encoded] = split(
            words,
            [
                n * depth * W::words(isa),
                size * n.div_ceil(W::INPUTS) * W::words(isa),
                width * depth,
                // Queries before they are packed, or a part's probabilities.
                width * depth.max(KEYS_PER_PART.div_ceil(W::INPUTS)),
            ],
        );
        transpose(isa, self.keyed(2, gathered), values, stride);
        let values = Strided { values, stride, width: n, count: size };
        let values = W::encode(isa, values, encoded_values);
        let keys = self.keyed(1, gathered);
        let mut keys = if self.heads.has_quantized_scores {
            Keys::Quantized(QuantizedScores::new(isa, keys, width, bytes, scales))
        } else {
            Keys::Encoded(W::encode(isa, keys, encoded_keys))
        };
        let next_rows = next.as_ref().map_or(0, |next| next.sequence.tokens);
        let mut next_rows = Evenly::new(next_rows, blocks * (key_tiles(n) + value_tiles(n, size)));
        let mut fetch_next = || {
            next_rows.step(|row| next.iter().for_each(|next| next.fetch(row)));
        };
        for block in 0..blocks {
            let first = block * registers / blocks * LANES;
            let end = (block + 1) * registers / blocks * LANES;
            let width = end - first;
            let mut block = Block {
                isa,
                first,
                count: end.min(self.queries) - first,
                width,
                queries: &mut queries[..width * depth],
                encoded,
                scores: &mut scores[..n * width],
                largest: &mut largest[..width],
                sums: &mut sums[..width],
                context: &mut context[..padded * width],
            };
            block.score(self, &mut keys, &mut fetch_next);
            let mut output_rows = Evenly::new(block.count, value_tiles(n, size));
            block.weigh(self, values, || {
                fetch_next();
                output_rows.step(|row| output.fetch(first + row));
            });
            block.write(&output, size, rows, probabilities);
        }
    }

    /// D values of each of `count` tokens: their queries (`part` 0), keys (1) or values (2).
    fn rows(&self, part: usize, token: usize, count: usize) -> Strided<'_> {
        let values = &self.qkv[(3 * token + part) * self.hidden..];
        Strided { values, stride: 3 * self.hidden, width: self.heads.size, count }
    }

    /// Has a token's query, key and value brought nearer.
    fn fetch(&self, token: usize) {
        let parts = if token < self.queries { 0..3 } else { 1..3 };
        parts.for_each(|part| fetch(self.rows(part, token, 1), 0));
    }

    /// As [`rows`](Self::rows), of the tokens that may be attended to; in `buffer` where others are
    /// between them.
    fn keyed<'b>(&'b self, part: usize, buffer: &'b mut [f32]) -> Strided<'b> {
        let (keys, size) = (&self.sequence.keys, self.heads.size);
        if keys.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
            return self.rows(part, keys[0], keys.len());
        }
        for (to, &key) in buffer.chunks_exact_mut(size).zip(keys) {
            to.copy_from_slice(self.rows(part, key, 1).row(0));
        }
        Strided::dense(buffer, size)
    }
}

/// A head's keys as they are multiplied with queries.
enum Keys<'a, W> {
    Encoded(EncodedRows<'a, W>),
    Quantized(QuantizedScores<'a>),
}

/// Some queries of a head, side by side in the columns of panels.
struct Block<'a, W> {
    isa: Isa,
    /// The first query.
    first: usize,
    /// How many there are, in as many columns and some that are filled up with zeros.
    count: usize,
    width: usize,
    /// [D, width]
    queries: &'a mut [W],
    /// Room for what is converted.
    encoded: &'a mut [W],
    /// [n, width], and then the weights.
    scores: &'a mut [f32],
    /// The largest score of each query.
    largest: &'a mut [f32],
    /// The sum of each query's weights.
    sums: &'a mut [f32],
    /// [D, width], D filled up to whole registers.
    context: &'a mut [f32],
}

impl<W: Multiplicand> Block<'_, W> {
    /// Multiplies keys with queries. `before_tile` is called for every tile.
    fn score(
        &mut self,
        head: &HeadInput<'_>,
        keys: &mut Keys<'_, W>,
        mut before_tile: impl FnMut(),
    ) {
        let &mut Self { isa, first, count, width, .. } = self;
        let queries = head.rows(0, first, count);
        self.largest.fill(f32::NEG_INFINITY);
        match keys {
            Keys::Encoded(_) => pack_output_panel(isa, queries, self.queries, self.encoded),
            Keys::Quantized(keys) => keys.pack(queries, width),
        }
        for (part, scores) in self.scores.chunks_mut(KEYS_PER_PART * width).enumerate() {
            let key = part * KEYS_PER_PART;
            match keys {
                &mut Keys::Encoded(EncodedRows { words, stride }) => {
                    let queries = Panel { words: &*self.queries, width };
                    let out = Destination { out: &mut *scores, accumulate: false };
                    let keys = EncodedRows { words: &words[key * stride..], stride };
                    multiply_panel(isa, W::tile, keys, queries, out, &mut before_tile);
                    columns::raise(isa, scores, self.largest);
                }
                Keys::Quantized(keys) => keys.score(key, scores, self.largest, &mut before_tile),
            }
        }
    }

    /// Makes scores weights, and multiplies values with them. `before_tile` is called for every
    /// tile.
    fn weigh(
        &mut self,
        head: &HeadInput<'_>,
        values: EncodedRows<'_, W>,
        mut before_tile: impl FnMut(),
    ) {
        let &mut Self { isa, width, .. } = self;
        // What scores are multiplied by to be exponents of 2.
        let factor = head.heads.scale() * std::f32::consts::LOG2_E;
        self.sums.fill(0.0);
        let context = &mut self.context[..head.heads.size * width];
        for (part, scores) in self.scores.chunks_mut(KEYS_PER_PART * width).enumerate() {
            let key = part * KEYS_PER_PART;
            columns::exponentials(isa, scores, factor, self.largest, self.sums);
            if let Some((dropout, (start, step))) = head.dropout {
                let streams = (start + self.first as u64 * step, step);
                apply_columns(isa, dropout, streams, key as u32, width, scores);
            }
            let words = &values.words[key / W::INPUTS * W::words(isa)..];
            let values = EncodedRows { words, ..values };
            let weights = Panel { words: W::panel(isa, scores, width, self.encoded), width };
            let out = Destination { out: &mut *context, accumulate: part > 0 };
            multiply_panel(isa, W::tile, values, weights, out, &mut before_tile);
        }
    }

    /// Turns columns into rows again.
    fn write(
        &self,
        output: &HeadOutput<'_>,
        size: usize,
        rows: &mut [f32],
        probabilities: &mut [f32],
    ) {
        let &Self { isa, first, count, width, .. } = self;
        let (padded, n) = (self.context.len() / width, self.scores.len() / width);
        transpose(isa, Strided::dense(self.context, width), rows, padded);
        if output.probabilities.is_some() {
            transpose(isa, Strided::dense(self.scores, width), probabilities, n);
        }
        for i in 0..count {
            let probabilities = probabilities.get(i * n..(i + 1) * n).unwrap_or_default();
            output.write(
                isa,
                first + i,
                &rows[i * padded..][..size],
                probabilities,
                1.0 / self.sums[i],
            );
        }
    }
}

/// Tiles of a block's scores, roughly.
fn key_tiles(n: usize) -> usize {
    n.div_ceil(ROWS)
}

/// Tiles of a block's context, all parts of the keys together.
fn value_tiles(n: usize, size: usize) -> usize {
    n.div_ceil(KEYS_PER_PART) * size.div_ceil(ROWS)
}

/// Where one head of one sequence leaves its context and probabilities.
pub(in crate::kernels) struct HeadOutput<'a> {
    pub(in crate::kernels) context: &'a Output<'a>,
    /// The first query's row.
    pub(in crate::kernels) row: usize,
    /// Its columns.
    pub(in crate::kernels) columns: Range<usize>,
    /// Squares of all heads, if they are wanted.
    pub(in crate::kernels) probabilities: Option<&'a Output<'a>>,
    /// Where this head's begins.
    pub(in crate::kernels) square: usize,
    pub(in crate::kernels) tokens: usize,
    pub(in crate::kernels) keys: &'a [usize],
}

impl HeadOutput<'_> {
    /// Has a query's context brought nearer, to be written.
    fn fetch(&self, query: usize) {
        self.context.fetch(self.row + query, &self.columns);
    }

    /// Writes a query's context, and probabilities over the keys if they are wanted, both times
    /// `factor`.
    fn write(&self, isa: Isa, query: usize, context: &[f32], probabilities: &[f32], factor: f32) {
        let (row, columns) = (self.row + query, &self.columns);
        // SAFETY: one task alone writes this head's columns of this sequence's rows, within the
        // context.
        let out = unsafe { self.context.row(row, columns.start, columns.len()) };
        columns::scale(isa, context, factor, out);
        if let Some(squares) = self.probabilities {
            let start = self.square + query * self.tokens;
            // SAFETY: one task alone writes this head's square, which lies within the
            // probabilities.
            let row = unsafe { squares.row(start, 0, self.tokens) };
            self.keys.iter().zip(probabilities).for_each(|(&key, &p)| row[key] = p * factor);
        }
    }
}
