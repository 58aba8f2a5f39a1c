//! Pipelines, compared with what transformers answered (tests/golden/pipelines), and what they do with whatever they are
//! given.

mod awkward;
mod embeddings;
mod goldens;
mod streams;
mod support;
