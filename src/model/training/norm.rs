//! A LayerNorm with forward and backward passes, and element-wise passes over rows.

use std::ops::Range;

use crate::kernels::attention::{Sequence, first_row};
use crate::kernels::{Isa, backward, parallel, vector};
use crate::nn::{LayerNorm, contiguous, contiguous_mut};

/// Tokens whose gradients of a LayerNorm's parameters are summed up as one. Such parts, rather than what a thread happens
/// to do, are what is added up, so that sums do not depend on threads.
const PART: usize = 64;

/// A layer normalisation in training.
#[derive(Clone, Copy)]
pub(super) struct TrainingNorm<'a> {
    pub(super) isa: Isa,
    pub(super) parameters: &'a LayerNorm,
    pub(super) eps: f64,
}

/// What the backward pass reads, of some rows.
pub(super) struct SavedNorm<'a> {
    /// Before the forward pass, what is normalised; after it, the normalised values; after the backward pass, the
    /// gradient of what was normalised. `[T, H]`.
    pub(super) rows: &'a mut [f32],
    /// `[T]`.
    pub(super) factors: &'a mut [f32],
    /// Gradients of weight and bias of each part of the tokens, `[P, 2, H]`.
    pub(super) parts: &'a mut [f32],
}

impl TrainingNorm<'_> {
    /// LayerNorm of the saved rows + `residual`, into `out`.
    pub(super) fn forward(&self, residual: &[f32], saved: &mut SavedNorm<'_>, out: &mut [f32]) {
        let (weight, bias) = (&self.parameters.weight, &self.parameters.bias);
        let eps = self.eps as f32;
        let norm = vector::Norm { weight: contiguous(weight), bias: contiguous(bias), eps };
        let SavedNorm { rows, factors, .. } = saved;
        let width = weight.len();
        let block = parallel::rows_per_task(factors.len(), width);
        let blocks = rows
            .chunks_mut(block * width)
            .zip(out.chunks_mut(block * width))
            .zip(factors.chunks_mut(block))
            .enumerate();
        parallel::for_each_part(blocks, |(i, ((rows, out), factors))| {
            let start = i * block * width;
            let residual =
                if residual.is_empty() { residual } else { &residual[start..start + rows.len()] };
            backward::layer_norm_saving(self.isa, norm, residual, rows, factors, out);
        });
    }

    /// Makes the saved rows the gradient of what was normalised, given that of the output.
    pub(super) fn backward(
        &self,
        sequences: &[Sequence],
        saved: &mut SavedNorm<'_>,
        d_out: &[f32],
    ) {
        let weight = contiguous(&self.parameters.weight);
        let width = weight.len();
        let SavedNorm { rows, factors, parts: gradients } = saved;
        let ranges = parts(sequences);
        assert_eq!(gradients.len(), ranges.len() * 2 * width, "gradients of each part");
        let mut tasks = Vec::with_capacity(ranges.len());
        let (mut rows, mut factors) = (&mut **rows, &**factors);
        for (range, gradients) in ranges.into_iter().zip(gradients.chunks_exact_mut(2 * width)) {
            let (part, rest) = rows.split_at_mut(range.len() * width);
            let (of_part, others) = factors.split_at(range.len());
            (rows, factors) = (rest, others);
            tasks.push((part, of_part, &d_out[range.start * width..range.end * width], gradients));
        }
        let run = |(rows, factors, d_out, gradients): (&mut [f32], &[f32], &[f32], &mut [f32])| {
            gradients.fill(0.0);
            let (d_weight, d_bias) = gradients.split_at_mut(width);
            backward::layer_norm_backward(self.isa, weight, rows, factors, d_out, d_weight, d_bias);
        };
        parallel::for_each_part(tasks.into_iter(), run);
    }
}

/// Adds the gradients of all parts of the tokens to those of weight and bias.
pub(super) fn add_parts(parts: &[f32], gradient: &mut LayerNorm) {
    let width = gradient.weight.len();
    let (weight, bias) = (contiguous_mut(&mut gradient.weight), contiguous_mut(&mut gradient.bias));
    for part in parts.chunks_exact(2 * width) {
        let (d_weight, d_bias) = part.split_at(width);
        weight.iter_mut().zip(d_weight).for_each(|(sum, d)| *sum += d);
        bias.iter_mut().zip(d_bias).for_each(|(sum, d)| *sum += d);
    }
}

