//! Means of losses, and the names of their terms.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::train::{LossOutput, LossTerm};

/// The loss of a batch, as ranks tell each other.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct BatchLoss {
    terms: Vec<TermRecord>,
    pub(super) tokens: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct TermRecord {
    name: String,
    /// The bits of the loss: JSON has no numbers for what is not finite.
    loss: u64,
    correct: usize,
    count: usize,
    has_classes: bool,
}

impl BatchLoss {
    pub(super) fn new(output: &LossOutput, tokens: usize) -> Self {
        let record = |term: &LossTerm| TermRecord {
            name: term.name.to_owned(),
            loss: term.loss.to_bits(),
            correct: term.correct,
            count: term.count,
            has_classes: term.has_classes,
        };
        Self { terms: output.terms.iter().map(record).collect(), tokens: tokens as u64 }
    }

    fn output(&self) -> Result<LossOutput> {
        let term = |record: &TermRecord| {
            let &TermRecord { ref name, loss, correct, count, has_classes } = record;
            let known = LossTerm::NAMES.into_iter().find(|known| known == name);
            let Some(name) = known else {
                return Err(Error::input("loss", LossTerm::NAMES.join(", "), name.as_str()));
            };
            Ok(LossTerm { name, loss: f64::from_bits(loss), correct, count, has_classes })
        };
        let terms = self.terms.iter().map(term).collect::<Result<Vec<_>>>()?;
        Ok(LossOutput { loss: terms.iter().map(|term| term.loss).sum(), terms })
    }
}

/// The mean of a step's losses, in the order of its batches.
pub(super) fn mean_loss(losses: &[BatchLoss]) -> Result<LossOutput> {
    let mut mean = LossMean::default();
    for loss in losses {
        mean.add(&loss.output()?, |_| 1.0);
    }
    Ok(mean.output())
}

/// The mean of several batches' losses, each term weighted.
#[derive(Default)]
pub(super) struct LossMean {
    /// Sums of losses, not means yet, and of their weights.
    terms: Vec<(LossTerm, f64)>,
}

impl LossMean {
    pub(super) fn add(&mut self, output: &LossOutput, weight: fn(&LossTerm) -> f64) {
        for (i, &term) in output.terms.iter().enumerate() {
            let weight = weight(&term);
            let weighted = LossTerm { loss: term.loss * weight, ..term };
            match self.terms.get_mut(i) {
                None => self.terms.push((weighted, weight)),
                Some((sum, weights)) => {
                    sum.loss += weighted.loss;
                    sum.correct += term.correct;
                    sum.count += term.count;
                    *weights += weight;
                }
            }
        }
    }

    /// What there is without a batch is 0.
    pub(super) fn output(&self) -> LossOutput {
        let mean = |&(sum, weights): &(LossTerm, f64)| LossTerm { loss: sum.loss / weights, ..sum };
        let terms: Vec<_> = self.terms.iter().map(mean).collect();
        LossOutput { loss: terms.iter().map(|term| term.loss).sum(), terms }
    }
}

/// A loss, and the losses and accuracies of its terms, by name.
pub(super) fn named(output: &LossOutput) -> Vec<(String, f64)> {
    const ONLY_TERM: &str = "loss";
    let mut metrics = vec![("loss".to_owned(), output.loss)];
    for term in &output.terms {
        let of_term = |what: &str| match term.name {
            ONLY_TERM => what.to_owned(),
            name => format!("{name}_{what}"),
        };
        if term.name != ONLY_TERM {
            metrics.push((of_term("loss"), term.loss));
        }
        if let Some(accuracy) = term.accuracy() {
            metrics.push((of_term("accuracy"), accuracy));
        }
    }
    metrics
}
