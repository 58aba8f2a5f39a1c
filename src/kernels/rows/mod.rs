//! Functions of rows, in ordinary Rust that is compiled once per instruction set.

pub(crate) mod activation;
pub(crate) mod activation_backward;
pub(crate) mod backward;
pub(crate) mod cross_entropy;
pub(crate) mod dropout;
pub(super) mod math;
pub(crate) mod vector;
