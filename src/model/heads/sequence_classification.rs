//! Classification of, or regression on, whole sequences.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, CowArray, Ix2};

use super::classifier::{ClassifierHead, Classifiers, Until, each};
use super::linear::ClassifierParameters;
use super::{Pooled, impl_model, pooled};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::{AlbertConfig, ProblemType};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::albert::{Albert, OutputOptions};
use crate::model::exits::{EarlyExit, ExitPolicy, Predict};
use crate::nn::loss::{
    IGNORE_INDEX, Labels, binary_cross_entropy_with_logits, cross_entropy, mean_squared_error,
};

/// ALBERT for classification of, or regression on, sequences or pairs.
#[derive(Debug)]
pub struct AlbertForSequenceClassification {
    albert: Albert,
    head: ClassifierHead,
}

impl_model!(
    AlbertForSequenceClassification, "AlbertForSequenceClassification", pooler: true, head: ClassifierHead,
    parameters: ClassifierParameters,
    zeros: |config| ClassifierParameters::zeros_with_exits(config, config.num_labels()),
    build: |_, parameters| parameters.build(),
    unpack: |head| Classifiers::unpack(head),
);

/// Scores of classes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SequenceClassificationOutput {
    /// `[B, C]`, before softmax (or sigmoid); the prediction itself in a regression.
    pub logits: Array2<f32>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub attentions: Vec<AttentionProbabilities>,
    /// The loss, if the config sets it.
    pub problem_type: Option<ProblemType>,
}

impl SequenceClassificationOutput {
    /// Wraps logits `[B, C]` that were computed by a separate head; hidden states and attentions are empty.
    pub fn new(logits: Array2<f32>, problem_type: Option<ProblemType>) -> Self {
        Self { logits, hidden_states: Vec::new(), attentions: Vec::new(), problem_type }
    }

    /// transformers' loss: by the config's `problem_type` or, if it is not set, mean squared error for one label, cross-entropy for class indices, binary cross-entropy for values.
    ///
    /// # Errors
    /// [`Error::Input`] if the labels do not have the kind or shape of the problem.
    pub fn loss(&self, labels: Labels<'_>) -> Result<f32> {
        let logits = self.logits.view();
        match comparison(self.problem_type, logits.ncols(), labels)? {
            Comparison::CrossEntropy(classes) => cross_entropy(logits, classes, IGNORE_INDEX),
            Comparison::SquaredError(values) => mean_squared_error(logits, values.view()),
            Comparison::BinaryCrossEntropy(values) => {
                binary_cross_entropy_with_logits(logits, values)
            }
        }
    }
}

