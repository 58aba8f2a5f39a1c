//! Text → batches to pre-train on.
//!
//! ```text
//! files → corpus (where documents are) → document (sentences of ids) → packing (examples) ┐
//!                                                                                         │ block: many at once,
//!                                                                                         │ in random order
//!                                                        batches ← masking ←──────────────┘
//! ```
//!
//! The rules are those of `create_pretraining_data.py` in google-research/albert; where they differ, the item says so.

mod batches;
mod block;
mod corpus;
mod document;
mod masking;
mod options;
mod packing;
mod random;
mod statistics;

pub use batches::{DataState, PreTrainingBatches};
pub use corpus::Corpus;
pub use options::{PreTrainingOptions, SentenceObjective};
pub use statistics::PreTrainingStatistics;

// All of them read texts from temporary files, for which WASI has no directory.
#[cfg(all(test, not(target_os = "wasi")))]
mod tests;
