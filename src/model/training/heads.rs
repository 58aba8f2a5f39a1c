//! Heads and their losses, forward and backward.

use ndarray::{Array2, ArrayView2, Axis};

use super::backbone::BackboneStates;
use super::wanted::Wanted;
use super::{LossOutput, LossTerm, TrainingOptions};
use crate::batch::Batch;
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::kernels::activation::Nonlinearity;
use crate::kernels::convert::{Inputs, Strided};
use crate::kernels::dropout::Dropout;
use crate::kernels::gemm::{Epilogue, Weights, multiply};
use crate::kernels::packed::PackedMatrix;
use crate::kernels::weight_gradient::{Stretch, weight_gradients};
use crate::kernels::{Isa, Precision};
use crate::model::albert::no_pooler;
use crate::nn::{Linear, PackedLinear, contiguous, contiguous_mut};

/// What a head and its loss get to see.
pub struct HeadPass<'a> {
    pub(super) isa: Isa,
    pub(super) config: &'a AlbertConfig,
    pub(super) options: TrainingOptions,
    pub(super) batch: &'a Batch,
    /// The word embeddings `[V, E]`, as used by a tied masked-LM decoder.
    pub(super) words: &'a Array2<f32>,
    /// The tokens whose states were computed.
    pub(super) wanted: &'a Wanted,
    pub(super) states: &'a BackboneStates,
    /// The seed of dropout; `None` without dropout.
    pub(super) seed: Option<u64>,
    /// What gradients are multiplied by.
    pub(super) scale: f32,
}

/// What a head is to do.
pub struct HeadTask<'a, H, L> {
    pub(super) pass: &'a HeadPass<'a>,
    pub(super) head: &'a H,
    pub(super) labels: &'a L,
    /// None for a loss alone.
    pub(super) gradients: Option<HeadGradients<'a, H>>,
}

/// Where a head's gradients go: those of parameters are added to, those of states are 0 before.
pub struct HeadGradients<'g, H> {
    pub(super) head: &'g mut H,
    pub(super) words: &'g mut Array2<f32>,
    pub(super) states: &'g mut BackboneStates,
}

/// A linear layer of a head on some rows, after dropout.
pub(super) struct Classified {
    /// What the layer read, `[N, H]`.
    inputs: Array2<f32>,
    dropout: Option<Dropout>,
    /// `[N, C]`; then their gradients.
    pub(super) logits: Array2<f32>,
}

