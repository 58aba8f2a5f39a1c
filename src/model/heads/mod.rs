//! Heads, and the models that consist of backbone and head.
//!
//! A head is a separate module, [`MaskedLmHead`] or [`LinearHead`], that applies to any `[N, H]` states. Several heads can therefore share one backbone, which runs once for all of them:
//!
//! ```
//! use ndalbert::heads::{LinearHead, TokenClassificationOutput};
//! use ndalbert::{Albert, AlbertConfig, AlbertForTokenClassification, Batch, ConfigFields, Model};
//!
//! # let config = AlbertConfig::new(ConfigFields {
//! #     vocab_size: 100,
//! #     embedding_size: 16,
//! #     hidden_size: 32,
//! #     num_attention_heads: 4,
//! #     num_hidden_layers: 2,
//! #     intermediate_size: 64,
//! #     ..ConfigFields::default()
//! # })?;
//! let albert = Albert::from_config(config.clone(), 1)?;
//! // Heads from a checkpoint's parameters, …
//! let parameters = AlbertForTokenClassification::random_parameters(&config, 2)?;
//! let tagger = LinearHead::new(parameters.head.classifier)?;
//! // … or your own layer.
//! let order = LinearHead::new(ndalbert::nn::Linear::zeros(config.hidden_size, 2))?;
//!
//! let batch = Batch::from_sequences(&[vec![2, 17, 5, 3], vec![2, 8, 3]])?;
//! let output = albert.forward(&batch)?;
//! let states = &output.last_hidden_state;
//! let tags = states.with_rows(tagger.forward(states.rows())?)?;
//! let order = order.forward(output.pooler_output.unwrap().view())?;
//! assert_eq!((tags.sequence(1).dim(), order.dim()), ((3, 2), (2, 2)));
//!
//! // The losses are those of the models' outputs.
//! let labels = ndalbert::ndarray::array![[0, 1, 1, 0], [0, 1, 0, -100]];
//! let loss = TokenClassificationOutput::new(tags).loss(labels.view())?;
//! # assert!(loss > 0.0);
//! # Ok::<(), ndalbert::Error>(())
//! ```
//!
//! Every output can be created from logits, as here, and may get more fields; losses on plain arrays are in
//! [`nn::loss`](crate::nn::loss). Zero parameters of a whole model are
//! [`Model::zero_parameters`](crate::Model::zero_parameters), and every struct of parameters has a method `zeros`.

mod classifier;
mod linear;
mod masked_lm;
mod multiple_choice;
mod pretraining;
mod question_answering;
mod sentence_order;
mod sequence_classification;
mod token_classification;

pub use classifier::ClassifierHead;
pub(crate) use classifier::check_exits;
pub use linear::{ClassifierParameters, LinearHead};
pub use masked_lm::{
    AlbertForMaskedLM, DecoderParameters, MaskedLmHead, MaskedLmHeadParameters, MaskedLmOutput,
};
pub use multiple_choice::{AlbertForMultipleChoice, MultipleChoiceOutput};
pub use pretraining::{
    AlbertForPreTraining, PreTrainingHead, PreTrainingHeadParameters, PreTrainingOutput,
};
pub use question_answering::{
    AlbertForQuestionAnswering, AnswerSpan, QuestionAnsweringHeadParameters,
    QuestionAnsweringOutput,
};
pub use sentence_order::{
    AlbertForSentenceOrder, SentenceOrderHeadParameters, SentenceOrderOutput,
};
pub(crate) use sequence_classification::problem;
pub use sequence_classification::{AlbertForSequenceClassification, SequenceClassificationOutput};
pub(super) use sequence_classification::{Comparison, comparison};
pub use token_classification::{AlbertForTokenClassification, TokenClassificationOutput};

use ndarray::{Array2, ArrayView2};

use super::albert::{Albert, AlbertOutput, OutputOptions, no_pooler};
use crate::batch::{AttentionProbabilities, Batch, Layout, Packed};
use crate::error::{Error, Result};
use crate::nn::loss::IGNORE_INDEX;

