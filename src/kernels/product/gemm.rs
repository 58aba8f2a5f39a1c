//! Products with a packed matrix: `out[T, n] = nonlinearity(a[T, k] · weightᵀ[k, n] + bias)`.
//!
//! The unit of work is a register tile: up to six rows of activations times one panel of up to 64 outputs, over all of
//! k, in registers. Its sums go through a scratch of 1.5 KB that never leaves the first cache, and are scaled back (if
//! they are of bytes), get their bias and nonlinearity on the way out. Every sum runs over k in one fixed order, whatever
//! the tile's shape.

use std::ops::Range;

use crate::kernels::isa::Isa;
use crate::kernels::product::convert::{self, Inputs, Values};
use crate::kernels::product::finish::{Bytes, Finish, ZEROS, finish, finish_quantized};
use crate::kernels::product::output::Output;
use crate::kernels::product::packed::{
    self, Blocking, MAX_PANEL, PackedMatrix, Quantization, pack_panel,
};
use crate::kernels::product::precision::{Encoding, Precision};
use crate::kernels::product::seven_bits;
use crate::kernels::product::tiles::tile::{self, ROWS, Tile};
use crate::kernels::rows::activation::Nonlinearity;
use crate::kernels::threads::parallel::{self, Buffers};
use crate::kernels::threads::split::split;

/// The fewest rows of activations that one task multiplies with one panel: enough to be worth fetching the panel for.
const MIN_ROWS_PER_TASK: usize = 8 * ROWS;

/// Fetching weights takes as long as multiplying them with so many rows.
const ROWS_PER_FETCH: usize = 16;

/// Where bfloat16 is multiplied as `f32`, from so many rows on it is worth turning a whole panel into `f32` first.
const MIN_ROWS_TO_WIDEN: usize = 4 * ROWS;

/// What is done to a product on its way out.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// n values that are added to each row; none if empty.
    pub(crate) bias: &'a [f32],
    /// What is applied after that.
    pub(crate) nonlinearity: Nonlinearity,
}

/// A weight matrix [n, k] in either layout.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    /// Packed beforehand.
    Packed(&'a PackedMatrix),
    /// As rows, for a matrix that is also used otherwise (the word embeddings that the decoder is tied to): each panel
    /// is packed on the fly.
    Rows { rows: &'a [f32], k: usize },
}

impl<'a> Weights<'a> {
    fn n(&self) -> usize {
        match self {
            Self::Packed(matrix) => matrix.n(),
            Self::Rows { rows, k } => rows.len() / k,
        }
    }

    fn k(&self) -> usize {
        match self {
            Self::Packed(matrix) => matrix.k(),
            Self::Rows { k, .. } => *k,
        }
    }

    fn precision(&self) -> Precision {
        match self {
            Self::Packed(matrix) => matrix.precision(),
            Self::Rows { .. } => Precision::F32,
        }
    }

    /// The panel of `f32` with that index, built in `buffer` if need be.
    fn float_panel<'b>(&self, isa: Isa, index: usize, buffer: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match *self {
            Self::Packed(matrix) => matrix.float_panel(index),
            Self::Rows { rows, k } => {
                let n = self.n();
                let blocking = Blocking::of(isa);
                let outputs = blocking.outputs(n, index);
                buffer.resize(blocking.width(n, index) * k, 0.0);
                let rows: Vec<&[f32]> =
                    rows[outputs.start * k..outputs.end * k].chunks_exact(k).collect();
                pack_panel(isa, &rows, k, buffer);
                buffer
            }
        }
    }

    /// The part of the next panel that is multiplied first; empty if there is none that is packed.
    fn next_float_panel(&self, index: usize) -> &'a [f32] {
        match *self {
            Self::Packed(matrix) => packed::floats(matrix.next_panel(index)),
            Self::Rows { .. } => &[],
        }
    }
}

/// `out[T, n] = nonlinearity(a[T, k] · weightsᵀ + bias)`, over the threads of the current rayon pool. The inputs are
/// encoded for the weights' precision.
pub(crate) fn multiply(
    isa: Isa,
    inputs: Inputs<'_>,
    weights: Weights<'_>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    multiply_columns(isa, inputs, weights, 0..weights.n(), epilogue, out);
}

