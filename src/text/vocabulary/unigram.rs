//! Words → pieces of Unigram.

use std::cmp::Reverse;
use std::collections::HashSet;

use rayon::ThreadPoolBuilder;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};

use super::VocabularyOptions;
use super::wordpiece::too_small;
use super::words::Words;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::text::tokenizer::refused;

/// The most characters of distinct words that are trained on; the suffix array takes some 50 bytes for each.
const MAX_TEXT: usize = 16 << 20;

/// The library counts in 32 bits, and multiplies counts by lengths of up to 16.
const MAX_COUNT: u64 = 1 << 27;

/// By how much the library raises each of the characters that it had dropped and then needs above the one before.
const PENALTY: f64 = 0.0001;

/// Special tokens of score 0, then pieces with their log-probabilities, the most likely first.
pub(super) fn train(words: &Words, options: &VocabularyOptions) -> Result<Vec<(String, f64)>> {
    let known = words.frequent_characters(options.character_coverage);
    let special = options.kind.special_tokens();
    // The trainer goes beyond the size if that only just has room for the characters.
    let needed = known.len() + special.len() + 1;
    if needed > options.vocab_size {
        return Err(too_small(needed, options.vocab_size));
    }
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size((options.vocab_size - special.len()) as u32)
        .build()
        .map_err(|error| Error::Tokenizer(error.to_string()))?;
    let sentences = sentences(words, &known);
    // Of one thread: with more, the order of sums depends on which is done first.
    let pool = ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Error::Tokenizer(error.to_string()))?;
    let mut model = Unigram::default();
    pool.install(|| trainer.do_train(sentences, &mut model)).map_err(refused)?;
    let pieces = model.iter().filter(|(piece, _)| !special.contains(&piece.as_str())).cloned();
    let pieces = in_fixed_order(pieces.collect());
    Ok(special.map(|token| (token.to_owned(), 0.0)).into_iter().chain(pieces).collect())
}

/// Words cut at unknown characters, the most frequent as far as there is room, with counts that the library can add up.
///
/// What occurs more than once is listed twice, each with half of its count: the library takes only what it finds in two
/// places for a piece, in the list and not in the text, and would have no piece for a whole word that is part of no other.
fn sentences(words: &Words, known: &HashSet<char>) -> Vec<(String, u32)> {
    let mut parts: Vec<(&str, u64)> = Vec::new();
    for (word, count) in words.iter() {
        let known = word.split(|char| !known.contains(&char)).filter(|part| !part.is_empty());
        parts.extend(known.map(|part| (part, count)));
    }
    // Of equally frequent ones any are as good, but not those of the first letters alone.
    parts.sort_by_key(|&(part, count)| (Reverse(count), Hash::of(part.as_bytes())));
    let mut room = MAX_TEXT;
    parts.retain(|(part, _)| {
        room = room.saturating_sub(2 * (part.chars().count() + 1));
        room > 0
    });
    let total: u64 = parts.iter().map(|(part, count)| part.chars().count() as u64 * count).sum();
    let scale = total / MAX_COUNT + 1;
    let halves = parts.into_iter().flat_map(|(part, count)| {
        let count = count.div_ceil(scale) as u32;
        [(part, count - count / 2), (part, count / 2)]
    });
    halves.filter(|&(_, count)| count > 0).map(|(part, count)| (part.to_owned(), count)).collect()
}

/// Undoes what the library does in a random order: characters that it dropped as too rare come back with scores that
/// rise one by one from the lowest there is. Each gets that lowest score; pieces of equal score are ordered by text.
fn in_fixed_order(mut pieces: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let lowest = pieces.iter().map(|&(_, score)| score).fold(f64::INFINITY, f64::min);
    let mut rung = 0.0;
    let mut ladder = HashSet::new();
    for _ in 0..pieces.len() {
        ladder.insert((lowest + rung).to_bits());
        rung += PENALTY;
    }
    for (piece, score) in &mut pieces {
        if piece.chars().count() == 1 && ladder.contains(&score.to_bits()) {
            *score = lowest;
        }
    }
    pieces.sort_by(|(a, a_score), (b, b_score)| b_score.total_cmp(a_score).then_with(|| a.cmp(b)));
    pieces
}
