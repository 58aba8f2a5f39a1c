//! Multiple choice: which of N continuations fits a prompt?

use std::ops::Range;

use ndarray::{Array1, Array2};

use super::classifier::{ClassifierHead, Classifiers, Until, each};
use super::linear::ClassifierParameters;
use super::{Pooled, impl_model, pooled};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::ProblemType;
use crate::error::{Error, Result};
use crate::model::albert::{Albert, OutputOptions};
use crate::model::exits::{EarlyExit, ExitPolicy, Outcome};
use crate::nn::loss::{IGNORE_INDEX, Labels, cross_entropy, soft_cross_entropy};

/// ALBERT for multiple choice: one logit per sequence (prompt and choice), compared among the N choices of a prompt.
#[derive(Debug)]
pub struct AlbertForMultipleChoice {
    albert: Albert,
    head: ClassifierHead,
}

impl_model!(
    AlbertForMultipleChoice, "AlbertForMultipleChoice", pooler: true, head: ClassifierHead,
    parameters: ClassifierParameters,
    zeros: |config| ClassifierParameters::zeros_with_exits(config, 1),
    build: |_, parameters| parameters.build(),
    unpack: |head| Classifiers::unpack(head),
);

/// Scores of choices.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MultipleChoiceOutput {
    /// `[B, N]`, before softmax.
    pub logits: Array2<f32>,
    /// As in [`AlbertOutput`](crate::AlbertOutput), over the B·N sequences.
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput), over the B·N sequences.
    pub attentions: Vec<AttentionProbabilities>,
}

impl MultipleChoiceOutput {
    /// Wraps logits `[B, N]` that were computed by a separate head; hidden states and attentions are empty.
    pub fn new(logits: Array2<f32>) -> Self {
        Self { logits, hidden_states: Vec::new(), attentions: Vec::new() }
    }

    /// Mean cross-entropy against the right choices `[B]`, or against distributions over choices `[B, N]`, such as `[[0, 1, 0, 0]]`.
    ///
    /// # Errors
    /// [`Error::Input`] if the shape differs or a label is not a choice.
    pub fn loss(&self, labels: Labels<'_>) -> Result<f32> {
        match labels {
            Labels::Classes(classes) => cross_entropy(self.logits.view(), classes, IGNORE_INDEX),
            Labels::Values(values) => soft_cross_entropy(self.logits.view(), values),
        }
    }
}

impl AlbertForMultipleChoice {
    /// Scores B·N sequences, where N = `num_choices` consecutive ones belong to a prompt.
    ///
    /// # Errors
    /// As [`Albert::forward`], and [`Error::Input`] if the sequences cannot be divided into prompts of N choices.
    pub fn forward(&self, batch: &Batch, num_choices: usize) -> Result<MultipleChoiceOutput> {
        self.forward_with(batch, num_choices, OutputOptions::default())
    }

    /// Like [`forward`](Self::forward), with hidden states and attentions if requested.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_with(
        &self,
        batch: &Batch,
        num_choices: usize,
        options: OutputOptions,
    ) -> Result<MultipleChoiceOutput> {
        check_choices(batch, num_choices)?;
        let Pooled { pooled, hidden_states, attentions } = pooled(&self.albert, batch, options)?;
        let logits = self.head.classifier().forward(pooled.view())?;
        let logits = by_prompt(logits, num_choices)?;
        Ok(MultipleChoiceOutput { logits, hidden_states, attentions })
    }

    /// As [`forward`](Self::forward), but all choices of a prompt leave together at the first exit where `policy` accepts their ranking: see [`exits`](crate::exits).
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`Error::Input`] if the model has no exits.
    pub fn forward_until(
        &self,
        batch: &Batch,
        num_choices: usize,
        policy: &dyn ExitPolicy,
    ) -> Result<EarlyExit<MultipleChoiceOutput>> {
        check_choices(batch, num_choices)?;
        let (logits, layers) = self.until(policy).run(batch, &each(batch, num_choices))?;
        let logits = by_prompt(logits, num_choices)?;
        Ok(EarlyExit { output: MultipleChoiceOutput::new(logits), layers })
    }

    /// As [`forward_until`](Self::forward_until), of prompts that have any number of choices: their logits, and the layers
    /// that they took.
    pub(crate) fn forward_prompts_until(
        &self,
        batch: &Batch,
        prompts: &[Range<usize>],
        policy: &dyn ExitPolicy,
    ) -> Result<Vec<(Array1<f32>, usize)>> {
        let outcomes = self.until(policy).outcomes(batch, prompts)?;
        let with_layers = |outcome: Outcome| (outcome.logits.column(0).to_owned(), outcome.layer);
        Ok(outcomes.into_iter().map(with_layers).collect())
    }

    /// The logits of every exit, `[B, N]` each, in the order of
    /// [`exit_layers`](crate::ConfigFields::exit_layers): the output if all sequences left there, to evaluate the exits. All layers are computed. Without exits, only the logits after the last layer.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_exits(&self, batch: &Batch, num_choices: usize) -> Result<Vec<Array2<f32>>> {
        check_choices(batch, num_choices)?;
        let logits = self.head.forward_exits(&self.albert, batch)?;
        logits.into_iter().map(|logits| by_prompt(logits, num_choices)).collect()
    }

    fn until<'a>(&'a self, policy: &'a dyn ExitPolicy) -> Until<'a> {
        Until {
            albert: &self.albert,
            head: &self.head,
            policy,
            problem: ProblemType::SingleLabelClassification,
            predict: &|logits, prediction| prediction.extend(logits.column(0)),
        }
    }
}

/// Checks that sequences can be divided into prompts of N choices.
fn check_choices(batch: &Batch, num_choices: usize) -> Result<()> {
    let sequences = batch.num_sequences();
    if sequences.is_multiple_of(num_choices) {
        return Ok(());
    }
    let expected = match num_choices {
        0 => "at least 1 choice for each prompt".to_owned(),
        _ => format!("a multiple of {num_choices} choices"),
    };
    Err(Error::input("number of sequences", expected, sequences.to_string()))
}

/// Logits `[B·N, 1]` as `[B, N]`.
fn by_prompt(logits: Array2<f32>, num_choices: usize) -> Result<Array2<f32>> {
    let prompts = logits.nrows() / num_choices;
    logits
        .into_shape_with_order((prompts, num_choices))
        .map_err(|error| Error::input("logits", "[B, N]", error.to_string()))
}
