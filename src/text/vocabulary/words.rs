//! Text files → words and their counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::pre_tokenizers::unicode_scripts::UnicodeScripts;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer,
};

use super::files::settings;
use super::{VocabularyKind, VocabularyOptions};
use crate::error::{Error, Result};
use crate::text::lines::Lines;
use crate::text::tokenizer::{pipeline, refused};

/// Words longer than this are cut, which only text without spaces has.
const MAX_WORD: usize = 256;

/// The mark before a word in SentencePiece.
const WORD_MARK: &str = "▁";

/// Distinct words and their counts, in the words' order.
#[derive(Debug)]
pub(super) struct Words(BTreeMap<String, u64>);

impl Words {
    /// Counts the words of lines that are normalised and split as the tokenizer will do it.
    pub(super) fn count<P: AsRef<Path>>(files: &[P], options: &VocabularyOptions) -> Result<Self> {
        let lines = sample(files, options)?;
        let tokenizer = splitter(options)?;
        let counts = lines.par_iter().try_fold(HashMap::new, |mut counts, line| {
            for word in split(&tokenizer, line)? {
                for part in cut(&word) {
                    *counts.entry(part).or_insert(0_u64) += 1;
                }
            }
            Ok::<_, Error>(counts)
        });
        let counts: Vec<HashMap<String, u64>> = counts.collect::<Result<_>>()?;
        let mut all = BTreeMap::new();
        for (word, count) in counts.into_iter().flatten() {
            *all.entry(word).or_insert(0) += count;
        }
        if all.is_empty() {
            let found = format!("none in {} files", files.len());
            return Err(Error::input("text for a vocabulary", "at least one word", found));
        }
        Ok(Self(all))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(word, &count)| (word.as_str(), count))
    }

    /// The most frequent characters, as few as make up that share of the text.
    pub(super) fn frequent_characters(&self, coverage: f64) -> HashSet<char> {
        let mut counts: BTreeMap<char, u64> = BTreeMap::new();
        for (word, count) in self.iter() {
            word.chars().for_each(|char| *counts.entry(char).or_insert(0) += count);
        }
        let mut left = counts.values().sum::<u64>() as f64 * coverage;
        let mut counts: Vec<(char, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|&(char, count)| (std::cmp::Reverse(count), char));
        let is_needed = |&(_, count): &(char, u64)| {
            let is_needed = left > 0.0;
            left -= count as f64;
            is_needed
        };
        counts.into_iter().take_while(is_needed).map(|(char, _)| char).collect()
    }
}

/// The lines, or as many as wanted of them, each as likely as any other.
fn sample<P: AsRef<Path>>(files: &[P], options: &VocabularyOptions) -> Result<Vec<String>> {
    let mut random = ChaCha8Rng::seed_from_u64(options.random_seed);
    let (mut chosen, mut seen) = (Vec::new(), 0_u64);
    for path in files {
        let mut lines = Lines::open(path.as_ref())?;
        while let Some(line) = lines.read_line()? {
            if line.is_blank() {
                continue;
            }
            seen += 1;
            if chosen.len() < options.max_sentences {
                chosen.push(line.text.to_owned());
            } else if let Some(place) = chosen.get_mut(random.random_range(0..seen) as usize) {
                line.text.clone_into(place);
            }
        }
    }
    Ok(chosen)
}

/// A tokenizer of which only the rules before the vocabulary are used.
fn splitter(options: &VocabularyOptions) -> Result<Tokenizer> {
    let settings = settings(options)?;
    match options.kind {
        VocabularyKind::Unigram => pipeline::sentencepiece(Unigram::default(), None, &settings),
        _ => pipeline::wordpiece(WordPiece::default(), &settings),
    }
}

fn split(tokenizer: &Tokenizer, line: &str) -> Result<Vec<String>> {
    // Control characters are none that a vocabulary should have.
    let mut normalized = NormalizedString::from(line.replace(char::is_control, " "));
    if let Some(normalizer) = tokenizer.get_normalizer() {
        normalizer.normalize(&mut normalized).map_err(refused)?;
    }
    let mut text = PreTokenizedString::from(normalized);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut text).map_err(refused)?;
    }
    Ok(pieces(&text))
}

/// A word in parts of one script each, which SentencePiece's pieces do not go beyond; the mark stays with what it is before.
pub(super) fn by_script(word: &str) -> Result<Vec<String>> {
    let (mark, rest) = match word.strip_prefix(WORD_MARK) {
        Some(rest) => (WORD_MARK, rest),
        None => ("", word),
    };
    let mut text = PreTokenizedString::from(rest);
    UnicodeScripts::new().pre_tokenize(&mut text).map_err(refused)?;
    let mut parts = pieces(&text);
    match parts.first_mut() {
        Some(first) => first.insert_str(0, mark),
        None => parts.push(mark.to_owned()),
    }
    Ok(parts)
}

fn pieces(text: &PreTokenizedString) -> Vec<String> {
    let splits = text.get_splits(OffsetReferential::Normalized, OffsetType::None);
    splits.into_iter().map(|(piece, _, _)| piece.to_owned()).collect()
}

/// The word in parts that are not too long.
fn cut(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.chunks(MAX_WORD).map(|part| part.iter().collect()).collect()
}
