//! A linear layer from states to logits, which most heads are.

use std::fmt;

use ndarray::{Array2, ArrayView2};

use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::activation::Nonlinearity;
use crate::kernels::{Isa, Precision};
use crate::nn::{Linear, PackedLinear};

/// The parameters of a classifier over C classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierParameters {
    /// H → C, after the last layer.
    pub classifier: Linear,
    /// H → C, one for each exit before the last layer; none in a model without
    /// [`exit_layers`](crate::ConfigFields::exit_layers), and in those that classify tokens.
    pub exits: Vec<Linear>,
}

impl ClassifierParameters {
    /// Zeros of the configuration's width, to be filled, without exits.
    pub fn zeros(config: &AlbertConfig, classes: usize) -> Self {
        Self { classifier: Linear::zeros(config.hidden_size, classes), exits: Vec::new() }
    }

    /// As [`zeros`](Self::zeros), with the configuration's exits.
    pub fn zeros_with_exits(config: &AlbertConfig, classes: usize) -> Self {
        Self { exits: exit_zeros(config, classes), ..Self::zeros(config, classes) }
    }
}

/// Classifiers of the exits before the last layer.
pub(super) fn exit_zeros(config: &AlbertConfig, classes: usize) -> Vec<Linear> {
    let early = config.exit_layers.len().saturating_sub(1);
    (0..early).map(|_| Linear::zeros(config.hidden_size, classes)).collect()
}

/// A head that is one linear layer, logits = x·Wᵀ + b: the classifiers of sequences, tokens and choices, sentence order,
/// and question answering.
///
/// It applies to states of the width of its weight; see [the module](super) for an example.
pub struct LinearHead(PackedLinear);

impl LinearHead {
    /// Packs a linear layer.
    ///
    /// # Errors
    /// [`Error::Input`] if the weight `[C, H]` is empty or the bias is not `[C]`, or if the environment forces an
    /// instruction set that this processor lacks.
    pub fn new(linear: Linear) -> Result<Self> {
        linear.check()?;
        Ok(Self(PackedLinear::new(Isa::current()?, Precision::F32, [linear])))
    }

    /// The linear layer, bit-identical to the one that was packed.
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

/// Sizes, no weights.
impl fmt::Debug for LinearHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inputs, outputs) = (self.0.inputs(), self.0.outputs());
        f.debug_struct("LinearHead").field("inputs", &inputs).field("outputs", &outputs).finish()
    }
}
