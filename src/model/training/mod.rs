//! Forward passes that remember, and backward passes.
//!
//! [`backbone`] and [`encoder`] go through the model, [`layer`] through a layer, with [`linear`] and [`norm`] as parts, [`saved`]
//! being what is remembered; [`heads`], [`masked_lm`] and [`question_answering`] make [`loss`]es and their gradients of its states. [`models`]
//! says which model has which.

mod backbone;
mod encoder;
mod heads;
mod labels;
mod layer;
mod linear;
mod loss;
mod masked_lm;
mod models;
mod norm;
mod question_answering;
mod saved;

use std::fmt;

use ndarray::Array2;

pub use heads::{HeadGradients, HeadPass};
pub use labels::{AnswerPositions, PreTrainingLabels, Targets};

use self::backbone::{BackbonePass, Memory, States, TrainingBackbone};
use super::{Model, ModelParameters, check_shapes};
use crate::batch::Batch;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Precision, parallel};
use crate::nn::Parameters;

/// A model that can be trained: one with a loss.
pub trait TrainableModel: Model<Parameters = ModelParameters<Self::Head>> {
    /// The parameters of its head.
    type Head: Parameters + Clone + Send + Sync;

    /// What its outputs are compared with.
    type Labels: Send + Sync;

    /// The head and its loss, forward and, where there are gradients, backward. Where it fails, gradients are as they were.
    #[doc(hidden)]
    fn head_pass(
        pass: &HeadPass<'_>,
        head: &Self::Head,
        labels: &Self::Labels,
        gradients: Option<HeadGradients<'_, Self::Head>>,
    ) -> Result<LossOutput>;
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
    /// Whether the loss has classes, of which a prediction is right or not.
    pub has_classes: bool,
}

impl LossTerm {
    /// The share of predictions that were right, where there are classes and something counts.
    pub fn accuracy(&self) -> Option<f64> {
        (self.has_classes && self.count > 0).then(|| self.correct as f64 / self.count as f64)
    }
}

/// A model in training: its parameters, and what computes losses and gradients with them.
///
/// ```
/// use ndalbert::train::{PreTrainingLabels, TrainingModel, TrainingOptions};
/// use ndalbert::{AlbertConfig, AlbertForPreTraining, Batch, ConfigFields, Model};
/// use ndalbert::ndarray::array;
///
/// # let config = AlbertConfig::new(ConfigFields {
/// #     vocab_size: 100,
/// #     embedding_size: 16,
/// #     hidden_size: 32,
/// #     num_attention_heads: 4,
/// #     num_hidden_layers: 2,
/// #     intermediate_size: 64,
/// #     ..ConfigFields::default()
/// # })?;
/// let parameters = AlbertForPreTraining::random_parameters(&config, 1)?;
/// let options = TrainingOptions::default();
/// let mut model = TrainingModel::<AlbertForPreTraining>::new(config, parameters, options)?;
///
/// let batch = Batch::from_sequences(&[vec![2, 4, 5, 3], vec![2, 8, 3]])?;
/// let masked_lm = array![[-100, 17, -100, -100], [-100, 8, -100, -100]];
/// let labels = PreTrainingLabels { masked_lm, sentence_order: vec![0, 1] };
/// let mut gradients = model.zero_gradients();
/// let output = model.backward(&batch, &labels, None, 1.0, &mut gradients)?;
/// // Plain gradient descent; optimizers are in `ndalbert::train`.
/// model.update(|parameters| {
///     let weight = &mut parameters.head.sentence_order.classifier.weight;
///     weight.scaled_add(-0.1, &gradients.head.sentence_order.classifier.weight);
///     Ok(())
/// })?;
/// assert!(model.loss(&batch, &labels)?.loss < output.loss);
/// # Ok::<(), ndalbert::Error>(())
/// ```
pub struct TrainingModel<M: TrainableModel> {
    isa: Isa,
    config: AlbertConfig,
    options: TrainingOptions,
    parameters: M::Parameters,
    backbone: TrainingBackbone,
    memory: Memory,
}

