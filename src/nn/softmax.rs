//! From scores to probabilities.

use ndarray::{Array, ArrayView, Axis, Dimension};

/// exp(xᵢ) / Σ exp(xⱼ) over the last axis: the probabilities of logits `[…, C]`.
///
/// ```
/// use ndalbert::{ndarray::array, nn::softmax};
///
/// let probabilities = softmax(array![[0.0, 0.0], [1e4, -1e4]].view());
/// assert_eq!(probabilities, array![[0.5, 0.5], [1.0, 0.0]]);
/// ```
pub fn softmax<D: Dimension>(logits: ArrayView<'_, f32, D>) -> Array<f32, D> {
    let mut probabilities = logits.to_owned();
    let Some(last) = probabilities.ndim().checked_sub(1) else { return probabilities };
    for mut lane in probabilities.lanes_mut(Axis(last)) {
        // Subtracting the maximum changes nothing but keeps exp from overflowing.
        let max = lane.fold(f32::NEG_INFINITY, |max, &x| max.max(x));
        lane.mapv_inplace(|x| (x - max).exp());
        let sum: f64 = lane.iter().map(|&x| f64::from(x)).sum();
        lane.mapv_inplace(|x| (f64::from(x) / sum) as f32);
    }
    probabilities
}
