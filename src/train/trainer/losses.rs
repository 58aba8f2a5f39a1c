//! Means of losses, and the names of their terms.

use crate::train::{LossOutput, LossTerm};

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
