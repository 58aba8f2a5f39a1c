//! The backbone: embeddings → encoder → pooler.

use std::fmt;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis};

use super::embeddings::FactorizedEmbeddings;
use super::encoder::{EncoderOutput, SharedEncoder};
use super::exits::{Exits, Outcome, Run};
use super::parameters::{AlbertParameters, EncoderParameters};
use super::workspace::Workspace;
use super::{Model, check_shapes, outliers};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::activation::Nonlinearity;
use crate::kernels::{Isa, Precision, parallel};
use crate::nn::{PackedLinear, contiguous};

/// The ALBERT backbone (`AlbertModel` in transformers), ready to run.
///
/// ```
/// use ndalbert::{Albert, AlbertConfig, Batch, ConfigFields, Model};
///
/// let config = AlbertConfig::new(ConfigFields {
///     vocab_size: 100,
///     embedding_size: 16,
///     hidden_size: 32,
///     num_attention_heads: 4,
///     intermediate_size: 64,
///     ..ConfigFields::default()
/// })?;
/// let albert = Albert::from_config(config, 42)?;
/// let batch = Batch::from_sequences(&[vec![2, 17, 5, 3], vec![2, 8, 3]])?;
///
/// let output = albert.forward(&batch)?;
/// assert_eq!(output.last_hidden_state.sequence(1).dim(), (3, 32));
/// assert_eq!(output.last_hidden_state.to_padded().dim(), (2, 4, 32));
/// assert_eq!(output.pooler_output.unwrap().dim(), (2, 32));
/// # Ok::<(), ndalbert::Error>(())
/// ```
pub struct Albert {
    config: AlbertConfig,
    embeddings: FactorizedEmbeddings,
    encoder: SharedEncoder,
    pooler: Option<PackedLinear>,
    precision: Precision,
    workspace: Workspace,
}

/// Sizes, no weights.
impl fmt::Debug for Albert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        f.debug_struct("Albert")
            .field("vocab_size", &config.vocab_size)
            .field("embedding_size", &config.embedding_size)
            .field("hidden_size", &config.hidden_size)
            .field("intermediate_size", &config.intermediate_size)
            .field("num_hidden_layers", &config.num_hidden_layers)
            .field("num_attention_heads", &config.num_attention_heads)
            .field("parameter_sharing", &config.parameter_sharing)
            .field("pooler", &self.pooler.is_some())
            .field("precision", &self.precision)
            .finish()
    }
}

/// Optional outputs in addition to the last hidden state.
///
/// Use `..OutputOptions::default()`, so that code still compiles when fields are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputOptions {
    /// The states after the embeddings and after every layer.
    pub hidden_states: bool,
    /// The attention probabilities of every layer; their memory grows with the square of each sequence's length.
    pub attentions: bool,
}

/// The outputs of the backbone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AlbertOutput {
    /// The states after the last layer, H values per token.
    pub last_hidden_state: Packed,
    /// tanh(W·h + b) of each sequence's first token, `[B, H]`; `None` without a pooler.
    pub pooler_output: Option<Array2<f32>>,
    /// If requested: L · `inner_group_num` + 1 states, the first after the projection E → H, the last equal to `last_hidden_state`.
    pub hidden_states: Vec<Packed>,
    /// If requested: L · `inner_group_num` probabilities.
    pub attentions: Vec<AttentionProbabilities>,
}

impl Model for Albert {
    type Parameters = AlbertParameters;

    const ARCHITECTURE: &'static str = "AlbertModel";

    fn zero_parameters(config: &AlbertConfig) -> AlbertParameters {
        AlbertParameters::zeros(config, true)
    }

    /// Builds the backbone, without a pooler if the parameters have none.
    fn from_parameters_in(
        config: AlbertConfig,
        parameters: AlbertParameters,
        precision: Precision,
    ) -> Result<Self> {
        let isa = Isa::current()?;
        let (inputs, most) =
            (config.hidden_size.max(config.intermediate_size), precision.max_inputs());
        if inputs > most {
            let (expected, found) = (format!("at most {most}"), inputs.to_string());
            return Err(Error::input(format!("inputs of a layer in {precision}"), expected, found));
        }
        check_shapes(&parameters, &AlbertParameters::zeros(&config, parameters.pooler.is_some()))?;
        let mut parameters = parameters;
        let config = match precision {
            Precision::Int8 => outliers::round(isa, config, &mut parameters)?,
            Precision::F32 | Precision::Bf16 => config,
        };
        let AlbertParameters { embeddings, encoder, pooler } = parameters;
        let EncoderParameters { embedding_hidden_mapping_in, attentions, feed_forwards } = encoder;
        let (eps, mapping) = (config.layer_norm_eps, embedding_hidden_mapping_in);
        Ok(Self {
            embeddings: FactorizedEmbeddings::new(isa, embeddings, mapping, eps),
            encoder: SharedEncoder::new(isa, precision, &config, attentions, feed_forwards),
            pooler: pooler.map(|pooler| PackedLinear::new(isa, Precision::F32, [pooler])),
            config,
            precision,
            workspace: Workspace::new(),
        })
    }

