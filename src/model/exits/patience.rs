//! Leaving when consecutive exits agree (PABEE).

use super::policy::{ExitPolicy, Predictions};
use crate::config::ProblemType;
use crate::error::{Error, Result};

/// Leaves when this number of consecutive exits have confirmed the prediction of the exit before them.
///
/// This is the criterion of PABEE ("BERT Loses Patience", Zhou et al. 2020): with a patience of 3, an input leaves after its fourth exit at the earliest. In a regression, a prediction that changed by no more than a tolerance counts as the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Patience {
    exits: usize,
    tolerance: Option<f32>,
}

impl Patience {
    /// Leaves after this number of consecutive exits that agree with the one before; with 0, at the first exit.
    pub fn new(exits: usize) -> Self {
        Self { exits, tolerance: None }
    }

    /// By how much the prediction of a regression may change and still count as the same. Required for regressions, ignored for classes.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f32) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// How many exits in a row, up to the newest, have agreed with the one before.
    fn in_a_row(&self, predictions: &Predictions<'_>) -> usize {
        let tolerance = self.tolerance.unwrap_or(0.0);
        (1..predictions.count())
            .rev()
            .take_while(|&exit| predictions.agree(exit - 1, exit, tolerance))
            .count()
    }
}

impl ExitPolicy for Patience {
    fn leaves(&self, predictions: &Predictions<'_>) -> bool {
        self.in_a_row(predictions) >= self.exits
    }

    fn may_leave_next(&self, predictions: Option<&Predictions<'_>>) -> bool {
        // The next exit adds one more, if there is one before it that it agrees with.
        predictions.map_or(0, |predictions| self.in_a_row(predictions) + 1) >= self.exits
    }

    fn check(&self, problem: ProblemType) -> Result<()> {
        let lacks = problem == ProblemType::Regression && self.tolerance.is_none();
        if lacks {
            return Err(Error::input("patience of a regression", "a tolerance", "none"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::tests::predictions;
    use super::*;

    #[test]
    fn it_counts_agreements_in_a_row() {
        let logits = [1.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 3.0];
        let leaves = |patience, exits: usize| {
            let policy = Patience::new(patience);
            let problem = ProblemType::SingleLabelClassification;
            let predictions = predictions(problem, 2, &logits[..2 * exits]);
            (policy.leaves(&predictions), policy.may_leave_next(Some(&predictions)))
        };
        assert_eq!(leaves(0, 1), (true, true));
        assert_eq!([1, 2, 3, 4].map(|exits| leaves(1, exits).0), [false, false, true, true]);
        assert_eq!([1, 2, 3, 4].map(|exits| leaves(2, exits).0), [false, false, false, true]);
        assert_eq!([1, 2, 3].map(|exits| leaves(2, exits).1), [false, false, true]);
        assert!(!leaves(3, 4).0);
        assert!(Patience::new(0).may_leave_next(None) && !Patience::new(1).may_leave_next(None));
    }

    #[test]
    fn numbers_need_a_tolerance() {
        assert!(Patience::new(1).check(ProblemType::Regression).is_err());
        assert!(Patience::new(1).check(ProblemType::MultiLabelClassification).is_ok());
        let policy = Patience::new(1).tolerance(0.1);
        policy.check(ProblemType::Regression).unwrap();
        let leaves = |logits| policy.leaves(&predictions(ProblemType::Regression, 1, logits));
        assert!(leaves(&[1.0, 1.05]) && !leaves(&[1.0, 1.2]));
    }
}
