//! From scores to probabilities.

use ndalbert::ndarray::{Array1, ArrayView1};

/// exp(xᵢ) / Σ exp(xⱼ). Subtracting the maximum changes nothing but keeps exp from overflowing.
pub fn softmax(logits: ArrayView1<'_, f32>) -> Array1<f32> {
    let max = logits.fold(f32::NEG_INFINITY, |max, &logit| max.max(logit));
    let exponentials = logits.mapv(|logit| (logit - max).exp());
    let sum = exponentials.sum();
    exponentials / sum
}