impl<M: TrainableModel> TrainingModel<M> {
    /// Takes over parameters.
    ///
    /// # Errors
    /// As [`Model::from_parameters`], and [`Error::Input`] if the precision is none to train in.
    pub fn new(
        config: AlbertConfig,
        parameters: M::Parameters,
        options: TrainingOptions,
    ) -> Result<Self> {
        let isa = Isa::current()?;
        if options.precision == Precision::Int8 {
            return Err(Error::input("precision of training", "f32 or bf16", "int8"));
        }
        let mut zeros = M::zero_parameters(&config);
        check_shapes(&parameters, &zeros)?;
        let parameters = if is_standard(&parameters) {
            parameters
        } else {
            assign(&mut zeros, &parameters);
            zeros
        };
        let backbone = TrainingBackbone::new(isa, options, &config, &parameters.albert);
        Ok(Self { isa, config, options, parameters, backbone, memory: Memory::default() })
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
    /// [`Error::Input`] if batch or labels do not fit the model, or each other.
    pub fn loss(&self, batch: &Batch, labels: &M::Labels) -> Result<LossOutput> {
        batch.check(&self.config)?;
        parallel::in_pool(|| {
            let pass = self.backbone_pass(batch, None);
            let mut memory = Memory::default();
            let states = self.backbone.forward(pass, ActivationPolicy::Recompute, &mut memory);
            M::head_pass(&self.head_pass(pass, &states, 1.0), &self.parameters.head, labels, None)
        })
    }

    /// The loss of a batch, with dropout of the configuration's rates drawn from `dropout_seed` (without one, there is none),
    /// and **adds** `scale` times its gradient to `gradients`.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), and [`Error::Input`] if the gradients are not of the parameters' shapes, as
    /// [`zero_gradients`](Self::zero_gradients) makes them. Gradients are then as they were.
    pub fn backward(
        &mut self,
        batch: &Batch,
        labels: &M::Labels,
        dropout_seed: Option<u64>,
        scale: f32,
        gradients: &mut M::Parameters,
    ) -> Result<LossOutput> {
        batch.check(&self.config)?;
        check_shapes(gradients, &self.parameters)?;
        if !is_standard(gradients) {
            return Err(Error::input("gradients", "arrays in standard layout", "another layout"));
        }
        let mut memory = std::mem::take(&mut self.memory);
        let output = parallel::in_pool(|| {
            let pass = self.backbone_pass(batch, dropout_seed);
            let states = self.backbone.forward(pass, self.options.activations, &mut memory);
            let mut d_states = States {
                tokens: Array2::zeros(states.tokens.raw_dim()),
                pooled: states.pooled.as_ref().map(|pooled| Array2::zeros(pooled.raw_dim())),
            };
            let ModelParameters { albert, head } = gradients;
            let words = &mut albert.embeddings.word_embeddings;
            let of_head = HeadGradients { head, words, states: &mut d_states };
            let head_pass = self.head_pass(pass, &states, scale);
            let output = M::head_pass(&head_pass, &self.parameters.head, labels, Some(of_head))?;
            self.backbone.backward(pass, &mut memory, &states, d_states, albert);
            Ok(output)
        });
        self.memory = memory;
        output
    }

    /// Changes the parameters, as an optimizer does, and packs them anew.
    ///
    /// # Errors
    /// That of `change`; the parameters are then as it left them. [`Error::Input`] if it changed a shape.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut M::Parameters) -> Result<R>) -> Result<R> {
        let result = change(&mut self.parameters);
        check_shapes(&self.parameters, &M::zero_parameters(&self.config))?;
        if !is_standard(&self.parameters) {
            let mut standard = M::zero_parameters(&self.config);
            assign(&mut standard, &self.parameters);
            self.parameters = standard;
        }
        let (config, parameters) = (&self.config, &self.parameters.albert);
        self.backbone = TrainingBackbone::new(self.isa, self.options, config, parameters);
        result
    }

    fn backbone_pass<'a>(&'a self, batch: &'a Batch, seed: Option<u64>) -> BackbonePass<'a> {
        BackbonePass { config: &self.config, parameters: &self.parameters.albert, batch, seed }
    }

    fn head_pass<'a>(
        &'a self,
        pass: BackbonePass<'a>,
        states: &'a States,
        scale: f32,
    ) -> HeadPass<'a> {
        let words = &self.parameters.albert.embeddings.word_embeddings;
        let BackbonePass { config, batch, seed, .. } = pass;
        HeadPass { isa: self.isa, config, batch, words, states, seed, scale }
    }
}

/// Its model's name and options, no weights.
impl<M: TrainableModel> fmt::Debug for TrainingModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingModel")
            .field("model", &M::NAME)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whether all arrays lie row by row, without gaps.
fn is_standard(parameters: &impl Parameters) -> bool {
    let mut is_standard = true;
    parameters.visit("", &mut |_, values| is_standard &= values.is_standard_layout());
    is_standard
}

/// Copies values from one tree to another of the same shapes.
fn assign<P: Parameters>(to: &mut P, from: &P) {
    let mut values = Vec::new();
    from.visit("", &mut |_, from| values.push(from));
    let mut values = values.into_iter();
    to.visit_mut("", &mut |_, mut to| {
        if let Some(from) = values.next() {
            to.assign(&from);
        }
    });
}
