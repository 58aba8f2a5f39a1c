//! Activations by their names in `config.json`.

use std::fmt;

use crate::error::{Error, Result};
use crate::kernels::activation::Nonlinearity;

/// The nonlinearity of the feed-forward block and of the masked-LM head, by its name in transformers' `ACT2FN`.
///
/// Several names denote the same function; each is kept, so that a config is written back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// `gelu`: x·Φ(x) with the error function.
    Gelu,
    /// `gelu_python`: the same function as `gelu`.
    GeluPython,
    /// `gelu_new`: ½x(1 + tanh(√(2/π)(x + 0.044715x³))). What Google's ALBERT code computes under the name "gelu".
    GeluNew,
    /// `gelu_fast`: the same function as `gelu_new`.
    GeluFast,
    /// `gelu_pytorch_tanh`: the same function as `gelu_new`.
    GeluPytorchTanh,
    /// `relu`: max(x, 0), that of Google's Chinese models.
    Relu,
    /// `silu`: x·σ(x).
    Silu,
    /// `swish`: the same function as `silu`.
    Swish,
    /// `tanh`.
    Tanh,
    /// `mish`: x·tanh(ln(1 + eˣ)).
    Mish,
    /// `linear`: x itself.
    Linear,
}

impl Activation {
    /// Every activation.
    pub const ALL: &'static [Self] = &[
        Self::Gelu,
        Self::GeluPython,
        Self::GeluNew,
        Self::GeluFast,
        Self::GeluPytorchTanh,
        Self::Relu,
        Self::Silu,
        Self::Swish,
        Self::Tanh,
        Self::Mish,
        Self::Linear,
    ];

    /// The activation of that name.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|activation| activation.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|activation| activation.name()).collect();
            Error::config("hidden_act", format!("one of {}", names.join(", ")), format!("{name:?}"))
        })
    }

    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluPython => "gelu_python",
            Self::GeluNew => "gelu_new",
            Self::GeluFast => "gelu_fast",
            Self::GeluPytorchTanh => "gelu_pytorch_tanh",
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Swish => "swish",
            Self::Tanh => "tanh",
            Self::Mish => "mish",
            Self::Linear => "linear",
        }
    }

    /// The function.
    pub(crate) fn nonlinearity(self) -> Nonlinearity {
        match self {
            Self::Gelu | Self::GeluPython => Nonlinearity::Gelu,
            Self::GeluNew | Self::GeluFast | Self::GeluPytorchTanh => Nonlinearity::GeluTanh,
            Self::Relu => Nonlinearity::Relu,
            Self::Silu | Self::Swish => Nonlinearity::Silu,
            Self::Tanh => Nonlinearity::Tanh,
            Self::Mish => Nonlinearity::Mish,
            Self::Linear => Nonlinearity::Identity,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
