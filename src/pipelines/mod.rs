//! From text to answers in one call, like `pipeline("text-classification", …)` in transformers.
//!
//! ```
//! use ndalbert::pipelines::{Pipeline, TextClassification};
//!
//! # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/classifier");
//! let classify = TextClassification::from_pretrained(directory)?;
//! let best = &classify.run("the compiler shows an error")?[0];
//! println!("{} {:.3}", best.label, best.score);
//! # assert!(best.score > 0.0);
//! # Ok::<(), ndalbert::Error>(())
//! ```
//!
//! A pipeline combines a model, its tokenizer and post-processing. All implement [`Pipeline`], which takes one input ([`run`](Pipeline::run)), many ([`run_many`](Pipeline::run_many)), or an iterator of any length ([`stream`](Pipeline::stream)). Inputs are grouped by their number of *tokens* and packed, and results keep their order. An input that cannot be processed does not affect the others.
//!
//! Results are those of the pipelines of transformers 5.23 (4.57 for [`QuestionAnswering`], which 5 lacks), with these exceptions. Texts longer than the model's input are truncated instead of an error. Checkpoints without the head that a pipeline needs are an error, since answers would be random ([`PipelineOptions::initialize_missing_head`] allows them). Non-finite logits are an error, too.

mod base;
mod dynamic;
mod fill_mask;
mod multiple_choice;
mod options;
mod pipeline;
mod question_answering;
mod ranking;
mod resolve;
mod sentence_embedding;
mod sentence_order;
mod sentence_transformer;
mod sentence_transformer_save;
mod similarity;
mod stream;
mod text_classification;
mod token_classification;
mod windows;
mod zero_shot_classification;

pub use dynamic::DynPipeline;
pub use fill_mask::{FillMask, MaskPrediction};
pub use multiple_choice::{MultipleChoice, MultipleChoiceInput, RankedChoice, RankedChoices};
pub use options::PipelineOptions;
pub use pipeline::{Group, Pipeline, Prepared};
pub use question_answering::{Answer, QuestionAnswering, QuestionAnsweringInput};
pub use resolve::{Files, resolve};
pub use sentence_embedding::{Pooling, SentenceEmbedding};
pub use sentence_order::{SentenceOrder, SentenceOrderPrediction, SentencePair};
pub use similarity::{Match, similarity, top_k};
pub use stream::{Progress, Stream};
pub use text_classification::{Classification, Function, TextClassification, TextInput};
pub use token_classification::{Aggregation, Entity, TokenClassification};
pub use zero_shot_classification::{ZeroShotClassification, ZeroShotInput};