/// Implements [`Model`](crate::Model) for a struct of `albert` and `head`, given how the head's parameters are made as
/// zeros, become a head, and are taken out of it.
macro_rules! impl_model {
    (
        $model:ident, $architecture:literal, pooler: $pooler:literal, head: $head:ty,
        parameters: $parameters:ty,
        zeros: |$config:ident| $zeros:expr,
        build: |$build_config:pat_param, $given:ident| $build:expr,
        unpack: |$built:ident| $unpack:expr $(,)?
    ) => {
        impl $crate::model::Model for $model {
            type Parameters = $crate::model::ModelParameters<$parameters>;

            const ARCHITECTURE: &'static str = $architecture;

            const NAME: &'static str = stringify!($model);

            fn zero_parameters($config: &$crate::AlbertConfig) -> Self::Parameters {
                $crate::model::ModelParameters {
                    albert: $crate::model::AlbertParameters::zeros($config, $pooler),
                    head: $zeros,
                }
            }

            fn from_parameters_in(
                config: $crate::AlbertConfig,
                parameters: Self::Parameters,
                precision: $crate::Precision,
            ) -> $crate::Result<Self> {
                $crate::model::check_shapes(&parameters, &Self::zero_parameters(&config))?;
                let ($build_config, $given) = (&config, parameters.head);
                let head = $build?;
                let albert = $crate::model::Albert::from_parameters_in(
                    config,
                    parameters.albert,
                    precision,
                )?;
                Ok(Self { albert, head })
            }

            fn to_parameters(&self) -> Self::Parameters {
                let $built = &self.head;
                $crate::model::ModelParameters {
                    albert: self.albert.to_parameters(),
                    head: $unpack,
                }
            }

            fn precision(&self) -> $crate::Precision {
                self.albert.precision()
            }

            fn config(&self) -> &$crate::AlbertConfig {
                self.albert.config()
            }
        }

        impl $model {
            /// The backbone.
            pub fn albert(&self) -> &$crate::model::Albert {
                &self.albert
            }

            /// The head, which can be applied to the states of another backbone, too.
            pub fn head(&self) -> &$head {
                &self.head
            }

            /// Splits the model into backbone and head, such as to use one backbone for several heads.
            pub fn into_parts(self) -> ($crate::model::Albert, $head) {
                (self.albert, self.head)
            }
        }
    };
}
use impl_model;

/// A backbone's pooled output, and what else was asked for.
struct Pooled {
    pooled: Array2<f32>,
    hidden_states: Vec<Packed>,
    attentions: Vec<AttentionProbabilities>,
}

/// Runs a backbone for its pooled output.
fn pooled(albert: &Albert, batch: &Batch, options: OutputOptions) -> Result<Pooled> {
    if options == OutputOptions::default() {
        let pooled = albert.pooler_output(batch)?;
        return Ok(Pooled { pooled, hidden_states: Vec::new(), attentions: Vec::new() });
    }
    let AlbertOutput { pooler_output, hidden_states, attentions, .. } =
        albert.forward_with(batch, options)?;
    Ok(Pooled { pooled: pooler_output.ok_or_else(no_pooler)?, hidden_states, attentions })
}

/// The packed values of positions that labels `[B, S]` count, and these labels.
///
/// # Errors
/// As [`labelled_rows`].
fn labelled(values: &Packed, labels: ArrayView2<'_, i64>) -> Result<(Array2<f32>, Vec<i64>)> {
    let (rows, counted) = labelled_rows(values.layout(), labels)?;
    Ok((values.rows().select(ndarray::Axis(0), &rows), counted))
}

/// The packed rows of positions that labels `[B, S]` count, and these labels.
///
/// # Errors
/// If the shapes differ, or a position outside the attention mask has a label.
pub(super) fn labelled_rows(
    layout: &Layout,
    labels: ArrayView2<'_, i64>,
) -> Result<(Vec<usize>, Vec<i64>)> {
    let expected = (layout.sequences.len(), layout.padded_length);
    if labels.dim() != expected {
        let (expected, found) = (format!("shape {expected:?}"), format!("{:?}", labels.dim()));
        return Err(Error::input("labels", expected, found));
    }
    let (mut rows, mut counted) = (Vec::new(), Vec::new());
    for ((sequence, column), &label) in labels.indexed_iter() {
        if label == IGNORE_INDEX {
            continue;
        }
        let Some(row) = layout.row_of(sequence, column) else {
            let what = format!("labels[{sequence}, {column}], outside the attention mask");
            return Err(Error::input(what, IGNORE_INDEX.to_string(), label.to_string()));
        };
        rows.push(row);
        counted.push(label);
    }
    Ok((rows, counted))
}
