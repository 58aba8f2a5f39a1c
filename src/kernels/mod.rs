//! The hot path: slices in, slices out, and the only room with `unsafe`.
//!
//! Nothing in here knows what a model is. Every routine takes an [`Isa`], a proof that the
//! processor has the instructions that it is about to use, and every one gives the same bits
//! whatever the number of threads and whoever else is in the batch: each output element is
//! accumulated in one fixed order.
//!
//! * [`isa`]: which instruction sets the processor has;
//! * [`threads`]: when and how work is split over threads, and memory on large pages;
//! * [`rows`]: activation functions, softmax, LayerNorm, dropout and their backward passes, row by
//!   row;
//! * [`product`]: matrices in panels, what activations are encoded as, and products of the two,
//!   made of register tiles (`product::tiles`);
//! * [`attention`]: scaled dot-product attention and its backward pass;
//! * `reference`: the naive oracle that all of it is tested against;
//! * `internals`: what benchmarks get to see of it, with the feature of that name.
#![allow(unsafe_code)]

pub(crate) mod attention;
#[cfg(feature = "internals")]
pub mod internals;
pub(crate) mod isa;
mod product;
#[cfg(test)]
pub(crate) mod reference;
mod rows;
mod threads;

// What the rest of the crate uses.
pub(crate) use attention::backward as attention_backward;
pub(crate) use isa::Isa;
pub use isa::instruction_set;
pub use product::precision::Precision;
pub(crate) use product::{bytes, convert, gemm, packed, weight_gradient};
pub(crate) use rows::{activation, activation_backward, backward, cross_entropy, dropout, vector};
pub(crate) use threads::{pages, parallel};
