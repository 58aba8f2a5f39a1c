//! Which parameter a tensor of a file is, whatever precedes its name and whenever the file was
//! written.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ndarray::ArrayViewD;

use super::names::{BACKBONE, DECODER_BIAS, DECODER_WEIGHT, Tie, is_essential};
use crate::config::{AlbertConfig, ConfigFields};
use crate::error::Result;
use crate::model::Model;
use crate::model::heads::{
    AlbertForPreTraining, AlbertForQuestionAnswering, AlbertForSentenceOrder,
    AlbertForSequenceClassification,
};
use crate::nn::Parameters;

/// Today's name: LayerNorms' `gamma` and `beta` were what is `weight` and `bias` now.
fn todays(name: &str) -> Cow<'_, str> {
    match name.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight").into(),
        Some((layer, "beta")) => format!("{layer}.bias").into(),
        _ => name.into(),
    }
}

/// The canonical names of an ALBERT's parameters, in which all groups and layers are the first
/// ones.
pub(super) struct Table {
    /// Of embeddings, encoder and pooler.
    backbone: BTreeSet<String>,
    /// Of the heads.
    heads: BTreeSet<String>,
}

impl Table {
    /// Goes over the parameters of the smallest models that there can be.
    pub fn new() -> Result<Self> {
        let config = AlbertConfig::new(ConfigFields {
            vocab_size: 1,
            embedding_size: 1,
            hidden_size: 1,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            intermediate_size: 1,
            max_position_embeddings: 1,
            type_vocab_size: 1,
            tie_word_embeddings: false,
            ..ConfigFields::default()
        })?;
        let mut table = Self { backbone: BTreeSet::new(), heads: BTreeSet::new() };
        let mut add = |name: &str, _: ArrayViewD<'_, f32>| {
            match name.strip_prefix(BACKBONE).and_then(|rest| rest.strip_prefix('.')) {
                Some(name) => table.backbone.insert(name.to_owned()),
                None => table.heads.insert(name.to_owned()),
            };
        };
        AlbertForPreTraining::zero_parameters(&config).visit("", &mut add);
        AlbertForSequenceClassification::zero_parameters(&config).visit("", &mut add);
        let exits =
            ConfigFields { num_hidden_layers: 2, exit_layers: vec![1, 2], ..config.to_fields() };
        let exits = AlbertConfig::new(exits)?;
        AlbertForSequenceClassification::zero_parameters(&exits).visit("", &mut add);
        AlbertForSentenceOrder::zero_parameters(&exits).visit("", &mut add);
        AlbertForQuestionAnswering::zero_parameters(&config).visit("", &mut add);
        Ok(table)
    }

    /// The name of the backbone's that a name ends with, in today's words and with the first group
    /// and layer, and how long what precedes it is.
    pub fn find(&self, name: &str) -> Option<(&str, usize)> {
        let starts = name.match_indices('.').map(|(dot, _)| dot + 1);
        let mut starts = [0].into_iter().chain(starts);
        starts.find_map(|start| Some((self.get(name.get(start..)?)?, start)))
    }

    /// The name in this crate of a tensor of an ALBERT's, from where that begins in the file; other
    /// names as they are.
    pub fn canonical<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let today = todays(name);
        if self.is_head(&today) || self.get(name).is_some() { today } else { name.into() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let may_be = name.len() <= MAX_NAME && STARTS.iter().any(|start| name.starts_with(start));
        may_be.then_some(())?;
        self.backbone.get(&of_first_layer(&todays(name))).map(String::as_str)
    }

    /// The names without which a backbone is of no use.
    pub fn essential(&self) -> impl Iterator<Item = &str> {
        self.backbone.iter().map(String::as_str).filter(|name| is_essential(name))
    }

    /// Whether a head has a parameter of that canonical name.
    pub fn is_head(&self, canonical: &str) -> bool {
        let is_tied = |tie: Tie| tie.tensor == canonical;
        // Exits are counted as groups are.
        let known = || self.heads.contains(&of_first_layer(canonical));
        (canonical.len() <= MAX_NAME && known()) || is_tied(DECODER_WEIGHT) || is_tied(DECODER_BIAS)
    }
}

/// The longest name that is looked up; those of the table have less than 100 characters.
const MAX_NAME: usize = 256;

/// What the backbone's names begin with.
const STARTS: [&str; 3] = ["embeddings.", ENCODER, "pooler."];

/// What the encoder's names begin with. They are ALBERT's own; those of embeddings and pooler are
/// BERT's, too.
const ENCODER: &str = "encoder.";

/// Whether a canonical name of the table is one that only an ALBERT has.
pub(super) fn is_of_encoder(canonical: &str) -> bool {
    canonical.starts_with(ENCODER)
}

/// The same name in the first group's first layer.
fn of_first_layer(canonical: &str) -> String {
    let is_number = |step: &str| !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
    let steps = canonical.split('.').map(|step| if is_number(step) { "0" } else { step });
    steps.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_todays() {
        for (old, today) in [
            ("embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
            ("encoder.full_layer_layer_norm.beta", "encoder.full_layer_layer_norm.bias"),
            ("predictions.bias", "predictions.bias"),
            ("gamma", "gamma"),
        ] {
            assert_eq!(todays(old), today);
        }
    }

    #[test]
    fn the_table_finds_where_names_begin() {
        let table = Table::new().unwrap();
        let layer = "encoder.albert_layer_groups.0.albert_layers.0";
        for (name, found) in [
            ("pooler.bias", Some(("pooler.bias", 0))),
            ("a.b.embeddings.LayerNorm.beta", Some(("embeddings.LayerNorm.bias", 4))),
            (
                "encoder.encoder.embedding_hidden_mapping_in.bias",
                Some(("encoder.embedding_hidden_mapping_in.bias", 8)),
            ),
            (
                "x.encoder.albert_layer_groups.3.albert_layers.12.ffn.weight",
                Some((&*format!("{layer}.ffn.weight"), 2)),
            ),
            ("encoder.albert_layer_groups.x.albert_layers.0.ffn.weight", None),
            ("encoder.layer.0.attention.self.query.weight", None),
            ("xpooler.bias", None),
            ("pooler.bias.exp_avg", None),
            ("pooler.dense.bias", None),
            ("", None),
        ] {
            assert_eq!(table.find(name), found, "{name}");
        }
        assert_eq!(table.essential().count(), 23);
        assert!(table.is_head("qa_outputs.bias") && table.is_head("predictions.decoder.weight"));
        assert!(table.is_head("classifier.weight") && table.is_head("classifiers.11.bias"));
        assert!(table.is_head("sop_classifier.classifiers.3.weight"));
        assert!(!table.is_head("mask_predictor.weight") && !table.is_head("pooler.weight"));
    }
}
