//! (x − mean) / √(variance + ε) · weight + bias, over the last axis.

use ndarray::Array1;

use crate::kernels::Isa;
use crate::kernels::vector;

/// The parameters of a layer normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// The scale (`gamma` in old checkpoints).
    pub weight: Array1<f32>,
    /// The offset (`beta` in old checkpoints).
    pub bias: Array1<f32>,
}

impl LayerNorm {
    /// Zeros, to be filled.
    pub fn zeros(width: usize) -> Self {
        Self { weight: Array1::zeros(width), bias: Array1::zeros(width) }
    }
}

/// A layer normalisation to be executed.
pub(crate) struct Norm {
    isa: Isa,
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl Norm {
    pub(crate) fn new(isa: Isa, parameters: LayerNorm, eps: f64) -> Self {
        let LayerNorm { weight, bias } = parameters;
        assert_eq!(weight.len(), bias.len(), "weight and bias of a LayerNorm are of one length");
        Self { isa, weight: weight.to_vec(), bias: bias.to_vec(), eps: eps as f32 }
    }

    pub(crate) fn unpack(&self) -> LayerNorm {
        LayerNorm { weight: self.weight.clone().into(), bias: self.bias.clone().into() }
    }

    /// Normalises rows in place.
    pub(crate) fn forward(&self, rows: &mut [f32]) {
        self.forward_residual(&[], rows);
    }

    /// Adds `residual` to the rows, then normalises them, in place.
    pub(crate) fn forward_residual(&self, residual: &[f32], rows: &mut [f32]) {
        let norm = vector::Norm { weight: &self.weight, bias: &self.bias, eps: self.eps };
        vector::layer_norm(self.isa, norm, residual, rows);
    }
}
