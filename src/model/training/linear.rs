//! A linear layer with forward and backward passes.

use crate::kernels::activation::Nonlinearity;
use crate::kernels::convert::InputBuffer;
use crate::kernels::gemm::{Epilogue, Weights, multiply};
use crate::kernels::packed::PackedMatrix;
use crate::kernels::{Isa, Precision};
use crate::nn::{Linear, PackedLinear, contiguous};

/// A linear layer, or several over the same input as one, packed for forward and backward passes.
pub(super) struct TrainingLinear {
    isa: Isa,
    forward: PackedLinear,
    backward: PackedMatrix,
}

impl TrainingLinear {
    /// Packs layers with the same number of inputs; their outputs follow each other.
    pub(super) fn new<const N: usize>(
        isa: Isa,
        precision: Precision,
        layers: [&Linear; N],
    ) -> Self {
        let inputs = layers.first().map_or(0, |layer| layer.weight.ncols());
        let weights = layers.map(|layer| contiguous(&layer.weight));
        let backward = PackedMatrix::transposed(isa, &weights, inputs, precision);
        let forward = PackedLinear::new(isa, precision, layers.map(Linear::clone));
        Self { isa, forward, backward }
    }

    /// x·Wᵀ + b of `x` `[T, in]`, into `out` `[T, out]`.
    pub(super) fn forward_into(&self, x: &[f32], buffer: &mut InputBuffer, out: &mut [f32]) {
        let encoded = self.forward.encode(x, buffer);
        self.forward.forward_into(encoded, Nonlinearity::Identity, out);
    }

    /// The gradient of the input, d·W of `d` `[T, out]`, into `d_x` `[T, in]`.
    pub(super) fn backward_into(&self, d: &[f32], buffer: &mut InputBuffer, d_x: &mut [f32]) {
        let encoded = buffer.encode(self.isa, &self.backward, d);
        let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
        multiply(self.isa, encoded, Weights::Packed(&self.backward), epilogue, d_x);
    }
}
