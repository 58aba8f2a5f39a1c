//! Words → pieces of WordPiece.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, Model};

use super::VocabularyOptions;
use super::words::Words;
use crate::error::{Error, Result};
use crate::text::tokenizer::refused;

/// The mark of a piece that continues a word.
const CONTINUES: &str = "##";

/// The library counts pairs in 32 bits.
const MAX_COUNT: u64 = 1 << 30;

/// Special tokens, the characters that pieces consist of, then the pieces, the first joined first.
pub(super) fn train(words: Words, options: &VocabularyOptions) -> Result<Vec<String>> {
    let known = words.frequent_characters(options.character_coverage);
    // A word with an unknown character is unknown altogether.
    let words: Vec<(&str, u64)> =
        words.iter().filter(|(word, _)| word.chars().all(|char| known.contains(&char))).collect();
    // The library numbers `##a` and the like in the order in which it meets them, which is random, and later decides by
    // the numbers. Declared as special, they have numbers from the beginning.
    let spellings = words.iter().flat_map(|(word, _)| spelled(word));
    let characters = words.iter().flat_map(|(word, _)| word.chars().map(String::from));
    let alphabet: BTreeSet<String> = spellings.chain(characters).collect();
    let special = options.kind.special_tokens().map(str::to_owned);
    let fixed: Vec<String> = special.into_iter().chain(alphabet).collect();
    if fixed.len() > options.vocab_size {
        return Err(too_small(fixed.len(), options.vocab_size));
    }

    let scale = words.iter().map(|(word, count)| word.chars().count() as u64 * count).sum::<u64>();
    let scale = scale / MAX_COUNT + 1;
    let counts = words.iter().map(|&(word, count)| (word.into(), count.div_ceil(scale))).collect();
    let mut model = BPE::default();
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(options.vocab_size)
        .min_frequency(options.min_frequency.div_ceil(scale))
        .continuing_subword_prefix(CONTINUES.to_owned())
        .special_tokens(fixed.into_iter().map(|token| AddedToken::from(token, true)).collect())
        .build();
    trainer.do_train(&counts, &mut model).map_err(refused)?;
    let mut pieces: Vec<(String, u32)> = model.get_vocab().into_iter().collect();
    pieces.sort_unstable_by_key(|&(_, id)| id);
    Ok(pieces.into_iter().map(|(piece, _)| piece).collect())
}

pub(super) fn too_small(needed: usize, found: usize) -> Error {
    let expected = format!("at least {needed}, or a smaller character_coverage");
    Error::input("vocab_size", expected, found.to_string())
}

/// Special tokens, then characters, the most frequent first: as they begin words, and as they continue them.
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
