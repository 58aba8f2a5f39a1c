//! The names of parameters: the only table that says which field a tensor belongs to.
//!
//! Names are transformers'. Two things are this crate's own. Where layers share only their attention (or only their
//! feed-forward) blocks, the shared half stands under its group, as in transformers, and the other half under
//! `albert_layer_groups.{layer}`, as if every layer were a group: `config.json`'s `parameter_sharing` says which is
//! which. And [`canonical`] maps the names of old files to today's.

use ndarray::{Array, ArrayViewD, ArrayViewMutD, Dimension};

use crate::config::AlbertConfig;
use crate::model::heads::{
    ClassifierParameters, DecoderParameters, MaskedLmHeadParameters, PreTrainingHeadParameters,
    QuestionAnsweringHeadParameters, SentenceOrderHeadParameters,
};
use crate::model::{AlbertParameters, EmbeddingParameters, EncoderParameters, ModelParameters};
use crate::nn::{AttentionParameters, FeedForwardParameters, LayerNorm, Linear, Parameters};

type Visitor<'v, 'a> = dyn FnMut(&str, ArrayViewD<'a, f32>) + 'v;
type VisitorMut<'v, 'a> = dyn FnMut(&str, ArrayViewMutD<'a, f32>) + 'v;

/// What the parameters of a backbone are preceded by in every model with a head.
const BACKBONE: &str = "albert";

/// Implements [`Parameters`] by a table of fields and names.
macro_rules! names {
    ($($type:ident $(<$generic:ident>)? { $($field:ident: $name:expr),+ $(,)? })+) => {$(
        impl $(<$generic: Parameters>)? Parameters for $type $(<$generic>)? {
            fn visit<'a>(&'a self, prefix: &str, visitor: &mut Visitor<'_, 'a>) {
                $(self.$field.visit(&join(prefix, $name), visitor);)+
            }

            fn visit_mut<'a>(&'a mut self, prefix: &str, visitor: &mut VisitorMut<'_, 'a>) {
                $(self.$field.visit_mut(&join(prefix, $name), visitor);)+
            }
        }
    )+};
}

names! {
    Linear { weight: "weight", bias: "bias" }
    LayerNorm { weight: "weight", bias: "bias" }
    EmbeddingParameters {
        word_embeddings: "word_embeddings.weight",
        position_embeddings: "position_embeddings.weight",
        token_type_embeddings: "token_type_embeddings.weight",
        layer_norm: "LayerNorm",
    }
    AttentionParameters {
        query: "attention.query",
        key: "attention.key",
        value: "attention.value",
        dense: "attention.dense",
        layer_norm: "attention.LayerNorm",
    }
    FeedForwardParameters {
        ffn: "ffn",
        ffn_output: "ffn_output",
        layer_norm: "full_layer_layer_norm",
    }
    EncoderParameters {
        embedding_hidden_mapping_in: "embedding_hidden_mapping_in",
        attentions: "albert_layer_groups",
        feed_forwards: "albert_layer_groups",
    }
    AlbertParameters { embeddings: "embeddings", encoder: "encoder", pooler: "pooler" }
    ModelParameters<H> { albert: BACKBONE, head: "" }
    MaskedLmHeadParameters {
        dense: "predictions.dense",
        layer_norm: "predictions.LayerNorm",
        bias: "predictions.bias",
        decoder: "predictions.decoder",
    }
    DecoderParameters { weight: "weight", bias: "bias" }
    SentenceOrderHeadParameters { classifier: "sop_classifier.classifier" }
    PreTrainingHeadParameters { masked_lm: "", sentence_order: "" }
    ClassifierParameters { classifier: "classifier" }
    QuestionAnsweringHeadParameters { qa_outputs: "qa_outputs" }
}

fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}.{name}"),
    }
}

impl<D: Dimension> Parameters for Array<f32, D> {
    fn visit<'a>(&'a self, name: &str, visitor: &mut Visitor<'_, 'a>) {
        visitor(name, self.view().into_dyn());
    }

    fn visit_mut<'a>(&'a mut self, name: &str, visitor: &mut VisitorMut<'_, 'a>) {
        visitor(name, self.view_mut().into_dyn());
    }
}

