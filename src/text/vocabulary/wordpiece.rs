//! Words → pieces of WordPiece.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::VocabularyOptions;
use super::joining::{CONTINUES, Joining};
use super::words::Words;
use crate::error::{Error, Result};

/// Special tokens, the characters that pieces consist of, then the pieces, the first joined first.
pub(super) fn train(words: &Words, options: &VocabularyOptions) -> Result<Vec<String>> {
    let known = words.frequent_characters(options.character_coverage);
    // A word with an unknown character is unknown altogether.
    let words: Vec<(&str, u64)> =
        words.iter().filter(|(word, _)| word.chars().all(|char| known.contains(&char))).collect();
    let spellings = words.iter().flat_map(|(word, _)| spelled(word));
    let characters = words.iter().flat_map(|(word, _)| word.chars().map(String::from));
    let alphabet: BTreeSet<String> = spellings.chain(characters).collect();
    let special = options.kind.special_tokens().map(str::to_owned);
    let pieces: Vec<String> = special.into_iter().chain(alphabet).collect();
    if pieces.len() > options.vocab_size {
        return Err(too_small(pieces.len(), options.vocab_size));
    }
    let words = words.into_iter().map(|(word, count)| (spelled(word), count));
    Ok(Joining::new(pieces, words).join(options.vocab_size, options.min_frequency))
}

/// The error of a size that leaves no room for single characters.
pub(super) fn too_small(needed: usize, found: usize) -> Error {
    let expected = format!("at least {needed}, or a smaller character_coverage");
    Error::input("vocab_size", expected, found.to_string())
}

/// Special tokens, then characters, the most frequent first: as they begin words, and as they
/// continue them.
pub(super) fn characters(words: &Words, options: &VocabularyOptions) -> Vec<String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (word, count) in words.iter() {
        spelled(word).for_each(|piece| *counts.entry(piece).or_insert(0) += count);
    }
    counts.retain(|_, count| *count >= options.min_frequency);
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    // Stable: those of equal count stay in their own order.
    counts.sort_by_key(|&(_, count)| Reverse(count));
    let special = options.kind.special_tokens().map(str::to_owned);
    let pieces = counts.into_iter().map(|(piece, _)| piece);
    special.into_iter().chain(pieces).take(options.vocab_size).collect()
}

fn spelled(word: &str) -> impl Iterator<Item = String> {
    word.chars().enumerate().map(|(place, char)| match place {
        0 => char.to_string(),
        _ => format!("{CONTINUES}{char}"),
    })
}
