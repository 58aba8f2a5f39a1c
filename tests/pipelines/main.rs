//! Pipelines, compared with what transformers answered (tests/golden/pipelines), and what they do
//! with whatever they are given.

mod awkward;
#[path = "../common/mod.rs"]
mod common;
mod embeddings;
mod files;
mod goldens;
mod question_answering;
mod spans;
mod streams;
mod support;
mod token_classification;
