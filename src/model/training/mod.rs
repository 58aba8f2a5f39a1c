//! Forward passes that save their states, and backward passes.
//!
//! [`backbone`] and [`encoder`] go through the model, [`layer`] through a layer, with [`linear`]
//! and [`norm`] as parts, [`saved`] being what is remembered, [`memory`] where, and [`wanted`] of
//! which tokens the last layer is wanted; [`heads`], [`exits`], [`masked_lm`] and
//! [`question_answering`] make [`loss`]es and their gradients of its states, [`objective`] saying
//! which. [`models`] says which model has which, [`model`] holds what is trained, and [`passes`]
//! does all of it.

mod backbone;
mod encoder;
mod exits;
mod heads;
mod labels;
mod layer;
mod linear;
mod loss;
mod masked_lm;
mod memory;
mod model;
mod models;
mod norm;
mod objective;
mod passes;
mod question_answering;
mod saved;
mod wanted;

pub use backbone::BackboneStates;
pub use exits::{Distillation, ExitLoss};
pub use heads::{HeadGradients, HeadPass, HeadTask};
pub use labels::{AnswerPositions, PreTrainingLabels, Targets};
pub use model::{BackboneParameters, TrainingModel};

use super::{Model, ModelParameters};
use crate::batch::Batch;
use crate::error::Result;
use crate::kernels::Precision;
use crate::nn::Parameters;

/// A model that can be trained: one with a loss.
pub trait TrainableModel: Model<Parameters = ModelParameters<Self::Head>> {
    /// The parameters of its head.
    type Head: Parameters + Clone + Send + Sync;

    /// What its outputs are compared with.
    type Labels: Send + Sync;

    /// The rows of a batch whose last states the head reads, in addition to first tokens if there
    /// is a pooler; `None` if it reads all.
    #[doc(hidden)]
    fn rows_read(_batch: &Batch, _labels: &Self::Labels) -> Result<Vec<usize>> {
        Ok(Vec::new())
    }

    /// How many exits before the last layer a head reads.
    #[doc(hidden)]
    fn num_exits(_head: &Self::Head) -> usize {
        0
    }

    /// The head and its loss, forward and, where there are gradients, backward. Where it fails,
    /// gradients are as they were.
    #[doc(hidden)]
    fn head_pass(task: HeadTask<'_, Self::Head, Self::Labels>) -> Result<LossOutput>;
}

/// How a model is trained.
///
/// Use `..TrainingOptions::default()`, so that code still compiles when fields are added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingOptions {
    /// The precision of matrix products: [`Precision::F32`] or [`Precision::Bf16`]. Weights, sums,
    /// norms, softmax and gradients are `f32` in any case.
    pub precision: Precision,
    /// Whether activations for the backward pass are kept or recomputed.
    pub activations: ActivationPolicy,
    /// How the losses of several exits are combined.
    pub exit_loss: ExitLoss,
    /// Whether earlier exits also learn from the last one.
    pub distillation: Option<Distillation>,
}

impl TrainingOptions {
    /// Single precision; everything is kept; the loss of exits by layer, without distillation.
    pub const DEFAULT: Self = Self {
        precision: Precision::F32,
        activations: ActivationPolicy::Keep,
        exit_loss: ExitLoss::ByLayer,
        distillation: None,
    };
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which states are kept between forward and backward pass. Gradients are bit-identical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationPolicy {
    /// Keeps everything that the backward pass reads: about 16·H values per token and layer.
    Keep,
    /// Keeps only each layer's input and recomputes the layer in the backward pass: H values per
    /// token and layer, for a third more arithmetic (gradient checkpointing).
    Recompute,
}

/// A loss and its terms.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossOutput {
    /// The loss that is minimised: the sum of the terms.
    pub loss: f64,
    /// One for each head.
    pub terms: Vec<LossTerm>,
}

/// One head's share of a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossTerm {
    /// `masked_lm`, `sentence_order`, or `loss` of a model with a single head.
    pub name: &'static str,
    /// The mean over labels that count; for a model with exits, the combined loss (see
    /// [`ExitLoss`]).
    pub loss: f64,
    /// The number of correct predictions, after the last layer if there are exits; 0 if the loss
    /// has no classes.
    pub correct: usize,
    /// The number of predictions that count.
    pub count: usize,
    /// Whether the loss has classes, of which a prediction is right or not.
    pub has_classes: bool,
}

impl LossTerm {
    /// All names that terms have.
    pub(crate) const NAMES: [&str; 3] = ["loss", "masked_lm", "sentence_order"];

    /// The share of predictions that were right, where there are classes and something counts.
    pub fn accuracy(&self) -> Option<f64> {
        (self.has_classes && self.count > 0).then(|| self.correct as f64 / self.count as f64)
    }
}
