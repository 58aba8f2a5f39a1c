//! Masked language modelling: which word is at `[MASK]`?

use std::fmt;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::{impl_model, labelled};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::activation::Nonlinearity;
use crate::kernels::convert::Inputs;
use crate::kernels::gemm::{Epilogue, Weights, multiply};
use crate::kernels::{Isa, Precision};
use crate::model::albert::{Albert, OutputOptions};
use crate::model::check_shapes;
use crate::nn::loss::{IGNORE_INDEX, cross_entropy};
use crate::nn::{LayerNorm, Linear, Norm, PackedLinear, contiguous, contiguous_mut};

/// The head's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedLmHeadParameters {
    /// H → E.
    pub dense: Linear,
    /// Applied after the activation.
    pub layer_norm: LayerNorm,
    /// `[V]`, added to the scores of the vocabulary unless the decoder has a separate bias; then it is unused, but kept because transformers' class has it.
    pub bias: Array1<f32>,
    /// E → V.
    pub decoder: DecoderParameters,
}

/// The untied parameters of the decoder. A tied decoder has none: its matrix is the backbone's word embeddings, and its bias the head's.
///
/// [`tie_word_embeddings`](crate::ConfigFields::tie_word_embeddings) and
/// [`tie_decoder_bias`](crate::ConfigFields::tie_decoder_bias) determine which of both are present.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecoderParameters {
    /// `[V, E]`.
    pub weight: Option<Array2<f32>>,
    /// `[V]`.
    pub bias: Option<Array1<f32>>,
}

impl DecoderParameters {
    /// Zeros of the configuration's shapes, to be filled; nothing where it ties the decoder.
    pub fn zeros(config: &AlbertConfig) -> Self {
        let (v, e) = (config.vocab_size, config.embedding_size);
        Self {
            weight: (!config.tie_word_embeddings).then(|| Array2::zeros((v, e))),
            bias: (!config.ties_decoder_bias()).then(|| Array1::zeros(v)),
        }
    }
}

impl MaskedLmHeadParameters {
    /// Zeros of the configuration's shapes, to be filled.
    pub fn zeros(config: &AlbertConfig) -> Self {
        Self {
            dense: Linear::zeros(config.hidden_size, config.embedding_size),
            layer_norm: LayerNorm::zeros(config.embedding_size),
            bias: Array1::zeros(config.vocab_size),
            decoder: DecoderParameters::zeros(config),
        }
    }
}

/// dense H → E, activation, LayerNorm, then scores against every word embedding, or every row of
/// the decoder's own matrix.
pub struct MaskedLmHead {
    isa: Isa,
    dense: PackedLinear,
    activation: Nonlinearity,
    layer_norm: Norm,
    bias: Vec<f32>,
    decoder: DecoderParameters,
}

impl MaskedLmHead {
    /// Packs the head's parameters.
    ///
    /// # Errors
    /// [`Error::Input`] if a parameter does not have the shape that the configuration gives it, or if the environment
    /// forces an instruction set that this processor lacks.
    pub fn new(config: &AlbertConfig, parameters: MaskedLmHeadParameters) -> Result<Self> {
        check_shapes(&parameters, &MaskedLmHeadParameters::zeros(config))?;
        let isa = Isa::current()?;
        let DecoderParameters { weight, bias } = parameters.decoder;
        Ok(Self {
            isa,
            dense: PackedLinear::new(isa, Precision::F32, [parameters.dense]),
            activation: config.hidden_act.nonlinearity(),
            layer_norm: Norm::new(isa, parameters.layer_norm, config.layer_norm_eps),
            bias: parameters.bias.to_vec(),
            decoder: DecoderParameters {
                // It is read row by row, as the word embeddings are.
                weight: weight.map(|weight| weight.as_standard_layout().into_owned()),
                bias: bias.map(|bias| bias.to_vec().into()),
            },
        })
    }

    /// The head's parameters, bit-identical to those that were packed.
    pub fn to_parameters(&self) -> MaskedLmHeadParameters {
        MaskedLmHeadParameters {
            dense: self.dense.unpack(0, self.dense.outputs()),
            layer_norm: self.layer_norm.unpack(),
            bias: self.bias.clone().into(),
            decoder: self.decoder.clone(),
        }
    }

