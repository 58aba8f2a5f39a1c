//! Products with a packed matrix: `out[T, n] = nonlinearity(a[T, k] · weightᵀ[k, n] + bias)`.
//!
//! The unit of work is a register tile: up to six rows of activations times one panel of up to 64
//! outputs, over all of k, in registers. Its sums go through a scratch of 1.5 KB that never leaves
//! the first cache, and are scaled back (if they are of bytes), get their bias and nonlinearity on
//! the way out. Every sum runs over k in one fixed order, whatever the tile's shape.

use std::ops::Range;

use crate::kernels::isa::Isa;
use crate::kernels::product::blocking::Blocking;
use crate::kernels::product::convert::{self, Inputs, Values};
use crate::kernels::product::finish::{Bytes, Finish, ZEROS, finish, finish_quantized};
use crate::kernels::product::multiplicand::Panel;
use crate::kernels::product::output::Output;
use crate::kernels::product::packed::{self, Quantization};
use crate::kernels::product::precision::Encoding;
use crate::kernels::product::seven_bits;
use crate::kernels::product::tiles::tile::{self, ROWS, Tile};
pub(crate) use crate::kernels::product::weights::Weights;
use crate::kernels::rows::activation::Nonlinearity;
use crate::kernels::threads::parallel::{self, Buffers};
use crate::kernels::threads::split::split;

/// The fewest rows of activations that one task multiplies with one panel: enough to be worth
/// fetching the panel for.
const MIN_ROWS_PER_TASK: usize = 8 * ROWS;

/// Fetching weights takes as long as multiplying them with so many rows.
const ROWS_PER_FETCH: usize = 16;

/// Where bfloat16 is multiplied as `f32`, from so many rows on it is worth turning a whole panel
/// into `f32` first.
const MIN_ROWS_TO_WIDEN: usize = 4 * ROWS;

/// What is done to a product on its way out.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// n values that are added to each row; none if empty.
    pub(crate) bias: &'a [f32],
    /// What is applied after that.
    pub(crate) nonlinearity: Nonlinearity,
}

/// `out[T, n] = nonlinearity(a[T, k] · weightsᵀ + bias)`, over the threads of the current rayon
/// pool. The inputs are encoded for the weights' precision.
pub(crate) fn multiply(
    isa: Isa,
    inputs: Inputs<'_>,
    weights: Weights<'_>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    multiply_columns(isa, inputs, weights, 0..weights.n(), epilogue, out);
}

/// As [`multiply`], of certain outputs alone. Columns of `out` that share a panel with them are
/// overwritten, too, with what belongs there; the others are left as they are.
pub(crate) fn multiply_columns(
    isa: Isa,
    inputs: Inputs<'_>,
    weights: Weights<'_>,
    columns: Range<usize>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    let (n, rows) = (weights.n(), inputs.rows);
    assert_eq!((inputs.k, inputs.precision), (weights.k(), weights.precision()), "inputs fit");
    assert_eq!(out.len(), rows * n, "outputs [T, {n}]");
    assert!(epilogue.bias.is_empty() || epilogue.bias.len() == n, "bias [{n}]");
    assert!(columns.start <= columns.end && columns.end <= n, "columns of {n}");
    let blocking = Blocking::of(isa);
    if let Weights::Packed(matrix) = weights {
        assert_eq!(matrix.blocking(), blocking, "packed for another instruction set");
    }
    let panels = columns.start / blocking.panel..columns.end.div_ceil(blocking.panel);
    let rows_per_task = match weights {
        Weights::Packed(_) => rows.div_ceil(parallel::pieces(panels.len())),
        // Packing a panel costs as much as a few rows' products, so it is done once for all rows.
        Weights::Rows { .. } => rows,
    };
    let rows_per_task =
        rows_per_task.min(blocking.rows).next_multiple_of(ROWS).max(MIN_ROWS_PER_TASK);
    let blocks = rows.div_ceil(rows_per_task);
    let product = Product { isa, inputs, weights, epilogue, out: Output::new(out, n) };
    let work =
        parallel::work([rows.max(ROWS_PER_FETCH), weights.k(), panels.len(), blocking.panel]);
    parallel::for_each(work, panels.len() * blocks, |buffers, task| {
        // What is larger in a cache is what tasks that follow each other share: the panel, or the
        // rows.
        let (index, block) = if rows_per_task < blocking.rows {
            (task / blocks, task % blocks)
        } else {
            (task % panels.len(), task / panels.len())
        };
        let rows = block * rows_per_task..rows.min((block + 1) * rows_per_task);
        product.panel(panels.start + index, rows, buffers);
    });
}

/// What all tasks of one product share.
struct Product<'a> {
    isa: Isa,
    inputs: Inputs<'a>,
    weights: Weights<'a>,
    epilogue: Epilogue<'a>,
    out: Output<'a>,
}

