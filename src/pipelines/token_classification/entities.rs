//! Tokens and words with their labels → entities, as transformers' `TokenClassificationPipeline` groups them.

use std::ops::Range;

use ndarray::Array2;

use super::words::{Piece, best, pieces, words};
use super::{Aggregation, Entity};
use crate::error::{Error, Result};
use crate::text::{AlbertTokenizer, Encoding};

/// What makes entities of scores.
pub(super) struct Tagger<'a> {
    pub tokenizer: &'a AlbertTokenizer,
    pub labels: &'a [String],
    pub aggregation: Aggregation,
    pub ignored: &'a [String],
}

impl Tagger<'_> {
    /// The entities of a text, whose windows have these probabilities `[S, C]`.
    pub fn entities(
        &self,
        text: &str,
        windows: &[Encoding],
        probabilities: &[Array2<f32>],
    ) -> Result<Vec<Entity>> {
        let mut all = Vec::new();
        for (encoding, probabilities) in windows.iter().zip(probabilities) {
            let entities = self.of_window(text, encoding, probabilities)?;
            all.extend(entities.into_iter().filter(|entity| !self.ignored.contains(&entity.label)));
        }
        Ok(if windows.len() > 1 { without_overlaps(all) } else { all })
    }

    fn of_window(
        &self,
        text: &str,
        encoding: &Encoding,
        probabilities: &Array2<f32>,
    ) -> Result<Vec<Entity>> {
        let pieces = pieces(self.tokenizer, text, encoding, probabilities);
        match self.aggregation {
            Aggregation::None => pieces.into_iter().map(|piece| self.labelled(piece)).collect(),
            Aggregation::Simple => self.grouped(pieces),
            _ => self.grouped(words(self.tokenizer, pieces, self.aggregation)?),
        }
    }

    fn labelled(&self, piece: Piece) -> Result<Entity> {
        let (label, score) = best(piece.scores.view());
        let label = self.labels.get(label).ok_or_else(|| {
            Error::input("label", format!("one of {}", self.labels.len()), label.to_string())
        })?;
        let Piece { word, chars: Range { start, end }, bytes, index, .. } = piece;
        Ok(Entity { label: label.clone(), score, word, start, end, bytes, index: Some(index) })
    }

    /// Neighbours with the same label, as long as none but the first has a `B-`, are one entity.
    fn grouped(&self, pieces: Vec<Piece>) -> Result<Vec<Entity>> {
        let mut groups: Vec<Vec<Entity>> = Vec::new();
        for piece in pieces {
            let entity = self.labelled(piece)?;
            let (begins, tag) = tag_of(&entity.label);
            match groups.last_mut() {
                Some(group)
                    if !begins && group.last().is_some_and(|last| tag_of(&last.label).1 == tag) =>
                {
                    group.push(entity);
                }
                _ => groups.push(vec![entity]),
            }
        }
        groups.into_iter().map(|group| self.fused(group)).collect()
    }

    fn fused(&self, group: Vec<Entity>) -> Result<Entity> {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        // What follows the first dash, whatever stands before it.
        let label = first.label.split_once('-').map_or(&*first.label, |(_, tag)| tag).to_owned();
        let score = group.iter().map(|entity| f64::from(entity.score)).sum::<f64>();
        let score = (score / group.len() as f64) as f32;
        let (start, end, bytes) = (first.start, last.end, first.bytes.start..last.bytes.end);
        let words = group.into_iter().map(|entity| entity.word).collect();
        let word = self.tokenizer.tokens_to_string(words)?;
        Ok(Entity { label, score, word, start, end, bytes, index: None })
    }
}

/// Whether a label begins an entity, and its kind. A label without `B-` or `I-` continues one.
fn tag_of(label: &str) -> (bool, &str) {
    match (label.strip_prefix("B-"), label.strip_prefix("I-")) {
        (Some(tag), _) => (true, tag),
        (_, Some(tag)) => (false, tag),
        _ => (false, label),
    }
}

/// Of entities of several windows that overlap, the longest; of equally long ones, that with the greater score.
fn without_overlaps(mut entities: Vec<Entity>) -> Vec<Entity> {
    entities.sort_by_key(|entity| entity.start);
    let mut kept: Vec<Entity> = Vec::new();
    for entity in entities {
        match kept.last_mut() {
            Some(last) if entity.start < last.end => {
                let lengths = |entity: &Entity| entity.end.saturating_sub(entity.start);
                let (length, other) = (lengths(&entity), lengths(last));
                if length > other || (length == other && entity.score > last.score) {
                    *last = entity;
                }
            }
            _ => kept.push(entity),
        }
    }
    kept
}