impl<P: Parameters> Parameters for Option<P> {
    fn visit<'a>(&'a self, prefix: &str, visitor: &mut Visitor<'_, 'a>) {
        if let Some(parameters) = self {
            parameters.visit(prefix, visitor);
        }
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, visitor: &mut VisitorMut<'_, 'a>) {
        if let Some(parameters) = self {
            parameters.visit_mut(prefix, visitor);
        }
    }
}

/// Blocks by group and inner layer.
impl<P: Parameters> Parameters for Vec<Vec<P>> {
    fn visit<'a>(&'a self, prefix: &str, visitor: &mut Visitor<'_, 'a>) {
        for (g, group) in self.iter().enumerate() {
            for (j, block) in group.iter().enumerate() {
                block.visit(&format!("{prefix}.{g}.albert_layers.{j}"), visitor);
            }
        }
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, visitor: &mut VisitorMut<'_, 'a>) {
        for (g, group) in self.iter_mut().enumerate() {
            for (j, block) in group.iter_mut().enumerate() {
                block.visit_mut(&format!("{prefix}.{g}.albert_layers.{j}"), visitor);
            }
        }
    }
}

/// The name that a tensor of any ALBERT checkpoint has in this crate, without the backbone's prefix.
///
/// Accepts `module.` (from data-parallel training) and `albert.` before a name, and LayerNorms' `gamma` and `beta`.
pub(super) fn canonical(name: &str) -> String {
    let name = name.strip_prefix("module.").unwrap_or(name);
    let name = without_backbone(name);
    let renamed = name
        .strip_suffix(".gamma")
        .map(|layer| format!("{layer}.weight"))
        .or_else(|| name.strip_suffix(".beta").map(|layer| format!("{layer}.bias")));
    renamed.unwrap_or_else(|| name.to_owned())
}

/// The name without the backbone's prefix, which a bare backbone's checkpoint lacks.
pub(super) fn without_backbone(name: &str) -> &str {
    name.strip_prefix(BACKBONE).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

/// Parameters, by canonical name, whose shapes tell V, E, H, I and the numbers of positions and types.
pub(super) fn landmarks(config: &AlbertConfig) -> [(&'static str, [usize; 2]); 5] {
    let (embed, hidden) = (config.embedding_size, config.hidden_size);
    [
        ("embeddings.word_embeddings.weight", [config.vocab_size, embed]),
        ("embeddings.position_embeddings.weight", [config.max_position_embeddings, embed]),
        ("embeddings.token_type_embeddings.weight", [config.type_vocab_size, embed]),
        ("encoder.embedding_hidden_mapping_in.weight", [hidden, embed]),
        (
            "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight",
            [config.intermediate_size, hidden],
        ),
    ]
}

/// Whether a parameter belongs to embeddings or encoder, without which a checkpoint is of no use.
pub(super) fn is_essential(name: &str) -> bool {
    let name = without_backbone(name);
    name.starts_with("embeddings.") || name.starts_with("encoder.")
}

/// A tensor of a masked-LM decoder and the parameter that it is a copy of where the decoder is tied, by their canonical names.
#[derive(Clone, Copy)]
pub(super) struct Tie {
    pub(super) tensor: &'static str,
    pub(super) to: &'static str,
}

pub(super) const DECODER_WEIGHT: Tie =
    Tie { tensor: "predictions.decoder.weight", to: "embeddings.word_embeddings.weight" };

pub(super) const DECODER_BIAS: Tie =
    Tie { tensor: "predictions.decoder.bias", to: "predictions.bias" };

/// Whether parameters are those of a model with a masked-LM decoder.
pub(super) fn have_decoder(parameters: &impl Parameters) -> bool {
    let mut found = false;
    parameters.visit("", &mut |name, _| found |= name == DECODER_BIAS.to);
    found
}

/// Whether a tensor is no parameter at all: a buffer that old versions of transformers stored.
pub(super) fn is_buffer(canonical: &str) -> bool {
    matches!(canonical, "embeddings.position_ids" | "embeddings.token_type_ids")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_todays() {
        for (old, today) in [
            ("albert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
            ("module.albert.pooler.bias", "pooler.bias"),
            ("encoder.full_layer_layer_norm.beta", "encoder.full_layer_layer_norm.bias"),
            ("predictions.bias", "predictions.bias"),
            ("albertina.weight", "albertina.weight"),
        ] {
            assert_eq!(canonical(old), today);
        }
    }
}