impl Product<'_> {
    /// Some rows times one panel.
    fn panel(&self, index: usize, rows: Range<usize>, buffers: &mut Buffers) {
        let (isa, n, k) = (self.isa, self.weights.n(), self.inputs.k);
        let Buffers { floats, sums, .. } = buffers;
        let blocking = Blocking::of(isa);
        let (columns, width) = (blocking.outputs(n, index), blocking.width(n, index));
        let nonlinearity = self.epilogue.nonlinearity;
        let finish = |tile: Finish<'_>| finish(isa, tile, nonlinearity);
        match (self.inputs.values, self.weights) {
            (Values::Floats(values), weights) => {
                let panel = weights.float_panel(isa, index, floats);
                let next = weights.next_float_panel(index);
                let operands = Operands::new(values, 1, k, Panel { words: panel, width }, next);
                self.tiles(rows, &columns, operands, tile::float, sums, finish);
            }
            (Values::Halves { words, encoding }, Weights::Packed(matrix)) => {
                let (panel, next) = (matrix.panel(index), matrix.next_panel(index));
                let stride = panel.len() / width * encoding.words();
                if encoding == Encoding::Bf16Split && rows.len() >= MIN_ROWS_TO_WIDEN {
                    // Inputs are `f32` already, in the order that a widened panel has.
                    floats.resize(floats.len().max(2 * panel.len()), 0.0);
                    let widened = &mut floats[..2 * panel.len()];
                    convert::widen(isa, panel, width, widened);
                    let (inputs, next) = (packed::floats(words), packed::floats(next));
                    let panel = &*widened;
                    let operands =
                        Operands::new(inputs, 1, stride, Panel { words: panel, width }, next);
                    return self.tiles(rows, &columns, operands, tile::float, sums, finish);
                }
                let operands = Operands::new(
                    words,
                    encoding.words(),
                    stride,
                    Panel { words: panel, width },
                    next,
                );
                self.tiles(rows, &columns, operands, tile::bf16, sums, finish);
            }
            (Values::Bytes { words, encoding, steps }, Weights::Packed(matrix)) => {
                let (panel, next) = (matrix.panel(index), matrix.next_panel(index));
                let (words_per_line, stride) =
                    (encoding.words(), panel.len() / width * encoding.words());
                let operands = Operands {
                    pairs: matrix.pairs(index),
                    ..Operands::new(
                        words,
                        words_per_line,
                        stride,
                        Panel { words: panel, width },
                        next,
                    )
                };
                let Quantization { scales, sums: totals, .. } = matrix.quantization();
                let (scales, totals) = (&scales[columns.clone()], &totals[columns.clone()]);
                let outliers = matrix.outlier_panel(index);
                self.tiles(rows, &columns, operands, tile::int8_weights, sums, |finish| {
                    if !steps.excess.is_empty() {
                        let (rows, sums) = (finish.rows.clone(), &mut *finish.sums);
                        seven_bits::add_excess(isa, steps.excess, rows, k, panel, width, sums);
                    }
                    let tile = Bytes { finish, steps, scales, sums: totals, outliers };
                    finish_quantized(isa, tile, nonlinearity);
                });
            }
            (Values::Halves { .. } | Values::Bytes { .. }, Weights::Rows { .. }) => {
                unreachable!("rows are of f32")
            }
        }
    }

    /// Cuts rows into tiles, computes each, and brings its sums to where they belong.
    fn tiles<W: Copy>(
        &self,
        rows: Range<usize>,
        columns: &Range<usize>,
        operands: Operands<'_, W>,
        multiply: impl Fn(Isa, Tile<'_, W>, &mut [u32]),
        sums: &mut Vec<u32>,
        mut finish: impl FnMut(Finish<'_>),
    ) {
        let Operands { inputs, words, stride, panel, width, next, pairs } = operands;
        let bias = match self.epilogue.bias {
            [] => &ZEROS[..columns.len()],
            bias => &bias[columns.clone()],
        };
        // Tiles of nearly the same height: eight rows are twice four, not six and two.
        let tiles = rows.len().div_ceil(ROWS);
        let (height, higher) = (rows.len() / tiles, rows.len() % tiles);
        // Of a deep panel, a part at a time is multiplied with all rows, while it is in the second
        // cache.
        let Blocking { depth, .. } = Blocking::of(self.isa);
        let parts = panel.len().div_ceil(depth * width).max(1);
        // Sums of all tiles are kept until the last part, if there are several.
        let kept = if parts == 1 { 1 } else { tiles };
        let [sums] = split(sums, [kept * ROWS * width]);
        let mut panels = panel.chunks(depth * width).enumerate().peekable();
        let mut pairs_of_parts = pairs.chunks(depth / 2);
        while let Some((part, panel)) = panels.next() {
            let lines = panel.len() / width;
            let pairs = pairs_of_parts.next().unwrap_or_default();
            let mut next = panels.peek().map_or(next, |(_, panel)| panel);
            let share = next.len().div_ceil(tiles);
            let is_last = part + 1 == parts;
            let mut end = rows.start;
            for tile in 0..tiles {
                let rows = end..end + height + usize::from(tile < higher);
                end = rows.end;
                let first = if kept == 1 { 0 } else { tile * ROWS * width };
                let sums = &mut sums[first..first + ROWS * width];
                let (of_next, others) = next.split_at(share.min(next.len()));
                next = others;
                let tile = Tile {
                    inputs: &inputs[rows.start * stride + part * depth * words..],
                    stride,
                    rows: rows.len(),
                    panel,
                    depth: lines,
                    width,
                    accumulate: part > 0,
                    next: of_next,
                    pairs,
                };
                multiply(self.isa, tile, sums);
                if is_last {
                    let (out, columns) = (&self.out, columns.clone());
                    finish(Finish { sums, width, bias, out, rows, columns });
                }
            }
        }
    }
}

/// All rows of activations, and one panel.
struct Operands<'a, W> {
    inputs: &'a [W],
    /// Words of a row per line of the panel.
    words: usize,
    /// Words from row to row.
    stride: usize,
    panel: &'a [W],
    width: usize,
    /// The start of the panel that comes after this one.
    next: &'a [W],
    /// See [`Tile::pairs`].
    pairs: &'a [u8],
}

impl<'a, W> Operands<'a, W> {
    fn new(
        inputs: &'a [W],
        words: usize,
        stride: usize,
        Panel { words: panel, width }: Panel<'a, W>,
        next: &'a [W],
    ) -> Self {
        Self { inputs, words, stride, panel, width, next, pairs: &[] }
    }
}

#[cfg(test)]
mod tests;
