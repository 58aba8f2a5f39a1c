//! The loss of question answering: where does the answer begin and end?

use ndarray::{Array2, s};

use super::LossTerm;
use super::heads::HeadPass;
use super::labels::AnswerPositions;
use super::loss::cross_entropy;
use crate::error::{Error, Result};

/// Mean of the cross-entropies of first and last position over the tokens that the mask leaves, and its gradient in the
/// place of the logits `[T, 2]`. Negative positions count as 0, and those past the end (≥ S) not at all.
///
/// # Errors
/// If there are not B positions, one is outside the attention mask, or all are ignored.
pub(super) fn positions_term(
    pass: &HeadPass<'_>,
    logits: &mut Array2<f32>,
    labels: &AnswerPositions,
) -> Result<LossTerm> {
    let mut d = Array2::zeros(logits.raw_dim());
    let start = position(pass, logits, ("start_positions", &labels.start, 0), &mut d)?;
    let end = position(pass, logits, ("end_positions", &labels.end, 1), &mut d)?;
    *logits = d;
    Ok(LossTerm {
        name: "loss",
        loss: (start.loss + end.loss) / 2.0,
        correct: start.correct + end.correct,
        count: start.count + end.count,
        has_classes: true,
    })
}

fn position(
    pass: &HeadPass<'_>,
    logits: &Array2<f32>,
    (name, positions, output): (&str, &[i64], usize),
    d: &mut Array2<f32>,
) -> Result<LossTerm> {
    let layout = &pass.batch.layout;
    let sequences = layout.sequences.len();
    if positions.len() != sequences {
        return Err(Error::input(name, sequences.to_string(), positions.len().to_string()));
    }
    let mut counted = Vec::new();
    for (index, &position) in positions.iter().enumerate() {
        let column = usize::try_from(position).unwrap_or(0);
        if column >= layout.padded_length {
            continue;
        }
        let rows = layout.real_rows(index);
        let row = layout.row_of(index, column).ok_or_else(|| {
            let what = format!("{name}[{index}]");
            Error::input(what, "a token inside the attention mask", position.to_string())
        })?;
        counted.push((row - rows.start, rows));
    }
    if counted.is_empty() {
        let expected = format!("at least one position below {}", layout.padded_length);
        return Err(Error::input(name, expected, "none"));
    }
    let count = counted.len();
    let scale = pass.scale / (2 * count) as f32;
    let (mut loss, mut correct) = (0.0, 0);
    for (label, rows) in counted {
        let scores = logits.slice(s![rows.clone(), output..output + 1]);
        let mut scores = scores.t().as_standard_layout().into_owned();
        let term = cross_entropy(pass.isa, "loss", &mut scores, &[label as i64], scale)?;
        loss += term.loss;
        correct += term.correct;
        d.slice_mut(s![rows, output]).assign(&scores.row(0));
    }
    Ok(LossTerm { name: "loss", loss: loss / count as f64, correct, count, has_classes: true })
}
