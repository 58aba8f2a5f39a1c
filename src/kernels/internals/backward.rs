//! What backward passes spend their time in.

use super::{Attention, InstructionSet};
use crate::kernels::attention::backward::attention_backward;
use crate::kernels::product::convert::Strided;
use crate::kernels::product::precision::Precision;
use crate::kernels::product::weight_gradient::{Stretch, WeightGradient, weight_gradients};

/// Adds `d_outᵀ·inputs` to `weight` [n, k], in products of `f32` or of bfloat16: what tokens [T, k]
/// contribute that gave outputs whose gradients are [T, n]. Each pair is of one application of the
/// layer.
pub fn weight_gradient(
    isa: InstructionSet,
    precision: Precision,
    applications: &[(&[f32], &[f32])],
    (n, k): (usize, usize),
    weight: &mut [f32],
) {
    let stretch = |&(d_out, inputs)| Stretch {
        d_out: Strided::dense(d_out, n),
        inputs: Strided::dense(inputs, k),
    };
    let stretches = applications.iter().map(stretch).collect();
    let gradient = WeightGradient { stretches, weight, bias: &mut [] };
    weight_gradients(isa.0, precision.narrows_activations(isa.0), vec![gradient]);
}

impl Attention {
    /// Replaces queries, keys and values [T, 3·A·D] by their gradients, given the context [T, A·D]
    /// that [`run`](Self::run) made of them, and its gradient.
    pub fn backward(&self, qkv: &mut [f32], contexts: (&[f32], &[f32])) {
        attention_backward(self.isa, qkv, &self.sequences, self.heads, None, contexts);
    }
}
