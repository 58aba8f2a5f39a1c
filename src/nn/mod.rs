//! Layers: their parameters and their computation.
//!
//! Each layer has two forms. Its *parameters* ([`Linear`], [`LayerNorm`], …) are plain arrays in transformers' layout, to load, save and train. The executable form is packed for the kernels and private to the crate.

mod activation;
mod attention;
mod embedding;
mod feed_forward;
mod init;
mod layer_norm;
mod linear;
pub mod loss;
mod softmax;

pub use activation::Activation;
pub use attention::AttentionParameters;
pub(crate) use attention::{AttentionBuffers, SelfAttention};
pub(crate) use embedding::gather_rows;
pub(crate) use feed_forward::FeedForward;
pub use feed_forward::FeedForwardParameters;
pub(crate) use init::Initializer;
pub use layer_norm::LayerNorm;
pub(crate) use layer_norm::Norm;
pub use linear::Linear;
pub(crate) use linear::PackedLinear;
pub use softmax::softmax;

use ndarray::{ArrayBase, ArrayViewD, ArrayViewMutD, Data, DataMut, Dimension};

/// A tree of named arrays: weights, or their gradients, or an optimizer's moments.
///
/// One visitor is used for loading, saving, counting and updating. Names are transformers' (`encoder.….query.weight`); their table is in `checkpoint/names.rs`.
pub trait Parameters {
    /// Calls `visitor` with the name and values of every array; names begin with `prefix`.
    fn visit<'a>(&'a self, prefix: &str, visitor: &mut dyn FnMut(&str, ArrayViewD<'a, f32>));

    /// Like [`visit`](Self::visit), with mutable values.
    fn visit_mut<'a>(
        &'a mut self,
        prefix: &str,
        visitor: &mut dyn FnMut(&str, ArrayViewMutD<'a, f32>),
    );

    /// The number of values in the tree.
    fn parameter_count(&self) -> usize {
        let mut count = 0;
        self.visit("", &mut |_, values| count += values.len());
        count
    }
}

/// The values of an array that this crate made in standard layout, one after the other.
pub(crate) fn contiguous<S: Data<Elem = f32>, D: Dimension>(array: &ArrayBase<S, D>) -> &[f32] {
    array.as_slice().expect("the array was made in standard layout")
}

/// As [`contiguous`], to be changed.
pub(crate) fn contiguous_mut<S: DataMut<Elem = f32>, D: Dimension>(
    array: &mut ArrayBase<S, D>,
) -> &mut [f32] {
    array.as_slice_mut().expect("the array was made in standard layout")
}
