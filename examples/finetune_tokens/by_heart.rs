//! What can be had without a model: a list of words.

use std::collections::HashMap;

use ndalbert::Result;
use ndalbert::train::datasets::TokenClassificationExample;
use ndalbert::train::metrics::SpanScores;

/// Tags each word as it is tagged most often in training, and words that are not there as most
/// words are.
pub fn judge(
    train: &[TokenClassificationExample],
    held_out: &[TokenClassificationExample],
) -> Result<SpanScores> {
    let (mut all, mut by_word) = (Counts::default(), HashMap::<&str, Counts<'_>>::new());
    for TokenClassificationExample { words, tags } in train {
        for (word, tag) in words.iter().zip(tags) {
            all.add(tag);
            by_word.entry(word).or_default().add(tag);
        }
    }
    let mut scores = SpanScores::new();
    for TokenClassificationExample { words, tags } in held_out {
        let tag = |word: &String| by_word.get(word.as_str()).unwrap_or(&all).most_frequent();
        scores.add(&words.iter().map(tag).collect::<Vec<_>>(), tags)?;
    }
    Ok(scores)
}

/// How often there is which tag.
#[derive(Default)]
struct Counts<'a>(HashMap<&'a str, u32>);

impl<'a> Counts<'a> {
    fn add(&mut self, tag: &'a str) {
        *self.0.entry(tag).or_default() += 1;
    }

    /// Of equals the first by name, so that it is always the same.
    fn most_frequent(&self) -> &'a str {
        let best = self.0.iter().max_by(|(a, m), (b, n)| m.cmp(n).then_with(|| b.cmp(a)));
        best.map_or("", |(tag, _)| tag)
    }
}