/// A loss, and the labels as it takes them.
pub(in crate::model) enum Comparison<'a> {
    CrossEntropy(&'a [i64]),
    SquaredError(CowArray<'a, f32, Ix2>),
    BinaryCrossEntropy(ArrayView2<'a, f32>),
}

/// Which loss a problem has, as [`SequenceClassificationOutput::loss`] says, of `outputs` per sequence.
pub(in crate::model) fn comparison(
    problem_type: Option<ProblemType>,
    outputs: usize,
    labels: Labels<'_>,
) -> Result<Comparison<'_>> {
    let by_labels = match labels {
        _ if outputs == 1 => ProblemType::Regression,
        Labels::Classes(_) => ProblemType::SingleLabelClassification,
        Labels::Values(_) => ProblemType::MultiLabelClassification,
    };
    match (problem_type.unwrap_or(by_labels), labels) {
        (ProblemType::SingleLabelClassification, Labels::Classes(classes)) => {
            Ok(Comparison::CrossEntropy(classes))
        }
        (ProblemType::Regression, Labels::Values(values)) => {
            Ok(Comparison::SquaredError(values.into()))
        }
        (ProblemType::Regression, Labels::Classes(numbers)) => {
            let values = numbers.iter().map(|&number| number as f32).collect();
            let values = Array2::from_shape_vec((numbers.len(), 1), values)
                .map_err(|error| Error::input("labels", "[B, 1]", error.to_string()))?;
            Ok(Comparison::SquaredError(values.into()))
        }
        (ProblemType::MultiLabelClassification, Labels::Values(values)) => {
            Ok(Comparison::BinaryCrossEntropy(values))
        }
        (ProblemType::SingleLabelClassification, Labels::Values(_)) => {
            Err(Error::input("labels", "class indices [B]", "values"))
        }
        (ProblemType::MultiLabelClassification, Labels::Classes(_)) => {
            Err(Error::input("labels", "values [B, C]", "class indices"))
        }
    }
}

impl AlbertForSequenceClassification {
    /// Scores each sequence.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward(&self, batch: &Batch) -> Result<SequenceClassificationOutput> {
        self.forward_with(batch, OutputOptions::default())
    }

    /// Like [`forward`](Self::forward), with hidden states and attentions if requested.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward_with(
        &self,
        batch: &Batch,
        options: OutputOptions,
    ) -> Result<SequenceClassificationOutput> {
        let Pooled { pooled, hidden_states, attentions } = pooled(&self.albert, batch, options)?;
        let logits = self.head.classifier().forward(pooled.view())?;
        Ok(SequenceClassificationOutput {
            logits,
            hidden_states,
            attentions,
            problem_type: self.config().problem_type,
        })
    }

    /// As [`forward`](Self::forward), but each sequence leaves at the first exit where `policy` lets it: see
    /// [`exits`](crate::exits).
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`Error::Input`](crate::Error::Input) if the model has no exits, or the policy does not apply to its predictions.
    pub fn forward_until(
        &self,
        batch: &Batch,
        policy: &dyn ExitPolicy,
    ) -> Result<EarlyExit<SequenceClassificationOutput>> {
        let (logits, layers) = self.until(policy, &first_row).run(batch, &each(batch, 1))?;
        let problem_type = self.albert.config().problem_type;
        Ok(EarlyExit { output: SequenceClassificationOutput::new(logits, problem_type), layers })
    }

    /// As [`forward_until`](Self::forward_until), of inputs that consist of several sequences which leave together when the
    /// policy says so of what `predict` makes of their logits. The layers are those of each sequence.
    pub(crate) fn forward_together_until(
        &self,
        batch: &Batch,
        inputs: &[Range<usize>],
        policy: &dyn ExitPolicy,
        predict: &Predict<'_>,
    ) -> Result<EarlyExit<SequenceClassificationOutput>> {
        let problem = ProblemType::SingleLabelClassification;
        let until = Until { problem, ..self.until(policy, predict) };
        let (logits, layers) = until.run(batch, inputs)?;
        let of_sequences = inputs.iter().zip(layers);
        let layers =
            of_sequences.flat_map(|(input, layers)| std::iter::repeat_n(layers, input.len()));
        let layers = layers.collect();
        let problem_type = self.albert.config().problem_type;
        Ok(EarlyExit { output: SequenceClassificationOutput::new(logits, problem_type), layers })
    }

    /// The logits of every exit, `[B, C]` each, in the order of
    /// [`exit_layers`](crate::ConfigFields::exit_layers): the output if all sequences left there, to evaluate the exits. All layers are computed. Without exits, only the logits after the last layer.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_exits(&self, batch: &Batch) -> Result<Vec<Array2<f32>>> {
        self.head.forward_exits(&self.albert, batch)
    }

    fn until<'a>(&'a self, policy: &'a dyn ExitPolicy, predict: &'a Predict<'a>) -> Until<'a> {
        let problem = problem(self.albert.config());
        Until { albert: &self.albert, head: &self.head, policy, problem, predict }
    }
}

/// What a classifier predicts: what the configuration says or, where it says nothing, a number if there is one label, else a
/// class.
pub(crate) fn problem(config: &AlbertConfig) -> ProblemType {
    config.problem_type.unwrap_or(match config.num_labels() {
        1 => ProblemType::Regression,
        _ => ProblemType::SingleLabelClassification,
    })
}

/// The prediction of an input that is one sequence: its logits.
pub(super) fn first_row(logits: ArrayView2<'_, f32>, prediction: &mut Vec<f32>) {
    prediction.extend(logits.row(0));
}
