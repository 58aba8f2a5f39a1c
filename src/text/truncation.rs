//! How long texts are truncated.

use tokenizers::{TruncationDirection, TruncationParams, TruncationStrategy as RawStrategy};

/// The maximum length of an encoding, and which text of a pair is truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Truncation {
    /// The maximum number of tokens, including special ones.
    pub max_length: usize,
    /// Which text of a pair is truncated.
    pub strategy: TruncationStrategy,
}

/// Which text of a pair is truncated; for a single text, the first two are equivalent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TruncationStrategy {
    /// Tokens are removed from the longer text until both are equally long, then from both.
    #[default]
    LongestFirst,
    /// Only the first text is truncated, such as the context of a choice.
    OnlyFirst,
    /// Only the second text is truncated, such as the paragraph of a question.
    OnlySecond,
}

/// The side at which a text is truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TruncationSide {
    /// The end is removed.
    #[default]
    Right,
    /// The beginning is removed.
    Left,
}

impl Truncation {
    /// The library's form of it, for `room` tokens without the special ones.
    pub(super) fn raw(self, room: usize, side: TruncationSide) -> TruncationParams {
        TruncationParams {
            direction: side.raw(),
            max_length: room,
            strategy: match self.strategy {
                TruncationStrategy::LongestFirst => RawStrategy::LongestFirst,
                TruncationStrategy::OnlyFirst => RawStrategy::OnlyFirst,
                TruncationStrategy::OnlySecond => RawStrategy::OnlySecond,
            },
            stride: 0,
        }
    }
}

impl TruncationSide {
    /// Its name in `tokenizer_config.json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
        }
    }

    /// The library's form of it.
    pub(super) fn raw(self) -> TruncationDirection {
        match self {
            Self::Right => TruncationDirection::Right,
            Self::Left => TruncationDirection::Left,
        }
    }
}
