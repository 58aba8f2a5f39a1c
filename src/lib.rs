//! ALBERT (A Lite BERT) in pure Rust on [`ndarray`].
//!
//! From text to checkpoint, and each module's place in it:
//!
//! ```text
//! text → tokenizer → ids → packed batch → factorized embeddings → one shared layer, applied L times → heads → loss
//! └──── text ────────────┘ └─ batch ──┘ └────────────────────────── model ───────────────────────────────────────┘
//!                                       └ checkpoint loads and saves it; config says what it is; nn has its layers;
//!                                         kernels make it fast ─────────────────────────────────────────────────┘
//! ```
//!
//! [`pipelines`] goes the whole way in one call: from text to labels, words, choices or vectors.
//!
//! # Letters
//!
//! Shapes are written with one letter per dimension: **B** batch, **S** sequence (padded length), **T** packed tokens,
//! **N** choices or chosen positions, **E** embedding, **H** hidden, **I** intermediate, **A** heads, **D** head size,
//! **V** vocabulary, **L** layers, **C** classes.
//!
//! # Features
//!
//! None is on by default, and without them there is no network code.
//!
//! * `hub`: every `from_pretrained` takes names of models on the Hugging Face Hub, too; see [`hub`].
//! * `cli`: the program `ndalbert`, which does what [`pipelines`] do from the command line.
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
pub use model::{
    Albert, AlbertOutput, AlbertParameters, EmbeddingParameters, EncoderParameters, Model,
    ModelParameters, OutputOptions, Workspace, exits, heads,
};
pub use ndarray;
pub use nn::loss::Labels;
pub use nn::{Activation, Parameters};
pub use text::{AlbertTokenizer, Encoding, Truncation, TruncationSide, TruncationStrategy};

/// The README's programs, so that they are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Those of its Chinese translation.
#[cfg(doctest)]
#[doc = include_str!("../README.zh-CN.md")]
struct ReadmeChinese;

/// The guide's programs.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;
