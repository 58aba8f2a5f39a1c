//! The classifier of a pooled output, and those of earlier layers where a model has exits.

use ndarray::Array2;

use super::linear::{ClassifierParameters, LinearHead};
use super::sentence_order::SentenceOrderHeadParameters;
use crate::batch::Batch;
use crate::error::Result;
use crate::model::Model;
use crate::model::albert::{Albert, OutputOptions};
use crate::nn::Linear;

/// The head of models that classify whole sequences: a linear layer on the pooled output after the last layer and, where
/// the configuration has [`exit_layers`](crate::ConfigFields::exit_layers), one for each of the earlier exits.
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

    /// How many exits there are, the one after the last layer included.
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

    /// The linear layers, to the bit what was packed: the last classifier, and those of the exits before it.
    fn to_linears(&self) -> (Linear, Vec<Linear>) {
        let exits = self.exits.iter().map(LinearHead::to_linear).collect();
        (self.classifier.to_linear(), exits)
    }
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
