//! The token ids that are run.

#[path = "../../common/read_text.rs"]
mod read_text;

use std::path::{Path, PathBuf};

use ndalbert::AlbertConfig;
use serde::de::DeserializeOwned;

use super::Failure;
use read_text::read_text;

/// Where ids come from: a file, or random ones of certain lengths.
pub struct Options {
    pub batch: usize,
    pub seq: usize,
    pub lengths: Option<Vec<usize>>,
    pub file: Option<PathBuf>,
}

/// A list of ids for each sequence. Random ones leave out the first word, which is padding as a rule.
pub fn ids(options: &Options, config: &AlbertConfig, seed: u64) -> Result<Vec<Vec<u32>>, Failure> {
    if let Some(path) = &options.file {
        return json(path);
    }
    let lengths = options.lengths.clone().unwrap_or_else(|| vec![options.seq; options.batch]);
    let words = u32::try_from(config.vocab_size - 1)?;
    let mut random = Random(seed);
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
