//! A model in training.

use std::fmt;

use super::backbone::{BackbonePass, BackboneStates, Memory, TrainingBackbone};
use super::wanted::Wanted;
use super::{
    ActivationPolicy, HeadGradients, HeadPass, LossOutput, TrainableModel, TrainingOptions,
};
use crate::batch::Batch;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Precision, parallel};
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
/// `TrainingModel<Albert>` is the backbone without a head: [`backward_with`](Self::backward_with)
/// passes its states to a custom head and loss, and takes their gradients.
pub struct TrainingModel<M: Model> {
    isa: Isa,
    config: AlbertConfig,
    options: TrainingOptions,
    parameters: M::Parameters,
    /// `None` only while it is rebuilt.
    backbone: Option<TrainingBackbone>,
    memory: Memory,
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
    /// As [`Model::from_parameters`], and [`Error::Input`] if the precision does not support
    /// training.
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

    /// The configuration, without [`int8_outliers`](crate::ConfigFields::int8_outliers): they
    /// depend on the weights, and are determined again when a model in int8 is built.
    pub fn config(&self) -> &AlbertConfig {
        &self.config
    }

    /// How it is trained.
    pub fn options(&self) -> TrainingOptions {
        self.options
    }

    /// The instruction set that it is trained with, as [`instruction_set`](crate::instruction_set)
    /// names it.
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

    /// The states that heads read, without dropout.
    ///
    /// # Errors
    /// [`Error::Input`] if the batch does not fit the model.
    pub fn states(&self, batch: &Batch) -> Result<BackboneStates> {
        batch.check(&self.config)?;
        let all = Wanted::all(&batch.layout);
        let exits = self.early_exits();
        Ok(parallel::in_pool(|| self.forward(self.backbone_pass(batch, (&all, exits), None))))
    }

    /// Adds the gradient of a custom loss to `gradients`.
    ///
    /// `loss` receives the batch's states (with dropout, if there is a seed) and `gradients`, to
    /// which it may add those of a head's parameters. It returns the gradients of the states, and
    /// any other value.
    ///
    /// ```
    /// use ndalbert::train::{BackboneStates, TrainingModel, TrainingOptions};
    /// use ndalbert::{Albert, AlbertConfig, Batch, ConfigFields, Model};
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
    /// let parameters = Albert::random_parameters(&config, 1)?;
    /// let mut albert = TrainingModel::<Albert>::new(config, parameters, TrainingOptions::default())?;
    /// let batch = Batch::from_sequences(&[vec![2, 4, 5, 3], vec![2, 8, 3]])?;
    ///
    /// // Moves the pooled outputs of two sequences closer to each other: half the squared distance.
    /// let mut gradients = albert.zero_gradients();
    /// let distance = albert.backward_with(&batch, None, &mut gradients, |states, _| {
    ///     let mut d_states = states.zeros_like();
    ///     let (Some(pooled), Some(d_pooled)) = (&states.pooled, &mut d_states.pooled) else {
    ///         unreachable!("this model has a pooler");
    ///     };
    ///     let difference = &pooled.row(0) - &pooled.row(1);
    ///     d_pooled.row_mut(0).assign(&difference);
    ///     d_pooled.row_mut(1).assign(&-&difference);
    ///     Ok((difference.dot(&difference) / 2.0, d_states))
    /// })?;
    /// assert!(distance > 0.0);
    /// # Ok::<(), ndalbert::Error>(())
    /// ```
    ///
    /// With a configuration that has [`exit_layers`](crate::ConfigFields::exit_layers), the pooled
    /// outputs of earlier exits are in [`BackboneStates::exits`], and their gradients are
    /// propagated through the layers before that exit only. So a custom loss of exits, such as
    /// distillation from another model, takes no second pass.
    ///
    /// # Errors
    /// That of `loss`; [`Error::Input`] if the batch does not fit the model, if the gradients are
    /// not of the parameters' shapes, as [`zero_gradients`](Self::zero_gradients) makes them, or
    /// those of the states not of the states'. The backbone's gradients are then unchanged.
    pub fn backward_with<R>(
        &mut self,
        batch: &Batch,
        dropout_seed: Option<u64>,
        gradients: &mut M::Parameters,
        loss: impl FnOnce(&BackboneStates, &mut M::Parameters) -> Result<(R, BackboneStates)> + Send,
    ) -> Result<R>
    where
        R: Send,
    {
        let all = Wanted::all(&batch.layout);
        let exits = self.early_exits().to_vec();
        let read = (&all, &exits[..]);
        self.backward_pass(batch, read, dropout_seed, gradients, |_, _, states, gradients| {
            let (result, d_states) = loss(states, gradients)?;
            Ok((result, d_states.like(states)?))
        })
    }

    /// The layers of the configuration's exits but the last.
    fn early_exits(&self) -> &[usize] {
        self.config.exit_layers.split_last().map_or(&[], |(_, early)| early)
    }

