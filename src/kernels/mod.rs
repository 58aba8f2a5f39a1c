//! The hot path: slices in, slices out, and the only room with `unsafe`.
//!
//! Nothing in here knows what a model is. Every routine takes an [`Isa`], a proof that the processor has the
//! instructions that it is about to use, and every one gives the same bits whatever the number of threads and whoever
//! else is in the batch: each output element is accumulated in one fixed order.
//!
//! * [`isa`]: which instruction sets the processor has;
//! * [`math`] and [`activation`]: scalar functions written so that compilers vectorise them;
//! * [`vector`]: softmax and LayerNorm over rows, and [`columns`]: softmax over columns, compiled once per instruction set;
//! * [`precision`]: what weights are held in; [`convert`] and [`bytes`]: to and from it, and
//!   [`seven_bits`] where there is no VNNI;
//! * [`packed`]: a matrix laid out in panels; [`gemm`]: products with one; [`finish`]: bias and
//!   nonlinearity on the way out; [`tile`]: the register tiles that those are made of, with bodies in `x86_64`, `aarch64` and [`portable`];
//! * [`attention`]: scaled dot-product attention, of one head in [`attention_head`], with bytes in [`quantized_scores`]; and [`attention_backward`];
//! * [`backward`]: backward passes row by row; [`weight_gradient`]: products over tokens; [`dropout`];
//! * [`pages`]: memory on large pages; [`fetch`]: bringing nearer what is needed next; [`parallel`]: when and how work is split over rayon's threads; [`crew`]:
//!   threads that stay together;
//! * `reference`: the naive oracle that all of it is tested against;
//! * `internals`: what benchmarks get to see of it, with the feature of that name.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod attention_backward;
mod attention_head;
pub(crate) mod backward;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod body;
pub(crate) mod bytes;
mod columns;
pub(crate) mod convert;
mod crew;
pub(crate) mod dropout;
mod fetch;
mod finish;
pub(crate) mod gemm;
#[cfg(feature = "internals")]
pub mod internals;
pub(crate) mod isa;
mod math;
mod multiplicand;
mod output;
pub(crate) mod packed;
pub(crate) mod pages;
mod panels;
pub(crate) mod parallel;
mod portable;
pub(crate) mod precision;
mod quantized_scores;
#[cfg(test)]
pub(crate) mod reference;
mod seven_bits;
mod split;
mod tile;
mod transpose;
pub(crate) mod vector;
pub(crate) mod weight_gradient;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub(crate) use isa::Isa;
pub use isa::instruction_set;
pub use precision::Precision;
