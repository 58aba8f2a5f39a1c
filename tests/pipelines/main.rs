//! Pipelines: from text to answers.

#[path = "../common/mod.rs"]
mod common;
mod question_answering;
mod spans;
mod token_classification;
