//! A LayerNorm that goes both ways, and passes over rows that need no more than values at the same place.

use std::ops::Range;

use rayon::prelude::*;

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
        let block = parallel::rows_per_task(factors.len(), width).unwrap_or(factors.len()).max(1);
        let blocks = rows
            .par_chunks_mut(block * width)
            .zip(out.par_chunks_mut(block * width))
            .zip(factors.par_chunks_mut(block))
            .enumerate();
        blocks.for_each(|(i, ((rows, out), factors))| {
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
        match parallel::rows_per_task(d_out.len() / width, width) {
            None => tasks.into_iter().for_each(run),
            Some(_) => tasks.into_par_iter().for_each(run),
        }
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
    match parallel::rows_per_task(values.len() / width, width) {
        None => pass(values, others),
        Some(block) => values
            .par_chunks_mut(block * width)
            .zip(others.par_chunks(block * width))
            .for_each(|(values, others)| pass(values, others)),
    }
}
