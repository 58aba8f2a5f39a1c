//! Matrices in panels, and products with them.

pub(super) mod blocking;
pub(crate) mod bytes;
pub(crate) mod convert;
pub(super) mod fetch;
mod finish;
pub(crate) mod gemm;
pub(super) mod multiplicand;
pub(super) mod output;
pub(crate) mod packed;
pub(super) mod panels;
pub(crate) mod precision;
mod seven_bits;
pub(super) mod tiles;
pub(super) mod transpose;
pub(crate) mod weight_gradient;
pub(super) mod weights;
