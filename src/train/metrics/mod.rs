//! Metrics of predictions, by which fine-tuned models are compared.
//!
//! Each agrees with its usual reference, including edge cases: scikit-learn for classes, SciPy for correlations, `seqeval`
//! for spans, the official scorers of SQuAD 2.0 and CMRC 2018 for answers. All are fractions of 1, not percentages.

mod answers;
mod chinese;
mod classification;
mod correlation;
mod spans;

pub use answers::{AnswerScorer, AnswerScores};
pub use classification::{ConfusionMatrix, Counts, Scores, accuracy, multi_label_counts};
pub use correlation::{pearson, spearman};
pub use spans::{Span, SpanScores, spans};

use crate::error::{Error, Result};

/// Refuses lists of different lengths, and empty ones, of which nothing can be said.
fn check_lengths(predictions: usize, labels: usize) -> Result<()> {
    if predictions != labels || labels == 0 {
        let expected = format!("as many as labels, {labels}, and at least 1");
        return Err(Error::input("predictions", expected, predictions.to_string()));
    }
    Ok(())
}
