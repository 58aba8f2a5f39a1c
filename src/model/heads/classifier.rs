//! A linear layer that makes logits of states: what most heads are.

use ndarray::{Array2, ArrayView2};

use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::activation::Nonlinearity;
use crate::nn::{Linear, PackedLinear};

/// The parameters of a classifier over C classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierParameters {
    /// H → C.
    pub classifier: Linear,
}

/// A classifier to be executed: logits = x·Wᵀ + b.
pub struct ClassifierHead(PackedLinear);

impl ClassifierHead {
    /// Packs a linear layer.
    ///
    /// # Errors
    /// [`Error::Input`] if the weight `[C, H]` is empty or the bias is not `[C]`, or if the environment forces an
    /// instruction set that this processor lacks.
    pub fn from_linear(linear: Linear) -> Result<Self> {
        linear.check()?;
        Ok(Self(PackedLinear::new(Isa::current()?, [linear])))
    }

    pub(super) fn new(_: &AlbertConfig, parameters: ClassifierParameters) -> Result<Self> {
        Self::from_linear(parameters.classifier)
    }

    pub(super) fn to_parameters(&self) -> ClassifierParameters {
        ClassifierParameters { classifier: self.to_linear() }
    }

    /// The linear layer, to the bit what was packed.
    pub fn to_linear(&self) -> Linear {
        self.0.unpack(0, self.0.outputs())
    }

    /// Logits `[N, C]` of states `[N, H]`.
    ///
    /// # Errors
    /// [`Error::Input`] if the states are not H wide.
    pub fn forward(&self, states: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        if states.ncols() != self.0.inputs() {
            let (expected, found) = (self.0.inputs().to_string(), states.ncols().to_string());
            return Err(Error::input("width of the states", expected, found));
        }
        Ok(self.0.forward(states, Nonlinearity::Identity))
    }
}
