//! The position-wise feed-forward block with its residual and LayerNorm.

use super::{Activation, LayerNorm, Linear, Norm, PackedLinear};
use crate::kernels::activation::Nonlinearity;
use crate::kernels::convert::InputBuffer;
use crate::kernels::{Isa, Precision};

/// The parameters of one feed-forward block.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedForwardParameters {
    /// H → I.
    pub ffn: Linear,
    /// I → H.
    pub ffn_output: Linear,
    /// Applied to the sum of input and output (`full_layer_layer_norm`).
    pub layer_norm: LayerNorm,
}

impl FeedForwardParameters {
    /// Zeros, to be filled.
    pub fn zeros(hidden: usize, intermediate: usize) -> Self {
        Self {
            ffn: Linear::zeros(hidden, intermediate),
            ffn_output: Linear::zeros(intermediate, hidden),
            layer_norm: LayerNorm::zeros(hidden),
        }
    }
}

/// A feed-forward block to be executed.
pub(crate) struct FeedForward {
    ffn: PackedLinear,
    ffn_output: PackedLinear,
    layer_norm: Norm,
    activation: Nonlinearity,
}

impl FeedForward {
    /// `outliers` are the inputs that int8 takes in single precision: of `ffn` and of `ffn_output`.
    pub(crate) fn new(
        isa: Isa,
        precision: Precision,
        parameters: FeedForwardParameters,
        activation: Activation,
        eps: f64,
        outliers: [&[usize]; 2],
    ) -> Self {
        let FeedForwardParameters { ffn, ffn_output, layer_norm } = parameters;
        Self {
            ffn: PackedLinear::with_outliers(isa, precision, [ffn], outliers[0]),
            ffn_output: PackedLinear::with_outliers(isa, precision, [ffn_output], outliers[1]),
            layer_norm: Norm::new(isa, layer_norm, eps),
            activation: activation.nonlinearity(),
        }
    }

    pub(crate) fn unpack(&self) -> FeedForwardParameters {
        FeedForwardParameters {
            ffn: self.ffn.unpack(0, self.ffn.outputs()),
            ffn_output: self.ffn_output.unpack(0, self.ffn_output.outputs()),
            layer_norm: self.layer_norm.unpack(),
        }
    }

    /// How many values the intermediate states of `len` values `[T, H]` are.
    pub(crate) fn intermediate_len(&self, len: usize) -> usize {
        len / self.ffn.inputs() * self.ffn.outputs()
    }

    /// LayerNorm(x + ffn_output(activation(ffn(x)))) of `x` `[T, H]`, into `out`. `intermediate`
    /// `[T, I]` and `inputs` are overwritten.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        intermediate: &mut [f32],
        inputs: &mut InputBuffer,
        out: &mut [f32],
    ) {
        self.ffn.forward_into(self.ffn.encode(x, inputs), self.activation, intermediate);
        let encoded = self.ffn_output.encode(intermediate, inputs);
        self.ffn_output.forward_into(encoded, Nonlinearity::Identity, out);
        self.layer_norm.forward_residual(x, out);
    }
}
