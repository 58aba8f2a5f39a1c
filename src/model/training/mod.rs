//! Forward passes that remember, and backward passes.

mod labels;

pub use labels::{AnswerPositions, PreTrainingLabels, Targets};

use super::Model;
use crate::batch::Batch;
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::kernels::Precision;

/// A model that can be trained: one with a loss.
pub trait TrainableModel: Model {
    /// What its outputs are compared with.
    type Labels: Send + Sync;
}

/// How a model is trained.
///
/// To be written with `..TrainingOptions::default()`, so that it still compiles when there is more to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingOptions {
    /// The precision of matrix products: [`Precision::F32`] or [`Precision::Bf16`]. Weights, sums, norms, softmax and
    /// gradients are `f32` in any case.
    pub precision: Precision,
    /// Whether what the backward pass needs is kept or computed again.
    pub activations: ActivationPolicy,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self { precision: Precision::F32, activations: ActivationPolicy::Keep }
    }
}

/// What becomes of the states between forward and backward pass. Gradients are the same to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationPolicy {
    /// All that the backward pass reads is kept: about 16·H values per token and layer.
    Keep,
    /// Only each layer's input is kept, and the layer computed once more before it is gone through backwards: H values
    /// per token and layer, for a third more arithmetic (gradient checkpointing).
    Recompute,
}

/// A loss, and what it consists of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossOutput {
    /// What is minimised: the sum of the terms.
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
    /// Its mean over what counts.
    pub loss: f64,
    /// Predictions that were right; 0 where a loss has no classes.
    pub correct: usize,
    /// Predictions that count.
    pub count: usize,
}

/// A model in training: its parameters, and what computes losses and gradients with them.
pub struct TrainingModel<M: TrainableModel> {
    config: AlbertConfig,
    options: TrainingOptions,
    parameters: M::Parameters,
}

impl<M: TrainableModel> TrainingModel<M> {
    /// Takes over parameters.
    ///
    /// # Errors
    /// As [`Model::from_parameters`], and [`Error::Input`](crate::Error::Input) if the precision is none to train in.
    pub fn new(
        config: AlbertConfig,
        parameters: M::Parameters,
        options: TrainingOptions,
    ) -> Result<Self> {
        Ok(Self { config, options, parameters })
    }

    /// The configuration.
    pub fn config(&self) -> &AlbertConfig {
        &self.config
    }

    /// How it is trained.
    pub fn options(&self) -> TrainingOptions {
        self.options
    }

    /// The parameters as they are now.
    pub fn parameters(&self) -> &M::Parameters {
        &self.parameters
    }

    /// The parameters, to be saved or to build a model for inference of.
    pub fn into_parameters(self) -> M::Parameters {
        self.parameters
    }

    /// Gradients of the parameters' shapes, all zero.
    pub fn zero_gradients(&self) -> M::Parameters {
        M::zero_parameters(&self.config)
    }

    /// The loss of a batch, without dropout.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if batch or labels do not fit the model, or each other.
    pub fn loss(&self, _batch: &Batch, _labels: &M::Labels) -> Result<LossOutput> {
        todo!()
    }

    /// The loss of a batch, with dropout of the configuration's rates drawn from `dropout_seed` (without one, there is none),
    /// and **adds** `scale` times its gradient to `gradients`.
    ///
    /// # Errors
    /// As [`loss`](Self::loss). Gradients are then as they were.
    pub fn backward(
        &mut self,
        _batch: &Batch,
        _labels: &M::Labels,
        _dropout_seed: Option<u64>,
        _scale: f32,
        _gradients: &mut M::Parameters,
    ) -> Result<LossOutput> {
        todo!()
    }

    /// Changes the parameters, as an optimizer does, and packs them anew.
    ///
    /// # Errors
    /// That of `change`, or as [`new`](Self::new) if shapes were changed.
    pub fn update<R>(
        &mut self,
        change: impl FnOnce(&mut M::Parameters) -> Result<R>,
    ) -> Result<R> {
        change(&mut self.parameters)
    }
}