impl HeadPass<'_> {
    /// The pooled output.
    ///
    /// # Errors
    /// If there is no pooler.
    pub(super) fn pooled(&self) -> Result<ArrayView2<'_, f32>> {
        let pooled = self.states.pooled.as_ref().ok_or_else(no_pooler)?;
        Ok(pooled.view())
    }

    /// The dropout before a classifier: that after the last layer or, of an exit, after a layer
    /// before.
    pub(super) fn dropout(&self, rate: Option<f64>, exit: Option<usize>) -> Option<Dropout> {
        // Places in layers count from 0 on.
        let place = u64::MAX - exit.unwrap_or(0) as u64;
        self.seed.and_then(|seed| Dropout::new(rate.unwrap_or(0.0), seed, place))
    }

    /// Scores `states`.
    pub(super) fn classify(
        &self,
        linear: &Linear,
        states: ArrayView2<'_, f32>,
        dropout: Option<Dropout>,
    ) -> Classified {
        let mut inputs = states.as_standard_layout().into_owned();
        if let Some(dropout) = dropout {
            let width = inputs.ncols();
            dropout.apply(self.isa, (0, 1), width, contiguous_mut(&mut inputs));
        }
        let logits = self.linear(linear, &inputs);
        Classified { inputs, dropout, logits }
    }

    /// The gradient of what was classified, from the logits' in `classified`.
    pub(super) fn classify_backward(
        &self,
        linear: &Linear,
        classified: &Classified,
        gradient: &mut Linear,
    ) -> Array2<f32> {
        let Classified { inputs, dropout, logits } = classified;
        let mut d = self.linear_backward(linear, inputs, logits, gradient);
        if let Some(dropout) = dropout {
            let width = d.ncols();
            dropout.apply(self.isa, (0, 1), width, contiguous_mut(&mut d));
        }
        d
    }

    /// x·Wᵀ + b. A head's matrices are small: packing them costs less than keeping them would.
    pub(super) fn linear(&self, linear: &Linear, x: &Array2<f32>) -> Array2<f32> {
        let packed = PackedLinear::new(self.isa, Precision::F32, [linear.clone()]);
        packed.forward(x.view(), Nonlinearity::Identity)
    }

    /// Adds the gradients of a linear layer, and returns that of its input.
    pub(super) fn linear_backward(
        &self,
        linear: &Linear,
        x: &Array2<f32>,
        d: &Array2<f32>,
        gradient: &mut Linear,
    ) -> Array2<f32> {
        let (n, k) = linear.weight.dim();
        let d_out = Strided::dense(contiguous(d), n);
        let stretch = Stretch { d_out, inputs: Strided::dense(contiguous(x), k) };
        let product = super::encoder::product(vec![stretch], gradient);
        weight_gradients(self.isa, false, vec![product]);
        self.times(contiguous(d), contiguous(&linear.weight), (n, k))
    }

    /// d·W of `d` `[T, n]` and `weight` `[n, k]`.
    pub(super) fn times(&self, d: &[f32], weight: &[f32], (n, k): (usize, usize)) -> Array2<f32> {
        let packed = PackedMatrix::transposed(self.isa, &[weight], k, Precision::F32);
        let mut d_x = Array2::zeros((d.len() / n, k));
        let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
        let (inputs, weights) = (Inputs::floats(d, n), Weights::Packed(&packed));
        multiply(self.isa, inputs, weights, epilogue, contiguous_mut(&mut d_x));
        d_x
    }

    /// x·Wᵀ + b of `x` `[N, k]` and `rows` `[n, k]` that are used otherwise, too.
    pub(super) fn scores(&self, x: &[f32], rows: &Array2<f32>, bias: &[f32]) -> Array2<f32> {
        let k = rows.ncols();
        let mut out = Array2::zeros((x.len() / k, rows.nrows()));
        let epilogue = Epilogue { bias, nonlinearity: Nonlinearity::Identity };
        let weights = Weights::Rows { rows: contiguous(rows), k };
        multiply(self.isa, Inputs::floats(x, k), weights, epilogue, contiguous_mut(&mut out));
        out
    }
}

/// A classifier of selected tokens with a loss that turns its logits into gradients.
///
/// # Errors
/// Those of the loss.
pub(super) fn token_classifier(
    pass: &HeadPass<'_>,
    linear: &Linear,
    rows: &[usize],
    dropout: Option<f64>,
    gradients: Option<(&mut Linear, &mut BackboneStates)>,
    loss: impl FnOnce(&mut Array2<f32>) -> Result<LossTerm>,
) -> Result<LossTerm> {
    let rows = pass.wanted.positions(rows);
    let states = pass.states.tokens.select(Axis(0), &rows);
    let mut classified = pass.classify(linear, states.view(), pass.dropout(dropout, None));
    let term = loss(&mut classified.logits)?;
    if let Some((gradient, states)) = gradients {
        let d = pass.classify_backward(linear, &classified, gradient);
        add_rows(&d, &rows, &mut states.tokens);
    }
    Ok(term)
}

/// Adds row i of `d` to row `rows[i]` of `states`.
pub(super) fn add_rows(d: &Array2<f32>, rows: &[usize], states: &mut Array2<f32>) {
    for (d, &row) in d.outer_iter().zip(rows) {
        let mut to = states.row_mut(row);
        to += &d;
    }
}

/// A loss of one term.
pub(super) fn single(term: LossTerm) -> LossOutput {
    LossOutput { loss: term.loss, terms: vec![term] }
}
