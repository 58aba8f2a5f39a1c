//! Leaving when agreeing exits are jointly confident enough (BEEM).

use super::policy::{ExitPolicy, Predictions, needs_classes};
use crate::config::ProblemType;
use crate::error::Result;

/// Leaves when the confidences of consecutive exits with the same prediction add up to a threshold.
///
/// This is the criterion of BEEM (Bajpai and Hanawal, ICLR 2025): every exit is an expert with weighted confidence; if an exit's prediction differs from the one before, the sum starts over with it. By default an exit's weight is its layer / L (the paper's BEEM-C); the
/// other choice of the paper is its accuracy on held-out examples (BEEM-A).
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    least: f32,
    weights: Option<Vec<f32>>,
}

impl Agreement {
    /// Leaves when the sum is at least this.
    pub fn new(least: f32) -> Self {
        Self { least, weights: None }
    }

    /// The weights of the exits, in order; further exits have weight 0.
    #[must_use]
    pub fn weights(mut self, weights: impl IntoIterator<Item = f32>) -> Self {
        self.weights = Some(weights.into_iter().collect());
        self
    }

    fn weight(&self, predictions: &Predictions<'_>, exit: usize) -> f32 {
        let layers = predictions.exit_layers();
        match &self.weights {
            Some(weights) => weights.get(exit).copied().unwrap_or(0.0),
            None => layers[exit] as f32 / layers[layers.len() - 1] as f32,
        }
    }

    /// The sum after the newest exit.
    fn score(&self, predictions: &Predictions<'_>) -> f32 {
        let term = |exit| self.weight(predictions, exit) * predictions.confidence(exit);
        (1..predictions.count()).fold(term(0), |sum, exit| {
            let sum = if predictions.agree(exit - 1, exit, 0.0) { sum } else { 0.0 };
            sum + term(exit)
        })
    }
}

impl ExitPolicy for Agreement {
    fn leaves(&self, predictions: &Predictions<'_>) -> bool {
        self.score(predictions) >= self.least
    }

    fn may_leave_next(&self, predictions: Option<&Predictions<'_>>) -> bool {
        let Some(predictions) = predictions else { return true };
        let next = predictions.count();
        let most = predictions.exit_layers().get(next).map(|_| self.weight(predictions, next));
        self.score(predictions).max(0.0) + most.unwrap_or(0.0) >= self.least
    }

    fn check(&self, problem: ProblemType) -> Result<()> {
        match problem {
            ProblemType::Regression => Err(needs_classes("agreement")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::tests::predictions;
    use super::*;

    /// Confident exits.
    fn sure(classes: &[usize]) -> Vec<f32> {
        classes.iter().flat_map(|&class| [[50.0, 0.0], [0.0, 50.0]][class]).collect()
    }

    #[test]
    fn confidences_add_up_as_long_as_exits_agree() {
        let score = |policy: &Agreement, classes: &[usize]| {
            let logits = sure(classes);
            policy.score(&predictions(ProblemType::SingleLabelClassification, 2, &logits))
        };
        let by_layer = Agreement::new(1.0);
        assert_eq!(score(&by_layer, &[0]), 0.25);
        assert_eq!(score(&by_layer, &[0, 0]), 0.75);
        assert_eq!(score(&by_layer, &[0, 0, 1]), 0.75);
        assert_eq!(score(&by_layer, &[0, 0, 1, 1]), 1.75);
        let by_accuracy = Agreement::new(1.0).weights([0.5, 0.75]);
        assert_eq!(score(&by_accuracy, &[1, 1, 1]), 1.25);
    }

    #[test]
    fn it_may_leave_where_a_sure_exit_would_be_enough() {
        let policy = Agreement::new(1.0);
        let ask = |classes: &[usize]| {
            let logits = sure(classes);
            let predictions = predictions(ProblemType::SingleLabelClassification, 2, &logits);
            (policy.leaves(&predictions), policy.may_leave_next(Some(&predictions)))
        };
        assert_eq!(ask(&[0]), (false, false));
        assert_eq!(ask(&[0, 0]), (false, true));
        assert_eq!(ask(&[0, 0, 0]), (true, true));
    }
}
