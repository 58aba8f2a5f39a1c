//! Losses in double precision, from their definitions.

use ndarray::{Array2, ArrayView1, ArrayView2};

/// A label that does not count.
const IGNORED: i64 = -100;

/// ln of the softmax of a row, at one place of it.
pub fn log_probability(row: ArrayView1<'_, f64>, class: usize) -> f64 {
    let largest = row.fold(f64::NEG_INFINITY, |largest, &x| largest.max(x));
    row[class] - largest - row.mapv(|x| (x - largest).exp()).sum().ln()
}

/// Mean over the rows whose label counts.
pub fn cross_entropy(logits: &Array2<f64>, labels: &[i64]) -> f64 {
    assert_eq!(logits.nrows(), labels.len());
    let counted = logits.outer_iter().zip(labels).filter(|(_, label)| **label != IGNORED);
    let losses: Vec<f64> =
        counted.map(|(row, &label)| -log_probability(row, label as usize)).collect();
    mean(&losses)
}

/// Mean over rows of −Σ target·ln softmax.
pub fn soft_cross_entropy(logits: &Array2<f64>, targets: ArrayView2<'_, f32>) -> f64 {
    let losses: Vec<f64> = logits
        .outer_iter()
        .zip(targets.outer_iter())
        .map(|(row, targets)| {
            let terms = targets.iter().enumerate();
            terms.map(|(class, &target)| -f64::from(target) * log_probability(row, class)).sum()
        })
        .collect();
    mean(&losses)
}

/// Mean over all elements of (x − y)².
pub fn mean_squared_error(outputs: &Array2<f64>, targets: ArrayView2<'_, f32>) -> f64 {
    let pairs = outputs.iter().zip(targets);
    mean(&pairs.map(|(x, &y)| (x - f64::from(y)).powi(2)).collect::<Vec<_>>())
}

/// Mean over all elements of −y·ln σ(x) − (1 − y)·ln(1 − σ(x)).
pub fn binary_cross_entropy(logits: &Array2<f64>, targets: ArrayView2<'_, f32>) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let term = |(&x, &y): (&f64, &f32)| {
        let y = f64::from(y);
        -y * sigmoid(x).ln() - (1.0 - y) * sigmoid(-x).ln()
    };
    mean(&logits.iter().zip(targets).map(term).collect::<Vec<_>>())
}

/// Mean over the positions that count of −ln of the softmax over the tokens that the mask leaves:
/// `scores` and `mask` are `[B, S]`. Negative positions count as 0, those past the end not at all.
pub fn position_loss(scores: &Array2<f64>, mask: &Array2<i64>, positions: &[i64]) -> f64 {
    let mut losses = Vec::new();
    for (sequence, &position) in positions.iter().enumerate() {
        let column = position.max(0) as usize;
        if column >= scores.ncols() {
            continue;
        }
        assert_eq!(mask[[sequence, column]], 1, "an answer outside the mask");
        let mut row = scores.row(sequence).to_owned();
        let masked = row.iter_mut().zip(mask.row(sequence)).filter(|(_, real)| **real == 0);
        masked.for_each(|(score, _)| *score = f64::NEG_INFINITY);
        losses.push(-log_probability(row.view(), column));
    }
    mean(&losses)
}

fn mean(losses: &[f64]) -> f64 {
    assert!(!losses.is_empty(), "nothing counts");
    losses.iter().sum::<f64>() / losses.len() as f64
}
