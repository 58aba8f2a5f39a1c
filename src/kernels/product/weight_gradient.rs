//! Gradients of weights: `dW[n, k] += dYᵀ[n, T] · X[T, k]`, over any number of stretches of tokens.
//!
//! A weight that is used several times, as ALBERT's are, has the sum of its applications'
//! gradients. Here they are stretches of one long product, so that the gradient is gone through
//! once for all of them. Every element is one sum in the order of the stretches and of their
//! tokens, whatever the blocks and whoever computes them.

use std::ops::Range;

use crate::kernels::isa::Isa;
use crate::kernels::product::blocking::{Blocking, LANES};
use crate::kernels::product::convert::Strided;
use crate::kernels::product::fetch::{Evenly, fetch};
use crate::kernels::product::multiplicand::{
    Destination, EncodedRows, Multiplicand, Panel, multiply_panel,
};
use crate::kernels::product::output::Output;
use crate::kernels::product::panels::pack_inputs;
use crate::kernels::product::tiles::tile::ROWS;
use crate::kernels::product::transpose::transpose;
use crate::kernels::rows::vector::sum;
use crate::kernels::threads::parallel::{self, Buffers};
use crate::kernels::threads::split::split;

/// Tokens that are multiplied at a time. Of gradients that many, and of inputs a panel, stay in the
/// second cache: inputs are packed a panel at a time, just before it is used.
const TOKENS: usize = 512;

/// The most rows and columns of a task's block of the gradient: what a task reads is packed once
/// for as many columns or rows.
const MAX_ROWS: usize = 384;
const MAX_COLUMNS: usize = 768;

/// The fewest; less would be packed more often than is multiplied.
const MIN_BLOCK: usize = 192;

/// Tokens of one application: the gradient of its outputs `[T, n]`, and its inputs `[T, k]`.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'a> {
    pub(crate) d_out: Strided<'a>,
    pub(crate) inputs: Strided<'a>,
}

/// The gradients of one linear layer, and what is to be added to them.
pub(crate) struct WeightGradient<'a> {
    /// One or more, all of the same n and k.
    pub(crate) stretches: Vec<Stretch<'a>>,
    /// `[n, k]`.
    pub(crate) weight: &'a mut [f32],
    /// `[n]`; or empty if the layer has no bias.
    pub(crate) bias: &'a mut [f32],
}

/// Adds what stretches of tokens contribute to gradients, in products of `f32` or of bfloat16, over
/// the threads of the current rayon pool.
pub(crate) fn weight_gradients(isa: Isa, is_narrow: bool, gradients: Vec<WeightGradient<'_>>) {
    let gradients: Vec<Shared<'_>> = gradients.into_iter().filter_map(Shared::new).collect();
    let works: Vec<usize> = gradients.iter().map(Shared::work).collect();
    let work = works.iter().copied().fold(0, usize::saturating_add);
    let per_task = work / (4 * parallel::threads());
    let tasks: Vec<Task<'_, '_>> = gradients
        .iter()
        .zip(works)
        .flat_map(|(gradient, work)| gradient.tasks(isa, work > per_task))
        .collect();
    parallel::for_each(work, tasks.len(), |buffers, index| {
        let Buffers { floats, more_floats, words, .. } = buffers;
        if is_narrow {
            tasks[index].run::<u32>(isa, floats, words);
        } else {
            tasks[index].run::<f32>(isa, floats, more_floats);
        }
    });
}

/// A gradient that tasks write disjoint parts of.
struct Shared<'a> {
    stretches: Vec<Stretch<'a>>,
    weight: Output<'a>,
    bias: Option<Output<'a>>,
    n: usize,
    k: usize,
}

