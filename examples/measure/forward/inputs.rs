//! The token ids that are run.

#[path = "../../common/read_text.rs"]
mod read_text;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndalbert::AlbertConfig;
use serde::de::DeserializeOwned;

use super::Failure;
use read_text::read_text;

/// Where ids come from: a file, or random ones of certain lengths.
pub struct Options {
    pub batch: usize,
    pub seq: Spread,
    pub lengths: Option<Vec<usize>>,
    pub file: Option<PathBuf>,
}

/// A number, or one from the first to the last, each as likely: `128` or `16..128`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub first: usize,
    pub last: usize,
}

impl Spread {
    pub fn one(number: usize) -> Self {
        Self { first: number, last: number }
    }

    /// As many numbers as asked for.
    pub fn draw(self, count: usize, random: &mut Random) -> Result<Vec<usize>, Failure> {
        let choices = u32::try_from(self.last - self.first + 1)?;
        Ok((0..count).map(|_| self.first + random.below(choices) as usize).collect())
    }
}

impl FromStr for Spread {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse().map_err(|_| format!("{text:?}: expected a number, or two as in 16..128"))
        };
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let spread = Self { first: number(first)?, last: number(last)? };
        if spread.first > spread.last {
            return Err(format!("{text:?}: expected the smaller number first"));
        }
        Ok(spread)
    }
}

/// A list of ids for each sequence. Random ones leave out the first word, which is padding as a
/// rule.
pub fn ids(options: &Options, config: &AlbertConfig, seed: u64) -> Result<Vec<Vec<u32>>, Failure> {
    if let Some(path) = &options.file {
        return json(path);
    }
    let words = u32::try_from(config.vocab_size - 1)?;
    let mut random = Random(seed);
    let lengths = match &options.lengths {
        Some(lengths) => lengths.clone(),
        None if options.seq.first == options.seq.last => vec![options.seq.first; options.batch],
        None => options.seq.draw(options.batch, &mut random)?,
    };
    Ok(lengths
        .iter()
        .map(|&length| (0..length).map(|_| 1 + random.below(words)).collect())
        .collect())
}

/// What a JSON file holds.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = read_text(path)?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// A number from 0 to below `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((((x ^ (x >> 31)) >> 32) * u64::from(limit)) >> 32) as u32
    }
}
