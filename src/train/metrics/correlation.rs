//! Correlations of predicted values.

use super::check_lengths;
use crate::error::Result;

/// Pearson's correlation; NaN if predictions or labels are constant, as in SciPy.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if there are none, or not as many of both.
pub fn pearson(predictions: &[f64], labels: &[f64]) -> Result<f64> {
    check_lengths(predictions.len(), labels.len())?;
    let (x, y) = (centred(predictions), centred(labels));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = product(&x, &x).sqrt() * product(&y, &y).sqrt();
    // Rounding may lead past 1; NaN, which is 0/0, stays NaN.
    Ok((product(&x, &y) / spread).clamp(-1.0, 1.0))
}

/// Spearman's correlation: Pearson's of ranks, of which equal values have the mean.
///
/// # Errors
/// As [`pearson`].
pub fn spearman(predictions: &[f64], labels: &[f64]) -> Result<f64> {
    pearson(&ranks(predictions), &ranks(labels))
}

/// Differences from the mean; exactly 0 if all are equal.
fn centred(values: &[f64]) -> Vec<f64> {
    let first = values.first().copied().unwrap_or_default();
    let shifted: Vec<f64> = values.iter().map(|value| value - first).collect();
    let mean = shifted.iter().sum::<f64>() / values.len() as f64;
    shifted.iter().map(|value| value - mean).collect()
}

/// Ranks from 1, the mean of theirs for values that are equal; NaN for all if one value is.
fn ranks(values: &[f64]) -> Vec<f64> {
    if values.iter().any(|value| value.is_nan()) {
        return vec![f64::NAN; values.len()];
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&place| ranks[place] = mean);
        before += equal.len();
    }
    ranks
}
