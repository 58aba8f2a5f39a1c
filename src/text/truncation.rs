//! How texts that are too long are cut.

use tokenizers::{TruncationDirection, TruncationParams, TruncationStrategy as RawStrategy};

/// At most how many tokens an encoding may have, and which text gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Truncation {
    /// The greatest number of tokens, special ones included.
    pub max_length: usize,
    /// Which text of a pair is cut.
    pub strategy: TruncationStrategy,
}

/// Which text of a pair is cut; for a single text, the first two say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TruncationStrategy {
    /// Tokens go from whichever text is longer, until the two are equally long, then from both.
    #[default]
    LongestFirst,
    /// Only the first text is cut: the context in front of a choice.
    OnlyFirst,
    /// Only the second text is cut: the paragraph behind a question.
    OnlySecond,
}

/// Which end of a text is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TruncationSide {
    /// The end goes, the beginning stays.
    #[default]
    Right,
    /// The beginning goes, the end stays.
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
