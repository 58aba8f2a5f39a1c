//! Words → pieces of Unigram.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use rayon::ThreadPoolBuilder;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};

use super::VocabularyOptions;
use super::wordpiece::too_small;
use super::words::{Words, by_script};
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::text::tokenizer::refused;

/// The most characters of distinct words that are trained on; the suffix array takes some 50 bytes
/// for each.
const MAX_TEXT: usize = 4 << 20;

/// The library counts in 32 bits, and multiplies counts by lengths of up to 16.
const MAX_COUNT: u64 = 1 << 27;

/// By how much the library raises each of the characters that it had dropped and then needs above
/// the one before.
const PENALTY: f64 = 0.0001;

/// Words that occur this often can become pieces as a whole.
const FREQUENT: u64 = 4;

/// Special tokens of score 0, then pieces with their log-probabilities, the most likely first.
pub(super) fn train(words: &Words, options: &VocabularyOptions) -> Result<Vec<(String, f64)>> {
    let known = words.frequent_characters(options.character_coverage);
    let special = options.kind.special_tokens();
    let needed = known.len() + special.len();
    if needed > options.vocab_size {
        return Err(too_small(needed, options.vocab_size));
    }
    // More than wanted, because some will not do, and the library does not leave out the least
    // likely ones.
    let size = options.vocab_size + options.vocab_size / 8 + 1;
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(size as u32)
        .build()
        .map_err(|error| Error::Tokenizer(error.to_string()))?;
    let sign = known.iter().copied().filter(char::is_ascii_punctuation).min();
    let sentences = sentences(words, &known, sign)?;
    let mut model = Unigram::default();
    let train = || trainer.do_train(sentences, &mut model);
    // On one thread: with more, the order of sums depends on which is done first. Where there is
    // only one, it may be the only one that the platform has.
    let trained = if rayon::current_num_threads() == 1 {
        train()
    } else {
        let pool = ThreadPoolBuilder::new().num_threads(1).build();
        pool.map_err(|error| Error::Tokenizer(error.to_string()))?.install(train)
    };
    trained.map_err(refused)?;

    let pieces = in_fixed_order(model.iter().cloned().collect());
    let mut room = options.vocab_size - needed;
    let mut chosen = special.map(|token| (token.to_owned(), 0.0)).to_vec();
    for (piece, score) in pieces {
        let is_single = piece.chars().count() == 1;
        let is_whole =
            !sign.is_some_and(|sign| piece.contains(sign)) && by_script(&piece)?.len() == 1;
        if is_single || (room > 0 && is_whole && !special.contains(&&*piece)) {
            room -= usize::from(!is_single);
            chosen.push((piece, score));
        }
    }
    Ok(chosen)
}

/// Words cut at unknown characters and where the script changes, the most frequent as far as there
/// is room, with counts that the library can add up.
///
/// The library takes for a piece only what it finds before two different characters, and a word
/// alone has nothing after it. So frequent ones are listed once more before a sign. This counts as
/// one, and pieces with the sign are left out later.
fn sentences(
    words: &Words,
    known: &HashSet<char>,
    sign: Option<char>,
) -> Result<Vec<(String, u32)>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (word, count) in words.iter() {
        for whole in word.split(|char| !known.contains(&char)).filter(|part| !part.is_empty()) {
            for part in by_script(whole)? {
                *counts.entry(part).or_insert(0) += count;
            }
        }
    }
    if let Some(sign) = sign {
        let frequent = counts.iter().filter(|&(_, &count)| count >= FREQUENT);
        let before_sign: Vec<String> = frequent.map(|(part, _)| format!("{part}{sign}")).collect();
        before_sign.into_iter().for_each(|text| *counts.entry(text).or_insert(0) += 1);
    }
    let mut sentences: Vec<(String, u64)> = counts.into_iter().collect();
    // Of equally frequent ones any are as good, but not those of the first letters alone.
    sentences.sort_by_cached_key(|(text, count)| (Reverse(*count), Hash::of(text.as_bytes())));
    let mut room = MAX_TEXT;
    sentences.retain(|(text, _)| {
        room = room.saturating_sub(text.chars().count() + 1);
        room > 0
    });
    let lengths = sentences.iter().map(|(text, count)| text.chars().count() as u64 * count);
    let scale = lengths.sum::<u64>() / MAX_COUNT + 1;
    Ok(sentences.into_iter().map(|(text, count)| (text, count.div_ceil(scale) as u32)).collect())
}

/// Undoes what the library does in a random order: characters that it dropped as too rare come back
/// with scores that rise one by one from the lowest there is. Each gets that lowest score; pieces
/// of equal score are ordered by text.
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
