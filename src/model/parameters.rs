//! The tree of parameters.

use ndarray::Array2;

use crate::config::AlbertConfig;
use crate::nn::{AttentionParameters, FeedForwardParameters, LayerNorm, Linear};

/// The factorized embeddings' tables, E wide, and their LayerNorm.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingParameters {
    /// `[V, E]`.
    pub word_embeddings: Array2<f32>,
    /// `[positions, E]`.
    pub position_embeddings: Array2<f32>,
    /// `[types, E]`.
    pub token_type_embeddings: Array2<f32>,
    /// Applied to their sum, before the projection to H.
    pub layer_norm: LayerNorm,
}

/// The projection E → H and the encoder's distinct blocks, those that are shared once.
///
/// Both lists are indexed by group, then by inner layer. A list whose blocks are shared has
/// `num_hidden_groups` groups; one whose blocks are not has a group per layer.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderParameters {
    /// E → H, present also when E = H.
    pub embedding_hidden_mapping_in: Linear,
    /// Attention blocks.
    pub attentions: Vec<Vec<AttentionParameters>>,
    /// Feed-forward blocks.
    pub feed_forwards: Vec<Vec<FeedForwardParameters>>,
}

/// The backbone's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct AlbertParameters {
    /// V×E tables.
    pub embeddings: EmbeddingParameters,
    /// E → H, and the shared layers.
    pub encoder: EncoderParameters,
    /// H → H on the first token; absent in models that need token states only.
    pub pooler: Option<Linear>,
}

/// A backbone's parameters and a head's. Zeros are
/// [`Model::zero_parameters`](crate::Model::zero_parameters).
#[derive(Clone, Debug, PartialEq)]
pub struct ModelParameters<H> {
    /// The backbone.
    pub albert: AlbertParameters,
    /// What is on top of it.
    pub head: H,
}

impl EmbeddingParameters {
    /// Parameters of the configuration's shapes, all zero.
    pub fn zeros(config: &AlbertConfig) -> Self {
        let table = |rows| Array2::zeros((rows, config.embedding_size));
        Self {
            word_embeddings: table(config.vocab_size),
            position_embeddings: table(config.max_position_embeddings),
            token_type_embeddings: table(config.type_vocab_size),
            layer_norm: LayerNorm::zeros(config.embedding_size),
        }
    }
}

impl EncoderParameters {
    /// Parameters of the configuration's shapes, all zero.
    pub fn zeros(config: &AlbertConfig) -> Self {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let inner = config.inner_group_num;
        let groups =
            |shared| if shared { config.num_hidden_groups } else { config.num_hidden_layers };
        let sharing = config.parameter_sharing;
        Self {
            embedding_hidden_mapping_in: Linear::zeros(config.embedding_size, hidden),
            attentions: grid(groups(sharing.shares_attention()), inner, || {
                AttentionParameters::zeros(hidden)
            }),
            feed_forwards: grid(groups(sharing.shares_ffn()), inner, || {
                FeedForwardParameters::zeros(hidden, intermediate)
            }),
        }
    }
}

/// Blocks by group and inner layer. Made one by one: zeros that are not copied take no memory until
/// they are filled.
fn grid<B>(groups: usize, inner: usize, block: impl Fn() -> B) -> Vec<Vec<B>> {
    (0..groups).map(|_| (0..inner).map(|_| block()).collect()).collect()
}

impl AlbertParameters {
    /// Parameters of the configuration's shapes, all zero.
    pub fn zeros(config: &AlbertConfig, pooler: bool) -> Self {
        let hidden = config.hidden_size;
        Self {
            embeddings: EmbeddingParameters::zeros(config),
            encoder: EncoderParameters::zeros(config),
            pooler: pooler.then(|| Linear::zeros(hidden, hidden)),
        }
    }
}
