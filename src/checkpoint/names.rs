//! The names of parameters: the only table that says which field a tensor belongs to.
//!
//! Names are transformers'. Two things are this crate's own. Where layers share only their
//! attention (or only their feed-forward) blocks, the shared half stands under its group, as in
//! transformers, and the other half under `albert_layer_groups.{layer}`, as if every layer were a
//! group: `config.json`'s `parameter_sharing` says which is which. And
//! [`Table`](super::table::Table) maps the names of old files to today's.

use ndarray::{Array, ArrayViewD, ArrayViewMutD, Dimension};

use crate::config::{AlbertConfig, Int8Outliers};
use crate::model::heads::{
    ClassifierParameters, DecoderParameters, MaskedLmHeadParameters, PreTrainingHeadParameters,
    QuestionAnsweringHeadParameters, SentenceOrderHeadParameters,
};
use crate::model::{AlbertParameters, EmbeddingParameters, EncoderParameters, ModelParameters};
use crate::nn::{AttentionParameters, FeedForwardParameters, LayerNorm, Linear, Parameters};

type Visitor<'v, 'a> = dyn FnMut(&str, ArrayViewD<'a, f32>) + 'v;
type VisitorMut<'v, 'a> = dyn FnMut(&str, ArrayViewMutD<'a, f32>) + 'v;

/// The prefix of the backbone's parameters in every model with a head.
pub(super) const BACKBONE: &str = "albert";

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
    PreTrainingHeadParameters { masked_lm: "", sentence_order: "" }
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

/// Classifiers after each exit, as PABEE names them, or a single one after the last layer.
macro_rules! classifiers {
    ($($type:ident: $prefix:literal),+) => {$(
        impl Parameters for $type {
            fn visit<'a>(&'a self, prefix: &str, visitor: &mut Visitor<'_, 'a>) {
                let prefix = join(prefix, $prefix);
                for (i, exit) in self.exits.iter().enumerate() {
                    exit.visit(&exit_name(&prefix, i), visitor);
                }
                self.classifier.visit(&last_name(&prefix, self.exits.len()), visitor);
            }

            fn visit_mut<'a>(&'a mut self, prefix: &str, visitor: &mut VisitorMut<'_, 'a>) {
                let prefix = join(prefix, $prefix);
                let last = last_name(&prefix, self.exits.len());
                for (i, exit) in self.exits.iter_mut().enumerate() {
                    exit.visit_mut(&exit_name(&prefix, i), visitor);
                }
                self.classifier.visit_mut(&last, visitor);
            }
        }
    )+};
}
classifiers!(ClassifierParameters: "", SentenceOrderHeadParameters: "sop_classifier");

/// The name of an exit's classifier.
pub(super) fn exit_name(prefix: &str, exit: usize) -> String {
    join(prefix, &format!("classifiers.{exit}"))
}

/// The name of the classifier after the last layer, which follows so many exits.
fn last_name(prefix: &str, exits: usize) -> String {
    if exits == 0 { join(prefix, "classifier") } else { exit_name(prefix, exits) }
}

/// What precedes the names of a model's classifiers of pooled outputs, which may have exits; none
/// in other models.
pub(super) fn exit_prefix(parameters: &impl Parameters) -> Option<&'static str> {
    let mut found = None;
    parameters.visit("", &mut |name, _| match name {
        "classifiers.0.weight" => found = Some(""),
        "sop_classifier.classifiers.0.weight" => found = Some("sop_classifier"),
        _ => {}
    });
    found
}

/// The name by which models without exits know the classifier after the last layer.
pub(super) fn single_name(prefix: &str) -> String {
    last_name(prefix, 0)
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

/// The name without the backbone's prefix, which a bare backbone's checkpoint lacks.
pub(super) fn without_backbone(name: &str) -> &str {
    name.strip_prefix(BACKBONE).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

/// Parameters, by canonical name, whose shapes tell V, E, H, I and the numbers of positions and
/// types.
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

/// Of the inputs of a matrix that models in int8 round to bytes, those that they do not; `None` for
/// other parameters.
pub(super) fn int8_outliers<'a>(
    name: &str,
    config: &AlbertConfig,
    outliers: &'a Int8Outliers,
) -> Option<&'a [usize]> {
    match without_backbone(name) {
        "embeddings.word_embeddings.weight" | "encoder.embedding_hidden_mapping_in.weight" => {
            return Some(&[]);
        }
        "pooler.weight" => return Some(&outliers.pooler),
        _ => {}
    }
    let layer = without_backbone(name).strip_prefix("encoder.albert_layer_groups.")?;
    let (group, rest) = layer.split_once(".albert_layers.")?;
    let (inner, matrix) = rest.split_once('.')?;
    let block =
        group.parse::<usize>().ok()? * config.inner_group_num + inner.parse::<usize>().ok()?;
    let lists = match matrix {
        "attention.query.weight" | "attention.key.weight" | "attention.value.weight" => {
            &outliers.attention
        }
        "attention.dense.weight" => &outliers.attention_dense,
        "ffn.weight" => &outliers.ffn,
        "ffn_output.weight" => &outliers.ffn_output,
        _ => return None,
    };
    lists.get(block).map(Vec::as_slice)
}

/// The parameter that has a row for each class.
pub(super) const CLASSIFIER: &str = "classifier.weight";

/// A tensor of a masked-LM decoder and the parameter that it is a copy of where the decoder is
/// tied, by their canonical names.
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
