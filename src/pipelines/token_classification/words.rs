//! Tokens with their scores, and the words that they make.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1};

use super::Aggregation;
use crate::error::Result;
use crate::text::{AlbertTokenizer, Encoding};

/// A token of a text, or a word, before labels are grouped.
pub(super) struct Piece {
    /// As the vocabulary spells it; an unknown one as the text does. Of a word, its text.
    pub word: String,
    /// The probability of each label.
    pub scores: Array1<f32>,
    /// Where it stands in the text, in characters.
    pub chars: Range<usize>,
    /// The same in bytes.
    pub bytes: Range<usize>,
    /// Its column, counted with the special tokens; of a word, its first token's.
    pub index: usize,
    /// Whether it continues the word of the token before it.
    is_continuation: bool,
}

/// The tokens of a text that the template did not add, with the probabilities `[S, C]` of their labels.
pub(super) fn pieces(
    tokenizer: &AlbertTokenizer,
    text: &str,
    encoding: &Encoding,
    probabilities: &Array2<f32>,
) -> Vec<Piece> {
    let marked = tokenizer.marks_continuations();
    let columns = (0..encoding.len()).filter(|&column| !encoding.special_tokens_mask[column]);
    let piece = |column: usize| {
        let id = encoding.ids[column];
        let (start, end) = encoding.offsets[column];
        let bytes = encoding.byte_offsets[column].0..encoding.byte_offsets[column].1;
        let mut word = tokenizer.id_to_token(id).unwrap_or_default();
        // Marked vocabularies tell by the mark, which makes a token's name longer than what it stands for; in others,
        // what follows a space begins a word.
        let mut is_continuation = match marked {
            true => word.chars().count() != end.saturating_sub(start),
            false => start > 0 && !touches_space(text, bytes.start),
        };
        if id == tokenizer.unk_token_id() {
            word = text.get(bytes.clone()).unwrap_or_default().to_owned();
            is_continuation = false;
        }
        let scores = probabilities.row(column).to_owned();
        Piece { word, scores, chars: start..end, bytes, index: column, is_continuation }
    };
    columns.map(piece).collect()
}

/// Whether there is a space before this place in a text, or at it.
fn touches_space(text: &str, byte: usize) -> bool {
    text.get(..byte).is_some_and(|before| before.ends_with(' '))
        || text.get(byte..).is_some_and(|after| after.starts_with(' '))
}

/// Tokens → words, each with the scores that `aggregation` gives it.
pub(super) fn words(
    tokenizer: &AlbertTokenizer,
    pieces: Vec<Piece>,
    aggregation: Aggregation,
) -> Result<Vec<Piece>> {
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    for piece in pieces {
        match groups.last_mut() {
            Some(group) if piece.is_continuation => group.push(piece),
            _ => groups.push(vec![piece]),
        }
    }
    groups.into_iter().map(|group| word(tokenizer, group, aggregation)).collect()
}

fn word(tokenizer: &AlbertTokenizer, group: Vec<Piece>, aggregation: Aggregation) -> Result<Piece> {
    let scores = match aggregation {
        Aggregation::Average => {
            let sum = group.iter().fold(Array1::zeros(group[0].scores.len()), |sum, piece| {
                sum + piece.scores.mapv(f64::from)
            });
            sum.mapv(|sum: f64| (sum / group.len() as f64) as f32)
        }
        Aggregation::Max => {
            let greatest = |piece: &Piece| best(piece.scores.view()).1;
            let first = (greatest(&group[0]), &group[0]);
            let chosen = group.iter().skip(1).fold(first, |chosen, piece| {
                let score = greatest(piece);
                if score > chosen.0 { (score, piece) } else { chosen }
            });
            chosen.1.scores.clone()
        }
        _ => group[0].scores.clone(),
    };
    let (first, last) = (&group[0], &group[group.len() - 1]);
    let (chars, bytes) = (first.chars.start..last.chars.end, first.bytes.start..last.bytes.end);
    let index = first.index;
    let word = tokenizer.tokens_to_string(group.into_iter().map(|piece| piece.word).collect())?;
    Ok(Piece { word, scores, chars, bytes, index, is_continuation: false })
}

/// The greatest score and its place, the first of equal ones.
pub(super) fn best(scores: ArrayView1<'_, f32>) -> (usize, f32) {
    let best = scores.iter().copied().enumerate();
    best.reduce(|best, next| if next.1 > best.1 { next } else { best }).unwrap_or((0, 0.0))
}
