//! The published shapes by name.

use super::{AlbertConfig, ConfigFields, ParameterSharing};
use crate::error::{Error, Result};
use crate::nn::Activation;

/// L, H, A and I of a published model.
struct Shape {
    layers: usize,
    hidden: usize,
    heads: usize,
    intermediate: usize,
}

const BASE: Shape = Shape { layers: 12, hidden: 768, heads: 12, intermediate: 3072 };
const LARGE: Shape = Shape { layers: 24, hidden: 1024, heads: 16, intermediate: 4096 };
/// The published xlarge checkpoints have 16 heads of 128, not the 32 of 64 that the paper's rule H/64 gives.
const XLARGE: Shape = Shape { layers: 24, hidden: 2048, heads: 16, intermediate: 8192 };
const XXLARGE: Shape = Shape { layers: 12, hidden: 4096, heads: 64, intermediate: 16_384 };
const TINY: Shape = Shape { layers: 4, hidden: 312, heads: 12, intermediate: 1248 };
const SMALL: Shape = Shape { layers: 6, hidden: 384, heads: 12, intermediate: 1536 };

/// Entries of the Chinese BERT vocabulary.
const CHINESE_VOCAB: usize = 21_128;
/// Entries of the English uncased BERT vocabulary.
const BERT_VOCAB: usize = 30_522;

impl Shape {
    fn fields(&self) -> ConfigFields {
        ConfigFields {
            num_hidden_layers: self.layers,
            hidden_size: self.hidden,
            num_attention_heads: self.heads,
            intermediate_size: self.intermediate,
            ..ConfigFields::default()
        }
    }

    /// The first release: `gelu` and, but for xxlarge, dropout.
    fn v1(&self, dropout: f64) -> AlbertConfig {
        AlbertConfig(ConfigFields {
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: dropout,
            attention_probs_dropout_prob: dropout,
            ..self.fields()
        })
    }

    /// The second release: `gelu_new`, no dropout.
    fn v2(&self) -> AlbertConfig {
        AlbertConfig(self.fields())
    }

    fn chinese(&self, hidden_act: Activation) -> AlbertConfig {
        AlbertConfig(ConfigFields {
            vocab_size: CHINESE_VOCAB,
            hidden_act,
            bos_token_id: Some(101),
            eos_token_id: Some(102),
            ..self.fields()
        })
    }

    /// BERT's shape: E = H and nothing shared. The E → H mapping stays, which BERT lacks.
    fn bert(&self) -> AlbertConfig {
        AlbertConfig(ConfigFields {
            vocab_size: BERT_VOCAB,
            embedding_size: self.hidden,
            num_hidden_groups: self.layers,
            parameter_sharing: ParameterSharing::None,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            bos_token_id: Some(101),
            eos_token_id: Some(102),
            ..self.fields()
        })
    }
}

