//! ALBERT (A Lite BERT) in pure Rust on [`ndarray`]: inference and training, with every head and sharing strategy,
//! from the files in which ALBERT models are published.
//!
//! ```
//! use ndalbert::pipelines::{MultipleChoice, Pipeline};
//!
//! fn main() -> ndalbert::Result<()> {
//!     // A small model that ships with the crate, or any directory with config.json, weights and vocabulary.
//!     let directory = ndalbert::shipped_checkpoint("albert-chinese-next-sentence")?;
//!     let choose = MultipleChoice::from_pretrained(directory)?;
//!     let choices = ["成都动物园里的大熊猫人人都想摸一下.", "他们主要负责AI算法的研究和落地."];
//!     for ranked in choose.run(("算法组的成员们精通各种AI算法.", choices))? {
//!         println!("{:.3} {}", ranked.score, ranked.choice);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The guide ([English], [中文]) continues from here, from choosing a checkpoint to a head of your own.
//!
//! [English]: https://docs.rs/crate/ndalbert/latest/source/docs/guide.md
//! [中文]: https://docs.rs/crate/ndalbert/latest/source/docs/guide.zh-CN.md
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | get from text to answers in one call | [`pipelines`] |
//! | turn text into ids | [`AlbertTokenizer`], [`text`] |
//! | run a model on ids | [`Batch`], [`Albert`], [`heads`] |
//! | load, convert and save checkpoints | [`PreTrainedModel`], [`LoadOptions`], [`checkpoint`] |
//! | describe an architecture | [`AlbertConfig`] |
//! | let easy inputs leave before the last layer | [`exits`] |
//! | train | [`train::Trainer`], [`train::TrainingModel`], [`train`] |
//! | read the parameters of layers | [`AlbertParameters`], [`nn`] |
//!
//! # Notation
//!
//! Shapes are written with one letter per dimension: **B** batch, **S** sequence (padded length), **T** packed tokens,
//! **N** choices or selected positions, **E** embedding, **H** hidden, **I** intermediate, **A** heads, **D** head size,
//! **V** vocabulary, **L** layers, **C** classes.
//!
//! # Features
//!
//! No feature is enabled by default. Without `hub`, the crate contains no network code.
//!
//! * `hub`: every `from_pretrained` accepts names of models on the Hugging Face Hub; see [`hub`]. Needs a C compiler.
//! * `cli`: the program `ndalbert`, which runs [`pipelines`] from the command line.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code, unsafe_op_in_unsafe_fn, missing_docs, clippy::undocumented_unsafe_blocks)]

mod batch;
pub mod checkpoint;
mod config;
mod error;
mod files;
mod hash;
pub mod hub;
mod kernels;
mod layout;
mod memory;
mod model;
pub mod nn;
pub mod pipelines;
pub mod text;
pub mod train;

pub use batch::{AttentionProbabilities, Batch, BatchBuilder, Id, Packed};
#[doc(inline)]
pub use checkpoint::{LoadOptions, LoadReport, PreTrainedModel, shipped_checkpoint};
pub use config::{
    AlbertConfig, ConfigFields, Int8Outliers, ParameterCount, ParameterSharing, ProblemType,
};
pub use error::{Error, Result};
#[cfg(feature = "internals")]
#[doc(hidden)]
pub use kernels::internals;
pub use kernels::{Precision, instruction_set};
pub use memory::MemoryFiles;
pub use model::heads::{
    AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSentenceOrder, AlbertForSequenceClassification, AlbertForTokenClassification,
};
#[doc(inline)]
pub use model::{
    Albert, AlbertOutput, AlbertParameters, EmbeddingParameters, EncoderParameters, Model,
    ModelParameters, OutputOptions, Workspace, exits, heads,
};
pub use ndarray;
#[doc(inline)]
pub use nn::loss::Labels;
#[doc(inline)]
pub use nn::{Activation, Parameters};
#[doc(inline)]
pub use text::{AlbertTokenizer, Encoding, Truncation, TruncationSide, TruncationStrategy};

/// The programs of the README, so that they are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of its Chinese translation.
#[cfg(doctest)]
#[doc = include_str!("../README.zh-CN.md")]
struct ReadmeChinese;

/// The programs of the guide.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;

/// The programs of its Chinese translation.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.zh-CN.md")]
struct GuideChinese;
