//! `config.json`: the description of a model, under Hugging Face's names.
//!
//! [`ConfigFields`] is plain data with transformers' names and defaults; [`AlbertConfig`] is the
//! same data after validation, so code that has one need not check it. Unknown keys are kept and
//! written back.

mod check;
mod counts;
mod files;
mod google;
mod json;
mod kinds;
mod labels;
mod outliers;
mod presets;
mod speech;

pub(crate) use files::{CONFIG, ConfigFile};
pub(crate) use labels::{different as different_labels, made_up as made_up_labels};

use std::ops::Deref;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::files::check_path;
use crate::hub;
use crate::layout;
use crate::nn::Activation;

pub use counts::ParameterCount;
pub use kinds::{ParameterSharing, ProblemType};
pub use outliers::Int8Outliers;

/// The fields of `config.json` under Hugging Face's names, with transformers' defaults (which are ALBERT-xxlarge's).
///
/// Plain data that may be invalid; [`AlbertConfig::new`] validates it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigFields {
    /// V, the number of word embeddings.
    pub vocab_size: usize,
    /// E, the width of the embedding tables.
    pub embedding_size: usize,
    /// H, the width of the encoder.
    pub hidden_size: usize,
    /// L, the number of times a group of layers is applied.
    pub num_hidden_layers: usize,
    /// The number of parameter groups among which the layers are divided.
    pub num_hidden_groups: usize,
    /// A, the number of attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// I, the width of the feed-forward block.
    pub intermediate_size: usize,
    /// The number of layers with separate parameters in a group; all of them run in each of the L
    /// applications.
    pub inner_group_num: usize,
    /// The feed-forward block's activation, also that of the masked-LM head.
    pub hidden_act: Activation,
    /// Dropout after embeddings and projections, used in training only.
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities, used in training only.
    pub attention_probs_dropout_prob: f64,
    /// The number of position embeddings: the maximum length of a sequence.
    pub max_position_embeddings: usize,
    /// The number of token types (segments).
    pub type_vocab_size: usize,
    /// Standard deviation of newly initialised weights.
    pub initializer_range: f64,
    /// The epsilon under the root in every LayerNorm.
    pub layer_norm_eps: f64,
    /// Dropout before classifiers, used in training only; `None` (JSON `null`) falls back to
    /// `hidden_dropout_prob` in token classification and to no dropout elsewhere.
    pub classifier_dropout_prob: Option<f64>,
    /// Id of the padding token.
    pub pad_token_id: Option<u32>,
    /// Id of the token that begins a sequence.
    pub bos_token_id: Option<u32>,
    /// Id of the token that ends a sequence.
    pub eos_token_id: Option<u32>,
    /// Whether the matrix of the masked-LM decoder is tied to the word embeddings. If not, the
    /// decoder has a separate matrix and bias.
    ///
    /// For a checkpoint whose decoder differs from the word embeddings, this is set to `false`,
    /// whatever its file says.
    pub tie_word_embeddings: bool,
    /// Whether a tied decoder's bias is `predictions.bias`, too; not a Hugging Face key.
    ///
    /// `false` for a checkpoint in which only the two biases differ; ignored if
    /// [`tie_word_embeddings`](Self::tie_word_embeddings) is `false`.
    pub tie_decoder_bias: bool,
    /// Which parameters the layers share; not a Hugging Face key.
    pub parameter_sharing: ParameterSharing,
    /// The classifier's labels in the order of their ids (`id2label`); their number is the number
    /// of classes.
    pub labels: Vec<String>,
    /// The problem of a sequence classifier; `None` infers it from the labels, as in transformers.
    pub problem_type: Option<ProblemType>,
    /// The layers, counted from 1 and in ascending order, after which there is a classifier on the
    /// pooled output: a model with exits. The last must be `num_hidden_layers`. Empty for a model
    /// with a single classifier, after the last layer. Not a Hugging Face key.
    pub exit_layers: Vec<usize>,
    /// The channels that a model in int8 computes in single precision, if they are known; otherwise
    /// they are determined when the model is built. Not a Hugging Face key.
    pub int8_outliers: Option<Int8Outliers>,
    /// Keys of the file that this crate does not use; written back unchanged.
    pub other: Map<String, Value>,
}

impl Default for ConfigFields {
    fn default() -> Self {
        Self {
            vocab_size: 30_000,
            embedding_size: 128,
            hidden_size: 4096,
            num_hidden_layers: 12,
            num_hidden_groups: 1,
            num_attention_heads: 64,
            intermediate_size: 16_384,
            inner_group_num: 1,
            hidden_act: Activation::GeluNew,
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            classifier_dropout_prob: Some(0.1),
            pad_token_id: Some(0),
            bos_token_id: Some(2),
            eos_token_id: Some(3),
            tie_word_embeddings: true,
            tie_decoder_bias: true,
            parameter_sharing: ParameterSharing::All,
            labels: vec!["LABEL_0".to_owned(), "LABEL_1".to_owned()],
            problem_type: None,
            exit_layers: Vec::new(),
            int8_outliers: None,
            other: Map::new(),
        }
    }
}