/// A block of a gradient.
struct Task<'s, 'a> {
    gradient: &'s Shared<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> Shared<'a> {
    fn new(gradient: WeightGradient<'a>) -> Option<Self> {
        let WeightGradient { stretches, weight, bias } = gradient;
        let first = stretches.first()?;
        let (n, k) = (first.d_out.width, first.inputs.width);
        assert_eq!(weight.len(), n * k, "a gradient [{n}, {k}]");
        assert!(bias.is_empty() || bias.len() == n, "a bias [{n}]");
        for Stretch { d_out, inputs } in &stretches {
            assert_eq!((d_out.width, inputs.width), (n, k), "all of one layer");
            assert_eq!(d_out.count, inputs.count, "of the same tokens");
        }
        let bias = (!bias.is_empty()).then(|| Output::new(bias, n));
        Some(Self { stretches, weight: Output::new(weight, k), bias, n, k })
    }

    fn work(&self) -> usize {
        parallel::work([self.n, self.k, self.stretches.iter().map(|s| s.d_out.count).sum()])
    }

    fn tasks(&self, isa: Isa, is_large: bool) -> impl Iterator<Item = Task<'_, 'a>> {
        let panel = Blocking::of(isa).panel;
        // Even blocks, in whole tiles.
        let size = |len: usize, most: usize, unit: usize| {
            len.div_ceil(len.div_ceil(most).max(1)).next_multiple_of(unit)
        };
        let most = if is_large { self.n.div_ceil(2).clamp(MIN_BLOCK, MAX_ROWS) } else { MAX_ROWS };
        let (rows, columns) = (size(self.n, most, ROWS), size(self.k, MAX_COLUMNS, panel));
        let blocks = |len: usize, size: usize| {
            (0..len).step_by(size).map(move |start| start..len.min(start + size))
        };
        blocks(self.k, columns).flat_map(move |columns| {
            blocks(self.n, rows).map(move |rows| Task {
                gradient: self,
                rows,
                columns: columns.clone(),
            })
        })
    }
}

impl Task<'_, '_> {
    fn run<W: Multiplicand>(&self, isa: Isa, floats: &mut Vec<f32>, words: &mut Vec<W>) {
        let blocking = Blocking::of(isa);
        let (rows, columns) = (self.rows.len(), self.columns.len());
        let depth = TOKENS.div_ceil(W::INPUTS);
        let [transposed, block] =
            split(floats, [rows * TOKENS, rows * columns.next_multiple_of(LANES)]);
        let [panel, encoded] = split(words, [blocking.panel * depth, rows * depth * W::words(isa)]);
        self.copy(blocking, block, |block, gradient| block.copy_from_slice(gradient));
        for stretch in &self.gradient.stretches {
            for first in (0..stretch.d_out.count).step_by(TOKENS) {
                let count = TOKENS.min(stretch.d_out.count - first);
                let d_out = stretch.d_out.part(first, count, self.rows.clone());
                let inputs = stretch.inputs.part(first, count, self.columns.clone());
                let transposed = &mut transposed[..rows * count];
                transpose(isa, d_out, transposed, count);
                if self.columns.start == 0 {
                    self.add_bias(transposed, count);
                }
                let transposed =
                    Strided { values: transposed, stride: count, width: count, count: rows };
                let encoded = W::encode(isa, transposed, encoded);
                multiply(isa, encoded, inputs, panel, block);
            }
        }
        self.copy(blocking, block, |block, gradient| gradient.copy_from_slice(block));
    }

    /// Copies rows of the block's panels from or to the gradient.
    fn copy(&self, blocking: Blocking, block: &mut [f32], copy: impl Fn(&mut [f32], &mut [f32])) {
        let mut rest = block;
        for index in 0..self.columns.len().div_ceil(blocking.panel) {
            let columns = blocking.outputs(self.columns.len(), index);
            let width = blocking.width(self.columns.len(), index);
            let (panel, others) = rest.split_at_mut(self.rows.len() * width);
            rest = others;
            for (row, block) in self.rows.clone().zip(panel.chunks_exact_mut(width)) {
                let first = self.columns.start + columns.start;
                // SAFETY: this task alone reads and writes this block of the gradient.
                let gradient = unsafe { self.gradient.weight.row(row, first, columns.len()) };
                copy(&mut block[..columns.len()], gradient);
            }
        }
    }

