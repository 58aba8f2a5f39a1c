//! Which tokens are masked, and what replaces them.

use std::ops::Range;

use ndarray_rand::rand::Rng;
use ndarray_rand::rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::options::PreTrainingOptions;
use super::packing::IGNORED;
use crate::text::AlbertTokenizer;

/// What a vocabulary's ids are to masking.
#[derive(Debug)]
pub(super) struct Ids {
    mask: u32,
    /// By id: what begins a word, continues one, or is special.
    roles: Vec<Role>,
    /// What a random token is drawn from: all but the special ones.
    drawable: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    BeginsWord,
    ContinuesWord,
    Special,
}

impl Ids {
    pub(super) fn new(tokenizer: &AlbertTokenizer, vocab_size: usize) -> Self {
        let special = tokenizer.special_token_ids();
        let role = |id: u32| {
            let token = tokenizer.id_to_token(id)?;
            Some(match special.binary_search(&id) {
                Ok(_) => Role::Special,
                Err(_) if tokenizer.begins_word(&token) => Role::BeginsWord,
                Err(_) => Role::ContinuesWord,
            })
        };
        let roles = (0..vocab_size as u32).map(|id| role(id).unwrap_or(Role::Special)).collect();
        Self::from_roles(roles, tokenizer.mask_token_id())
    }

    pub(super) fn from_roles(roles: Vec<Role>, mask: u32) -> Self {
        let drawable = (0..roles.len() as u32).filter(|&id| roles[id as usize] != Role::Special);
        let drawable = drawable.collect();
        Self { mask, roles, drawable }
    }

    /// An id beyond the vocabulary is left to the model to refuse.
    pub(super) fn role(&self, id: u32) -> Role {
        self.roles.get(id as usize).copied().unwrap_or(Role::Special)
    }

    pub(super) fn has_drawable(&self) -> bool {
        !self.drawable.is_empty()
    }
}

/// A word: tokens that are masked together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    tokens: Range<usize>,
    /// Which stretch of text without special tokens it is in. Words of different ones do not follow each other.
    stretch: usize,
}

/// Masks examples.
///
/// As `create_masked_lm_predictions` of google-research/albert, with two differences. A length n is drawn before a
/// place, and the place so that it fits, while there the place comes first and n is thrown away if the n words overlap
/// what is masked already: long ones overlap more often, so the shares were not those of the paper. And n-grams do not
/// reach across special tokens from one sentence to the other.
#[derive(Debug)]
pub(super) struct Masker {
    ids: Ids,
    masked_lm_prob: f64,
    max_predictions: usize,
    do_whole_word_mask: bool,
    /// Shares of the lengths 1, 2, …, summed up.
    cumulative: Vec<f64>,
}

impl Masker {
    pub(super) fn new(options: &PreTrainingOptions, ids: Ids) -> Self {
        let mut weights: Vec<f64> = (1..=options.ngram).map(|n| 1.0 / n as f64).collect();
        if !options.favor_shorter_ngram {
            weights.reverse();
        }
        let cumulative = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self {
            ids,
            masked_lm_prob: options.masked_lm_prob,
            max_predictions: options.max_predictions_per_seq.unwrap_or(usize::MAX),
            do_whole_word_mask: options.do_whole_word_mask,
            cumulative: cumulative.collect(),
        }
    }

    /// Whether there is anything to be guessed in an example.
    pub(super) fn can_mask(&self, ids: &[u32]) -> bool {
        ids.iter().any(|&id| self.ids.role(id) != Role::Special)
    }

    /// Masks an example and returns its labels: the original ids at masked positions, −100 elsewhere.
    ///
    /// Of what is chosen, 80 % become `[MASK]`, 10 % a random token, and 10 % stay, token by token.
    pub(super) fn mask(&self, ids: &mut [u32], random: &mut ChaCha8Rng) -> Vec<i64> {
        let words = self.words(ids);
        let mut labels = vec![IGNORED; ids.len()];
        for chosen in self.choose(&words, self.budget(ids.len()), random) {
            for place in words[chosen].iter().flat_map(|word| word.tokens.clone()) {
                labels[place] = i64::from(ids[place]);
                ids[place] = match random.random_range(0..10) {
                    0..8 => self.ids.mask,
                    8 => self.ids.drawable[random.random_range(0..self.ids.drawable.len())],
                    _ => ids[place],
                };
            }
        }
        labels
    }

    /// How many tokens to mask, of so many with the special ones.
    fn budget(&self, tokens: usize) -> usize {
        let share = (tokens as f64 * self.masked_lm_prob).round_ties_even() as usize;
        share.max(1).min(self.max_predictions)
    }

    fn words(&self, ids: &[u32]) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let mut stretch = 0;
        for (place, &id) in ids.iter().enumerate() {
            let is_new = match self.ids.role(id) {
                Role::Special => {
                    stretch += 1;
                    continue;
                }
                Role::BeginsWord => true,
                Role::ContinuesWord => !self.do_whole_word_mask,
            };
            match words.last_mut() {
                Some(word) if !is_new && word.stretch == stretch => word.tokens.end = place + 1,
                _ => words.push(Word { tokens: place..place + 1, stretch }),
            }
        }
        words
    }

    /// Chooses n-grams of at most `budget` tokens in all, none of them overlapping, and returns the words of each.
    ///
    /// Where every word alone has more tokens than that, the shortest is chosen, so that there is something to learn
    /// (unless it has more than `max_predictions_per_seq`).
    fn choose(&self, words: &[Word], budget: usize, random: &mut ChaCha8Rng) -> Vec<Range<usize>> {
        let mut starts: Vec<usize> = (0..words.len()).collect();
        starts.shuffle(random);
        let mut is_taken = vec![false; words.len()];
        let (mut chosen, mut left) = (Vec::new(), budget);
        while left > 0 {
            let n = self.draw_length(random);
            let fits = |place: &Range<usize>| {
                fits(words, place.clone(), left) && !is_taken[place.clone()].contains(&true)
            };
            let place_of = |n| starts.iter().map(|&start| start..start + n).find(fits);
            let Some(place) = (1..=n).rev().find_map(place_of) else { break };
            left -= count(words, &place);
            is_taken[place.clone()].fill(true);
            chosen.push(place);
        }
        if chosen.is_empty() {
            let shortest = starts.into_iter().min_by_key(|&word| words[word].tokens.len());
            let shortest =
                shortest.filter(|&word| words[word].tokens.len() <= self.max_predictions);
            chosen.extend(shortest.map(|word| word..word + 1));
        }
        chosen
    }

    fn draw_length(&self, random: &mut ChaCha8Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let drawn = random.random::<f64>() * total;
        1 + self.cumulative.iter().take_while(|&&sum| sum <= drawn).count()
    }
}

/// Whether words from one to another are there, follow each other, and have no more tokens than that.
fn fits(words: &[Word], place: Range<usize>, limit: usize) -> bool {
    let Some(ngram) = words.get(place.clone()) else { return false };
    ngram[0].stretch == ngram[ngram.len() - 1].stretch && count(words, &place) <= limit
}

/// The tokens of words that follow each other.
fn count(words: &[Word], place: &Range<usize>) -> usize {
    words[place.end - 1].tokens.end - words[place.start].tokens.start
}

#[cfg(test)]
mod tests;