/// A preset's name, and what makes it.
type Preset = (&'static str, fn() -> AlbertConfig);

const PRESETS: [Preset; 13] = [
    ("base", AlbertConfig::base_v2),
    ("large", AlbertConfig::large_v2),
    ("xlarge", AlbertConfig::xlarge_v2),
    ("xxlarge", AlbertConfig::xxlarge_v2),
    ("base-v1", AlbertConfig::base_v1),
    ("large-v1", AlbertConfig::large_v1),
    ("xlarge-v1", AlbertConfig::xlarge_v1),
    ("xxlarge-v1", AlbertConfig::xxlarge_v1),
    ("chinese-tiny", AlbertConfig::chinese_tiny),
    ("chinese-small", AlbertConfig::chinese_small),
    ("chinese-base", AlbertConfig::chinese_base),
    ("bert-base", AlbertConfig::bert_base),
    ("bert-large", AlbertConfig::bert_large),
];

/// Published shapes. Token ids follow the vocabulary that each was published with.
impl AlbertConfig {
    /// The preset of that name: `base`, `large`, `xlarge` or `xxlarge` (version 2), the same with `-v1`, `chinese-tiny`,
    /// `chinese-small`, `chinese-base`, `bert-base` or `bert-large`.
    ///
    /// # Errors
    /// [`Error::Input`] that lists the names.
    pub fn from_preset(name: &str) -> Result<Self> {
        let found = PRESETS.iter().find(|(known, _)| *known == name);
        found.map(|(_, preset)| preset()).ok_or_else(|| {
            let names = PRESETS.map(|(known, _)| known).join(", ");
            Error::input("preset", format!("one of {names}"), format!("{name:?}"))
        })
    }

    /// ALBERT-base v1: 12 layers, H 768, `gelu`, dropout 0.1.
    pub fn base_v1() -> Self {
        BASE.v1(0.1)
    }

    /// ALBERT-large v1: 24 layers, H 1024, `gelu`, dropout 0.1.
    pub fn large_v1() -> Self {
        LARGE.v1(0.1)
    }

    /// ALBERT-xlarge v1: 24 layers, H 2048, 16 heads, `gelu`, dropout 0.1.
    pub fn xlarge_v1() -> Self {
        XLARGE.v1(0.1)
    }

    /// ALBERT-xxlarge v1: 12 layers, H 4096, `gelu`, no dropout.
    pub fn xxlarge_v1() -> Self {
        XXLARGE.v1(0.0)
    }

    /// ALBERT-base v2: 12 layers, H 768, `gelu_new`.
    pub fn base_v2() -> Self {
        BASE.v2()
    }

    /// ALBERT-large v2: 24 layers, H 1024, `gelu_new`.
    pub fn large_v2() -> Self {
        LARGE.v2()
    }

    /// ALBERT-xlarge v2: 24 layers, H 2048, 16 heads, `gelu_new`.
    pub fn xlarge_v2() -> Self {
        XLARGE.v2()
    }

    /// ALBERT-xxlarge v2: 12 layers, H 4096, `gelu_new`.
    pub fn xxlarge_v2() -> Self {
        XXLARGE.v2()
    }

    /// `albert_chinese_tiny`: 4 layers, H 312, 12 heads of 26.
    pub fn chinese_tiny() -> Self {
        TINY.chinese(Activation::Gelu)
    }

    /// `albert_chinese_small`: 6 layers, H 384, 12 heads of 32.
    pub fn chinese_small() -> Self {
        SMALL.chinese(Activation::Gelu)
    }

    /// `albert_chinese_base`: ALBERT-base with a Chinese vocabulary and `relu`.
    pub fn chinese_base() -> Self {
        BASE.chinese(Activation::Relu)
    }

    /// BERT-base's shape, for comparison: E = H = 768, nothing shared.
    pub fn bert_base() -> Self {
        BASE.bert()
    }

    /// BERT-large's shape, for comparison: E = H = 1024, nothing shared.
    pub fn bert_large() -> Self {
        LARGE.bert()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Presets are built without validation, so they are validated here.
    #[test]
    fn every_preset_is_valid() {
        let presets = [
            AlbertConfig::base_v1(),
            AlbertConfig::large_v1(),
            AlbertConfig::xlarge_v1(),
            AlbertConfig::xxlarge_v1(),
            AlbertConfig::base_v2(),
            AlbertConfig::large_v2(),
            AlbertConfig::xlarge_v2(),
            AlbertConfig::xxlarge_v2(),
            AlbertConfig::chinese_tiny(),
            AlbertConfig::chinese_small(),
            AlbertConfig::chinese_base(),
            AlbertConfig::bert_base(),
            AlbertConfig::bert_large(),
        ];
        for preset in presets {
            assert_eq!(AlbertConfig::new(preset.to_fields()).unwrap(), preset);
        }
    }

    /// The exact counts of table 1's ALBERT models, backbone with pooler.
    #[test]
    fn parameter_counts_of_table_1() {
        for (config, expected) in [
            (AlbertConfig::base_v2(), 11_683_584),
            (AlbertConfig::large_v2(), 17_683_968),
            (AlbertConfig::xlarge_v2(), 58_724_864),
            (AlbertConfig::xxlarge_v2(), 222_595_584),
        ] {
            assert_eq!(config.parameter_count().total(), expected);
        }
    }
}
