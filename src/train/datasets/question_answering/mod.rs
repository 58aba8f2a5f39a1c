//! Extractive question answering: paragraph → windows → scores → answer.

mod answers;
mod fields;
mod squad;
mod windows;

pub use answers::{
    AnswerCandidate, AnswerOptions, AnswerPrediction, predict_answers, write_predictions,
};
pub use squad::read_squad;
pub use windows::{
    QuestionAnsweringFeatures, WindowOptions, evaluation_windows, joined_windows, training_windows,
};

/// A question about a paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionAnsweringExample {
    /// By which predictions are compared with answers.
    pub id: String,
    /// The question.
    pub question: String,
    /// The paragraph, which has the answer if there is one.
    pub context: String,
    /// Right answers: none if the paragraph has none, `None` if the file has no answers at all (a test set).
    pub answers: Option<Vec<Answer>>,
}

/// A right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The stretch of the paragraph.
    pub text: String,
    /// Where it begins, in characters (Unicode scalar values, as Python counts).
    pub start: i64,
}
