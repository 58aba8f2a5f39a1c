//! What a pre-training step is to guess.

use std::path::Path;

use ndalbert::AlbertConfig;
use ndalbert::ndarray::Array2;
use ndalbert::train::PreTrainingLabels;
use serde::Deserialize;

use super::Failure;
use super::inputs::{Random, json};

/// The label of unmasked tokens.
const IGNORED: i64 = -100;

/// The percentage of masked tokens; at least one per sequence.
const MASKED_PERCENT: usize = 15;

/// A file of labels: a row per sequence, and a label each.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    masked_lm: Vec<Vec<i64>>,
    sentence_order: Vec<i64>,
}

/// Labels from a JSON file.
pub fn read(path: &Path) -> Result<PreTrainingLabels, Failure> {
    let File { masked_lm, sentence_order } = json(path)?;
    Ok(PreTrainingLabels { masked_lm: padded(&masked_lm), sentence_order })
}

/// Random words at random positions of sequences of these lengths, and random orders.
pub fn random(lengths: &[usize], config: &AlbertConfig, seed: u64) -> PreTrainingLabels {
    let mut random = Random(seed);
    let row = |&length: &usize| {
        let mut row = vec![IGNORED; length];
        let masked = (length * MASKED_PERCENT + 50) / 100;
        for position in sample(length, masked.max(1).min(length), &mut random) {
            row[position] = i64::from(random.below(config.vocab_size as u32));
        }
        row
    };
    let rows: Vec<Vec<i64>> = lengths.iter().map(row).collect();
    let sentence_order = lengths.iter().map(|_| i64::from(random.below(2))).collect();
    PreTrainingLabels { masked_lm: padded(&rows), sentence_order }
}

/// The number of masked words.
pub fn count(labels: &PreTrainingLabels) -> usize {
    labels.masked_lm.iter().filter(|label| **label != IGNORED).count()
}

/// Rows as `[B, S]`.
fn padded(rows: &[Vec<i64>]) -> Array2<i64> {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let label = |(i, j): (usize, usize)| rows[i].get(j).copied().unwrap_or(IGNORED);
    Array2::from_shape_fn((rows.len(), longest), label)
}

/// Different numbers below `limit`.
fn sample(limit: usize, count: usize, random: &mut Random) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..limit).collect();
    for i in 0..count {
        numbers.swap(i, i + random.below((limit - i) as u32) as usize);
    }
    numbers.truncate(count);
    numbers
}