/// The rows of each part of some sequences' tokens, counted from the first sequence's first.
pub(super) fn parts(sequences: &[Sequence]) -> Vec<Range<usize>> {
    let base = first_row(sequences);
    sequences
        .iter()
        .flat_map(|s| {
            let (start, end) = (s.start - base, s.start - base + s.tokens);
            (start..end).step_by(PART).map(move |first| first..end.min(first + PART))
        })
        .collect()
}

/// Runs `pass` over pieces of rows, on several threads where that is worth it. Each value must depend on those at the
/// same place alone.
pub(super) fn each(
    width: usize,
    values: &mut [f32],
    others: &[f32],
    pass: impl Fn(&mut [f32], &[f32]) + Sync,
) {
    let block = parallel::rows_per_task(values.len() / width, width);
    let parts = values.chunks_mut(block * width).zip(others.chunks(block * width));
    parallel::for_each_part(parts, |(values, others)| pass(values, others));
}

#[cfg(test)]
mod tests {
    use rayon::ThreadPoolBuilder;

    use super::super::saved::NormBuffers;
    use super::*;
    use crate::kernels::reference::noise;

    fn sequence(start: usize, tokens: usize) -> Sequence {
        Sequence { start, tokens, keys: Vec::new() }
    }

    #[test]
    fn parts_end_with_their_sequence_and_leave_nothing_out() {
        let sequences = [sequence(5, 1), sequence(6, 64), sequence(70, 65), sequence(135, 130)];
        let expected = [0..1, 1..65, 65..129, 129..130, 130..194, 194..258, 258..260];
        assert_eq!(parts(&sequences), expected);
        assert!(parts(&[]).is_empty());
    }

    /// Enough values for passes to be split over threads.
    const WIDTH: usize = 40;
    const SEQUENCES: [usize; 4] = [3000, 1, 64, 4000];

    fn on<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
        ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
    }

    /// The output, the gradient of the input, and that of weight and bias.
    fn both_ways(isa: Isa) -> (Vec<f32>, Vec<f32>, LayerNorm) {
        let sequences: Vec<Sequence> = SEQUENCES
            .into_iter()
            .scan(0, |start, tokens| {
                *start += tokens;
                Some(sequence(*start - tokens, tokens))
            })
            .collect();
        let tokens = SEQUENCES.iter().sum();
        let [x, residual, d] = [1, 2, 3].map(|seed| noise(tokens * WIDTH, seed, 1.0));
        let parameters =
            LayerNorm { weight: noise(WIDTH, 4, 1.0).into(), bias: noise(WIDTH, 5, 1.0).into() };
        let norm = TrainingNorm { isa, parameters: &parameters, eps: 1e-12 };
        let mut buffers = NormBuffers::default();
        buffers.resize(WIDTH, tokens, parts(&sequences).len());
        buffers.rows.copy_from_slice(&x);
        // A backward pass does not depend on what the last one left.
        buffers.parts.fill(7.0);
        let mut out = vec![0.0; x.len()];
        norm.forward(&residual, &mut buffers.all(), &mut out);
        norm.backward(&sequences, &mut buffers.all(), &d);
        let mut gradient =
            LayerNorm { weight: vec![1.0; WIDTH].into(), bias: vec![2.0; WIDTH].into() };
        add_parts(&buffers.parts, &mut gradient);
        (out, buffers.rows, gradient)
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn threads_share_a_norm_and_change_nothing() {
        for isa in Isa::available() {
            let [one, three] = [1, 3].map(|threads| on(threads, || both_ways(isa)));
            assert!(one == three, "{isa}");
        }
    }

    #[test]
    fn the_gradient_of_a_bias_is_the_sum_over_all_tokens() {
        let isa = Isa::available().next().unwrap();
        let (_, _, gradient) = both_ways(isa);
        let tokens: usize = SEQUENCES.iter().sum();
        let d = noise(tokens * WIDTH, 3, 1.0);
        for (column, found) in gradient.bias.iter().enumerate() {
            let sum: f64 = d.iter().skip(column).step_by(WIDTH).map(|&d| f64::from(d)).sum();
            assert!((f64::from(*found) - 2.0 - sum).abs() < 1e-3, "{found} {sum}");
        }
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn passes_over_values_reach_each_of_them_once() {
        for threads in [1, 3] {
            for rows in [1, 7001] {
                let others = noise(rows * WIDTH, 6, 1.0);
                let mut values = others.clone();
                let pass = |values: &mut [f32], others: &[f32]| {
                    values.iter_mut().zip(others).for_each(|(value, other)| *value += other);
                };
                on(threads, || each(WIDTH, &mut values, &others, pass));
                assert!(values.iter().zip(&others).all(|(sum, x)| *sum == 2.0 * x));
            }
        }
    }
}