    /// Scores `[N, V]` of states `[N, H]`, against the word embeddings `[V, E]` of the backbone. A
    /// decoder with a matrix of its own does not read these.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit.
    pub fn forward(
        &self,
        states: ArrayView2<'_, f32>,
        word_embeddings: ArrayView2<'_, f32>,
    ) -> Result<Array2<f32>> {
        let DecoderParameters { weight, bias } = &self.decoder;
        let table = weight.as_ref().map_or(word_embeddings, |own| own.view());
        let bias = bias.as_ref().map_or(&self.bias[..], |own| contiguous(own));
        let shape = (self.bias.len(), self.dense.outputs());
        if states.ncols() != self.dense.inputs() || table.dim() != shape {
            let expected = format!("[N, {}] and {shape:?}", self.dense.inputs());
            let found = format!("{:?} and {:?}", states.dim(), table.dim());
            return Err(Error::input("shapes of states and word embeddings", expected, found));
        }
        let mut transformed = self.dense.forward(states, self.activation);
        let mut logits = Array2::zeros((states.nrows(), self.bias.len()));
        let table = table.as_standard_layout();
        let rows = contiguous_mut(&mut transformed);
        self.layer_norm.forward(rows);
        let weights = Weights::Rows { rows: contiguous(&table), k: self.dense.outputs() };
        let epilogue = Epilogue { bias, nonlinearity: Nonlinearity::Identity };
        let inputs = Inputs::floats(rows, self.dense.outputs());
        multiply(self.isa, inputs, weights, epilogue, contiguous_mut(&mut logits));
        Ok(logits)
    }
}

/// Sizes, no weights.
impl fmt::Debug for MaskedLmHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskedLmHead")
            .field("hidden_size", &self.dense.inputs())
            .field("embedding_size", &self.dense.outputs())
            .field("vocab_size", &self.bias.len())
            .finish()
    }
}

/// ALBERT for masked language modelling.
#[derive(Debug)]
pub struct AlbertForMaskedLM {
    albert: Albert,
    head: MaskedLmHead,
}

impl_model!(
    AlbertForMaskedLM, "AlbertForMaskedLM", pooler: false, head: MaskedLmHead,
    parameters: MaskedLmHeadParameters,
    zeros: |config| MaskedLmHeadParameters::zeros(config),
    build: |config, parameters| MaskedLmHead::new(config, parameters),
    unpack: |head| head.to_parameters(),
);

/// Scores of the vocabulary.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MaskedLmOutput {
    /// V scores per token, before softmax.
    pub logits: Packed,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub attentions: Vec<AttentionProbabilities>,
}

impl MaskedLmOutput {
    /// Wraps logits that were computed by a separate head; hidden states and attentions are empty.
    pub fn new(logits: Packed) -> Self {
        Self { logits, hidden_states: Vec::new(), attentions: Vec::new() }
    }

    /// Mean cross-entropy over the labels `[B, S]` that are not −100.
    ///
    /// # Errors
    /// [`Error::Input`] if the shape differs, a label is out of range or outside the attention mask, or all labels are −100.
    pub fn loss(&self, labels: ArrayView2<'_, i64>) -> Result<f32> {
        masked_lm_loss(&self.logits, labels)
    }
}

pub(super) fn masked_lm_loss(logits: &Packed, labels: ArrayView2<'_, i64>) -> Result<f32> {
    let (logits, labels) = labelled(logits, labels)?;
    cross_entropy(logits.view(), &labels, IGNORE_INDEX)
}

/// Scores `[N, V]` at chosen positions (sequence, column) of a batch.
pub(super) fn logits_at(
    states: &Packed,
    head: &MaskedLmHead,
    word_embeddings: ArrayView2<'_, f32>,
    positions: &[(usize, usize)],
) -> Result<Array2<f32>> {
    let row = |&(sequence, column): &(usize, usize)| {
        states.layout().row_of(sequence, column).ok_or_else(|| {
            let expected = "a token inside the batch and its attention mask";
            Error::input("position", expected, format!("sequence {sequence}, column {column}"))
        })
    };
    let rows: Vec<usize> = positions.iter().map(row).collect::<Result<_>>()?;
    head.forward(states.rows().select(Axis(0), &rows).view(), word_embeddings)
}

impl AlbertForMaskedLM {
    /// Scores of the vocabulary for every token: T·V values, which can be large. See
    /// [`logits_at`](Self::logits_at).
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward(&self, batch: &Batch) -> Result<MaskedLmOutput> {
        self.forward_with(batch, OutputOptions::default())
    }

    /// Like [`forward`](Self::forward), with hidden states and attentions if requested.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward_with(&self, batch: &Batch, options: OutputOptions) -> Result<MaskedLmOutput> {
        let output = self.albert.forward_with(batch, options)?;
        let logits =
            self.head.forward(output.last_hidden_state.rows(), self.albert.word_embeddings())?;
        Ok(MaskedLmOutput {
            logits: Packed::new(logits, batch.layout.clone()),
            hidden_states: output.hidden_states,
            attentions: output.attentions,
        })
    }

    /// Scores `[N, V]` at N selected positions (sequence and column) only.
    ///
    /// # Errors
    /// As [`Albert::forward`], and [`Error::Input`] for a position that is not a token of the batch.
    pub fn logits_at(&self, batch: &Batch, positions: &[(usize, usize)]) -> Result<Array2<f32>> {
        let states = self.albert.forward(batch)?.last_hidden_state;
        logits_at(&states, &self.head, self.albert.word_embeddings(), positions)
    }
}
