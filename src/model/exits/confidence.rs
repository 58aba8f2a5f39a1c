//! Leaving when an exit is confident (BranchyNet, DeeBERT).

use std::fmt;

use super::policy::{ExitPolicy, Predictions, needs_classes};
use crate::config::ProblemType;
use crate::error::Result;

/// Leaves at the first exit whose prediction is confident.
///
/// Confidence means a probability of at least a threshold, or an entropy of at most a threshold (BranchyNet, Teerapittayanon et al. 2016; DeeBERT, Xin et al. 2020). For multi-label models, the least certain label decides.
#[derive(Clone, PartialEq)]
pub struct Confidence(Threshold);

#[derive(Clone, PartialEq)]
enum Threshold {
    Probability(f32),
    Entropy(f32),
}

impl Confidence {
    /// Leaves when the predicted class has at least this probability.
    pub fn new(probability: f32) -> Self {
        Self(Threshold::Probability(probability))
    }

    /// Leaves when the entropy of the classes' probabilities is at most this number of nats (ln C at most).
    pub fn entropy(most: f32) -> Self {
        Self(Threshold::Entropy(most))
    }
}

impl ExitPolicy for Confidence {
    fn leaves(&self, predictions: &Predictions<'_>) -> bool {
        let newest = predictions.count() - 1;
        match self.0 {
            Threshold::Probability(least) => predictions.confidence(newest) >= least,
            Threshold::Entropy(most) => predictions.entropy(newest) <= most,
        }
    }

    fn check(&self, problem: ProblemType) -> Result<()> {
        match problem {
            ProblemType::Regression => Err(needs_classes("confidence")),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Threshold::Probability(least) => {
                f.debug_struct("Confidence").field("least", &least).finish()
            }
            Threshold::Entropy(most) => f.debug_struct("Entropy").field("most", &most).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::tests::predictions;
    use super::*;

    #[test]
    fn it_goes_by_the_newest_exit_alone() {
        let logits = [9.0, 0.0, 0.0, 3.0_f32.ln()];
        let problem = ProblemType::SingleLabelClassification;
        let (first, both) =
            (predictions(problem, 2, &logits[..2]), predictions(problem, 2, &logits));
        assert!(Confidence::new(0.9).leaves(&first) && !Confidence::new(0.9).leaves(&both));
        assert!(Confidence::new(0.74).leaves(&both));
        assert!(
            Confidence::entropy(0.57).leaves(&both) && !Confidence::entropy(0.55).leaves(&both)
        );
    }

    #[test]
    fn numbers_and_what_is_none_are_never_sure() {
        assert!(Confidence::new(0.5).check(ProblemType::Regression).is_err());
        let unknown = [f32::NAN, 1.0];
        let unknown = predictions(ProblemType::SingleLabelClassification, 2, &unknown);
        assert!(
            !Confidence::new(0.0).leaves(&unknown) && !Confidence::entropy(9.0).leaves(&unknown)
        );
    }
}
