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
    /// Its id, which links predictions and answers.
    pub id: String,
    /// The question.
    pub question: String,
    /// The paragraph, which contains the answer if there is one.
    pub context: String,
    /// The right answers: empty if the paragraph contains none, `None` if the file has no answers (a test set).
    pub answers: Option<Vec<Answer>>,
}

/// A right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The span of the paragraph.
    pub text: String,
    /// Its beginning, in characters (Unicode scalar values, as in Python).
    pub start: i64,
}
