//! A model in training.

use std::fmt;

use super::TrainingOptions;
use super::backbone::{Memory, TrainingBackbone};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Precision};
use crate::model::{AlbertParameters, Model, ModelParameters, check_shapes};
use crate::nn::Parameters;

/// A model in training: its parameters, and the computation of losses and gradients.
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
///
/// # A custom loss
///
/// `TrainingModel<Albert>` is the backbone without a head: [`backward_with`](Self::backward_with) passes its states to a custom head and loss, and takes their gradients.
pub struct TrainingModel<M: Model> {
    pub(super) isa: Isa,
    pub(super) config: AlbertConfig,
    pub(super) options: TrainingOptions,
    pub(super) parameters: M::Parameters,
    /// None only while it is made anew.
    pub(super) backbone: Option<TrainingBackbone>,
    pub(super) memory: Memory,
}

/// A tree of parameters with a backbone's in it.
pub trait BackboneParameters: Parameters + Send + Sync {
    /// The backbone's.
    fn backbone(&self) -> &AlbertParameters;

    /// The backbone's, to be changed.
    fn backbone_mut(&mut self) -> &mut AlbertParameters;
}

impl BackboneParameters for AlbertParameters {
    fn backbone(&self) -> &AlbertParameters {
        self
    }

    fn backbone_mut(&mut self) -> &mut AlbertParameters {
        self
    }
}

impl<H: Parameters + Send + Sync> BackboneParameters for ModelParameters<H> {
    fn backbone(&self) -> &AlbertParameters {
        &self.albert
    }

    fn backbone_mut(&mut self) -> &mut AlbertParameters {
        &mut self.albert
    }
}

impl<M: Model<Parameters: BackboneParameters>> TrainingModel<M> {
    /// Prepares parameters for training.
    ///
    /// # Errors
    /// As [`Model::from_parameters`], and [`Error::Input`] if the precision does not support training.
    pub fn new(
        config: AlbertConfig,
        parameters: M::Parameters,
        options: TrainingOptions,
    ) -> Result<Self> {
        let isa = Isa::current()?;
        if options.precision == Precision::Int8 {
            return Err(Error::input("precision of training", "f32 or bf16", "int8"));
        }
        if let Some(distillation) = options.distillation {
            distillation.check()?;
        }
        let mut zeros = M::zero_parameters(&config);
        check_shapes(&parameters, &zeros)?;
        let parameters = if is_standard(&parameters) {
            parameters
        } else {
            assign(&mut zeros, &parameters);
            zeros
        };
        let backbone = Some(TrainingBackbone::new(isa, options, &config, parameters.backbone()));
        // Those of other weights than training leaves.
        let config = config.with_int8_outliers(None);
        Ok(Self { isa, config, options, parameters, backbone, memory: Memory::default() })
    }

    /// The configuration, without [`int8_outliers`](crate::ConfigFields::int8_outliers): they depend on the weights, and are determined again when a model in int8 is built.
    pub fn config(&self) -> &AlbertConfig {
        &self.config
    }

    /// How it is trained.
    pub fn options(&self) -> TrainingOptions {
        self.options
    }

    /// The instruction set that it is trained with, as [`instruction_set`](crate::instruction_set) names it.
    pub(crate) fn instruction_set(&self) -> &'static str {
        self.isa.name()
    }

    /// The current parameters.
    pub fn parameters(&self) -> &M::Parameters {
        &self.parameters
    }

    /// Returns the parameters, to save them or to build a model for inference.
    pub fn into_parameters(self) -> M::Parameters {
        self.parameters
    }

    /// Gradients of the parameters' shapes, all zero.
    pub fn zero_gradients(&self) -> M::Parameters {
        M::zero_parameters(&self.config)
    }

    /// Changes the parameters, as an optimizer does, and packs them anew.
    ///
    /// # Errors
    /// The error of `change`, which leaves the parameters as changed so far; [`Error::Input`] if it changed a shape.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut M::Parameters) -> Result<R>) -> Result<R> {
        let result = change(&mut self.parameters);
        check_shapes(&self.parameters, &M::zero_parameters(&self.config))?;
        if !is_standard(&self.parameters) {
            let mut standard = M::zero_parameters(&self.config);
            assign(&mut standard, &self.parameters);
            self.parameters = standard;
        }
        // The old one goes first: both together would be the most memory that a step takes.
        self.backbone = None;
        let (config, parameters) = (&self.config, self.parameters.backbone());
        self.backbone = Some(TrainingBackbone::new(self.isa, self.options, config, parameters));
        result
    }
}

/// Its model's name and options, no weights.
impl<M: Model> fmt::Debug for TrainingModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingModel")
            .field("model", &M::NAME)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whether all arrays lie row by row, without gaps.
pub(super) fn is_standard(parameters: &impl Parameters) -> bool {
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
