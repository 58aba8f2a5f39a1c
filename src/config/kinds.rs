//! What is chosen by name: which parameters layers share, and what a classifier is trained for.

use std::fmt;

use crate::error::{Error, Result};

/// Which parts of the encoder's layers have one set of parameters for all layers (section 3.1 of the paper, table 4).
///
/// Stored in `config.json` as `parameter_sharing`, a key that Hugging Face does not have; where it is absent, all is
/// shared, so that a published config means what it meant. [`num_hidden_groups`](crate::ConfigFields::num_hidden_groups) says
/// among how many groups of consecutive layers the shared part is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterSharing {
    /// Every layer of a group has the same parameters: ALBERT's default.
    #[default]
    All,
    /// The attention blocks of a group are shared; every layer has its own feed-forward block.
    ///
    /// transformers has nothing like it: it loads such a checkpoint, but drops what it does not expect, and its
    /// outputs are wrong. The same holds for [`Ffn`](Self::Ffn).
    Attention,
    /// The feed-forward blocks of a group are shared; every layer has its own attention block.
    Ffn,
    /// Nothing is shared, as in BERT. The same thing as one group per layer, and stored as that, so that transformers
    /// reads the checkpoint too.
    None,
}

impl ParameterSharing {
    /// Every strategy.
    pub const ALL: &'static [Self] = &[Self::All, Self::Attention, Self::Ffn, Self::None];

    /// The strategy of that name.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|sharing| sharing.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|sharing| sharing.name()).collect();
            let expected = format!("one of {}", names.join(", "));
            Error::config("parameter_sharing", expected, format!("{name:?}"))
        })
    }

    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Attention => "attention",
            Self::Ffn => "ffn",
            Self::None => "none",
        }
    }

    /// Whether layers share their attention blocks.
    pub(crate) fn shares_attention(self) -> bool {
        matches!(self, Self::All | Self::Attention)
    }

    /// Whether layers share their feed-forward blocks.
    pub(crate) fn shares_ffn(self) -> bool {
        matches!(self, Self::All | Self::Ffn)
    }
}

impl fmt::Display for ParameterSharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What [`AlbertForSequenceClassification`](crate::AlbertForSequenceClassification) is trained for, as transformers
/// names it; it decides the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemType {
    /// Mean squared error against real numbers.
    Regression,
    /// Cross-entropy against one class index per sequence.
    SingleLabelClassification,
    /// Binary cross-entropy against a 0/1 vector per sequence.
    MultiLabelClassification,
}

impl ProblemType {
    pub(super) const NAMES: [(&'static str, Self); 3] = [
        ("regression", Self::Regression),
        ("single_label_classification", Self::SingleLabelClassification),
        ("multi_label_classification", Self::MultiLabelClassification),
    ];
}