    /// Forward, what `loss` makes of the states, and backward. The states that are read: of the
    /// last layer, and of which exits.
    fn backward_pass<R: Send>(
        &mut self,
        batch: &Batch,
        read: (&Wanted, &[usize]),
        dropout_seed: Option<u64>,
        gradients: &mut M::Parameters,
        loss: impl FnOnce(
            &Self,
            BackbonePass<'_>,
            &BackboneStates,
            &mut M::Parameters,
        ) -> Result<(R, BackboneStates)>
        + Send,
    ) -> Result<R> {
        batch.check(&self.config)?;
        check_shapes(gradients, &self.parameters)?;
        if !is_standard(gradients) {
            return Err(Error::input("gradients", "arrays in standard layout", "another layout"));
        }
        let mut memory = std::mem::take(&mut self.memory);
        let output = parallel::in_pool(|| {
            let pass = self.backbone_pass(batch, read, dropout_seed);
            let backbone = self.backbone();
            let states = backbone.forward(pass, self.options.activations, &mut memory);
            let (output, d_states) = loss(self, pass, &states, gradients)?;
            let gradients = gradients.backbone_mut();
            backbone.backward(pass, &mut memory, &states, d_states, gradients);
            Ok(output)
        });
        self.memory = memory;
        output
    }

    fn forward(&self, pass: BackbonePass<'_>) -> BackboneStates {
        self.backbone().forward(pass, ActivationPolicy::Recompute, &mut Memory::default())
    }

    /// Changes the parameters, as an optimizer does, and packs them again.
    ///
    /// # Errors
    /// The error of `change`, which leaves the parameters as changed so far; [`Error::Input`] if it
    /// changed a shape.
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

    fn backbone(&self) -> &TrainingBackbone {
        self.backbone.as_ref().expect("there but while it is made anew, which cannot fail")
    }

    fn backbone_pass<'a>(
        &'a self,
        batch: &'a Batch,
        (wanted, exits): (&'a Wanted, &'a [usize]),
        seed: Option<u64>,
    ) -> BackbonePass<'a> {
        let parameters = self.parameters.backbone();
        BackbonePass { config: &self.config, parameters, batch, wanted, exits, seed }
    }
}

impl<M: TrainableModel> TrainingModel<M> {
    /// The loss of a batch, without dropout.
    ///
    /// # Errors
    /// [`Error::Input`] if batch or labels do not fit the model, or each other.
    pub fn loss(&self, batch: &Batch, labels: &M::Labels) -> Result<LossOutput> {
        batch.check(&self.config)?;
        let wanted = self.wanted(batch, labels)?;
        parallel::in_pool(|| {
            let pass = self.backbone_pass(batch, (&wanted, self.exits_read()), None);
            let states = self.forward(pass);
            M::head_pass(&self.head_pass(pass, &states, 1.0), &self.parameters.head, labels, None)
        })
    }

    /// The loss of a batch, with dropout of the configuration's rates drawn from `dropout_seed`
    /// (without one, there is none), and **adds** `scale` times its gradient to `gradients`.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), and [`Error::Input`] if the gradients are not of the parameters'
    /// shapes, as [`zero_gradients`](Self::zero_gradients) makes them. Gradients are then
    /// unchanged.
    pub fn backward(
        &mut self,
        batch: &Batch,
        labels: &M::Labels,
        dropout_seed: Option<u64>,
        scale: f32,
        gradients: &mut M::Parameters,
    ) -> Result<LossOutput> {
        let (wanted, exits) = (self.wanted(batch, labels)?, self.exits_read().to_vec());
        self.backward_pass(
            batch,
            (&wanted, &exits),
            dropout_seed,
            gradients,
            |model, pass, states, gradients| {
                let mut d_states = states.zeros_like();
                let ModelParameters { albert, head } = gradients;
                let words = &mut albert.embeddings.word_embeddings;
                let of_head = HeadGradients { head, words, states: &mut d_states };
                let pass = model.head_pass(pass, states, scale);
                let output = M::head_pass(&pass, &model.parameters.head, labels, Some(of_head))?;
                Ok((output, d_states))
            },
        )
    }

    /// The tokens whose last states head and pooler read.
    fn wanted(&self, batch: &Batch, labels: &M::Labels) -> Result<Wanted> {
        let mut rows = M::rows_read(batch, labels)?;
        if !rows.is_empty() && self.parameters.albert.pooler.is_some() {
            rows.extend(batch.layout.first_rows());
        }
        Ok(Wanted::new(&batch.layout, rows))
    }

    /// The layers before the last whose pooled output the head reads.
    fn exits_read(&self) -> &[usize] {
        let early = self.early_exits();
        &early[..M::num_exits(&self.parameters.head).min(early.len())]
    }

    fn head_pass<'a>(
        &'a self,
        pass: BackbonePass<'a>,
        states: &'a BackboneStates,
        scale: f32,
    ) -> HeadPass<'a> {
        let words = &self.parameters.albert.embeddings.word_embeddings;
        let BackbonePass { config, batch, wanted, seed, .. } = pass;
        let (isa, options) = (self.isa, self.options);
        HeadPass { isa, config, options, batch, wanted, words, states, seed, scale }
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