    fn to_parameters(&self) -> AlbertParameters {
        let (embeddings, mapping) = self.embeddings.unpack();
        AlbertParameters {
            embeddings,
            encoder: self.encoder.unpack(mapping),
            pooler: self.pooler.as_ref().map(|pooler| pooler.unpack(0, pooler.outputs())),
        }
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn config(&self) -> &AlbertConfig {
        &self.config
    }
}

impl Albert {
    /// Drops the pooler, if there is one; token states do not need it (`add_pooling_layer=False` in transformers).
    #[must_use]
    pub fn without_pooler(mut self) -> Self {
        self.pooler = None;
        self
    }

    /// Runs the model on a batch.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for an id, type or position without an embedding.
    pub fn forward(&self, batch: &Batch) -> Result<AlbertOutput> {
        self.forward_with(batch, OutputOptions::default())
    }

    /// Like [`forward`](Self::forward), with hidden states and attentions if requested.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_with(&self, batch: &Batch, options: OutputOptions) -> Result<AlbertOutput> {
        self.forward_with_workspace(batch, options, &self.workspace)
    }

    /// Like [`forward_with`](Self::forward_with), using the caller's working memory.
    ///
    /// ```
    /// use ndalbert::{Albert, Batch, Model, OutputOptions, PreTrainedModel, Workspace};
    ///
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
    /// let (albert, _) = Albert::from_pretrained(directory)?;
    /// let workspace = Workspace::new();
    /// for ids in [[2, 17, 5, 3], [2, 8, 9, 3]] {
    ///     let batch = Batch::from_sequences(&[ids])?;
    ///     let output =
    ///         albert.forward_with_workspace(&batch, OutputOptions::default(), &workspace)?;
    ///     assert_eq!(output.last_hidden_state.rows().dim(), (4, albert.config().hidden_size));
    /// }
    /// # Ok::<(), ndalbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_with_workspace(
        &self,
        batch: &Batch,
        options: OutputOptions,
        workspace: &Workspace,
    ) -> Result<AlbertOutput> {
        batch.check(&self.config)?;
        Ok(parallel::in_pool(|| {
            let embedded = self.embeddings.forward(batch);
            let EncoderOutput { states, hidden_states, attentions } =
                self.encoder.forward(embedded, batch, options, workspace);
            let last_hidden_state = Packed::new(states, batch.layout.clone());
            let pooler_output = self.pooler.as_ref().map(|pooler| pool(pooler, &last_hidden_state));
            AlbertOutput { last_hidden_state, pooler_output, hidden_states, attentions }
        }))
    }

    /// The pooled output `[B, H]` only: bit-identical to that of [`forward`](Self::forward), but faster, because the last layer is computed only for the tokens that the pooler reads. Classification, multiple choice and sentence order use it unless hidden states or attentions are requested.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`Error::Input`](crate::Error::Input) if the model has no pooler.
    pub fn pooler_output(&self, batch: &Batch) -> Result<Array2<f32>> {
        self.pooler_output_with_workspace(batch, &self.workspace)
    }

    /// Like [`pooler_output`](Self::pooler_output), using the caller's working memory.
    ///
    /// # Errors
    /// As [`pooler_output`](Self::pooler_output).
    pub fn pooler_output_with_workspace(
        &self,
        batch: &Batch,
        workspace: &Workspace,
    ) -> Result<Array2<f32>> {
        let Some(pooler) = &self.pooler else { return Err(no_pooler()) };
        batch.check(&self.config)?;
        Ok(parallel::in_pool(|| {
            let embedded = self.embeddings.forward(batch);
            let first = self.encoder.forward_first(embedded, batch, workspace);
            pooler.forward(first.view(), Nonlinearity::Tanh)
        }))
    }

    /// Brings each input, which is some sequences of the batch, through as many layers as its exits say.
    pub(super) fn run_exits(
        &self,
        batch: &Batch,
        inputs: &[Range<usize>],
        exits: Exits<'_>,
    ) -> Result<Vec<Outcome>> {
        let Some(pooler) = &self.pooler else { return Err(no_pooler()) };
        batch.check(&self.config)?;
        Ok(parallel::in_pool(|| {
            let embedded = self.embeddings.forward(batch);
            let run = Run {
                encoder: &self.encoder,
                pooler,
                workspace: &self.workspace,
                states: contiguous(&embedded),
                sequences: &batch.layout.sequences,
                inputs,
            };
            run.outcomes(exits)
        }))
    }

    /// The pooled output `[B, H]` of the states of any layer.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if the model has no pooler.
    pub(super) fn pool(&self, states: &Packed) -> Result<Array2<f32>> {
        let pooler = self.pooler.as_ref().ok_or_else(no_pooler)?;
        Ok(parallel::in_pool(|| pool(pooler, states)))
    }

    /// The word embeddings `[V, E]`, as used by a tied masked-LM decoder.
    pub fn word_embeddings(&self) -> ArrayView2<'_, f32> {
        self.embeddings.word_embeddings()
    }
}

/// tanh(W·h + b) of first tokens.
fn pool(pooler: &PackedLinear, states: &Packed) -> Array2<f32> {
    let first: Vec<usize> = states.layout().first_rows().collect();
    pooler.forward(states.rows().select(Axis(0), &first).view(), Nonlinearity::Tanh)
}

/// What is said where the pooled output is needed of a model without a pooler.
pub(super) fn no_pooler() -> Error {
    Error::input("backbone", "one with a pooler", "one without")
}