/// As [`multiply`], of certain outputs alone. Columns of `out` that share a panel with them are overwritten, too, with
/// what belongs there; the others are left as they are.
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
        // What is larger in a cache is what tasks that follow each other share: the panel, or the rows.
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
                let operands = Operands::new(values, 1, k, (panel, width), next);
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
                    let operands = Operands::new(inputs, 1, stride, (panel, width), next);
                    return self.tiles(rows, &columns, operands, tile::float, sums, finish);
                }
                let operands = Operands::new(words, encoding.words(), stride, (panel, width), next);
                self.tiles(rows, &columns, operands, tile::bf16, sums, finish);
            }
            (Values::Bytes { words, encoding, steps }, Weights::Packed(matrix)) => {
                let (panel, next) = (matrix.panel(index), matrix.next_panel(index));
                let (words_per_line, stride) =
                    (encoding.words(), panel.len() / width * encoding.words());
                let operands = Operands {
                    pairs: matrix.pairs(index),
                    ..Operands::new(words, words_per_line, stride, (panel, width), next)
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
        // Of a deep panel, a part at a time is multiplied with all rows, while it is in the second cache.
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
        (panel, width): (&'a [W], usize),
        next: &'a [W],
    ) -> Self {
        Self { inputs, words, stride, panel, width, next, pairs: &[] }
    }
}

/// A packed matrix of n outputs, its panels one after the other.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Panels<'a, W> {
    pub(in crate::kernels) panels: &'a [W],
    pub(in crate::kernels) n: usize,
    /// Lines of each panel.
    pub(in crate::kernels) depth: usize,
}

