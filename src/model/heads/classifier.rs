//! The classifier of a pooled output, and those of earlier layers where a model has exits.

use std::ops::Range;

use ndarray::{Array2, Axis, concatenate};

use super::linear::{ClassifierParameters, LinearHead};
use super::sentence_order::SentenceOrderHeadParameters;
use crate::batch::Batch;
use crate::config::{AlbertConfig, ProblemType};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::albert::{Albert, OutputOptions};
use crate::model::exits::{ExitPolicy, Exits, Outcome, Predict};
use crate::nn::Linear;

/// The head of models that classify whole sequences: a linear layer on the pooled output after the
/// last layer and, where the configuration has [`exit_layers`](crate::ConfigFields::exit_layers),
/// one for each of the earlier exits.
#[derive(Debug)]
pub struct ClassifierHead {
    classifier: LinearHead,
    exits: Vec<LinearHead>,
}

impl ClassifierHead {
    /// Packs the classifier after the last layer, and those of the exits before it, in their order.
    ///
    /// # Errors
    /// As [`LinearHead::new`].
    pub fn new(classifier: Linear, exits: Vec<Linear>) -> Result<Self> {
        let exits = exits.into_iter().map(LinearHead::new).collect::<Result<_>>()?;
        Ok(Self { classifier: LinearHead::new(classifier)?, exits })
    }

    /// The classifier after the last layer.
    pub fn classifier(&self) -> &LinearHead {
        &self.classifier
    }

    /// The classifier of an exit, counted from 0: the last one is [`classifier`](Self::classifier).
    ///
    /// # Panics
    /// If there is no such exit.
    pub fn exit(&self, exit: usize) -> &LinearHead {
        if exit == self.exits.len() { &self.classifier } else { &self.exits[exit] }
    }

    /// The number of exits, including the one after the last layer.
    pub fn num_exits(&self) -> usize {
        self.exits.len() + 1
    }

    /// The logits `[B, C]` of every exit, all computed at the full depth of a backbone.
    ///
    /// # Errors
    /// As [`Albert::forward`], and if the backbone has no pooler.
    pub(super) fn forward_exits(&self, albert: &Albert, batch: &Batch) -> Result<Vec<Array2<f32>>> {
        if self.exits.is_empty() {
            return Ok(vec![self.classifier.forward(albert.pooler_output(batch)?.view())?]);
        }
        let options = OutputOptions { hidden_states: true, ..OutputOptions::default() };
        let states = albert.forward_with(batch, options)?.hidden_states;
        let config = albert.config();
        let logits = config.exit_layers.iter().enumerate().map(|(exit, layer)| {
            let pooled = albert.pool(&states[layer * config.inner_group_num])?;
            self.exit(exit).forward(pooled.view())
        });
        logits.collect()
    }

    /// The linear layers, bit-identical to those that were packed: the last classifier, and those of the exits
    /// before it.
    fn to_linears(&self) -> (Linear, Vec<Linear>) {
        let exits = self.exits.iter().map(LinearHead::to_linear).collect();
        (self.classifier.to_linear(), exits)
    }
}

/// What runs a batch as far as a policy says.
#[derive(Clone, Copy)]
pub(super) struct Until<'a> {
    pub(super) albert: &'a Albert,
    pub(super) head: &'a ClassifierHead,
    pub(super) policy: &'a dyn ExitPolicy,
    pub(super) problem: ProblemType,
    /// Makes the policy's prediction of the logits `[n, C]` of an input's sequences.
    pub(super) predict: &'a Predict<'a>,
}

impl Until<'_> {
    /// Classifies inputs, each of some sequences, that follow each other in the batch: the logits
    /// `[B, C]` of all sequences, and how many layers each input took.
    ///
    /// # Errors
    /// [`Error::Input`] if the model has no exits, or the policy does not apply to its predictions.
    pub(super) fn run(
        self,
        batch: &Batch,
        inputs: &[Range<usize>],
    ) -> Result<(Array2<f32>, Vec<usize>)> {
        let outcomes = self.outcomes(batch, inputs)?;
        let layers = outcomes.iter().map(|outcome| outcome.layer).collect();
        let logits: Vec<_> = outcomes.iter().map(|outcome| outcome.logits.view()).collect();
        let logits = concatenate(Axis(0), &logits)
            .map_err(|error| Error::input("logits", "[B, C]", error.to_string()))?;
        Ok((logits, layers))
    }

    /// What each input, which is some sequences of the batch, is left with.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) fn outcomes(self, batch: &Batch, inputs: &[Range<usize>]) -> Result<Vec<Outcome>> {
        let Self { albert, head, policy, problem, predict } = self;
        let layers = &albert.config().exit_layers;
        check_exits(albert.config(), policy, problem)?;
        albert.run_exits(batch, inputs, Exits { head, layers, policy, problem, predict })
    }
}

/// Inputs of so many sequences each.
pub(super) fn each(batch: &Batch, sequences: usize) -> Vec<Range<usize>> {
    let ends = (sequences..=batch.num_sequences()).step_by(sequences);
    ends.map(|end| end - sequences..end).collect()
}

/// Checks that a model has exits, and that a policy has a meaning for what it predicts.
pub(crate) fn check_exits(
    config: &AlbertConfig,
    policy: &dyn ExitPolicy,
    problem: ProblemType,
) -> Result<()> {
    if config.exit_layers.is_empty() {
        let expected = "one with exits (`exit_layers` in config.json)";
        return Err(Error::input("model", expected, "one that classifies after its last layer"));
    }
    policy.check(problem)
}

/// Parameters of a [`ClassifierHead`].
pub(super) trait Classifiers: Sized {
    /// Of the classifier after the last layer, and of the exits before it.
    fn from_linears(linears: (Linear, Vec<Linear>)) -> Self;

    /// The inverse.
    fn into_linears(self) -> (Linear, Vec<Linear>);

    /// Packs them.
    fn build(self) -> Result<ClassifierHead> {
        let (classifier, exits) = self.into_linears();
        ClassifierHead::new(classifier, exits)
    }

    /// The parameters that a head was built from.
    fn unpack(head: &ClassifierHead) -> Self {
        Self::from_linears(head.to_linears())
    }
}

macro_rules! impl_classifiers {
    ($($parameters:ident),+) => {$(
        impl Classifiers for $parameters {
            fn from_linears((classifier, exits): (Linear, Vec<Linear>)) -> Self {
                Self { classifier, exits }
            }

            fn into_linears(self) -> (Linear, Vec<Linear>) {
                (self.classifier, self.exits)
            }
        }
    )+};
}
impl_classifiers!(ClassifierParameters, SentenceOrderHeadParameters);
