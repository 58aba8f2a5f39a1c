//! Parameter counts, computed from a configuration.

use super::{AlbertConfig, ConfigFields};
use crate::error::{Error, Result};

/// The number of parameters of each part of the backbone, without heads.
///
/// Tied weights count once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterCount {
    /// Word, position and type tables and their LayerNorm: (V + positions + types + 2)·E.
    pub embeddings: usize,
    /// The projection E → H with its bias, present also when E = H.
    pub embedding_hidden_mapping_in: usize,
    /// All distinct attention blocks of the encoder, with their LayerNorm.
    pub attention: usize,
    /// All distinct feed-forward blocks of the encoder, with their LayerNorm.
    pub ffn: usize,
    /// The pooler, H² + H.
    pub pooler: usize,
}

impl ParameterCount {
    /// The backbone with its pooler.
    pub fn total(&self) -> usize {
        self.embeddings + self.embedding_hidden_mapping_in + self.encoder() + self.pooler
    }

    /// The encoder's layers.
    pub fn encoder(&self) -> usize {
        self.attention + self.ffn
    }
}

impl AlbertConfig {
    /// The number of parameters of the backbone with pooler.
    ///
    /// Equals [`parameter_count`](crate::Parameters::parameter_count) of the model's parameters.
    pub fn parameter_count(&self) -> ParameterCount {
        count(self)
    }

    /// Parameters that a masked-LM head adds: dense H → E, LayerNorm, a bias over the vocabulary, and the untied parameters of the decoder.
    pub fn masked_lm_head_parameter_count(&self) -> usize {
        let (v, e, h) = (self.vocab_size, self.embedding_size, self.hidden_size);
        (h * e + e) + 2 * e + v + self.decoder_parameter_count()
    }

    /// Parameters of an untied masked-LM decoder.
    pub(crate) fn decoder_parameter_count(&self) -> usize {
        let own = |is_tied: bool, count| if is_tied { 0 } else { count };
        own(self.tie_word_embeddings, self.vocab_size * self.embedding_size)
            + own(self.ties_decoder_bias(), self.vocab_size)
    }

    /// Parameters that a classifier with `outputs` outputs adds on top of hidden states or the pooled output.
    pub fn classifier_parameter_count(&self, outputs: usize) -> usize {
        self.hidden_size * outputs + outputs
    }
}

/// How many distinct attention and feed-forward blocks there are.
pub(crate) fn distinct_blocks(fields: &ConfigFields) -> (usize, usize) {
    let blocks = |shared: bool| {
        let groups = if shared { fields.num_hidden_groups } else { fields.num_hidden_layers };
        groups * fields.inner_group_num
    };
    let sharing = fields.parameter_sharing;
    (blocks(sharing.shares_attention()), blocks(sharing.shares_ffn()))
}

fn count(fields: &ConfigFields) -> ParameterCount {
    let (e, h, i) = (fields.embedding_size, fields.hidden_size, fields.intermediate_size);
    let rows = fields.vocab_size + fields.max_position_embeddings + fields.type_vocab_size;
    let (attention_blocks, ffn_blocks) = distinct_blocks(fields);
    let attention = 4 * (h * h + h) + 2 * h;
    let ffn = (h * i + i) + (i * h + h) + 2 * h;
    ParameterCount {
        embeddings: (rows + 2) * e,
        embedding_hidden_mapping_in: e * h + h,
        attention: attention_blocks * attention,
        ffn: ffn_blocks * ffn,
        pooler: h * h + h,
    }
}

/// Rejects sizes whose product is implausible, so that later arithmetic cannot overflow.
pub(super) fn check_total(fields: &ConfigFields) -> Result<()> {
    /// More than the largest model anyone has trained, where addresses allow it.
    const LIMIT: u128 = if usize::BITS > 44 { 1 << 44 } else { isize::MAX as u128 / 4 };
    let wide = |size: usize| size as u128;
    let (e, h, i) =
        (wide(fields.embedding_size), wide(fields.hidden_size), wide(fields.intermediate_size));
    let rows = wide(fields.vocab_size)
        + wide(fields.max_position_embeddings)
        + wide(fields.type_vocab_size)
        + wide(fields.labels.len());
    let (attention_blocks, ffn_blocks) = distinct_blocks(fields);
    let attention = (5 * h * (h + 1)).saturating_mul(wide(attention_blocks));
    let ffn = (3 * (h + 1) * (i + 1)).saturating_mul(wide(ffn_blocks));
    let total = rows
        .saturating_mul(2 * e + h)
        .saturating_add((e + 1) * (h + 1))
        .saturating_add(attention)
        .saturating_add(ffn);
    if total > LIMIT {
        let found = format!("about {total} parameters");
        return Err(Error::config(
            "hidden_size",
            format!("sizes that make at most {LIMIT} parameters"),
            found,
        ));
    }
    Ok(())
}