/// `out[rows, n] = inputs · panels`, or with that added to it, on this thread. The inputs are encoded rows, with their
/// stride and number.
pub(in crate::kernels) fn multiply_panels<W: Copy>(
    isa: Isa,
    (inputs, stride, count): (&[W], usize, usize),
    Panels { panels, n, depth }: Panels<'_, W>,
    multiply: impl Fn(Isa, Tile<'_, W>, &mut [u32]),
    (out, accumulate): (&mut [f32], bool),
) {
    let blocking = Blocking::of(isa);
    let mut sums = [0; ROWS * MAX_PANEL];
    for first in (0..count).step_by(ROWS) {
        let rows = ROWS.min(count - first);
        let mut rest = panels;
        for index in 0..n.div_ceil(blocking.panel) {
            let (columns, width) = (blocking.outputs(n, index), blocking.width(n, index));
            let (panel, after) = rest.split_at(width * depth);
            rest = after;
            let inputs = &inputs[first * stride..];
            let tile = Tile {
                inputs,
                stride,
                rows,
                panel,
                depth,
                width,
                accumulate,
                next: &[],
                pairs: &[],
            };
            if accumulate {
                for (i, sums) in sums.chunks_exact_mut(width).enumerate().take(rows) {
                    let out = &out[(first + i) * n..][columns.clone()];
                    sums.iter_mut().zip(out).for_each(|(sum, x)| *sum = x.to_bits());
                }
            }
            multiply(isa, tile, &mut sums);
            for (i, sums) in sums.chunks_exact(width).take(rows).enumerate() {
                let out = &mut out[(first + i) * n..][columns.clone()];
                out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = f32::from_bits(sum));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::product::bytes;
    use crate::kernels::product::convert::InputBuffer;
    use crate::kernels::reference;

    const SIZES: [usize; 9] = [1, 2, 3, 7, 16, 17, 64, 65, 129];

    /// Rounding grows with the length of the sums.
    fn tolerance(k: usize) -> f64 {
        1e-5 * (k as f64 / 129.0).max(1.0)
    }

    /// Every instruction set against the oracle, on sizes that are multiples of nothing.
    #[test]
    fn products_match_the_reference() {
        for rows in [0, 1, 2, 5, 6, 7, 13, 50, 101] {
            for n in SIZES {
                for k in SIZES {
                    check(rows, n, k);
                }
            }
        }
        // Deeper than a part.
        check(13, 65, 2 * 768 + 65);
    }

    fn check(rows: usize, n: usize, k: usize) {
        let a = reference::noise(rows * k, 1, 1.0);
        let b = reference::noise(n * k, 2, 1.0);
        let bias = reference::noise(n, 3, 1.0);
        let plain = reference::matmul(&a, &b, k);
        let biased: Vec<f64> = plain
            .iter()
            .zip(bias.iter().cycle())
            .map(|(&x, &bias)| reference::nonlinearity(Nonlinearity::Gelu, x + f64::from(bias)))
            .collect();
        for isa in Isa::available() {
            let packed = PackedMatrix::new(isa, vec![b.clone()], k, Precision::F32, &[]);
            for weights in [Weights::Packed(&packed), Weights::Rows { rows: &b, k }] {
                let mut out = vec![f32::NAN; rows * n];
                let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
                multiply(isa, Inputs::floats(&a, k), weights, epilogue, &mut out);
                let what = format!("{isa} [{rows}, {k}]·[{k}, {n}]");
                reference::assert_close(&out, &plain, tolerance(k), &what);
                let epilogue = Epilogue { bias: &bias, nonlinearity: Nonlinearity::Gelu };
                multiply(isa, Inputs::floats(&a, k), weights, epilogue, &mut out);
                reference::assert_close(&out, &biased, tolerance(k), &what);
            }
        }
    }

    /// Narrow products against sums over the very same rounded values, and against each other, to the bit.
    #[test]
    fn narrow_products_match_the_reference_on_every_instruction_set() {
        for precision in [Precision::Bf16, Precision::Int8] {
            for rows in [1, 2, 5, 6, 7, 13, 50, 101] {
                for n in SIZES {
                    for k in [1, 2, 3, 4, 5, 7, 16, 17, 64, 65, 130] {
                        check_narrow(precision, rows, n, k);
                    }
                }
            }
            check_narrow(precision, 13, 65, 2 * 768 * precision.inputs_per_word() + 65);
        }
    }

    /// Rounded as weights of that precision are, but for the outliers.
    fn rounded_weights(
        precision: Precision,
        rows: &[f32],
        k: usize,
        outliers: &[usize],
    ) -> Vec<f32> {
        let mut rounded = rows.to_vec();
        match precision {
            Precision::F32 => {}
            Precision::Bf16 => {
                rounded.iter_mut().for_each(|x| *x = half::bf16::from_f32(*x).to_f32())
            }
            Precision::Int8 => bytes::round_weights(&mut rounded, k, outliers),
        }
        rounded
    }

    /// Rounded as activations of that precision are, but for the outliers: in int8 to 254 steps from the least to the largest
    /// of a row, or zero; to what they are encoded as where that is in seven bits.
    fn rounded_inputs(
        isa: Isa,
        precision: Precision,
        rows: &[f32],
        k: usize,
        outliers: &[usize],
    ) -> Vec<f32> {
        if precision != Precision::Int8 {
            return rounded_weights(precision, rows, k, outliers);
        }
        if Encoding::for_weights(precision, isa) == Encoding::Unsigned7 {
            let row = |row: &[f32]| {
                let (mut values, _) =
                    bytes::tests::decoded(isa, Encoding::Unsigned7, row, outliers);
                outliers.iter().for_each(|&channel| values[channel] = row[channel]);
                values
            };
            return rows.chunks(k).flat_map(row).collect();
        }
        let row = |row: &[f32]| -> Vec<f32> {
            let kept = |i: usize| !outliers.contains(&i);
            let others = || row.iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, &x)| x);
            let (low, high) = (others().fold(0.0, f32::min), others().fold(0.0, f32::max));
            let scale = (high - low) / 254.0;
            let zero = (-low / scale).round_ties_even();
            // In double precision, so that it is rounded once.
            let steps = |x: f32| (f64::from(x) + f64::from(zero)).round_ties_even() as f32;
            let value = |(i, &x): (usize, &f32)| match kept(i) && scale > 0.0 {
                true => (steps(x * (1.0 / scale)) - zero) * scale,
                false => x,
            };
            row.iter().enumerate().map(value).collect()
        };
        rows.chunks(k).flat_map(row).collect()
    }

    fn check_narrow(precision: Precision, rows: usize, n: usize, k: usize) {
        let a = reference::noise(rows * k, 1, 1.0);
        check_rounded(precision, &a, n, k, &[]);
        if precision == Precision::Int8 {
            // Nearly all on one side of zero, as the outputs of GELU are, and with channels that are far out.
            let outliers: Vec<usize> = [0, k / 2, k - 1].into_iter().take(k.div_ceil(3)).collect();
            let outliers = if k < 3 { &[][..] } else { &outliers };
            let mut a: Vec<f32> = a.iter().map(|x| (x + 0.8).max(-0.17)).collect();
            for row in a.chunks_mut(k) {
                outliers.iter().for_each(|&channel| row[channel] = 70.0 * row[channel] - 100.0);
            }
            check_rounded(precision, &a, n, k, outliers);
        }
    }

    fn check_rounded(precision: Precision, a: &[f32], n: usize, k: usize, outliers: &[usize]) {
        let rows = a.len() / k;
        let b = reference::noise(n * k, 2, 1.0);
        let bias = reference::noise(n, 3, 1.0);
        let weights = rounded_weights(precision, &b, k, outliers);
        // Of those with eight bits, and of those with seven.
        let mut before: [Option<Vec<f32>>; 2] = [None, None];
        let mut buffer = InputBuffer::default();
        for isa in Isa::available() {
            let inputs = rounded_inputs(isa, precision, a, k, outliers);
            let product = reference::matmul(&inputs, &weights, k);
            let sums = product.iter().zip(bias.iter().cycle());
            let expected: Vec<f64> = sums
                .map(|(&x, &bias)| reference::nonlinearity(Nonlinearity::Relu, x + f64::from(bias)))
                .collect();
            let packed = PackedMatrix::new(isa, vec![b.clone()], k, precision, outliers);
            let mut out = vec![f32::NAN; rows * n];
            let epilogue = Epilogue { bias: &bias, nonlinearity: Nonlinearity::Relu };
            let inputs = buffer.encode(isa, &packed, a);
            multiply(isa, inputs, Weights::Packed(&packed), epilogue, &mut out);
            let what = format!("{isa} {precision} [{rows}, {k}]·[{k}, {n}], outliers {outliers:?}");
            // The outliers are larger, and so is the rounding of their products.
            let tolerance = tolerance(k) * if outliers.is_empty() { 1.0 } else { 100.0 };
            reference::assert_close(&out, &expected, tolerance, &what);
            // Intel's definition of `vdpbf16ps` is what is emulated; that every maker follows it to the bit was not seen.
            // Outliers are of `f32`, which the portable body has no fused multiply-add for.
            let is_defined = match precision {
                Precision::Int8 => outliers.is_empty() || isa.name() != "portable",
                Precision::F32 | Precision::Bf16 => isa.name() != "avx512bf16",
            };
            let of_seven = Encoding::for_weights(precision, isa) == Encoding::Unsigned7;
            let before = &mut before[usize::from(of_seven)];
            if is_defined && let Some(before) = before.replace(out.clone()) {
                assert_eq!(before, out, "{what}: to the bit");
            }
        }
    }

    /// Sums of the largest products there are, which would saturate if they were added up in 16 bits: all weights ±127, all
    /// inputs at the end of their range, in rows with a zero point at either end, in the middle, and with an excess.
    #[test]
    fn products_of_the_largest_bytes_are_exact() {
        let (n, k) = (80, 520);
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        // Outputs with one sign, and with all patterns of signs within two lines.
        let weight = |i: usize, j: usize| if i < 2 { sign(i) } else { sign(i >> (j % 8)) };
        let b: Vec<f32> = (0..n * k).map(|i| weight(i / k, i % k)).collect();
        let row = |value: &dyn Fn(usize) -> f32| (0..k).map(value).collect::<Vec<f32>>();
        let rows = [
            row(&|_| 1.0),
            row(&|_| -1.0),
            row(&sign),
            row(&|i| if i < 3 { -1e-3 } else { 1.0 }),
            // Few are large, so that the others have finer steps.
            row(&|i| if i.is_multiple_of(100) { 1.0 } else { 0.5 }),
            row(&|i| if i.is_multiple_of(100) { -1.0 } else { 0.45 * sign(i) }),
        ];
        let a = rows.concat();
        let mut buffer = InputBuffer::default();
        for isa in Isa::available() {
            let packed = PackedMatrix::new(isa, vec![b.clone()], k, Precision::Int8, &[]);
            let expected = rounded_inputs(isa, Precision::Int8, &a, k, &[]);
            let expected = reference::matmul(&expected, &b, k);
            let mut out = vec![f32::NAN; rows.len() * n];
            let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
            let inputs = buffer.encode(isa, &packed, &a);
            multiply(isa, inputs, Weights::Packed(&packed), epilogue, &mut out);
            // Of sums that have more digits than `f32`; what saturates is missing at least a thousandth.
            reference::assert_close(&out, &expected, 5e-4, isa.name());
        }
    }

    /// Only the panels that were asked for are written.
    #[test]
    fn columns_are_those_of_the_whole_product() {
        let (rows, n, k) = (7, 300, 5);
        let (a, b) = (reference::noise(rows * k, 1, 1.0), reference::noise(n * k, 2, 1.0));
        let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
        for isa in Isa::available() {
            let packed = PackedMatrix::new(isa, vec![b.clone()], k, Precision::F32, &[]);
            let inputs = Inputs::floats(&a, k);
            let mut whole = vec![0.0; rows * n];
            multiply(isa, inputs, Weights::Packed(&packed), epilogue, &mut whole);
            let panel = Blocking::of(isa).panel;
            for columns in [0..1, 100..150, 128..300] {
                // Whole panels.
                let written =
                    columns.start / panel * panel..columns.end.next_multiple_of(panel).min(n);
                let mut part = vec![f32::NAN; rows * n];
                multiply_columns(
                    isa,
                    inputs,
                    Weights::Packed(&packed),
                    columns,
                    epilogue,
                    &mut part,
                );
                for (i, (&found, &expected)) in part.iter().zip(&whole).enumerate() {
                    let is_right =
                        if written.contains(&(i % n)) { found == expected } else { found.is_nan() };
                    assert!(is_right, "{isa}: element {i} is {found}");
                }
            }
        }
    }

    /// A row's product is the same to the bit alone, among others, packed or not, on one thread or two.
    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn a_row_does_not_depend_on_its_company() {
        let (rows, n, k) = (200, 200, 300);
        let outliers = &[7, 150];
        let a = reference::noise(rows * k, 1, 1.0);
        let b = reference::noise(n * k, 2, 1.0);
        let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
        for (isa, precision) in
            Isa::available().flat_map(|isa| Precision::ALL.map(|precision| (isa, precision)))
        {
            let packed = PackedMatrix::new(isa, vec![b.clone()], k, precision, outliers);
            let run = |threads, a: &[f32], weights| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = vec![0.0; a.len() / k * n];
                let mut buffer = InputBuffer::default();
                pool.install(|| {
                    let inputs = buffer.encode(isa, &packed, a);
                    multiply(isa, inputs, weights, epilogue, &mut out);
                });
                out
            };
            let whole = run(1, &a, Weights::Packed(&packed));
            assert_eq!(whole, run(2, &a, Weights::Packed(&packed)));
            if precision == Precision::F32 {
                assert_eq!(whole, run(3, &a, Weights::Rows { rows: &b, k }));
            }
            for i in [0, 5, 99] {
                let alone = run(2, &a[i * k..(i + 1) * k], Weights::Packed(&packed));
                assert_eq!(alone, whole[i * n..(i + 1) * n]);
            }
        }
    }
}
