//! Spans of tags, as `seqeval` finds and scores them by default.

use std::collections::{BTreeMap, HashSet};

use super::check_lengths;
use super::classification::{Counts, Scores};
use crate::error::{Error, Result};

/// Words that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span<'a> {
    /// What they are: `PER` of `B-PER`; `_` for a tag without a kind.
    pub kind: &'a str,
    /// The first word.
    pub start: usize,
    /// The word after the last.
    pub end: usize,
}

/// A tag in its two halves.
#[derive(Clone, Copy, PartialEq)]
struct Tag<'a> {
    place: char,
    kind: &'a str,
}

const OUTSIDE: Tag<'_> = Tag { place: 'O', kind: "_" };

impl<'a> Tag<'a> {
    /// The first character says where in a span, what is behind the first hyphen after it of which
    /// kind.
    fn new(tag: &'a str) -> Self {
        let mut chars = tag.chars();
        let Some(place) = chars.next() else { return OUTSIDE };
        let rest = chars.as_str();
        let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
        Self { place, kind: if kind.is_empty() { "_" } else { kind } }
    }

    fn is_outside(self) -> bool {
        matches!(self.place, 'O' | '.')
    }

    /// Whether a span ends before `next`.
    fn ends_before(self, next: Self) -> bool {
        match (self.place, next.place) {
            ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O') => true,
            _ => !self.is_outside() && self.kind != next.kind,
        }
    }

    /// Whether a span begins here, `before` being the tag before.
    fn begins_after(self, before: Self) -> bool {
        match (before.place, self.place) {
            (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I') => true,
            _ => !self.is_outside() && self.kind != before.kind,
        }
    }
}

/// The spans of a sentence's tags: IOB1, IOB2, IOE and IOBES alike, read leniently (an `I-PER` that
/// follows nothing begins a span), as `seqeval.metrics.sequence_labeling.get_entities`, and
/// `conlleval` before it, do.
pub fn spans<'a, T: AsRef<str>>(tags: &'a [T]) -> Vec<Span<'a>> {
    let mut spans = Vec::new();
    let (mut before, mut start) = (OUTSIDE, 0);
    let tags = tags.iter().map(|tag| Tag::new(tag.as_ref()));
    for (i, tag) in tags.chain([OUTSIDE]).enumerate() {
        if before.ends_before(tag) {
            spans.push(Span { kind: before.kind, start, end: i });
        }
        if tag.begins_after(before) {
            start = i;
        }
        before = tag;
    }
    spans
}

/// How well the spans of sentences were found: kind, beginning and end must be right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanScores {
    kinds: BTreeMap<String, Counts>,
    words: usize,
    right: usize,
}

impl SpanScores {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a sentence.
    ///
    /// # Errors
    /// [`Error::Input`] if there are not as many tags of both.
    pub fn add<P: AsRef<str>, L: AsRef<str>>(
        &mut self,
        predictions: &[P],
        labels: &[L],
    ) -> Result<()> {
        if predictions.is_empty() && labels.is_empty() {
            return Ok(());
        }
        check_lengths(predictions.len(), labels.len())?;
        let pairs = predictions.iter().zip(labels);
        self.right += pairs.filter(|(found, right)| found.as_ref() == right.as_ref()).count();
        self.words += labels.len();
        let found: HashSet<Span<'_>> = spans(predictions).into_iter().collect();
        let right: HashSet<Span<'_>> = spans(labels).into_iter().collect();
        for span in &found {
            let counts = self.kinds.entry(span.kind.to_owned()).or_default();
            match right.contains(span) {
                true => counts.true_positives += 1,
                false => counts.false_positives += 1,
            }
        }
        for span in right.difference(&found) {
            self.kinds.entry(span.kind.to_owned()).or_default().false_negatives += 1;
        }
        Ok(())
    }

    /// The counts of each kind that was found or is there.
    pub fn kinds(&self) -> &BTreeMap<String, Counts> {
        &self.kinds
    }

    /// Precision, recall and F1 of all spans: what CoNLL-2003 is measured by.
    pub fn micro_average(&self) -> Scores {
        Counts::micro_average(&self.counts())
    }

    /// The mean of the kinds' scores.
    pub fn macro_average(&self) -> Scores {
        Counts::macro_average(&self.counts())
    }

    fn counts(&self) -> Vec<Counts> {
        self.kinds.values().copied().collect()
    }

    /// The fraction of words whose tag is right.
    ///
    /// # Errors
    /// [`Error::Input`] if there are no words.
    pub fn accuracy(&self) -> Result<f64> {
        if self.words == 0 {
            return Err(Error::input("sentences", "at least one with words", "none"));
        }
        Ok(self.right as f64 / self.words as f64)
    }
}