    /// Adds up the rows of transposed gradients of outputs.
    fn add_bias(&self, transposed: &[f32], count: usize) {
        let Some(bias) = &self.gradient.bias else { return };
        // SAFETY: of all tasks of these rows, the one whose columns begin at 0 alone writes their
        // biases.
        let bias = unsafe { bias.row(0, self.rows.start, self.rows.len()) };
        for (bias, row) in bias.iter_mut().zip(transposed.chunks_exact(count)) {
            *bias += sum(row, |x| x);
        }
    }
}

/// Adds the product of some tokens to a block, panel by panel: of `rows` (with their stride), as
/// many as the block has, and of `inputs`, a panel of which is packed at a time.
fn multiply<W: Multiplicand>(
    isa: Isa,
    rows: EncodedRows<'_, W>,
    inputs: Strided<'_>,
    panel: &mut [W],
    block: &mut [f32],
) {
    let blocking = Blocking::of(isa);
    let depth = inputs.count.div_ceil(W::INPUTS);
    let height = block.len() / inputs.width.next_multiple_of(LANES);
    let part = |index: usize| {
        let columns = blocking.outputs(inputs.width, index);
        inputs.part(0, inputs.count, columns)
    };
    let (count, tiles) = (inputs.width.div_ceil(blocking.panel), height.div_ceil(ROWS));
    let mut rest = block;
    for index in 0..count {
        let width = blocking.width(inputs.width, index);
        let panel = &mut panel[..width * depth];
        pack_inputs(isa, part(index), panel);
        let (sums, others) = rest.split_at_mut(height * width);
        rest = others;
        // What comes next is brought nearer while this is multiplied.
        let next = (index + 1 < count).then(|| part(index + 1));
        let mut fetches = Evenly::new(next.map_or(0, |next| next.count), tiles);
        let before_tile = || next.iter().for_each(|next| fetches.step(|row| fetch(*next, row)));
        let panel = Panel { words: &*panel, width };
        let to = Destination { out: sums, accumulate: true };
        multiply_panel(isa, W::tile, rows, panel, to, before_tile);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::product::convert;
    use crate::kernels::reference;

    #[test]
    fn gradients_match_the_reference() {
        let sizes = [
            (1, 1, 1),
            (3, 7, 2),
            (17, 65, 130),
            (65, 64, 300),
            (7, 129, 257),
            (200, 400, 9),
            (5, 70, 1030),
        ];
        for isa in Isa::available() {
            for is_narrow in [false, true] {
                sizes.iter().for_each(|&sizes| check(isa, is_narrow, sizes));
            }
        }
    }

    fn check(isa: Isa, is_narrow: bool, (n, k, tokens): (usize, usize, usize)) {
        let round = |x: f32| if is_narrow { convert::from_bf16(convert::bf16(x)) } else { x };
        // Two applications, the second of one token only; rows with something between them.
        let (d_stride, x_stride) = (n + 2, k + 1);
        let d = reference::noise((tokens + 1) * d_stride, 1, 1.0);
        let x = reference::noise((tokens + 1) * x_stride, 2, 1.0);
        let stretch = |first: usize, count: usize| Stretch {
            d_out: Strided { values: &d[first * d_stride..], stride: d_stride, width: n, count },
            inputs: Strided { values: &x[first * x_stride..], stride: x_stride, width: k, count },
        };
        let mut weight = reference::noise(n * k, 3, 1.0);
        let mut bias = reference::noise(n, 4, 1.0);
        let mut expected: Vec<f64> = weight.iter().map(|&x| f64::from(x)).collect();
        let mut expected_bias: Vec<f64> = bias.iter().map(|&x| f64::from(x)).collect();
        for token in 0..=tokens {
            for i in 0..n {
                let d = d[token * d_stride + i];
                expected_bias[i] += f64::from(d);
                for j in 0..k {
                    let product = f64::from(round(d)) * f64::from(round(x[token * x_stride + j]));
                    expected[i * k + j] += product;
                }
            }
        }
        let stretches = vec![stretch(0, tokens), stretch(tokens, 1)];
        let gradient = WeightGradient { stretches, weight: &mut weight, bias: &mut bias };
        weight_gradients(isa, is_narrow, vec![gradient]);
        let what = format!("{isa} {n}×{k} over {tokens}");
        // Rounding grows with the length of the sums.
        let tolerance = 2e-5 * (tokens as f64 / 300.0).max(1.0);
        reference::assert_close(&weight, &expected, tolerance, &what);
        reference::assert_close(&bias, &expected_bias, tolerance, &what);
    }

    /// One call for two applications gives the bits of two calls, on any number of threads.
    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn the_order_of_sums_is_that_of_the_tokens() {
        let (n, k, tokens) = (400, 500, 300);
        let d = reference::noise(2 * tokens * n, 1, 1.0);
        let x = reference::noise(2 * tokens * k, 2, 1.0);
        let stretch = |index: usize| Stretch {
            d_out: Strided { values: &d[index * tokens * n..], stride: n, width: n, count: tokens },
            inputs: Strided {
                values: &x[index * tokens * k..],
                stride: k,
                width: k,
                count: tokens,
            },
        };
        for isa in Isa::available() {
            for is_narrow in [false, true] {
                let run = |calls: Vec<Vec<Stretch<'_>>>, threads: usize| {
                    let (mut weight, mut bias) = (vec![0.0; n * k], vec![0.0; n]);
                    let pool =
                        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    for stretches in calls {
                        let gradient =
                            WeightGradient { stretches, weight: &mut weight, bias: &mut bias };
                        pool.install(|| weight_gradients(isa, is_narrow, vec![gradient]));
                    }
                    (weight, bias)
                };
                let once = run(vec![vec![stretch(0), stretch(1)]], 1);
                assert_eq!(once, run(vec![vec![stretch(0)], vec![stretch(1)]], 1));
                assert_eq!(once, run(vec![vec![stretch(0), stretch(1)]], 3));
            }
        }
    }
}
