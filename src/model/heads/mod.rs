//! What is put on top of the backbone, and the models that consist of both.
//!
//! A head is a small module of its own: [`MaskedLmHead`] and [`ClassifierHead`] can be put on any `[N, H]` states.

mod classifier;
mod masked_lm;
mod multiple_choice;
mod pretraining;
mod question_answering;
mod sentence_order;
mod sequence_classification;
mod token_classification;

pub use classifier::{ClassifierHead, ClassifierParameters};
pub use masked_lm::{AlbertForMaskedLM, MaskedLmHead, MaskedLmHeadParameters, MaskedLmOutput};
pub use multiple_choice::{AlbertForMultipleChoice, MultipleChoiceOutput};
pub use pretraining::{AlbertForPreTraining, PreTrainingHeadParameters, PreTrainingOutput};
pub use question_answering::{
    AlbertForQuestionAnswering, QuestionAnsweringHeadParameters, QuestionAnsweringOutput,
};
pub use sentence_order::{
    AlbertForSentenceOrder, SentenceOrderHeadParameters, SentenceOrderOutput,
};
pub use sequence_classification::{AlbertForSequenceClassification, SequenceClassificationOutput};
pub use token_classification::{AlbertForTokenClassification, TokenClassificationOutput};

use ndarray::{Array2, ArrayView2};

use super::albert::{Albert, AlbertOutput, OutputOptions, no_pooler};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::error::{Error, Result};
use crate::nn::loss::IGNORE_INDEX;

/// Implements [`Model`](crate::Model) for a struct of `albert` and `head`.
macro_rules! impl_model {
    ($model:ident, $architecture:literal, pooler: $pooler:literal, head: $head:ident, $parameters:ty, |$config:ident| $zeros:expr) => {
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

            fn from_parameters(
                config: $crate::AlbertConfig,
                parameters: Self::Parameters,
            ) -> $crate::Result<Self> {
                $crate::model::check_shapes(&parameters, &Self::zero_parameters(&config))?;
                let head = $head::new(&config, parameters.head)?;
                let albert = $crate::model::Albert::from_parameters(config, parameters.albert)?;
                Ok(Self { albert, head })
            }

            fn to_parameters(&self) -> Self::Parameters {
                $crate::model::ModelParameters {
                    albert: self.albert.to_parameters(),
                    head: self.head.to_parameters(),
                }
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
/// If the shapes differ, or a position outside the attention mask has a label.
fn labelled(values: &Packed, labels: ArrayView2<'_, i64>) -> Result<(Array2<f32>, Vec<i64>)> {
    let expected = (values.num_sequences(), values.layout().padded_length);
    if labels.dim() != expected {
        let (expected, found) = (format!("shape {expected:?}"), format!("{:?}", labels.dim()));
        return Err(Error::input("labels", expected, found));
    }
    let (mut rows, mut counted) = (Vec::new(), Vec::new());
    for ((sequence, column), &label) in labels.indexed_iter() {
        if label == IGNORE_INDEX {
            continue;
        }
        let Some(row) = values.layout().row_of(sequence, column) else {
            let what = format!("labels[{sequence}, {column}], outside the attention mask");
            return Err(Error::input(what, IGNORE_INDEX.to_string(), label.to_string()));
        };
        rows.push(row);
        counted.push(label);
    }
    Ok((values.rows().select(ndarray::Axis(0), &rows), counted))
}
