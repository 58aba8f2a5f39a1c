//! Owned labels, which can be sent between threads.

use ndarray::Array2;

use crate::nn::loss::Labels;

/// Labels of a classifier of sequences or choices.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class index per row, `[B]`; −100 is ignored.
    Classes(Vec<i64>),
    /// One number per output, `[B, C]`: a distribution over classes or choices, independent probabilities, or values to
    /// regress.
    Values(Array2<f32>),
}

impl Targets {
    /// The labels as the models' outputs take them.
    pub fn as_labels(&self) -> Labels<'_> {
        match self {
            Self::Classes(classes) => Labels::Classes(classes),
            Self::Values(values) => Labels::Values(values.view()),
        }
    }
}

/// Labels of pre-training.
#[derive(Clone, Debug, PartialEq)]
pub struct PreTrainingLabels {
    /// The original words at masked positions, `[B, S]`; −100 at all other positions.
    pub masked_lm: Array2<i64>,
    /// 0 in order, 1 swapped, `[B]`; −100 is ignored.
    pub sentence_order: Vec<i64>,
}

/// Labels of question answering: columns of the padded arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerPositions {
    /// The answer's first token, `[B]`; S or more is ignored.
    pub start: Vec<i64>,
    /// The answer's last token, `[B]`.
    pub end: Vec<i64>,
}