impl ConfigFields {
    /// How many attention blocks have parameters of their own.
    pub(crate) fn attention_blocks(&self) -> usize {
        self.blocks(self.parameter_sharing.shares_attention())
    }

    /// How many feed-forward blocks have parameters of their own.
    pub(crate) fn feed_forward_blocks(&self) -> usize {
        self.blocks(self.parameter_sharing.shares_ffn())
    }

    fn blocks(&self, is_shared: bool) -> usize {
        let groups = if is_shared { self.num_hidden_groups } else { self.num_hidden_layers };
        groups * self.inner_group_num
    }
}

/// A valid configuration.
///
/// Fields can be read through [`Deref`] under Hugging Face's names, but not changed: change a copy
/// from [`to_fields`](Self::to_fields) and validate it again.
///
/// ```
/// use ndalbert::{AlbertConfig, ConfigFields};
///
/// let config = AlbertConfig::new(ConfigFields {
///     hidden_size: 768,
///     num_attention_heads: 12,
///     intermediate_size: 3072,
///     ..ConfigFields::default()
/// })?;
/// assert_eq!(config.hidden_size, 768);
/// assert_eq!(config.parameter_count().total(), 11_683_584);
///
/// let odd = ConfigFields { num_attention_heads: 5, ..config.to_fields() };
/// let error = AlbertConfig::new(odd).unwrap_err();
/// assert!(error.to_string().contains("num_attention_heads"));
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AlbertConfig(ConfigFields);

impl Deref for AlbertConfig {
    type Target = ConfigFields;

    fn deref(&self) -> &ConfigFields {
        &self.0
    }
}

impl AlbertConfig {
    /// Checks the fields.
    ///
    /// With [`ParameterSharing::None`] every layer is a separate group, so `num_hidden_groups` is
    /// set to `num_hidden_layers`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) that names the first invalid field and its value.
    pub fn new(mut fields: ConfigFields) -> Result<Self> {
        if fields.parameter_sharing == ParameterSharing::None && fields.num_hidden_groups == 1 {
            fields.num_hidden_groups = fields.num_hidden_layers;
        }
        check::check(&fields)?;
        Ok(Self(fields))
    }

    /// A copy of the fields, to change and validate again.
    pub fn to_fields(&self) -> ConfigFields {
        self.0.clone()
    }

    /// Reads `config.json` from a checkpoint's directory (or next to its weight file), or from a
    /// model on the Hub (see [`hub`](crate::hub)).
    ///
    /// Kokoro's `config.json`, with ALBERT's keys under `plbert`, is supported, too. Without a
    /// `config.json`, reads that of Google's releases and albert_zh, `albert_config.json` or the
    /// only `albert_config*.json` (see [`from_file`](Self::from_file)), or the `config.yml` of
    /// StyleTTS2's PL-BERT.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be read, [`Error::Format`](crate::Error::Format) if it is not JSON or there are
    /// several, [`Error::Config`](crate::Error::Config) with its path for a bad field.
    pub fn from_pretrained(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref();
        check_path(directory, "a checkpoint's directory")?;
        let path = hub::locate(directory, None, &ConfigFile)?;
        let directory = layout::model_directory(&path);
        let (json, yaml) = (google::find(&directory)?, directory.join("config.yml"));
        if json.symlink_metadata().is_err() && yaml.is_file() {
            return Self::from_json(speech::read_yaml(&yaml)?)
                .map_err(|error| error.in_config(&yaml));
        }
        Self::from_file(json)
    }

    /// The row of the word embeddings that is the padding token's.
    pub(crate) fn pad_row(&self) -> Option<usize> {
        self.pad_token_id.map(|id| id as usize)
    }

    /// With what was found for int8 or, where weights change, with nothing.
    pub(crate) fn with_int8_outliers(mut self, outliers: Option<Int8Outliers>) -> Self {
        self.0.int8_outliers = outliers;
        self
    }

    /// D, the width of an attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// C, the number of classes of a classifier, which is the number of labels.
    pub fn num_labels(&self) -> usize {
        self.labels.len()
    }

    /// Whether the masked-LM decoder adds `predictions.bias`, and has no bias of its own.
    pub(crate) fn ties_decoder_bias(&self) -> bool {
        self.tie_word_embeddings && self.tie_decoder_bias
    }

    /// The number of layers applied in sequence: L times the inner layers of a group.
    pub fn num_applications(&self) -> usize {
        self.num_hidden_layers * self.inner_group_num
    }

    /// The group that serves layer `layer` (0 ≤ `layer` < L).
    ///
    /// Computed in floating point, as in transformers: `int(layer / (L / groups))`. Integer
    /// division differs if the number of groups does not divide L.
    pub fn group_of_layer(&self, layer: usize) -> usize {
        let layers_per_group = self.num_hidden_layers as f64 / self.num_hidden_groups as f64;
        (layer as f64 / layers_per_group) as usize
    }
}
